"""State of one other node, from its deltas and snapshots."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from bellcast.live.types.events import Member, PeerPresence, PeerUpdate

PresenceKey = tuple[str, str, str]  # tenant, topic, recipient


class ChangeOrigin(IntEnum):
    """Why a cluster-wide count or presence changed."""

    HERE = 0
    ELSEWHERE = 1
    DEATH = 2  # reported for another node, which can no longer report its own changes


class StateDelta(NamedTuple):
    """Changes of a node: differences of counts, and members with their new connection counts."""

    counts: Mapping[str, int] = {}
    members: Sequence[PeerPresence] = ()


EMPTY_DELTA = StateDelta()


class PeerState:
    """One other node. `sequence` is the number of its last message; None after a gap, until a full snapshot."""

    def __init__(self) -> None:
        self.sequence: int | None = None
        self.snapshot_requested_at = 0
        self.counts: dict[str, int] = {}
        self.members: dict[PresenceKey, PeerPresence] = {}
        self._snapshot_parts: PeerUpdate | None = None  # the last part of an incomplete snapshot
        self._counts: dict[str, int] = {}
        self._members: dict[PresenceKey, PeerPresence] = {}

    @property
    def is_unsynchronized(self) -> bool:
        """True if a full snapshot must be requested."""
        return self.sequence is None and self._snapshot_parts is None

    def apply(self, update: PeerUpdate) -> StateDelta:
        """Apply a delta or a part of a snapshot. Returns what changed."""
        if update.pieces:
            return self._collect_snapshot(update)
        if self._snapshot_parts is not None and update.number != self._snapshot_parts.number:
            self._snapshot_parts = None  # the next part has been lost
        if self.sequence is not None and update.number == self.sequence + 1 and (update.counts or update.members):
            self.sequence = update.number
            return self._apply_delta(update.counts, update.members)
        if update.number != self.sequence:
            self.sequence = None  # a message has been lost
        return EMPTY_DELTA

    def clear(self) -> StateDelta:
        return self._replace({}, {})

    def _collect_snapshot(self, piece: PeerUpdate) -> StateDelta:
        """Collect a part of a snapshot. The old state stays valid until the last part."""
        previous, self._snapshot_parts = self._snapshot_parts, piece
        if piece.piece == 0:
            self._counts, self._members = {}, {}
        elif previous is None or (piece.number, piece.piece) != (previous.number + 1, previous.piece + 1):
            self._snapshot_parts = self.sequence = None
            return EMPTY_DELTA
        self._counts |= piece.counts
        self._members |= {presence_key(present): present for present in piece.members}
        if piece.piece + 1 < piece.pieces:
            return EMPTY_DELTA
        self._snapshot_parts, self.sequence = None, piece.number
        counts, self._counts = self._counts, {}
        members, self._members = self._members, {}
        return self._replace(counts, members)

    def _replace(self, counts: dict[str, int], members: dict[PresenceKey, PeerPresence]) -> StateDelta:
        removed = {key: 0 for key in self.counts if key not in counts}
        left = [absence_of(key) for key in self.members if key not in members]
        return self._apply_delta(removed | counts, [*left, *members.values()])

    def _apply_delta(self, counts: Mapping[str, int], members: Sequence[PeerPresence]) -> StateDelta:
        changes = {}
        for key, count in counts.items():
            change = count - self.counts.get(key, 0)
            if change:
                changes[key] = change
                if count:
                    self.counts[key] = count
                else:
                    del self.counts[key]
        changed = [present for present in members if self.members.get(presence_key(present)) != present]
        for present in changed:
            if present.member.connections:
                self.members[presence_key(present)] = present
            else:
                self.members.pop(presence_key(present), None)
        return StateDelta(changes, changed)


def presence_key(present: PeerPresence) -> PresenceKey:
    return present.tenant, present.topic, present.member.recipient


def absence_of(key: PresenceKey) -> PeerPresence:
    tenant, topic, recipient = key
    return PeerPresence(tenant, topic, Member(recipient=recipient, connections=0))
