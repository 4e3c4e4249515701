"""Slots and breakers of destinations."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from bellcast.kernel.errors import Unavailable
from bellcast.kernel.jobs import slots
from bellcast.kernel.jobs.slots import (
    CALLS,
    JOBS_PER_SLOT,
    MAX_SERVERS,
    MAX_TIMEOUTS,
    MIN_SLOTS,
    SKIPPED_MS,
    Destination,
    Destinations,
    server_of,
)
from bellcast.kernel.outbound import DeliveryError
from tests.clock import FakeClock

TIMEOUTS = [Unavailable("slow", is_timeout=True), DeliveryError("slow", is_temporary=True, is_timeout=True)]
OTHERS = [Unavailable("refused"), DeliveryError("550 no such user", is_temporary=False), ValueError("a defect")]


@pytest.fixture
def all_destinations() -> Destinations:
    return Destinations(FakeClock(1_000_000))


async def fail(destination: Destination, error: Exception, host: str = "") -> None:
    with pytest.raises(type(error)):
        async with destination.call(host):
            raise error


async def succeed(destination: Destination, host: str = "") -> None:
    async with destination.call(host):
        pass


def clock_of(some: Destinations) -> FakeClock:
    assert isinstance(some.clock, FakeClock)
    return some.clock


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("error", TIMEOUTS)
async def test_server_is_skipped_after_several_timeouts(all_destinations: Destinations, error: Exception) -> None:
    one = all_destinations.of("provider mail", "acme", 10)
    with capture_logs() as logs:
        for _ in range(MAX_TIMEOUTS):
            assert not one.is_skipped()
            await fail(one, error)
    assert one.is_skipped()
    with pytest.raises(Unavailable, match="did not respond to the last calls"):
        await succeed(one)
    (line,) = logs
    assert (line["event"], line["log_level"], line["destination"]) == ("breaker_opened", "warning", "provider mail")


@pytest.mark.parametrize("error", OTHERS)
async def test_response_between_timeouts_starts_the_count_again(
    all_destinations: Destinations, error: Exception
) -> None:
    """A refusal is a response too: the server does not hang."""
    one = all_destinations.of("provider mail", "", 10)
    for _ in range(MAX_TIMEOUTS):
        await fail(one, TIMEOUTS[0])
        await fail(one, error)
    assert not one.is_skipped()


async def test_calls_with_an_alternative_leave_a_destination_that_does_not_respond(
    all_destinations: Destinations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls in progress continue: the server may have accepted what they sent."""
    monkeypatch.setattr(slots, "STUCK_SECONDS", 0.05)
    one, end = all_destinations.of("provider mail", "", 2), asyncio.Event()

    async def call(has_alternative: bool) -> None:
        async with one.call(has_alternative=has_alternative):
            await end.wait()

    in_progress = [asyncio.ensure_future(call(True)) for _ in range(2)]
    waiting = asyncio.ensure_future(call(False))
    await settle()
    with pytest.raises(Unavailable, match="calls in progress"):
        await call(True)
    assert one.seconds_until_stuck() <= 0
    assert not any(task.done() for task in (*in_progress, waiting))
    assert not one.is_skipped()
    end.set()
    await asyncio.gather(*in_progress, waiting)
    assert one.is_idle
    assert one.seconds_until_stuck() > 0


async def test_calls_wait_for_a_server_that_responds_slowly(
    all_destinations: Destinations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "STUCK_SECONDS", 0.5)
    one = all_destinations.of("provider mail", "", 1)

    async def call() -> None:
        async with one.call(has_alternative=True):
            await asyncio.sleep(0.1)

    await asyncio.gather(*(call() for _ in range(7)))


async def test_probe_decides_whether_the_server_is_called_again(all_destinations: Destinations) -> None:
    one, clock = all_destinations.of("webhook 1", "", 10), clock_of(all_destinations)
    for _ in range(MAX_TIMEOUTS):
        await fail(one, TIMEOUTS[0])
    clock.advance(SKIPPED_MS / 1000)
    await fail(one, TIMEOUTS[0])
    assert one.is_skipped()
    clock.advance(SKIPPED_MS / 1000)
    with capture_logs() as logs:
        async with one.call():
            assert one.is_skipped()  # one probe at a time
    assert not one.is_skipped()
    assert [(line["event"], line["open_ms"]) for line in logs] == [("breaker_closed", 2 * SKIPPED_MS)]


async def test_probe_that_is_cancelled_decides_nothing(all_destinations: Destinations) -> None:
    one = all_destinations.of("webhook 1", "", 10)
    for _ in range(MAX_TIMEOUTS):
        await fail(one, TIMEOUTS[0])
    clock_of(all_destinations).advance(SKIPPED_MS / 1000)
    with capture_logs() as logs:
        with pytest.raises(asyncio.CancelledError):
            async with one.call():
                raise asyncio.CancelledError
        assert logs == []
        await succeed(one)
    assert [line["event"] for line in logs] == ["breaker_closed"]


