"""Thousands of live clients in one process, each of which counts the events it receives."""

import itertools
import os
import socket
from collections.abc import Callable, Iterator
from typing import Literal

from benchmarks import frames
from benchmarks.epoll_loop import EpollLoop, dial
from benchmarks.handshakes import HandshakeRefused, ReadHandshake

ClientKind = Literal["websocket", "sse", "pusher", "socketio"]
Count = Callable[[bytes], int]

# Bytes per read: larger than any measured event or batch of presence changes. Longer data is read in parts.
READ_SIZE = 65_536

# Bytes per read during the handshake: a presence channel lists thousands of members.
GREETING_SIZE = 262_144

# Engine.IO's ping and pong, which are WebSocket text messages.
ENGINEIO_PING, ENGINEIO_PONG = b"2", b"3"

# Concurrent handshakes: well below the smallest listen backlog of the measured servers (511).
MAX_OPENING = 256

# One address has 28,000 ephemeral ports; 16 addresses leave room for connections in TIME_WAIT.
SOURCES = [f"127.0.0.{number}" for number in range(2, 18)]


class ClientPool:
    """Clients of one server.

    `count` returns the number of counted events in one frame. `handshake` exchanges frames until the client is ready.
    With `is_uniform`, all clients receive the same bytes: each distinct chunk is parsed once and its count cached, so
    that a delivery costs the generator little more than the read.
    """

    def __init__(
        self,
        loop: EpollLoop,
        address: tuple[str, int],
        kind: ClientKind,
        count: Count,
        handshake: ReadHandshake | None,
        *,
        is_uniform: bool = True,
    ) -> None:
        self.received: dict[int, int] = {}
        self.total = 0
        self.opening = 0
        self._loop = loop
        self._address = address
        self._kind = kind
        self._count = count
        self._handshake = handshake
        self._is_uniform = is_uniform
        self._split: frames.Split = frames.websocket
        self._sockets: dict[int, socket.socket] = {}
        self._partial: dict[int, bytes] = {}
        self._numbers: dict[int, int] = {}
        self._opened = 0
        self._counts_by_chunk: dict[bytes, int] = {}

    def connect(self, greetings: Iterator[bytes]) -> None:
        """Open a client for each greeting, at most MAX_OPENING at a time, and wait until all are ready."""
        done = False
        while not done or self.opening:
            while not done and self.opening < MAX_OPENING:
                greeting = next(greetings, None)
                if greeting is None:
                    done = True
                else:
                    self.open(greeting)
            goal = 0 if done else MAX_OPENING // 2
            self._loop.run(lambda goal=goal: self.opening <= goal)  # type: ignore[misc]  # mypy: a default in a lambda

    def disconnect(self, number: int) -> None:
        """Close the `number` oldest connections. Must not be called from a callback."""
        for fd in list(itertools.islice(self._sockets, number)):
            sock = self._sockets.pop(fd)
            del self.received[fd]
            if self._numbers.pop(fd, None) is not None:
                self.opening -= 1
            sock.send(frames.CLOSE_FRAME)
            self._loop.forget(sock)

    def wait_for_events(self, goal: int, tick: float = 0.001) -> None:
        """Run until all clients together have received `goal` events."""
        self._loop.run(lambda: self.total >= goal, tick)

    def reset_counts(self) -> None:
        self.received = dict.fromkeys(self.received, 0)
        self.total = 0
        self._counts_by_chunk.clear()

    def has_all_received(self, number: int) -> bool:
        return all(count == number for count in self.received.values())

    def __len__(self) -> int:
        return len(self._sockets)

    def open(self, greeting: bytes) -> None:
        """Open one client and send its greeting. It becomes ready later."""
        sock = dial(self._address, SOURCES[self._opened % len(SOURCES)])
        fd = sock.fileno()
        self._sockets[fd] = sock
        self._numbers[fd] = self._opened
        self._opened += 1
        self._partial[fd] = b""
        self.received[fd] = 0
        self.opening += 1
        self._loop.watch(sock, self._on_head)
        sock.send(greeting)

    def _on_head(self, fd: int, _events: int) -> None:
        data = self._partial[fd] + os.read(fd, READ_SIZE)
        self._partial[fd] = data
        head = frames.head(data)
        if head is None:
            if not data:
                raise HandshakeRefused("connection closed before the response")
            return
        if head.status != (200 if self._kind == "sse" else 101):
            raise HandshakeRefused(data[:500].decode(errors="replace"))
        if self._kind == "sse":
            self._split = frames.chunked_events if head.chunked else frames.events
        self._partial[fd] = b""
        if self._handshake:
            self._loop.set_callback(fd, self._on_greeting)
            self._receive_greeting(fd, data[head.size :])
        else:
            self._begin(fd)
            if data[head.size :]:
                self._add(fd, self._split_frames(fd, data[head.size :]))

    def _on_greeting(self, fd: int, _events: int) -> None:
        self._receive_greeting(fd, _read(fd))

    def _receive_greeting(self, fd: int, data: bytes) -> None:
        """Handshake frames are not counted; frames behind them may be."""
        data = self._partial[fd] + data
        received, size = self._split(data)
        self._partial[fd] = data[size:]
        while received:
            frame = received.pop(0)
            if self._is_event(fd, frame) and self._is_ready(fd, frame.payload):
                self._begin(fd)
                self._add(fd, self._count_events(fd, received)[0])
                return

    def _is_ready(self, fd: int, received: bytes) -> bool:
        reply = self._handshake(self._numbers[fd], received) if self._handshake else None
        if reply:
            self._sockets[fd].send(frames.text_frame(reply))
        return reply is None

    def _begin(self, fd: int) -> None:
        self.opening -= 1
        del self._numbers[fd]
        self._loop.set_callback(fd, self._on_events)
        if not self._partial[fd]:
            del self._partial[fd]

    def _on_events(self, fd: int, _events: int) -> None:
        data = os.read(fd, READ_SIZE)
        count = self._counts_by_chunk.get(data)
        if count is None or fd in self._partial:
            count = self._split_frames(fd, data)
        self.received[fd] += count
        self.total += count

    def _add(self, fd: int, count: int) -> None:
        self.received[fd] += count
        self.total += count

    def _split_frames(self, fd: int, data: bytes) -> int:
        if not data:
            raise HandshakeRefused("connection closed while waiting for events")
        before = self._partial.pop(fd, b"")
        received, size = self._split(before + data)
        rest = (before + data)[size:]
        if rest:
            self._partial[fd] = rest
        count, only_events = self._count_events(fd, received)
        if self._is_uniform and only_events and not before and not rest:
            self._counts_by_chunk[data] = count
        return count

    def _count_events(self, fd: int, received: list[frames.ReceivedFrame]) -> tuple[int, bool]:
        """Return the number of counted events in these frames, and whether all frames are events."""
        events = [frame for frame in received if self._is_event(fd, frame)]
        return sum(self._count(frame.payload) for frame in events), len(events) == len(received)

    def _is_event(self, fd: int, frame: frames.ReceivedFrame) -> bool:
        """Reply to pings, raise on a close frame; every other text frame is an event."""
        if frame.payload == ENGINEIO_PING and self._kind == "socketio":
            self._sockets[fd].send(frames.text_frame(ENGINEIO_PONG))
            return False
        if frame.opcode == frames.PING:
            self._sockets[fd].send(frames.pong(frame))
        if frame.opcode == frames.CLOSE:
            raise HandshakeRefused(f"closed: {frame.payload[:200]!r}")
        return frame.opcode == frames.TEXT


def _read(fd: int) -> bytes:
    data = os.read(fd, GREETING_SIZE)
    if not data:
        raise HandshakeRefused("connection closed during the handshake")
    return data
