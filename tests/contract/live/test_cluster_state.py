"""Nodes share the state of the streams that they follow over every broker, and recover from lost messages."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bellcast.auth.permissions import Grant
from bellcast.kernel.brokers import Broker
from bellcast.kernel.clock import SteadyClock, SystemClock
from bellcast.kernel.events import Event, inbox_stream, topic_stream
from bellcast.kernel.identities import Principal
from bellcast.live.cluster.guardians import Holder
from bellcast.live.hub import Hub
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.presence import PresenceTracker
from bellcast.live.types import GroupAnswer, GroupUpdate, NodeLeft
from tests.contract.kernel.test_broker import ALL_BROKERS, BROKERS, REMOTE_BROKERS, wait_until
from tests.unit.live.fakes import FakeConnection, connect

ROOM, INBOX = topic_stream("", "room"), inbox_stream("", "alice")


class Node:
    """One process's hub and its connection to a broker."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.hub = Hub(PresenceTracker(lambda: ("room",)), broker, SystemClock(), SteadyClock(), HubCallbacks())
        self.is_deaf = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self.broker.listen(self._receive, self.hub.mark_suspect)
        await self.broker.open()
        self._tasks = [asyncio.ensure_future(self.hub.members.run())]

    def _receive(self, event: Event) -> None:
        if not (self.is_deaf and isinstance(event, GroupUpdate | GroupAnswer)):
            self.hub.dispatch(event)

    def follow(self, id: str, recipient: str = "alice") -> FakeConnection:
        connection: FakeConnection = connect(self.hub, id, Principal(recipient=recipient))
        self.hub.subscriptions.follow(connection, {"room": Grant.PUBLIC})
        return connection

    @property
    def members(self) -> dict[str, int | None]:
        return {one.recipient: one.connections for one in self.hub.presence.members("", "room")}

    async def leave(self) -> None:
        """Announce the shutdown, after the last beat."""
        await self._stop_exchange()
        await self.broker.publish(NodeLeft(self.hub.members.id))

    async def stop(self) -> None:
        await self._stop_exchange()
        await self.broker.close()

    async def _stop_exchange(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def nodes(name: str, number: int) -> AsyncIterator[list[Node]]:
    """Nodes that know each other."""
    started = [Node(BROKERS[name]()) for _ in range(number)]
    try:
        for node in started:
            await node.start()
        await wait_until(lambda: [len(node.hub.members.others) for node in started] == [number - 1] * number)
        await wait_until(lambda: [node.hub.members.is_keeper for node in started].count(True) == 1)
        yield started
    finally:
        for node in started:
            await node.stop()


@pytest.fixture(params=REMOTE_BROKERS)
def broker_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def knows(node: Node, **members: int) -> Callable[[], bool]:
    return lambda: node.members == members


@pytest.mark.parametrize("name", ALL_BROKERS)
async def test_single_node_sees_no_others(name: str) -> None:
    async with nodes(name, 1) as (only,):
        only.follow("1")
        await only.hub.groups.wait_known([ROOM, INBOX])
        assert (only.hub.subscriptions.total(ROOM), only.members) == (1, {"alice": 1})
        assert not only.hub.members.others


async def test_counts_and_members_of_three_nodes_are_known_on_each(broker_name: str) -> None:
    async with nodes(broker_name, 3) as (first, second, third):
        connections = [
            node.follow(f"{number}", recipient)
            for number, (node, recipient) in enumerate(
                [(first, "alice"), (first, "alice"), (second, "alice"), (second, "bob"), (third, "carol")]
            )
        ]
        for node in (first, second, third):
            await wait_until(knows(node, alice=3, bob=1, carol=1))
            assert node.hub.subscriptions.total(ROOM) == 5
        await wait_until(lambda: first.hub.subscriptions.total(INBOX) == second.hub.subscriptions.total(INBOX) == 3)
        for connection in connections[1:4]:
            connection.connection_lost(None)
        for node in (first, third):
            await wait_until(knows(node, alice=1, carol=1))
        assert second.members == {}  # it unsubscribed


async def test_missed_changes_are_repaired(broker_name: str) -> None:
    async with nodes(broker_name, 2) as (first, second):
        first.follow("1")
        second.follow("2", "bob")
        await wait_until(knows(second, alice=1, bob=1))
        second.is_deaf = True
        first.follow("3", "carol")
        await wait_until(knows(first, alice=1, bob=1, carol=1))
        await asyncio.sleep(0.2)  # long enough to miss the change
        second.is_deaf = False
        await wait_until(knows(second, alice=1, bob=1, carol=1))


async def test_node_that_announces_its_shutdown_is_removed(broker_name: str) -> None:
    async with nodes(broker_name, 2) as (first, second):
        first.follow("1")
        second.follow("2", "bob")
        await wait_until(knows(second, alice=1, bob=1))
        await first.leave()
        await wait_until(knows(second, bob=1))
        assert not second.hub.members.others


async def test_guardian_reports_what_a_stopped_node_held(broker_name: str) -> None:
    async with nodes(broker_name, 2) as (first, second):
        ended: list[tuple[str, bytes]] = []
        second.hub.guardians.holders["end"] = Holder(lambda *end: ended.append(end), lambda _: None)
        first.hub.guardians.hold("end", "a", b"1")
        first.hub.guardians.hold("end", "b", b"2")
        first.hub.guardians.release("end", "b")
        await wait_until(lambda: second.hub.guardians._guarded)
        await first.leave()
        await wait_until(lambda: ended)
        assert ended == [("a", b"1")]
