"""Callers: keep-alive HTTP connections, each with one request on its way."""

import contextlib
import itertools
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator

from bellcast.bench import frames
from bellcast.bench.epoll_loop import READ, WRITE, Deadline, EpollLoop, dial
from bellcast.bench.handshakes import HandshakeRefused

Answered = Callable[["HttpCaller", frames.Answer], None]

READ_SIZE = 65536


class HttpCaller:
    """One connection. `answered` is called for each answer and may send the next request. Where the server hung up on it
    in between, as it does when nothing was asked for long, it dials anew."""

    def __init__(self, reactor: EpollLoop, address: tuple[str, int], answered: Answered) -> None:
        self.sent_at = 0.0
        self._reactor = reactor
        self._address = address
        self._answered = answered
        self._unsent = memoryview(b"")
        self._blocked = False
        self._data = b""
        self._waits = False
        self._sock = self._dialled()

    def _dialled(self) -> socket.socket:
        sock = dial(self._address)
        self._reactor.watch(sock, self._on_ready)
        return sock

    @property
    def is_hung_up(self) -> bool:
        return self._sock.fileno() < 0

    def send(self, request: bytes) -> None:
        if self.is_hung_up:
            self._sock = self._dialled()
        self.sent_at = time.perf_counter()
        self._waits = True
        self._unsent = memoryview(request)
        self._write()

    def close(self) -> None:
        """Hang up. Not to be called when answered."""
        if not self.is_hung_up:
            self._reactor.forget(self._sock)

    def _write(self) -> None:
        """A request larger than the socket's buffer goes out in pieces."""
        with contextlib.suppress(BlockingIOError):
            self._unsent = self._unsent[self._sock.send(self._unsent) :]
        if bool(self._unsent) != self._blocked:
            self._blocked = not self._blocked
            self._reactor.change(self._sock.fileno(), self._on_ready, READ | WRITE if self._blocked else READ)

    def _on_ready(self, _fd: int, events: int) -> None:
        if self._unsent and events & WRITE:
            self._write()
        if events & ~WRITE:
            self._read()

    def _read(self) -> None:
        received = self._sock.recv(READ_SIZE)
        if not received:
            self._hung_up()
            return
        self._data = self._data + received if self._data else received
        whole = frames.answer(self._data)
        if whole:
            answer, taken = whole
            self._data = self._data[taken:]
            self._waits = False
            self._answered(self, answer)

    def _hung_up(self) -> None:
        if self._waits:
            raise HandshakeRefused("hung up on a caller")
        self._reactor.forget(self._sock)


class LoadResult:
    """What became of many requests."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.seconds = 0.0
        self.waits: list[float] = []
        self.first_refusal = b""

    @property
    def number(self) -> int:
        return sum(self.statuses.values())

    @property
    def per_second(self) -> float:
        return self.number / self.seconds

    def note(self, answer: frames.Answer, wait: float) -> None:
        self.statuses[answer.status] += 1
        self.waits.append(wait)
        if answer.status >= 400 and not self.first_refusal:
            self.first_refusal = answer.body

    def must_be(self, status: int) -> "LoadResult":
        if set(self.statuses) - {status}:
            raise HandshakeRefused(
                f"answers {dict(self.statuses)}: {self.first_refusal[:500].decode(errors='replace')}"
            )
        return self


def drive(
    deadline: Deadline,
    address: tuple[str, int],
    requests: Iterator[bytes],
    in_flight: int,
    look: Callable[[bytes], None] | None = None,
) -> LoadResult:
    """Send all requests, that many at a time, and look into each answer's body."""
    with EpollLoop(deadline) as reactor:
        return drive_beside(reactor, address, requests, in_flight, look)


def drive_beside(
    reactor: EpollLoop,
    address: tuple[str, int],
    requests: Iterator[bytes],
    in_flight: int,
    look: Callable[[bytes], None] | None = None,
) -> LoadResult:
    """The same beside others, who go on hearing meanwhile."""
    outcome = LoadResult()
    busy = 0

    def answered(caller: HttpCaller, answer: frames.Answer) -> None:
        nonlocal busy
        outcome.note(answer, time.perf_counter() - caller.sent_at)
        if look:
            look(answer.body)
        request = next(requests, None)
        if request is None:
            busy -= 1
        else:
            caller.send(request)

    callers = [HttpCaller(reactor, address, answered) for _ in range(in_flight)]
    begin = time.perf_counter()
    for caller, request in zip(callers, itertools.islice(requests, in_flight), strict=False):
        busy += 1
        caller.send(request)
    reactor.run(lambda: busy == 0)
    outcome.seconds = time.perf_counter() - begin
    for caller in callers:
        caller.close()
    return outcome


def send_request(deadline: Deadline, address: tuple[str, int], request: bytes, status: int = 200) -> bytes:
    """One request and its body; another status than that is an error."""
    bodies: list[bytes] = []
    drive(deadline, address, iter([request]), 1, bodies.append).must_be(status)
    return bodies[0]
