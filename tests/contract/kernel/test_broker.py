"""The contract of every broker, within a process and between two."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, NamedTuple

import msgspec
import pytest
from redis.asyncio import ConnectionPool

from bellcast.inbox.store import rows
from bellcast.inbox.types.inboxes import AnnouncementChanged, InboxState, NotificationAdded
from bellcast.kernel.brokers import KEPT_PREFIX, Broker, MemoryBroker
from bellcast.kernel.brokers.nats import NatsTransport
from bellcast.kernel.brokers.postgres import PostgresTransport
from bellcast.kernel.brokers.redis import MAX_COMMANDS, PLAIN, RedisTransport, Shard
from bellcast.kernel.brokers.remote import RemoteBroker
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import ANNOUNCEMENTS, Event, LiveEvent, Stream, topic_stream
from bellcast.live.types import AnyEvent, PresenceChanged
from bellcast.topics.types import Member
from tests import engines
from tests.contract.app import content

TIMEOUT = 60  # seconds; milliseconds on an idle machine
ROOM = topic_stream("", "room")


def over_redis() -> Broker:
    return RemoteBroker(RedisTransport(engines.redis().url, "test"), SystemClock(), AnyEvent)


def over_redis_without_scripts() -> Broker:
    """A broker with a Redis user that may not run scripts."""
    port = engines.redis().port
    rules = ["on", "nopass", "~*", "&*", "+@all", "-@scripting"]
    command = [engines.tool("redis-cli"), "-p", str(port), "ACL", "SETUSER", "plain", *rules]
    subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT)
    return RemoteBroker(RedisTransport(f"redis://plain:any@127.0.0.1:{port}/0", "test"), SystemClock(), AnyEvent)


def over_a_redis_cluster() -> Broker:
    return RemoteBroker(RedisTransport(engines.redis_cluster().url, "test"), SystemClock(), AnyEvent)


def over_postgres() -> Broker:
    return RemoteBroker(PostgresTransport(engines.postgres().url("postgres"), "test"), SystemClock(), AnyEvent)


def over_nats() -> Broker:
    return RemoteBroker(NatsTransport(engines.nats().url, "test"), SystemClock(), AnyEvent)


def over_a_nats_cluster() -> Broker:
    return RemoteBroker(NatsTransport(engines.nats_cluster().url, "test"), SystemClock(), AnyEvent)


BROKERS: dict[str, Callable[[], Broker]] = {
    "memory": MemoryBroker,
    "redis": over_redis,
    "redis-without-scripts": over_redis_without_scripts,
    "redis-cluster": over_a_redis_cluster,
    "postgres": over_postgres,
    "nats": over_nats,
    "nats-cluster": over_a_nats_cluster,
}
ALL_BROKERS = [
    pytest.param(name, marks=[pytest.mark.thorough] if name.endswith("-cluster") else []) for name in BROKERS
]
_, *REMOTE_BROKERS = ALL_BROKERS


class Node(NamedTuple):
    """One process's connection to a broker, and its received events."""

    broker: Broker
    received: list[Event]
    suspect: list[Stream]


async def start_node(name: str) -> Node:
    received: list[Event] = []
    suspect: list[Stream] = []

    def on_gap(streams: Collection[Stream]) -> None:
        suspect.extend(streams)

    broker = BROKERS[name]()
    broker.listen(received.append, on_gap)
    await broker.open()
    await broker.ping()
    return Node(broker, received, suspect)


@pytest.fixture(params=ALL_BROKERS)
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    broker = BROKERS[request.param]()
    await broker.open()
    yield broker
    await broker.close()


@pytest.fixture(params=REMOTE_BROKERS)
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Node, Node]]:
    first, second = await start_node(request.param), await start_node(request.param)
    for node in (first, second):
        await wait_until_forwarded(node, ROOM, expected=False)  # the nodes of the test before have gone
    yield first, second
    await first.broker.close()
    await second.broker.close()


async def wait_until(is_done: Callable[[], object]) -> None:
    """Wait for an effect in another process."""

    async def wait() -> None:
        while not is_done():  # noqa: ASYNC110 - another process signals nothing to wait for
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), TIMEOUT)


async def follow_and_wait(node: Node, stream: Stream, publisher: Node) -> None:
    """Follow a stream and wait until messages of the publisher reach the node."""
    node.suspect.clear()
    node.broker.follow(stream)
    await wait_until(lambda: stream in node.suspect)
    await wait_until_forwarded(publisher, stream)


