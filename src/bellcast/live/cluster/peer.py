"""State of another node in the group of a stream."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct

from bellcast.live.types.events import GroupState, Member

PresenceKey = tuple[str, str, str]  # tenant, topic, recipient


class ChangeOrigin(IntEnum):
    """Why a count or presence on all nodes changed."""

    HERE = 0
    ELSEWHERE = 1
    DEATH = 2  # of another node, which can no longer report its own changes


class StateDelta(NamedTuple):
    """Changes of a node on one stream: the difference of its connections, and members with their new numbers of connections."""

    connections: int = 0
    members: Sequence[Member] = ()


class Peer(Struct):
    """A node of a group: `number` is that of its last message, `missed` that of one that could not be applied. `is_new`: it
    has begun to follow at the same time as this node."""

    number: int = 0
    count: int = 0
    heard_at: int = 0
    missed: int = 0
    is_new: bool = False
    members: dict[str, Member] = {}

    def apply(self, state: GroupState) -> StateDelta | None:
        """Apply a state that is not older. Returns what changed, None if a message has been lost before it."""
        if state.number < self.number or (state.number == self.number and state.previous is None and self.number):
            return StateDelta()
        if state.previous is not None and state.previous != self.number:
            return None
        self.number = state.number
        change, self.count = state.count - self.count, state.count
        self.is_new = state.is_new
        listed = {member.recipient: member for member in state.members}
        if state.previous is None:
            listed = {key: _absent(key) for key in self.members if key not in listed} | listed
        changed = [member for key, member in listed.items() if self.members.get(key) != member]
        for member in changed:
            if member.connections:
                self.members[member.recipient] = member
            else:
                self.members.pop(member.recipient, None)
        return StateDelta(change, changed)

    def clear(self) -> StateDelta:
        """Return the end of all that the node has."""
        change, self.count = -self.count, 0
        left, self.members = [_absent(key) for key in self.members], {}
        return StateDelta(change, left)

    def state(self, node: str) -> GroupState:
        """Return all that is known about the node."""
        return GroupState(node, self.number, None, self.count, tuple(self.members.values()), self.is_new)


def _absent(recipient: str) -> Member:
    return Member(recipient=recipient, connections=0)
