"""Presence on several nodes, in random histories with lost messages, partitions and deaths: the members that a client
received when it followed, with the later events, are the members present, and no event repeats what the client knows."""

import asyncio
import itertools
import random
from collections import Counter

import pytest

from bellcast.auth.permissions import Grant
from bellcast.kernel.brokers.memory import MemoryBroker
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import Event, Stream
from bellcast.kernel.identities import Principal
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.hub import Hub
from bellcast.live.hub.presence import PresenceTracker
from tests.clock import FakeClock
from tests.unit.live.fakes import FakeConnection, connect

RECIPIENTS = ("alice", "bob", "carol", "dave")
STEPS = 200
# Longer than the time after which a dead node expires and, if messages were lost, that between two repetitions.
HEALING_SECONDS, HEALING_OF_LOSS_SECONDS = 20, 90


class Network:
    """Three nodes. Messages between them arrive later, in order, and some are lost."""

    def __init__(self, seed: int) -> None:
        self.random, self.clock, self.ids = random.Random(seed), FakeClock(), itertools.count()
        self.loss = self.random.choice((0, 0.02, 0.1))
        self.nodes: list[Node] = []
        for _ in range(3):
            self.nodes.append(Node(self))

    async def act(self) -> None:
        """Let a client connect, disconnect, follow or unfollow, or a node lose its broker, find it again, or die."""
        node = self.random.choice(self.nodes)
        action = self.random.choices(("connect", "disconnect", "switch", "cut", "die", "wait"), (30, 20, 10, 3, 1, 36))
        client = self.random.choice(node.clients) if node.clients else None
        match action[0]:
            case "connect":
                node.clients.append(Client(node, self.random.choice(RECIPIENTS)))
            case "disconnect" if client is not None:
                node.clients.remove(client)
                client.connection.connection_lost(None)
            case "switch" if client is not None:
                client.switch()
            case "cut":
                node.set_cut(not node.is_cut)
            case "die":
                await node.die()
                self.nodes.append(Node(self))
            case _:
                self.clock.advance(self.random.choice((0.01, 0.05, 0.5, 3)))
        for one in self.nodes:
            one.receive(self.random.randint(0, len(one.arriving)))
        for _ in range(self.random.randint(0, 4)):
            await asyncio.sleep(0)

    async def heal(self) -> None:
        seconds, self.loss = HEALING_OF_LOSS_SECONDS if self.loss else HEALING_SECONDS, 0
        for node in self.nodes:
            node.set_cut(False)
        for _ in range(seconds * 20):
            self.clock.advance(0.05)
            for node in self.nodes:
                node.receive(len(node.arriving))
            for _ in range(6):
                await asyncio.sleep(0)


class Node(MemoryBroker):
    """A hub and its connection to the network."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.is_cut = False
        self.arriving: list[Event] = []
        self._outgoing: list[Event] = []  # while it is cut
        self.clients: list[Client] = []
        self.followed: Counter[Stream] = Counter()
        self.hub = Hub(PresenceTracker(lambda: ("room",)), self, network.clock, HubCallbacks())
        self._exchange = asyncio.ensure_future(self.hub.members.run())

    async def publish(self, *events: Event) -> None:
        network = self.network
        if self.is_cut:
            self._outgoing += events
            return
        for node in network.nodes:
            if node is not self and not node.is_cut and network.random.random() >= network.loss:
                node.arriving.extend(event for event in events if node.followed[event.stream])

    def follow(self, stream: Stream) -> None:
        self.followed[stream] += 1
        if self.followed[stream] == 1 and not self.is_cut:
            asyncio.get_running_loop().call_soon(self.hub.mark_suspect, [stream])

    def unfollow(self, stream: Stream) -> None:
        self.followed[stream] -= 1

    async def ping(self, *, writes: bool = False) -> None:
        if self.is_cut:
            raise Unavailable

    def receive(self, count: int) -> None:
        for event in self.arriving[:count]:
            self.hub.dispatcher.dispatch(event)
        del self.arriving[:count]

    def set_cut(self, is_cut: bool) -> None:
        if self.is_cut and not is_cut:
            self.hub.mark_suspect([stream for stream, count in self.followed.items() if count])
            asyncio.get_running_loop().create_task(self.publish(*self._outgoing))
            self._outgoing = []
        self.is_cut = is_cut

    async def die(self) -> None:
        self.network.nodes.remove(self)
        self._exchange.cancel()
        await asyncio.gather(self._exchange, return_exceptions=True)


class Client:
    """Applies presence events to the members that it received when it followed."""

    def __init__(self, node: Node, recipient: str) -> None:
        self._node = node
        self.connection: FakeConnection = connect(node.hub, str(next(node.network.ids)), Principal(recipient=recipient))
        self._members: set[str] | None = None  # None while it does not follow
        self.switch()

    def switch(self) -> None:
        """Follow, or unfollow."""
        if self._members is None:
            self.connection.fake.written.clear()
            self._node.hub.subscriptions.follow(self.connection, {"room": Grant.PUBLIC})
            self._members = {one.recipient for one in self._node.hub.presence.members("", "room")}
        else:
            self._node.hub.subscriptions.unfollow(self.connection, ["room"])
            self._members = None

    @property
    def members(self) -> set[str] | None:
        """The members after the received events. Each must be news."""
        for frame in self.connection.fake.frames if self._members is not None else ():
            joined, left = ({one["recipient"] for one in frame[name]} for name in ("joined", "left"))
            assert self._members.isdisjoint(joined)
            assert self._members >= left
            self._members = (self._members | joined) - left
        self.connection.fake.written.clear()
        return self._members


@pytest.mark.parametrize("seed", range(40))
async def test_clients_of_all_nodes_know_the_members_present(seed: int) -> None:
    network = Network(seed)
    for _ in range(STEPS):
        await network.act()
    await network.heal()
    followers = [client for node in network.nodes for client in node.clients if client.members is not None]
    present = {client.connection.principal.recipient for client in followers}
    assert [client.members for client in followers] == [present] * len(followers)
    for node in tuple(network.nodes):
        members = node.hub.presence.members("", "room")
        if any(client.members is not None for client in node.clients):
            assert {one.recipient for one in members} == present
            assert sum(one.connections or 0 for one in members) == len(followers)
        else:  # a node that does not follow knows nothing
            assert members == []
        await node.die()
