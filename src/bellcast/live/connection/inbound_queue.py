"""In-order processing of a connection's messages, without a task for silent connections."""

from collections.abc import Awaitable, Callable
from typing import Any

from bellcast.kernel.token_bucket import TokenBucket
from bellcast.live.config import Spawn
from bellcast.live.connection.connection import Connection, Phase
from bellcast.live.connection.pending_messages import PendingMessages


class InboundQueue:
    """Calls `handler` for one message at a time. The dialect defines the message type. Reading from the transport
    pauses while more than `max_bytes` are queued (0: no limit).

    With `survives_disconnect`, messages received before the client disconnected are still processed: a page may send
    `read` and unload. Messages that were queued when the server closed the connection are dropped."""

    def __init__(
        self,
        handler: Callable[[Any, Any], Awaitable[None]],
        spawn: Spawn,
        max_bytes: int,
        *,
        survives_disconnect: bool = False,
    ) -> None:
        self._handler = handler
        self._spawn = spawn
        self._max_bytes = max_bytes
        self._survives_disconnect = survives_disconnect

    def enqueue(self, connection: Connection, message: Any, size: int) -> None:
        pending = connection.pending
        if pending is None:
            pending = connection.pending = PendingMessages(self._max_bytes)
            self._spawn(self._process(connection, pending))
        pending.append(message, size)
        if connection.has_full_queue:
            connection.transport.pause_reading()

    async def _process(self, connection: Connection, pending: PendingMessages) -> None:
        try:
            while pending and (self._survives_disconnect or connection.phase is not Phase.CLOSED):
                was_full = connection.has_full_queue
                await self._handler(connection, pending.begin_next())
                pending.end_current()
                if was_full and not connection.has_full_queue:
                    connection.resume_reading()
        finally:
            connection.pending = None  # also after an exception, so that later messages are processed
            connection.resume_reading()  # even after a close, to receive the client's close frame


class MessageRateLimiter:
    """Limits one connection's frames per second; 0 is unlimited."""

    __slots__ = ("_bucket",)

    def __init__(self, limit: int) -> None:
        self._bucket = TokenBucket(limit, 0)

    def hit(self, now: float) -> bool:
        """Count a frame; True if it exceeds the limit."""
        return self._bucket.take(int(now * 1000)) > 0
