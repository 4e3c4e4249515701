"""The transports of an Engine.IO session: long polling, and a WebSocket of a new session or by an upgrade.

Over long polling, packets are queued for the client's next GET and received by POST. At most one GET and one POST may be in
flight. A second one, or a request that disconnects before its end, closes the session. The close packet is sent to the
pending poll, or stored for a moment for the next one.
"""

import asyncio
import gzip
from contextlib import suppress
from socket import SocketType

from bellcast.kernel.http import Receive, Send, responses
from bellcast.kernel.http.request_body import Disconnected
from bellcast.kernel.http.responses import accepts
from bellcast.kernel.token_bucket import TokenBucket
from bellcast.live.connection import CLOSE_TIMEOUT, close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.inbound_queue import limited
from bellcast.live.connection.outbound import NULL_TRANSPORT, OutboundTransport, QueuedTransport, raw_socket
from bellcast.live.framing import websocket
from bellcast.live.http import asgi
from bellcast.live.http.asgi import HandshakeRequest, Headers
from bellcast.live.socketio import protocol
from bellcast.live.socketio.engine_session import UNREADABLE, EngineSession
from bellcast.live.socketio.protocol import MAX_CONNECT_LENGTH, InvalidPacket

# --- long polling

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

    encoding = protocol.POLLING_BODY

    def __init__(self, session: EngineSession) -> None:
        super().__init__()
        self._session = session
        self._waiting: list[bytes] = []
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
            await respond_engine_error(send, protocol.BAD_REQUEST, cors)
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
            return protocol.NOOP
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
            self._respond(protocol.NOOP)

    def hand_over_pending(self) -> list[bytes]:
        pending = self._remove_pending()
        self._respond(protocol.NOOP)
        self.close()
        return pending

    def close_with(self, end: CloseReason, last: bytes) -> None:
        self._waiting.append(last)
        self._size += len(last)
        self.close()
        self._flush()

    def take_pending(self) -> bytes:
        return protocol.SEPARATOR.join(self._remove_pending())

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
            await respond_engine_error(send, protocol.BAD_REQUEST, cors)
            return
        self._is_posting = True
        try:
            async with asyncio.timeout(limits[1]):
                body = await read_body(receive, limits[0])
            if body is None:
                await reject_body(send, cors)
                return
            for number, packet in enumerate(protocol.read_body(body), 1):
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
                await respond_engine_error(send, protocol.BAD_REQUEST, cors)
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


async def respond_engine_error(send: Send, error: protocol.EngineError, cors: Headers) -> None:
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await asgi.respond(send, error.status, [*headers, *cors], error.body)


# --- WebSocket

# Close codes for client errors, which are sent unchanged. Other closes are sent as 1000, after which clients
# reconnect.
OWN_ERRORS = range(4000, 5000)
ERROR_CODES = frozenset({websocket.TOO_LARGE, websocket.NOT_UTF8, websocket.PROTOCOL_ERROR})

# Packets without a message: ping, pong and noop.
HEARTBEATS = ("2", "3", "6")


