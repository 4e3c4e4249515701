"""The history of live events between processes: one order for all, and no gap that stays undetected."""

import asyncio
import itertools
import random
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import pytest

from bellcast.kernel.brokers import KEPT_PREFIX, NewEntry
from bellcast.kernel.brokers import history as model
from bellcast.kernel.brokers.history import SWEEP_INTERVAL_SECONDS, TopicHistory
from bellcast.kernel.brokers.postgres import PostgresLog, PostgresTransport
from bellcast.kernel.brokers.remote import RemoteBroker
from bellcast.kernel.brokers.remote_history import RemoteHistory
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.db import postgres_copies
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import Event, LiveEvent, Stream, topic_stream
from bellcast.live.types import AnyEvent
from tests import engines
from tests.clock import FakeClock
from tests.contract.kernel.test_broker import wait_until
from tests.contract.kernel.test_topic_history import shared_history

ENGINES = [
    "redis",
    "postgres",
    "nats",
    *(pytest.param(name, marks=pytest.mark.thorough) for name in ("redis-cluster", "nats-cluster")),
]
A, B = topic_stream("", "a"), topic_stream("", "b")
projects = itertools.count()


class Node(NamedTuple):
    """One process: its history and broker, the events it delivered, and the streams with lost events."""

    broker: RemoteBroker
    history: TopicHistory
    received: list[Event]
    lost: list[Stream]

    @property
    def data(self) -> list[Any]:
        return [event.data for event in self.received if isinstance(event, LiveEvent)]

    async def publish(self, topic: str, data: Any, **fields: Any) -> LiveEvent:
        (kept,) = await self.history.append(LiveEvent("", "n", data, topic=topic, **fields))
        await self.broker.publish(kept)
        return kept

    async def follow(self, *streams: Stream) -> str:
        """Follow streams; return the id at which they begin."""
        end = (await self.history.newest("", streams, 0)).end
        for stream in streams:
            self.broker.follow(stream)
        assert end is not None
        return end


Start = Callable[..., Awaitable[Node]]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def start(engine: str) -> AsyncIterator[Start]:
    """Return a factory of the nodes of one project."""
    nodes: list[Node] = []
    project = f"shared{next(projects)}"

    async def node(server: Any = None, *rules: str) -> Node:
        parsed = model.parse_rules(rules or model.DEFAULT_HISTORY)
        broker, history = shared_history(engine, project, FakeClock(), parsed, 10**7, server)
        new = Node(broker, history, [], [])
        broker.listen(new.received.append)
        history.listen(new.lost.extend)
        nodes.append(new)
        await broker.open()
        await broker.ping()
        return new

    yield node
    for one in nodes:
        await one.broker.close()


async def test_all_nodes_deliver_kept_events_in_one_order(start: Start) -> None:
    nodes = [await start() for _ in range(3)]
    for node in nodes:
        await node.follow(A, B)
    published = await asyncio.gather(
        *(node.publish("ab"[number % 2], (index, number)) for number in range(50) for index, node in enumerate(nodes))
    )
    await wait_until(lambda: all(len(node.received) == 150 for node in nodes))
    assert nodes[0].data == nodes[1].data == nodes[2].data
    in_order = sorted(published, key=offset)
    start_offset = offset(in_order[0])  # 2 on NATS, after an empty message
    assert [offset(event) for event in in_order] == list(range(start_offset, start_offset + 150))
    assert [list(event.data) for event in in_order] == nodes[0].data


def offset(event: LiveEvent) -> int:
    id = model.parse_event_id(event.id or "")
    assert id is not None
    return id.offset


async def test_events_that_are_not_kept_are_delivered_too(start: Start) -> None:
    first, second = await start(), await start()
    await first.follow(A)
    await second.follow(A)
    plain = await first.publish("a", "plain", keep=False)
    assert plain.id is None
    await wait_until(lambda: first.data == second.data == ["plain"])


async def test_readers_receive_each_event_once_and_in_order_while_others_publish(start: Start) -> None:
    """Readers start and stop while events are published: a read and the deliveries after it contain all events."""
    publisher, reader = await start(), await start()
    await publisher.follow(A)
    count, choice = 400, random.Random(1)
    first = (await publisher.publish("a", 0)).id

    async def publish() -> None:
        for number in range(1, count):
            await publisher.publish("a", number)

    publishing = asyncio.ensure_future(publish())
    seen, position = [0], first or ""
    while len(seen) < count:
        past = await reader.history.missed("", [A], position)
        assert past.recovered
        reader.broker.follow(A)
        reader.received.clear()
        seen += [event.data for event in past.events]
        for _ in range(choice.randrange(5)):
            await asyncio.sleep(choice.random() / 200)
        live = [event for event in reader.received if isinstance(event, LiveEvent)]
        reader.broker.unfollow(A)
        seen += [event.data for event in live]
        position = (live[-1].id if live else past.end) or ""
    await publishing
    assert seen == list(range(count))


