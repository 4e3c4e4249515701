"""APNs with an HTTP/2 server that implements its documented protocol."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypercorn.asyncio import serve
from hypercorn.config import Config

from bellcast.kernel.errors import Unavailable
from bellcast.kernel.ids import Ids
from bellcast.kernel.outbound import DeliveryError
from bellcast.kernel.outbound.http import HttpClient
from bellcast.providers import apns
from bellcast.providers.types import AcceptedMessage, OutgoingMessage
from tests.certificates import self_signed
from tests.clock import FakeClock
from tests.provider_setup import outgoing, setup
from tests.servers import free_port
from tests.vendor_server import VendorServer, vendor_server
from tests.wire.providers.http2_server import (
    CUT,
    GO_AWAY,
    HALF,
    HANG,
    HOLD,
    RESET_STREAM,
    RETIRE,
    Http2Response,
    HTTP2Server,
    http2_server,
)

DEVICE = "ab" * 32


class AppleServer:
    """Records requests and sends `status` with `reason`."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.status, self.reason = 200, ""
        self.port = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, has_more = b"", True
        while has_more:
            part = await receive()
            body, has_more = body + part.get("body", b""), part.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((scope["http_version"], scope["path"], headers, json.loads(body)))
        content = json.dumps({"reason": self.reason}).encode() if self.reason else b""
        headers_sent = [(b"apns-id", headers["apns-id"].encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers_sent})
        await send({"type": "http.response.body", "body": content})


@asynccontextmanager
async def apple_server() -> AsyncIterator[AppleServer]:
    apple, stopped, config = AppleServer(), asyncio.Event(), Config()
    apple.port = free_port()
    config.bind = [f"127.0.0.1:{apple.port}"]
    config.accesslog = config.errorlog = None
    serving = asyncio.create_task(serve(apple, config, shutdown_trigger=stopped.wait))
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", apple.port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                break
    try:
        yield apple
    finally:
        stopped.set()
        await serving


@pytest.fixture
def key_file(tmp_path: Path) -> tuple[Path, ec.EllipticCurvePublicKey]:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path / "AuthKey.p8"
    file.write_bytes(pem)
    return file, private.public_key()


@asynccontextmanager
async def provider_at(
    apple: AppleServer | HTTP2Server | VendorServer,
    file: Path,
    clock: FakeClock,
    timeout: float = 10,  # noqa: ASYNC109 - the provider's parameter
    option: str = "tls=off&",
) -> AsyncIterator[apns.APNsProvider]:
    http = HttpClient(http2=True)
    url = f"apns://TEAM123:KEY456@127.0.0.1:{apple.port}?{option}key={file}&topic=com.example.app"
    try:
        yield apns.APNsProvider(setup(url, http, clock, timeout, may_read_files=True))
    finally:
        await http.close()


async def test_alert_is_sent_over_http2_with_a_signed_token(key_file: tuple[Path, ec.EllipticCurvePublicKey]) -> None:
    clock, (file, public) = FakeClock(), key_file
    id = Ids().new(clock.now())
    async with apple_server() as apple, provider_at(apple, file, clock) as provider:
        content = {"id": "n1", "title": "New booking", "body": "Saturday", "url": "/b/7", "priority": "urgent"}
        accepted = await provider.send(outgoing(id, DEVICE, content))
        assert accepted.reference == id
        ((version, path, headers, body),) = apple.requests
        assert (version, path) == ("2", f"/3/device/{DEVICE}")
        assert (headers["apns-topic"], headers["apns-priority"], headers["apns-id"]) == ("com.example.app", "10", id)
        assert body["aps"]["alert"] == {"title": "New booking", "body": "Saturday"}
        assert body["url"] == "/b/7"
        token = headers["authorization"].removeprefix("bearer ")
        claims = jwt.decode(token, public, algorithms=["ES256"], options={"verify_iat": False})
        assert claims["iss"] == "TEAM123"
        assert jwt.get_unverified_header(token)["kid"] == "KEY456"
        await provider.send(outgoing(id, DEVICE, content))
        assert apple.requests[1][2]["authorization"] == headers["authorization"]
        clock.advance(-10_800)  # a token from the future would be refused for three hours
        await provider.send(outgoing(id, DEVICE, content))
        token = apple.requests[2][2]["authorization"].removeprefix("bearer ")
        assert jwt.decode(token, options={"verify_signature": False})["iat"] == clock.now() // 1000


