from typing import Any
from unittest.mock import AsyncMock

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bellcast.auth import keys
from bellcast.auth.authenticator import Authenticator, _query_token
from bellcast.auth.origins import HeaderPairs, WrongOrigin
from bellcast.auth.permissions import AccessConfig
from bellcast.auth.request import AuthRequest
from bellcast.kernel.errors import DiskFull, Forbidden, Unauthenticated, Unavailable
from bellcast.kernel.identities import Caller, Principal
from bellcast.kernel.limits import Limits
from tests.unit.auth.fakes import NOW, PROJECT, RIVAL, FakeHttp, Keyring, clock, headers, responding_with, token
from tests.unit.auth.test_jwks import jwk, signed_token

EC = ec.generate_private_key(ec.SECP256R1())
ALICE = token({})


def made(headers: HeaderPairs, method: str = "GET", query: bytes = b"") -> AuthRequest:
    return AuthRequest(method=method, scheme="https", headers=headers, header_values=dict(headers), query=query)


def request(query: str = "", method: str = "GET", **named: str) -> AuthRequest:
    return made(headers(host="bell.example", **named), method, query.encode())


def bearer(credential: str, **named: str) -> AuthRequest:
    return request(authorization=f"Bearer {credential}", **named)


class Harness:
    """An authenticator with fakes; `web` replaces the app and the issuer."""

    def __init__(self, **access: Any) -> None:
        self.keyring = Keyring()
        self.web = FakeHttp()
        self.clock = clock()
        self.authenticator = Authenticator(
            PROJECT, AccessConfig(**access), Limits(), keys=self.keyring, http=self.web, clock=self.clock
        )

    async def new_key(self) -> str:
        key, text, digest = keys.make("booking service", ["send"], NOW)
        await self.keyring.create(key, digest)
        return text

    async def is_refused(self, incoming: AuthRequest, kind: Any = "request") -> str:
        with pytest.raises(Unauthenticated) as caught:
            await self.authenticator.recipient(incoming, kind)
        return caught.value.detail


# --- recipients


@pytest.mark.parametrize(
    "incoming",
    [
        bearer(ALICE),
        request(authorization=f"bearer  {ALICE} "),
        request(f"view=all&token={ALICE}&limit=2"),
        request(f"token={ALICE}", authorization="Basic YTpi"),
        request(f"token={ALICE}&token="),
        bearer(ALICE, cookie="sessionid=bob"),
        bearer(ALICE, origin="https://anything.example"),
    ],
)
async def test_session_token_is_accepted_in_header_or_query(incoming: AuthRequest) -> None:
    for kind in ("request", "stream", "websocket"):
        assert (await Harness().authenticator.recipient(incoming, kind)).recipient == "alice"


async def test_header_token_overrides_query_token() -> None:
    bob = token({"sub": "bob"})
    incoming = request(f"token={bob}", authorization=f"Bearer {ALICE}")
    assert (await Harness().authenticator.recipient(incoming, "request")).recipient == "alice"


@pytest.mark.parametrize(
    "incoming",
    [
        request(),
        request("token="),
        request("tokens=x"),
        request(authorization=""),
        request(authorization="Bearer"),
        request(authorization="Bearer  "),
        request(authorization=f"Basic {ALICE}"),
        request(authorization=ALICE),
        request(cookie="sessionid=abc"),
        bearer("nonsense"),
        bearer(token({}, RIVAL)),
        bearer(RIVAL.secret),
        bearer(ALICE + "x"),
        bearer("\xff.\xfe.\xfd"),
        request("token=%ff.%fe.%00"),
    ],
)
async def test_requests_without_valid_credentials_are_refused(incoming: AuthRequest) -> None:
    for kind in ("request", "stream", "websocket"):
        await Harness().is_refused(incoming, kind)


async def test_bad_token_is_refused_even_with_a_cookie_or_anonymous_access() -> None:
    harness = Harness(anonymous=True, session_url="https://app.example/session")
    harness.web.respond = responding_with({"recipient": "alice"})
    await harness.is_refused(bearer("nonsense", cookie="sessionid=abc"), "stream")
    assert harness.web.requests == []


async def test_server_credentials_on_recipient_paths_are_forbidden_with_a_hint() -> None:
    harness = Harness()
    for credential in (PROJECT.secret, await harness.new_key()):
        for incoming in (bearer(credential), request(f"token={credential.replace(' ', '%20')}")):
            with pytest.raises(Forbidden, match="send a session token"):
                await harness.authenticator.recipient(incoming, "request")


