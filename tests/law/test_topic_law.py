"""Topics: a client that deduplicates nothing receives each stored event once and in order, under any cuts, on any node; or its
`ready` has `recovered: false`.

`python -m tests.law.test_topic_law 1000` checks as many seeds on every engine."""

import asyncio
import itertools
import json
import random
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, cast

import pytest

from bellcast.auth.permissions import Grant
from bellcast.inbox.types.inboxes import InboxState, NotificationAdded
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.brokers import history as model
from bellcast.kernel.brokers import nats_wire as wire
from bellcast.kernel.brokers.history import MemoryHistory, TopicHistory
from bellcast.kernel.brokers.nats import NatsTransport
from bellcast.kernel.brokers.remote import RemoteBroker
from bellcast.kernel.clock import SteadyClock, SystemClock
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import Event, LiveEvent, Stream, topic_stream
from bellcast.kernel.identities import Principal
from bellcast.live import resume
from bellcast.live.connection import Phase
from bellcast.live.connection.dialect import Payload
from bellcast.live.hub import Hub
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.presence import PresenceTracker
from bellcast.live.native import protocol
from tests.clock import FakeClock
from tests.contract.kernel.test_broker import wait_until
from tests.contract.kernel.test_nats_history import lose_messages
from tests.contract.kernel.test_topic_history import shared_history
from tests.thoroughness import sampled
from tests.unit.live.fakes import FakeConnection, connect, messages, notification

ENGINES = ["memory", "redis", "postgres", "nats", "nats-cluster"]
RULES = model.parse_rules(["short=1m/4", "*=1m"])
TOPICS = ["short", "long", "quiet"]
STEPS = 40
# Small enough that some replays are paced and that busy seeds reach the limit.
LIMIT_BYTES = 20_000
Offset = tuple[int, int]  # epoch and offset

tenants = (f"law{number}" for number in itertools.count())
projects = itertools.count()


class LawNode:
    """One process without a server: its hub and history."""

    def __init__(self, hub: Hub, broker: MemoryBroker | RemoteBroker, history: TopicHistory) -> None:
        self.hub, self.broker, self.history = hub, broker, history
        broker.listen(self.dispatch)
        history.listen(self.close_followers)

    def dispatch(self, event: Event) -> None:
        self.hub.dispatch(event)

    def close_followers(self, streams: Collection[Stream]) -> None:
        for connection, end in self.hub.history_holds.hold_followers(streams).items():
            self.hub.end(connection, end)

    async def publish(self, *events: LiveEvent) -> tuple[LiveEvent, ...]:
        published = await self.history.append(*events)
        await self.broker.publish(*published)
        return published

    async def change_leader(self, tenant: str) -> None:
        """Let another server of a NATS cluster lead the tenant's log."""
        if isinstance(self.broker, RemoteBroker) and isinstance(transport := self.broker.transport, NatsTransport):
            subject = f"{transport.prefix.decode()}.log.{wire.token(tenant).decode()}.>"
            with suppress(Unavailable):
                reply = await transport.request(b"$JS.API.STREAM.NAMES", wire.encode_json({"subject": subject})).reply()
                for name in json.loads(reply.payload)["streams"] or []:
                    await transport.request(f"$JS.API.STREAM.LEADER.STEPDOWN.{name}".encode()).reply()

    async def cut_off(self, rng: random.Random) -> None:
        """Interrupt the subscriptions of this node."""
        if isinstance(self.broker, RemoteBroker):
            try:
                await self.broker.ping()
            except Unavailable:
                return
            if rng.random() < 0.5:
                self.broker.reconnect()
            else:
                await self.broker.transport.close()


@asynccontextmanager
async def law_nodes(engine: str, clock: FakeClock) -> AsyncIterator[list[LawNode]]:
    nodes = []
    project = f"topiclaw{next(projects)}"
    for _ in range(1 if engine == "memory" else 3):
        broker: MemoryBroker | RemoteBroker = MemoryBroker()
        history: TopicHistory = MemoryHistory(clock, lambda: RULES, lambda: LIMIT_BYTES)
        if engine != "memory":
            broker, history = shared_history(engine, project, clock, RULES, LIMIT_BYTES)
        hub = Hub(PresenceTracker(tuple), broker, SystemClock(), SteadyClock(), HubCallbacks(), history)
        nodes.append(LawNode(hub, broker, history))
        await broker.open()
    yield nodes
    for node in nodes:
        await node.broker.close()


