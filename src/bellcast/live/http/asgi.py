"""HTTP responses of live endpoints, the takeover of a socket from the HTTP server, and live connections through another ASGI server's
`send`, for an application mounted into another app."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bellcast.kernel.errors import BellcastError, UpgradeRequired
from bellcast.kernel.http import AsgiMessage, Receive, Send, responses
from bellcast.kernel.token_bucket import TokenBucket
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection, Listener, Phase
from bellcast.live.connection.outbound import CoalescingTransport, QueuedTransport
from bellcast.live.framing import websocket
from bellcast.live.http.handshake_request import Headers
from bellcast.live.http.takeover import EXTENSION

ToMessage = Callable[[bytes], AsgiMessage]


class AsgiTransport(QueuedTransport):
    """Buffers a connection's output until the server's `send` accepts it. Reading is paused initially."""

    def __init__(self, connection: asyncio.BaseProtocol, to_message: ToMessage) -> None:
        super().__init__()
        self._connection = connection
        self._to_message = to_message
        self._waiting: deque[bytes] = deque()
        self._high, self._low = 2**31, 2**29
        self._full = False
        self._wakeup = asyncio.Event()
        self.aborted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, send: Send, first: AsgiMessage, last: Callable[[], AsgiMessage]) -> None:
        """Send the buffered output until the transport is closed, between the messages `first` and `last`."""
        await send(first)
        while self._waiting or not self._closing:
            while self._waiting:
                data = self._waiting.popleft()
                await send(self._to_message(data))
                size = len(data)
                self._size -= size
                if self._full and self._size <= self._low:
                    self._full = False
                    self._connection.resume_writing()
            if not self._closing:
                self._wakeup.clear()
                await self._wakeup.wait()
        await send(last())

    def write(self, data: bytes, /) -> None:
        if self._closing:
            return
        self._waiting.append(data)
        self._size += len(data)
        self._wakeup.set()
        self._maybe_pause()

    def _maybe_pause(self) -> None:
        if self._size > self._high and not self._full:
            self._full = True
            self._connection.pause_writing()

    def close(self) -> None:
        super().close()
        self._wakeup.set()

    def abort(self) -> None:
        super().abort()
        if not self.aborted.done():
            self.aborted.set_result(None)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high, self._low = high or 2**31, low or 0
        self._maybe_pause()


class AsgiConnection(Connection):
    """Closes through its transport; the close code is sent in the server's close message."""

    __slots__ = ("_end",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._end = CloseReason(1000, "", reconnect=True)

    def send_close(self, end: CloseReason) -> None:
        self._end = end
        self.write(self.closing_frame(end))
        self.transport.close()

    def closing(self) -> AsgiMessage:
        return {"type": "websocket.close", "code": self._end.code, "reason": self._end.reason}


def body_message(data: bytes) -> AsgiMessage:
    return {"type": "http.response.body", "body": data, "more_body": True}


def end_of_body() -> AsgiMessage:
    return {"type": "http.response.body", "body": b"", "more_body": False}


async def receive_websocket(
    connection: Connection, transport: AsgiTransport, receive: Receive, listener: Listener
) -> None:
    """Pass the client's messages to the listener until it disconnects."""
    rate_limiter = TokenBucket(listener.limits.frames_per_second, 0)
    await transport.reading.wait()
    while (message := await receive())["type"] != "websocket.disconnect":
        connection.last_received_tick = connection.owner.tick
        payload = message.get("text")
        if payload is None:
            payload = message.get("bytes") or b""
        if rate_limiter.take(int(asyncio.get_running_loop().time() * 1000)):
            connection.owner.end(connection, close_reasons.TOO_FAST)
        elif 0 < listener.limits.frame < (len(payload.encode()) if isinstance(payload, str) else len(payload)):
            connection.owner.end(connection, close_reasons.TOO_LARGE)
        elif connection.phase is not Phase.CLOSED:
            listener.receive(connection, payload)
        await transport.reading.wait()
    if connection.close_reason is None:
        connection.close_reason = close_reasons.by_client(message.get("code") or websocket.NO_CODE)


async def serve(
    connection: asyncio.BaseProtocol, transport: AsgiTransport, sending: Awaitable[None], receiving: Awaitable[None]
) -> None:
    """Run a connection until either side closes it or it is aborted."""
    ends = [asyncio.ensure_future(one) for one in (sending, receiving, transport.aborted)]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if transport.is_closing():  # servers require that input before the client's close is read
            await asyncio.wait(ends[1:], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in ends:
            one.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        connection.connection_lost(None)


async def respond(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    sized = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *sized]})
    await send({"type": "http.response.body", "body": body})


async def respond_error(send: Send, error: BellcastError, cors: Headers) -> None:
    headers = [(name.encode(), value.encode()) for name, value in responses.problem_headers(error).items()]
    await respond(send, error.status, [*cors, *headers], responses.problem_body(error))


def can_take_over(scope: Mapping[str, Any]) -> bool:
    return EXTENSION in (scope.get("extensions") or {})


def check_upgrade(scope: Mapping[str, Any]) -> bytes:
    """Return the key of a WebSocket handshake whose socket can be taken over. Raises BadRequest and UpgradeRequired."""
    key = websocket.check_upgrade(scope["method"], scope["http_version"], scope["headers"])
    if not can_take_over(scope):
        raise UpgradeRequired("This HTTP server cannot open a WebSocket.")
    return key


def take_over(scope: Mapping[str, Any], connection: Connection) -> tuple[CoalescingTransport, bytes] | None:
    """Take over the socket. Return the transport and the bytes after the request; None if the client disconnected."""
    try:
        transport, early = scope["extensions"][EXTENSION](connection)
    except ConnectionResetError:
        connection.owner.on_disconnected(connection)
        return None
    return CoalescingTransport(transport), early
