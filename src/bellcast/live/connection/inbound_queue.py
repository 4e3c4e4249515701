"""In-order processing of a connection's messages, without a task for silent connections."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from bellcast.live.config import Spawn
from bellcast.live.connection.connection import Connection, Phase

# Queued messages at which reading from the socket is paused.
MAX_PENDING = 64


class InboundQueue:
    """Calls `handler` for one message at a time. The dialect defines the message type.

    With `survives_disconnect`, messages received before the client disconnected are still processed: a page may send
    `read` and unload. Messages that were queued when the server closed the connection are dropped."""

    def __init__(
        self, handler: Callable[[Any, Any], Awaitable[None]], spawn: Spawn, *, survives_disconnect: bool = False
    ) -> None:
        self._handler = handler
        self._spawn = spawn
        self._survives_disconnect = survives_disconnect

    def enqueue(self, connection: Connection, message: Any) -> None:
        if connection.pending is None:
            connection.pending = deque((message,))
            self._spawn(self._process(connection, connection.pending))
        else:
            connection.pending.append(message)
            if len(connection.pending) == MAX_PENDING:
                connection.transport.pause_reading()

    async def _process(self, connection: Connection, queue: deque[Any]) -> None:
        try:
            while queue and (self._survives_disconnect or connection.phase is not Phase.CLOSED):
                await self._handler(connection, queue.popleft())
                if len(queue) == MAX_PENDING - 1:
                    self._resume_reading(connection)
        finally:
            connection.pending = None  # also after an exception, so that later messages are processed
            self._resume_reading(connection)  # also after a close: the client's close frame follows its messages

    def _resume_reading(self, connection: Connection) -> None:
        if not connection.transport.is_closing():
            connection.transport.resume_reading()
