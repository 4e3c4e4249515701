"""WebSockets on the socket of their handshake: those of the dialects, and those of HTTP operations. Before them, the rate of messages
and the queue that processes them in order, which long polling uses too.

Of a dialect, most errors are sent in a close frame after the handshake, because a script cannot see why a handshake failed. The
handshake itself fails only for a wrong Origin, version or path, or an address at its limit. An HTTP operation responds to a handshake
with ASGI's WebSocket messages instead of those of an HTTP response; its WebSocket only sends."""

import asyncio
from typing import Any, Protocol

from msgspec import Struct

from bellcast.kernel.errors import BellcastError
from bellcast.kernel.http import ASGIApp, AsgiMessage, Receive, Scope, Send
from bellcast.kernel.identities import Principal
from bellcast.kernel.token_bucket import TokenBucket
from bellcast.live.admission import Admission, close_refused, guarded_start
from bellcast.live.connection import Connection, Listener, OnReady, Phase, close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.dialect import Dialect
from bellcast.live.connection.inbound_queue import CONTROL_FRAMES_PER_SECOND, limited
from bellcast.live.framing import websocket
from bellcast.live.http import asgi
from bellcast.live.http.asgi import HandshakeRequest
from bellcast.live.http.takeover import EXTENSION, MAX_EARLY_BYTES
from bellcast.live.types import LiveConfig
from bellcast.live_feed import IS_WEBSOCKET, STATE


class WebSocketConnection(Connection):
    """A WebSocket on a raw socket. Parses frames, responds to control frames and passes messages to its listener."""

    __slots__ = ("_early", "_listener", "_rate_limiter", "_reader")

    def __init__(self, *args: Any, listener: Listener) -> None:
        super().__init__(*args)
        self._early: bytes | None = b""  # not None until the listener may receive messages
        self._listener = listener
        # created with the first input, because most clients only listen
        self._reader: websocket.FrameReader | None = None
        self._rate_limiter: TokenBucket

    def start_reading(self) -> None:
        """Start processing input, beginning with the buffered bytes."""
        early, self._early = self._early, None
        if early:
            if not self.transport.is_closing():
                self.transport.resume_reading()
            self.data_received(early)  # last, because many frames pause the reading again

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early = (self._early or b"") + data
            if len(self._early) > MAX_EARLY_BYTES:
                self.transport.pause_reading()
            return
        self.last_received_tick = self.owner.tick
        if self._reader is None:
            limits = self._listener.limits
            self._rate_limiter = TokenBucket(limits.frames_per_second, 0)
            self._reader = websocket.FrameReader(limits.frame, limits.frames_per_second)
        for event in limited(self._reader, self._rate_limiter, data):
            match event:
                case websocket.CloseReceived(code):
                    if self.phase is not Phase.CLOSED:
                        self.close_reason = close_reasons.by_client(code)
                        self.begin_close()
                        self.write(websocket.close_frame(code))
                    self.transport.close()
                case websocket.ReaderSignal.FLOOD:
                    # Ignore the client's close frame too: parsing it would delay other connections.
                    self.owner.end(self, close_reasons.TOO_FAST)
                    if not self.transport.is_closing():
                        self.transport.write_eof()
                case _ if self.phase is Phase.CLOSED:
                    pass
                case websocket.ProtocolViolation(code, reason):
                    too_large = code == websocket.TOO_LARGE
                    end = close_reasons.TOO_LARGE if too_large else CloseReason(code, reason, reconnect=False)
                    self.owner.end(self, end)
                    self.transport.write_eof()  # the reader ignores further input, so no close frame is expected
                case str() | bytes():
                    self._listener.receive(self, event)
                case websocket.ControlReceived(websocket.PING_OPCODE, data):
                    self.write(websocket.control_frame(websocket.PONG_OPCODE, data))
                case websocket.ControlReceived(websocket.PONG_OPCODE, data) if data:
                    self.owner.on_pong(self, data)

    def ping(self) -> bool:
        self.write(websocket.PING)
        return True

    def send_close(self, end: CloseReason) -> None:
        self.write(self.closing_frame(end) + websocket.close_frame(end.code, end.reason))


class DialectHandshake(Protocol):
    """Session start of a dialect."""

    @property
    def dialect(self) -> Dialect: ...
    @property
    def listener(self) -> Listener: ...

    async def authenticate(self, request: HandshakeRequest) -> tuple[Principal, BellcastError | None]:
        """Return the principal, and an error to send after the handshake. Raises errors for which the handshake must
        fail."""

    async def start(self, connection: Connection, request: HandshakeRequest, at_ready: OnReady) -> None:
        """Start the session on an accepted WebSocket, or raise. Calls `at_ready` once client messages may be processed."""


