"""Plain sockets for tests that misbehave, and a look at the server's process: nothing is done behind a test's back."""

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
from tests.unit.live.framing.client import CLOSE, TEXT, close, frame

WAIT = 20  # seconds until something that must happen counts as not happening
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
    """One TCP connection. A small `window` makes the kernel take little on behalf of a reader who does not read."""

    def __init__(self, server: ServerProcess, window: int = 0) -> None:
        self.socket = socket.socket()
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.settimeout(WAIT)
        self.socket.connect(("127.0.0.1", server.port))
        self._rest = b""

    def send(self, *data: bytes) -> None:
        self.socket.sendall(b"".join(data))

    def pour(self, data: bytes, most: int) -> int:
        """Send it over and over until the server hangs up or takes no more; how many bytes went out, at most `most`."""
        sent = 0
        try:
            while sent < most:
                self.send(data)
                sent += len(data)
        except (ConnectionError, TimeoutError):
            pass
        return sent

    def read(self, count: int) -> bytes:
        """Exactly so many bytes; EOFError if the server hangs up before."""
        while len(self._rest) < count:
            self._more()
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def line(self) -> bytes:
        while b"\n" not in self._rest:
            self._more()
        line, _, self._rest = self._rest.partition(b"\n")
        return line.rstrip(b"\r")

    def answer(self) -> tuple[int, dict[str, str]]:
        """The status and headers of an HTTP answer."""
        status = int(self.line().split()[1])
        headers = {}
        while line := self.line():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers

    def body(self) -> bytes:
        """The body of the answer that is next."""
        return self.read(int(self.answer()[1]["content-length"]))

    def rest(self) -> bytes:
        """Everything until the server hangs up."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionResetError):
            return self._rest

    def hangs_up(self) -> bool:
        """Whether the server ends the connection, sooner than the tests' patience."""
        try:
            self.rest()
        except TimeoutError:
            return False
        return True

    def half_close(self) -> None:
        """Say no more, and go on listening."""
        self.socket.shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        """Go without a goodbye: the peer is told by a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _more(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise EOFError
        self._rest += data

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


class RawSocket(Raw):
    """A WebSocket written and read by hand."""

    def text(self, content: str) -> None:
        self.send(frame(TEXT, content.encode()))

    def say(self, type: str, **fields: Any) -> None:
        self.text(json.dumps({"type": type, **fields}))

    def frame(self) -> tuple[int, bytes]:
        """The opcode and payload of the next frame."""
        first, size = self.read(2)
        if size > 125:
            (size,) = struct.unpack("!H" if size == 126 else "!Q", self.read(2 if size == 126 else 8))
        return first & 0x0F, self.read(size)

    def next(self) -> dict[str, Any]:
        """The next frame as JSON."""
        opcode, payload = self.frame()
        assert opcode == TEXT, (opcode, payload)
        event: dict[str, Any] = json.loads(payload)
        return event

    def until(self, type: str) -> dict[str, Any]:
        while (event := self.next())["type"] != type:
            pass
        return event

    def closed(self) -> int:
        """The code of the close frame that comes; what comes before is passed over."""
        while (received := self.frame())[0] != CLOSE:
            pass
        return int.from_bytes(received[1][:2])

    def parts(self) -> int:
        """The server's close code, the answer to it, and the end of the connection."""
        code = self.closed()
        self.send(close(1000))
        assert self.hangs_up()
        return code


def request(path: str, *, method: str = "GET", version: str = "1.1", body: bytes = b"", **headers: str) -> bytes:
    """The bytes of a request; a header that is given as an empty text is left out."""
    said = {"Host": "bell.example", **({"Content-Length": str(len(body))} if body else {})}
    said |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in said.items() if value)]
    return "\r\n".join([*lines, "", ""]).encode() + body


def upgrade(
    server: ServerProcess, recipient: str, query: str = "", claims: Claims = NO_CLAIMS, **changed: str
) -> bytes:
    """The bytes of a WebSocket handshake."""
    said = {**HANDSHAKE, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return request(f"/v1/ws?token={server.token(recipient, **claims)}{query}", **said)


@contextmanager
def raw_websocket(
    server: ServerProcess, recipient: str, query: str = "", claims: Claims = NO_CLAIMS, *, window: int = 0
) -> Iterator[RawSocket]:
    """A WebSocket that has been let in and greeted."""
    with RawSocket(server, window) as bell:
        bell.send(upgrade(server, recipient, query, claims))
        assert bell.answer()[0] == 101
        assert bell.next()["type"] == "ready"
        yield bell


@contextmanager
def raw_stream(
    server: ServerProcess, recipient: str, query: str = "", claims: Claims = NO_CLAIMS, *, window: int = 0
) -> Iterator[Raw]:
    """An event stream whose head has come."""
    with Raw(server, window) as page:
        page.send(request(f"/v1/stream?token={server.token(recipient, **claims)}{query}"))
        assert page.answer()[0] == 200
        yield page


def eventually(holds: Callable[[], bool], within: float = WAIT) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def live(server: ServerProcess) -> int:
    """How many live connections the server knows."""
    stats = httpx.get(f"{server.url}/v1/stats", headers=server.as_app()).json()
    return sum(row["count"] for row in stats["connections"])


def _process(server: ServerProcess) -> Path:
    assert server.process is not None
    return Path(f"/proc/{server.process.pid}")


def files(server: ServerProcess) -> int:
    """How many files and sockets the server's process has open."""
    return sum(1 for _ in (_process(server) / "fd").iterdir())


def memory(server: ServerProcess) -> int:
    """The server's resident memory in MiB."""
    pages = int((_process(server) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def unharmed(server: ServerProcess, since: int = 0) -> bool:
    """Whether the server runs, answers, and has complained of nothing since its log was that long."""
    log = server.log.read_text()[since:]
    assert not any(word in log for word in ("Traceback", "Exception", "[error", "[critical")), log[-4000:]
    assert server.process is not None
    assert server.process.poll() is None, log[-4000:]
    return httpx.get(f"{server.url}/healthz").status_code == 200
