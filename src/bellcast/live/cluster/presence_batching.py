"""Batching of presence changes: those of one event loop iteration or, on topics with thousands of followers, of an
interval.

A new follower receives the members when it follows, so it only receives the changes after that, as does a member that
left."""

import asyncio
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from bellcast.kernel.events import Stream
from bellcast.live.types.events import Member, PresenceChanged

# Up to this many followers receive every change in the next event loop iteration.
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

    def add(self, change: PresenceChanged, followers: int) -> None:
        """Add a change, which is sent after the reply to the connection that joined or left."""
        stream = change.stream
        waiting = self._pending.get(stream)
        if waiting is None:
            self._pending[stream], loop = [change], asyncio.get_running_loop()
            if followers <= DIRECT_FOLLOWERS:
                loop.call_soon(self._flush, stream)
            else:
                loop.call_later(followers / WRITES_PER_SECOND, self._flush, stream)
            return
        waiting.append(change)
        if len(waiting) >= MAX_BATCH_CHANGES:
            self._flush(stream)
            self._pending[stream] = []

    def add_follower(self, stream: Stream, id: str) -> None:
        """Record that a connection follows from now on, by a change without members."""
        waiting = self._pending.get(stream)
        if waiting:
            waiting.append(replace(waiting[0], joined=(), left=(), sender=id))

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
