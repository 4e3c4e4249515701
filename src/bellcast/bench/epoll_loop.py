"""The load generator's heart: one epoll, plain sockets, one callback for each.

Raw epoll and not asyncio, because the generator shares two cores with what it measures: reading one frame must
cost it less than sending it costs the server.
"""

import select
import socket
import time
from collections.abc import Callable
from typing import Self

OnReady = Callable[[int, int], None]

READ = select.EPOLLIN
WRITE = select.EPOLLOUT

# Sockets looked at in one go; more only delays the look at the clock.
BATCH = 2048


class OutOfTimeError(Exception):
    """The benchmark did not end within its bound."""


class Deadline:
    """The hard bound on one benchmark's time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        if time.monotonic() > self._end:
            raise OutOfTimeError(f"not done after {self.seconds:.0f} s")


class EpollLoop:
    """Calls back for each socket that can be read or written, and closes them all in the end."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self._epoll = select.epoll()
        self._on_ready: dict[int, OnReady] = {}
        self._sockets: dict[int, socket.socket] = {}

    def watch(self, sock: socket.socket, on_ready: OnReady, events: int = READ) -> None:
        self._on_ready[sock.fileno()] = on_ready
        self._sockets[sock.fileno()] = sock
        self._epoll.register(sock, events)

    def change(self, fd: int, on_ready: OnReady, events: int = READ) -> None:
        self._on_ready[fd] = on_ready
        self._epoll.modify(fd, events)

    def rename(self, fd: int, on_ready: OnReady) -> None:
        """Another callback for the same readiness: no system call."""
        self._on_ready[fd] = on_ready

    def forget(self, sock: socket.socket) -> None:
        """Close it. Not to be called from a callback: what is ready already is still called back for."""
        self._epoll.unregister(sock)
        del self._on_ready[sock.fileno()], self._sockets[sock.fileno()]
        sock.close()

    def step(self, seconds: float) -> None:
        """Serve what is ready, or becomes ready within that time."""
        on_ready = self._on_ready
        for fd, events in self._epoll.poll(seconds, BATCH):
            on_ready[fd](fd, events)
        self.deadline.check()

    def run(self, until: Callable[[], bool], tick: float = 0.0) -> None:
        """Serve the sockets until that is so.

        With a `tick`, look only that often: a sleeping reader has to be woken for every packet, and the waking is
        charged to the server that sent it. Clients on other machines would not cost it that.
        """
        while not until():
            if tick:
                pause(tick)
            self.step(0.05)

    def step_after(self, tick: float) -> None:
        """Look away for so long, then serve what is ready."""
        pause(tick)
        self.step(0)

    def run_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.run(lambda: time.monotonic() >= end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._epoll.close()
        for sock in self._sockets.values():
            sock.close()


def pause(seconds: float) -> None:
    select.select([], [], [], seconds)


def dial(address: tuple[str, int], source: str | None = None) -> socket.socket:
    """A connected socket that does not block, from a source address of choice."""
    sock = socket.socket()
    # Bounded, because a full backlog answers only when the kernel tries again after a second.
    sock.settimeout(10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source:
        sock.bind((source, 0))
    sock.connect(address)
    sock.setblocking(False)
    return sock
