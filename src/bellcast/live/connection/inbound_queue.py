"""What a connection says is done in order, one message at a time, without a task for those who say nothing."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from bellcast.live.config import Spawn
from bellcast.live.connection.connection import Connection, Phase

# Messages that wait while an earlier one is being done; then the socket is no longer read.
MAX_PENDING = 64


class InboundQueue:
    """Calls `do` for each message after the ones before it. What a message is, is the dialect's matter.

    With `outlasting`, what a client said before it left is done after it has: a page says `read` and is gone. What it
    said before we sent it away never is."""

    def __init__(self, do: Callable[[Any, Any], Awaitable[None]], spawn: Spawn, *, outlasting: bool = False) -> None:
        self._handler = do
        self._spawn = spawn
        self._survives_disconnect = outlasting

    def enqueue(self, connection: Connection, message: Any) -> None:
        """Take one message in."""
        if connection.pending is None:
            connection.pending = deque((message,))
            self._spawn(self._process(connection, connection.pending))
        else:
            connection.pending.append(message)
            if len(connection.pending) == MAX_PENDING:
                connection.transport.pause_reading()

    async def _process(self, connection: Connection, waiting: deque[Any]) -> None:
        try:
            while waiting and (self._survives_disconnect or connection.phase is not Phase.CLOSED):
                await self._handler(connection, waiting.popleft())
                if len(waiting) == MAX_PENDING - 1:
                    self._resume_reading(connection)
        finally:
            connection.pending = None  # after a mistake of ours, too: what comes next is done
            self._resume_reading(connection)  # also for one who was sent away: its goodbye is behind what it said

    def _resume_reading(self, connection: Connection) -> None:
        if not connection.transport.is_closing():
            connection.transport.resume_reading()
