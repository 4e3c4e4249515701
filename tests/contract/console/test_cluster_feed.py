"""A watcher of one node sees the events of all nodes, over every broker, and uses no resources of the other nodes after it has disconnected."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from bellcast.console import watchers
from bellcast.console.watchers import EVENTS_PER_SECOND, ClusterFeed, LiveFeed, Watcher
from bellcast.kernel.brokers import Broker, MemoryBroker
from bellcast.kernel.clock import Clock, SystemClock
from bellcast.kernel.concurrency import BackgroundTasks
from bellcast.kernel.errors import TooMany
from bellcast.kernel.events import Event, node_stream
from bellcast.live.cluster import members
from bellcast.live.types import FeedBatch, FeedWatches
from bellcast.live_feed import FeedEvent, FeedFilter, FeedKind, SkippedEvents, filter_of
from tests.clock import FakeClock
from tests.contract.kernel.test_broker import BROKERS, REMOTE_BROKERS, wait_until

EVERYTHING = filter_of([], None)


class Node:
    """The feed of one process, and its connection to a broker."""

    def __init__(self, name: str, broker: Broker, clock: Clock) -> None:
        self.id = name
        self.others: dict[str, members.Node] = {}
        self.broker = broker
        self.tasks = BackgroundTasks()
        self.local = LiveFeed(lambda: clock.now() / 1000)
        self.received: list[Event] = []
        self.feed = ClusterFeed(self.local, broker, clock, self, self.tasks.spawn)
        self.watches = AsyncExitStack()

    async def start(self) -> None:
        self.broker.listen(self._receive, lambda streams: None)
        await self.broker.open()
        await self.broker.ping()
        for stream in (FeedWatches("", ()).stream, node_stream(self.id)):
            self.broker.follow(stream)

    def _receive(self, event: Event) -> None:
        self.received.append(event)
        assert isinstance(event, FeedWatches | FeedBatch)
        self.feed.receive(event)

    def emit(self, text: str, kind: FeedKind = "send", **fields: Any) -> None:
        self.local.emit(FeedEvent(kind=kind, at=1_750_000_000_000, text=text, **fields))

    async def watch(self, wanted: FeedFilter, last: int = 0) -> Watcher:
        """Watch until the node stops, or its watches are closed."""
        return await self.watches.enter_async_context(self.feed.watch(wanted, last))

    async def stop(self) -> None:
        await self.watches.aclose()
        await self.tasks.close()
        await self.broker.close()


@asynccontextmanager
async def pair(make: Callable[[], Broker], clock: Clock | None = None) -> AsyncIterator[tuple[Node, Node]]:
    one, two = (Node(name, make(), clock or SystemClock()) for name in ("one", "two"))
    for node in (one, two):
        await node.start()
    one.others, two.others = {"two": members.Node()}, {"one": members.Node()}
    try:
        yield one, two
    finally:
        for node in (one, two):
            await node.stop()


@pytest.fixture(params=REMOTE_BROKERS)
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Node, Node]]:
    async with pair(BROKERS[request.param]) as started:
        yield started


async def watch(node: Node, other: Node, last: int = 0, **wanted: Any) -> Watcher:
    """Watch once the subscriptions of both nodes are in force."""
    while True:
        watching = await node.watch(filter_of([], None, **wanted), last)
        if other.local.is_watched and not watching.awaited:
            return watching
        await node.watches.aclose()


async def read(watching: Watcher, count: int) -> list[FeedEvent]:
    found: list[FeedEvent] = []
    async for batch in watching.batches():
        found += [one for one in batch if isinstance(one, FeedEvent)]
        if len(found) >= count:
            return found
    raise AssertionError("the watch ended")


async def test_watcher_sees_the_events_of_both_nodes_that_it_selects(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    watching = await watch(one, two, tenant="acme")
    two.emit("elsewhere", tenant="globex")
    for number in range(20):
        two.emit(f"there {number}", tenant="acme", fields={"data": {"number": number}})
    one.emit("here", tenant="acme")
    found = await read(watching, 21)
    assert [event.text for event in found if event.node == "two"] == [f"there {number}" for number in range(20)]
    assert [event.text for event in found if event.node is None] == ["here"]
    assert {event.fields["data"]["number"] for event in found if event.node == "two"} == set(range(20))


async def test_recent_events_of_both_nodes_come_first_and_in_order(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    for at, node in ((1, one), (2, two), (3, one), (4, two)):
        node.local.emit(FeedEvent(kind="send", at=at, text=str(at)))
    found = await read(await watch(one, two, last=3), 3)
    assert [(event.text, event.node) for event in found] == [("2", "two"), ("3", None), ("4", "two")]


async def test_nodes_send_nothing_after_the_last_watcher_left(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    await watch(one, two)
    assert two.local.is_watched
    await one.watches.aclose()
    await wait_until(lambda: not two.local.is_watched)
    assert not one.local.is_watched
    received = len(one.received)
    two.emit("unseen")
    again = await watch(one, two)
    two.emit("seen")
    (event,) = await read(again, 1)
    assert event.text == "seen"
    batches = [one for one in one.received[received:] if isinstance(one, FeedBatch)]
    assert [len(batch.events) for batch in batches if not batch.is_first] == [1]


class LinkedBroker(MemoryBroker):
    """Delivers to the brokers of both nodes by function call."""

    def __init__(self, brokers: "list[LinkedBroker]") -> None:
        super().__init__()
        self.brokers = brokers
        self.published: list[Event] = []
        brokers.append(self)

    async def publish(self, *events: Event) -> None:
        self.published += events
        for event in events:
            for broker in self.brokers:
                broker.deliver(event)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def linked(clock: FakeClock) -> AsyncIterator[tuple[Node, Node]]:
    brokers: list[LinkedBroker] = []
    async with pair(lambda: LinkedBroker(brokers), clock) as started:
        yield started


def published(node: Node) -> list[Event]:
    assert isinstance(node.broker, LinkedBroker)
    return node.broker.published


async def test_events_without_a_watcher_are_not_published(linked: tuple[Node, Node]) -> None:
    one, two = linked
    two.emit("unseen")
    await asyncio.sleep(0)
    assert published(one) == published(two) == []


async def test_watches_are_announced_again_and_end_with_their_node(linked: tuple[Node, Node], clock: FakeClock) -> None:
    one, two = linked
    await watch(one, two, last=7)
    one.tasks.spawn_loop("feed", one.feed.run)
    two.tasks.spawn_loop("feed", two.feed.run)
    for _ in range(5):
        await tick(clock, watchers.ANNOUNCE_SECONDS)
    assert two.local.is_watched
    announced = [event for event in published(one) if isinstance(event, FeedWatches)]
    assert [watch.last for event in announced for watch in event.watches] == [7, 0, 0, 0, 0, 0]
    assert isinstance(two.broker, LinkedBroker)
    two.broker.brokers.clear()  # the network between the nodes is cut
    await tick(clock, watchers.ANNOUNCE_SECONDS)
    assert two.local.is_watched
    two.others = {}
    await tick(clock, watchers.ANNOUNCE_SECONDS)
    assert not two.local.is_watched


async def tick(clock: FakeClock, seconds: float) -> None:
    """Advance the clock once the loops of both nodes wait for it, and let them run."""
    await wait_until(lambda: clock.sleeping == 2)
    clock.advance(seconds)
    await wait_until(lambda: clock.sleeping == 2)


async def test_omitted_events_of_all_nodes_are_counted_together(linked: tuple[Node, Node], clock: FakeClock) -> None:
    one, two = linked
    watching = await watch(one, two)
    for number in range(EVENTS_PER_SECOND + 30):
        two.emit(str(number), "publish", trace=str(number))
    for number in range(5):
        one.emit(str(number))
    reading = asyncio.ensure_future(skipped(watching))
    await wait_until(lambda: sum(len(one.events) for one in published(two) if isinstance(one, FeedBatch)) >= 200)
    clock.advance(1)
    two.emit("next second", trace="next")
    await wait_until(lambda: any(one.skipped for one in published(two) if isinstance(one, FeedBatch)))
    clock.advance(1)
    assert await asyncio.wait_for(reading, 10) == SkippedEvents(35, {"publish": 35})


async def skipped(watching: Watcher) -> SkippedEvents:
    """Return the number of omitted events of a watch, once it reaches the number that this test omits."""
    by: dict[str, int] = {}
    async for batch in watching.batches():
        for one in batch:
            if isinstance(one, SkippedEvents):
                by |= {kind: by.get(kind, 0) + count for kind, count in one.by.items()}
        if sum(by.values()) >= 35:
            return SkippedEvents(sum(by.values()), by)
    raise AssertionError("the watch ended")


@pytest.mark.parametrize("value", [2**70, object(), "x" * 40_000], ids=["integer", "object", "large"])
async def test_event_that_cannot_be_sent_loses_its_fields_only(linked: tuple[Node, Node], value: Any) -> None:
    one, two = linked
    watching = await watch(one, two)
    two.emit("odd", fields={"value": value})
    two.emit("even", fields={"value": 1})
    found = await read(watching, 2)
    assert [(event.text, event.fields) for event in found] == [("odd", {}), ("even", {"value": 1})]


async def test_events_of_a_newer_version_are_omitted(linked: tuple[Node, Node]) -> None:
    one, two = linked
    watching = await watch(one, two)
    newer = b"\x82\xa4kind\xa6future\xa2at\x01"
    (announced, *_) = [event for event in published(one) if isinstance(event, FeedWatches)]
    one.feed.receive(FeedBatch("one", "two", announced.watches[0].id, (newer,)))
    two.emit("seen")
    assert [event.text for event in await read(watching, 1)] == ["seen"]


async def test_watchers_beyond_the_limit_are_refused_until_one_leaves(linked: tuple[Node, Node]) -> None:
    one, _ = linked
    for _ in range(watchers.MAX_WATCHERS - 1):
        await one.watch(EVERYTHING)
    async with one.feed.watch(EVERYTHING, 0):
        with pytest.raises(TooMany):
            await one.watch(EVERYTHING)
    await one.watch(EVERYTHING)


async def test_watch_begins_without_a_node_that_does_not_reply(
    linked: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = linked
    monkeypatch.setattr(watchers, "REPLY_TIMEOUT", 0.01)
    one.others["dead"] = members.Node()
    watching = await one.watch(EVERYTHING)
    one.emit("here")
    assert [event.text for event in await read(watching, 1)] == ["here"]
