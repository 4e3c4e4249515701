"""WebSockets of HTTP operations. The API responds to a handshake with ASGI's WebSocket messages instead of those of an
HTTP response, and otherwise treats it like any other request. Such a WebSocket only sends."""

import asyncio
from collections.abc import Awaitable, Callable

from bellcast.kernel.errors import BellcastError
from bellcast.kernel.http import AsgiMessage, Receive, Scope, Send
from bellcast.kernel.token_bucket import TokenBucket
from bellcast.live.connection.inbound_queue import CONTROL_FRAMES_PER_SECOND, limited
from bellcast.live.framing import websocket
from bellcast.live.http import asgi
from bellcast.live.http.takeover import EXTENSION
from bellcast.live_feed import IS_WEBSOCKET, STATE

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


async def serve(
    app: Callable[[Scope, Receive, Send], Awaitable[None]], scope: Scope, receive: Receive, send: Send
) -> None:
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
                    self._write(websocket.pong_frame(payload))
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
