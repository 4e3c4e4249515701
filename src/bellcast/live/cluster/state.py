"""Cluster state: follower counts by stream, connection counts by address, and presence on all nodes.

Each node publishes its changes as deltas a few times a second, and nothing while it is alone. A peer's state is valid
as long as its heartbeats arrive. A node that detects a gap in a peer's sequence requests a full snapshot.
"""

import asyncio
import secrets
from collections.abc import Callable, Collection, Iterator, Set
from itertools import islice
from typing import Protocol

import structlog

from bellcast.kernel.brokers.port import Broker
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.events import NODES, Stream
from bellcast.live.cluster.peer import EMPTY_DELTA, ChangeOrigin, PeerState, PresenceKey, StateDelta
from bellcast.live.types.events import NodeLeft, PeerPresence, PeerUpdate, SnapshotRequest
from bellcast.live.types.nodes import LiveNode, NodeReport

log = structlog.get_logger(__name__)

# Batching interval of changes, which bounds the staleness of peer state. 10,000 connections per second take twenty
# messages.
DELTA_INTERVAL_SECONDS = 0.05
# Heartbeat interval. A node that misses five is dead or partitioned, and its state is discarded.
HEARTBEAT_SECONDS = 2.0
NODE_TIMEOUT_MS = 10_000
# Silence after which a node is not the leader: two missed heartbeats.
LEADER_TIMEOUT_MS = 5_000
# Time after which every other node has sent a heartbeat.
DISCOVERY_MS = 3_000
# Minimum interval between two snapshot requests; a snapshot takes about 100 ms of work.
SNAPSHOT_RETRY_MS = 1_000
# Counts per snapshot message: about 40 KB, 0.3 ms to encode.
SNAPSHOT_BATCH_ENTRIES = 1_000
ID_BYTES = 8


class LocalState(Protocol):
    """The state of this node, and the consumer of peer changes: the hub."""

    def __len__(self) -> int: ...

    def count_here(self, key: str) -> int:
        """Return the current local count of a key."""
        ...

    def present_here(self, key: PresenceKey) -> PeerPresence:
        """Return a member's current local connections on a topic."""
        ...

    def counts_here(self) -> dict[str, int]: ...

    def presence_here(self) -> list[PeerPresence]: ...

    def apply_peer(self, node: str, delta: StateDelta, cause: ChangeOrigin) -> None: ...


