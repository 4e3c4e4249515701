"""HTTP responses of live endpoints, the takeover of a socket from the HTTP server, and sockets over the messages of another ASGI
server, for an application mounted into another app."""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import structlog

from bellcast.kernel.errors import BellcastError, UpgradeRequired
from bellcast.kernel.http import ASGIApp, AsgiMessage, Receive, Scope, Send, responses
from bellcast.live.connection.connection import CLOSE_TIMEOUT, Connection
from bellcast.live.connection.outbound import CoalescingTransport, QueuedTransport
from bellcast.live.framing import websocket
from bellcast.live.http.handshake_request import Headers
from bellcast.live.http.takeover import EXTENSION

log = structlog.get_logger(__name__)

# A reader with more unsent output than this is slow, unless the connection sets another limit.
HIGH_WATER_BYTES = 65_536
# Of a handshake, which servers parse themselves or, over HTTP/2, have none of.
HANDSHAKE: Headers = [
    (b"connection", b"upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"MDAwMDAwMDAwMDAwMDAwMA=="),
]
# Of a response, which concern the socket of the server.
OF_SOCKET = frozenset((b"connection", b"upgrade", b"sec-websocket-accept", b"transfer-encoding"))
NO_PINGS = "bellcast.no_pings"  # of `get_extra_info`: True for such a socket
LOST = 1006  # RFC 6455, 7.1.5: the code of a WebSocket without a close frame


class AsgiSocket(QueuedTransport):
    """The socket of a request that another server has parsed. The response head and the frames that its owner writes are sent
    as messages, and received messages are frames of the client. Pings are answered here: the server has its own."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__()
        self._is_websocket = scope["type"] == "websocket"
        self._receive = receive
        self._send = send
        self._owner: asyncio.Protocol
        self._head: list[bytes] = []  # not empty once it was sent
        self._waiting: deque[bytes] = deque()
        self._high, self._low = HIGH_WATER_BYTES, HIGH_WATER_BYTES // 4
        self._full = False
        self._wakeup = asyncio.Event()
        self._aborted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.running: asyncio.Task[None] | None = None

    def take_over(self, owner: asyncio.Protocol) -> tuple["AsgiSocket", bytes]:
        self._owner = owner
        self.running = asyncio.get_running_loop().create_task(self._run())
        self.running.add_done_callback(lambda _: owner.connection_lost(None))  # also if it never began
        self.resume_reading()
        return self, b""

    async def refuse(self, message: AsgiMessage) -> None:
        """Send a part of a response without a takeover."""
        if not self._is_websocket:
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._send({"type": "websocket.close", "code": websocket.POLICY})  # before accepting: an HTTP 403

    async def _run(self) -> None:
        """Send and receive until either side closes or the owner aborts."""
        ends = [asyncio.ensure_future(one) for one in (self._send_all(), self._receive_all(), self._aborted)]
        sending, receiving, _ = ends
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            # After the client's close, servers refuse that of this side, each with another error.
            ended = receiving if receiving.done() else sending
            failure = ended.exception() if ended.done() else None
            if failure is not None and not isinstance(failure, OSError):
                log.error("asgi_socket_failed", exc_info=failure)
            if sending.done() and failure is None:
                # Servers require that input before the client's close is read, and need not report that there is none.
                await asyncio.wait(ends[1:], timeout=CLOSE_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in ends:
                one.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    # --- output

    async def _send_all(self) -> None:
        while self._waiting or not self._closing:
            while self._waiting:
                data = self._waiting.popleft()
                for message in self._messages(data):
                    await self._send(message)
                    if message["type"] == "websocket.close":
                        return
                self._size -= len(data)
                if self._full and self._size <= self._low:
                    self._full = False
                    self._owner.resume_writing()
            if not self._closing:
                self._wakeup.clear()
                await self._wakeup.wait()
        last = {"type": "websocket.close"} if self._is_websocket else {"type": "http.response.body", "body": b""}
        await self._send(last)

    def _messages(self, data: bytes) -> Iterator[AsgiMessage]:
        if not self._head:
            head, _, data = data.partition(b"\r\n\r\n")
            self._head = head.split(b"\r\n")
            status, *lines = self._head
            fields = [line.split(b": ", 1) for line in lines]
            headers = [(name.lower(), value) for name, value in fields if name.lower() not in OF_SOCKET]
            if self._is_websocket:
                yield {"type": "websocket.accept", "headers": headers}
            else:
                yield {"type": "http.response.start", "status": int(status.split()[1]), "headers": headers}
        if not self._is_websocket:
            yield {"type": "http.response.body", "body": data, "more_body": True}
            return
        for opcode, payload in websocket.sent_frames(data):
            match opcode:
                case websocket.TEXT_OPCODE:
                    yield {"type": "websocket.send", "text": payload.decode()}
                case websocket.BINARY_OPCODE:
                    yield {"type": "websocket.send", "bytes": payload}
                case websocket.CLOSE_OPCODE:
                    yield {
                        "type": "websocket.close",
                        "code": int.from_bytes(payload[:2]) or websocket.NORMAL,
                        "reason": payload[2:].decode(),
                    }
                case websocket.PING_OPCODE if not payload:
                    self._owner.data_received(websocket.client_frame(websocket.PONG_OPCODE, b""))

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
            self._owner.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high or 2**31
        self._low = self._high // 4 if low is None else low
        self._maybe_pause()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return True if name == NO_PINGS else default

    def close(self) -> None:
        super().close()
        self._wakeup.set()

    def abort(self) -> None:
        super().abort()
        if not self._aborted.done():
            self._aborted.set_result(None)

    # --- input

    async def _receive_all(self) -> None:
        """Pass the client's messages to the owner until it disconnects."""
        if not self._is_websocket:
            await responses.wait_disconnected(self._receive)
            return
        await self.reading.wait()
        while (message := await self._receive())["type"] != "websocket.disconnect":
            if (text := message.get("text")) is not None:
                frame = websocket.client_frame(websocket.TEXT_OPCODE, text.encode())
            else:
                frame = websocket.client_frame(websocket.BINARY_OPCODE, message.get("bytes") or b"")
            self._owner.data_received(frame)
            await self.reading.wait()
        super().close()  # nothing more can be sent
        code = message.get("code") or websocket.NO_CODE
        if code != LOST:
            payload = code.to_bytes(2) if websocket.is_sendable_code(code) else b""
            self._owner.data_received(websocket.client_frame(websocket.CLOSE_OPCODE, payload))


async def serve_as_socket(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a request of another server, a WebSocket or an event stream, by an application that takes its socket over."""
    socket = AsgiSocket(scope, receive, send)
    as_http = {**scope, "type": "http", "extensions": {EXTENSION: socket.take_over}}
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        replaced = {name for name, _ in HANDSHAKE}
        headers = [*HANDSHAKE, *((name, value) for name, value in scope["headers"] if name not in replaced)]
        scheme = "https" if scope.get("scheme") in ("wss", "https") else "http"  # of the page that opened it
        as_http |= {"method": "GET", "http_version": "1.1", "scheme": scheme, "headers": headers}
    else:
        as_http["http_version"] = "1.0"  # the server has the chunks
    try:
        await app(as_http, receive, socket.refuse)
        if socket.running is not None:
            await socket.running
    finally:
        if socket.running is not None:
            socket.running.cancel()


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