class LawClient:
    """A client over one transport. It handles frames in order and stores only the last id."""

    def __init__(self, law: "TopicHistories", name: str) -> None:
        self.law, self.rng, self.name = law, law.rng, name
        self.is_sse = law.rng.random() < 0.5
        self.topics = law.rng.sample(TOPICS, law.rng.randint(1, len(TOPICS)))
        self.joined: dict[
            str, Offset
        ] = {}  # topics that the app's handlers chose; later events of the same log are expected
        self.rejoined: tuple[str, ...] = ()  # those that its last connection began with
        self.position: str | None = None
        self.base: Offset | None = None  # events after it are expected
        self.received: list[Offset] = []  # since `base`
        self.own: set[str] = set()  # the ids of its connections
        self.connection: FakeConnection | None = None
        self.node: LawNode | None = None
        self.handled = 0
        self.recoveries = self.resets = 0

    # --- connection

    async def connect(self, node: LawNode) -> None:
        """Connect as the native handshake does."""
        id = f"{self.name}-{len(self.own)}"
        self.own.add(id)
        principal = Principal(tenant=self.law.tenant, recipient=self.name)
        dialect = protocol.SSE_PLAIN if self.is_sse else protocol.WEBSOCKET
        limit = self.rng.choice([0, 300])
        connection = connect(node.hub, id, principal, phase=Phase.OPENING, dialect=dialect, max_unsent=limit)
        self.connection, self.handled, self.node = connection, 0, node
        joined = tuple(self.joined)
        self.rejoined = joined
        replay = await resume.read(node.hub, connection, self.topics, self.position, 0, joined=joined)
        if connection.phase is Phase.CLOSED:
            return
        node.hub.subscriptions.follow(connection, dict.fromkeys((*self.topics, *joined), Grant.APP))
        fields = {"id": replay.start, "recovered": replay.recovered}
        ready = dialect.encode_frame(Payload("ready", fields))
        connection.write(ready if replay.recovered else connection.marked(ready))
        await resume.send(node.hub, connection, replay)
        connection.go_live()

    async def join(self, node: LawNode) -> None:
        """Join another topic, as a handler of the app does."""
        connection, others = self.connection, [topic for topic in TOPICS if topic not in (*self.topics, *self.joined)]
        if connection is None or connection.phase is not Phase.LIVE or not others:
            return
        topic = self.rng.choice(others)
        await resume.confirm(node.hub, connection, (topic,))
        node.hub.subscriptions.follow(connection, {topic: Grant.APP})
        try:
            end = _offset((await node.history.newest(self.law.tenant, [], 0)).end)
        except Unavailable:
            end = None
        if connection is self.connection and connection.phase is not Phase.CLOSED and end is not None:
            self.joined[topic] = end
        else:
            node.hub.subscriptions.unfollow(connection, (topic,))

    def cut(self) -> None:
        """Lose the connection and some of the frames that were sent."""
        if self.connection is not None:
            waiting = len(self.connection.fake.written) - self.handled
            self.handle(self.rng.randint(0, waiting))
            self.connection.connection_lost(None)
            self.connection = None

    @property
    def is_connected(self) -> bool:
        return self.connection is not None and self.connection.phase is not Phase.CLOSED

    # --- frames

    @property
    def written(self) -> list[bytes]:
        return [] if self.connection is None else self.connection.fake.written

    def handle(self, count: int | None = None) -> None:
        """Handle the next frames, by default all."""
        if self.connection is None:
            return
        written = self.connection.fake.written
        end = len(written) if count is None else self.handled + count
        for data in written[self.handled : end]:
            self.receive(*(_sse_frame(data) if self.is_sse else _message(data)))
        self.handled = end
        self.check()

    def receive(self, frame: dict[str, Any], id: str | None) -> None:
        match frame["type"]:
            case "ready" if frame["recovered"]:
                self.recoveries += 1
            case "ready":
                self.resets += 1
                self.position, self.received = id, []
                self.base = _offset(id)
                if self.base is not None:  # what it joined in an earlier log is followed from here
                    earlier = [one for one in self.rejoined if self.joined[one][0] != self.base[0]]
                    self.joined |= dict.fromkeys(earlier, self.base)
            case "event":
                event_id = _offset(frame["id"])
                assert event_id is not None
                if self.received:
                    last = self.received[-1]
                    assert event_id[0] != last[0] or event_id > last, f"{self.name}: {event_id} after {last}"
                assert frame["topic"] in TOPICS
                if self.base is None:  # it connected while the log was unavailable
                    self.base = event_id
                self.received.append(event_id)
                self.position = id
            case _:
                self.position = id or self.position

    def check(self) -> None:
        """Every event between the base and the client's own position was received, and each once."""
        assert len(set(self.received)) == len(self.received)
        if self.base is not None and (position := _offset(self.position)) is not None:
            missing = self.missing(position)
            assert not missing, f"{self.name} missed {missing} of {self.topics} up to {position}"

    def missing(self, end: Offset) -> list[Offset]:
        """Return the events after the base, up to `end`, that were not received."""
        assert self.base is not None
        return [
            id
            for id, event in self.law.log.items()
            if (event.topic in self.topics or self.has_joined(event.topic, id))
            and event.sender not in self.own
            and id[0] == self.base[0]
            and self.base < id <= end
            and id not in self.received
        ]

    def has_joined(self, topic: str, id: Offset) -> bool:
        """True if the client joined a topic before this event of the same log."""
        joined = self.joined.get(topic)
        return joined is not None and joined[0] == id[0] and id > joined