async def test_clock_that_was_set_back_does_not_prolong_the_skip(all_destinations: Destinations) -> None:
    one = all_destinations.of("webhook 1", "", 10)
    for _ in range(MAX_TIMEOUTS):
        await fail(one, TIMEOUTS[0])
    clock_of(all_destinations).advance(-86_400)
    assert not one.is_skipped()


async def test_hosts_of_a_destination_have_their_own_breakers(
    all_destinations: Destinations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "MAX_BREAKERS", 2)
    one = all_destinations.of("http steps", "acme", 10)
    for _ in range(MAX_TIMEOUTS):
        await fail(one, TIMEOUTS[0], "slow.example")
    for number in range(5):
        await succeed(one, f"{number}.example")
    assert len(one._breakers) <= 2
    assert one.is_skipped("slow.example")
    assert not one.is_skipped("1.example")


async def test_servers_of_a_destination_have_slots_of_their_own(all_destinations: Destinations) -> None:
    """Up to a number, because a recipient can register endpoints of any servers; the places of idle ones are taken."""
    push = all_destinations.of("provider webpush", "", 64)
    assert push.of_server("") is push
    async with AsyncExitStack() as calls:
        first = push.of_server("https://0.example")
        for number in range(MAX_SERVERS):
            server = f"https://{number}.example"
            await calls.enter_async_context(push.of_server(server).call(server))
        assert push.of_server("https://0.example") is first
        assert push.of_server("https://new.example") is push
        assert not push.is_idle
    assert push.is_idle
    new = push.of_server("https://new.example")
    assert (new.server, new.slots) == ("https://new.example", 64)
    assert push.of_server("https://0.example") is not first


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("https://Push.example/send/1?a=b", "https://push.example"),
        ("https://push.example:8443/send", "https://push.example:8443"),
        ("http://user:password@push.example#x", "http://push.example"),
        ("https://push.example?a=@b", "https://push.example"),
        ("https://[::1]:80/", "https://[::1]:80"),
        ("https://[broken/", "https://[broken"),
        ("alice@example.com", ""),
        ("//x@example.com", ""),
        ("", ""),
    ],
)
def test_url_names_its_server_by_scheme_host_and_port(url: str, server: str) -> None:
    """Another port of the host may be one that drops packets: its timeouts skip only itself."""
    assert server_of(url) == server


async def test_skipped_server_stays_skipped_when_others_are_called(all_destinations: Destinations) -> None:
    one = all_destinations.of("http steps", "acme", 10)
    for _ in range(MAX_TIMEOUTS):
        await fail(one.of_server("https://hangs"), TIMEOUTS[0], "https://hangs")
    for number in range(MAX_SERVERS + 1):
        await succeed(one.of_server(f"https://{number}"), f"https://{number}")
    assert one.of_server("https://hangs").is_skipped("https://hangs")


def test_url_with_a_server_that_no_name_has_names_none() -> None:
    for url in (f"https://{'a' * 301}/", "https://a\nb/", "https://ä/"):
        assert server_of(url) == ""


async def test_calls_wait_for_a_slot_in_their_order(all_destinations: Destinations) -> None:
    one, began = all_destinations.of("webhook 1", "", 2), list[int]()
    ends = [asyncio.Event() for _ in range(5)]

    async def call(number: int) -> None:
        async with one.call():
            began.append(number)
            await ends[number].wait()

    calls = [asyncio.ensure_future(call(number)) for number in range(5)]
    await settle()
    assert began == [0, 1]
    calls[2].cancel()  # while it waits
    ends[1].set()
    await settle()
    assert began == [0, 1, 3]
    ends[0].set()
    await settle()
    assert began == [0, 1, 3, 4]
    for end in ends:
        end.set()
    await asyncio.gather(*calls, return_exceptions=True)
    assert one.is_idle


def test_busy_destinations_divide_the_calls(all_destinations: Destinations) -> None:
    several = [all_destinations.of(f"webhook {number}", "", 64) for number in range(1000)]
    assert (several[0].slots, several[0].room) == (64, 64 * JOBS_PER_SLOT)
    for number, one in enumerate(several, 1):
        one.count(1)
        assert one.slots == max(MIN_SLOTS, min(64, CALLS // number))
    assert several[0].room == MIN_SLOTS * JOBS_PER_SLOT - 1
    for one in several[1:]:
        one.count(-1)
    assert several[0].slots == 64


async def test_idle_destinations_are_dropped(all_destinations: Destinations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "MAX_DESTINATIONS", 3)
    slow, busy = all_destinations.of("slow", "", 1), all_destinations.of("busy", "", 1)
    await fail(slow, TIMEOUTS[0])
    async with AsyncExitStack() as calls:
        await calls.enter_async_context(busy.call())
        for number in range(10):
            all_destinations.of(f"webhook {number}", "", 1)
    assert len(all_destinations._known) <= 3
    assert all_destinations.of("slow", "", 1) is slow
    assert all_destinations.of("busy", "", 1) is busy
