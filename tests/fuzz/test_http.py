"""Fuzzing of HTTP connections: heads, bodies, chunks and trailers, whole and in pieces, without sockets.

Both entry points are covered: the fast path for live connections, and uvicorn's protocol."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import uvicorn
from hypothesis import strategies as st
from uvicorn.server import ServerState

from bellcast.live.http.fast_path import FastPathFactory
from bellcast.live.http.takeover import EXTENSION, MAX_HEADER_LINES, MAX_PIPELINED
from tests.fuzz.runner import fuzz

TURNS = 12  # turns of the event loop; more than any response of the app needs

HOST = b"Host: a\r\n"
SOCKET = HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
POST = b"POST /v1/notifications HTTP/1.1\r\n" + HOST
STREAM = b"GET /v1/stream HTTP/1.1\r\n" + HOST + b"\r\n"
END = b"\r\n"
SEEDS = [
    b"GET /healthz HTTP/1.1\r\n" + HOST + END,
    b"GET /healthz HTTP/1.0\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n" + HOST * 2 + END,
    b"GET /v1/ws HTTP/1.1\r\n" + SOCKET + HOST + END,
    b"GET /v1/ws HTTP/1.1\r\n" + SOCKET + END + b"\x81\x80\0\0\0\0" * 3,
    b"GET /v1/ws HTTP/1.1\r\n" + SOCKET + CHUNKED + END + b"1\r\nx\r\n0\r\nAuthorization: trailer\r\n\r\n",
    b"GET /v1/stream HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + CHUNKED + END + b"0\r\na: b\r\n\r\n",
    STREAM,
    STREAM + b"\0\0",
    b"GET /healthz HTTP/1.1\r\n" + HOST + END + STREAM,
    POST + CHUNKED + END + b"2\r\n{}\r\n0\r\nAuthorization: trailer\r\nIdempotency-Key: trailer\r\n\r\n",
    POST + CHUNKED + b"Authorization: header\r\n\r\n2;a=b\r\n{}\r\n0\r\nAuthorization: trailer\r\n\r\n" + STREAM,
    POST + CHUNKED + END + b"0\r\n" + b"a: b\r\n" * 11_000,
    POST + CHUNKED + END + b"2;a=" + b"x" * 70_000,
    POST + CHUNKED + END + b"zz\r\n",
    POST + b"Content-Length: 2\r\n\r\n{}" + b"nonsense\r\n\r\n" + POST,
    (POST + b"Content-Length: 2\r\n\r\n{}") * (MAX_PIPELINED + 5),
    POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    POST + b"".join(b"X%d: x\r\n" % number for number in range(MAX_HEADER_LINES)) + END,
    b"GET /socket.io/?EIO=4 HTTP/1.1\r\n" + SOCKET + b"a:b\r\n" * 1_000 + END,
    b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n" + HOST + END,
    b"GET /refused HTTP/1.1\r\nConnection: close\r\nContent-Length: 9\r\n" + HOST + b"\r\n123",
]  # fmt: skip
PIECES = st.sampled_from(
    [
        *SEEDS, POST, CHUNKED, HOST, END, STREAM, b"GET /a HTTP/1.1\r\n", b"POST /%41 HTTP/1.1\r\n", b"Content-Length: 5\r\n",
        b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"0\r\n", b"5\r\nhello\r\n", b"hello", b"Authorization: trailer\r\n",
        b"\n", b"\0", b": ", b"\xff", b" folded\r\n",
    ]
)  # fmt: skip
BYTES = st.lists(PIECES | st.binary(max_size=8), min_size=1, max_size=8).map(b"".join)


class Input(NamedTuple):
    """The bytes of a client, and the indices at which they are cut."""

    data: bytes
    cuts: Sequence[int]


INPUTS = st.builds(Input, BYTES, st.lists(st.integers(0, 400), max_size=6))
INPUT_SEEDS = [Input(seed, cuts) for seed in SEEDS for cuts in ((), (1, 20, 40, 80, 81, 82), range(1, 200, 3))]


class FakeTransport(asyncio.Transport):
    """A socket with a peer that reads everything immediately."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.protocol: Any = None
        self.is_reading_paused = self.is_closed = self.has_written_eof = False
        self.written = b""

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, data: Any) -> None:
        assert not self.has_written_eof
        self.written += data

    def write_eof(self) -> None:
        self.has_written_eof = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        self.is_reading_paused = False

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            asyncio.get_running_loop().call_soon(lambda: self.protocol.connection_lost(None))

    abort = close


