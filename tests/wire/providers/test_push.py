"""Web Push and FCM with servers of their documented protocols. Pushes are decrypted as in a browser."""

import json
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from bellcast.channels.push import PushTarget, keys_problem
from bellcast.kernel import base64url
from bellcast.kernel.outbound import DeliveryError
from bellcast.kernel.outbound.http import HttpClient
from bellcast.providers import fcm
from bellcast.providers.types import OutgoingMessage
from bellcast.providers.webpush import MAX_PAYLOAD, VapidKey, WebPushProvider, encrypt
from tests.clock import FakeClock
from tests.provider_setup import outgoing, setup
from tests.push_browser import Browser, vapid_key
from tests.vendor_server import VendorServer, raw_response


def push(subscription: PushTarget, **content: Any) -> OutgoingMessage:
    to = msgspec.json.encode(subscription).decode()
    return outgoing("m1", to, {"id": "n1", "title": "New booking", **content})


async def test_browser_decrypts_the_push_and_the_service_verifies_the_sender(
    vendor: VendorServer, http: HttpClient
) -> None:
    browser, key, clock = Browser(), vapid_key(), FakeClock()
    vendor.default = raw_response(201, b"", location="https://push.example/m/1")
    provider = WebPushProvider(http, clock, key, "mailto:ops@example.com")
    subscription = browser.subscription(f"http://{vendor.host}/send/abc")
    accepted = await provider.send(push(subscription, body="Saturday", url="/b/7", priority="urgent"))
    (request,) = vendor.requests
    assert accepted.reference == "https://push.example/m/1"
    assert json.loads(browser.decrypt(request.body)) == {
        "id": "n1",
        "title": "New booking",
        "body": "Saturday",
        "url": "/b/7",
    }
    assert request.headers["content-encoding"] == "aes128gcm"
    assert request.headers["urgency"] == "high"
    scheme, token, public = request.headers["authorization"].split(" ")
    assert (scheme, public) == ("vapid", f"k={key.public}")
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), base64url.decode(key.public))
    claims = jwt.decode(
        token.removeprefix("t=").rstrip(","),
        point,
        algorithms=["ES256"],
        audience=f"http://{vendor.host}",
        options={"verify_exp": False},
    )
    assert claims["sub"] == "mailto:ops@example.com"
    assert 0 < claims["exp"] - clock.now() / 1000 <= 86_400


@pytest.mark.parametrize(
    ("status", "is_temporary", "is_bounce"),
    [(404, False, True), (410, False, True), (413, False, False), (429, True, False), (500, True, False)],
)
async def test_push_service_refusal_is_temporary_permanent_or_a_bounce(
    vendor: VendorServer, http: HttpClient, status: int, is_temporary: bool, is_bounce: bool
) -> None:
    vendor.default = raw_response(status, b"no", retry_after="60")
    provider = WebPushProvider(http, FakeClock(), vapid_key(), "mailto:ops@example.com")
    with pytest.raises(DeliveryError) as caught:
        await provider.send(push(Browser().subscription(f"http://{vendor.host}/x")))
    assert (caught.value.is_temporary, caught.value.is_bounce) == (is_temporary, is_bounce)


async def test_long_body_is_truncated_to_the_push_services_limit(vendor: VendorServer, http: HttpClient) -> None:
    browser = Browser()
    vendor.default = raw_response(201, b"")
    provider = WebPushProvider(http, FakeClock(), vapid_key(), "mailto:ops@example.com")
    await provider.send(push(browser.subscription(f"http://{vendor.host}/x"), body="ü\n" * 5000))
    plain = browser.decrypt(vendor.requests[0].body)
    assert len(plain) <= MAX_PAYLOAD
    assert json.loads(plain)["body"].endswith("…")


