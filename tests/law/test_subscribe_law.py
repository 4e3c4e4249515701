"""Subscriptions of a slow reader: regardless of concurrent replays, each row is received once and in order, and each kept
event of a topic once and in order from the position of its `subscribe`, or its ack has `recovered: false`.

`python -m tests.law.test_subscribe_law 1000` checks as many seeds on every engine."""

import asyncio
import json
import random
import sys
from collections.abc import Collection, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from msgspec import Struct

from bellcast.inbox.types.inboxes import Change, Changes, InboxState, NotificationAdded, Position
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live import resume
from bellcast.live.connection import REPLAY_BUFFER_BYTES, Connection, Phase
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.native.commands import Commands
from bellcast.live.types import LiveConfig
from tests import fake_stores
from tests.clock import FakeClock
from tests.contract.kernel.test_broker import wait_until
from tests.law.test_topic_law import ENGINES, TOPICS, LawNode, Offset, law_nodes, tenants, until_reachable
from tests.law.test_topic_law import _offset as offset
from tests.thoroughness import sampled
from tests.unit.live.fakes import FakeConnection, FakeTransport, connect, messages, notification

STEPS = 60
LIMITS = Limits()
# Larger replays are paced; while they wait, this much other output closes the connection.
MAX_UNSENT = 3_000
# Bytes that the network accepts from a replay before it waits for the reader.
NETWORK_BYTES = 1_000


