"""Twilio and Vonage with servers of their documented protocols, and their failures."""

import base64
import hashlib
import hmac
from typing import Any

import pytest

from bellcast.kernel.outbound import DeliveryError
from bellcast.kernel.outbound.http import HttpClient
from bellcast.providers import twilio, vonage
from bellcast.providers.types import OutgoingMessage, Provider, Receipt, ReceiptRequest
from tests.provider_setup import outgoing, setup
from tests.vendor_server import CUT, HALF, HANG, VendorServer, raw_response

MESSAGE = outgoing("m1", "+436601234567", {"text": "Your code: 4711"})
VONAGE_SENT = {"message-count": "1", "messages": [{"status": "0", "message-id": "V1", "to": "436601234567"}]}


def twilio_at(vendor: VendorServer, http: HttpClient, **options: Any) -> twilio.TwilioProvider:
    return twilio.TwilioProvider(
        setup(f"twilio://AC1:tok%2Fen@{vendor.host}?from=%2B12025550123&tls=off", http, **options)
    )


def vonage_at(vendor: VendorServer, http: HttpClient, **options: Any) -> vonage.VonageProvider:
    return vonage.VonageProvider(setup(f"vonage://key:secret@{vendor.host}?from=Shop&tls=off", http, **options))


async def failure(provider: Provider, message: OutgoingMessage = MESSAGE) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await provider.send(message)
    return caught.value


async def test_twilio_message_has_its_fields_and_credentials(vendor: VendorServer, http: HttpClient) -> None:
    vendor.default = raw_response(201, {"sid": "SM1", "status": "queued"})
    provider = twilio_at(vendor, http, receipts_url="https://b.example/v1/providers/env-sms-1/receipts")
    accepted = await provider.send(MESSAGE)
    (request,) = vendor.requests
    assert accepted.reference == "SM1"
    assert request.path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"AC1:tok/en").decode()
    assert request.form == {
        "To": "+436601234567",
        "From": "+12025550123",
        "Body": "Your code: 4711",
        "StatusCallback": "https://b.example/v1/providers/env-sms-1/receipts",
    }


@pytest.mark.parametrize(
    ("status", "code", "is_temporary", "is_bounce"),
    [
        (400, 21211, False, True),  # invalid number
        (400, 21610, False, True),  # STOP
        (400, 21606, False, False),  # the sender does not belong to the account
        (401, 20003, True, False),
        (429, 20429, True, False),
        (500, 20500, True, False),
        (503, None, True, False),
    ],
)
async def test_twilio_refusal_is_permanent_or_temporary(
    vendor: VendorServer, http: HttpClient, status: int, code: int | None, is_temporary: bool, is_bounce: bool
) -> None:
    vendor.default = raw_response(status, {"code": code, "message": "No.", "status": status}, retry_after="17")
    error = await failure(twilio_at(vendor, http))
    assert (error.is_temporary, error.is_bounce, error.code) == (is_temporary, is_bounce, str(status))
    assert (error.response, error.retry_after) == ("No.", 17.0)


@pytest.mark.parametrize("status", [200, 202])
async def test_twilio_message_with_a_sid_is_accepted(vendor: VendorServer, http: HttpClient, status: int) -> None:
    vendor.default = raw_response(status, {"sid": "SM1"})
    accepted = await twilio_at(vendor, http).send(MESSAGE)
    assert (accepted.reference, accepted.code) == ("SM1", str(status))


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"sid": "SM', {"status": "queued"}])
async def test_twilio_message_that_was_created_is_sent_although_its_response_is_unreadable(
    vendor: VendorServer, http: HttpClient, body: bytes | dict[str, str]
) -> None:
    vendor.default = raw_response(201, body)
    accepted = await twilio_at(vendor, http).send(MESSAGE)
    assert (accepted.reference, accepted.code) == (None, "201")


@pytest.mark.parametrize("fault", [HANG, CUT, HALF, raw_response(200, b"<html>"), raw_response(202, b"")])
async def test_twilio_invalid_response_is_temporary(vendor: VendorServer, http: HttpClient, fault: bytes) -> None:
    vendor.default = fault
    error = await failure(twilio_at(vendor, http, timeout=0.3 if fault == HANG else 60))
    assert error.is_temporary
    assert "tok/en" not in error.response


@pytest.mark.parametrize(("code", "is_bounce"), [(30006, True), (30007, False), (None, False)])
@pytest.mark.parametrize("status", ["failed", "undelivered"])
async def test_twilio_message_that_failed_at_once_is_refused(
    vendor: VendorServer, http: HttpClient, status: str, code: int | None, is_bounce: bool
) -> None:
    vendor.default = raw_response(201, {"sid": "SM1", "status": status, "error_code": code, "error_message": "No."})
    error = await failure(twilio_at(vendor, http))
    vendors_code = None if code is None else str(code)
    assert (error.is_temporary, error.is_bounce, error.code, error.response) == (False, is_bounce, vendors_code, "No.")