class Owner(asyncio.Protocol):
    """The protocol of a socket that the app took over."""


class App:
    """Takes over live connections, responds `ok` to other requests, and records complete requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[Any, ...]] = []

    def begins_live(self, path: str, *, upgrade: bool) -> bool:
        return path == "/v1/stream" or (upgrade and path in ("/v1/ws", "/socket.io/"))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", scope["path"] != "/refused"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        # An Upgrade to a protocol other than WebSocket is ignored, as is the body of a live connection's request.
        headers = [field for field in scope["headers"] if field[0] != b"upgrade" or field[1] == b"websocket"]
        body = b"" if self.begins_live(scope["path"], upgrade=True) else body
        self.requests.append((scope["method"], scope["path"], scope["http_version"], headers, body))
        if self.begins_live(scope["path"], upgrade=False):
            try:
                connection, _ = scope["extensions"][EXTENSION](Owner())
            except ConnectionResetError:
                return
            connection.write(b"taken over")
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


class ErrorLog(logging.Handler):
    """Errors that uvicorn logs instead of raising them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


async def run_connection(pieces: Sequence[bytes], log: ErrorLog) -> list[tuple[Any, ...]]:
    """Send the pieces on one connection and close it; return the requests that reached the app."""
    app, state, transport = App(), ServerState(), FakeTransport()
    fast_path = FastPathFactory(app.begins_live)
    config = uvicorn.Config(app, http=fast_path, ws="none", lifespan="off", log_config=None, proxy_headers=False)
    config.load()
    transport.protocol = fast_path(config, state, {})
    transport.protocol.connection_made(transport)
    for piece in pieces:
        await run_loop(transport)
        if transport.is_closed or transport.is_reading_paused:
            break
        transport.protocol.data_received(piece)
    await run_loop(transport)
    transport.close()
    await run_loop(transport)
    check(transport, app, state, log)
    return app.requests


async def run_loop(transport: FakeTransport) -> None:
    """Run the loop until the app is idle or waits for the client."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
    for _ in range(MAX_PIPELINED * TURNS):
        if not transport.is_reading_paused:
            break
        await asyncio.sleep(0)


def check(transport: FakeTransport, app: App, state: ServerState, log: ErrorLog) -> None:
    assert not log.messages, log.messages
    assert not state.connections
    assert not state.tasks
    assert transport.written.count(b"HTTP/1.1 ") <= 2 * len(app.requests) + 2  # 100 Continue and a refusal
    for _, _, version, headers, _ in app.requests:
        hosts = [name for name, _ in headers].count(b"host")
        assert len(headers) <= MAX_HEADER_LINES
        assert hosts == 1 or (hosts == 0 and version != "1.1")


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    cut_points = sorted({index for index in cuts if 0 < index < len(data)})
    return [data[start:end] for start, end in zip([0, *cut_points], [*cut_points, len(data)], strict=True)]


async def check_connection(input_: Input, log: ErrorLog) -> None:
    """Requests are the same however their bytes are cut; pipelined ones before a malformed one may be dropped."""
    whole = await run_connection([input_.data], log)
    pieces = await run_connection(cut(input_.data, input_.cuts), log)
    shorter = min(len(whole), len(pieces))
    assert whole[:shorter] == pieces[:shorter]
    if whole:  # trailers are not headers
        head = input_.data.lstrip(b"\r\n").partition(b"\r\n\r\n")[0].lower()
        assert all(name in head and value.lower() in head for name, value in whole[0][3])


def test_http_connections_withstand_any_bytes() -> None:
    log = ErrorLog()
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(log)
    try:
        with asyncio.Runner() as runner:
            fuzz("HTTP connections", INPUTS, lambda input_: runner.run(check_connection(input_, log)), INPUT_SEEDS)
    finally:
        logger.removeHandler(log)
