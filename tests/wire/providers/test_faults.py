"""Every vendor's server fails in every way: each attempt ends with a DeliveryError that states whether to retry, the
request is sent once, and the next message is not affected."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec import Struct

from bellcast.kernel.outbound import MAX_RESPONSE, DeliveryError, Response
from bellcast.kernel.outbound.http import HttpClient
from bellcast.providers import fcm, telegram, twilio, vonage
from bellcast.providers.chat_webhooks import ChatWebhookProvider
from bellcast.providers.types import AcceptedMessage, OutgoingMessage, Provider
from bellcast.providers.webpush import WebPushProvider
from tests.certificates import self_signed
from tests.clock import FakeClock
from tests.provider_setup import outgoing, setup
from tests.push_browser import Browser, vapid_key
from tests.vendor_server import CUT, HALF, HANG, VendorServer, plain_server, raw_response, vendor_server

TIMEOUT = 60.0  # seconds; long enough for a response that arrives
SHORT_TIMEOUT = 0.2  # seconds; short, because no response arrives
GRANT = raw_response(200, {"access_token": "A1", "expires_in": 3600})
PAGE = raw_response(200, b"<html>Sign in to this network</html>")


class Vendor(Struct, frozen=True):
    """A vendor: its provider at a host, a message for it, its success response, and the requests before the first message."""

    create: Callable[..., Provider]
    accepted: bytes
    first: tuple[bytes, ...] = ()
    to: Callable[[str, bool], str] = lambda host, is_tls: "4711"

    def message(self, host: str, *, is_tls: bool = False) -> OutgoingMessage:
        return outgoing("m1", self.to(host, is_tls), {"title": "T", "text": "Hi"})


def off(is_tls: bool) -> str:
    return "" if is_tls else "&tls=off"


def fcm_at(host: str, is_tls: bool, http: HttpClient, folder: Path, timeout: float = TIMEOUT) -> Provider:
    url = f"fcm://{host}?credentials={folder / 'account.json'}{off(is_tls)}"
    return fcm.FCMProvider(setup(url, http, timeout=timeout, may_read_files=True))


def web_push_at(host: str, is_tls: bool, http: HttpClient, folder: Path, timeout: float = TIMEOUT) -> Provider:
    return WebPushProvider(http, FakeClock(), vapid_key(), "mailto:ops@example.com", timeout=timeout)


def subscription(host: str, is_tls: bool) -> str:
    found = Browser().subscription(f"http{'s' if is_tls else ''}://{host}/send/1")
    return json.dumps({"endpoint": found.endpoint, "p256dh": found.p256dh, "auth": found.auth})


def telegram_at(host: str, is_tls: bool, http: HttpClient, folder: Path, timeout: float = TIMEOUT) -> Provider:
    return telegram.TelegramProvider(
        setup(f"telegram://1:abc@{host}{'' if is_tls else '?tls=off'}", http, timeout=timeout)
    )


def vonage_at(host: str, is_tls: bool, http: HttpClient, folder: Path, timeout: float = TIMEOUT) -> Provider:
    return vonage.VonageProvider(setup(f"vonage://key:secret@{host}?from=Shop{off(is_tls)}", http, timeout=timeout))


class Rerouted:
    """Http that redirects requests to a vendor's fixed host to another host."""

    def __init__(self, http: HttpClient, origin: str) -> None:
        self._http = http
        self._origin = origin

    async def request(self, method: str, url: str, **request: Any) -> Response:
        path = url.split("/", 3)[3]
        return await self._http.request(method, f"{self._origin}/{path}", **request)

    async def close(self) -> None: ...


def chat_webhook_at(host: str, is_tls: bool, http: HttpClient, folder: Path, timeout: float = TIMEOUT) -> Provider:
    rerouted = Rerouted(http, f"http{'s' if is_tls else ''}://{host}")
    return ChatWebhookProvider(rerouted, timeout=timeout)


def webhook(url: str) -> Callable[[str, bool], str]:
    return lambda host, is_tls: url


def twilio_at(host: str, is_tls: bool, http: HttpClient, folder: Path, timeout: float = TIMEOUT) -> Provider:
    return twilio.TwilioProvider(
        setup(f"twilio://AC1:token@{host}?from=%2B12025550123{off(is_tls)}", http, timeout=timeout)
    )