async def test_twilio_check_recognizes_wrong_credentials(vendor: VendorServer, http: HttpClient) -> None:
    vendor.responses += [raw_response(400, {"code": 21604, "message": "A 'To' phone number is required."})]
    vendor.responses += [raw_response(401, {"code": 20003, "message": "Authenticate"})]
    provider = twilio_at(vendor, http)
    await provider.check()
    with pytest.raises(DeliveryError, match="Authenticate"):
        await provider.check()


def signed_by_twilio(url: str, form: dict[str, str], token: str = "tok/en") -> ReceiptRequest:
    text = url + "".join(name + form[name] for name in sorted(form))
    signature = base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()
    return ReceiptRequest(url=url, headers={"x-twilio-signature": signature}, form=form)


async def test_twilio_receipt_is_verified_and_parsed(vendor: VendorServer, http: HttpClient) -> None:
    provider = twilio_at(vendor, http)
    url = "https://b.example/v1/providers/env-sms-1/receipts"
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+43"}
    assert provider.receipt(signed_by_twilio(url, form)) == Receipt("SM1", "delivered")
    assert provider.receipt(signed_by_twilio(url, {**form, "MessageStatus": "sent"})) is None
    stop = provider.receipt(signed_by_twilio(url, {**form, "MessageStatus": "undelivered", "ErrorCode": "21610"}))
    assert stop == Receipt("SM1", "bounced", "21610")
    with pytest.raises(PermissionError):
        provider.receipt(signed_by_twilio(url, form, token="other"))


async def test_vonage_message_has_its_fields(vendor: VendorServer, http: HttpClient) -> None:
    vendor.default = raw_response(200, VONAGE_SENT)
    accepted = await vonage_at(vendor, http).send(MESSAGE)
    (request,) = vendor.requests
    assert accepted.reference == "V1"
    assert request.path == "/sms/json"
    assert request.form == {
        "api_key": "key",
        "api_secret": "secret",
        "from": "Shop",
        "to": "436601234567",
        "text": "Your code: 4711",
        "type": "text",
        "client-ref": "m1",
    }


async def test_vonage_text_outside_the_gsm_alphabet_is_unicode(vendor: VendorServer, http: HttpClient) -> None:
    vendor.default = raw_response(200, VONAGE_SENT)
    await vonage_at(vendor, http).send(outgoing("m1", "+43660", {"text": "Grüße 🎉"}))
    assert vendor.requests[0].form["type"] == "unicode"


@pytest.mark.parametrize(
    ("status", "is_temporary", "is_bounce"),
    [("1", True, False), ("4", True, False), ("5", True, False), ("7", False, True), ("6", False, False)],
)
async def test_vonage_refusal_is_permanent_or_temporary(
    vendor: VendorServer, http: HttpClient, status: str, is_temporary: bool, is_bounce: bool
) -> None:
    vendor.default = raw_response(200, {"messages": [{"status": status, "error-text": "No."}]})
    error = await failure(vonage_at(vendor, http))
    assert (error.is_temporary, error.is_bounce, error.code) == (is_temporary, is_bounce, status)


@pytest.mark.parametrize("fault", [HANG, CUT, HALF, raw_response(502, b"")])
async def test_unavailable_vonage_is_temporary(vendor: VendorServer, http: HttpClient, fault: bytes) -> None:
    vendor.default = fault
    assert (await failure(vonage_at(vendor, http, timeout=0.3))).is_temporary


async def test_vonage_receipt_is_verified_and_parsed(vendor: VendorServer, http: HttpClient) -> None:
    provider = vonage_at(vendor, http)
    form = {"messageId": "V1", "status": "delivered", "err-code": "0", "msisdn": "43&660=1"}
    text = "".join(f"&{name}={form[name].replace('&', '_').replace('=', '_')}" for name in sorted(form))
    signature = hmac.new(b"secret", text.encode(), hashlib.sha256).hexdigest().upper()
    request = ReceiptRequest(url="https://x", headers={}, form={**form, "sig": signature})
    assert provider.receipt(request) == Receipt("V1", "delivered", "0")
    with pytest.raises(PermissionError):
        provider.receipt(ReceiptRequest(url="https://x", headers={}, form=form))
    # With the account's signature secret in the URL, only this one signs.
    signing = vonage.VonageProvider(setup("vonage://key:API%26@default?from=Shop&signature_secret=secret"))
    assert signing.receipt(request) == Receipt("V1", "delivered", "0")
    other = vonage.VonageProvider(setup("vonage://key:secret@default?from=Shop&signature_secret=other"))
    with pytest.raises(PermissionError):
        other.receipt(request)


@pytest.mark.parametrize("url", ["twilio://default", "twilio://a:b@default", "twilio://a@default?from=x"])
def test_twilio_url_with_missing_parts_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="needs"):
        twilio.TwilioProvider(setup(url))


@pytest.mark.parametrize("url", ["vonage://default", "vonage://a:b@default", "vonage://a@default?from=x"])
def test_vonage_url_with_missing_parts_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="needs"):
        vonage.VonageProvider(setup(url))
