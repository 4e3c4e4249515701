"""Authentication: session cookies of the app, tokens of another issuer, forged tokens, and anonymous clients."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping
from http.cookies import SimpleCookie
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.faults.raw_sockets import HANDSHAKE, RawSocket, eventually, live, request, unharmed
from tests.servers import ServerProcess
from tests.unit.live.framing.client import TEXT, frame
from tests.wire.app_server import AppRequest, AppServer, running_app
from tests.wire.clients import Socket, Stream, stream, websocket
from tests.wire.pusher_clients import sign

SHOP = "https://shop.example"
EVIL = "https://evil.example"


def cookie(session: str) -> dict[str, str]:
    return {"cookie": f"theme=dark; session={session}"}


# --- the app's session cookies


class Sessions:
    """The app: maps a cookie to the session's claims."""

    def __init__(self) -> None:
        self.claims_by_session: dict[str, Any] = {
            "of-alice": {"recipient": "alice"},
            "of-ann": {"recipient": "ann", "tenant": "acme", "topics": ["room-*"]},
            "nonsense": ["alice"],
            "nobody": {"recipient": ""},
            "slow": {"recipient": "patient"},
        }

    def __call__(self, app_request: AppRequest) -> tuple[int, bytes]:
        session_cookie = SimpleCookie(app_request.headers.get("cookie", "")).get("session")
        claims = self.claims_by_session.get(session_cookie.value if session_cookie else "")
        if session_cookie and session_cookie.value == "broken":
            return 500, b""
        if session_cookie and session_cookie.value == "slow":
            time.sleep(0.5)
        return (401, b"") if claims is None else (200, json.dumps(claims).encode())


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    return Sessions()


@pytest.fixture(scope="module")
def app(sessions: Sessions) -> Iterator[AppServer]:
    with running_app(sessions) as app:
        yield app


