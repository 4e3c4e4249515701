"""Nodes share their cluster state correctly over every broker, and recover from lost updates."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from msgspec import structs

from bellcast.kernel.brokers.memory import MemoryBroker
from bellcast.kernel.brokers.port import Broker
from bellcast.kernel.events import NODES, Event
from bellcast.live.cluster import state
from bellcast.live.cluster.peer import ChangeOrigin, PresenceKey, StateDelta
from bellcast.live.cluster.state import ClusterState
from bellcast.live.types.events import Member, NodeLeft, PeerPresence, PeerUpdate
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
        self.cluster = ClusterState(broker, clock, self, self.report)
        self.counts: dict[str, int] = {}
        self.members: dict[PresenceKey, PeerPresence] = {}
        self.deltas: list[tuple[StateDelta, ChangeOrigin]] = []
        self.was_leader: list[bool] = []  # at each delta

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
        self.was_leader.append(self.cluster.is_leader)


class Node:
    """One process's cluster state and its connection to a broker."""

    def __init__(self, broker: Broker, clock: FakeClock | SystemClock) -> None:
        self.broker = broker
        self.clock = clock
        self.local = FakeLocalState(broker, clock)
        self.cluster = self.local.cluster
        self.is_deaf = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self.broker.listen(self._receive, self.cluster.mark_unsynchronized)
        await self.broker.open()
        self._tasks = [asyncio.ensure_future(self.cluster.run()), asyncio.ensure_future(self.cluster.heartbeat())]

    def _receive(self, event: Event) -> None:
        if not self.is_deaf:
            self.cluster.receive(event)  # type: ignore[arg-type]  # this broker carries no other events

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
    return lambda: second.cluster.node in first.cluster.others


@pytest.mark.parametrize("name", BROKERS)
async def test_single_node_sees_no_others(name: str) -> None:
    async with node(name) as first:
        first.local.set_count("room", 1)
        assert first.cluster.count_elsewhere("room") == 0
        assert first.cluster.is_leader
        assert first.cluster.others == frozenset()


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
            assert first.cluster.is_leader != second.cluster.is_leader


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
        await wait_until(lambda: all(len(node_.cluster.others) == 2 for node_ in nodes))
        for number, node_ in enumerate(nodes, 1):
            node_.local.set_count("room", number)
        await wait_until(lambda: [node_.cluster.count_elsewhere("room") for node_ in nodes] == [5, 4, 3])
        assert [node_.cluster.is_leader for node_ in nodes].count(True) == 1


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
        await first.cluster.announce_shutdown()
        await wait_until(lambda: not second.cluster.others)
        delta, cause = second.local.deltas[-1]
        assert (second.cluster.count_elsewhere("room"), dict(delta.counts), cause) == (
            0,
            {"room": -4},
            ChangeOrigin.DEATH,
        )
        assert [present.member.connections for present in delta.members] == [0]


# --- leases, with a fake clock


class IsolatedNode:
    """A node without peers; the test passes peer updates to it directly."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.broker = FailingBroker()
        self.local = FakeLocalState(self.broker, self.clock)
        self.cluster = self.local.cluster

    async def pass_seconds(self, seconds: float) -> None:
        """Advance the clock in steps of one heartbeat."""
        for _ in range(round(seconds / state.HEARTBEAT_SECONDS)):
            self.clock.advance(state.HEARTBEAT_SECONDS)
            for _ in range(10):
                await asyncio.sleep(0)


class FailingBroker(MemoryBroker):
    """A broker that can be set to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None

    async def ping(self, *, writes: bool = False) -> None:
        if self.failure is not None:
            raise self.failure


@pytest.fixture
async def isolated() -> AsyncIterator[IsolatedNode]:
    node = IsolatedNode()
    heartbeats = asyncio.ensure_future(node.cluster.heartbeat())
    node.cluster.receive(PeerUpdate("other", 1, 3, {"room": 3}, pieces=1))
    await asyncio.sleep(0)
    yield node
    heartbeats.cancel()
    await asyncio.gather(heartbeats, return_exceptions=True)


async def test_silent_node_expires(isolated: IsolatedNode) -> None:
    await isolated.pass_seconds(8)
    assert (isolated.cluster.count_elsewhere("room"), isolated.cluster.connections) == (3, 3)
    await isolated.pass_seconds(6)
    assert (isolated.cluster.count_elsewhere("room"), isolated.cluster.connections) == (0, 0)
    assert isolated.local.deltas[-1] == (StateDelta({"room": -3}, []), ChangeOrigin.DEATH)


async def test_survivor_of_nodes_that_die_together_leads_for_each_of_them(isolated: IsolatedNode) -> None:
    for id in ("", " "):  # both before the id of the survivor
        isolated.cluster.receive(PeerUpdate(id, 1, 1, {"hall": 1}, pieces=1))
        await isolated.pass_seconds(2)  # so they expire one after the other
    assert not isolated.cluster.is_leader
    await isolated.pass_seconds(14)
    assert (isolated.cluster.others, isolated.local.was_leader[-3:]) == (frozenset(), [True] * 3)