async def test_disconnected_node_fills_the_gap_from_the_log(start: Start) -> None:
    first, second = await start(), await start()
    await first.follow(A, B)
    await second.follow(A, B)
    for number in range(20):
        await first.publish("ab"[number % 2], number)
        if number in (5, 12):
            second.broker.reconnect()
    await wait_until(lambda: len(second.data) == 20)
    assert second.data == first.data == list(range(20))
    assert second.lost == []


async def test_gap_that_the_log_no_longer_covers_is_reported_by_stream(start: Start) -> None:
    first, second = await start(None, "a=1m/2", "*=1m"), await start(None, "a=1m/2", "*=1m")
    await first.follow(A, B)
    await second.follow(A, B)
    await first.publish("a", "seen")
    await wait_until(lambda: second.data == ["seen"])
    connect, is_back = second.broker.transport.connect, asyncio.Event()

    async def connect_later(on_message: Callable[[bytes], None]) -> None:
        await is_back.wait()
        await connect(on_message)

    second.broker.transport.connect = connect_later  # type: ignore[method-assign]  # until all are published
    await second.broker.transport.close()  # the network fails
    for number in range(3):
        await first.publish("a", number)
    await first.publish("b", "kept")
    is_back.set()
    await wait_until(lambda: second.lost)
    assert second.lost == [A]
    await wait_until(lambda: "kept" in second.data)
    assert second.data == ["seen", "kept"]
    await first.publish("a", "live")
    await wait_until(lambda: "live" in second.data)


async def test_confirmed_stream_receives_every_later_event(start: Start) -> None:
    """Without the confirmation, the node would deliver a later event of another stream, and miss this one."""
    first, second = await start(), await start()
    await second.follow(B)
    subscribe, may_subscribe = second.broker.transport.follow, asyncio.Event()

    async def subscribe_later(streams: Sequence[Stream]) -> None:
        await may_subscribe.wait()
        await subscribe(streams)

    second.broker.transport.follow = subscribe_later  # type: ignore[method-assign]  # a slow broker
    confirming = asyncio.ensure_future(second.history.confirm([A]))
    await first.publish("a", "before")
    later = await first.publish("b", "other")
    await wait_until(lambda: second.data == ["other"])
    assert second.history.end("") == later.id
    assert not confirming.done()
    may_subscribe.set()
    await confirming
    second.broker.follow(A)
    await first.publish("a", "after")
    await wait_until(lambda: second.data[1:] == ["after"])


async def test_id_of_another_node_is_recovered(start: Start) -> None:
    first, second = await start(), await start()
    begin = await first.follow(A)
    events = [await first.publish("a", number) for number in range(3)]
    past = await second.history.missed("", [A], events[0].id or "")
    assert ([event.data for event in past.events], past.recovered) == ([1, 2], True)
    assert past.end == events[-1].id == (await second.history.newest("", [A], 1)).events[0].id
    assert (await second.history.missed("", [A, B], begin)).recovered


async def test_event_with_an_invalid_id_is_ignored(start: Start) -> None:
    first, second = await start(), await start()
    await second.follow(A)
    relay: Any = first.broker
    event = msgspec.msgpack.encode(LiveEvent("", "n", "no id", topic="a"))
    relay._outgoing.append((A, KEPT_PREFIX + b"no id\0" + event))
    relay._work.set()
    await first.publish("a", 1)
    await second.broker.fence()
    await first.publish("a", 2)
    await wait_until(lambda: 2 in second.data)
    assert (second.data, second.lost) == ([1, 2], [])


async def append_unreadable_entry(node: Node) -> None:
    """Append what a newer version writes during a rolling update, or another program."""
    history: Any = node.history
    await history._log.append("", [NewEntry(A, b"unreadable", 60_000, 0)], FakeClock().now())


async def test_unreadable_entry_of_the_log_is_not_recovered(start: Start) -> None:
    node = await start()
    begin = await node.follow(A)
    await node.publish("a", 1)
    await append_unreadable_entry(node)
    assert (await node.history.missed("", [A], begin)).recovered is False
    assert [event.data for event in (await node.history.newest("", [A], 10)).events] == [1]
    assert [event.data for event, _ in (await node.history.page("", A, None, 10)).events] == [1]
    await node.publish("a", 2)
    await wait_until(lambda: node.data == [1, 2])