@pytest.fixture(scope="module")
def server(app: AppServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that looks up sessions at the app, with the shop as its declared origin."""
    environ = {
        "BELLCAST_SESSION_URL": app.url,
        "BELLCAST_ORIGINS": SHOP,
        "BELLCAST_HEARTBEAT": "2s",
    }
    with ServerProcess(tmp_path_factory.mktemp("sessions") / "data", environ) as server:
        yield server
        assert eventually(lambda: live(server) == 0)
        assert unharmed(server)


def follow_stream(server: ServerProcess, headers: Mapping[str, str], query: str = "") -> Stream:
    return Stream(server.url, "/v1/stream" + query, headers)


def follow_websocket(server: ServerProcess, headers: Mapping[str, str], query: str = "") -> Any:
    url = server.url.replace("http", "ws") + "/v1/ws" + query
    return connect(url, additional_headers=dict(headers), open_timeout=60)


def test_session_cookie_opens_the_inbox_of_its_recipient(server: ServerProcess, app: AppServer) -> None:
    httpx.post(f"{server.url}/v1/notifications", json={"to": "alice", "title": "Hi"}, headers=server.as_app())
    inbox = httpx.get(f"{server.url}/v1/inbox", headers=cookie("of-alice"))
    assert [one["title"] for one in inbox.json()["notifications"]] == ["Hi"]
    assert app.requests[-1].headers["cookie"] == cookie("of-alice")["cookie"]
    assert "authorization" not in app.requests[-1].headers
    for headers in ({}, cookie("of-mallory"), {"cookie": "theme=dark"}):
        refused = httpx.get(f"{server.url}/v1/inbox", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


def test_session_cookie_signs_for_pusher_clients(server: ServerProcess) -> None:
    form = {"socket_id": "12.34", "channel_name": "presence-team"}
    own = {**cookie("of-alice"), "origin": SHOP}
    user = httpx.post(f"{server.url}/pusher/user-auth", data=form, headers=own)
    assert (user.status_code, json.loads(user.json()["user_data"])["id"]) == (200, "alice")
    assert user.headers["access-control-allow-origin"] == SHOP
    assert user.headers["access-control-allow-credentials"] == "true"
    assert (
        httpx.post(f"{server.url}/pusher/auth", data=form, headers=own).status_code == 403
    )  # alice has no grant for it
    subscription = f"{server.url}/v1/topics/presence-team/subscriptions/alice"
    assert httpx.put(subscription, headers=server.as_app()).is_success
    channel = httpx.post(f"{server.url}/pusher/auth", data=form, headers=own).json()
    text = f"12.34:presence-team:{channel['channel_data']}"
    assert channel["auth"] == sign(server, text)
    for what in ("auth", "user-auth"):
        for headers in (cookie("of-alice"), {**cookie("of-alice"), "origin": "https://evil.example"}):
            assert httpx.post(f"{server.url}/pusher/{what}", data=form, headers=headers).status_code == 403
        unknown = {**cookie("of-mallory"), "origin": SHOP}
        assert httpx.post(f"{server.url}/pusher/{what}", data=form, headers=unknown).status_code == 401


def test_app_is_queried_once_for_the_first_requests_of_a_page(server: ServerProcess, app: AppServer) -> None:
    headers = {**cookie("of-ann"), "origin": SHOP}
    before = len(app.requests)
    for path in ("/v1/inbox", "/v1/inbox/counts"):
        assert httpx.get(server.url + path, headers=headers).status_code == 200
    page = follow_stream(server, headers)
    assert page.next()["recipient"] == "ann"
    page.close()
    assert len(app.requests) == before + 1


def test_tenant_and_topics_of_the_session_apply(server: ServerProcess) -> None:
    headers = {**cookie("of-ann"), "origin": SHOP}
    with follow_websocket(server, headers, "?topics=room-1,other") as raw:
        bell = Socket(raw)
        ready = bell.next()
        assert (ready["topics"], [one["topic"] for one in ready["refused"]]) == (["room-1"], ["other"])
        draft = {"to": "ann", "title": "Here"}
        httpx.post(f"{server.url}/v1/notifications", json=draft, headers=server.as_app())
        httpx.post(f"{server.url}/v1/notifications?tenant=acme", json=draft, headers=server.as_app())
        assert bell.next()["unread"] == 1


@pytest.mark.thorough
def test_session_ends_live_at_the_expiry_set_by_the_app(server: ServerProcess, sessions: Sessions) -> None:
    sessions.claims_by_session["short"] = {"recipient": "shorty", "expires_at": time.time() + 5}
    page = follow_stream(server, {**cookie("short"), "origin": SHOP})
    assert page.next()["recipient"] == "shorty"
    close = page.until("close")
    assert (close["code"], close["reconnect"]) == (4402, True)
    page.close()
    assert httpx.get(f"{server.url}/v1/inbox", headers=cookie("short")).status_code == 401


@pytest.mark.parametrize("session", ["broken", "nonsense", "nobody"])
def test_invalid_response_of_the_app_is_an_outage_and_not_a_refusal(server: ServerProcess, session: str) -> None:
    headers = {**cookie(session), "origin": SHOP}
    response = httpx.get(f"{server.url}/v1/inbox", headers=headers)
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert int(response.headers["retry-after"]) >= 1
    page = follow_stream(server, headers)
    assert (page.status, page.next()["reconnect"]) == (200, True)
    page.close()
    with follow_websocket(server, headers) as raw:
        close = Socket(raw).next()
        assert (close["code"], close["reconnect"]) == (1013, True)


def test_cookie_opens_no_server_path(server: ServerProcess) -> None:
    sent = httpx.post(f"{server.url}/v1/notifications", json={"to": "x", "title": "x"}, headers=cookie("of-alice"))
    assert sent.status_code == 401


def test_frames_wait_until_the_app_has_identified_the_session(server: ServerProcess) -> None:
    pings = [frame(TEXT, json.dumps({"type": "ping", "ref": f"{ref:05000}"}).encode()) for ref in range(100)]
    handshake = {**HANDSHAKE, **cookie("slow"), "origin": SHOP}
    with RawSocket(server) as bell:
        bell.send(request("/v1/ws", **handshake), pings[0])
        bell.send(*pings[1:])  # half a megabyte, of which the server reads as much as it may buffer
        assert bell.read_head()[0] == 101
        assert bell.next()["recipient"] == "patient"
        assert [int(bell.next()["ref"][-3:]) for _ in pings] == list(range(100))


# --- origins of requests with a cookie


@pytest.mark.parametrize(
    ("origin", "site", "may_read", "may_change", "may_stream", "may_open"),
    [
        (None, None, True, False, True, False),
        (None, "same-origin", True, False, True, False),
        (None, "same-site", True, False, False, False),
        (None, "cross-site", True, False, False, False),
        ("own", "same-origin", True, True, True, True),
        (SHOP, "cross-site", True, True, True, True),
        (EVIL, "cross-site", False, False, False, False),
        (f"{SHOP}.evil.example", None, False, False, False, False),
        ("http://shop.example", None, False, False, False, False),
        (f"{SHOP}:444", None, False, False, False, False),
        ("null", None, False, False, False, False),
    ],
)
def test_cookie_counts_only_from_allowed_origins(
    server: ServerProcess,
    origin: str | None,
    site: str | None,
    may_read: bool,
    may_change: bool,
    may_stream: bool,
    may_open: bool,
) -> None:
    packet_headers = {"origin": server.url if origin == "own" else origin, "sec-fetch-site": site}
    headers = cookie("of-alice") | {name: value for name, value in packet_headers.items() if value is not None}
    read = httpx.get(f"{server.url}/v1/inbox", headers=headers)
    assert (read.status_code == 200) is may_read
    may_know = origin == SHOP or (not may_read and origin is not None)  # the response, or the reason why there is none
    assert read.headers.get("access-control-allow-origin") == (origin if may_know else None)
    assert ("access-control-allow-credentials" in read.headers) is may_know
    changed = httpx.post(f"{server.url}/v1/inbox/read", json={"all": True}, headers=headers)
    assert changed.status_code == (200 if may_change else 403)
    page = follow_stream(server, headers)
    assert page.status == (200 if may_stream else 403)
    page.close()
    assert _opens(server, headers) is may_open


@pytest.mark.parametrize("path", ["/v1/inbox", "/v1/inbox/counts", "/v1/stream", "/v1/inbox/unknown-id"])
def test_undeclared_page_cannot_detect_the_session_of_its_user(server: ServerProcess, path: str) -> None:
    def fetch(headers: Mapping[str, str]) -> tuple[int, str]:
        response = httpx.get(server.url + path, headers={**headers, "origin": EVIL})
        return response.status_code, response.text

    without = fetch({})
    assert without[0] in (403, 404, 405)
    for session in ("of-alice", "of-mallory", "broken"):
        assert fetch(cookie(session)) == without


def _opens(server: ServerProcess, headers: Mapping[str, str]) -> bool:
    """Return True if a WebSocket is admitted, False if it is refused before the handshake."""
    try:
        with follow_websocket(server, headers) as raw:
            return bool(Socket(raw).next()["type"] == "ready")
    except InvalidStatus as refused:
        if refused.response.status_code != 403:
            raise
        return False


def test_token_is_accepted_from_declared_origins_and_the_server_only(server: ServerProcess) -> None:
    for origin, allowed in ((None, True), (SHOP, True), (server.url, True), (EVIL, False), ("null", False)):
        headers = server.as_recipient("alice") | ({} if origin is None else {"origin": origin})
        assert httpx.get(f"{server.url}/v1/inbox", headers=headers).status_code == (200 if allowed else 403)
        page = follow_stream(server, headers)
        assert page.status == (200 if allowed else 403)
        page.close()
        assert _opens(server, headers) is allowed


# --- tokens of another issuer


class Issuer:
    """Signs tokens and publishes its keys."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        keys = [("r1", "RS256", self.rsa), ("e1", "ES256", self.ec)]
        algorithms = {"RS256": jwt.algorithms.RSAAlgorithm, "ES256": jwt.algorithms.ECAlgorithm}
        self.published = [
            {**algorithms[name].to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
            for kid, name, key in keys
        ]

    def __call__(self, _: AppRequest) -> tuple[int, bytes]:
        return 200, json.dumps({"keys": [{"kty": "strange"}, *self.published]}).encode()

    def token(self, algorithm: str = "RS256", *, key: Any = None, kid: str | None = None, **claims: Any) -> str:
        defaults = {"sub": "alice", "iat": time.time(), "exp": int(time.time()) + 60, "iss": "https://id.example"}
        signing_key = {"RS256": (self.rsa, "r1"), "ES256": (self.ec, "e1")}[algorithm]
        present = {name: value for name, value in (defaults | claims).items() if value is not None}
        return jwt.encode(present, key or signing_key[0], algorithm, headers={"kid": kid or signing_key[1]})

    @property
    def public_pem(self) -> bytes:
        return self.rsa.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def keys(issuer: Issuer) -> Iterator[AppServer]:
    with running_app(issuer) as keys:
        yield keys


@pytest.fixture(scope="module")
def trusting(keys: AppServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that also accepts the tokens of the issuer."""
    environ = {"BELLCAST_JWKS_URL": keys.url, "BELLCAST_JWKS_ISSUER": "https://id.example"}
    with ServerProcess(tmp_path_factory.mktemp("trusting") / "data", environ) as server:
        yield server
        assert eventually(lambda: live(server) == 0)
        assert unharmed(server)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_token_of_another_issuer_opens_the_inbox_and_the_live_paths(
    trusting: ServerProcess, issuer: Issuer, algorithm: str
) -> None:
    token = issuer.token(algorithm, topics=["room"])
    assert _statuses(trusting, token) == (200, 200, "ready")
    with websocket(trusting, None, token=token, topics="room") as bell:
        assert bell.next()["topics"] == ["room"]
        assert bell.ask("auth", token=issuer.token(algorithm))["type"] == "ack"
        assert bell.ask("auth", token=issuer.token(algorithm, exp=1))["code"] == "unauthenticated"
    with websocket(trusting, "alice") as bell:  # tokens of the server remain valid
        assert bell.next()["type"] == "ready"


def test_issuer_keys_are_fetched_once_for_many_forged_key_ids(
    trusting: ServerProcess, issuer: Issuer, keys: AppServer
) -> None:
    _statuses(trusting, issuer.token())
    before = len(keys.requests)
    for number in range(20):
        assert _statuses(trusting, issuer.token(kid=f"forged{number}"))[0] == 401
    assert len(keys.requests) <= before + 1


def _statuses(server: ServerProcess, token: str) -> tuple[int, int, Any]:
    """Return the status of the inbox and the stream, and the code or first frame of the WebSocket."""
    inbox = httpx.get(f"{server.url}/v1/inbox", headers={"authorization": f"Bearer {token}"})
    with stream(server, None, token=token) as page:
        status = page.status
    with websocket(server, None, token=token) as bell:
        first_frame = bell.next()
    return inbox.status_code, status, first_frame.get("code") or first_frame["type"]


def _part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: Any, claims: Any, secret: bytes, digest: str = "sha256") -> str:
    """Sign a token correctly, with any contents."""
    signed_part = f"{_part(header)}.{_part(claims)}"
    return f"{signed_part}.{_part(hmac.digest(secret, signed_part.encode(), digest))}"


def forgeries(server: ServerProcess, issuer: Issuer) -> dict[str, str]:
    """Return tokens that must be refused."""
    now, secret = int(time.time()), server.secret.encode()
    claims, header = {"sub": "alice", "exp": now + 60}, {"alg": "HS256", "kid": server.key}
    valid = server.token("alice")
    head, _, signature = valid.split(".")
    return {
        "nothing": "x",
        "three empty parts": "..",
        "alg none": f"{_part({'alg': 'none'})}.{_part(claims)}.",
        "alg None, our kid and signature": signed({**header, "alg": "None"}, claims, secret),
        "no alg": signed({"kid": server.key}, claims, secret),
        "HS384": signed({**header, "alg": "HS384"}, claims, secret, "sha384"),
        "another secret": signed(header, claims, b"x" * 40),
        "an empty secret": signed(header, claims, b""),
        "another kid": signed({**header, "kid": "other"}, claims, secret),
        "an unknown extension": signed({**header, "crit": ["x"], "x": 1}, claims, secret),
        "another body": f"{head}.{_part({**claims, 'sub': 'bob'})}.{signature}",
        "a cut signature": valid[:-4],
        "expired": server.token("alice", ttl=-10),
        "not yet": server.token("alice", nbf=now + 60),
        "from the future": server.token("alice", iat=now + 60),
        "no end": signed(header, {"sub": "alice"}, secret),
        "an endless end": signed(header, b'{"sub":"alice","exp":1e999}', secret),
        "no subject": signed(header, {"exp": now + 60}, secret),
        "a subject that is a number": signed(header, {**claims, "sub": 7}, secret),
        "an empty subject": server.token(""),
        "a control character": server.token("ali\x00ce"),
        "topics that are a text": server.token("alice", topics="*"),
        "claims that are a list": signed(header, [claims], secret),
        "claims that are no JSON": signed(header, b"{", secret),
        "claims that are no UTF-8": signed(header, b'{"sub":"\xff"}', secret),
        "too long": server.token("alice", more="x" * 9_000),
        "another RSA key": issuer.token(key=rsa.generate_private_key(65537, 2048)),
        "another EC key": issuer.token("ES256", key=ec.generate_private_key(ec.SECP256R1())),
        "the other kind's kid": issuer.token(kid="e1"),
        "another issuer": issuer.token(iss="https://evil.example"),
        "no issuer": issuer.token(iss=None),
        "expired, theirs": issuer.token(exp=now - 10),
        "the public key as a secret": signed(
            {"alg": "HS256", "kid": "r1"}, {**claims, "iss": "https://id.example"}, issuer.public_pem
        ),
    }


def test_forged_token_is_refused_everywhere(trusting: ServerProcess, issuer: Issuer) -> None:
    for name, token in forgeries(trusting, issuer).items():
        assert _statuses(trusting, token) == (401, 401, 4401), name
    assert _statuses(trusting, trusting.secret) == (403, 403, 4403)
    with websocket(trusting, "alice") as bell:
        bell.next()
        for name, token in forgeries(trusting, issuer).items():
            assert bell.ask("auth", token=token)["code"] == "unauthenticated", name
        assert bell.ask("ping")["type"] == "pong"


def test_unavailable_issuer_is_an_outage_for_its_own_tokens_only(
    start_server: Callable[..., ServerProcess], issuer: Issuer
) -> None:
    with running_app(lambda _: (500, b"")) as unavailable:
        server = start_server(BELLCAST_JWKS_URL=unavailable.url)
        assert _statuses(server, issuer.token()) == (503, 200, 1013)
        assert _statuses(server, server.token("alice")) == (200, 200, "ready")
        assert unharmed(server)


# --- anonymous clients


def test_anonymous_client_follows_public_topics_where_allowed(
    start_server: Callable[..., ServerProcess], server: ServerProcess
) -> None:
    with stream(server, None) as page, websocket(server, None) as bell:
        assert (page.status, bell.next()["code"]) == (401, 4401)
    public_server = start_server(BELLCAST_ANONYMOUS="allow", BELLCAST_PUBLIC_TOPICS="news,score-*,*")
    topics = "news,score-7,role.admin"
    with (
        httpx.Client(base_url=public_server.url) as client,
        stream(public_server, None, topics=topics) as page,
        websocket(public_server, None, topics=topics) as bell,
    ):
        for ready in (page.next(), bell.next()):
            assert (ready["recipient"], ready["position"], ready["unread"]) == (None, None, 0)
            assert ready["topics"] == ["news", "score-7"]
            assert [one["topic"] for one in ready["refused"]] == ["role.admin"]
        client.post("/v1/events", json={"topic": "news", "name": "n", "data": 1}, headers=public_server.as_app())
        assert page.next()["data"] == bell.next()["data"] == 1
        for command in ("read", "seen", "delete"):
            assert bell.ask(command, all=True)["code"] == "forbidden"
        assert bell.ask("publish", topic="news", name="n")["code"] == "forbidden"
        assert bell.ask("typing", topic="news", on=True)["code"] == "forbidden"
        assert bell.ask("subscribe", topics=["role.admin"])["code"] == "forbidden"
        assert client.get("/v1/inbox").status_code == 401
        assert client.get("/v1/inbox/counts").status_code == 401
        with websocket(public_server, None, token="forged") as refused:
            assert refused.next()["code"] == 4401  # a client that sends a token is authenticated by it alone
    assert unharmed(public_server)
