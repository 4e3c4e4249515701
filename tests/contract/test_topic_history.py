"""The port of the live events' history: order, ids, expiry, floors of topics, and pages."""

from typing import Any

import pytest

from bellcast.brokers.history import MemoryHistory, TenantLog
from bellcast.model import history as model
from bellcast.model.events import LiveEvent, inbox_stream, topic_stream
from bellcast.ports import TopicHistory
from tests.clock import FakeClock

A, B = topic_stream("", "a"), topic_stream("", "b")


def create(clock: FakeClock, *rules: str, limit: int = 1_000_000) -> TopicHistory:
    return MemoryHistory(clock, model.parse_rules(rules or model.DEFAULT_HISTORY), limit)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def add(history: TopicHistory, topic: str, data: Any = None, **fields: Any) -> str:
    (kept,) = await history.append(LiveEvent("", "n", data, topic=topic, **fields))
    assert kept.id is not None
    return kept.id


def data(history: TopicHistory, after: str, *streams: Any) -> tuple[list[Any], bool]:
    missed = history.missed("", streams, after)
    return [event.data for event in missed.events], missed.recovered


async def test_missed_events_of_all_topics_are_in_log_order(clock: FakeClock) -> None:
    history = create(clock)
    start = history.end("")
    assert start is not None
    for number, topic in enumerate("abba"):
        await add(history, topic, number)
    await add(history, "c", 9)
    assert data(history, start, A, B) == ([0, 1, 2, 3], True)
    assert [event.data for event in history.newest("", [A, B], 1)] == [2, 3]


async def test_id_is_known_only_to_its_log(clock: FakeClock) -> None:
    history, other = create(clock), create(clock)
    id = await add(history, "a")
    assert data(history, id, A) == ([], True)
    assert data(other, id, A) == ([], False)
    assert history.missed("acme", [topic_stream("acme", "a")], id).recovered is False
    epoch = id.partition(".")[0]
    for unknown in ("", "x", f"{epoch}.2", f"{epoch}.", "1.1"):
        assert data(history, unknown, A) == ([], False)


async def test_busy_topic_leaves_the_recovery_of_a_quiet_one(clock: FakeClock) -> None:
    history = create(clock, "*=2m/2")
    quiet = await add(history, "b", "quiet")
    for number in range(3):
        last = await add(history, "a", number)
    assert data(history, quiet, B) == ([], True)
    assert data(history, quiet, A, B) == ([], False)
    assert data(history, quiet, A) == ([], False)
    assert data(history, last, A, B) == ([], True)


async def test_expired_event_is_gone_for_every_reader_even_if_the_clock_returns(clock: FakeClock) -> None:
    history = create(clock, "a=10s", "*=1h")
    start = await add(history, "a", "first")
    await add(history, "a", "second")
    await add(history, "b", "third")
    clock.advance(10)
    assert data(history, start, A, B) == ([], False)
    assert data(history, start, B) == (["third"], True)
    clock.advance(-10)
    assert data(history, start, A) == ([], False)


async def test_beyond_the_limit_the_oldest_events_of_any_topic_leave(clock: FakeClock) -> None:
    history = create(clock, limit=3_000)
    start = await add(history, "b", "x" * 900)
    second = await add(history, "a", "y" * 900)
    await add(history, "a", "z" * 900)
    assert data(history, start, A) == (["y" * 900, "z" * 900], True)
    for number in range(20):
        await add(history, "a", number)
    assert data(history, second, A) == ([], False)
    assert data(history, second, B) == ([], True)


async def test_topics_without_history_do_not_count(clock: FakeClock) -> None:
    history = create(clock, "b=off", "*=1m")
    start = await add(history, "a", 1)
    (event,) = await history.append(LiveEvent("", "n", 2, topic="b"))
    assert event.id is None
    assert data(history, start, A, B) == ([], True)


@pytest.mark.parametrize(
    "event",
    [
        LiveEvent("", "n", 1, topic="a", keep=False),
        LiveEvent("", "client-typing", 1, recipient="alice"),
        LiveEvent("", "n", 1, recipient="bob"),
    ],
    ids=["not to be kept", "between clients", "recipient without history"],
)
async def test_some_events_are_not_kept(clock: FakeClock, event: LiveEvent) -> None:
    history = create(clock, "recipient:bob=off", "*=1m")
    end = history.end("")
    assert await history.append(event) == (event,)
    assert history.end("") == end


async def test_events_to_a_recipient_are_kept(clock: FakeClock) -> None:
    history = create(clock, "recipient:*=1m")
    start = history.end("")
    assert start is not None
    await history.append(LiveEvent("", "n", 1, recipient="alice"), LiveEvent("", "n", 2, topic="a"))
    assert data(history, start, inbox_stream("", "alice"), A) == ([1], True)


async def test_cleared_topic_is_empty_and_not_recovered(clock: FakeClock) -> None:
    history = create(clock)
    start = await add(history, "b", 0)
    for number in range(3):
        last = await add(history, "a", number)
    history.clear("", A)
    assert data(history, start, A) == ([], False)
    assert data(history, start, B) == ([], True)
    assert data(history, last, A) == ([], True)
    assert history.page("", A, None, 10).events == ()


async def test_pages_continue_after_an_id_and_report_a_gap(clock: FakeClock) -> None:
    history = create(clock, "*=1m/3")
    ids = [await add(history, "a", number) for number in range(5)]
    first = history.page("", A, None, 2)
    assert ([one.event.data for one in first.events], first.has_more, first.recovered) == ([2, 3], True, True)
    second = history.page("", A, first.events[-1].event.id, 2)
    assert ([one.event.data for one in second.events], second.has_more, second.recovered) == ([4], False, True)
    late = history.page("", A, ids[0], 10)
    assert ([one.event.data for one in late.events], late.recovered) == ([2, 3, 4], False)
    assert history.page("", A, "1.1", 10).recovered is False


def test_forgotten_floor_counts_as_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bellcast.brokers.history.MAX_FLOORS", 2)
    log, rule = TenantLog(10**6), model.HistoryRule("*", 1_000, 1)
    for number in range(4):
        stream = topic_stream("", str(number))
        log.append(stream, LiveEvent("", "n", None, topic=str(number)), rule, 0)
        log.clear(stream)
    assert [log.floor(topic_stream("", name)) for name in ("0", "1", "2", "3", "new")] == [2, 2, 3, 4, 2]


@pytest.mark.parametrize("rule", ["a", "a=", "=1m", "a=soon", "a=1m/", "a=1m/0", "a=1m/x", "a=off/3"])
def test_invalid_rule_is_refused(rule: str) -> None:
    with pytest.raises(ValueError):
        model.parse_rules([rule])