class ClusterState:
    """Publishes the local state and stores the peers' state."""

    def __init__(
        self, broker: Broker, clock: Clock, local: LocalState, report: Callable[[], NodeReport | None]
    ) -> None:
        self.node = secrets.token_hex(ID_BYTES)
        self._local = local
        self._report = report
        self._broker = broker
        self._clock = clock
        self._peers: dict[str, PeerState] = {}
        self._sequence = 0
        self._counts: set[str] = set()  # changed local counts, not published yet
        self._changed_presence: set[PresenceKey] = set()
        self._snapshot_wanted = False
        self._snapshot_requests: set[str | None] = {None}  # peers to request a snapshot from; None: all, at startup
        self._has_work = asyncio.Event()
        self._has_work.set()
        self._last_heartbeat_at = clock.now()
        self._discovered_at = 0  # when all other nodes are known, after the start or a gap

    # --- peer state

    @property
    def others(self) -> frozenset[str]:
        return frozenset(self._peers)

    @property
    def is_leader(self) -> bool:
        """True on the one node that acts for the cluster. Of nodes that died together, one that has not expired yet must
        not prevent another from acting for the expired ones."""
        silent_since = self._clock.now() - LEADER_TIMEOUT_MS
        return all(self.node < id for id, peer in self._peers.items() if peer.last_received_at >= silent_since)

    @property
    def is_complete(self) -> bool:
        """True if the state of all other nodes is known."""
        are_known = self._clock.now() >= self._discovered_at
        return are_known and all(peer.sequence is not None for peer in self._peers.values())

    @property
    def connections(self) -> int:
        """Live connections of the other nodes, as of their last heartbeats."""
        return sum(peer.connections for peer in self._peers.values())

    def count_elsewhere(self, key: str) -> int:
        """Return the other nodes' followers of a stream or connections of an address."""
        count = 0
        for peer in self._peers.values():  # a loop takes half the time of `sum`, and every follow of a topic calls this
            count += peer.counts.get(key, 0)
        return count

    def followed_elsewhere(self, streams: Set[str]) -> Set[str]:
        """Return the given streams that other nodes follow; all of them while the state of a node is incomplete."""
        found: set[str] = set()
        for peer in self._peers.values():
            if peer.sequence is None:
                return streams
            found |= peer.counts.keys() & streams
        return found

    def counts_by_prefix(self, prefix: str) -> Iterator[tuple[str, int]]:
        for peer in self._peers.values():
            yield from ((key, count) for key, count in peer.counts.items() if key.startswith(prefix))

    def nodes(self) -> list[LiveNode]:
        """Return this node and the peers, by id: from their first heartbeat until they leave or expire."""
        reports: list[tuple[str, int, NodeReport | None]] = [(self.node, self._clock.now(), self._report())]
        reports += [(id, peer.last_received_at, _report_of(peer)) for id, peer in self._peers.items()]
        return [
            LiveNode(id=id, reported_at=at, is_self=id == self.node, report=report)
            for id, at, report in sorted(reports, key=lambda one: one[0])
            if report is not None
        ]

    # --- local changes

    def count_changed(self, key: str) -> None:
        if self._peers:
            self._counts.add(key)
            self._has_work.set()

    def presence_changed(self, key: PresenceKey) -> None:
        if self._peers:
            self._changed_presence.add(key)
            self._has_work.set()

    # --- publishing

    async def run(self) -> None:
        """Publish snapshot requests and local changes until cancelled."""
        self._discovered_at = self._clock.now() + DISCOVERY_MS
        self._broker.follow(NODES)
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            requests, self._snapshot_requests = self._snapshot_requests, set()
            for node in requests:
                await self._broker.publish(SnapshotRequest(self.node, node))
            if self._snapshot_wanted:
                await self._send_snapshot()
            elif self._counts or self._changed_presence:
                keys, self._counts = self._counts, set()
                presence_keys, self._changed_presence = self._changed_presence, set()
                counts = {key: self._local.count_here(key) for key in keys}
                members = tuple(self._local.present_here(key) for key in presence_keys)
                self._sequence += 1
                await self._broker.publish(PeerUpdate(self.node, self._sequence, len(self._local), counts, members))
            await self._clock.sleep(DELTA_INTERVAL_SECONDS)

    async def heartbeat(self) -> None:
        """Publish heartbeats and expire dead nodes until cancelled."""
        while True:
            await self._clock.sleep(HEARTBEAT_SECONDS)
            await self._broker.publish(PeerUpdate(self.node, self._sequence, len(self._local), report=self._report()))
            # Discard nodes past their timeout. If the broker is unreachable or this node was suspended, restart the
            # timeouts.
            now = self._clock.now()
            was_suspended, self._last_heartbeat_at = now - self._last_heartbeat_at > NODE_TIMEOUT_MS // 2, now
            if was_suspended or not await self._is_reachable():
                self._rejoin()
            for node in [node for node, peer in self._peers.items() if now - peer.last_received_at > NODE_TIMEOUT_MS]:
                log.warning("node_expired", node=node)
                self._drop(node)

    async def announce_shutdown(self) -> None:
        await self._broker.publish(NodeLeft(self.node))

    async def _send_snapshot(self) -> None:
        """Publish the current state. Later changes follow as deltas."""
        self._snapshot_wanted = False
        self._counts.clear()
        self._changed_presence.clear()
        counts, members, connections = self._local.counts_here(), self._local.presence_here(), len(self._local)
        pieces = max(1, -(-len(counts) // SNAPSHOT_BATCH_ENTRIES), -(-len(members) // SNAPSHOT_BATCH_ENTRIES))
        count_items, member_items = iter(counts.items()), iter(members)
        for piece in range(pieces):
            self._sequence += 1
            batch, present = (
                dict(islice(count_items, SNAPSHOT_BATCH_ENTRIES)),
                tuple(islice(member_items, SNAPSHOT_BATCH_ENTRIES)),
            )
            update = PeerUpdate(self.node, self._sequence, connections, batch, present, piece=piece, pieces=pieces)
            await self._broker.publish(update)
            await asyncio.sleep(0)

    # --- receiving

    def receive(self, event: PeerUpdate | SnapshotRequest | NodeLeft) -> None:
        if event.node == self.node:
            return
        if isinstance(event, NodeLeft):
            self._drop(event.node)
            return
        now = self._clock.now()
        peer = self._peers.setdefault(event.node, PeerState(now))
        peer.last_received_at = now
        delta = peer.apply(event) if isinstance(event, PeerUpdate) else self._snapshot_requested(event)
        if delta is not EMPTY_DELTA:
            self._local.apply_peer(event.node, delta, ChangeOrigin.ELSEWHERE)
        if peer.is_unsynchronized and now - peer.snapshot_requested_at >= SNAPSHOT_RETRY_MS:
            peer.snapshot_requested_at = now
            self._snapshot_requests.add(event.node)
            self._has_work.set()

    def _snapshot_requested(self, event: SnapshotRequest) -> StateDelta:
        if event.of in (None, self.node):
            self._snapshot_wanted = True
            self._has_work.set()
        return EMPTY_DELTA

    # --- failure detection

    def mark_unsynchronized(self, streams: Collection[Stream]) -> None:
        """Handle a gap in the subscription: every peer's timeout restarts, and snapshots are exchanged."""
        if NODES in streams:
            self._rejoin()
            self._discovered_at = self._clock.now() + DISCOVERY_MS
            self._snapshot_requests.add(None)
            self._snapshot_wanted = bool(self._peers)  # the peers may have missed messages too
            self._has_work.set()

    async def _is_reachable(self) -> bool:
        try:
            await self._broker.ping()
        except BellcastError:
            return False
        return True

    def _rejoin(self) -> None:
        for peer in self._peers.values():
            peer.last_received_at = self._clock.now()

    def _drop(self, node: str) -> None:
        peer = self._peers.pop(node, None)
        if peer is not None:
            self._local.apply_peer(node, peer.clear(), ChangeOrigin.DEATH)


def _report_of(peer: PeerState) -> NodeReport | None:
    """Return the last report of a peer. Versions before the reports send none; others do with their first heartbeat."""
    if peer.report is None and peer.last_received_at - peer.first_received_at >= LEADER_TIMEOUT_MS:
        return NodeReport(started_at=peer.first_received_at, connections=peer.connections)
    return peer.report
