import asyncio
from typing import Any

import pytest

from bellcast.auth import authenticator
from bellcast.auth.authenticator import AppSessions
from bellcast.kernel.errors import Unauthenticated, Unavailable
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.kernel.outbound import Response
from tests.unit.auth.fakes import NOW, FakeHttp, clock, responding_with

URL = "https://app.example/session"
COOKIES = b"sessionid=abc; theme=d\xe4rk"


class AppServer:
    """The app that owns the sessions, and the server that requests them."""

    def __init__(self, body: Any = None, status: int = 200) -> None:
        self.clock = clock()
        self.web = FakeHttp(responding_with({"recipient": "alice"} if body is None else body, status))
        self.sessions = AppSessions(URL, self.web, self.clock, Limits())

    async def recipient(self, cookies: bytes = COOKIES) -> Principal:
        return await self.sessions.recipient(cookies)


async def test_app_response_becomes_the_principal() -> None:
    app = AppServer(
        {"recipient": "alice", "tenant": "acme", "topics": ["a.*"], "publish": ["b"], "roles": ["admin"], "name": "Al"}
    )
    assert await app.recipient() == Principal(
        tenant="acme",
        recipient="alice",
        topics=("a.*",),
        publish=("b",),
        roles=("admin",),
        name="Al",
        issued_at=NOW,
        by_cookie=True,
    )


async def test_session_request_carries_the_cookies_and_no_other_header_of_the_client() -> None:
    app = AppServer()
    await app.recipient()
    assert app.web.requests == [
        {"method": "GET", "url": URL, "cookie": COOKIES.decode("latin-1"), "accept": "application/json"}
    ]


async def test_session_response_is_cached_for_five_seconds() -> None:
    app = AppServer()
    first = await app.recipient()
    app.clock.advance(4.999)
    assert await app.recipient() is first
    app.clock.advance(0.001)
    assert (await app.recipient()).issued_at == NOW + 5_000
    assert len(app.web.requests) == 2


async def test_session_response_is_requested_again_when_the_clock_was_set_back() -> None:
    app = AppServer()
    await app.recipient()
    app.clock.advance(-10_800)
    assert (await app.recipient()).issued_at == NOW - 10_800_000


async def test_responses_are_cached_per_cookie() -> None:
    app = AppServer()
    app.web.respond = lambda headers: Response(200, {}, b'{"recipient":"%s"}' % headers["cookie"].encode())
    assert (await app.recipient(b"alice")).recipient == "alice"
    assert (await app.recipient(b"bob")).recipient == "bob"
    assert (await app.recipient(b"alice")).recipient == "alice"
    assert len(app.web.requests) == 2


async def test_cache_evicts_the_oldest_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticator, "MAX_CACHED", 3)
    app = AppServer()
    for cookies in (b"1", b"2", b"3"):
        await app.recipient(cookies)
    app.clock.advance(5)
    await app.recipient(b"2")  # cached last from here on
    for cookies in (b"4", b"5"):
        await app.recipient(cookies)
    requests = len(app.web.requests)
    for cookies in (b"2", b"4", b"5"):
        await app.recipient(cookies)
    assert len(app.web.requests) == requests
    assert len(app.sessions._cache) == 3


