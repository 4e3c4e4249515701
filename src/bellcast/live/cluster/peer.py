"""What another node told of itself: its counts, its people, and whether all of that was heard."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from bellcast.model.events import Member, PeerPresence, PeerUpdate

PresenceKey = tuple[str, str, str]  # tenant, topic, recipient


class ChangeOrigin(IntEnum):
    """Why what all nodes have together changed."""

    HERE = 0
    ELSEWHERE = 1
    DEATH = 2  # of another node: nobody but the others can tell of it


class StateDelta(NamedTuple):
    """What is new about a node: by how much counts changed, and who has how many connections now."""

    counts: Mapping[str, int] = {}
    members: Sequence[PeerPresence] = ()


EMPTY_DELTA = StateDelta()


class PeerState:
    """One other node. `number` is that of its last message; None while something of it is not known."""

    def __init__(self, heard_at: int) -> None:
        self.sequence: int | None = None
        self.last_received_at = heard_at
        self.snapshot_requested_at = 0
        self.connections = 0
        self.counts: dict[str, int] = {}
        self.members: dict[PresenceKey, PeerPresence] = {}
        self._snapshot_parts: PeerUpdate | None = None  # the last piece of everything that is told anew
        self._counts: dict[str, int] = {}
        self._members: dict[PresenceKey, PeerPresence] = {}

    @property
    def is_unsynchronized(self) -> bool:
        """Whether it has to be asked for everything."""
        return self.sequence is None and self._snapshot_parts is None

    def apply(self, told: PeerUpdate) -> StateDelta:
        """Take in what it told."""
        self.connections = told.connections
        if told.pieces:
            return self._collect_snapshot(told)
        if self.sequence is not None and told.number == self.sequence + 1 and (told.counts or told.members):
            self.sequence = told.number
            return self._apply_delta(told.counts, told.members)
        if told.number != self.sequence:
            self.sequence = None  # some of it was lost
        return EMPTY_DELTA

    def clear(self) -> StateDelta:
        """Nothing of it is there any more."""
        return self._replace({}, {})

    def _collect_snapshot(self, piece: PeerUpdate) -> StateDelta:
        """A piece of everything. What was known before stands until the last one is there."""
        before, self._snapshot_parts = self._snapshot_parts, piece
        if piece.piece == 0:
            self._counts, self._members = {}, {}
        elif before is None or (piece.number, piece.piece) != (before.number + 1, before.piece + 1):
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
        gone = {key: 0 for key in self.counts if key not in counts}
        left = [absence_of(where) for where in self.members if where not in members]
        return self._apply_delta(gone | counts, [*left, *members.values()])

    def _apply_delta(self, counts: Mapping[str, int], members: Sequence[PeerPresence]) -> StateDelta:
        changes = {}
        for key, count in counts.items():
            change = count - self.counts.get(key, 0)
            if change:
                changes[key] = change
                _set_count(self.counts, key, count)
        news = [present for present in members if self.members.get(presence_key(present)) != present]
        for present in news:
            if present.member.connections:
                self.members[presence_key(present)] = present
            else:
                self.members.pop(presence_key(present), None)
        return StateDelta(changes, news)


def _set_count(counts: dict[str, int], key: str, count: int) -> None:
    if count:
        counts[key] = count
    else:
        del counts[key]


def presence_key(present: PeerPresence) -> PresenceKey:
    """Where who is present."""
    return present.tenant, present.topic, present.member.recipient


def absence_of(where: PresenceKey) -> PeerPresence:
    """Somebody who is not there any more."""
    tenant, topic, recipient = where
    return PeerPresence(tenant, topic, Member(recipient=recipient, connections=0))