class SlowTransport(FakeTransport):
    """Pauses replays early, and never a live connection."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = NETWORK_BYTES if high == REPLAY_BUFFER_BYTES else 2**31


class Segment(Struct):
    """The events of a topic that were received since one `subscribe`; all after `base` are expected."""

    topic: str
    base: Offset | None
    received: list[Offset] = []
    is_recovering: bool = False  # until the ack

    @property
    def position(self) -> Offset | None:
        return self.received[-1] if self.received else self.base


class SlowReader:
    """One client over WebSocket, with an inbox. It stores its rows, and the last id of each topic."""

    def __init__(self, law: "Subscriptions") -> None:
        self.law, self.rng = law, law.rng
        self.rows = 0
        self.connections = 0
        self.segments: dict[str, Segment] = {}  # the last of each topic
        self.all_segments: list[Segment] = []
        self.followed: set[str] = set()
        self.leaving: set[str] = set()
        self.pending: dict[int, Segment] = {}  # subscriptions by `ref`
        self.handled = 0
        self.connection: FakeConnection | None = None
        self.commands: Commands | None = None
        self.recoveries = self.resets = self.paused = 0

    def connect(self, node: LawNode) -> None:
        """Connect, and begin the replay of the inbox."""
        self.connections += 1
        self.handled, self.followed, self.leaving, self.pending = 0, set(), set(), {}
        principal = Principal(tenant=self.law.tenant, recipient="reader", topics=("*",))
        connection = connect(node.hub, f"{self.law.tenant}-{self.connections}", principal, phase=Phase.OPENING)
        connection.fake = SlowTransport()
        connection.fake.owner = connection
        connection.fake.is_buffering = True
        connection.attach(connection.fake, MAX_UNSENT)
        connection.revision = self.rows
        self.connection, self.commands = connection, self.law.commands[node]
        start = Position(1, self.rows)
        missed = self.law.changes_since(self.rows)
        self.law.spawn(resume.replay(self.law.store, connection, missed, start, LIMITS))

    def cut(self) -> None:
        if self.connection is not None and self.is_connected:
            self.connection.connection_lost(None)

    @property
    def is_connected(self) -> bool:
        return self.connection is not None and self.connection.phase is not Phase.CLOSED

    def send(self, type: str, **fields: Any) -> None:
        assert self.connection is not None
        assert self.commands is not None
        self.commands.receive(self.connection, json.dumps({"type": type, **fields}))

    def subscribe(self, topic: str, *, rewind: int = 0, is_plain: bool = False) -> None:
        before = self.segments.get(topic)
        position = None if before is None or is_plain or rewind else before.position
        segment = self.segments[topic] = Segment(topic, position, is_recovering=True)
        self.all_segments.append(segment)
        ref = len(self.all_segments)
        self.pending[ref] = segment
        self.followed.add(topic)
        id = {} if position is None else {"position": f"~{position[0]:x}.{position[1]:x}"}
        self.send("subscribe", topics=[topic], ref=ref, **id, **({"rewind": rewind} if rewind else {}))

    def unsubscribe(self, topic: str) -> None:
        """Until the ack, live events of the topic may arrive, so a position for the next `subscribe` is not known."""
        self.leaving.add(topic)
        self.send("unsubscribe", topics=[topic])

    def read(self, frames: int) -> None:
        """Read some frames, which makes room for as many."""
        connection = self.connection
        if connection is None:
            return
        self.paused += connection.writable_waiter is not None
        written = connection.fake.written[self.handled : self.handled + frames]
        self.handled += len(written)
        for data in written:
            self.receive(messages(data)[0])
        connection.fake.buffered = sum(map(len, connection.fake.written[self.handled :]))
        if connection.fake.buffered < NETWORK_BYTES // 4:
            connection.resume_writing()

    def receive(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "notification":
                self.rows += 1
                assert frame["notification"]["id"] == f"n{self.rows}"
            case "event":
                self.receive_event(self.segments[frame["topic"]], offset(frame["id"]), "replayed" in frame)
            case "ack" if frame.get("ref") in self.pending:
                self.acknowledge(self.pending.pop(frame["ref"]), frame)
            case "ack":
                self.followed.difference_update(frame["topics"])
                self.leaving.difference_update(frame["topics"])
            case "close":
                pass
            case _:
                raise AssertionError(frame)

    def receive_event(self, segment: Segment, id: Offset | None, is_replayed: bool) -> None:
        assert id is not None
        if is_replayed:
            assert segment.base is None or segment.base < id
            segment.base = id  # later events are expected
            return
        assert not segment.received or segment.received[-1][0] != id[0] or segment.received[-1] < id, (segment, id)
        segment.received.append(id)

    def acknowledge(self, segment: Segment, ack: dict[str, Any]) -> None:
        segment.is_recovering = False
        if ack.get("recovered"):
            self.recoveries += 1
            return
        if "recovered" in ack:
            self.resets += 1
            assert segment.received == []
            segment.base = offset(ack["id"])
        elif segment.base is None and not segment.received:
            segment.base = offset(ack["id"])


class Subscriptions:
    """A random history of one slow reader, publishers and interruptions."""

    def __init__(self, nodes: list[LawNode], seed: int) -> None:
        self.nodes, self.rng = nodes, random.Random(seed)
        self.tenant = next(tenants)
        self.log: dict[Offset, str] = {}  # the topics of the stored events
        self.rows: list[Change] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self.store = cast(Any, SimpleNamespace(inboxes=self))
        engines, config = SimpleNamespace(db=fake_stores.db(self.store)), LiveConfig(limits=LIMITS)
        contexts: dict[LawNode, Any] = {
            node: SimpleNamespace(engines=engines, hub=node.hub, config=config, spawn=self.spawn) for node in nodes
        }
        self.commands = {node: Commands(contexts[node]) for node in nodes}
        for node in nodes:
            node.hub.dispatcher.callbacks = HubCallbacks(fill_gap=self.fill_gap)
        self.reader = SlowReader(self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # --- the inbox

    def fill_gap(self, connection: Connection) -> None:
        self.spawn(resume.catch_up(self.store, connection, LIMITS))

    def changes_since(self, revision: int) -> Changes:
        return Changes(self.state, 0, tuple(self.rows[revision:]))

    async def changes(self, inbox: int, revision: int, limit: int) -> Changes:
        found = self.changes_since(revision)
        await asyncio.sleep(0)
        return found

    @property
    def state(self) -> InboxState:
        return InboxState(self.tenant, "reader", 1, len(self.rows), 0, 0)

    def add_rows(self, count: int) -> None:
        """Add rows; the broker loses the events of all but the last one."""
        for number in range(len(self.rows) + 1, len(self.rows) + count + 1):
            row = msgspec.structs.replace(notification(f"n{number}"), body="x" * 200)
            self.rows.append(Change(row.id, number, number, row))
        for node in self.nodes:
            last = self.rows[-1].notification
            assert last is not None
            node.hub.dispatch(NotificationAdded(inbox=self.state, notification=last))

    # --- steps

    async def run(self) -> None:
        self.reader.connect(self.nodes[0])
        for _ in range(STEPS):
            await self.step()
            for _ in range(self.rng.randint(0, 3)):
                await asyncio.sleep(0)
        await self.settle()

    async def step(self) -> None:
        reader, node = self.reader, self.rng.choice(self.nodes)
        others = [topic for topic in TOPICS if topic not in reader.followed]
        match self.rng.randint(0, 19):
            case 0 | 1 | 2 | 3:
                await self.publish(node, self.rng.choice(TOPICS), self.rng.choice([1, 1, 5, 20]))
            case 4 | 5:
                self.add_rows(self.rng.choice([1, 1, 5, 40]))
            case 6 | 7 | 8 | 9 if others and reader.is_connected:
                rewind, is_plain = self.rng.choice([(0, False)] * 5 + [(0, True), (3, False)])
                reader.subscribe(self.rng.choice(others), rewind=rewind, is_plain=is_plain)
            case 10 | 11 | 12 if reader.followed - reader.leaving and reader.is_connected:
                reader.unsubscribe(self.rng.choice(sorted(reader.followed - reader.leaving)))
            case 13:
                reader.read(self.rng.randint(0, 50))
                reader.cut()
                reader.connect(node)
            case 14 if self.rng.random() < 0.2:
                await node.cut_off(self.rng)
            case _:
                reader.read(self.rng.choice([1, 5, 50]))

    async def publish(self, node: LawNode, topic: str, count: int) -> None:
        data = "x" * self.rng.choice([1, 300])
        try:
            published = await node.publish(*[LiveEvent(self.tenant, "n", data, topic=topic) for _ in range(count)])
        except Unavailable:
            return  # it may have been appended nevertheless
        self.log |= {cast(Offset, offset(event.id)): topic for event in published}

    async def settle(self) -> None:
        """Connect again, subscribe to everything, and read until all is received."""
        reader = self.reader
        for node in self.nodes:
            await until_reachable(node)
        reader.cut()
        reader.connect(self.nodes[-1])
        for topic in TOPICS:
            reader.subscribe(topic)
        await wait_until(self.is_idle)
        for topic in TOPICS:
            await self.publish(self.nodes[0], topic, 1)
        await wait_until(self.is_complete)
        for segment in reader.all_segments:
            assert self.missing(segment) == [], segment
        reader.cut()

    def is_idle(self) -> bool:
        self.reader.read(1_000)
        assert self.reader.is_connected
        return not self.reader.pending and not self.tasks

    def is_complete(self) -> bool:
        self.reader.read(1_000)
        last = {topic: id for id, topic in self.log.items()}
        received = {topic: segment.position for topic, segment in self.reader.segments.items()}
        return self.reader.rows == len(self.rows) and received == last

    def missing(self, segment: Segment) -> list[Offset]:
        """Return the events after the base, up to the last one received, that were not received."""
        if segment.base is None or segment.position is None:
            return []
        return [
            id
            for id, topic in self.log.items()
            if topic == segment.topic
            and id[0] == segment.base[0]
            and segment.base < id <= segment.position
            and id not in segment.received
        ]


@pytest.mark.thorough
@pytest.mark.parametrize("engine", sampled(ENGINES))
async def test_each_row_and_event_is_received_once_whatever_is_replayed_at_the_same_time(engine: str) -> None:
    await check(engine, range(12))


async def check(engine: str, seeds: Collection[int]) -> None:
    recoveries = resets = paused = 0
    async with law_nodes(engine, FakeClock()) as nodes:
        for seed in seeds:
            law = Subscriptions(nodes, seed)
            try:
                await law.run()
            except BaseException:
                sys.stderr.write(f"{engine}: seed {seed} failed\n")
                raise
            recoveries, resets = recoveries + law.reader.recoveries, resets + law.reader.resets
            paused += law.reader.paused
    # All outcomes must occur, or the law was not tested.
    assert min(recoveries, resets, paused) > 0, (recoveries, resets, paused)


if __name__ == "__main__":
    for name in sys.argv[2:] or ENGINES:
        asyncio.run(check(name, range(int(sys.argv[1]))))
        sys.stdout.write(f"{name}: {sys.argv[1]} seeds passed\n")
