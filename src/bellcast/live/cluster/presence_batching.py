"""Batching of presence changes on topics with thousands of followers.

A new follower receives the members at its join, so a member that joined or left only receives the changes after its
own."""

import asyncio
from collections.abc import Callable, Sequence

from bellcast.model.events import Member, PresenceChanged, Stream

# Up to this many followers receive every change immediately.
DIRECT_FOLLOWERS = 100
# The batch interval keeps a topic's writes below this many per second: about 7 % of a core.
WRITES_PER_SECOND = 10_000
# A batch of this many changes is sent immediately.
MAX_BATCH_CHANGES = 500

SendMoves = Callable[[Stream, Sequence[PresenceChanged]], None]


class PresenceBatcher:
    def __init__(self, send: SendMoves) -> None:
        self._send = send
        self._pending: dict[Stream, list[PresenceChanged]] = {}

    def add(self, change: PresenceChanged, followers: int) -> bool:
        """Add a change. Return True if it is sent later with a batch."""
        stream = change.stream
        waiting = self._pending.get(stream)
        if waiting is None:
            if followers <= DIRECT_FOLLOWERS:
                return False
            self._pending[stream] = [change]
            asyncio.get_running_loop().call_later(followers / WRITES_PER_SECOND, self._flush, stream)
            return True
        waiting.append(change)
        if len(waiting) >= MAX_BATCH_CHANGES:
            self._flush(stream)
            self._pending[stream] = []
        return True

    def _flush(self, stream: Stream) -> None:
        changes = self._pending.pop(stream, None)
        if changes:
            self._send(stream, changes)


def merge_changes(changes: Sequence[PresenceChanged]) -> PresenceChanged | None:
    """Merge changes; a join and a leave of the same member cancel out."""
    joined: dict[str, Member] = {}
    left: dict[str, Member] = {}
    for change in changes:
        for member in change.joined:
            if left.pop(member.recipient, None) is None:
                joined[member.recipient] = member
        for member in change.left:
            if joined.pop(member.recipient, None) is None:
                left[member.recipient] = member
    if not joined and not left:
        return None
    first = changes[0]
    return PresenceChanged(first.tenant, first.topic, tuple(joined.values()), tuple(left.values()))
