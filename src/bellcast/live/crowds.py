"""Who comes and goes on a topic that thousands follow, told a few times a second instead of one by one.

A newcomer is told who was there when it came; so each of those who moved hears only what came after its own move."""

import asyncio
from collections.abc import Callable, Sequence

from bellcast.model.events import Member, PresenceChanged, Stream

# Fewer followers hear of every move at once.
FEW = 100
# Moves are gathered for as long as keeps a topic's writes below this many a second: about 7 % of a core.
WRITES_PER_SECOND = 10_000
# What is gathered is told at the latest when it is this many moves.
MOST = 500

Tell = Callable[[Stream, Sequence[PresenceChanged]], None]


class Crowds:
    """The moves that wait to be told."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._moves: dict[Stream, list[PresenceChanged]] = {}

    def take(self, move: PresenceChanged, followers: int) -> bool:
        """Whether this move is told later, with others."""
        stream = move.stream
        waiting = self._moves.get(stream)
        if waiting is None:
            if followers <= FEW:
                return False
            self._moves[stream] = [move]
            asyncio.get_running_loop().call_later(followers / WRITES_PER_SECOND, self._flush, stream)
            return True
        waiting.append(move)
        if len(waiting) >= MOST:
            self._flush(stream)
            self._moves[stream] = []
        return True

    def _flush(self, stream: Stream) -> None:
        moves = self._moves.pop(stream, None)
        if moves:
            self._tell(stream, moves)


def together(moves: Sequence[PresenceChanged]) -> PresenceChanged | None:
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
