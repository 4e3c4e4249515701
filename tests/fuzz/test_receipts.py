"""Fuzzing of the receipts of vendors and of mail servers' reports."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

from bellcast.channels import receipts
from bellcast.kernel.http import request_body
from bellcast.providers import twilio, vonage
from bellcast.providers.types import ReceiptRequest
from tests.fuzz.conftest import Api
from tests.fuzz.runner import fuzz
from tests.provider_setup import setup

URL = "https://bells.example.com/v1/providers/texts/receipts"
TWILIO = twilio.TwilioProvider(setup("twilio://AC1:token@default?from=%2B12025550123"))
VONAGE = vonage.VonageProvider(setup("vonage://key:secret@default?from=Shop"))
NAMES = ["MessageSid", "MessageStatus", "SmsStatus", "OptOutType", "From", "Body", "ErrorCode", "messageId", "message-id", "status", "err-code",
         "msisdn", "to", "text", "keyword", "sig", "timestamp", ""]  # fmt: skip
VALUES = [
    "",
    "delivered",
    "undelivered",
    "failed",
    "received",
    "STOP",
    "START",
    "21610",
    "\u00b2",
    "9" * 5_000,
    "1",
    "+436601234567",
    "{}",
    "\ud800",
]
FORMS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=6), max_size=6)
LINES = st.sampled_from(
    ["Content-Type: multipart/report; report-type=delivery-status; boundary=b", "Content-Type: message/delivery-status",
     "Content-Type: message/feedback-report", "Content-Type: message/rfc822", "Content-Type: text/plain; charset=x", "Message-ID: <m@x>", "", "--b",
     "--b--", "Action: failed", "Action: delivered", "Status: 5.1.1", "Diagnostic-Code: smtp; 550 no", "Content-Transfer-Encoding: base64", "\xff",
     "Content-Type: multipart/mixed; boundary=", "Subject: =?utf-8?b?/w==?=", "To: <", "=?x?"]
)  # fmt: skip
MAILS = st.lists(LINES | st.text(max_size=8), max_size=14).map(
    lambda lines: "\r\n".join(lines).encode("utf-8", "replace")
)
VALUES_OF_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(VALUES) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
    max_leaves=4,
)
BODIES = VALUES_OF_JSON | st.dictionaries(st.sampled_from(NAMES), VALUES_OF_JSON, max_size=6)
BODY_SEEDS: list[Any] = [
    b"",
    b"{",
    b"[" * 5_000,
    b'{"status":' + b"9" * 5_000 + b"}",
    b'{"status":1e999}',
    b'{"to":"\\ud800"}',
    b"\xff",
    None,
    {},
]
SEEDS: list[Any] = [
    {},
    b"",
    {"MessageStatus": "failed", "ErrorCode": "\u00b2"},
    {"MessageStatus": "failed", "ErrorCode": "9" * 5_000},
]


def request(form: Mapping[str, str], **headers: str) -> ReceiptRequest:
    return ReceiptRequest(url=URL, headers=headers, form=form)


def signed_for_twilio(form: dict[str, str]) -> ReceiptRequest:
    text = URL + "".join(name + form[name] for name in sorted(form))
    digest = hmac.digest(b"token", text.encode(), hashlib.sha1)
    return request(form, **{"x-twilio-signature": base64.b64encode(digest).decode()})


def signed_for_vonage(form: dict[str, str]) -> ReceiptRequest:
    fields = {name: value for name, value in form.items() if name != "sig"}
    text = "".join(f"&{name}={fields[name].translate(vonage.SIGNED)}" for name in sorted(fields))
    return request({**fields, "sig": hmac.digest(b"secret", text.encode(), hashlib.sha256).hex()})


def check(subject: Any) -> None:
    """A receipt is accepted or refused, whether or not its signature is valid."""
    if isinstance(subject, bytes):
        with suppress(ValueError):
            receipts.parse(subject)
        request_body.form_fields(subject[:200])
        return
    form = {
        name.encode(errors="replace").decode(): value.encode(errors="replace").decode()
        for name, value in subject.items()
    }
    for provider, signed in ((TWILIO, signed_for_twilio(form)), (VONAGE, signed_for_vonage(form))):
        provider.receipt(signed)
        for sent in (request(form), request({**form, "sig": "\u00e9"}, **{"x-twilio-signature": "\u00e9"})):
            with suppress(PermissionError):
                provider.receipt(sent)


def test_receipt_is_understood_or_refused() -> None:
    fuzz("receipts", FORMS | MAILS, check, SEEDS)


def test_receipt_in_json_is_accepted_or_refused(api: Api) -> None:
    """Its fields may be of any type. Vendors sign them as text."""
    path = "/v1/providers/texts/receipts"
    body = {"channel": "sms", "url": "vonage://key:secret@default?from=Shop"}
    assert api.request("PUT", "/v1/providers/texts", json=body).status_code == 201

    def send(text: bytes) -> int:
        return api.request("POST", path, content=text, headers={"content-type": "application/json"}).status_code

    def check_body(value: Any) -> None:
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        status = send(text)
        assert status in (400, 401), text
        if status == 401 and isinstance(value, dict):
            read = request_body.plain_json(text)
            signed = signed_for_vonage({name: str(one) for name, one in read.items()}).form
            assert send(json.dumps({**read, "sig": signed["sig"]}).encode()) == 204, text

    fuzz("receipts in JSON", BODIES, check_body, BODY_SEEDS)