VENDORS = {
    "fcm": Vendor(fcm_at, raw_response(200, {"name": "projects/shop/messages/1"}), (GRANT,)),
    "webpush": Vendor(web_push_at, raw_response(201, b""), to=subscription),
    "telegram": Vendor(telegram_at, raw_response(200, {"ok": True, "result": {"message_id": 7}})),
    "vonage": Vendor(vonage_at, raw_response(200, {"messages": [{"status": "0", "message-id": "V1"}]})),
    "slack": Vendor(chat_webhook_at, raw_response(200, b"ok"), to=webhook("https://hooks.slack.com/services/T/B/x")),
    "discord": Vendor(chat_webhook_at, raw_response(204, b""), to=webhook("https://discord.com/api/webhooks/1/x")),
    "teams": Vendor(chat_webhook_at, raw_response(202, b""), to=webhook("https://shop.webhook.office.com/webhookb2/x")),
    "twilio": Vendor(twilio_at, raw_response(201, {"sid": "SM1", "status": "queued"})),
}
# A failure, and the error's Retry-After in seconds.
FAULTS = {
    "reset after the request": (CUT, None),
    "half a response": (HALF, None),
    "429": (raw_response(429, {}, retry_after="120"), 120.0),
    "500": (raw_response(500, b"<html>oops</html>"), None),
    "503 with a date": (
        raw_response(503, {}, date="Wed, 10 Jun 2026 10:00:00 GMT", retry_after="Wed, 10 Jun 2026 10:05:00 GMT"),
        300.0,
    ),
    "401": (raw_response(401, {}), None),
}

pytestmark = pytest.mark.usefixtures("service_account")


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def service_account(tmp_path: Path, private_key: str) -> None:
    account = {"project_id": "shop", "client_email": "bell@shop.example", "private_key": private_key}
    (tmp_path / "account.json").write_text(json.dumps(account))


@pytest.fixture(params=VENDORS)
def kind(request: pytest.FixtureRequest) -> Vendor:
    return VENDORS[request.param]


async def failure(provider: Provider, message: OutgoingMessage) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await provider.send(message)
    return caught.value


@pytest.mark.parametrize("fault", FAULTS)
async def test_failing_vendor_is_temporary_and_gets_each_message_once(
    kind: Vendor, fault: str, vendor: VendorServer, http: HttpClient, tmp_path: Path
) -> None:
    response, retry_after = FAULTS[fault]
    provider = kind.create(vendor.host, False, http, tmp_path)
    message = kind.message(vendor.host)
    # The second message is on the connection of the first: a client must not resend it on a new one by itself.
    vendor.responses += [*kind.first, kind.accepted, response]
    await provider.send(message)
    error = await failure(provider, message)
    assert (error.is_temporary, error.is_bounce, error.retry_after) == (True, False, retry_after)
    assert len(vendor.requests) == len(kind.first) + 2
    if fault == "401":
        vendor.responses += kind.first  # a refused access token is replaced
    vendor.default = kind.accepted
    assert isinstance(await provider.send(message), AcceptedMessage)


@pytest.mark.parametrize("is_hanging_at_once", [True, False])
async def test_vendor_that_never_answers_is_temporary(
    kind: Vendor, is_hanging_at_once: bool, vendor: VendorServer, http: HttpClient, tmp_path: Path
) -> None:
    vendor.default = HANG
    if not is_hanging_at_once:
        vendor.responses += kind.first
    error = await failure(kind.create(vendor.host, False, http, tmp_path, SHORT_TIMEOUT), kind.message(vendor.host))
    assert (error.is_temporary, error.is_bounce) == (True, False)


async def test_vendor_without_tls_is_temporary(kind: Vendor, http: HttpClient, tmp_path: Path) -> None:
    async with plain_server() as host:
        error = await failure(kind.create(host, True, http, tmp_path), kind.message(host, is_tls=True))
        assert (error.is_temporary, error.is_bounce) == (True, False)


async def test_vendor_with_an_untrusted_certificate_gets_nothing(
    kind: Vendor, http: HttpClient, tmp_path: Path
) -> None:
    async with vendor_server(self_signed(tmp_path)[1]) as vendor:
        provider = kind.create(vendor.host, True, http, tmp_path)
        error = await failure(provider, kind.message(vendor.host, is_tls=True))
        assert (error.is_temporary, error.is_bounce) == (True, False)
        assert "certificate is not accepted: self-signed" in error.response
        assert vendor.requests == []


LONG = "x" * 100_000
# Responses that no vendor documents: a proxy's page, JSON of other types, JSON that is too deep or not UTF-8.
GARBAGE: tuple[Any, ...] = (
    b"",
    b"<html>",
    b"{",
    b"[" * 2000,
    b'{"error":"\xff"}',
    [],
    {"messages": "x"},
    {"messages": [1]},
    {"messages": [{}]},
    {"message": {"x": 1}, "code": [], "sid": 1},
    {"error": []},
    {"error": {"details": 7, "message": 7}},
    {"error": {"details": [{"errorCode": ["UNREGISTERED"]}], "message": []}},
    {"ok": 1, "description": {}, "parameters": {"retry_after": "soon"}},
    {"ok": True, "result": []},
    {"ok": False, "parameters": {"retry_after": 10**400}},
    # Far longer than what is stored.
    {"ok": True, "result": {"message_id": LONG}, "description": LONG, "name": LONG, "sid": LONG, "status": LONG},
    {"messages": [{"status": "0", "message-id": LONG}]},
    {"messages": [{"status": LONG, "error-text": LONG}]},
)


