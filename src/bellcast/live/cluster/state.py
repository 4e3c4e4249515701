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
from bellcast.live.cluster.peer import EMPTY_DELTA, ChangeOrigin, PeerState, PresenceKey, StateDelta
from bellcast.model.events import NODES, NodeLeft, PeerPresence, PeerUpdate, SnapshotRequest, Stream
from bellcast.ports import Broker, Clock

log = structlog.get_logger(__name__)

# Changes are gathered for so long: what a node knows of others is that old at most, and a storm of 10,000 arrivals a
# second is twenty messages.
DELTA_INTERVAL_SECONDS = 0.05
# A sign of life goes out so often; a node that missed five is dead, or cut off, and what it had is forgotten.
HEARTBEAT_SECONDS = 2.0
NODE_TIMEOUT_MS = 10_000
# Between two questions for everything; the answer to one is some 100 ms of work.
SNAPSHOT_RETRY_MS = 1_000
# Counts in a message of everything: about 40 KB, 0.3 ms to write down.
SNAPSHOT_BATCH_ENTRIES = 1_000
ID_BYTES = 8


class LocalState(Protocol):
    """What this node has, and who minds what others have: the hub."""

    def __len__(self) -> int: ...

    def count_here(self, key: str) -> int:
        """Its own count of a key now."""
        ...

    def present_here(self, where: PresenceKey) -> PeerPresence:
        """Somebody's own connections on a topic now."""
        ...

    def counts_here(self) -> dict[str, int]:
        """Everything it counts."""
        ...

    def presence_here(self) -> list[PeerPresence]:
        """Everybody it has."""
        ...

    def apply_peer(self, node: str, learnt: StateDelta, cause: ChangeOrigin) -> None:
        """Another node has more or fewer than before."""
        ...


