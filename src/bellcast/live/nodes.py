"""What another node told of itself: its counts, its people, and whether all of that was heard."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from bellcast.model.events import Member, NodeTold, Present

Place = tuple[str, str, str]  # tenant, topic, recipient


class Cause(IntEnum):
    """Why what all nodes have together changed."""

    HERE = 0
    ELSEWHERE = 1
    DEATH = 2  # of another node: nobody but the others can tell of it


class Learnt(NamedTuple):
    """What is new about a node: by how much counts changed, and who has how many connections now."""

    counts: Mapping[str, int] = {}
    members: Sequence[Present] = ()


NOTHING = Learnt()


class Node:
    """One other node. `number` is that of its last message; None while something of it is not known."""

    def __init__(self, heard_at: int) -> None:
        self.number: int | None = None
        self.heard_at = heard_at
        self.asked_at = 0
        self.connections = 0
        self.counts: dict[str, int] = {}
        self.members: dict[Place, Present] = {}
        self._coming: NodeTold | None = None  # the last piece of everything that is told anew
        self._counts: dict[str, int] = {}
        self._members: dict[Place, Present] = {}

    @property
    def is_unsure(self) -> bool:
        """Whether it has to be asked for everything."""
        return self.number is None and self._coming is None

    def learn(self, told: NodeTold) -> Learnt:
        """Take in what it told."""
        self.connections = told.connections
        if told.pieces:
            return self._collect(told)
        if self.number is not None and told.number == self.number + 1 and (told.counts or told.members):
            self.number = told.number
            return self._apply(told.counts, told.members)
        if told.number != self.number:
            self.number = None  # some of it was lost
        return NOTHING

    def forget(self) -> Learnt:
        """Nothing of it is there any more."""
        return self._replace({}, {})

    def _collect(self, piece: NodeTold) -> Learnt:
        """A piece of everything. What was known before stands until the last one is there."""
        before, self._coming = self._coming, piece
        if piece.piece == 0:
            self._counts, self._members = {}, {}
        elif before is None or (piece.number, piece.piece) != (before.number + 1, before.piece + 1):
            self._coming = self.number = None
            return NOTHING
        self._counts |= piece.counts
        self._members |= {place(present): present for present in piece.members}
        if piece.piece + 1 < piece.pieces:
            return NOTHING
        self._coming, self.number = None, piece.number
        counts, self._counts = self._counts, {}
        members, self._members = self._members, {}
        return self._replace(counts, members)

    def _replace(self, counts: dict[str, int], members: dict[Place, Present]) -> Learnt:
        gone = {key: 0 for key in self.counts if key not in counts}
        left = [absent(where) for where in self.members if where not in members]
        return self._apply(gone | counts, [*left, *members.values()])

    def _apply(self, counts: Mapping[str, int], members: Sequence[Present]) -> Learnt:
        changes = {}
        for key, count in counts.items():
            change = count - self.counts.get(key, 0)
            if change:
                changes[key] = change
                _put(self.counts, key, count)
        news = [present for present in members if self.members.get(place(present)) != present]
        for present in news:
            if present.member.connections:
                self.members[place(present)] = present
            else:
                self.members.pop(place(present), None)
        return Learnt(changes, news)


def _put(counts: dict[str, int], key: str, count: int) -> None:
    if count:
        counts[key] = count
    else:
        del counts[key]


def place(present: Present) -> Place:
    """Where who is present."""
    return present.tenant, present.topic, present.member.recipient


def absent(where: Place) -> Present:
    """Somebody who is not there any more."""
    tenant, topic, recipient = where
    return Present(tenant, topic, Member(recipient=recipient, connections=0))