@pytest.mark.parametrize("status", [200, 401, 500])
async def test_concurrent_requests_share_one_session_request(status: int) -> None:
    app = AppServer({"recipient": "alice"}, status)
    outcomes = await asyncio.gather(*(app.recipient() for _ in range(20)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {{200: Principal, 401: Unauthenticated, 500: Unavailable}[status]}
    assert len(app.web.requests) == 1
    assert app.sessions._pending == {}


async def test_cancelled_first_request_does_not_cancel_the_others() -> None:
    app = AppServer()
    pending = [asyncio.ensure_future(app.recipient()) for _ in range(3)]
    await asyncio.sleep(0)
    pending[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending[0]
    assert [(await request).recipient for request in pending[1:]] == ["alice", "alice"]
    assert len(app.web.requests) == 1


async def test_cancelled_waiting_request_does_not_cancel_the_others() -> None:
    app = AppServer()
    pending = [asyncio.ensure_future(app.recipient()) for _ in range(3)]
    await asyncio.sleep(0)
    pending[1].cancel()
    assert [(await pending[n]).recipient for n in (0, 2)] == ["alice", "alice"]
    assert len(app.web.requests) == 1


@pytest.mark.parametrize(
    ("expires_at", "ends"),
    [
        ("2027-01-15T08:00:10Z", NOW + 10_000),
        ("2027-01-15T09:00:10+01:00", NOW + 10_000),
        (NOW // 1000 + 10, NOW + 10_000),
        (None, None),
    ],
)
async def test_session_expires_at_the_time_in_the_apps_response(expires_at: object, ends: int | None) -> None:
    app = AppServer({"recipient": "alice", "expires_at": expires_at})
    assert (await app.recipient()).expires_at == ends


async def test_expired_session_is_refused_even_while_it_is_cached() -> None:
    app = AppServer({"recipient": "alice", "expires_at": NOW / 1000 + 2})
    await app.recipient()
    app.clock.advance(2)
    with pytest.raises(Unauthenticated, match="expired"):
        await app.recipient()
    assert len(app.web.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_unknown_session_is_refused_and_not_cached(status: int) -> None:
    app = AppServer({}, status)
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="sign in"):
            await app.recipient()
    assert len(app.web.requests) == 2


@pytest.mark.parametrize("status", [204, 302, 404, 500, 503])
async def test_failing_app_is_unavailable(status: int) -> None:
    with pytest.raises(Unavailable, match=f"returned {status}"):
        await AppServer({"recipient": "alice"}, status).recipient()


async def test_unreachable_app_is_unavailable() -> None:
    app = AppServer()
    app.web.respond = lambda _: None
    with pytest.raises(Unavailable):
        await app.recipient()


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"\xff",
        b"[" * 100_000,
        [],
        {},
        {"recipient": None},
        {"recipient": 7},
        {"recipient": ""},
        {"recipient": "a\nb"},
        {"recipient": "alice", "tenant": "*"},
        {"recipient": "alice", "topics": "all"},
        {"recipient": "alice", "expires_at": "tomorrow"},
        {"recipient": "alice", "expires_at": "2027-01-15T08:00:10"},
        {"recipient": "alice", "expires_at": True},
    ],
)
async def test_malformed_session_response_is_unavailable(body: object) -> None:
    with pytest.raises(Unavailable, match="invalid session"):
        await AppServer(body).recipient()


# --- after a revocation


async def revoke(app: AppServer) -> int:
    """Advance the clock to 1 ms after a revocation, as the API does, and return the revocation's time."""
    at = app.clock.now() + 1
    app.clock.advance(0.001)
    return at


async def test_session_cached_before_a_revocation_is_requested_again() -> None:
    app = AppServer()
    before = await app.recipient()
    since = await revoke(app)
    fresh = await app.sessions.refresh(before, COOKIES, since)
    assert fresh is not None
    assert (fresh.recipient, fresh.issued_at) == ("alice", since)
    assert await app.recipient() is fresh
    assert len(app.web.requests) == 2


async def test_concurrent_refreshes_share_one_session_request() -> None:
    app = AppServer()
    before = await app.recipient()
    since = await revoke(app)
    first, *others = await asyncio.gather(*(app.sessions.refresh(before, COOKIES, since) for _ in range(3)))
    assert others == [first, first]
    assert await app.sessions.refresh(before, COOKIES, since) is first
    assert len(app.web.requests) == 2


async def test_session_request_in_flight_at_a_revocation_is_repeated() -> None:
    app = AppServer()
    before = await app.recipient()
    app.clock.advance(5)
    in_flight = asyncio.ensure_future(app.recipient())
    for _ in range(2):  # it waits, and its request was sent
        await asyncio.sleep(0)
    fresh = await app.sessions.refresh(before, COOKIES, await revoke(app))
    assert fresh is not None
    assert fresh.issued_at > (await in_flight).issued_at
    assert len(app.web.requests) == 3


async def test_session_that_the_app_also_ended_is_refused() -> None:
    app = AppServer()
    before = await app.recipient()
    app.web.respond = responding_with({}, 401)
    with pytest.raises(Unauthenticated):
        await app.sessions.refresh(before, COOKIES, await revoke(app))


async def test_refresh_rejects_a_session_of_another_recipient() -> None:
    app = AppServer()
    before = await app.recipient()
    app.web.respond = responding_with({"recipient": "bob"})
    assert await app.sessions.refresh(before, COOKIES, await revoke(app)) is None


async def test_revocation_ahead_of_this_clock_is_requested_a_bounded_number_of_times() -> None:
    app = AppServer()
    before = await app.recipient()
    assert await app.sessions.refresh(before, COOKIES, app.clock.now() + 2_000) is None
    assert len(app.web.requests) == 3
