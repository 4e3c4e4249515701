"""What all nodes have together: how many follow a stream or come from an address, who is present where.

Each node tells the others what changed, a few times a second; while it is alone it tells nothing. What it told stands
as long as it gives signs of life. Whoever finds a number missing asks for everything anew.
"""

import asyncio
import secrets
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Protocol

import structlog

from bellcast.errors import BellcastError
from bellcast.live.nodes import NOTHING, Cause, Learnt, Node, Place
from bellcast.model.events import NODES, NodeLeft, NodesAsked, NodeTold, Present, Stream
from bellcast.ports import Broker, Clock

log = structlog.get_logger(__name__)

# Changes are gathered for so long: what a node knows of others is that old at most, and a storm of 10,000 arrivals a
# second is twenty messages.
PAUSE_SECONDS = 0.05
# A sign of life goes out so often; a node that missed five is dead, or cut off, and what it had is forgotten.
BEAT_SECONDS = 2.0
LEASE_MS = 10_000
# Between two questions for everything; the answer to one is some 100 ms of work.
ASK_MS = 1_000
# Counts in a message of everything: about 40 KB, 0.3 ms to write down.
PIECE = 1_000
ID_BYTES = 8


class Own(Protocol):
    """What this node has, and who minds what others have: the hub."""

    def __len__(self) -> int: ...

    def count_here(self, key: str) -> int:
        """Its own count of a key now."""
        ...

    def present_here(self, where: Place) -> Present:
        """Somebody's own connections on a topic now."""
        ...

    def counts_here(self) -> dict[str, int]:
        """Everything it counts."""
        ...

    def presents_here(self) -> list[Present]:
        """Everybody it has."""
        ...

    def learn(self, node: str, learnt: Learnt, cause: Cause) -> None:
        """Another node has more or fewer than before."""
        ...


class Census:
    """Tells what is here and keeps what is elsewhere."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self.node = secrets.token_hex(ID_BYTES)
        self.own: Own
        self._broker = broker
        self._clock = clock
        self._others: dict[str, Node] = {}
        self._number = 0
        self._counts: set[str] = set()  # what changed here and is not told yet
        self._places: set[Place] = set()
        self._wanted = False  # somebody wants to be told everything
        self._questions: set[str | None] = {None}  # who is to be asked for everything: all, to begin with
        self._work = asyncio.Event()
        self._work.set()
        self._beaten_at = clock.now()

    # --- what is elsewhere

    @property
    def others(self) -> frozenset[str]:
        """The other nodes that live."""
        return frozenset(self._others)

    @property
    def leads(self) -> bool:
        """Whether this is the one node that speaks where one should speak for all."""
        return all(self.node < other for other in self._others)

    @property
    def connections(self) -> int:
        """Live connections of the other nodes, as of their last signs of life."""
        return sum(other.connections for other in self._others.values())

    def elsewhere(self, key: str) -> int:
        """How many followers of a stream, or connections of an address, the other nodes have."""
        return sum(other.counts.get(key, 0) for other in self._others.values()) if self._others else 0

    def beginning(self, prefix: str) -> Iterator[tuple[str, int]]:
        """What the other nodes count under keys that begin so."""
        for other in self._others.values():
            yield from ((key, count) for key, count in other.counts.items() if key.startswith(prefix))

    # --- what changes here

    def changed(self, key: str) -> None:
        """A count of this node changed."""
        if self._others:
            self._counts.add(key)
            self._work.set()

    def moved(self, where: Place) -> None:
        """Somebody's connections on a topic changed here."""
        if self._others:
            self._places.add(where)
            self._work.set()

    # --- telling

    async def run(self) -> None:
        """Ask, and tell what changes, until cancelled."""
        self._broker.follow(NODES)
        while True:
            await self._work.wait()
            self._work.clear()
            questions, self._questions = self._questions, set()
            for node in questions:
                await self._broker.publish(NodesAsked(self.node, node))
            if self._wanted:
                await self._tell_everything()
            elif self._counts or self._places:
                await self._tell_changes()
            await self._clock.sleep(PAUSE_SECONDS)

    async def beat(self) -> None:
        """Give signs of life, and notice who gives none, until cancelled."""
        while True:
            await self._clock.sleep(BEAT_SECONDS)
            await self._broker.publish(NodeTold(self.node, self._number, len(self.own)))
            await self._bury()

    async def leave(self) -> None:
        """Say goodbye."""
        await self._broker.publish(NodeLeft(self.node))

    async def _tell_changes(self) -> None:
        keys, self._counts = self._counts, set()
        places, self._places = self._places, set()
        counts = {key: self.own.count_here(key) for key in keys}
        members = tuple(self.own.present_here(where) for where in places)
        self._number += 1
        await self._broker.publish(NodeTold(self.node, self._number, len(self.own), counts, members))

    async def _tell_everything(self) -> None:
        """As it is now; what changes meanwhile is told behind it."""
        self._wanted = False
        self._counts.clear()
        self._places.clear()
        counts, members, connections = self.own.counts_here(), self.own.presents_here(), len(self.own)
        pieces = max(1, -(-len(counts) // PIECE), -(-len(members) // PIECE))
        following, people = iter(counts.items()), iter(members)
        for piece in range(pieces):
            self._number += 1
            some, present = dict(islice(following, PIECE)), tuple(islice(people, PIECE))
            told = NodeTold(self.node, self._number, connections, some, present, piece=piece, pieces=pieces)
            await self._broker.publish(told)
            await asyncio.sleep(0)

    # --- hearing

    def hear(self, event: NodeTold | NodesAsked | NodeLeft) -> None:
        """What a node says of itself."""
        if event.node == self.node:
            return
        if isinstance(event, NodeLeft):
            self._drop(event.node)
            return
        now = self._clock.now()
        other = self._others.setdefault(event.node, Node(now))
        other.heard_at = now
        learnt = other.learn(event) if isinstance(event, NodeTold) else self._asked(event)
        if learnt is not NOTHING:
            self.own.learn(event.node, learnt, Cause.ELSEWHERE)
        if other.is_unsure and now - other.asked_at >= ASK_MS:
            other.asked_at = now
            self._questions.add(event.node)
            self._work.set()

    def _asked(self, event: NodesAsked) -> Learnt:
        if event.of in (None, self.node):
            self._wanted = True
            self._work.set()
        return NOTHING

    # --- who is dead

    def unsure(self, streams: Collection[Stream]) -> None:
        """The others were not heard for a while: whoever lives has the time of a lease to be heard again."""
        if NODES in streams:
            self._renew()
            self._questions.add(None)
            self._wanted = bool(self._others)  # they missed what was told meanwhile
            self._work.set()

    async def _bury(self) -> None:
        """Forget nodes that are not heard any more. Who hears nobody, or slept itself, buries nobody."""
        now = self._clock.now()
        slept, self._beaten_at = now - self._beaten_at > LEASE_MS // 2, now
        if slept or not await self._hears():
            self._renew()
        for node in [node for node, other in self._others.items() if now - other.heard_at > LEASE_MS]:
            log.warning("a node is gone: what it had is forgotten", node=node)
            self._drop(node)

    async def _hears(self) -> bool:
        try:
            await self._broker.ping()
        except BellcastError:
            return False
        return True

    def _renew(self) -> None:
        for other in self._others.values():
            other.heard_at = self._clock.now()

    def _drop(self, node: str) -> None:
        other = self._others.pop(node, None)
        if other is not None:
            self.own.learn(node, other.forget(), Cause.DEATH)
