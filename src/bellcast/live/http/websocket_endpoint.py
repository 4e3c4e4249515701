"""WebSocket endpoint, from the handshake to the start of the dialect.

Most errors are sent in a close frame after the handshake, because a script cannot see why a handshake failed. The
handshake itself fails only for a wrong Origin, version or path, or an address at its limit."""

from typing import Any, Protocol

from msgspec import Struct

from bellcast.kernel.errors import BellcastError
from bellcast.kernel.http import Receive, Scope, Send
from bellcast.kernel.identities import Principal
from bellcast.kernel.token_bucket import TokenBucket
from bellcast.live.admission import Admission, close_refused, guarded_start
from bellcast.live.config import LiveConfig
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection, Listener, OnReady, Phase
from bellcast.live.connection.dialect import Dialect
from bellcast.live.connection.inbound_queue import limited
from bellcast.live.framing import websocket
from bellcast.live.http import asgi, handshake_request
from bellcast.live.http.handshake_request import HandshakeRequest

# Bytes buffered during authentication; then reading is paused.
MAX_EARLY_BYTES = 65_536


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
                    self.write(websocket.pong_frame(data))
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
        request = handshake_request.read(scope)
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
            request.header(b"origin"),
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
