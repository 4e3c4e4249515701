"""What nodes tell each other of themselves is right, and heals, over every broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bellcast.brokers.memory import MemoryBroker
from bellcast.live.cluster import state
from bellcast.live.cluster.peer import ChangeOrigin, PresenceKey, StateDelta
from bellcast.live.cluster.state import ClusterState
from bellcast.model.events import Event, Member, PeerPresence, PeerUpdate
from bellcast.ports import Broker
from bellcast.server.clock import SystemClock
from tests.clock import FakeClock
from tests.contract.test_broker import BETWEEN, BROKERS, until

ROOM: PresenceKey = ("", "presence-room", "alice")


class Counts:
    """A node that has so many of something, and remembers what it learnt of others."""

    def __init__(self, broker: Broker, clock: FakeClock | SystemClock) -> None:
        self.census = ClusterState(broker, clock, self)
        self.counts: dict[str, int] = {}
        self.people: dict[PresenceKey, PeerPresence] = {}
        self.learnt: list[tuple[StateDelta, ChangeOrigin]] = []

    def __len__(self) -> int:
        return sum(self.counts.values())

    def has(self, key: str, count: int) -> None:
        self.counts[key] = count
        self.census.count_changed(key)

    def lets_in(self, where: PresenceKey, connections: int) -> None:
        tenant, topic, recipient = where
        self.people[where] = PeerPresence(tenant, topic, Member(recipient, connections=connections))
        self.census.presence_changed(where)

    def count_here(self, key: str) -> int:
        return self.counts.get(key, 0)

    def present_here(self, where: PresenceKey) -> PeerPresence:
        return self.people[where]

    def counts_here(self) -> dict[str, int]:
        return {key: count for key, count in self.counts.items() if count}

    def presence_here(self) -> list[PeerPresence]:
        return [one for one in self.people.values() if one.member.connections]

    def apply_peer(self, node: str, learnt: StateDelta, cause: ChangeOrigin) -> None:
        self.learnt.append((learnt, cause))


class Node:
    """One process's census at its end of a broker."""

    def __init__(self, broker: Broker, clock: FakeClock | SystemClock) -> None:
        self.broker = broker
        self.clock = clock
        self.has = Counts(broker, clock)
        self.census = self.has.census
        self.deaf = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self.broker.listen(self._hear, self.census.mark_unsynchronized)
        await self.broker.open()
        self._tasks = [asyncio.ensure_future(self.census.run()), asyncio.ensure_future(self.census.heartbeat())]

    def _hear(self, event: Event) -> None:
        if not self.deaf:
            self.census.receive(event)  # type: ignore[arg-type]  # nothing else is said here

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.broker.close()


@asynccontextmanager
async def node(name: str, clock: FakeClock | SystemClock | None = None) -> AsyncIterator[Node]:
    one = Node(BROKERS[name](), clock or SystemClock())
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


