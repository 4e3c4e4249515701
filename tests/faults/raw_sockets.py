"""Plain sockets for tests that misbehave, and measurements of the server's process."""

import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from tests.servers import ServerProcess
from tests.unit.live.framing.client import CLOSE, PING, TEXT, close, frame

WAIT = 60  # seconds after which an expected event counts as missing; a loaded machine takes ten times as long as an idle one
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = {
    "Host": "bell.example",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


Claims = Mapping[str, Any]
NO_CLAIMS: Claims = MappingProxyType({})


class Raw:
    """A TCP connection. A small `window` makes the kernel buffer little for a reader that does not read."""

    def __init__(self, server: ServerProcess, window: int = 0) -> None:
        self.socket = socket.socket()
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.settimeout(WAIT)
        self.socket.connect(("127.0.0.1", server.port))
        self._buffer = b""

    def send(self, *data: bytes) -> None:
        self.socket.sendall(b"".join(data))

    def flood(self, data: bytes, most: int) -> int:
        """Send `data` repeatedly until the server hangs up or stops reading; return the number of bytes sent, at
        most `most`.
        """
        sent = 0
        try:
            while sent < most:
                self.send(data)
                sent += len(data)
        except (ConnectionError, TimeoutError):
            pass
        return sent

    def read(self, count: int) -> bytes:
        """Return exactly `count` bytes. Raises EOFError if the server hangs up first."""
        while len(self._buffer) < count:
            self._receive()
        chunk, self._buffer = self._buffer[:count], self._buffer[count:]
        return chunk

    def line(self) -> bytes:
        while b"\n" not in self._buffer:
            self._receive()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def read_head(self) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of an HTTP response."""
        status = int(self.line().split()[1])
        headers = {}
        while line := self.line():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers

    def body(self) -> bytes:
        """Return the body of the next response."""
        return self.read(int(self.read_head()[1]["content-length"]))

    def read_to_end(self) -> bytes:
        """Read until the server hangs up, and return the bytes."""
        try:
            while True:
                self._receive()
        except (EOFError, ConnectionResetError):
            return self._buffer

    def hangs_up(self) -> bool:
        """Return True if the server ends the connection within WAIT seconds."""
        try:
            self.read_to_end()
        except TimeoutError:
            return False
        return True

    def half_close(self) -> None:
        """Shut down the sending side, and keep reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Reset the connection without a closing handshake."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _receive(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise EOFError
        self._buffer += data

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


class RawSocket(Raw):
    """A WebSocket written and read by hand."""

    def text(self, content: str) -> None:
        self.send(frame(TEXT, content.encode()))

    def send_frame(self, type: str, **fields: Any) -> None:
        self.text(json.dumps({"type": type, **fields}))

    def frame(self) -> tuple[int, bytes]:
        """Return the opcode and payload of the next frame."""
        first, size = self.read(2)
        if size > 125:
            (size,) = struct.unpack("!H" if size == 126 else "!Q", self.read(2 if size == 126 else 8))
        return first & 0x0F, self.read(size)

    def next(self) -> dict[str, Any]:
        """Return the next frame as JSON, skipping pings and heartbeats: a loaded machine may take longer than their interval."""
        while True:
            opcode, payload = self.frame()
            if opcode == PING:
                continue
            assert opcode == TEXT, (opcode, payload)
            event: dict[str, Any] = json.loads(payload)
            if event["type"] != "heartbeat":
                return event

    def until(self, type: str) -> dict[str, Any]:
        while (event := self.next())["type"] != type:
            pass
        return event

    def closed(self) -> int:
        """Skip frames up to the close frame, and return its code."""
        while (received := self.frame())[0] != CLOSE:
            pass
        return int.from_bytes(received[1][:2])

    def finish_close(self) -> int:
        """Acknowledge the server's close frame, and return its code once the connection ended."""
        code = self.closed()
        self.send(close(1000))
        assert self.hangs_up()
        return code


def request(path: str, *, method: str = "GET", version: str = "1.1", body: bytes = b"", **headers: str) -> bytes:
    """Return the bytes of a request; headers with an empty value are omitted."""
    all_headers = {"Host": "bell.example", **({"Content-Length": str(len(body))} if body else {})}
    all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in all_headers.items() if value)]
    return "\r\n".join([*lines, "", ""]).encode() + body


def upgrade(
    server: ServerProcess, recipient: str, query: str = "", claims: Claims = NO_CLAIMS, **changed: str
) -> bytes:
    """Return the bytes of a WebSocket handshake."""
    all_headers = {**HANDSHAKE, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return request(f"/v1/ws?token={server.token(recipient, **claims)}{query}", **all_headers)


@contextmanager
def raw_websocket(
    server: ServerProcess, recipient: str, query: str = "", claims: Claims = NO_CLAIMS, *, window: int = 0
) -> Iterator[RawSocket]:
    """Open a WebSocket, and read its `ready`."""
    with RawSocket(server, window) as bell:
        bell.send(upgrade(server, recipient, query, claims))
        assert bell.read_head()[0] == 101
        assert bell.next()["type"] == "ready"
        yield bell


@contextmanager
def raw_stream(
    server: ServerProcess, recipient: str, query: str = "", claims: Claims = NO_CLAIMS, *, window: int = 0
) -> Iterator[Raw]:
    """Open an event stream, and read its HTTP head."""
    with Raw(server, window) as page:
        page.send(request(f"/v1/stream?token={server.token(recipient, **claims)}{query}"))
        assert page.read_head()[0] == 200
        yield page


def eventually(condition: Callable[[], bool], within: float = WAIT) -> bool:
    """Poll until `holds` is true; return False after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def live(server: ServerProcess) -> int:
    """Return the number of live connections of the server."""
    stats = httpx.get(f"{server.url}/v1/stats", headers=server.as_app()).json()
    return sum(row["count"] for row in stats["connections"])


def _process(server: ServerProcess) -> Path:
    assert server.process is not None
    return Path(f"/proc/{server.process.pid}")


def files(server: ServerProcess) -> int:
    """Return the number of open files and sockets of the server's process."""
    return sum(1 for _ in (_process(server) / "fd").iterdir())


def memory(server: ServerProcess) -> int:
    """Return the server's resident memory in MiB."""
    pages = int((_process(server) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def cpu_seconds(server: ServerProcess) -> float:
    """Return the processor time that the server has used, a measure that other load does not change."""
    fields = (_process(server) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def unharmed(server: ServerProcess, since: int = 0) -> bool:
    """Check that the server runs, responds, and has logged no error since its log was `since` characters long."""
    log = server.log.read_text()[since:]
    assert not any(word in log for word in ("Traceback", "Exception", "[error", "[critical")), log[-4000:]
    assert server.process is not None
    assert server.process.poll() is None, log[-4000:]
    return httpx.get(f"{server.url}/healthz").status_code == 200