class ClusterState:
    """Tells what is here and keeps what is elsewhere."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self.node = secrets.token_hex(ID_BYTES)
        self.local: LocalState
        self._broker = broker
        self._clock = clock
        self._peers: dict[str, PeerState] = {}
        self._sequence = 0
        self._counts: set[str] = set()  # what changed here and is not told yet
        self._changed_presence: set[PresenceKey] = set()
        self._snapshot_wanted = False  # somebody wants to be told everything
        self._questions: set[str | None] = {None}  # who is to be asked for everything: all, to begin with
        self._has_work = asyncio.Event()
        self._has_work.set()
        self._last_heartbeat_at = clock.now()

    # --- what is elsewhere

    @property
    def others(self) -> frozenset[str]:
        """The other nodes that live."""
        return frozenset(self._peers)

    @property
    def is_leader(self) -> bool:
        """Whether this is the one node that speaks where one should speak for all."""
        return all(self.node < other for other in self._peers)

    @property
    def connections(self) -> int:
        """Live connections of the other nodes, as of their last signs of life."""
        return sum(other.connections for other in self._peers.values())

    def count_elsewhere(self, key: str) -> int:
        """How many followers of a stream, or connections of an address, the other nodes have."""
        return sum(other.counts.get(key, 0) for other in self._peers.values()) if self._peers else 0

    def counts_by_prefix(self, prefix: str) -> Iterator[tuple[str, int]]:
        """What the other nodes count under keys that begin so."""
        for other in self._peers.values():
            yield from ((key, count) for key, count in other.counts.items() if key.startswith(prefix))

    # --- what changes here

    def count_changed(self, key: str) -> None:
        """A count of this node changed."""
        if self._peers:
            self._counts.add(key)
            self._has_work.set()

    def presence_changed(self, where: PresenceKey) -> None:
        """Somebody's connections on a topic changed here."""
        if self._peers:
            self._changed_presence.add(where)
            self._has_work.set()

    # --- telling

    async def run(self) -> None:
        """Ask, and tell what changes, until cancelled."""
        self._broker.follow(NODES)
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            questions, self._questions = self._questions, set()
            for node in questions:
                await self._broker.publish(SnapshotRequest(self.node, node))
            if self._snapshot_wanted:
                await self._send_snapshot()
            elif self._counts or self._changed_presence:
                await self._send_deltas()
            await self._clock.sleep(DELTA_INTERVAL_SECONDS)

    async def heartbeat(self) -> None:
        """Give signs of life, and notice who gives none, until cancelled."""
        while True:
            await self._clock.sleep(HEARTBEAT_SECONDS)
            await self._broker.publish(PeerUpdate(self.node, self._sequence, len(self.local)))
            await self._expire_dead_nodes()

    async def announce_shutdown(self) -> None:
        """Say goodbye."""
        await self._broker.publish(NodeLeft(self.node))

    async def _send_deltas(self) -> None:
        keys, self._counts = self._counts, set()
        places, self._changed_presence = self._changed_presence, set()
        counts = {key: self.local.count_here(key) for key in keys}
        members = tuple(self.local.present_here(where) for where in places)
        self._sequence += 1
        await self._broker.publish(PeerUpdate(self.node, self._sequence, len(self.local), counts, members))

    async def _send_snapshot(self) -> None:
        """As it is now; what changes meanwhile is told behind it."""
        self._snapshot_wanted = False
        self._counts.clear()
        self._changed_presence.clear()
        counts, members, connections = self.local.counts_here(), self.local.presence_here(), len(self.local)
        pieces = max(1, -(-len(counts) // SNAPSHOT_BATCH_ENTRIES), -(-len(members) // SNAPSHOT_BATCH_ENTRIES))
        following, people = iter(counts.items()), iter(members)
        for piece in range(pieces):
            self._sequence += 1
            some, present = (
                dict(islice(following, SNAPSHOT_BATCH_ENTRIES)),
                tuple(islice(people, SNAPSHOT_BATCH_ENTRIES)),
            )
            told = PeerUpdate(self.node, self._sequence, connections, some, present, piece=piece, pieces=pieces)
            await self._broker.publish(told)
            await asyncio.sleep(0)

    # --- hearing

    def receive(self, event: PeerUpdate | SnapshotRequest | NodeLeft) -> None:
        """What a node says of itself."""
        if event.node == self.node:
            return
        if isinstance(event, NodeLeft):
            self._drop(event.node)
            return
        now = self._clock.now()
        other = self._peers.setdefault(event.node, PeerState(now))
        other.last_received_at = now
        learnt = other.apply(event) if isinstance(event, PeerUpdate) else self._snapshot_requested(event)
        if learnt is not EMPTY_DELTA:
            self.local.apply_peer(event.node, learnt, ChangeOrigin.ELSEWHERE)
        if other.is_unsynchronized and now - other.snapshot_requested_at >= SNAPSHOT_RETRY_MS:
            other.snapshot_requested_at = now
            self._questions.add(event.node)
            self._has_work.set()

    def _snapshot_requested(self, event: SnapshotRequest) -> StateDelta:
        if event.of in (None, self.node):
            self._snapshot_wanted = True
            self._has_work.set()
        return EMPTY_DELTA

    # --- who is dead

    def mark_unsynchronized(self, streams: Collection[Stream]) -> None:
        """The others were not heard for a while: whoever lives has the time of a lease to be heard again."""
        if NODES in streams:
            self._rejoin()
            self._questions.add(None)
            self._snapshot_wanted = bool(self._peers)  # they missed what was told meanwhile
            self._has_work.set()

    async def _expire_dead_nodes(self) -> None:
        """Forget nodes that are not heard any more. Who hears nobody, or slept itself, buries nobody."""
        now = self._clock.now()
        slept, self._last_heartbeat_at = now - self._last_heartbeat_at > NODE_TIMEOUT_MS // 2, now
        if slept or not await self._is_reachable():
            self._rejoin()
        for node in [node for node, other in self._peers.items() if now - other.last_received_at > NODE_TIMEOUT_MS]:
            log.warning("a node is gone: what it had is forgotten", node=node)
            self._drop(node)

    async def _is_reachable(self) -> bool:
        try:
            await self._broker.ping()
        except BellcastError:
            return False
        return True

    def _rejoin(self) -> None:
        for other in self._peers.values():
            other.last_received_at = self._clock.now()

    def _drop(self, node: str) -> None:
        other = self._peers.pop(node, None)
        if other is not None:
            self.local.apply_peer(node, other.clear(), ChangeOrigin.DEATH)
