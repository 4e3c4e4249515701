"""The load generator's event loop: one epoll instance, plain sockets, one callback per socket.

Raw epoll instead of asyncio, because the generator shares two cores with the server: reading a frame must cost less
than sending it.
"""

import select
import socket
import time
from collections.abc import Callable
from typing import Self

ReadyCallback = Callable[[int, int], None]

READ = select.EPOLLIN
WRITE = select.EPOLLOUT

# Maximum of events per poll; a larger batch only delays the deadline check.
MAX_EVENTS = 2048


class OutOfTimeError(Exception):
    """The benchmark did not finish before its deadline."""


class Deadline:
    """Time limit of one benchmark, in seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        if time.monotonic() > self._end:
            raise OutOfTimeError(f"not finished after {self.seconds:.0f} s")


class EpollLoop:
    """Calls the callback of each readable or writable socket, and closes all sockets on exit."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self._epoll = select.epoll()
        self._on_ready: dict[int, ReadyCallback] = {}
        self._sockets: dict[int, socket.socket] = {}

    def watch(self, sock: socket.socket, on_ready: ReadyCallback, events: int = READ) -> None:
        self._on_ready[sock.fileno()] = on_ready
        self._sockets[sock.fileno()] = sock
        self._epoll.register(sock, events)

    def change(self, fd: int, on_ready: ReadyCallback, events: int = READ) -> None:
        self._on_ready[fd] = on_ready
        self._epoll.modify(fd, events)

    def set_callback(self, fd: int, on_ready: ReadyCallback) -> None:
        """Replace the callback without a system call."""
        self._on_ready[fd] = on_ready

    def forget(self, sock: socket.socket) -> None:
        """Unregister and close a socket. Must not be called from a callback, since events of the same poll may
        follow."""
        self._epoll.unregister(sock)
        del self._on_ready[sock.fileno()], self._sockets[sock.fileno()]
        sock.close()

    def step(self, seconds: float) -> None:
        """Handle sockets that are ready or become ready within `seconds`."""
        on_ready = self._on_ready
        for fd, events in self._epoll.poll(seconds, MAX_EVENTS):
            on_ready[fd](fd, events)
        self.deadline.check()

    def run(self, until: Callable[[], bool], tick: float = 0.0) -> None:
        """Handle sockets until `until` returns True.

        With a `tick`, poll only every `tick` seconds: the kernel charges the wakeup of a blocked local reader to the
        server
        that sends the packet, a cost that clients on other machines do not cause.
        """
        while not until():
            if tick:
                pause(tick)
            self.step(0.05)

    def step_after(self, tick: float) -> None:
        """Sleep for `tick` seconds, then handle the sockets that are ready."""
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
    """Return a connected non-blocking socket, bound to `source` if set."""
    sock = socket.socket()
    # With a full backlog, the kernel retries the SYN after a second.
    sock.settimeout(10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source:
        sock.bind((source, 0))
    sock.connect(address)
    sock.setblocking(False)
    return sock