@pytest.mark.parametrize(
    ("status", "reason", "is_temporary", "is_bounce"),
    [
        (410, "Unregistered", False, True),
        (410, "ExpiredToken", False, True),
        (400, "BadDeviceToken", False, False),
        (400, "DeviceTokenNotForTopic", False, False),
        (400, "PayloadEmpty", False, False),
        (403, "InvalidProviderToken", True, False),
        (429, "TooManyRequests", True, False),
        (503, "Shutdown", True, False),
    ],
)
async def test_apns_refusal_is_temporary_permanent_or_a_bounce(
    key_file: tuple[Path, ec.EllipticCurvePublicKey], status: int, reason: str, is_temporary: bool, is_bounce: bool
) -> None:
    clock = FakeClock()
    async with apple_server() as apple, provider_at(apple, key_file[0], clock) as provider:
        apple.status, apple.reason = status, reason
        with pytest.raises(DeliveryError) as caught:
            await provider.send(outgoing(Ids().new(clock.now()), DEVICE, {"title": "T"}))
        error = caught.value
        assert (error.is_temporary, error.is_bounce) == (is_temporary, is_bounce)
        expected = f"{reason}: {apns.CHECKS[reason]}" if reason in apns.CHECKS else reason
        assert error.response == expected


@pytest.mark.parametrize("text", ["b" * 5_000, "ü" * 5_000, '"' * 5_000])
async def test_long_alert_is_shortened_to_what_apple_takes(
    key_file: tuple[Path, ec.EllipticCurvePublicKey], text: str
) -> None:
    content = {"id": Ids().new(FakeClock().now()), "title": "New booking", "body": text, "url": "/b/7"}
    async with apple_server() as apple, provider_at(apple, key_file[0], FakeClock()) as provider:
        await provider.send(outgoing(content["id"], DEVICE, content))
        ((_, _, headers, body),) = apple.requests
    assert int(headers["content-length"]) <= 4_096
    shown = body["aps"]["alert"]
    assert (shown["title"], body["url"], body["id"]) == ("New booking", "/b/7", content["id"])
    assert len(shown["body"].encode()) > 190
    assert text.startswith(shown["body"].removesuffix("…"))


# --- failures of the server


def alert() -> OutgoingMessage:
    return outgoing(Ids().new(FakeClock().now()), DEVICE, {"title": "T"})


async def test_server_that_never_answers_is_temporary(key_file: tuple[Path, ec.EllipticCurvePublicKey]) -> None:
    async with http2_server() as apple, provider_at(apple, key_file[0], FakeClock(), timeout=0.2) as provider:
        apple.default = HANG
        with pytest.raises(DeliveryError) as caught:
            await provider.send(alert())
        assert (caught.value.is_temporary, caught.value.is_bounce) == (True, False)


@pytest.mark.parametrize("fault", [CUT, HALF, GO_AWAY, RESET_STREAM])
async def test_failing_connection_is_temporary_and_the_alert_is_sent_once(
    key_file: tuple[Path, ec.EllipticCurvePublicKey], fault: str
) -> None:
    async with http2_server() as apple, provider_at(apple, key_file[0], FakeClock(), timeout=60) as provider:
        apple.responses += [Http2Response(200), fault]
        await provider.send(alert())
        with pytest.raises(DeliveryError) as caught:
            await provider.send(alert())
        assert (caught.value.is_temporary, caught.value.is_bounce) == (True, False)
        assert len(apple.requests) == 2
        assert isinstance(await provider.send(alert()), AcceptedMessage)
        # A reset stream affects only itself; after a closed connection, the next alert opens a new one.
        assert apple.connections == (1 if fault == RESET_STREAM else 2)


async def test_hanging_alert_does_not_block_the_next_ones(key_file: tuple[Path, ec.EllipticCurvePublicKey]) -> None:
    async with http2_server() as apple, provider_at(apple, key_file[0], FakeClock(), timeout=60) as provider:
        apple.responses += [Http2Response(200), HANG]
        await provider.send(alert())
        hanging = asyncio.create_task(provider.send(alert()))
        await asyncio.wait_for(apple.hanging.wait(), 60)
        for _ in range(10):
            await provider.send(alert())
        assert not hanging.done()
        assert apple.connections == 1
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging


async def test_alert_after_a_timeout_has_a_new_connection() -> None:
    async with http2_server() as apple:
        http = HttpClient(http2=True)
        url = f"http://{apple.host}/3/device/{DEVICE}"
        apple.responses += [HOLD, HANG]
        # The second request is on the connection that the first one has opened.
        slow = asyncio.create_task(http.request("POST", url, headers={}, timeout=60))
        await asyncio.wait_for(apple.holding.wait(), 60)
        with pytest.raises(Unavailable):
            await http.request("POST", url, headers={}, timeout=1)  # longer than sending it takes
        assert apple.connections == 1
        assert (await http.request("POST", url, headers={}, timeout=60)).status == 200
        assert apple.connections == 2
        assert not slow.done()
        apple.release()
        assert (await slow).status == 200
        await http.close()


async def test_alert_that_the_server_still_answers_after_a_goaway_is_sent_once() -> None:
    async with http2_server() as apple:
        http = HttpClient(http2=True)
        url = f"http://{apple.host}/3/device/{DEVICE}"
        apple.responses += [Http2Response(200), RETIRE]
        await http.request("POST", url, headers={}, timeout=60)
        accepted = asyncio.create_task(http.request("POST", url, headers={"apns-id": "1"}, timeout=60))
        await asyncio.wait_for(apple.holding.wait(), 60)
        # Depending on when the GOAWAY is read, on a new connection, or ignored by the server and sent again.
        late = asyncio.create_task(http.request("POST", url, headers={"apns-id": "2"}, timeout=60))
        await asyncio.sleep(0)
        apple.release()
        assert (await accepted).status == (await late).status == 200
        assert (await http.request("POST", url, headers={"apns-id": "3"}, timeout=60)).status == 200
        assert [headers.get("apns-id") for headers, _ in apple.requests] == [None, "1", "2", "3"]
        await http.close()


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_retry_after_is_part_of_the_error(key_file: tuple[Path, ec.EllipticCurvePublicKey], status: int) -> None:
    async with http2_server() as apple, provider_at(apple, key_file[0], FakeClock()) as provider:
        apple.default = Http2Response(status, {"reason": "TooManyRequests"}, (("retry-after", "120"),))
        with pytest.raises(DeliveryError) as caught:
            await provider.send(alert())
        assert (caught.value.is_temporary, caught.value.retry_after) == (True, 120.0)


@pytest.mark.parametrize("body", [None, [], {"reason": 7}, {"reason": ["Unregistered"]}, "Unregistered"])
@pytest.mark.parametrize("status", [302, 400, 500])
async def test_unreadable_refusal_is_judged_by_its_status(
    key_file: tuple[Path, ec.EllipticCurvePublicKey], status: int, body: Any
) -> None:
    async with http2_server() as apple, provider_at(apple, key_file[0], FakeClock()) as provider:
        apple.default = Http2Response(status, body)
        with pytest.raises(DeliveryError) as caught:
            await provider.send(alert())
        assert (caught.value.is_temporary, caught.value.is_bounce) == (status == 500, False)


async def test_token_that_apple_finds_too_old_is_replaced(key_file: tuple[Path, ec.EllipticCurvePublicKey]) -> None:
    clock = FakeClock()
    async with http2_server() as apple, provider_at(apple, key_file[0], clock) as provider:
        apple.responses += [
            Http2Response(403, {"reason": "ExpiredProviderToken"}),
            Http2Response(403, {"reason": "MissingTopic"}),
        ]
        for _ in range(2):
            with pytest.raises(DeliveryError) as caught:
                await provider.send(alert())
            assert caught.value.is_temporary
            clock.advance(1)
        await provider.send(alert())
        first, second, third = (headers["authorization"] for headers, _ in apple.requests)
        assert first != second
        assert second == third


async def test_untrusted_certificate_gets_no_alert(
    key_file: tuple[Path, ec.EllipticCurvePublicKey], tmp_path: Path
) -> None:
    async with (
        vendor_server(self_signed(tmp_path)[1]) as apple,
        provider_at(apple, key_file[0], FakeClock(), option="") as provider,
    ):
        with pytest.raises(DeliveryError, match=r"certificate is not accepted: self.signed") as caught:
            await provider.send(alert())
        assert caught.value.is_temporary
        assert apple.requests == []
