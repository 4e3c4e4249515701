"""An HTTP/2 server, without TLS unless it has a context (prior knowledge), that sends scripted responses or failures, as APNs might."""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import h2.config
import h2.connection
import h2.events
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame
from msgspec import Struct

# Failures in place of a response: none arrives; it arrives after `release`; the connection is reset; it is reset in the middle of the body; the server
# ends the connection, or the stream, in the terms of HTTP/2; it announces the end of the connection, and the response arrives after `release`.
HANG, HOLD, CUT, HALF, GO_AWAY, RESET_STREAM, RETIRE = (
    "hang",
    "hold",
    "cut",
    "half",
    "go away",
    "reset stream",
    "retire",
)


class Http2Response(Struct, frozen=True):
    """A response with a JSON body."""

    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


class HTTP2Server:
    """Sends `responses` in order, then always `default`."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.responses: deque[Http2Response | str] = deque()
        self.default: Http2Response | str = Http2Response(200)
        self.connections = 0
        self.hanging = asyncio.Event()  # a request gets no response
        self.holding = asyncio.Event()  # a request waits for `release`
        self._held: list[Callable[[], None]] = []
        self.port = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = _Connection(self, writer)
        try:
            while data := await reader.read(65_536):
                connection.receive(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def release(self) -> None:
        """Respond to the held requests."""
        for send in self._held:
            send()
        self._held.clear()

    def hold(self, send: Callable[[], None]) -> None:
        """Hold a response until `release`."""
        self._held.append(send)
        self.holding.set()

    def next_response(self) -> Http2Response | str:
        return self.responses.popleft() if self.responses else self.default


class _Connection:
    def __init__(self, server: HTTP2Server, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._writer = writer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._requests: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._last = 2**31 - 1  # stream that is processed
        self._h2.initiate_connection()
        self._flush()

    def receive(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            match event:
                case h2.events.RequestReceived():
                    self._requests[event.stream_id] = {str(k): str(v) for k, v in event.headers}, bytearray()
                case h2.events.DataReceived():
                    self._requests[event.stream_id][1].extend(event.data)
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.StreamEnded():
                    self._respond(event.stream_id)
        self._flush()

    def _respond(self, stream: int) -> None:
        headers, body = self._requests.pop(stream)
        if stream > self._last:
            return
        self._server.requests.append((headers, bytes(body)))
        match self._server.next_response():
            case Http2Response() as response:
                self._send(stream, response)
            case "hang":
                self._server.hanging.set()
            case "hold":
                self._server.hold(partial(self._release, stream))
            case "half":
                self._h2.send_headers(stream, [(":status", "200"), ("content-length", "100")])
                self._h2.send_data(stream, b"half")
                self._flush()
                self._writer.close()
            case "cut":
                self._writer.transport.abort()
            case "go away":
                self._h2.close_connection(last_stream_id=0)
                self._flush()
                self._writer.close()
            case (
                "retire"
            ):  # as RFC 9113 §6.8 recommends: first any stream, then the last one; h2 would send no responses after it
                for last in (self._last, stream):
                    self._writer.write(GoAwayFrame(0, last_stream_id=last).serialize())
                self._last = stream
                self._server.hold(partial(self._release, stream, is_last=True))
            case "reset stream":
                self._h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)

    def _release(self, stream: int, *, is_last: bool = False) -> None:
        self._send(stream, Http2Response(200))
        self._flush()
        if is_last:
            self._writer.close()

    def _send(self, stream: int, response: Http2Response) -> None:
        content = b"" if response.body is None else json.dumps(response.body).encode()
        self._h2.send_headers(stream, [(":status", str(response.status)), *response.headers])
        self._h2.send_data(stream, content, end_stream=True)

    def _flush(self) -> None:
        if not self._writer.is_closing():
            self._writer.write(self._h2.data_to_send())


@asynccontextmanager
async def http2_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[HTTP2Server]:
    """Run a server on a free port of 127.0.0.1."""
    http2 = HTTP2Server()
    if tls is not None:
        tls.set_alpn_protocols(["h2"])
    server = await asyncio.start_server(http2.serve, "127.0.0.1", 0, ssl=tls)
    http2.port = server.sockets[0].getsockname()[1]
    try:
        yield http2
    finally:
        server.close()