class WebSocketEndpoint(Struct, eq=False):
    config: LiveConfig
    admission: Admission
    handshake: DialectHandshake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = asgi.read_handshake(scope)
        try:
            key = asgi.check_upgrade(scope)
            self.admission.check_address(request.address)
            principal, authentication_error = await self.handshake.authenticate(request)
        except BellcastError as error:
            await asgi.respond_error(send, error, request.cors_headers(self.config.access.origins, error.status))
            return
        connection = self.admission.create_connection(
            WebSocketConnection,
            self.handshake.dialect,
            principal,
            request.address,
            request.origin,
            listener=self.handshake.listener,
        )
        if (taken := asgi.take_over(scope, connection)) is None:
            return
        transport, early = taken
        connection.attach(transport, self.config.limits.unsent)
        if early:
            connection.data_received(early)
        connection.write(websocket.response(key, own_line=request.id_line))

        def refuse(error: BellcastError) -> None:
            close_refused(connection, error)
            connection.start_reading()  # so that the client's close frame is read

        if authentication_error is not None:
            refuse(authentication_error)
        else:
            start = self.handshake.start(connection, request, connection.start_reading)
            await guarded_start(connection, start, refuse)


# --- WebSockets of HTTP operations

# Maximum message size; clients only send control frames.
MAX_MESSAGE_BYTES = 125
# As on other WebSockets. Browsers send only replies to the pings.
MAX_FRAMES_PER_SECOND = CONTROL_FRAMES_PER_SECOND
# Proxies cut idle connections at 60 s. A client that sent nothing between two pings is considered dead.
PING_SECONDS = 20.0
INTERNAL_ERROR = 1011


def is_handshake(scope: Scope) -> bool:
    """True for a WebSocket handshake."""
    return any(name == b"upgrade" and value.lower() == b"websocket" for name, value in scope["headers"])


async def serve(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a handshake by an application that accepts it, or refuses it with an HTTP response."""
    scope[STATE][IS_WEBSOCKET] = True
    try:
        key = asgi.check_upgrade(scope)
    except BellcastError as error:
        await asgi.respond_error(send, error, [])
        return
    taken = TakenWebSocket(scope, key, send)
    try:
        await app(scope, taken.receive, taken.send)
    except Exception:
        taken.close(INTERNAL_ERROR)  # makes the client retry, unlike a normal end
        raise
    finally:
        taken.close(websocket.NORMAL)


class TakenWebSocket(asyncio.Protocol):
    """A WebSocket on the socket of its request. Slow readers pause `send`; one that does not read answers no ping, and is
    disconnected."""

    def __init__(self, scope: Scope, key: bytes, send: Send) -> None:
        self._scope = scope
        self._key = key
        self._send_http = send
        self._transport: asyncio.Transport | None = None
        self._reader = websocket.FrameReader(MAX_MESSAGE_BYTES, MAX_FRAMES_PER_SECOND)
        self._rate_limiter = TokenBucket(MAX_FRAMES_PER_SECOND, 0)
        self._has_ended = asyncio.Event()
        self._is_writable = asyncio.Event()
        self._is_writable.set()
        self._is_closing = False
        self._has_received = True
        self._ping_timer: asyncio.TimerHandle | None = None

    # --- for the application

    async def receive(self) -> AsgiMessage:
        """Return the disconnect. A handshake has no body, and one whose client has left cannot be accepted."""
        await self._has_ended.wait()
        return {"type": "websocket.disconnect", "code": websocket.NORMAL}

    async def send(self, message: AsgiMessage) -> None:
        match message["type"]:
            case "websocket.accept":
                headers = message.get("headers", ())
                try:
                    self._transport, early = self._scope["extensions"][EXTENSION](self)
                except ConnectionResetError:
                    self._is_closing = True
                    self._has_ended.set()
                else:
                    self._write(websocket.response(self._key, extra=[*headers]))
                    self._ping_timer = asyncio.get_running_loop().call_later(PING_SECONDS, self._ping)
                    if early:
                        self.data_received(early)
            case "websocket.send":
                await self._is_writable.wait()
                self._write(websocket.text_frame(message["text"].encode()))
            case "websocket.close":
                self.close(message.get("code", websocket.NORMAL), message.get("reason", ""))
            case _:
                await self._send_http(message)

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame, unless one was sent, and close the socket."""
        if self._transport is None or self._is_closing:
            return
        self._write(websocket.close_frame(code, reason))
        self._is_closing = True
        self._is_writable.set()
        self._transport.close()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._is_closing:
            self._transport.write(data)

    def _ping(self) -> None:
        if not self._has_received and self._transport is not None:
            self._transport.abort()
            return
        self._has_received = False
        self._write(websocket.PING)
        self._ping_timer = asyncio.get_running_loop().call_later(PING_SECONDS, self._ping)

    # --- of the socket

    def data_received(self, data: bytes) -> None:
        self._has_received = True
        for event in limited(self._reader, self._rate_limiter, data):
            match event:
                case websocket.ReaderSignal.FLOOD:
                    self.close(websocket.POLICY, f"More than {MAX_FRAMES_PER_SECOND} frames in a second.")
                case websocket.ControlReceived(websocket.PING_OPCODE, payload) if self._is_writable.is_set():
                    self._write(websocket.control_frame(websocket.PONG_OPCODE, payload))
                case websocket.CloseReceived(code):
                    self.close(code)
                case websocket.ProtocolViolation(code, reason):
                    self.close(code, reason)
                case str() | bytes():
                    self.close(websocket.POLICY, "This WebSocket accepts no messages.")

    def pause_writing(self) -> None:
        self._is_writable.clear()

    def resume_writing(self) -> None:
        self._is_writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        self._is_writable.set()
        self._has_ended.set()
        if self._ping_timer is not None:
            self._ping_timer.cancel()