async def wait_until_forwarded(publisher: Node, stream: Stream, expected: bool = True) -> None:
    """Wait until the publisher's server knows that there is a follower, or none. In a NATS cluster, this is after the follower's server
    has confirmed the subscription: 9 of 3,000 messages that were published at once were lost between two servers."""
    transport = getattr(publisher.broker, "transport", None)
    if not isinstance(transport, NatsTransport):
        return
    for _ in range(10_000):
        request = transport.request(transport.subject(stream))  # refused without a follower, else ignored as malformed
        await transport.fence()
        is_refused = not request.replies.empty()
        if is_refused != expected:
            return
    raise AssertionError(f"the servers of NATS have not exchanged the subscription to {stream}")


def live_event(number: int, topic: str = "room") -> Event:
    return LiveEvent(tenant="", name="said", data=number, topic=topic)


async def test_listener_receives_every_event_in_order(broker: Broker) -> None:
    received: list[Event] = []
    broker.listen(received.append)
    await broker.publish(live_event(1), live_event(2))
    await broker.publish(live_event(3))
    assert received == [live_event(1), live_event(2), live_event(3)]


async def test_publishing_without_listeners_raises_no_error(broker: Broker) -> None:
    await broker.publish(live_event(1))
    received: list[Event] = []
    broker.listen(received.append)
    await broker.publish()
    assert received == []


async def test_closed_broker_delivers_no_event(broker: Broker) -> None:
    received: list[Event] = []
    broker.listen(received.append)
    await broker.close()
    await broker.publish(live_event(1))
    assert received == []


