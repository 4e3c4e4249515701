"""Nodes share their cluster state correctly over every broker, and recover from lost updates."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import pytest
from msgspec import structs

from bellcast.kernel.brokers.memory import MemoryBroker
from bellcast.kernel.brokers.port import Broker
from bellcast.kernel.events import Event, Stream
from bellcast.live.cluster import state
from bellcast.live.cluster.members import Members
from bellcast.live.cluster.peer import ChangeOrigin, PresenceKey, StateDelta
from bellcast.live.cluster.state import ClusterState
from bellcast.live.types.events import (
    MEMBERS,
    Member,
    NodeBeat,
    NodeClaim,
    NodeLeft,
    NodeList,
    PeerPresence,
    PeerUpdate,
    SnapshotRequest,
)
from bellcast.live.types.nodes import NodeReport
from bellcast.server.clock import SystemClock
from tests.clock import FakeClock
from tests.contract.kernel.test_broker import BROKERS, REMOTE_BROKERS, wait_until

REPORT = NodeReport(
    version="1.0",
    role="server",
    host="web-1",
    pid=42,
    runs_jobs=True,
    started_at=1_750_000_000_000,
    connections=3,
    cpu=0.25,
    memory=100_000_000,
    queue_age=None,
    settings_revision=7,
)
ROOM: PresenceKey = ("", "presence-room", "alice")


class FakeLocalState:
    """The local state of a node, with settable counts and members, that records deltas of peers."""

    def __init__(self, broker: Broker, clock: FakeClock | SystemClock) -> None:
        self.node_members = Members(broker, clock, self.__len__, self.report)
        self.cluster = ClusterState(broker, clock, self.node_members, self)
        self.counts: dict[str, int] = {}
        self.members: dict[PresenceKey, PeerPresence] = {}
        self.deltas: list[tuple[StateDelta, ChangeOrigin]] = []

    def __len__(self) -> int:
        return sum(self.counts.values())

    def report(self) -> NodeReport:
        return structs.replace(REPORT, connections=len(self))

    def set_count(self, key: str, count: int) -> None:
        self.counts[key] = count
        self.cluster.count_changed(key)

    def set_member(self, key: PresenceKey, connections: int) -> None:
        tenant, topic, recipient = key
        self.members[key] = PeerPresence(tenant, topic, Member(recipient, connections=connections))
        self.cluster.presence_changed(key)

    def count_here(self, key: str) -> int:
        return self.counts.get(key, 0)

    def present_here(self, key: PresenceKey) -> PeerPresence:
        return self.members[key]

    def counts_here(self) -> dict[str, int]:
        return {key: count for key, count in self.counts.items() if count}

    def presence_here(self) -> list[PeerPresence]:
        return [presence for presence in self.members.values() if presence.member.connections]

    def apply_peer(self, node: str, delta: StateDelta, cause: ChangeOrigin) -> None:
        self.deltas.append((delta, cause))


class Node:
    """One process's cluster state and its connection to a broker."""

    def __init__(self, broker: Broker, clock: FakeClock | SystemClock) -> None:
        self.broker = broker
        self.clock = clock
        self.local = FakeLocalState(broker, clock)
        self.cluster, self.members = self.local.cluster, self.local.node_members
        self.is_deaf = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self.broker.listen(self._receive, self._on_gap)
        await self.broker.open()
        self._tasks = [asyncio.ensure_future(self.cluster.run()), asyncio.ensure_future(self.members.run())]

    def _receive(self, event: Event) -> None:
        if isinstance(event, PeerUpdate | SnapshotRequest):
            if not self.is_deaf:
                self.cluster.receive(event)
        elif isinstance(event, NodeBeat | NodeClaim | NodeList | NodeLeft):
            self.members.receive(event)

    def _on_gap(self, streams: Collection[Stream]) -> None:
        if MEMBERS in streams:
            self.members.rejoin()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.broker.close()


@asynccontextmanager
async def node(name: str, clock: FakeClock | SystemClock | None = None) -> AsyncIterator[Node]:
    started = Node(BROKERS[name](), clock or SystemClock())
    await started.start()
    try:
        yield started
    finally:
        await started.stop()


@pytest.fixture(params=REMOTE_BROKERS)
def broker_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def sees(first: Node, second: Node) -> Callable[[], bool]:
    return lambda: second.members.id in first.members.others


@pytest.mark.parametrize("name", BROKERS)
async def test_single_node_sees_no_others(name: str) -> None:
    async with node(name) as first:
        first.local.set_count("room", 1)
        assert first.cluster.count_elsewhere("room") == 0
        await wait_until(lambda: first.members.is_keeper)
        assert not first.members.others


async def test_new_node_receives_the_existing_state(broker_name: str) -> None:
    async with node(broker_name) as first:
        first.local.set_count("room", 3)
        first.local.set_member(ROOM, 2)
        async with node(broker_name) as second:
            await wait_until(lambda: second.cluster.count_elsewhere("room") == 3)
            ((delta, cause),) = second.local.deltas
            assert [(present.member.recipient, present.member.connections) for present in delta.members] == [
                ("alice", 2)
            ]
            assert (dict(delta.counts), cause) == ({"room": 3}, ChangeOrigin.ELSEWHERE)
            await wait_until(sees(first, second))
            await wait_until(lambda: first.members.is_keeper != second.members.is_keeper)