async def test_unreadable_entry_in_a_gap_is_a_lost_event(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = await start(), await start()
    await second.follow(A)
    await first.publish("a", 1)
    await wait_until(lambda: second.data == [1])
    connect, is_back = second.broker.transport.connect, asyncio.Event()

    async def connect_later(on_message: Callable[[bytes], None]) -> None:
        await is_back.wait()
        await connect(on_message)

    monkeypatch.setattr(second.broker.transport, "connect", connect_later)  # until the entry is appended
    await second.broker.transport.close()  # the network fails
    await append_unreadable_entry(first)
    is_back.set()
    await wait_until(lambda: second.lost)
    assert second.lost == [A]
    await first.publish("a", 2)
    await wait_until(lambda: second.data == [1, 2])


async def test_id_of_another_log_is_not_recovered_without_kept_streams(start: Start) -> None:
    node = await start()
    await node.publish("a", 1)
    end = await node.follow(A)
    assert (await node.history.missed("", [], end)).recovered
    epoch, _, offset = end.partition(".")
    for unknown in (f"{int(epoch, 16) ^ 1:x}.{offset}", f"{epoch}.ffffff"):
        past = await node.history.missed("", [], unknown)
        assert (past.recovered, past.end) == (False, end)


async def test_without_connection_an_append_and_a_read_are_unavailable(start: Start) -> None:
    node = await start()
    await node.broker.close()
    with pytest.raises(Unavailable):
        await node.publish("a", 1)
    with pytest.raises(Unavailable):
        await node.history.newest("", [A], 1)
    with pytest.raises(Unavailable):
        await node.history.confirm([A])


on_redis = pytest.mark.parametrize("engine", ["redis"], indirect=True)


@pytest.fixture
def own_redis() -> Iterator[engines.RedisServer]:
    """A Redis for one test, which may restart it."""
    server = engines.RedisServer("--appendonly", "yes")
    server.start()
    yield server
    server.end()


def redis_cli(server: engines.RedisServer, *command: str) -> str:
    words = [engines.tool("redis-cli"), "-p", str(server.port), *command]
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout


@on_redis
async def test_redis_that_restarts_with_its_data_begins_a_new_log(start: Start, own_redis: engines.RedisServer) -> None:
    """A Redis may lose the last second: earlier ids could then belong to other events."""
    node = await start(own_redis)
    await node.follow(A)
    before = await node.publish("a", 1)
    own_redis.kill()
    own_redis.start()
    await wait_until(lambda: node.lost)
    assert node.lost == [A]
    assert "bellcast" in redis_cli(own_redis, "KEYS", "*")  # the data is there
    assert (await node.history.missed("", [A], before.id or "")).recovered is False
    after = await node.publish("a", 2)
    assert (after.id or "").partition(".")[0] != (before.id or "").partition(".")[0]
    await wait_until(lambda: 2 in node.data)


@on_redis
@pytest.mark.parametrize("loss", ["meta", "events", "order", "floors", "everything"])
async def test_log_that_redis_evicted_in_part_is_not_recovered(
    start: Start, own_redis: engines.RedisServer, loss: str
) -> None:
    node = await start(own_redis, "*=1m/2")
    await node.follow(A)
    ids = [(await node.publish("a", number)).id or "" for number in range(4)]
    assert (await node.history.missed("", [A], ids[1])).recovered
    if loss == "everything":
        redis_cli(own_redis, "FLUSHALL")
    else:
        (key,) = [key for key in redis_cli(own_redis, "KEYS", "*").split() if key.endswith(loss)]
        redis_cli(own_redis, "DEL", key)
    assert (await node.history.missed("", [A], ids[1])).recovered is False
    new = await node.publish("a", "new")
    assert (await node.history.missed("", [A], ids[3])).recovered is False
    await wait_until(lambda: "new" in node.data)
    assert (await node.history.missed("", [A], new.id or "")).recovered
    assert node.lost == []  # its connections received all events


@pytest.mark.parametrize(
    "engine", ["redis", pytest.param("redis-cluster", marks=pytest.mark.thorough), "postgres"], indirect=True
)  # JetStream sweeps by itself
async def test_expired_events_are_removed_also_if_nothing_is_published_later(start: Start) -> None:
    node = await start(None, "*=150s")
    history: Any = node.history
    await node.publish("a", 1)
    sweeping = asyncio.ensure_future(history.run())
    for _ in range(3):
        assert await history._log.sweep("", 0)  # nothing has expired at the time 0
        await wait_until(lambda: history._clock.sleeping == 1)
        history._clock.advance(SWEEP_INTERVAL_SECONDS)
    await wait_until(lambda: history._clock.sleeping == 1)
    assert not await history._log.sweep("", 0)
    sweeping.cancel()


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
async def test_events_of_ended_processes_are_removed_when_they_have_expired(start: Start) -> None:
    ended, node = await start(None, "*=30s"), await start(None, "*=30s")
    await ended.publish("a", 1)
    history: Any = node.history
    sweeping = asyncio.ensure_future(history.run())
    await wait_until(lambda: history._clock.sleeping == 1)
    history._clock.advance(SWEEP_INTERVAL_SECONDS)
    await wait_until(lambda: history._clock.sleeping == 1)
    assert not await history._log.sweep("", 0)  # nothing has expired at the time 0
    sweeping.cancel()


@on_redis
async def test_user_without_scripts_has_no_history(start: Start, own_redis: engines.RedisServer) -> None:
    redis_cli(own_redis, "ACL", "SETUSER", "default", "-@scripting")
    node = await start(own_redis)
    node.broker.follow(A)
    await node.history.clear("", A)  # as for the erasure of a recipient
    assert (await node.history.page("", A, None, 10)).events == ()
    assert (await node.history.newest("", [A], 1)).end is None
    assert (await node.publish("a", 1)).id is None
    assert node.data == [1]


@pytest.fixture
def own_postgres() -> Iterator[engines.PostgresServer]:
    """A PostgreSQL for one test, which may restart it."""
    server = engines.PostgresServer()
    server.start()
    yield server
    server.end()


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
async def test_log_survives_a_restart_of_postgres_and_not_its_loss(
    start: Start, own_postgres: engines.PostgresServer
) -> None:
    node = await start(own_postgres)
    await node.follow(A)
    before = await node.publish("a", 1)
    own_postgres.kill()
    with pytest.raises(Unavailable):
        await node.publish("a", "refused")
    own_postgres.start()
    await wait_until_open(node)
    after = await node.publish("a", 2)
    await wait_until(lambda: node.data == [1, 2])
    assert node.lost == []
    past = await node.history.missed("", [A], before.id or "")
    assert ([event.data for event in past.events], past.recovered) == ([2], True)
    # As after restoring a backup or failing over to a replica, the data has another identity.
    await own_postgres.execute("UPDATE bellcast_live.logs SET server = 'restored'")
    assert (await node.history.missed("", [A], after.id or "")).recovered is False
    await own_postgres.execute("DROP SCHEMA bellcast_live CASCADE")


async def wait_until_open(node: Node) -> None:
    for _ in range(3_000):
        try:
            return await node.broker.ping()
        except Unavailable:
            await asyncio.sleep(0.01)
    raise AssertionError("the broker did not connect")


@pytest.mark.thorough
async def test_user_without_the_right_to_create_tables_has_no_history(own_postgres: engines.PostgresServer) -> None:
    await own_postgres.execute("CREATE ROLE limited LOGIN")
    transport = PostgresTransport(own_postgres.url("postgres").replace("postgres@", "limited@"), "limited")
    broker = RemoteBroker(transport, SystemClock(), AnyEvent)
    log = PostgresLog(transport, "limited", lambda: 10**6)
    history = RemoteHistory(log, broker, FakeClock(), lambda: model.parse_rules(model.DEFAULT_HISTORY))
    received: list[Event] = []
    broker.listen(received.append)
    await broker.open()
    assert (await history.newest("", [A], 1)).end is None
    (event,) = await history.append(LiveEvent("", "n", 1, topic="a"))
    await broker.publish(event)
    assert received == [event]
    await broker.close()


@asynccontextmanager
async def history_in(database: str) -> AsyncIterator[TopicHistory]:
    """The history of a new process, whose broker is a database."""
    transport = PostgresTransport(engines.postgres().url(database), "restored")
    broker = RemoteBroker(transport, SystemClock(), AnyEvent)
    log = PostgresLog(transport, "restored", lambda: 10**6)
    await broker.open()
    try:
        yield RemoteHistory(log, broker, FakeClock(), lambda: model.parse_rules(model.DEFAULT_HISTORY))
    finally:
        await broker.close()


async def test_copy_of_a_database_begins_a_new_log() -> None:
    """The copy and the original give their next events the same offsets."""
    server = engines.postgres()
    await server.make("original")
    async with history_in("original") as history:
        (event,) = await history.append(LiveEvent("", "n", 1, topic="a"))
        assert (await history.missed("", [A], event.id or "")).recovered
    await server.execute('CREATE DATABASE "copied" TEMPLATE "original"')
    async with history_in("copied") as history:
        await history.append(LiveEvent("", "n", 2, topic="a"))
        assert not (await history.missed("", [A], event.id or "")).recovered
    await server.drop("copied")
    await server.drop("original")


async def test_log_ends_on_request_after_a_disk_snapshot() -> None:
    url = await engines.postgres().make("snapshot")
    async with history_in("snapshot") as history:
        (before,) = await history.append(LiveEvent("", "n", 1, topic="a"))
        await postgres_copies.renew_positions(url)
        assert not (await history.missed("", [A], before.id or "")).recovered
        (after,) = await history.append(LiveEvent("", "n", 2, topic="a"))
        assert not (await history.missed("", [A], before.id or "")).recovered
        assert (await history.missed("", [A], after.id or "")).recovered
    await engines.postgres().drop("snapshot")