@pytest.mark.parametrize("status", [200, 201, 302, 400, 403, 429, 500])
async def test_garbage_is_a_failure_or_a_success_never_another_error(
    kind: Vendor, status: int, vendor: VendorServer, http: HttpClient, tmp_path: Path
) -> None:
    provider = kind.create(vendor.host, False, http, tmp_path)
    message = kind.message(vendor.host)
    vendor.responses += [*kind.first, kind.accepted]
    await provider.send(message)
    for body in GARBAGE:
        vendor.default = raw_response(status, body)
        result = (await asyncio.gather(provider.send(message), return_exceptions=True))[0]
        if isinstance(result, DeliveryError):
            assert len(result.response) <= MAX_RESPONSE
            assert len(result.code or "") <= MAX_RESPONSE
            assert result.is_temporary or status < 429
        else:
            assert isinstance(result, AcceptedMessage)
            assert len(result.reference or "") <= MAX_RESPONSE
            assert status < 300


@pytest.mark.parametrize("name", ["fcm", "telegram", "twilio", "vonage"])
async def test_page_of_a_proxy_is_temporary_because_the_response_is_lost(
    name: str, vendor: VendorServer, http: HttpClient, tmp_path: Path
) -> None:
    kind = VENDORS[name]
    vendor.responses += kind.first
    vendor.default = PAGE
    error = await failure(kind.create(vendor.host, False, http, tmp_path), kind.message(vendor.host))
    assert error.is_temporary


@pytest.mark.parametrize("fault", FAULTS)
async def test_failing_token_server_of_fcm_is_temporary_and_no_message_is_sent(
    fault: str, vendor: VendorServer, http: HttpClient, tmp_path: Path
) -> None:
    response, retry_after = FAULTS[fault]
    provider = fcm_at(vendor.host, False, http, tmp_path)
    vendor.responses += [response, GRANT]
    vendor.default = VENDORS["fcm"].accepted
    message = VENDORS["fcm"].message(vendor.host)
    error = await failure(provider, message)
    assert (error.is_temporary, error.is_bounce, error.retry_after) == (True, False, retry_after)
    assert [request.path for request in vendor.requests] == ["/token"]
    await provider.send(message)
    assert [request.path for request in vendor.requests][1:] == ["/token", "/v1/projects/shop/messages:send"]


async def test_messages_that_wait_for_a_token_of_fcm_share_its_timeout(
    vendor: VendorServer, http: HttpClient, tmp_path: Path
) -> None:
    vendor.default = HANG
    provider = fcm_at(vendor.host, False, http, tmp_path, SHORT_TIMEOUT)
    sends = [provider.send(VENDORS["fcm"].message(vendor.host)) for _ in range(5)]
    errors = await asyncio.gather(*sends, return_exceptions=True)
    assert [isinstance(error, DeliveryError) and error.is_timeout for error in errors] == [True] * 5
    assert [request.path for request in vendor.requests] == ["/token"]


@pytest.mark.parametrize("body", [b"", b"<html>", [], {"access_token": 7}, {"expires_in": 3600}])
async def test_unreadable_token_of_fcm_is_temporary(
    body: Any, vendor: VendorServer, http: HttpClient, tmp_path: Path
) -> None:
    vendor.default = raw_response(200, body)
    error = await failure(fcm_at(vendor.host, False, http, tmp_path), VENDORS["fcm"].message(vendor.host))
    assert error.is_temporary


async def test_fcm_token_without_a_usable_end_is_renewed_after_an_hour(
    vendor: VendorServer, http: HttpClient, tmp_path: Path
) -> None:
    vendor.responses += [raw_response(200, {"access_token": "A1", "expires_in": "soon"})]
    vendor.default = VENDORS["fcm"].accepted
    provider = fcm_at(vendor.host, False, http, tmp_path)
    for _ in range(2):
        await provider.send(VENDORS["fcm"].message(vendor.host))
    assert [request.path for request in vendor.requests].count("/token") == 1


async def test_device_of_another_sender_is_permanent_and_keeps_its_token(
    vendor: VendorServer, http: HttpClient, tmp_path: Path
) -> None:
    """FCM refuses it with 403, a status that is temporary in all other cases."""
    error = {"code": 403, "message": "Not yours.", "details": [{"errorCode": "SENDER_ID_MISMATCH"}]}
    vendor.responses += [GRANT, raw_response(403, {"error": error})]
    refused = await failure(fcm_at(vendor.host, False, http, tmp_path), VENDORS["fcm"].message(vendor.host))
    assert (refused.is_temporary, refused.is_bounce) == (False, False)
    assert "check the credentials" in refused.response