async def test_changed_counts_are_propagated(broker_name: str) -> None:
    async with node(broker_name) as first, node(broker_name) as second:
        await wait_until(lambda: sees(first, second)() and sees(second, first)())
        for count in (1, 2, 5):
            first.local.set_count("room", count)
        first.local.set_count("hall", 1)
        await wait_until(
            lambda: (second.cluster.count_elsewhere("room"), second.cluster.count_elsewhere("hall")) == (5, 1)
        )
        first.local.set_count("room", 0)
        await wait_until(lambda: second.cluster.count_elsewhere("room") == 0)
        assert dict(second.cluster.counts_by_prefix("ha")) == {"hall": 1}


async def test_counts_of_three_nodes_are_summed(broker_name: str) -> None:
    async with node(broker_name) as first, node(broker_name) as second, node(broker_name) as third:
        nodes = [first, second, third]
        await wait_until(lambda: all(len(node_.members.others) == 2 for node_ in nodes))
        for number, node_ in enumerate(nodes, 1):
            node_.local.set_count("room", number)
        await wait_until(lambda: [node_.cluster.count_elsewhere("room") for node_ in nodes] == [5, 4, 3])
        await wait_until(lambda: [node_.members.is_keeper for node_ in nodes].count(True) == 1)


async def test_large_snapshots_are_sent_in_batches(broker_name: str) -> None:
    counts = {f"room{number}": number + 1 for number in range(2 * state.SNAPSHOT_BATCH_ENTRIES + 7)}
    async with node(broker_name) as first:
        first.local.counts = dict(counts)
        async with node(broker_name) as second:
            await wait_until(lambda: dict(second.cluster.counts_by_prefix("room")) == counts)
            assert len(second.local.deltas) == 1


async def test_missed_updates_are_requested(broker_name: str) -> None:
    async with node(broker_name) as first, node(broker_name) as second:
        await wait_until(lambda: sees(first, second)() and sees(second, first)())
        first.local.set_count("room", 1)
        await wait_until(lambda: second.cluster.count_elsewhere("room") == 1)
        second.is_deaf = True
        first.local.set_count("room", 2)
        first.local.set_count("hall", 1)
        await asyncio.sleep(4 * state.DELTA_INTERVAL_SECONDS)  # long enough to miss the updates
        second.is_deaf = False
        await wait_until(
            lambda: (second.cluster.count_elsewhere("room"), second.cluster.count_elsewhere("hall")) == (2, 1)
        )


async def test_node_that_announces_its_shutdown_is_removed(broker_name: str) -> None:
    async with node(broker_name) as first, node(broker_name) as second:
        await wait_until(lambda: sees(first, second)() and sees(second, first)())
        first.local.set_count("room", 4)
        first.local.set_member(ROOM, 1)
        await wait_until(lambda: second.cluster.count_elsewhere("room") == 4)
        await first.members.announce_shutdown()
        await wait_until(lambda: not second.members.others)
        delta, cause = second.local.deltas[-1]
        assert (second.cluster.count_elsewhere("room"), dict(delta.counts), cause) == (
            0,
            {"room": -4},
            ChangeOrigin.DEATH,
        )
        assert [present.member.connections for present in delta.members] == [0]


async def test_state_is_complete_when_all_nodes_have_sent_theirs() -> None:
    node = Node(MemoryBroker(), FakeClock())
    node.members.rejoin()
    assert not node.cluster.is_complete  # others may exist
    node.members.receive(NodeList("other", {"other": 1}, {"other": 7}))
    assert not node.cluster.is_complete
    node.cluster.receive(PeerUpdate("other", 8, {"room": 1}, pieces=1))
    assert node.cluster.is_complete
    node.cluster.receive(PeerUpdate("third", 7))
    assert not node.cluster.is_complete


async def test_snapshot_of_an_expired_node_that_returns_is_requested() -> None:
    node = Node(MemoryBroker(), FakeClock())
    node.cluster.receive(PeerUpdate("other", 1, {"room": 3}, pieces=1))
    node.members.receive(NodeLeft("other"))
    assert (node.cluster.count_elsewhere("room"), node.members.others) == (0, {})
    node.cluster.receive(PeerUpdate("other", 7))
    assert node.members.others == {"other": 0}
    assert node.cluster.count_elsewhere("room") == 0
    node.cluster.receive(PeerUpdate("other", 8, {"room": 2}, piece=0, pieces=2))
    assert node.cluster.count_elsewhere("room") == 0
    node.cluster.receive(PeerUpdate("other", 9, {"hall": 1}, piece=1, pieces=2))
    assert (node.cluster.count_elsewhere("room"), node.cluster.count_elsewhere("hall")) == (2, 1)


async def test_snapshot_replaces_the_previous_counts() -> None:
    node = Node(MemoryBroker(), FakeClock())
    node.cluster.receive(PeerUpdate("other", 1, {"room": 3}, pieces=1))
    node.cluster.receive(PeerUpdate("other", 2, {"room": 1}))
    assert node.cluster.count_elsewhere("room") == 1
    node.cluster.receive(PeerUpdate("other", 5, {"room": 1, "yard": 9}))  # 3 and 4 were lost
    assert (node.cluster.count_elsewhere("room"), node.cluster.count_elsewhere("yard")) == (1, 0)
    node.cluster.receive(PeerUpdate("other", 6, {"yard": 8}, pieces=1))
    assert (node.cluster.count_elsewhere("room"), node.cluster.count_elsewhere("yard")) == (0, 8)
