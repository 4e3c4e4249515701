"""The request for a live connection, parsed once from its ASGI scope; the responses of live endpoints, the takeover of a socket
from the HTTP server, and sockets over the messages of another ASGI server, for an application mounted into another app."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

import structlog

from bellcast.auth import origins
from bellcast.auth.origins import HeaderPairs
from bellcast.auth.request import AuthRequest
from bellcast.calls import ConnectRequest
from bellcast.kernel.errors import BellcastError, Invalid, UpgradeRequired
from bellcast.kernel.http import HEADER_VALUES, ASGIApp, AsgiMessage, Receive, Scope, Send, responses
from bellcast.live.connection import CLOSE_TIMEOUT, Connection
from bellcast.live.connection.outbound import CoalescingTransport, QueuedTransport
from bellcast.live.framing import websocket
from bellcast.live.http.takeover import EXTENSION
from bellcast.live_feed import STATE

log = structlog.get_logger(__name__)

Headers = list[tuple[bytes, bytes]]
# Maximum parameters; further ones are ignored. The topic limit is far lower.
MAX_PARAMETERS = 1_000
# Maximum rewind; larger values are lowered to 100 events.
MAX_REWIND_DIGITS = 9
# Maximum characters of the query, and of the headers, in a `connect` call; a browser sends about 1,000. A larger one is left out.
MAX_HANDSHAKE_CHARACTERS = 8_192
# Bellcast checks these credentials itself. The app receives the client's `auth` and, if they are valid, the recipient.
CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization", "token"})


class HandshakeRequest(AuthRequest, frozen=True, kw_only=True):
    """Headers as sent, parameters decoded."""

    path: str
    http_version: str
    parameters: Sequence[tuple[str, str]]
    parameter_values: Mapping[str, str]  # of several equal parameters, the last one
    request_id: str | None = None
    app_handshake: bytes = b""  # of Socket.IO, whose namespaces connect later: `for_app` as JSON

    @property
    def id_line(self) -> bytes:
        """The header line with the request's id in a response that bypasses the HTTP server; the request log adds the
        header to other responses. The id contains no line break: `api.middleware.request_id` checks it."""
        return b"" if self.request_id is None else b"X-Request-Id: %b\r\n" % self.request_id.encode()

    def cors_headers(self, declared: Collection[str], status: int = 200) -> HeaderPairs:
        """Return the CORS headers of a response with this status."""
        return origins.cors_headers(self.origin, declared, status)

    def for_app(self) -> ConnectRequest:
        """Return the part of the request that a `connect` handler receives."""
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers]
        return ConnectRequest(_bounded(self.parameters), _bounded(headers), self.address)

    @property
    def topics(self) -> list[str]:
        """The topics in `topics=a,b` and in repeated `topic=`."""
        topics: list[str] = []
        for name, value in self.parameters:
            if name == "topics":
                topics += [topic for topic in value.split(",") if topic]
            elif name == "topic":
                topics.append(value)
        return topics

    @property
    def position(self) -> str | None:
        """The resume position of the client. `Last-Event-ID` overrides `?position=`: EventSource reconnects to the same URL
        with an old position in it."""
        return self.header(b"last-event-id") or self.parameter_values.get("position") or None

    @property
    def rewind(self) -> int:
        """The number of past events requested of each topic. Raises Invalid."""
        text = self.parameter_values.get("rewind")
        if text is None:
            return 0
        if not (text.isascii() and text.isdigit() and len(text) <= MAX_REWIND_DIGITS):
            raise Invalid.of("rewind", "must be a whole number, 0 or more")
        return int(text)


def read_handshake(scope: Mapping[str, Any]) -> HandshakeRequest:
    client, headers = scope.get("client"), scope["headers"]
    query, state = scope.get("query_string", b""), scope.get(STATE, {})
    parameters: list[tuple[str, str]] = []
    if query:  # `parse_qsl` takes twice as long, which matters in a reconnect storm
        text = query.decode("latin-1")
        parts = text.split("&", MAX_PARAMETERS)[:MAX_PARAMETERS]
        parameters = [part.partition("=")[::2] for part in parts]  # without the separator
        if "%" in text or "+" in text:
            parameters = [(unquote_plus(name), unquote_plus(value)) for name, value in parameters]
    return HandshakeRequest(
        method=scope.get("method", "GET"),
        path=scope["path"].removeprefix(scope.get("root_path", "")),
        http_version=scope.get("http_version", "1.1"),
        scheme=scope["scheme"],
        headers=headers,
        query=query,
        address=client[0] if client else None,
        parameters=parameters,
        header_values=state.get(HEADER_VALUES) or dict(headers),
        parameter_values=dict(parameters),
        request_id=state.get("request_id"),
    )


def _bounded(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    room, result = MAX_HANDSHAKE_CHARACTERS, {}
    for name, value in pairs:
        if name not in CREDENTIALS and len(name) + len(value) <= room:
            room -= len(name) + len(value)
            result[name] = value
    return result


# --- sockets of another server

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
        super().set_write_buffer_limits(high)
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
