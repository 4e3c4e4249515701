"""Engine.IO over long-polling: packets are queued for the client's next GET and received by POST.

At most one GET and one POST may be in flight. A second one, or a request that disconnects before its end, closes the
session. The close packet is sent to the pending poll, or stored for a moment for the next one.
"""

import asyncio
import gzip
from contextlib import suppress

from bellcast.kernel.http import Receive, Send, responses
from bellcast.kernel.http.request_body import Disconnected
from bellcast.kernel.http.responses import accepts
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.outbound import QueuedTransport
from bellcast.live.http import asgi
from bellcast.live.http.handshake_request import HandshakeRequest, Headers
from bellcast.live.socketio import engineio
from bellcast.live.socketio.engine_session import UNREADABLE, EngineSession
from bellcast.live.socketio.engineio import InvalidPacket

# A cache must not return the response of one poll to another.
TEXT = [(b"content-type", b"text/plain; charset=UTF-8"), (b"cache-control", b"no-store")]
OK = [(b"content-type", b"text/html"), (b"cache-control", b"no-store")]

# Smaller bodies fit into one network packet. The reference implementation has the same limit.
COMPRESS_MIN_BYTES = 1_024
# The fastest level saves three quarters of typical JSON; higher levels save another tenth.
COMPRESS_LEVEL = 1
# A body may have half a million packets: other tasks run after this many, which take a few milliseconds.
PACKETS_PER_ITERATION = 250


class PollingTransport(QueuedTransport):
    """A session transport that queues packets until the next poll."""

    encoding = engineio.POLLING_BODY

    def __init__(self, session: EngineSession) -> None:
        super().__init__()
        self._session = session
        self._waiting: list[bytes] = []
        self._high = 2**31
        self._full = False
        self._wakeup = False
        self._packets: asyncio.Future[bytes] | None = None
        self._is_posting = False
        self.candidate: object | None = None  # the WebSocket that probes an upgrade
        self.upgrading = False  # during a probe polls return immediately
        self.reading.set()

    @property
    def transport(self) -> "PollingTransport":
        return self

    # --- polls

    async def respond_poll(self, request: HandshakeRequest, receive: Receive, send: Send, cors: Headers) -> None:
        """Handle a GET of the session."""
        if self._packets is not None:
            self._session.close(UNREADABLE)
            await respond_engine_error(send, engineio.BAD_REQUEST, cors)
            return
        try:
            body = await self.poll(receive)
        except Disconnected:
            self._session.discard()
            self.close()
            return
        await respond_body(send, request, cors, body)

    async def poll(self, receive: Receive) -> bytes:
        """Return the pending packets, or wait for the first. Raises Disconnected."""
        if self._waiting or self._closing:
            return self.take_pending()
        if self.upgrading:
            return engineio.NOOP
        response: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._packets = response
        disconnected = asyncio.ensure_future(responses.wait_disconnected(receive))
        try:
            await asyncio.wait((response, disconnected), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._packets = None
            disconnected.cancel()
        if not response.done():
            raise Disconnected
        return response.result()

    def probe(self, *, begun: bool) -> None:
        """Release the poll when a WebSocket probe starts or is abandoned."""
        self.upgrading = begun
        if begun:
            self._respond(engineio.NOOP)

    def hand_over_pending(self) -> list[bytes]:
        pending = self._remove_pending()
        self._respond(engineio.NOOP)
        self.close()
        return pending

    def close_with(self, end: CloseReason, last: bytes) -> None:
        self._waiting.append(last)
        self._size += len(last)
        self.close()
        self._flush()

    def take_pending(self) -> bytes:
        return engineio.SEPARATOR.join(self._remove_pending())

    def _remove_pending(self) -> list[bytes]:
        """Remove the pending packets. This is the only place where paused writers resume."""
        pending, self._waiting, self._size = self._waiting, [], 0
        if self._full:
            self._full = False
            self._session.on_buffer_drained()
        return pending

    def _flush(self) -> None:
        self._wakeup = False
        if self._waiting:
            self._respond(None)

    def _respond(self, body: bytes | None) -> None:
        response = self._packets
        if response is not None and not response.done():
            response.set_result(self.take_pending() if body is None else body)

    # --- packets of the client

    async def respond_post(self, receive: Receive, send: Send, cors: Headers, limits: tuple[int, float]) -> None:
        """Handle a POST of the session: process its packets until one closes the session. Waits while the session's queue
        is full, which delays the client's next POST. `limits` are the body's bytes and its seconds."""
        if self._is_posting:
            self._session.close(UNREADABLE)
            await respond_engine_error(send, engineio.BAD_REQUEST, cors)
            return
        self._is_posting = True
        try:
            async with asyncio.timeout(limits[1]):
                body = await read_body(receive, limits[0])
            if body is None:
                await reject_body(send, cors)
                return
            for number, packet in enumerate(engineio.read_body(body), 1):
                self._session.receive(packet)
                if self._session.is_closed:
                    break
                if number % PACKETS_PER_ITERATION == 0:
                    await asyncio.sleep(0)
                    await self.reading.wait()
            await self.reading.wait()
        except (Disconnected, TimeoutError, InvalidPacket):
            self._session.close(UNREADABLE)
            with suppress(OSError):
                await respond_engine_error(send, engineio.BAD_REQUEST, cors)
            return
        finally:
            self._is_posting = False
        await asgi.respond(send, 200, [*OK, *cors], b"ok")

    # --- as an OutboundTransport

    def write(self, data: bytes, /) -> None:
        if self._closing or not data:
            return
        self._waiting.append(data)
        self._size += len(data)
        if self._packets is None or self._packets.done():
            if self._size > self._high and not self._full:
                self._full = True
                self._session.on_buffer_full()
        elif self._size > self._high:
            self._flush()  # later packets wait for the next poll
        else:
            # Send the packets of one event loop iteration together
            if not self._wakeup:
                self._wakeup = True
                asyncio.get_running_loop().call_soon(self._flush)

    def open_socket(self) -> None:
        """Nothing can be written directly: the packets wait for the next poll."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high or 2**31


async def respond_body(send: Send, request: HandshakeRequest, cors: Headers, body: bytes) -> None:
    """Respond to a poll, compressed if worthwhile and accepted by the client."""
    headers = [*TEXT, *cors]
    if len(body) >= COMPRESS_MIN_BYTES:
        headers.append((b"vary", b"accept-encoding"))
        if accepts(request.header(b"accept-encoding"), "gzip"):
            headers.append((b"content-encoding", b"gzip"))
            body = gzip.compress(body, COMPRESS_LEVEL, mtime=0)
    await asgi.respond(send, 200, headers, body)


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """Return the body; None if it is too large. Raises Disconnected."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body += message.get("body", b"")
        if 0 < limit < len(body):
            return None
        more = message.get("more_body", False)
    return bytes(body)


async def reject_body(send: Send, cors: Headers) -> None:
    """Respond to an oversized body; the session stays open."""
    await asgi.respond(send, 413, [*TEXT, *cors], b"The body is larger than maxPayload.")


async def respond_engine_error(send: Send, error: engineio.EngineError, cors: Headers) -> None:
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await asgi.respond(send, error.status, [*headers, *cors], error.body)
