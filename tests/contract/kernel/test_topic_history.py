"""The history of live events: order, ids, expiry, floors of topics, and pages."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from bellcast.kernel.brokers import TopicLog
from bellcast.kernel.brokers import history as model
from bellcast.kernel.brokers.history import MemoryHistory, TenantLog, TopicHistory
from bellcast.kernel.brokers.nats import NatsTransport
from bellcast.kernel.brokers.nats_log import NatsLog
from bellcast.kernel.brokers.postgres import PostgresLog, PostgresTransport
from bellcast.kernel.brokers.redis import RedisLog, RedisTransport
from bellcast.kernel.brokers.remote import RemoteBroker
from bellcast.kernel.brokers.remote_history import RemoteHistory
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.events import LiveEvent, inbox_stream, topic_stream
from bellcast.live.types import AnyEvent
from tests import engines
from tests.clock import FakeClock

projects = itertools.count()

A, B = topic_stream("", "a"), topic_stream("", "b")


def shared_history(
    engine: str,
    project: str,
    clock: FakeClock,
    rules: Sequence[model.HistoryRule],
    limit: int,
    server: engines.RedisServer | engines.PostgresServer | engines.NatsServer | None = None,
) -> tuple[RemoteBroker, TopicHistory]:
    """Return the broker and the history of one process. By default, `server` is the shared engine of this test run."""
    log: TopicLog
    if engine == "postgres":
        database = server if isinstance(server, engines.PostgresServer) else engines.postgres()
        notify = PostgresTransport(database.url("postgres"), project)
        broker, log = RemoteBroker(notify, SystemClock(), AnyEvent), PostgresLog(notify, project, lambda: limit)
    elif engine.startswith("nats"):
        one = engines.nats() if engine == "nats" else engines.nats_cluster()
        nats = NatsTransport(server.url if isinstance(server, engines.NatsServer) else one.url, project)
        broker = RemoteBroker(nats, SystemClock(), AnyEvent)
        log = NatsLog(nats, lambda: limit, model.KeepRules(lambda: rules))
    else:
        redis = engines.redis() if engine == "redis" else engines.redis_cluster()
        url = server.url if isinstance(server, engines.RedisServer) else redis.url
        pubsub = RedisTransport(url, project)
        broker, log = RemoteBroker(pubsub, SystemClock(), AnyEvent), RedisLog(pubsub, lambda: limit)
    return broker, RemoteHistory(log, broker, clock, lambda: rules)


Create = Callable[..., Awaitable[TopicHistory]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(
    params=[
        "memory",
        "redis",
        pytest.param("redis-cluster", marks=pytest.mark.thorough),
        "postgres",
        "nats",
        pytest.param("nats-cluster", marks=pytest.mark.thorough),
    ]
)
async def create(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[Create]:
    """Return a factory of histories with separate logs."""
    brokers: list[RemoteBroker] = []

    async def history(*rules: str, limit: int = 1_000_000) -> TopicHistory:
        parsed = model.parse_rules(rules or model.DEFAULT_HISTORY)
        if request.param == "memory":
            return MemoryHistory(clock, lambda: parsed, lambda: limit)
        broker, shared = shared_history(request.param, f"history{next(projects)}", clock, parsed, limit)
        brokers.append(broker)
        await broker.open()
        await broker.ping()
        return shared

    yield history
    for broker in brokers:
        await broker.close()


@pytest.fixture
def is_exact(request: pytest.FixtureRequest) -> bool:
    """True if the log knows what each topic has lost. JetStream knows only its oldest message, so that a reader from before
    it fetches again even if its topic lost nothing."""
    return not request.node.callspec.params["create"].startswith("nats")


async def add(history: TopicHistory, topic: str, data: Any = None, **fields: Any) -> str:
    (kept,) = await history.append(LiveEvent("", "n", data, topic=topic, **fields))
    assert kept.id is not None
    return kept.id


async def end(history: TopicHistory) -> str:
    """Return the id of the log's newest event."""
    end = (await history.newest("", [A], 0)).end
    assert end is not None
    return end


async def data(history: TopicHistory, after: str, *streams: Any) -> tuple[list[Any], bool]:
    missed = await history.missed("", streams, after)
    return [event.data for event in missed.events], missed.recovered


async def test_missed_events_of_all_topics_are_in_log_order(create: Create) -> None:
    history = await create()
    start = await end(history)
    for number, topic in enumerate("abba"):
        await add(history, topic, number)
    await add(history, "c", 9)
    assert await data(history, start, A, B) == ([0, 1, 2, 3], True)
    assert [event.data for event in (await history.newest("", [A, B], 1)).events] == [2, 3]


async def test_hundreds_of_clients_resume_at_the_same_time(create: Create) -> None:
    history = await create()
    start = await end(history)
    await add(history, "a", 1)
    assert await asyncio.gather(*(data(history, start, A) for _ in range(200))) == [([1], True)] * 200


async def test_id_is_known_only_to_its_log(create: Create) -> None:
    history, other = await create(), await create()
    id = await add(history, "a")
    assert await data(history, id, A) == ([], True)
    assert await data(other, id, A) == ([], False)
    assert (await history.missed("acme", [topic_stream("acme", "a")], id)).recovered is False
    epoch = id.partition(".")[0]
    for unknown in ("", "x", f"{epoch}.ffffff", f"{epoch}.", "1.1"):
        assert await data(history, unknown, A) == ([], False)


