"""A real HTTP server in place of a vendor's: it records requests and sends scripted responses or failures."""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct

# Failures in place of a response.
HANG, CUT, HALF = b"hang", b"cut", b"half"


class Request(Struct, frozen=True):
    """A received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class VendorServer:
    """Sends `responses` in order, then always `default`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.responses: deque[bytes] = deque()
        self.default = raw_response(200, {})
        self.port = 0
        self._serving: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection until `close`. The event loop alone would keep no reference to a task that hangs."""
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        task.add_done_callback(lambda _: writer.close())  # not in the task, which may end before it begins
        if self._is_closed:
            task.cancel()

    async def close(self) -> None:
        """End the connections, also those that are still being accepted."""
        self._is_closed = True
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *lines = head.split("\r\n")
                method, path, _ = line.split(" ")
                headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines if one)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append(Request(method, path, headers, body))
                if not await self._respond(writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async def _respond(self, writer: asyncio.StreamWriter) -> bool:
        given = self.responses.popleft() if self.responses else self.default
        if given == HANG:
            await asyncio.Event().wait()
        if given == CUT:
            writer.transport.abort()
            return False
        if given == HALF:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            return False
        writer.write(given)
        return True


def raw_response(status: int, body: Any, **headers: str) -> bytes:
    """An HTTP response with a JSON body; `retry_after` becomes Retry-After."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", "content-type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


@asynccontextmanager
async def vendor_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[VendorServer]:
    """Run a server on a free port of 127.0.0.1."""
    vendor = VendorServer()
    server = await asyncio.start_server(vendor.accept, "127.0.0.1", 0, ssl=tls)
    vendor.port = server.sockets[0].getsockname()[1]
    # Begun before `close`, after which Python 3.11 does not wait: also for a connection that was accepted and not yet served.
    ended = asyncio.ensure_future(server.wait_closed())
    try:
        yield vendor
    finally:
        # A connection that has just been accepted gets its transport in the next turn of the loop; a closed server has none for it.
        for listening in server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        await asyncio.sleep(0)
        server.close()
        await vendor.close()
        await asyncio.wait([ended], timeout=10)  # a client that reads no response keeps its connection


@asynccontextmanager
async def plain_server() -> AsyncIterator[str]:
    """A server without TLS: a handshake fails with the first bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