LINK = "https://shop.example/" + "a" * 1_979
BUTTONS = [{"key": key, "label": key, "url": LINK} for key in ("yes", "no")]


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ({"body": "b" * 5_000, "url": LINK}, {"url", "title", "body"}),
        ({"title": "t" * 5_000, "url": LINK}, {"url", "title"}),
        ({"title": "t" * 500, "body": "b" * 500, "url": LINK, "actions": BUTTONS}, {"url", "title", "body"}),
        ({"body": "b", "url": LINK[:1_000], "actions": BUTTONS[:1]}, {"url", "title", "body", "actions"}),
        ({"body": "b", "url": LINK * 2, "actions": BUTTONS}, {"title", "body"}),
        ({"title": "\x01" * 5_000, "body": '"é' * 5_000, "url": LINK * 2, "actions": BUTTONS}, {"title", "body"}),
    ],
)
async def test_long_push_is_shortened_and_loses_its_link_last(
    vendor: VendorServer, http: HttpClient, content: dict[str, Any], kept: set[str]
) -> None:
    browser = Browser()
    vendor.default = raw_response(201, b"")
    provider = WebPushProvider(http, FakeClock(), vapid_key(), "mailto:ops@example.com")
    subscription = msgspec.json.encode(browser.subscription(f"http://{vendor.host}/x")).decode()
    content = {"id": "n1", "title": "New booking", **content}
    await provider.send(outgoing("m1", subscription, content))
    plain = browser.decrypt(vendor.requests[0].body)
    assert len(plain) <= MAX_PAYLOAD
    shown = json.loads(plain)
    assert set(shown) == {"id", *kept}
    assert all(shown[name] == content[name] for name in kept - {"title", "body"})
    for name in kept & {"title", "body"}:
        assert shown[name] == content[name] or len(shown[name].encode()) > 190


async def test_push_that_cannot_fit_keeps_the_subscription_and_one_with_bad_keys_does_not(http: HttpClient) -> None:
    provider = WebPushProvider(http, FakeClock(), vapid_key(), "mailto:ops@example.com")
    good = Browser().subscription()
    for target, content, is_bounce in ((good, {"id": "n" * 4_000}, False), (PushTarget("https://x", "", ""), {}, True)):
        message = outgoing("m1", msgspec.json.encode(target).decode(), content)
        with pytest.raises(DeliveryError) as caught:
            await provider.send(message)
        assert (caught.value.is_temporary, caught.value.is_bounce) == (False, is_bounce)


def test_payload_of_every_length_is_encrypted() -> None:
    browser = Browser()
    for length in (0, 1, 100, MAX_PAYLOAD):
        body = encrypt(b"x" * length, browser.subscription())
        assert len(body) <= 4096
        assert browser.decrypt(body) == b"x" * length
    with pytest.raises(ValueError, match="at most"):
        encrypt(b"x" * (MAX_PAYLOAD + 1), browser.subscription())


@pytest.mark.parametrize(
    ("p256dh", "auth"), [("", ""), ("AAAA", "AAAA"), ("ü", "x"), (None, "AAAA"), ("x" * 100_000, "y")]
)
def test_invalid_subscription_keys_are_refused(p256dh: str | None, auth: str) -> None:
    good = Browser().subscription()
    assert keys_problem(good.p256dh, good.auth) is None
    assert keys_problem(p256dh if p256dh is not None else good.p256dh, auth) is not None


def test_vapid_key_survives_a_restart() -> None:
    key = vapid_key()
    assert VapidKey.from_pem(key.to_pem()).public == key.public
    with pytest.raises(ValueError, match=r"PEM|load|deserialize"):
        VapidKey.from_pem(b"nonsense")


@pytest.fixture
def service_account(tmp_path: Path) -> tuple[Path, rsa.RSAPublicKey]:
    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    file = tmp_path / "account.json"
    file.write_text(json.dumps({"project_id": "shop", "client_email": "bell@shop.example", "private_key": pem}))
    return file, private.public_key()