async def test_jwks_token_is_accepted_where_the_issuer_is_configured() -> None:
    text = signed_token(EC, "ES256", "one")
    harness = Harness(jwks_url="https://id.example/keys")
    harness.web.respond = responding_with({"keys": [jwk(EC, "one")]})
    assert (await harness.authenticator.recipient(bearer(text), "request")).recipient == "alice"
    assert (await harness.authenticator.recipient(bearer(ALICE), "request")).recipient == "alice"
    assert "algorithm is not accepted" in await Harness().is_refused(bearer(text))


async def test_live_connection_renews_its_session_by_the_same_rules() -> None:
    harness = Harness()
    assert (await harness.authenticator.session(ALICE)).recipient == "alice"
    with pytest.raises(Unauthenticated):
        await harness.authenticator.session(token({}, RIVAL))
    assert f"another project: sign with the secret of {PROJECT.key}." in await harness.is_refused(
        bearer(token({}, RIVAL)), "request"
    )
    with pytest.raises(Forbidden):
        await harness.authenticator.session(PROJECT.secret)


# --- cookies


def cookie_harness(**access: Any) -> Harness:
    harness = Harness(session_url="https://app.example/session", **access)
    harness.web.respond = responding_with({"recipient": "alice"})
    return harness


async def test_session_cookie_is_accepted_where_the_app_confirms_it() -> None:
    harness = cookie_harness()
    principal = await harness.authenticator.recipient(request(cookie="sessionid=abc"), "request")
    assert (principal.recipient, principal.by_cookie) == ("alice", True)


async def test_cookie_of_a_request_renews_its_session_and_no_other() -> None:
    harness, incoming = cookie_harness(), request(cookie="__Host-bellcast=own; sessionid=abc")
    principal = await harness.authenticator.recipient(incoming, "request")
    harness.clock.advance(0.001)
    assert await harness.authenticator.renewed(incoming, Principal(recipient="alice"), NOW + 1) is None  # by a token
    assert await harness.authenticator.renewed(None, principal, NOW + 1) is None
    renewed = await harness.authenticator.renewed(incoming, principal, NOW + 1)
    assert renewed is not None
    assert (renewed.recipient, renewed.issued_at) == ("alice", NOW + 1)
    assert [sent["cookie"] for sent in harness.web.requests] == ["sessionid=abc"] * 2


async def test_split_cookie_headers_are_joined() -> None:
    harness = cookie_harness()
    incoming = made([(b"cookie", b"a=1"), (b"host", b"bell.example"), (b"cookie", b"b=2")])
    await harness.authenticator.recipient(incoming, "request")
    assert harness.web.requests[0]["cookie"] == "a=1; b=2"


async def test_cookie_from_a_cross_origin_page_is_refused() -> None:
    harness = cookie_harness()
    cookie = {"cookie": "sessionid=abc", "origin": "https://evil.example"}
    for incoming, kind in (
        (request(method="POST", **cookie), "request"),
        (request(**cookie), "stream"),
        (request(**cookie), "websocket"),
        (request(cookie="sessionid=abc"), "websocket"),
        (request(cookie="sessionid=abc", sec_fetch_site="cross-site"), "stream"),
    ):
        with pytest.raises(WrongOrigin, match="BELLCAST_ORIGINS"):
            await harness.authenticator.recipient(incoming, kind)
    assert harness.web.requests == []


async def test_cookie_from_the_apps_own_pages_is_accepted() -> None:
    harness = cookie_harness(origins=("https://shop.example",))
    for origin in ("https://shop.example", "https://bell.example"):
        incoming = request(method="POST", cookie="sessionid=abc", origin=origin)
        assert (await harness.authenticator.recipient(incoming, "request")).recipient == "alice"
    assert (await harness.authenticator.recipient(request(cookie="sessionid=abc"), "stream")).recipient == "alice"


async def test_request_without_cookie_sends_no_session_request_and_app_failure_is_unavailable() -> None:
    harness = cookie_harness(anonymous=True)
    await harness.is_refused(request())
    assert harness.web.requests == []
    harness.web.respond = responding_with({}, 500)
    with pytest.raises(Unavailable):
        await harness.authenticator.recipient(request(cookie="sessionid=abc"), "stream")