class TopicHistories:
    """A random history: clients that connect and disconnect, publishers, interruptions, other leaders, and the time."""

    def __init__(self, nodes: list[LawNode], clock: FakeClock, seed: int) -> None:
        self.nodes, self.clock, self.rng = nodes, clock, random.Random(seed)
        self.tenant = next(tenants)
        self.log: dict[Offset, LiveEvent] = {}
        self.clients = [LawClient(self, f"client{number}") for number in range(3)]
        self.revisions = dict.fromkeys((client.name for client in self.clients), 0)

    async def run(self) -> None:
        for _ in range(STEPS):
            steps = [self.step() for _ in range(self.rng.choice([1, 1, 3]))]
            await asyncio.gather(*steps)
        await self.settle()

    async def step(self) -> None:
        client, node = self.rng.choice(self.clients), self.rng.choice(self.nodes)
        match self.rng.randint(0, 14):
            case 0 | 1 | 2 | 3 | 4:
                await self.publish(node, self.rng.choice(TOPICS[:2]), self.rng.randint(1, 3), client)
            case 5:
                await self.publish(node, "quiet", 1, client)
            case 6 | 7 | 8:
                client.cut()
                await client.connect(node)
            case 9:
                client.handle()
            case 10:
                self.change_inbox(client)
            case 11:
                await (node.change_leader(self.tenant) if self.rng.random() < 0.5 else node.cut_off(self.rng))
            case 13 | 14:
                await client.join(client.node or node)
            case 12:
                match self.rng.randint(0, 3):
                    case 0:
                        self.clock.advance(61)
                    case 1:
                        await self.clear(node)
                    case _:
                        self.clock.advance(20)

    async def publish(self, node: LawNode, topic: str, count: int, client: LawClient) -> None:
        sender = client.connection.id if client.connection is not None and self.rng.random() < 0.2 else None
        size = self.rng.choice([1, 300])
        events = [LiveEvent(self.tenant, "n", "x" * size, topic=topic, sender=sender) for _ in range(count)]
        try:
            published = await node.publish(*events)
        except Unavailable:
            return  # it may have been appended nevertheless
        for event in published:
            id = _offset(event.id)
            assert id is not None
            self.log[id] = event

    def change_inbox(self, client: LawClient) -> None:
        """Send a client a frame of its inbox, which over SSE has a position too."""
        if client.connection is not None and client.connection.phase is Phase.LIVE:
            revision = client.connection.revision + 1
            state = InboxState(self.tenant, client.name, 1, revision, 0, 0)
            for node in self.nodes:
                node.hub.dispatch(NotificationAdded(inbox=state, notification=notification()))

    async def clear(self, node: LawNode) -> None:
        try:
            await node.history.clear(self.tenant, topic_stream(self.tenant, "short"))
        except Unavailable:
            return

    async def settle(self) -> None:
        """Connect every client, publish a last event on each topic, and wait until all have received what they expect."""
        for client in self.clients:
            client.cut()
        for node in self.nodes:
            await until_reachable(node)
        for client in self.clients:
            await client.connect(self.rng.choice(self.nodes))
        for topic in TOPICS:
            await self.publish(self.nodes[0], topic, 1, LawClient(self, "publisher"))
        end = max(self.log.items(), key=lambda item: item[0][1])[0]
        for client in self.clients:
            await wait_until(partial(self.is_complete, client, end))

    def is_complete(self, client: LawClient, end: Offset) -> bool:
        client.handle()
        assert client.is_connected
        return client.base is not None and not client.missing(end)


