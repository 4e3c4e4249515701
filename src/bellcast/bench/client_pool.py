"""A crowd: thousands of live clients in one process, each of which counts every event it hears."""

import itertools
import os
import socket
from collections.abc import Callable, Iterator
from typing import Literal

from bellcast.bench import frames
from bellcast.bench.epoll_loop import EpollLoop, dial
from bellcast.bench.handshakes import Handshake, HandshakeRefused

Kind = Literal["websocket", "sse", "pusher", "socketio"]
Count = Callable[[bytes], int]

# More than any event measured here, and than the moves of a crowd that are told at once; more is read in pieces.
READ_SIZE = 65_536

# A newcomer to a crowded presence channel is told of thousands.
GREETING_SIZE = 262_144

# Engine.IO's sign of life, which is a message to the WebSocket below, and its answer.
PULSE, BEAT = b"2", b"3"

# Connections that are being made at once: well below the smallest listen backlog met (511).
OPENING = 256

# 28,000 ports are free on one address; 16 addresses leave room for what lingers in TIME_WAIT.
SOURCES = [f"127.0.0.{number}" for number in range(2, 18)]


class ClientPool:
    """Clients of one server.

    `count` says how many of the awaited events one frame is; `talk` is what a client says until it is ready, where that
    takes more than the handshake. With `alike`, everyone hears the same bytes: then each
    distinct run of bytes is taken apart once and known again by its value, so that a delivery costs the
    generator little more than the read, and still nothing is counted that was not decoded.
    """

    def __init__(
        self,
        reactor: EpollLoop,
        address: tuple[str, int],
        kind: Kind,
        count: Count,
        talk: Handshake | None,
        *,
        alike: bool = True,
    ) -> None:
        self.received: dict[int, int] = {}
        self.total = 0
        self.opening = 0
        self._reactor = reactor
        self._address = address
        self._kind = kind
        self._count = count
        self._talk = talk
        self._alike = alike
        self._split: frames.Split = frames.websocket
        self._sockets: dict[int, socket.socket] = {}
        self._rest: dict[int, bytes] = {}
        self._numbers: dict[int, int] = {}
        self._opened = 0
        self._known: dict[bytes, int] = {}

    def connect(self, greetings: Iterator[bytes]) -> None:
        """Open a client for each greeting, some at a time, until all of them are ready."""
        done = False
        while not done or self.opening:
            while not done and self.opening < OPENING:
                greeting = next(greetings, None)
                if greeting is None:
                    done = True
                else:
                    self.open(greeting)
            goal = 0 if done else OPENING // 2
            self._reactor.run(lambda goal=goal: self.opening <= goal)  # type: ignore[misc]  # mypy: a default in a lambda

    def leave(self, number: int) -> None:
        """As many hang up, those who came first. Not to be called from a callback."""
        for fd in list(itertools.islice(self._sockets, number)):
            sock = self._sockets.pop(fd)
            del self.received[fd]
            if self._numbers.pop(fd, None) is not None:
                self.opening -= 1
            sock.send(frames.GOODBYE)
            self._reactor.forget(sock)

    def listen(self, goal: int, tick: float = 0.001) -> None:
        """Hear until all clients together have heard that many events."""
        self._reactor.run(lambda: self.total >= goal, tick)

    def reset_counts(self) -> None:
        self.received = dict.fromkeys(self.received, 0)
        self.total = 0
        self._known.clear()

    def has_all_received(self, number: int) -> bool:
        return all(count == number for count in self.received.values())

    def __len__(self) -> int:
        return len(self._sockets)

    def open(self, greeting: bytes) -> None:
        """One client more, which is not ready yet."""
        sock = dial(self._address, SOURCES[self._opened % len(SOURCES)])
        fd = sock.fileno()
        self._sockets[fd] = sock
        self._numbers[fd] = self._opened
        self._opened += 1
        self._rest[fd] = b""
        self.received[fd] = 0
        self.opening += 1
        self._reactor.watch(sock, self._on_head)
        sock.send(greeting)

    def _on_head(self, fd: int, _events: int) -> None:
        data = self._rest[fd] + os.read(fd, READ_SIZE)
        self._rest[fd] = data
        head = frames.head(data)
        if head is None:
            if not data:
                raise HandshakeRefused("hung up before an answer")
            return
        if head.status != (200 if self._kind == "sse" else 101):
            raise HandshakeRefused(data[:500].decode(errors="replace"))
        if self._kind == "sse":
            self._split = frames.chunked_events if head.chunked else frames.events
        self._rest[fd] = b""
        if self._talk:
            self._reactor.rename(fd, self._on_greeting)
            self._greeted(fd, data[head.size :])
        else:
            self._begin(fd)
            if data[head.size :]:
                self._add(fd, self._split_frames(fd, data[head.size :]))

    def _on_greeting(self, fd: int, _events: int) -> None:
        self._greeted(fd, _read(fd))

    def _greeted(self, fd: int, data: bytes) -> None:
        """The frames of the talk are none of the awaited events; what is behind them may be."""
        data = self._rest[fd] + data
        heard, taken = self._split(data)
        self._rest[fd] = data[taken:]
        while heard:
            frame = heard.pop(0)
            if self._is_event(fd, frame) and self._is_ready(fd, frame.payload):
                self._begin(fd)
                self._add(fd, self._counted(fd, heard)[0])
                return

    def _is_ready(self, fd: int, heard: bytes) -> bool:
        answer = self._talk(self._numbers[fd], heard) if self._talk else None
        if answer:
            self._sockets[fd].send(frames.said(answer))
        return answer is None

    def _begin(self, fd: int) -> None:
        self.opening -= 1
        del self._numbers[fd]
        self._reactor.rename(fd, self._on_events)
        if not self._rest[fd]:
            del self._rest[fd]

    def _on_events(self, fd: int, _events: int) -> None:
        data = os.read(fd, READ_SIZE)
        count = self._known.get(data)
        if count is None or fd in self._rest:
            count = self._split_frames(fd, data)
        self.received[fd] += count
        self.total += count

    def _add(self, fd: int, count: int) -> None:
        self.received[fd] += count
        self.total += count

    def _split_frames(self, fd: int, data: bytes) -> int:
        if not data:
            raise HandshakeRefused("hung up while listening")
        before = self._rest.pop(fd, b"")
        heard, taken = self._split(before + data)
        rest = (before + data)[taken:]
        if rest:
            self._rest[fd] = rest
        count, ordinary = self._counted(fd, heard)
        if self._alike and ordinary and not before and not rest:
            self._known[data] = count
        return count

    def _counted(self, fd: int, heard: list[frames.Frame]) -> tuple[int, bool]:
        """How many of the awaited events these frames are, and whether they are nothing but events."""
        events = [frame for frame in heard if self._is_event(fd, frame)]
        return sum(self._count(frame.payload) for frame in events), len(events) == len(heard)

    def _is_event(self, fd: int, frame: frames.Frame) -> bool:
        """Answer pings, notice a goodbye; anything else is an event."""
        if frame.payload == PULSE and self._kind == "socketio":
            self._sockets[fd].send(frames.said(BEAT))
            return False
        if frame.opcode == frames.PING:
            self._sockets[fd].send(frames.pong(frame))
        if frame.opcode == frames.CLOSE:
            raise HandshakeRefused(f"closed: {frame.payload[:200]!r}")
        return frame.opcode == frames.TEXT


def _read(fd: int) -> bytes:
    data = os.read(fd, GREETING_SIZE)
    if not data:
        raise HandshakeRefused("hung up before it was ready")
    return data