async def test_busy_topic_leaves_the_recovery_of_a_quiet_one(create: Create) -> None:
    history = await create("*=2m/2")
    quiet = await add(history, "b", "quiet")
    for number in range(3):
        last = await add(history, "a", number)
    assert await data(history, quiet, B) == ([], True)
    assert await data(history, quiet, A, B) == ([], False)
    assert await data(history, quiet, A) == ([], False)
    assert await data(history, last, A, B) == ([], True)


async def test_expired_event_is_gone_for_every_reader_even_if_the_clock_returns(
    create: Create, clock: FakeClock
) -> None:
    history = await create("a=10s", "*=1h")
    start = await add(history, "a", "first")
    await add(history, "a", "second")
    await add(history, "b", "third")
    clock.advance(10)
    assert await data(history, start, A, B) == ([], False)
    assert await data(history, start, B) == (["third"], True)
    clock.advance(-10)
    assert await data(history, start, A) == ([], False)


async def test_beyond_the_limit_the_oldest_events_of_any_topic_leave(create: Create, is_exact: bool) -> None:
    history = await create(limit=3_400)
    start = await add(history, "b", "x" * 900)
    second = await add(history, "a", "y" * 900)
    await add(history, "a", "z" * 900)
    assert await data(history, start, A) == (["y" * 900, "z" * 900], True)
    for number in range(20):
        await add(history, "a", number)
    assert await data(history, second, A) == ([], False)
    assert await data(history, second, B) == ([], is_exact)


async def test_topics_without_history_do_not_count(create: Create) -> None:
    history = await create("b=off", "*=1m")
    start = await add(history, "a", 1)
    (event,) = await history.append(LiveEvent("", "n", 2, topic="b"))
    assert event.id is None
    assert await data(history, start, A, B) == ([], True)


@pytest.mark.parametrize(
    "event",
    [
        LiveEvent("", "n", 1, topic="a", keep=False),
        LiveEvent("", "client-typing", 1, recipient="alice"),
        LiveEvent("", "n", 1, recipient="bob"),
    ],
    ids=["not to be kept", "between clients", "recipient without history"],
)
async def test_some_events_are_not_kept(create: Create, event: LiveEvent) -> None:
    history = await create("recipient:bob=off", "*=1m")
    start = await end(history)
    assert await history.append(event) == (event,)
    assert await end(history) == start


async def test_events_to_a_recipient_are_kept(create: Create) -> None:
    history = await create("recipient:*=1m")
    start = await end(history)
    await history.append(LiveEvent("", "n", 1, recipient="alice"), LiveEvent("", "n", 2, topic="a"))
    assert await data(history, start, inbox_stream("", "alice"), A) == ([1], True)


async def test_cleared_topic_is_empty_and_not_recovered(create: Create, is_exact: bool) -> None:
    history = await create()
    start = await add(history, "b", 0)
    for number in range(3):
        last = await add(history, "a", number)
    await history.clear("", A)
    assert await data(history, start, A) == ([], False)
    assert await data(history, start, B) == ([], True)
    assert await data(history, last, A) == ([], is_exact)
    assert await data(history, await add(history, "b"), A) == ([], True)
    assert (await history.page("", A, None, 10)).events == ()


async def test_cleared_tenant_has_no_events_and_recovers_no_client(create: Create) -> None:
    history = await create()
    start = await end(history)
    last = await add(history, "a", 1)
    await add(history, "b", 2)
    await history.clear("acme", None)
    assert await data(history, start, A, B) == ([1, 2], True)
    await history.clear("", None)
    assert [await data(history, after, A) for after in (start, last)] == [([], False)] * 2
    assert [(await history.page("", stream, None, 10)).events for stream in (A, B)] == [(), ()]
    start = await end(history)
    await add(history, "a", 3)
    assert await data(history, start, A, B) == ([3], True)


async def test_pages_continue_after_an_id_and_report_a_gap(create: Create) -> None:
    history = await create("*=1m/3")
    ids = [await add(history, "a", number) for number in range(5)]
    first = await history.page("", A, None, 2)
    assert ([event.data for event, _ in first.events], first.has_more, first.recovered) == ([2, 3], True, True)
    second = await history.page("", A, first.events[-1][0].id, 2)
    assert ([event.data for event, _ in second.events], second.has_more, second.recovered) == ([4], False, True)
    late = await history.page("", A, ids[0], 10)
    assert ([event.data for event, _ in late.events], late.recovered) == ([2, 3, 4], False)
    assert (await history.page("", A, "1.1", 10)).recovered is False


def test_forgotten_floor_counts_as_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bellcast.kernel.brokers.history.MAX_FLOORS", 2)
    log, rule = TenantLog(lambda: 10**6), model.HistoryRule("*", 1_000, 1)
    for number in range(4):
        stream = topic_stream("", str(number))
        log.append(stream, LiveEvent("", "n", None, topic=str(number)), rule, 0)
        log.clear(stream)
    assert [log.floor(topic_stream("", name)) for name in ("0", "1", "2", "3", "new")] == [2, 2, 3, 4, 2]


@pytest.mark.parametrize("rule", ["a", "a=", "=1m", "a=soon", "a=1m/", "a=1m/0", "a=1m/x", "a=off/3"])
def test_invalid_rule_is_refused(rule: str) -> None:
    with pytest.raises(ValueError):
        model.parse_rules([rule])
