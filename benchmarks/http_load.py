"""HTTP load: keep-alive connections with one request in flight each."""

import contextlib
import itertools
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator

from benchmarks import frames
from benchmarks.epoll_loop import READ, WRITE, Deadline, EpollLoop, dial
from benchmarks.handshakes import HandshakeRefused

OnResponse = Callable[["HttpCaller", frames.HttpReply], None]

READ_SIZE = 65536


class HttpCaller:
    """One connection. `on_response` is called for each response and may send the next request. If the server closed the
    idle connection, the next request opens a new one."""

    def __init__(self, loop: EpollLoop, address: tuple[str, int], on_response: OnResponse) -> None:
        self.sent_at = 0.0
        self._loop = loop
        self._address = address
        self._on_response = on_response
        self._unsent = memoryview(b"")
        self._blocked = False
        self._data = b""
        self._is_waiting = False
        self._sock = self._connect()

    def _connect(self) -> socket.socket:
        sock = dial(self._address)
        self._loop.watch(sock, self._on_ready)
        return sock

    @property
    def is_closed(self) -> bool:
        return self._sock.fileno() < 0

    def send(self, request: bytes) -> None:
        if self.is_closed:
            self._sock = self._connect()
        self.sent_at = time.perf_counter()
        self._is_waiting = True
        self._unsent = memoryview(request)
        self._write()

    def close(self) -> None:
        """Close the connection. Must not be called from `on_response`."""
        if not self.is_closed:
            self._loop.forget(self._sock)

    def _write(self) -> None:
        """Write as much as the socket's buffer takes; the rest follows when the socket is writable."""
        with contextlib.suppress(BlockingIOError):
            self._unsent = self._unsent[self._sock.send(self._unsent) :]
        if bool(self._unsent) != self._blocked:
            self._blocked = not self._blocked
            self._loop.change(self._sock.fileno(), self._on_ready, READ | WRITE if self._blocked else READ)

    def _on_ready(self, _fd: int, events: int) -> None:
        if self._unsent and events & WRITE:
            self._write()
        if events & ~WRITE:
            self._read()

    def _read(self) -> None:
        received = self._sock.recv(READ_SIZE)
        if not received:
            if self._is_waiting:
                raise HandshakeRefused("connection closed before the response")
            self._loop.forget(self._sock)
            return
        self._data = self._data + received if self._data else received
        parsed = frames.response(self._data)
        if parsed:
            response, size = parsed
            self._data = self._data[size:]
            self._is_waiting = False
            self._on_response(self, response)


class LoadResult:
    """Statuses and latencies (seconds) of many requests."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.seconds = 0.0
        self.waits: list[float] = []
        self.first_error = b""

    @property
    def number(self) -> int:
        return sum(self.statuses.values())

    @property
    def per_second(self) -> float:
        return self.number / self.seconds

    def record(self, response: frames.HttpReply, wait: float) -> None:
        self.statuses[response.status] += 1
        self.waits.append(wait)
        if response.status >= 400 and not self.first_error:
            self.first_error = response.body

    def expect_status(self, status: int) -> "LoadResult":
        if set(self.statuses) - {status}:
            raise HandshakeRefused(
                f"expected status {status}, got {dict(self.statuses)}: {self.first_error[:500].decode(errors='replace')}"
            )
        return self


def drive(
    deadline: Deadline,
    address: tuple[str, int],
    requests: Iterator[bytes],
    in_flight: int,
    on_body: Callable[[bytes], None] | None = None,
) -> LoadResult:
    """Send all requests with `in_flight` at a time, and call `on_body` with each response's body."""
    with EpollLoop(deadline) as loop:
        return drive_on_loop(loop, address, requests, in_flight, on_body)


def drive_on_loop(
    loop: EpollLoop,
    address: tuple[str, int],
    requests: Iterator[bytes],
    in_flight: int,
    on_body: Callable[[bytes], None] | None = None,
) -> LoadResult:
    """Like `drive`, on a loop that serves other clients at the same time."""
    outcome = LoadResult()
    busy = 0

    def on_response(caller: HttpCaller, response: frames.HttpReply) -> None:
        nonlocal busy
        outcome.record(response, time.perf_counter() - caller.sent_at)
        if on_body:
            on_body(response.body)
        request = next(requests, None)
        if request is None:
            busy -= 1
        else:
            caller.send(request)

    callers = [HttpCaller(loop, address, on_response) for _ in range(in_flight)]
    begin = time.perf_counter()
    for caller, request in zip(callers, itertools.islice(requests, in_flight), strict=False):
        busy += 1
        caller.send(request)
    loop.run(lambda: busy == 0)
    outcome.seconds = time.perf_counter() - begin
    for caller in callers:
        caller.close()
    return outcome


def send_request(deadline: Deadline, address: tuple[str, int], request: bytes, status: int = 200) -> bytes:
    """Send one request and return the response's body. Raises HandshakeRefused on a status other than `status`."""
    bodies: list[bytes] = []
    drive(deadline, address, iter([request]), 1, bodies.append).expect_status(status)
    return bodies[0]