@pytest.fixture(params=BETWEEN)
def between(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def knows(one: Node, other: Node) -> Callable[[], bool]:
    return lambda: other.census.node in one.census.others


@pytest.mark.parametrize("name", BROKERS)
async def test_a_node_alone_tells_nothing(name: str) -> None:
    async with node(name) as one:
        one.has.has("room", 1)
        assert one.census.count_elsewhere("room") == 0
        assert one.census.is_leader
        assert one.census.others == frozenset()


async def test_what_a_node_has_before_another_comes_is_told(between: str) -> None:
    async with node(between) as one:
        one.has.has("room", 3)
        one.has.lets_in(ROOM, 2)
        async with node(between) as other:
            await until(lambda: other.census.count_elsewhere("room") == 3)
            ((learnt, cause),) = other.has.learnt
            assert [(present.member.recipient, present.member.connections) for present in learnt.members] == [
                ("alice", 2)
            ]
            assert (dict(learnt.counts), cause) == ({"room": 3}, ChangeOrigin.ELSEWHERE)
            await until(knows(one, other))
            assert one.census.is_leader != other.census.is_leader


async def test_what_changes_is_told(between: str) -> None:
    async with node(between) as one, node(between) as other:
        await until(lambda: knows(one, other)() and knows(other, one)())
        for count in (1, 2, 5):
            one.has.has("room", count)
        one.has.has("hall", 1)
        await until(lambda: (other.census.count_elsewhere("room"), other.census.count_elsewhere("hall")) == (5, 1))
        one.has.has("room", 0)
        await until(lambda: other.census.count_elsewhere("room") == 0)
        assert dict(other.census.counts_by_prefix("ha")) == {"hall": 1}


async def test_three_nodes_add_up(between: str) -> None:
    async with node(between) as one, node(between) as two, node(between) as three:
        nodes = [one, two, three]
        await until(lambda: all(len(each.census.others) == 2 for each in nodes))
        for number, each in enumerate(nodes, 1):
            each.has.has("room", number)
        await until(lambda: [each.census.count_elsewhere("room") for each in nodes] == [5, 4, 3])
        assert [each.census.is_leader for each in nodes].count(True) == 1


async def test_thousands_of_counts_are_told_in_pieces(between: str) -> None:
    counts = {f"room{number}": number + 1 for number in range(2 * state.SNAPSHOT_BATCH_ENTRIES + 7)}
    async with node(between) as one:
        one.has.counts = dict(counts)
        async with node(between) as other:
            await until(lambda: dict(other.census.counts_by_prefix("room")) == counts)
            assert len(other.has.learnt) == 1


async def test_what_was_not_heard_is_asked_for(between: str) -> None:
    async with node(between) as one, node(between) as other:
        await until(lambda: knows(one, other)() and knows(other, one)())
        one.has.has("room", 1)
        await until(lambda: other.census.count_elsewhere("room") == 1)
        other.deaf = True
        one.has.has("room", 2)
        one.has.has("hall", 1)
        await asyncio.sleep(4 * state.DELTA_INTERVAL_SECONDS)  # so long it hears nothing
        other.deaf = False
        await until(lambda: (other.census.count_elsewhere("room"), other.census.count_elsewhere("hall")) == (2, 1))


async def test_who_says_goodbye_is_forgotten_at_once(between: str) -> None:
    async with node(between) as one, node(between) as other:
        await until(lambda: knows(one, other)() and knows(other, one)())
        one.has.has("room", 4)
        one.has.lets_in(ROOM, 1)
        await until(lambda: other.census.count_elsewhere("room") == 4)
        await one.census.announce_shutdown()
        await until(lambda: not other.census.others)
        learnt, cause = other.has.learnt[-1]
        assert (other.census.count_elsewhere("room"), dict(learnt.counts), cause) == (
            0,
            {"room": -4},
            ChangeOrigin.DEATH,
        )
        assert [present.member.connections for present in learnt.members] == [0]


# --- leases, with a clock that does as it is told


class Between:
    """Two nodes without a broker between them: what one tells is carried by hand."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.broker = Away()
        self.has = Counts(self.broker, self.clock)
        self.census = self.has.census

    async def pass_seconds(self, seconds: float) -> None:
        """Time goes by in the steps of a beating heart."""
        for _ in range(round(seconds / state.HEARTBEAT_SECONDS)):
            self.clock.advance(state.HEARTBEAT_SECONDS)
            for _ in range(10):
                await asyncio.sleep(0)


class Away(MemoryBroker):
    """A broker that can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None

    async def ping(self) -> None:
        if self.failure is not None:
            raise self.failure


@pytest.fixture
async def alone() -> AsyncIterator[Between]:
    between = Between()
    beating = asyncio.ensure_future(between.census.heartbeat())
    between.census.receive(PeerUpdate("other", 1, 3, {"room": 3}, pieces=1))
    await asyncio.sleep(0)
    yield between
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)


async def test_a_silent_node_is_forgotten(alone: Between) -> None:
    await alone.pass_seconds(8)
    assert (alone.census.count_elsewhere("room"), alone.census.connections) == (3, 3)
    await alone.pass_seconds(6)
    assert (alone.census.count_elsewhere("room"), alone.census.connections) == (0, 0)
    assert alone.has.learnt[-1] == (StateDelta({"room": -3}, []), ChangeOrigin.DEATH)


async def test_signs_of_life_keep_a_node(alone: Between) -> None:
    for _ in range(20):
        await alone.pass_seconds(2)
        alone.census.receive(PeerUpdate("other", 1, 3))
    assert alone.census.count_elsewhere("room") == 3


async def test_who_cannot_hear_anybody_buries_nobody(alone: Between) -> None:
    alone.broker.failure = state.BellcastError()
    await alone.pass_seconds(60)
    assert alone.census.count_elsewhere("room") == 3
    alone.broker.failure = None
    await alone.pass_seconds(14)
    assert alone.census.count_elsewhere("room") == 0


async def test_who_slept_buries_nobody(alone: Between) -> None:
    alone.clock.advance(30)
    for _ in range(10):
        await asyncio.sleep(0)
    assert alone.census.count_elsewhere("room") == 3


async def test_a_node_that_was_forgotten_and_lives_is_asked_for_everything(alone: Between) -> None:
    await alone.pass_seconds(14)
    assert alone.census.others == frozenset()
    alone.census.receive(PeerUpdate("other", 7, 3))
    assert alone.census.others == {"other"}
    assert alone.census.count_elsewhere("room") == 0
    alone.census.receive(PeerUpdate("other", 8, 3, {"room": 2}, piece=0, pieces=2))
    assert alone.census.count_elsewhere("room") == 0
    alone.census.receive(PeerUpdate("other", 9, 3, {"hall": 1}, piece=1, pieces=2))
    assert (alone.census.count_elsewhere("room"), alone.census.count_elsewhere("hall")) == (2, 1)


async def test_everything_told_anew_replaces_what_was_known(alone: Between) -> None:
    alone.census.receive(PeerUpdate("other", 2, 1, {"room": 1}))
    assert alone.census.count_elsewhere("room") == 1
    alone.census.receive(PeerUpdate("other", 5, 1, {"room": 1, "yard": 9}))  # 3 and 4 were lost
    assert (alone.census.count_elsewhere("room"), alone.census.count_elsewhere("yard")) == (1, 0)
    alone.census.receive(PeerUpdate("other", 6, 1, {"yard": 8}, pieces=1))
    assert (alone.census.count_elsewhere("room"), alone.census.count_elsewhere("yard")) == (0, 8)
