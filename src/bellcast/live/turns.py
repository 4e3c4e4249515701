"""What a connection says is done in order, one message at a time, without a task for those who say nothing."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from bellcast.live.connection import Connection, Phase
from bellcast.live.rules import Spawn

# Messages that wait while an earlier one is being done; then the socket is no longer read.
WAITING = 64


class Turns:
    """Calls `do` for each message after the ones before it. What a message is, is the dialect's matter.

    With `outlasting`, what a client said before it left is done after it has: a page says `read` and is gone. What it
    said before we sent it away never is."""

    def __init__(self, do: Callable[[Any, Any], Awaitable[None]], spawn: Spawn, *, outlasting: bool = False) -> None:
        self._do = do
        self._spawn = spawn
        self._outlasting = outlasting

    def take(self, connection: Connection, message: Any) -> None:
        """Take one message in."""
        if connection.waiting is None:
            connection.waiting = deque((message,))
            self._spawn(self._work(connection, connection.waiting))
        else:
            connection.waiting.append(message)
            if len(connection.waiting) == WAITING:
                connection.outlet.pause_reading()

    async def _work(self, connection: Connection, waiting: deque[Any]) -> None:
        try:
            while waiting and (self._outlasting or connection.phase is not Phase.ENDED):
                await self._do(connection, waiting.popleft())
                if len(waiting) == WAITING - 1:
                    self._read_on(connection)
        finally:
            connection.waiting = None  # after a mistake of ours, too: what comes next is done
            self._read_on(connection)  # also for one who was sent away: its goodbye is behind what it said

    def _read_on(self, connection: Connection) -> None:
        if not connection.outlet.is_closing():
            connection.outlet.resume_reading()
