"""Presence on several nodes, in random histories with lost messages, partitions and deaths: the members that a client
received when it followed, with the later events, are the members present, and no event repeats what the client knows.

Each history ends with bursts of loss among nodes that know each other: after a partition they ask for all states, which would
repair the loss too. Every second history sends changes of members instead of all members, as topics with many members do."""

import asyncio
import itertools
import random
from collections import defaultdict

import pytest
from benchmarks.node_network import NetworkNode, NodeNetwork

from bellcast.auth.permissions import Grant
from bellcast.kernel.events import Event
from bellcast.kernel.identities import Principal
from bellcast.live.cluster import groups
from bellcast.live.types import GroupAnswer, GroupUpdate
from tests.clock import FakeClock
from tests.unit.live.fakes import FakeConnection, connect

RECIPIENTS = ("alice", "bob", "carol", "dave")
STEPS = 120
# Even seeds send the changed members only, odd ones all members of a small group: both kinds need some of them.
SEEDS, THOROUGH_SEEDS = 12, 40
# Longer than the time after which a dead node expires and, if messages were lost, that between two repetitions.
HEALING_SECONDS, HEALING_OF_LOSS_SECONDS = 20, 70
# A burst of loss is shorter than the time until a state is repeated. Two repetitions repair it: one by which a node is known, and
# that node's.
BURSTS, BURST_STEPS, BURST_LOSS, HEALING_OF_BURST_SECONDS = 3, 5, 0.6, 10
WAITS = (0.01, 0.05, 0.5)


class LossyNetwork(NodeNetwork):
    """Three nodes with clients. Messages between them arrive later, those of each node in order, and some are lost."""

    def __init__(self, seed: int) -> None:
        self.fake_clock = FakeClock()
        super().__init__(self.fake_clock)
        self.random, self.ids = random.Random(seed), itertools.count()
        self.loss = self.random.choice((0, 0.02, 0.1))
        self.arriving: defaultdict[NetworkNode, list[Event]] = defaultdict(list)
        self.clients: defaultdict[NetworkNode, list[Client]] = defaultdict(list)
        for _ in range(3):
            self.add()

    def carry(self, node: NetworkNode, event: Event) -> None:
        # After a lost list of the nodes, they could ask for all states.
        loss = self.loss if isinstance(event, GroupUpdate | GroupAnswer) else min(self.loss, 0.1)
        if self.random.random() >= loss:
            self.arriving[node].append(event)

    def arrive(self, node: NetworkNode, number: int) -> None:
        """Let messages to a node arrive, each the next one of any sender."""
        for _ in range(number):
            senders = [sender_of(event) for event in self.arriving[node]]
            node.receive(self.arriving[node].pop(senders.index(self.random.choice(senders))))

    async def act(self, *, faults: bool) -> None:
        """Let a client connect, disconnect, follow or unfollow, or a node lose its broker, find it again, or die."""
        node = self.random.choice(self.nodes)
        weights = (30, 20, 10, 36, 3, 1) if faults else (30, 20, 10, 36, 0, 0)
        action = self.random.choices(("connect", "disconnect", "switch", "wait", "cut", "die"), weights)
        clients = self.clients[node]
        client = self.random.choice(clients) if clients else None
        match action[0]:
            case "connect":
                clients.append(Client(self, node, self.random.choice(RECIPIENTS)))
            case "disconnect" if client is not None:
                clients.remove(client)
                client.connection.connection_lost(None)
            case "switch" if client is not None:
                client.switch()
            case "cut":
                await node.set_cut(not node.is_cut)
            case "die":
                await node.kill()
                self.add()
            case _:
                self.fake_clock.advance(self.random.choice((*WAITS, 3) if faults else WAITS))
        for one in self.nodes:
            self.arrive(one, self.random.randint(0, len(self.arriving[one])))
        for _ in range(self.random.randint(0, 4)):
            await asyncio.sleep(0)

    async def mend(self) -> None:
        for node in self.nodes:
            await node.set_cut(False)
        await self.pass_without_loss(HEALING_OF_LOSS_SECONDS if self.loss else HEALING_SECONDS)

    async def lose_some(self) -> None:
        """Lose messages of connected nodes."""
        self.loss = BURST_LOSS
        for _ in range(BURST_STEPS):
            await self.act(faults=False)
        await self.pass_without_loss(HEALING_OF_BURST_SECONDS)

    async def pass_without_loss(self, seconds: int) -> None:
        self.loss = 0
        for _ in range(seconds * 10):
            self.fake_clock.advance(0.1)
            for _ in range(2):
                for _ in range(3):
                    await asyncio.sleep(0)
                for node in self.nodes:
                    self.arrive(node, len(self.arriving[node]))

    def check(self) -> None:
        followers = [client for node in self.nodes for client in self.clients[node] if client.members is not None]
        present = {client.connection.principal.recipient for client in followers}
        assert [client.members for client in followers] == [present] * len(followers)
        for node in self.nodes:
            members = node.hub.presence.members("", "room")
            if any(client.members is not None for client in self.clients[node]):
                assert {one.recipient for one in members} == present
                assert sum(one.connections or 0 for one in members) == len(followers)
            else:  # a node that does not follow knows nothing
                assert members == []


def sender_of(event: Event) -> str:
    match event:
        case GroupUpdate():
            return event.state.node
        case GroupAnswer():
            return event.states[0].node
    return str(getattr(event, "node", ""))


class Client:
    """Applies presence events to the members that it received when it followed."""

    def __init__(self, network: LossyNetwork, node: NetworkNode, recipient: str) -> None:
        self._node = node
        self.connection: FakeConnection = connect(node.hub, str(next(network.ids)), Principal(recipient=recipient))
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


@pytest.mark.parametrize(
    "seed",
    [*range(SEEDS), *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(SEEDS, THOROUGH_SEEDS))],
)
async def test_clients_of_all_nodes_know_the_members_present(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MAX_FULL_MEMBERS", seed % 2 * groups.MAX_FULL_MEMBERS)
    network = LossyNetwork(seed)
    for _ in range(STEPS):
        await network.act(faults=True)
    await network.mend()
    network.check()
    for _ in range(BURSTS):
        await network.lose_some()
        network.check()
    await network.close()