class EngineWebSocket(asyncio.Protocol):
    """The transport of a session or, while `_probing`, a candidate for it."""

    encoding = protocol.FRAMES
    __slots__ = (
        "_close_reason",
        "_close_timer",
        "_max_payload",
        "_probing",
        "_rate_limiter",
        "_reader",
        "_session",
        "_sock",
        "transport",
    )

    def __init__(self, session: EngineSession, max_payload: int, frames_per_second: int) -> None:
        self._session = session
        self._reader = websocket.FrameReader(max_payload, frames_per_second)
        self._max_payload = self._reader.max_size
        self._rate_limiter = TokenBucket(frames_per_second, 0)
        self._probing = False
        self._close_reason: CloseReason | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self.transport: OutboundTransport
        self._sock: SocketType | None = None

    def open_socket(self) -> SocketType | None:
        """Return the socket, which all connections of the session share."""
        if self._sock is None:
            self._sock = raw_socket(self.transport)
        return self._sock

    def probe(self, upgrade_timeout: float) -> None:
        """Start the upgrade of a polling session; it is abandoned after `upgrade_timeout` seconds. A second candidate
        is closed, as is a candidate for a session that already uses a WebSocket."""
        polling = self._session.transport
        if not isinstance(polling, PollingTransport) or polling.candidate is not None:
            self.close_with(UNREADABLE, b"")
            return
        polling.candidate = self
        self._probing = True
        self._close_timer = asyncio.get_running_loop().call_later(upgrade_timeout, self._abandon_upgrade)

    # --- inbound

    def data_received(self, data: bytes) -> None:
        is_unjoined = self._session.unjoined_as is not None  # it may send only CONNECT packets
        self._reader.max_size = min(self._max_payload, MAX_CONNECT_LENGTH) if is_unjoined else self._max_payload
        for event in limited(self._reader, self._rate_limiter, data, HEARTBEATS):
            match event:
                case websocket.CloseReceived(code):
                    if self._close_reason is None:
                        if not self._probing and not self._session.is_closed:
                            self._session.close_reason = close_reasons.by_client(code)
                        self._disconnected()
                        self.transport.write(websocket.close_frame(code))
                    self.transport.close()
                case websocket.ReaderSignal.FLOOD:
                    # Ignore the client's close frame too: parsing it would delay other connections.
                    if self._close_reason is None:
                        self._close_with_error(close_reasons.TOO_FAST)
                    if not self.transport.is_closing():
                        self.transport.write_eof()
                case _ if self._close_reason is not None:
                    pass
                case websocket.ProtocolViolation(code, reason):
                    self._close_with_error(CloseReason(code, reason, reconnect=False))
                    self.transport.write_eof()  # the reader ignores further input, so no close frame is expected
                case str() | bytes():
                    self.receive(event)
                case websocket.ControlReceived(websocket.PING_OPCODE, data):
                    self.transport.write(websocket.control_frame(websocket.PONG_OPCODE, data))

    def receive(self, message: str | bytes) -> None:
        try:
            packet = protocol.read_text(message) if isinstance(message, str) else protocol.EnginePacket("4", message)
        except InvalidPacket:
            self._close_with_error(UNREADABLE)
            return
        if self._probing:
            polling = self._session.transport
            if self._session.is_closed or not isinstance(polling, PollingTransport):
                self._abandon_upgrade()
            elif packet == ("2", "probe"):
                self.transport.write(self.encoding.text(protocol.PROBED))
                polling.probe(begun=True)
            elif packet.type == "5":
                self._complete_upgrade()
                self._session.change_transport(self, polling.hand_over_pending())
            else:
                self._abandon_upgrade()
        else:
            self._session.receive(packet)

    def _complete_upgrade(self) -> None:
        """Finish probing, so that another candidate may start."""
        polling = self._session.transport
        if self._probing and isinstance(polling, PollingTransport):
            polling.candidate = None
            polling.probe(begun=False)
        self._probing = False
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None

    def _abandon_upgrade(self) -> None:
        self._complete_upgrade()
        self.close_with(UNREADABLE, b"")

    def _close_with_error(self, end: CloseReason) -> None:
        if self._probing:
            self._abandon_upgrade()
        else:
            self._session.close(end)
            self.close_with(end, b"")

    # --- close

    def close_with(self, end: CloseReason, last: bytes) -> None:
        """Send a close frame, then wait briefly for the client's."""
        if self._close_reason is not None:
            return
        self._close_reason = end
        is_error = end.code in OWN_ERRORS or end.code in ERROR_CODES
        self.transport.write(websocket.close_frame(end.code if is_error else websocket.NORMAL, end.reason))
        self._close_timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.transport.abort)

    def pause_writing(self) -> None:
        if self._probing:
            self._abandon_upgrade()  # the transport would not report its full buffer again
        else:
            self._session.on_buffer_full()

    def resume_writing(self) -> None:
        if not self._probing:
            self._session.on_buffer_drained()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disconnected()
        if self._close_timer is not None:
            self._close_timer.cancel()
        if self._sock is not None:
            self._sock.detach()  # the transport closes it right after this
            self._sock = None
        self.transport = NULL_TRANSPORT

    def _disconnected(self) -> None:
        if self._close_reason is None:
            self._close_reason = CloseReason(websocket.NORMAL, "", reconnect=True)
            if self._probing:
                self._complete_upgrade()
            else:
                self._session.discard()
