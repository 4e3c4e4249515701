"""Fuzzing of the receipts of vendors and of mail servers' reports."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

from bellcast.channels import receipts
from bellcast.kernel.errors import BadRequest
from bellcast.kernel.http import request_body
from bellcast.providers import twilio, vonage
from bellcast.providers.types import ReceiptRequest
from tests.fuzz.runner import fuzz
from tests.provider_setup import setup

URL = "https://bells.example.com/v1/providers/texts/receipts"
TWILIO = twilio.from_url(setup("twilio://AC1:token@default?from=%2B12025550123"))
VONAGE = vonage.from_url(setup("vonage://key:secret@default?from=Shop"))
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
SEEDS: list[Any] = [
    {},
    b"",
    b"{",
    b"[]",
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
        with suppress(BadRequest):
            request_body.plain_json(subject)
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
