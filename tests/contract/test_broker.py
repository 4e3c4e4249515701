"""What every broker promises, within a process and between two."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, NamedTuple

import msgspec
import pytest

from bellcast.brokers.memory import MemoryBroker
from bellcast.brokers.postgres import PostgresTransport
from bellcast.brokers.redis import RedisTransport
from bellcast.brokers.remote import RemoteBroker
from bellcast.model.events import (
    ANNOUNCEMENTS,
    AnnouncementChanged,
    Event,
    LiveEvent,
    Member,
    NotificationAdded,
    PresenceChanged,
    Stream,
    topic_stream,
)
from bellcast.model.inboxes import InboxState
from bellcast.ports import Broker
from bellcast.server.clock import SystemClock
from bellcast.storage import rows
from tests import engines
from tests.contract.app import content

WITHIN = 60  # seconds; milliseconds on an idle machine
ROOM = topic_stream("", "room")


def over_redis() -> Broker:
    return RemoteBroker(RedisTransport(engines.redis().url, "test"), SystemClock())


def over_redis_without_scripts() -> Broker:
    """As somebody whom Redis lets run no scripts."""
    port = engines.redis().port
    rules = ["on", "nopass", "~*", "&*", "+@all", "-@scripting"]
    command = [engines.tool("redis-cli"), "-p", str(port), "ACL", "SETUSER", "plain", *rules]
    subprocess.run(command, check=True, capture_output=True, timeout=WITHIN)
    return RemoteBroker(RedisTransport(f"redis://plain:any@127.0.0.1:{port}/0", "test"), SystemClock())


def over_a_redis_cluster() -> Broker:
    return RemoteBroker(RedisTransport(engines.redis_cluster().url, "test"), SystemClock())


def over_postgres() -> Broker:
    return RemoteBroker(PostgresTransport(engines.postgres().url("postgres"), "test"), SystemClock())


BROKERS: dict[str, Callable[[], Broker]] = {
    "memory": MemoryBroker,
    "redis": over_redis,
    "redis-without-scripts": over_redis_without_scripts,
    "redis-cluster": over_a_redis_cluster,
    "postgres": over_postgres,
}
BETWEEN = [name for name in BROKERS if name != "memory"]


class Node(NamedTuple):
    """One process's end of a broker, and what it heard."""

    broker: Broker
    heard: list[Event]
    unsure: list[Stream]


async def started(name: str) -> Node:
    heard: list[Event] = []
    unsure: list[Stream] = []

    def doubt(streams: Collection[Stream]) -> None:
        unsure.extend(streams)

    broker = BROKERS[name]()
    broker.listen(heard.append, doubt)
    await broker.open()
    await broker.ping()
    return Node(broker, heard, unsure)


@pytest.fixture(params=BROKERS)
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    broker = BROKERS[request.param]()
    await broker.open()
    yield broker
    await broker.close()


@pytest.fixture(params=BETWEEN)
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Node, Node]]:
    one, other = await started(request.param), await started(request.param)
    yield one, other
    await one.broker.close()
    await other.broker.close()


async def until(done: Callable[[], object]) -> None:
    """Wait for what another process does."""

    async def wait() -> None:
        while not done():  # noqa: ASYNC110  what another process did tells no event here
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), WITHIN)


async def follows(node: Node, stream: Stream) -> None:
    """Follow a stream, and wait until the other side is known to carry it here."""
    node.unsure.clear()
    node.broker.follow(stream)
    await until(lambda: stream in node.unsure)


def said(number: int, topic: str = "room") -> Event:
    return LiveEvent(tenant="", name="said", data=number, topic=topic)


async def test_the_listener_hears_every_event_in_order(broker: Broker) -> None:
    heard: list[Event] = []
    broker.listen(heard.append)
    await broker.publish(said(1), said(2))
    await broker.publish(said(3))
    assert heard == [said(1), said(2), said(3)]


async def test_publishing_to_nobody_is_no_error(broker: Broker) -> None:
    await broker.publish(said(1))
    heard: list[Event] = []
    broker.listen(heard.append)
    await broker.publish()
    assert heard == []


async def test_a_closed_broker_tells_nobody(broker: Broker) -> None:
    heard: list[Event] = []
    broker.listen(heard.append)
    await broker.close()
    await broker.publish(said(1))
    assert heard == []