async def until_reachable(node: LawNode) -> None:
    """Wait until a node is connected and has filled its gaps."""

    async def is_readable() -> bool:
        try:
            return (await node.history.newest("", [topic_stream("", "a")], 0)).end is not None
        except Unavailable:
            return False

    while not await is_readable():  # noqa: ASYNC110 - another process signals nothing to wait for
        await asyncio.sleep(0.005)


def _offset(position: str | None) -> Offset | None:
    id = model.parse_event_id(model.event_id_of(position or ""))
    return None if id is None else (id.epoch, id.offset)


def _message(data: bytes) -> tuple[dict[str, Any], str | None]:
    (frame,) = messages(data)
    id = frame.get("id") if frame["type"] in ("ready", "event", "close") else None
    return frame, None if id is None else f"~{id}"


def _sse_frame(data: bytes) -> tuple[dict[str, Any], str | None]:
    fields = dict(line.split(": ", 1) for line in data.decode().strip().split("\n"))
    return {"type": fields["event"], **json.loads(fields["data"])}, fields.get("id")


@pytest.mark.parametrize("engine", sampled(ENGINES))
async def test_each_event_is_received_once_and_in_order_or_reported_as_not_recovered(engine: str) -> None:
    await check(engine, range(6))


@pytest.mark.parametrize("is_sse", [True, False], ids=["sse", "websocket"])
async def test_client_with_an_event_behind_a_missing_one_of_another_topic_does_not_recover(
    monkeypatch: pytest.MonkeyPatch, is_sse: bool
) -> None:
    clock = FakeClock()
    async with law_nodes("nats", clock) as nodes:
        law = TopicHistories(nodes, clock, seed=1)
        client, publisher = law.clients[:2]
        client.is_sse, client.topics = is_sse, TOPICS
        await client.connect(nodes[0])
        await law.publish(nodes[1], "long", 1, publisher)
        await wait_until(lambda: "long" in str(client.written))
        lose_messages(cast(RemoteBroker, nodes[0].broker).transport, monkeypatch)
        for topic in ("long", "quiet", "long"):
            await law.publish(nodes[1], topic, 1, publisher)
        await wait_until(lambda: not client.is_connected)
        assert "quiet" in str(client.written)
        client.handle()
        await client.connect(nodes[1])
        client.handle()
        assert (client.recoveries, client.resets) == (0, 2)
        client.cut()


async def check(engine: str, seeds: Collection[int]) -> None:
    clock = FakeClock()
    recoveries = resets = 0
    async with law_nodes(engine, clock) as nodes:
        for seed in seeds:
            histories = TopicHistories(nodes, clock, seed)
            await histories.run()
            recoveries += sum(client.recoveries for client in histories.clients)
            resets += sum(client.resets for client in histories.clients)
            for client in histories.clients:
                client.cut()
    # Both outcomes must occur, or the law was not tested.
    assert recoveries > len(seeds)
    assert resets > len(seeds)


if __name__ == "__main__":
    for name in sys.argv[2:] or ENGINES:
        asyncio.run(check(name, range(int(sys.argv[1]))))
        sys.stdout.write(f"{name}: {sys.argv[1]} seeds passed\n")
