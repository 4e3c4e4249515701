"""Live clients for tests: an event stream read line by line, and a WebSocket of a well-known library."""

import itertools
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

from websockets.sync.client import ClientConnection, connect

from tests.servers import ServerProcess

# Recipients that no other test uses, so that tests can share a server.
names = (f"native{number}" for number in itertools.count())

WAIT = 60  # seconds; a response takes milliseconds unless something is broken

Event = dict[str, Any]


class Stream:
    """An event stream over a plain socket, so that tests see status, headers and chunks."""

    def __init__(self, url: str, path: str, headers: Mapping[str, str], version: str = "1.1") -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=WAIT)
        self._file = self._socket.makefile("rb")
        lines = [f"GET {path} HTTP/{version}", f"Host: {parts.netloc}", *(f"{k}: {v}" for k, v in headers.items())]
        try:
            self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
            self.status = int(self._file.readline().split()[1])
            self.headers = dict(self._header_lines())
        except BaseException:  # the server was killed before it responded
            self.close()
            raise
        self._body = self._chunks() if self.headers.get("transfer-encoding") == "chunked" else iter(self._plain())
        self._rest = b""
        self.last_id: str | None = None  # what EventSource would send as Last-Event-ID

    def _header_lines(self) -> Iterator[tuple[str, str]]:
        while (line := self._file.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            yield name.lower(), value.strip()

    def _chunks(self) -> Iterator[bytes]:
        while (size := int(self._file.readline(), 16)) > 0:
            yield self._file.read(size)
            self._file.readline()

    def _plain(self) -> Iterator[bytes]:
        while data := self._file.read1(65536):
            yield data

    def block(self) -> dict[str, str]:
        """Return the fields of the next block. Raises StopIteration at the end of the stream."""
        while b"\n\n" not in self._rest:
            self._rest += next(self._body)
        block, _, self._rest = self._rest.partition(b"\n\n")
        return dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)

    def receive(self) -> Event:
        """Return the data of the next event, with its `type` and, as `sse_id`, the stream's id."""
        while "event" not in (block := self.block()):
            pass
        self.last_id = block.get("id", self.last_id)
        return {"type": block["event"], "sse_id": block.get("id"), **json.loads(block["data"])}

    def next(self) -> Event:
        """Return the next event, skipping heartbeats: on a loaded machine a step may take longer than their interval."""
        while (event := self.receive())["type"] == "heartbeat":
            pass
        return event

    def until(self, name: str) -> Event:
        while (event := self.receive())["type"] != name:
            pass
        return event

    def ends(self) -> bool:
        """Return True if the stream ends now."""
        try:
            self.block()
        except StopIteration:
            return True
        return False

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@contextmanager
def stream(
    server: ServerProcess, recipient: str | None, *, last: str | None = None, version: str = "1.1", **query: Any
) -> Iterator[Stream]:
    """Follow an inbox over SSE; `claims` in the query go into the token."""
    claims = query.pop("claims", {})
    headers = {"Last-Event-ID": last} if last is not None else {}
    if recipient is not None:
        query["token"] = server.token(recipient, **claims)
    opened = Stream(server.url, "/v1/stream?" + urlencode(query), headers, version)
    try:
        yield opened
    finally:
        opened.close()


class Socket:
    """A WebSocket of the native dialect."""

    def __init__(self, connection: ClientConnection) -> None:
        self.raw = connection
        self._refs = 0
        self.ready: Event = {}

    def receive(self) -> Event:
        event: Event = json.loads(self.raw.recv(timeout=WAIT))
        return event

    def next(self) -> Event:
        """Return the next frame, skipping heartbeats: on a loaded machine a step may take longer than their interval."""
        while (event := self.receive())["type"] == "heartbeat":
            pass
        return event

    def until(self, name: str) -> Event:
        """Skip frames until one has that type."""
        while (event := self.receive())["type"] != name:
            pass
        return event

    def send(self, type: str, **fields: Any) -> None:
        self.raw.send(json.dumps({"type": type, **fields}))

    def ask(self, type: str, **fields: Any) -> Event:
        """Send a frame and return its `ack`, `pong` or `error`."""
        self._refs += 1
        self.send(type, ref=self._refs, **fields)
        while (event := self.next()).get("ref") != self._refs:
            pass
        return event


@contextmanager
def websocket(server: ServerProcess, recipient: str | None, **query: Any) -> Iterator[Socket]:
    """Follow an inbox over WebSocket; `claims` in the query go into the token."""
    claims = query.pop("claims", {})
    ttl = query.pop("ttl", 3600)
    if recipient is not None:
        query["token"] = server.token(recipient, ttl, **claims)
    url = server.url.replace("http", "ws") + "/v1/ws?" + urlencode(query)
    # Without a queue limit the client always reads, so the close handshake cannot wait until its timeout.
    with connect(url, open_timeout=WAIT, close_timeout=WAIT, max_queue=None) as connection:
        yield Socket(connection)
