import asyncio
from typing import Any

import pytest
from tests.unit.auth.world import NOW, Web, answering, clock

from bellcast.auth import cookie_sessions
from bellcast.auth.cookie_sessions import CookieSessions
from bellcast.errors import Unauthenticated, Unavailable
from bellcast.model.identities import Principal
from bellcast.model.limits import Limits
from bellcast.ports import Response

URL = "https://app.example/session"
COOKIES = b"sessionid=abc; theme=d\xe4rk"


class AppServer:
    """The app that knows its sessions, and the server that asks it."""

    def __init__(self, body: Any = None, status: int = 200) -> None:
        self.clock = clock()
        self.web = Web(answering({"recipient": "alice"} if body is None else body, status))
        self.sessions = CookieSessions(URL, self.web, self.clock, Limits())

    async def recipient(self, cookies: bytes = COOKIES) -> Principal:
        return await self.sessions.recipient(cookies)


async def test_the_app_says_whose_session_it_is() -> None:
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


async def test_the_app_is_sent_the_cookies_and_nothing_else_of_the_request() -> None:
    app = AppServer()
    await app.recipient()
    assert app.web.asked == [
        {"method": "GET", "url": URL, "cookie": COOKIES.decode("latin-1"), "accept": "application/json"}
    ]


async def test_a_page_that_asks_many_things_at_once_costs_the_app_one_question_in_five_seconds() -> None:
    app = AppServer()
    first = await app.recipient()
    app.clock.advance(4.999)
    assert await app.recipient() is first
    app.clock.advance(0.001)
    assert (await app.recipient()).issued_at == NOW + 5_000
    assert len(app.web.asked) == 2


async def test_nobody_gets_anothers_answer() -> None:
    app = AppServer()
    app.web.answer = lambda asked: Response(200, {}, b'{"recipient":"%s"}' % asked["cookie"].encode())
    assert (await app.recipient(b"alice")).recipient == "alice"
    assert (await app.recipient(b"bob")).recipient == "bob"
    assert (await app.recipient(b"alice")).recipient == "alice"
    assert len(app.web.asked) == 2


async def test_only_so_many_answers_are_remembered_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cookie_sessions, "MAX_CACHED", 3)
    app = AppServer()
    for cookies in (b"1", b"2", b"3"):
        await app.recipient(cookies)
    app.clock.advance(5)
    await app.recipient(b"2")  # the newest answer now
    for cookies in (b"4", b"5"):
        await app.recipient(cookies)
    asked = len(app.web.asked)
    for cookies in (b"2", b"4", b"5"):
        await app.recipient(cookies)
    assert len(app.web.asked) == asked
    assert len(app.sessions._cache) == 3


@pytest.mark.parametrize("status", [200, 401, 500])
async def test_those_who_come_at_once_share_one_question_whatever_the_answer(status: int) -> None:
    app = AppServer({"recipient": "alice"}, status)
    outcomes = await asyncio.gather(*(app.recipient() for _ in range(20)), return_exceptions=True)
    assert {type(one) for one in outcomes} == {{200: Principal, 401: Unauthenticated, 500: Unavailable}[status]}
    assert len(app.web.asked) == 1
    assert app.sessions._asking == {}


async def test_one_who_goes_away_while_asking_takes_nobody_along() -> None:
    app = AppServer()
    asking = [asyncio.ensure_future(app.recipient()) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking[0]
    assert [(await one).recipient for one in asking[1:]] == ["alice", "alice"]
    assert len(app.web.asked) == 2


async def test_one_who_goes_away_while_waiting_takes_nobody_along() -> None:
    app = AppServer()
    asking = [asyncio.ensure_future(app.recipient()) for _ in range(3)]
    await asyncio.sleep(0)
    asking[1].cancel()
    assert [(await asking[n]).recipient for n in (0, 2)] == ["alice", "alice"]
    assert len(app.web.asked) == 1


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        ("2027-01-15T08:00:10Z", NOW + 10_000),
        ("2027-01-15T09:00:10+01:00", NOW + 10_000),
        (NOW // 1000 + 10, NOW + 10_000),
        (None, None),
    ],
)
async def test_a_session_ends_when_the_app_says(said: object, ends: int | None) -> None:
    app = AppServer({"recipient": "alice", "expires_at": said})
    assert (await app.recipient()).expires_at == ends