async def test_follower_receives_events_of_another_process_once_and_in_order(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    await follow_and_wait(second, ROOM, first)
    await follow_and_wait(first, ROOM, second)
    for number in range(0, 200, 2):
        await first.broker.publish(live_event(number), live_event(number + 1))
    await wait_until(lambda: live_event(199) in second.received)
    assert second.received == first.received == [live_event(number) for number in range(200)]
    assert first.broker.counts()["broker_messages"]["sent", "event"] == 200
    assert second.broker.counts() == {"broker_messages": {("received", "event"): 200}, "broker_reconnects": {(): 0}}


async def test_node_receives_no_events_of_streams_it_does_not_follow(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    await follow_and_wait(second, ROOM, first)
    await first.broker.publish(live_event(1, "elsewhere"), live_event(2))
    await wait_until(lambda: second.received)
    assert second.received == [live_event(2)]


async def test_follows_of_one_stream_are_counted(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    second.broker.follow(ROOM)
    await follow_and_wait(second, topic_stream("", "hall"), first)
    second.broker.follow(ROOM)
    second.broker.unfollow(ROOM)
    await follow_and_wait(second, topic_stream("", "yard"), first)
    await first.broker.publish(live_event(1), live_event(2, "hall"))
    await wait_until(lambda: len(second.received) == 2)
    assert live_event(1) in second.received  # the two streams may be on different servers
    assert live_event(2, "hall") in second.received
    second.broker.unfollow(ROOM)
    await follow_and_wait(second, topic_stream("", "attic"), first)
    await first.broker.publish(live_event(3), live_event(4, "hall"))
    await wait_until(lambda: live_event(4, "hall") in second.received)
    assert live_event(3) not in second.received


async def test_announcements_reach_every_process(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    assert ANNOUNCEMENTS in second.suspect
    await wait_until_forwarded(first, ANNOUNCEMENTS)
    await first.broker.publish(AnnouncementChanged("acme", "room"))
    await wait_until(lambda: second.received)
    assert second.received == [AnnouncementChanged("acme", "room")]


async def test_equal_events_are_delivered_as_often_as_published(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    await follow_and_wait(second, ROOM, first)
    await first.broker.publish(live_event(1), live_event(1), live_event(1))
    await first.broker.publish(live_event(2))
    await wait_until(lambda: live_event(2) in second.received)
    assert second.received == [live_event(1), live_event(1), live_event(1), live_event(2)]


async def test_every_event_type_and_size_is_delivered_unchanged(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    state = InboxState("acme", "alice", 2**47, 3, 1, 1)
    long = rows.new_notification(
        "id", content(body="ü" * 10_000, data={"text": "x" * 16_000}, tags=("a", "b")), 1_750_000_000_123
    )
    events: list[Event] = [
        NotificationAdded(state, long),
        PresenceChanged(tenant="acme", topic="room", joined=(Member("alice", info={"a": [1, None]}),), sender="c"),
        LiveEvent(tenant="acme", name="n", data={"deep": [1.5, "ö", None, True]}, topic="room", text='{"a":1}'),
    ]
    streams = {event.stream for event in events}
    for stream in streams:
        await follow_and_wait(second, stream, first)
    await first.broker.publish(*events)
    await wait_until(lambda: len(second.received) == len(events))
    for stream in streams:
        assert [event for event in second.received if event.stream == stream] == [
            event for event in events if event.stream == stream
        ]


async def test_events_of_a_newer_version_are_ignored(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    await follow_and_wait(second, ROOM, first)
    relay: Any = first.broker
    relay._outgoing.append((ROOM, relay._origin + msgspec.msgpack.encode({"kind": "of-the-future", "more": 1})))
    await first.broker.publish(live_event(1))
    await wait_until(lambda: second.received)
    assert second.received == [live_event(1)]


@pytest.mark.parametrize("message", [b"", b"short", KEPT_PREFIX + b"no end", KEPT_PREFIX + b"\xff\0", b"x" * 100])
async def test_malformed_messages_are_ignored(nodes: tuple[Node, Node], message: bytes) -> None:
    """The loss of the connection for each would let others interrupt every node."""
    first, second = nodes
    await follow_and_wait(second, ROOM, first)
    second.suspect.clear()
    relay: Any = first.broker
    relay._outgoing.append((ROOM, message))
    await first.broker.publish(live_event(1))
    await wait_until(lambda: second.received)
    assert (second.received, second.suspect) == ([live_event(1)], [])


@pytest.mark.parametrize("name", REMOTE_BROKERS)
async def test_a_thousand_streams_can_be_followed_together(name: str) -> None:
    first, second = await start_node(name), await start_node(name)
    streams = [topic_stream("", f"room{number}") for number in range(1_000)]
    for stream in streams:
        second.broker.follow(stream)
    await wait_until(lambda: set(streams) <= set(second.suspect))
    for stream in streams:
        await wait_until_forwarded(first, stream)
    await first.broker.publish(*(live_event(number, f"room{number}") for number in range(1_000)))
    await wait_until(lambda: len(second.received) == 1_000)
    await first.broker.close()
    await second.broker.close()


@pytest.mark.parametrize("data", [2**64, object(), "\ud800"], ids=["integer", "object", "surrogate"])
async def test_unencodable_event_fails_neither_the_publisher_nor_later_events(
    nodes: tuple[Node, Node], data: Any
) -> None:
    first, second = nodes
    await follow_and_wait(second, ROOM, first)
    bad = LiveEvent(tenant="", name="said", data=data, topic="room")
    await first.broker.publish(bad, live_event(2))
    assert first.received == [bad, live_event(2)]
    await wait_until(lambda: second.received)
    assert second.received == [live_event(2)]


async def test_stream_that_is_unfollowed_before_its_subscription_can_be_followed_later(
    nodes: tuple[Node, Node],
) -> None:
    first, second = nodes
    first.broker.follow(ROOM)
    first.broker.unfollow(ROOM)
    await follow_and_wait(first, topic_stream("", "other"), second)  # the batch of subscriptions is complete
    await follow_and_wait(first, ROOM, second)
    event = LiveEvent("", "n", 1, topic="room")
    await second.broker.publish(event)
    await wait_until(lambda: event in first.received)


async def test_command_that_connects_while_its_shard_closes_leaves_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = ConnectionPool.from_url(engines.redis().url)
    shard = Shard(pool, PLAIN)
    connect, may_connect = pool.connection_class.connect, asyncio.Event()

    async def connect_later(connection: Any) -> None:
        await may_connect.wait()
        await connect(connection)

    monkeypatch.setattr(pool.connection_class, "connect", connect_later)
    pinging = asyncio.ensure_future(shard.ping(writes=False))
    await asyncio.sleep(0)
    await shard.close()
    may_connect.set()
    await asyncio.gather(pinging, return_exceptions=True)
    connections = [*pool._available_connections, *pool._in_use_connections]
    assert [one for one in connections if one.is_connected] == []


async def test_command_does_not_wait_for_minutes_behind_others_of_a_redis_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bellcast.kernel.brokers.redis.COMMAND_TIMEOUT", 0.05)
    shard = Shard(ConnectionPool.from_url(engines.redis().url), PLAIN)
    forever = asyncio.Event()
    monkeypatch.setattr(shard._redis, "ping", forever.wait)
    hanging = [asyncio.ensure_future(shard.ping(writes=False)) for _ in range(MAX_COMMANDS)]
    with pytest.raises(Unavailable, match="does not respond"):
        await asyncio.wait_for(shard.ping(writes=False), TIMEOUT)
    forever.set()
    await asyncio.gather(*hanging)
    await shard.ping(writes=False)
    await shard.close()