async def test_nodes_are_listed_with_their_last_reports_until_they_expire(isolated: IsolatedNode) -> None:
    def listed() -> dict[bool, int]:
        return {one.is_self: one.report.connections for one in isolated.cluster.nodes()}

    assert listed() == {True: 0}  # no report of the other one yet
    isolated.cluster.receive(PeerUpdate("other", 1, 3, report=REPORT))
    isolated.cluster.receive(PeerUpdate("other", 2, 4, {"room": 4}))
    assert listed() == {True: 0, False: 3}
    await isolated.pass_seconds(14)
    assert listed() == {True: 0}


async def test_node_that_stops_leaves_the_list(isolated: IsolatedNode) -> None:
    isolated.cluster.receive(PeerUpdate("other", 1, 3, report=REPORT))
    isolated.cluster.receive(NodeLeft("other"))
    assert [one.is_self for one in isolated.cluster.nodes()] == [True]


async def test_state_is_complete_when_all_nodes_have_sent_theirs(isolated: IsolatedNode) -> None:
    running = asyncio.ensure_future(isolated.cluster.run())
    await asyncio.sleep(0)
    assert not isolated.cluster.is_complete  # others may exist
    await isolated.pass_seconds(4)
    assert isolated.cluster.is_complete
    isolated.cluster.receive(PeerUpdate("third", 7, 1))
    assert not isolated.cluster.is_complete
    isolated.cluster.receive(PeerUpdate("third", 8, 1, {"room": 1}, pieces=1))
    assert isolated.cluster.is_complete
    isolated.cluster.mark_unsynchronized([NODES])
    assert not isolated.cluster.is_complete
    running.cancel()


async def test_heartbeats_keep_a_node(isolated: IsolatedNode) -> None:
    for _ in range(20):
        await isolated.pass_seconds(2)
        isolated.cluster.receive(PeerUpdate("other", 1, 3))
    assert isolated.cluster.count_elsewhere("room") == 3


async def test_node_without_a_broker_expires_no_peer(isolated: IsolatedNode) -> None:
    isolated.broker.failure = state.BellcastError()
    await isolated.pass_seconds(60)
    assert isolated.cluster.count_elsewhere("room") == 3
    isolated.broker.failure = None
    await isolated.pass_seconds(14)
    assert isolated.cluster.count_elsewhere("room") == 0


async def test_node_that_slept_expires_no_peer(isolated: IsolatedNode) -> None:
    isolated.clock.advance(30)
    for _ in range(10):
        await asyncio.sleep(0)
    assert isolated.cluster.count_elsewhere("room") == 3


async def test_snapshot_of_an_expired_node_that_returns_is_requested(isolated: IsolatedNode) -> None:
    await isolated.pass_seconds(14)
    assert isolated.cluster.others == frozenset()
    isolated.cluster.receive(PeerUpdate("other", 7, 3))
    assert isolated.cluster.others == {"other"}
    assert isolated.cluster.count_elsewhere("room") == 0
    isolated.cluster.receive(PeerUpdate("other", 8, 3, {"room": 2}, piece=0, pieces=2))
    assert isolated.cluster.count_elsewhere("room") == 0
    isolated.cluster.receive(PeerUpdate("other", 9, 3, {"hall": 1}, piece=1, pieces=2))
    assert (isolated.cluster.count_elsewhere("room"), isolated.cluster.count_elsewhere("hall")) == (2, 1)


async def test_snapshot_replaces_the_previous_counts(isolated: IsolatedNode) -> None:
    isolated.cluster.receive(PeerUpdate("other", 2, 1, {"room": 1}))
    assert isolated.cluster.count_elsewhere("room") == 1
    isolated.cluster.receive(PeerUpdate("other", 5, 1, {"room": 1, "yard": 9}))  # 3 and 4 were lost
    assert (isolated.cluster.count_elsewhere("room"), isolated.cluster.count_elsewhere("yard")) == (1, 0)
    isolated.cluster.receive(PeerUpdate("other", 6, 1, {"yard": 8}, pieces=1))
    assert (isolated.cluster.count_elsewhere("room"), isolated.cluster.count_elsewhere("yard")) == (0, 8)


async def test_node_of_a_version_without_reports_is_listed() -> None:
    clock = FakeClock()
    local = FakeLocalState(MemoryBroker(), clock)
    for sequence in range(3):
        local.cluster.receive(PeerUpdate("old", sequence, 7))
        if sequence == 0:  # a node of this version reports with its first heartbeat
            assert [one.is_self for one in local.cluster.nodes()] == [True]
        clock.advance(state.LEADER_TIMEOUT_MS / 1000)
    (old,) = [one for one in local.cluster.nodes() if not one.is_self]
    assert (old.id, old.report.version, old.report.connections) == ("old", "unknown", 7)