# --- anonymous access


async def test_anonymous_access_needs_the_setting_and_works_on_live_paths_only() -> None:
    harness = Harness(anonymous=True)
    for kind in ("stream", "websocket"):
        assert await harness.authenticator.recipient(request(), kind) == Principal()
        await Harness().is_refused(request(), kind)
    await harness.is_refused(request(), "request")


async def test_unknown_cookie_is_anonymous_where_the_setting_allows_it() -> None:
    harness = cookie_harness(anonymous=True)
    harness.web.respond = responding_with({}, 401)
    assert await harness.authenticator.recipient(request(cookie="ads=1"), "stream") == Principal()
    assert "sign in" in await harness.is_refused(request(cookie="ads=1"), "request")
    cross_origin = request(cookie="sessionid=abc", origin="https://evil.example")
    assert await harness.authenticator.recipient(cross_origin, "websocket") == Principal()


# --- origins


async def test_declared_origins_apply_to_tokens_and_anonymous_access() -> None:
    harness = Harness(origins=("https://shop.example",), anonymous=True)
    for origin in ("https://shop.example", "https://bell.example"):
        assert (await harness.authenticator.recipient(bearer(ALICE, origin=origin), "websocket")).recipient == "alice"
    for incoming in (bearer(ALICE, origin="https://evil.example"), request(origin="https://evil.example")):
        with pytest.raises(WrongOrigin, match=r"Pages of https://evil\.example may not .* BELLCAST_ORIGINS"):
            await harness.authenticator.recipient(incoming, "websocket")


# --- server callers


async def test_use_of_an_api_key_is_recorded_once_a_minute() -> None:
    harness = Harness()
    key = await harness.new_key()
    for seconds in (0, 59, 1, 30):
        harness.clock.advance(seconds)
        await harness.authenticator.caller(bearer(key))
    assert harness.keyring.uses == [NOW, NOW + 60_000]


async def test_api_key_is_accepted_while_its_use_cannot_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    key = await harness.new_key()
    monkeypatch.setattr(harness.keyring, "record_use", AsyncMock(side_effect=DiskFull))
    assert (await harness.authenticator.caller(bearer(key))).scopes == ("send",)


async def test_project_secret_and_api_keys_open_server_paths() -> None:
    harness = Harness(origins=("https://shop.example",))
    assert await harness.authenticator.caller(bearer(PROJECT.secret)) == Caller(scopes=keys.SCOPES)
    assert (await harness.authenticator.caller(bearer(await harness.new_key()))).scopes == ("send",)


async def test_session_token_on_server_paths_is_forbidden_with_a_hint() -> None:
    for incoming in (bearer(ALICE), request(f"token={ALICE}")):
        with pytest.raises(Forbidden, match="project secret or an API key"):
            await Harness().authenticator.caller(incoming)


@pytest.mark.parametrize(
    "incoming",
    [
        request(),
        request(f"token={PROJECT.secret}".replace(" ", "%20")),
        request(cookie="sessionid=abc"),
        bearer(RIVAL.secret),
        bearer("bc_unknown_key"),
        bearer(token({}, RIVAL)),
        bearer(token({"exp": 1})),
        request(authorization=f"Basic {PROJECT.secret}"),
    ],
)
async def test_wrong_credentials_open_no_server_path(incoming: AuthRequest) -> None:
    with pytest.raises(Unauthenticated):
        await cookie_harness().authenticator.caller(incoming)


# --- reading credentials


def test_credentials_are_read_from_headers_and_query() -> None:
    incoming = request("token=a%2Eb", authorization="Bearer x", origin="https://a", sec_fetch_site="none", cookie="c=1")
    assert (incoming.bearer, incoming.cookies) == ("x", b"c=1")
    assert [incoming.header(name) for name in (b"host", b"origin", b"sec-fetch-site")] == [
        "bell.example",
        "https://a",
        "none",
    ]
    assert _query_token(incoming.query) == "a.b"
    assert _query_token(b"token=b&token=") == "b"
    assert (made([]).bearer, made([]).cookies, made([]).header(b"origin")) == (None, b"", None)


async def test_public_key_instead_of_the_secret_is_named() -> None:
    with pytest.raises(Unauthenticated, match="This is the project's public key: send the secret"):
        await Harness().authenticator.caller(bearer(PROJECT.key))