async def test_fcm_requests_a_token_once_and_sends(
    vendor: VendorServer, http: HttpClient, service_account: tuple[Path, rsa.RSAPublicKey]
) -> None:
    file, public = service_account
    clock = FakeClock()
    vendor.responses += [raw_response(200, {"access_token": "A1", "expires_in": 3600})]
    vendor.default = raw_response(200, {"name": "projects/shop/messages/1"})
    provider = fcm.FCMProvider(
        setup(f"fcm://{vendor.host}?tls=off&credentials={file}", http, clock, may_read_files=True)
    )
    message = outgoing("m1", "device", {"id": "n1", "title": "T", "body": "B", "url": "/b"})
    assert (await provider.send(message)).reference == "projects/shop/messages/1"
    await provider.send(message)
    token, first, _second = vendor.requests
    assertion = token.form["assertion"]
    claims = jwt.decode(
        assertion, public, algorithms=["RS256"], audience=f"http://{vendor.host}/token", options={"verify_exp": False}
    )
    assert claims["iss"] == "bell@shop.example"
    assert first.path == "/v1/projects/shop/messages:send"
    assert first.headers["authorization"] == "Bearer A1"
    assert first.json["message"]["notification"] == {"title": "T", "body": "B"}
    assert first.json["message"]["data"] == {"id": "n1", "url": "/b"}


async def test_long_message_is_shortened_to_what_fcm_takes(
    vendor: VendorServer, http: HttpClient, service_account: tuple[Path, rsa.RSAPublicKey]
) -> None:
    url = f"fcm://{vendor.host}?tls=off&credentials={service_account[0]}"
    vendor.responses += [raw_response(200, {"access_token": "A1"}), raw_response(200, {"name": "x"})]
    content = {"id": "n1", "title": "t" * 500, "body": "ü" * 5_000, "url": LINK, "actions": BUTTONS}
    provider = fcm.FCMProvider(setup(url, http, may_read_files=True))
    await provider.send(outgoing("m1", "device", content))
    sent = vendor.requests[-1].json["message"]
    assert (sent["notification"]["title"], sent["data"]) == ("t" * 500, {"id": "n1", "url": LINK})
    assert 3_000 < len(vendor.requests[-1].body) <= 4_096


async def test_fcm_token_is_renewed_before_it_ends_and_after_a_refusal(
    vendor: VendorServer, http: HttpClient, service_account: tuple[Path, rsa.RSAPublicKey]
) -> None:
    clock = FakeClock()
    url = f"fcm://{vendor.host}?tls=off&credentials={service_account[0]}"
    provider = fcm.FCMProvider(setup(url, http, clock, may_read_files=True))
    message = outgoing("m1", "device", {"title": "T"})
    grant, sent = raw_response(200, {"access_token": "A", "expires_in": 3600}), raw_response(200, {"name": "x"})
    vendor.responses += [grant, sent, grant, sent, raw_response(401, {"error": {"message": "expired"}}), grant, sent]
    await provider.send(message)
    clock.advance(3400)
    await provider.send(message)
    with pytest.raises(DeliveryError) as caught:
        await provider.send(message)
    assert caught.value.is_temporary
    await provider.send(message)
    assert [request.path for request in vendor.requests].count("/token") == 3


async def test_fcm_unregistered_device_is_a_bounce(
    vendor: VendorServer, http: HttpClient, service_account: tuple[Path, rsa.RSAPublicKey]
) -> None:
    provider = fcm.FCMProvider(
        setup(f"fcm://{vendor.host}?tls=off&credentials={service_account[0]}", http, may_read_files=True)
    )
    vendor.responses += [raw_response(200, {"access_token": "A", "expires_in": 3600})]
    error = {"code": 404, "message": "Requested entity was not found.", "details": [{"errorCode": "UNREGISTERED"}]}
    vendor.default = raw_response(404, {"error": error})
    with pytest.raises(DeliveryError) as caught:
        await provider.send(outgoing("m1", "device", {"title": "T"}))
    assert caught.value.is_bounce
    assert not caught.value.is_temporary
