"""In-order processing of a connection's messages, without a task for silent connections."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any

from msgspec import Struct, field

from bellcast.kernel.events import inbox_stream
from bellcast.kernel.token_bucket import Pace, TokenBucket
from bellcast.live.connection import Connection, PendingMessages, Phase, close_reasons
from bellcast.live.framing.websocket import CloseReceived, ControlReceived, FrameReader, ReaderEvent, ReaderSignal
from bellcast.live.types import Spawn

# Following or leaving this many topics takes as much CPU time as another message, about 0.1 ms.
TOPICS_PER_MESSAGE = 10
# Of WebSocket pings and pongs, and packets of Engine.IO without a message, on a connection that may send more messages. They are
# handled at once, and do not wait for the recipient's turn. Clients send one per heartbeat.
CONTROL_FRAMES_PER_SECOND = 20
# For a turn among the connections of the same recipient. Bounds what closed connections hold until their turn.
MAX_WAIT_SECONDS = 5.0


def limited(
    reader: FrameReader, bucket: TokenBucket, data: bytes, heartbeats: Collection[str] = ()
) -> Iterator[ReaderEvent]:
    """Yield the events of a read, up to a flood or the first one beyond the rate, which FLOOD replaces. `heartbeats` are messages
    that count as control frames."""
    now = int(asyncio.get_running_loop().time() * 1000)
    control_cost = max(1, int(bucket.rate) // CONTROL_FRAMES_PER_SECOND)
    for event in reader.receive(data):
        cost = control_cost if isinstance(event, ControlReceived) or event in heartbeats else 1
        if event is ReaderSignal.FLOOD or (not isinstance(event, CloseReceived) and bucket.take(now, cost)):
            reader.stop()
            yield ReaderSignal.FLOOD
            return
        yield event


class InboundQueue(Struct, eq=False):
    """Calls `handler` for one message at a time. The dialect defines the message type. Reading from the transport
    pauses while more than `max_bytes` are queued (0: no limit).

    All connections of a recipient in this process together have `rate` messages per second (0: any number), so that a
    recipient with a hundred connections does not delay others; further messages wait.

    With `survives_disconnect`, messages received before the client disconnected are still processed: a page may send
    `read` and unload. Messages that were queued when the server closed the connection are dropped."""

    handler: Callable[[Any, Any], Awaitable[None]]
    spawn: Spawn
    max_bytes: int
    rate: int
    survives_disconnect: bool = False
    _pace: Pace = field(default_factory=Pace)

    def enqueue(self, connection: Connection, message: Any, size: int) -> None:
        pending = connection.pending
        if pending is None:
            pending = connection.pending = PendingMessages(self.max_bytes)
            self.spawn(self._process(connection, pending))
        pending.append(message, size)
        if connection.has_full_queue:
            connection.transport.pause_reading()

    async def _process(self, connection: Connection, pending: PendingMessages) -> None:
        try:
            while pending and (self.survives_disconnect or connection.phase is not Phase.CLOSED):
                was_full = connection.has_full_queue
                message = pending.begin_next()
                if not await self.pace(connection, 1):
                    break
                await self.handler(connection, message)
                pending.end_current()
                # Many handlers never wait: deliveries to others go between two messages of a flood.
                await asyncio.sleep(0)
                if was_full and not connection.has_full_queue:
                    connection.resume_reading()
        finally:
            connection.pending = None  # also after an exception, so that later messages are processed
            connection.resume_reading()  # even after a close, to receive the client's close frame

    async def pace(self, connection: Connection, number: int) -> bool:
        """Wait until the connection's recipient may send this many messages. Return False if the connection was closed
        meanwhile, or is closed because the wait would be too long."""
        tenant, recipient = connection.principal.tenant, connection.principal.recipient
        if recipient is None or not number:  # anonymous connections are limited by their addresses
            return True
        inbox, now = inbox_stream(tenant, recipient), asyncio.get_running_loop().time()
        wait = self._pace.take(inbox, self.rate, now, MAX_WAIT_SECONDS, number)
        if wait > MAX_WAIT_SECONDS:
            connection.owner.end(connection, close_reasons.TOO_FAST)
        elif wait:
            await asyncio.sleep(wait)
        return not wait or connection.phase is not Phase.CLOSED