async def test_an_ended_session_is_refused_even_while_it_is_remembered() -> None:
    app = AppServer({"recipient": "alice", "expires_at": NOW / 1000 + 2})
    await app.recipient()
    app.clock.advance(2)
    with pytest.raises(Unauthenticated, match="expired"):
        await app.recipient()
    assert len(app.web.asked) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_session_the_app_does_not_know_is_refused_and_asked_again(status: int) -> None:
    app = AppServer({}, status)
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="sign in"):
            await app.recipient()
    assert len(app.web.asked) == 2


@pytest.mark.parametrize("status", [204, 302, 404, 500, 503])
async def test_an_app_in_trouble_is_unavailable(status: int) -> None:
    with pytest.raises(Unavailable, match=f"answered {status}"):
        await AppServer({"recipient": "alice"}, status).recipient()


async def test_an_app_that_is_away_is_unavailable() -> None:
    app = AppServer()
    app.web.answer = lambda _: None
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
async def test_an_app_that_answers_nonsense_is_unavailable_and_nobody_is_let_in(body: object) -> None:
    with pytest.raises(Unavailable, match="no session"):
        await AppServer(body).recipient()


# --- after a revocation


async def revoked_now(app: AppServer) -> int:
    """The time of a revocation that is answered a millisecond later, as the API does."""
    at = app.clock.now() + 1
    app.clock.advance(0.001)
    return at


async def test_an_answer_from_before_a_revocation_is_asked_for_anew() -> None:
    app = AppServer()
    before = await app.recipient()
    since = await revoked_now(app)
    fresh = await app.sessions.refresh(before, since)
    assert fresh is not None
    assert (fresh.recipient, fresh.issued_at) == ("alice", since)
    assert await app.recipient() is fresh
    assert len(app.web.asked) == 2


async def test_whoever_brought_the_old_answer_shares_the_new_one() -> None:
    app = AppServer()
    before = await app.recipient()
    since = await revoked_now(app)
    first, *others = await asyncio.gather(*(app.sessions.refresh(before, since) for _ in range(3)))
    assert others == [first, first]
    assert await app.sessions.refresh(before, since) is first
    assert len(app.web.asked) == 2


async def test_a_question_that_was_under_way_before_the_revocation_is_asked_again() -> None:
    app = AppServer()
    before = await app.recipient()
    app.clock.advance(5)
    under_way = asyncio.ensure_future(app.recipient())
    await asyncio.sleep(0)
    fresh = await app.sessions.refresh(before, await revoked_now(app))
    assert fresh is not None
    assert fresh.issued_at > (await under_way).issued_at
    assert len(app.web.asked) == 3


async def test_who_was_signed_out_by_the_app_too_is_refused() -> None:
    app = AppServer()
    before = await app.recipient()
    app.web.answer = answering({}, 401)
    with pytest.raises(Unauthenticated):
        await app.sessions.refresh(before, await revoked_now(app))


async def test_cookies_that_are_somebody_elses_by_now_do_not_open_the_inbox_they_opened() -> None:
    app = AppServer()
    before = await app.recipient()
    app.web.answer = answering({"recipient": "bob"})
    assert await app.sessions.refresh(before, await revoked_now(app)) is None


async def test_a_revocation_ahead_of_this_clock_is_not_asked_about_for_ever() -> None:
    app = AppServer()
    before = await app.recipient()
    assert await app.sessions.refresh(before, app.clock.now() + 2_000) is None
    assert len(app.web.asked) == 3


async def test_nobody_is_asked_about_a_session_that_came_by_no_cookie() -> None:
    app = AppServer()
    assert await app.sessions.refresh(Principal(recipient="alice"), 1) is None
    assert app.web.asked == []


async def test_cookies_are_forgotten_soon_after_the_answer_is(monkeypatch: pytest.MonkeyPatch) -> None:
    app = AppServer()
    loop = asyncio.get_running_loop()
    later: list[tuple[float, Any, tuple[Any, ...]]] = []
    monkeypatch.setattr(loop, "call_later", lambda seconds, call, *args: later.append((seconds, call, args)))
    principal = await app.recipient()
    assert [cookies for _, cookies in app.sessions._behind.values()] == [COOKIES]
    ((seconds, forget, args),) = later
    assert seconds == 10
    forget(*args)
    assert app.sessions._behind == {}
    assert await app.sessions.refresh(principal, app.clock.now() + 1) is None
