from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct
from tests.unit.auth.test_jwks import published, signed
from tests.unit.auth.world import NOW, PROJECT, RIVAL, Keyring, Web, answering, clock, headers, token

from bellcast.auth import authenticator, keys
from bellcast.auth.access_config import AccessConfig
from bellcast.auth.authenticator import Authenticator
from bellcast.auth.origins import Headers, WrongOrigin
from bellcast.errors import Forbidden, Unauthenticated, Unavailable
from bellcast.model.identities import Caller, Principal
from bellcast.model.limits import Limits

EC = ec.generate_private_key(ec.SECP256R1())
ALICE = token({})


class Request(Struct, frozen=True, kw_only=True):
    method: str = "GET"
    scheme: str = "https"
    headers: Headers = []
    query: bytes = b""


def request(query: str = "", method: str = "GET", **named: str) -> Request:
    return Request(method=method, headers=headers(host="bell.example", **named), query=query.encode())


def bearer(credential: str, **named: str) -> Request:
    return request(authorization=f"Bearer {credential}", **named)


class House:
    """The doors of one server; `web` is whatever server they ask."""

    def __init__(self, **access: Any) -> None:
        self.keyring = Keyring()
        self.web = Web()
        self.clock = clock()
        self.doors = Authenticator(
            PROJECT, AccessConfig(**access), Limits(), keys=self.keyring, http=self.web, clock=self.clock
        )

    async def new_key(self) -> str:
        made = keys.make("booking service", ["send"], NOW)
        await self.keyring.create(made.key, made.digest)
        return made.text

    async def is_refused(self, asked: Request, kind: Any = "request") -> str:
        with pytest.raises(Unauthenticated) as caught:
            await self.doors.recipient(asked, kind)
        return caught.value.detail


# --- the recipients' door


@pytest.mark.parametrize(
    "asked",
    [
        bearer(ALICE),
        request(authorization=f"bearer  {ALICE} "),
        request(f"view=all&token={ALICE}&limit=2"),
        request(f"token={ALICE}", authorization="Basic YTpi"),
        bearer(ALICE, cookie="sessionid=bob"),
        bearer(ALICE, origin="https://anything.example"),
    ],
)
async def test_a_session_token_opens_by_header_or_address(asked: Request) -> None:
    for kind in ("request", "stream", "websocket"):
        assert (await House().doors.recipient(asked, kind)).recipient == "alice"


async def test_the_header_wins_over_the_address() -> None:
    bob = token({"sub": "bob"})
    asked = request(f"token={bob}", authorization=f"Bearer {ALICE}")
    assert (await House().doors.recipient(asked, "request")).recipient == "alice"


