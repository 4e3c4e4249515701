"""Who comes and goes on a topic that thousands follow, told a few times a second instead of one by one.

A newcomer is told who was there when it came; so each of those who moved hears only what came after its own move."""

import asyncio
from collections.abc import Callable, Sequence

from bellcast.model.events import Member, PresenceChanged, Stream

# Fewer followers hear of every move at once.
DIRECT_FOLLOWERS = 100
# Moves are gathered for as long as keeps a topic's writes below this many a second: about 7 % of a core.
WRITES_PER_SECOND = 10_000
# What is gathered is told at the latest when it is this many moves.
MAX_BATCH_MOVES = 500

SendMoves = Callable[[Stream, Sequence[PresenceChanged]], None]


class PresenceBatcher:
    """The moves that wait to be told."""

    def __init__(self, tell: SendMoves) -> None:
        self._send = tell
        self._pending: dict[Stream, list[PresenceChanged]] = {}

    def add(self, move: PresenceChanged, followers: int) -> bool:
        """Whether this move is told later, with others."""
        stream = move.stream
        waiting = self._pending.get(stream)
        if waiting is None:
            if followers <= DIRECT_FOLLOWERS:
                return False
            self._pending[stream] = [move]
            asyncio.get_running_loop().call_later(followers / WRITES_PER_SECOND, self._flush, stream)
            return True
        waiting.append(move)
        if len(waiting) >= MAX_BATCH_MOVES:
            self._flush(stream)
            self._pending[stream] = []
        return True

    def _flush(self, stream: Stream) -> None:
        moves = self._pending.pop(stream, None)
        if moves:
            self._send(stream, moves)


def merge_changes(moves: Sequence[PresenceChanged]) -> PresenceChanged | None:
    """What several moves come to: whoever came and went again is not told of."""
    joined: dict[str, Member] = {}
    left: dict[str, Member] = {}
    for move in moves:
        for member in move.joined:
            if left.pop(member.recipient, None) is None:
                joined[member.recipient] = member
        for member in move.left:
            if joined.pop(member.recipient, None) is None:
                left[member.recipient] = member
    if not joined and not left:
        return None
    first = moves[0]
    return PresenceChanged(first.tenant, first.topic, tuple(joined.values()), tuple(left.values()))