async def test_who_follows_a_stream_hears_another_process_in_order_and_once(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    await follows(other, ROOM)
    await follows(one, ROOM)
    for number in range(0, 200, 2):
        await one.broker.publish(said(number), said(number + 1))
    await until(lambda: said(199) in other.heard)
    assert other.heard == one.heard == [said(number) for number in range(200)]


async def test_who_does_not_follow_a_stream_is_not_bothered_with_it(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    await follows(other, ROOM)
    await one.broker.publish(said(1, "elsewhere"), said(2))
    await until(lambda: other.heard)
    assert other.heard == [said(2)]


async def test_followers_are_counted(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    other.broker.follow(ROOM)
    await follows(other, topic_stream("", "hall"))
    other.broker.follow(ROOM)
    other.broker.unfollow(ROOM)
    await follows(other, topic_stream("", "yard"))
    await one.broker.publish(said(1), said(2, "hall"))
    await until(lambda: len(other.heard) == 2)
    assert said(1) in other.heard  # the two streams may be carried by different servers
    assert said(2, "hall") in other.heard
    other.broker.unfollow(ROOM)
    await follows(other, topic_stream("", "attic"))
    await one.broker.publish(said(3), said(4, "hall"))
    await until(lambda: said(4, "hall") in other.heard)
    assert said(3) not in other.heard


async def test_announcements_reach_every_process(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    assert ANNOUNCEMENTS in other.unsure
    await one.broker.publish(AnnouncementChanged("acme", "room"))
    await until(lambda: other.heard)
    assert other.heard == [AnnouncementChanged("acme", "room")]


async def test_equal_events_are_told_as_often_as_they_are_said(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    await follows(other, ROOM)
    await one.broker.publish(said(1), said(1), said(1))
    await one.broker.publish(said(2))
    await until(lambda: said(2) in other.heard)
    assert other.heard == [said(1), said(1), said(1), said(2)]


async def test_every_kind_and_size_arrives_as_it_was_sent(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
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
        await follows(other, stream)
    await one.broker.publish(*events)
    await until(lambda: len(other.heard) == len(events))
    for stream in streams:
        assert [one for one in other.heard if one.stream == stream] == [one for one in events if one.stream == stream]


async def test_what_a_newer_version_tells_is_passed_over(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    await follows(other, ROOM)
    relay: Any = one.broker
    relay._outgoing.append((ROOM, relay._origin + msgspec.msgpack.encode({"kind": "of-the-future", "more": 1})))
    await one.broker.publish(said(1))
    await until(lambda: other.heard)
    assert other.heard == [said(1)]


@pytest.mark.parametrize("name", BETWEEN)
async def test_a_thousand_streams_are_followed_at_once(name: str) -> None:
    one, other = await started(name), await started(name)
    streams = [topic_stream("", f"room{number}") for number in range(1_000)]
    for stream in streams:
        other.broker.follow(stream)
    await until(lambda: set(streams) <= set(other.unsure))
    await one.broker.publish(*(said(number, f"room{number}") for number in range(1_000)))
    await until(lambda: len(other.heard) == 1_000)
    await one.broker.close()
    await other.broker.close()


async def test_a_listener_that_raises_fails_neither_the_publisher_nor_later_events(broker: Broker) -> None:
    heard: list[Event] = []

    def listener(event: Event) -> None:
        heard.append(event)
        if event == said(1):
            raise RuntimeError("a bug in a listener")

    broker.listen(listener)
    await broker.publish(said(1), said(2))
    await broker.publish(said(3))
    assert heard == [said(1), said(2), said(3)]


async def test_a_listener_that_raises_on_an_event_of_another_process_hears_the_next(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    await follows(other, ROOM)

    def listener(event: Event) -> None:
        other.heard.append(event)
        raise RuntimeError("a bug in a listener")

    other.broker.listen(listener)
    await one.broker.publish(said(1))
    await one.broker.publish(said(2))
    await until(lambda: len(other.heard) == 2)
    assert other.heard == [said(1), said(2)]


@pytest.mark.parametrize("data", [2**64, object(), "\ud800"], ids=["integer", "object", "surrogate"])
async def test_data_that_cannot_be_carried_fails_neither_the_publisher_nor_later_events(
    nodes: tuple[Node, Node], data: Any
) -> None:
    one, other = nodes
    await follows(other, ROOM)
    bad = LiveEvent(tenant="", name="said", data=data, topic="room")
    await one.broker.publish(bad, said(2))
    assert one.heard == [bad, said(2)]
    await until(lambda: other.heard)
    assert other.heard == [said(2)]