@pytest.mark.parametrize(
    "asked",
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
async def test_without_good_credentials_nobody_comes_in(asked: Request) -> None:
    for kind in ("request", "stream", "websocket"):
        await House().is_refused(asked, kind)


async def test_a_bad_token_is_refused_even_where_a_cookie_or_no_name_would_do() -> None:
    house = House(anonymous=True, session_url="https://app.example/session")
    house.web.answer = answering({"recipient": "alice"})
    await house.is_refused(bearer("nonsense", cookie="sessionid=abc"), "stream")
    assert house.web.asked == []


async def test_servers_credentials_are_right_ones_at_the_wrong_door() -> None:
    house = House()
    for credential in (PROJECT.secret, await house.new_key()):
        for asked in (bearer(credential), request(f"token={credential.replace(' ', '%20')}")):
            with pytest.raises(Forbidden, match="send a session token"):
                await house.doors.recipient(asked, "request")


async def test_another_issuers_token_opens_where_its_keys_are_known() -> None:
    text = signed(EC, "ES256", "one")
    house = House(jwks_url="https://id.example/keys")
    house.web.answer = answering({"keys": [published(EC, "one")]})
    assert (await house.doors.recipient(bearer(text), "request")).recipient == "alice"
    assert (await house.doors.recipient(bearer(ALICE), "request")).recipient == "alice"
    assert "algorithm is not accepted" in await House().is_refused(bearer(text))


async def test_a_live_connection_renews_its_session_by_the_same_rules() -> None:
    house = House()
    assert (await house.doors.session(ALICE)).recipient == "alice"
    with pytest.raises(Unauthenticated):
        await house.doors.session(token({}, RIVAL))
    with pytest.raises(Forbidden):
        await house.doors.session(PROJECT.secret)


# --- cookies


def with_session(**access: Any) -> House:
    house = House(session_url="https://app.example/session", **access)
    house.web.answer = answering({"recipient": "alice"})
    return house


async def test_a_session_cookie_opens_where_the_app_vouches_for_it() -> None:
    house = with_session()
    principal = await house.doors.recipient(request(cookie="sessionid=abc"), "request")
    assert (principal.recipient, principal.by_cookie) == ("alice", True)


async def test_cookies_split_over_several_headers_are_one() -> None:
    house = with_session()
    asked = Request(headers=[(b"cookie", b"a=1"), (b"host", b"bell.example"), (b"cookie", b"b=2")])
    await house.doors.recipient(asked, "request")
    assert house.web.asked[0]["cookie"] == "a=1; b=2"


async def test_a_page_of_another_site_cannot_borrow_the_cookie() -> None:
    house = with_session()
    cookie = {"cookie": "sessionid=abc", "origin": "https://evil.example"}
    for asked, kind in (
        (request(method="POST", **cookie), "request"),
        (request(**cookie), "stream"),
        (request(**cookie), "websocket"),
        (request(cookie="sessionid=abc"), "websocket"),
        (request(cookie="sessionid=abc", sec_fetch_site="cross-site"), "stream"),
    ):
        with pytest.raises(WrongOrigin, match="BELLCAST_ORIGINS"):
            await house.doors.recipient(asked, kind)
    assert house.web.asked == []


async def test_the_apps_own_pages_may_use_the_cookie() -> None:
    house = with_session(origins=("https://shop.example",))
    for origin in ("https://shop.example", "https://bell.example"):
        asked = request(method="POST", cookie="sessionid=abc", origin=origin)
        assert (await house.doors.recipient(asked, "request")).recipient == "alice"
    assert (await house.doors.recipient(request(cookie="sessionid=abc"), "stream")).recipient == "alice"


async def test_no_cookie_asks_nothing_and_an_app_in_trouble_is_no_reason_to_let_in() -> None:
    house = with_session(anonymous=True)
    await house.is_refused(request())
    assert house.web.asked == []
    house.web.answer = answering({}, 500)
    with pytest.raises(Unavailable):
        await house.doors.recipient(request(cookie="sessionid=abc"), "stream")


# --- nameless


async def test_nobody_is_nameless_unless_the_operator_allows_it_and_then_on_live_paths_only() -> None:
    house = House(anonymous=True)
    for kind in ("stream", "websocket"):
        assert await house.doors.recipient(request(), kind) == Principal()
        await House().is_refused(request(), kind)
    await house.is_refused(request(), "request")


async def test_a_visitor_whom_the_app_does_not_know_is_nameless_where_that_is_allowed() -> None:
    house = with_session(anonymous=True)
    house.web.answer = answering({}, 401)
    assert await house.doors.recipient(request(cookie="ads=1"), "stream") == Principal()
    assert "sign in" in await house.is_refused(request(cookie="ads=1"), "request")
    elsewhere = request(cookie="sessionid=abc", origin="https://evil.example")
    assert await house.doors.recipient(elsewhere, "websocket") == Principal()


# --- origins


async def test_declared_origins_bind_tokens_and_the_nameless_too() -> None:
    house = House(origins=("https://shop.example",), anonymous=True)
    for origin in ("https://shop.example", "https://bell.example"):
        assert (await house.doors.recipient(bearer(ALICE, origin=origin), "websocket")).recipient == "alice"
    for asked in (bearer(ALICE, origin="https://evil.example"), request(origin="https://evil.example")):
        with pytest.raises(WrongOrigin):
            await house.doors.recipient(asked, "websocket")


# --- the callers' door


async def test_the_secret_and_api_keys_open_server_paths() -> None:
    house = House(origins=("https://shop.example",))
    assert await house.doors.caller(bearer(PROJECT.secret)) == Caller(scopes=("send", "read", "manage"))
    assert (await house.doors.caller(bearer(await house.new_key()))).scopes == ("send",)


async def test_a_session_token_is_a_right_one_at_the_wrong_door() -> None:
    for asked in (bearer(ALICE), request(f"token={ALICE}")):
        with pytest.raises(Forbidden, match="project secret or an API key"):
            await House().doors.caller(asked)


@pytest.mark.parametrize(
    "asked",
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
async def test_wrong_credentials_open_no_server_path(asked: Request) -> None:
    with pytest.raises(Unauthenticated):
        await with_session().doors.caller(asked)


# --- reading


def test_what_is_read_of_a_request() -> None:
    asked = request("token=a%2Eb", authorization="Bearer x", origin="https://a", sec_fetch_site="none", cookie="c=1")
    assert authenticator.read(asked) == authenticator.Credentials(
        bearer="x", token="a.b", cookies=b"c=1", host="bell.example", origin="https://a", site="none"
    )
    nothing = authenticator.Credentials(bearer=None, token=None, cookies=b"", host="", origin=None, site=None)
    assert authenticator.read(Request()) == nothing
