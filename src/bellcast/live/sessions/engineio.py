"""Engine.IO sessions: each a pipe of messages that begins on polling or on a WebSocket, and may move to the second.

The server pings; only a pong counts as an answer. Pings and ends are swept by one timer, in slots by when a pipe is due.
"""

import asyncio
from collections.abc import Iterable
from socket import SocketType
from typing import Any, Protocol

from bellcast.live import reasons
from bellcast.live.connection import NOWHERE, PARTING_SECONDS, Outlet
from bellcast.live.protocols.socketio import engineio
from bellcast.live.protocols.socketio.engineio import Form, Handshake, Packet
from bellcast.live.reasons import Close
from bellcast.live.requests import Request
from bellcast.live.rules import SocketIO
from bellcast.live.sessions import homes
from bellcast.ports import Clock

# The shorter of interval and timeout is cut into this many slots: an end is late by a twentieth at most.
SLOTS = 20

UNREADABLE = Close(reasons.BAD_REQUEST.code, "parse_error", reconnect=True)
PING_TIMEOUT = Close(reasons.NO_PONG.code, "ping_timeout", reconnect=True)
LEFT = Close(1000, "closed by the client", reconnect=True)


class Link(Protocol):
    """What carries a pipe's packets at the time."""

    @property
    def form(self) -> Form: ...
    @property
    def outlet(self) -> Outlet: ...
    @property
    def sock(self) -> SocketType | None:
        """The plain socket below, if packets may be sent on it directly."""
        ...

    def part(self, end: Close, last: bytes) -> None:
        """Close, telling `last` to a poll that waits."""
        ...


class NoLink:
    """The link of a session that is over."""

    form = engineio.SENDS
    outlet: Outlet = NOWHERE
    sock = None

    def part(self, end: Close, last: bytes) -> None: ...


NO_LINK = NoLink()


class Upper(Protocol):
    """Whoever speaks through pipes."""

    def opened(self, pipe: "Pipe") -> None: ...
    def heard(self, pipe: "Pipe", message: str | bytes) -> None: ...

    def moved(self, pipe: "Pipe") -> None:
        """The pipe has another link."""
        ...

    def full(self, pipe: "Pipe") -> None:
        """What is written waits for a slow reader."""
        ...

    def drained(self, pipe: "Pipe") -> None:
        """There is room again."""
        ...

    def closed(self, pipe: "Pipe") -> None: ...


class Pipe:
    """One session. `talk` is the upper layer's, for what it knows of the pipe."""

    __slots__ = (
        "_pipes",
        "_pong_due",
        "close_reason",
        "due",
        "is_unjoined",
        "link",
        "over",
        "request",
        "sid",
        "slot",
        "talk",
    )

    def __init__(self, pipes: "Pipes", request: Request) -> None:
        self._pipes = pipes
        self._pong_due = False
        self.sid = homes.new_sid()
        self.request = request
        self.over = False
        self.is_unjoined = False  # counted among the polling sessions that have joined no namespace yet
        self.close_reason: Close | None = None  # None at the end: the socket was lost
        self.due = 0.0
        self.slot = 0  # where the sweep finds it
        self.link: Link = NO_LINK
        self.talk: Any = None

    @property
    def transport(self) -> str:
        """`polling` or `websocket`."""
        return "polling" if self.link.form is engineio.BODY else "websocket"

    def set_joined(self) -> None:
        """It has joined a namespace: from here on it is counted as a connection of the hub."""
        self._pipes.set_joined(self)

    def begin(self, link: Link) -> None:
        """Say what the client needs to know, and begin the pulse."""
        self.link = link
        self._pipes.begin(self)

    def say(self, packet: bytes) -> None:
        """One text packet."""
        link = self.link
        link.outlet.write(link.form.text(packet))

    def send(self, head: bytes, attachments: Iterable[bytes]) -> None:
        """A message and the binary messages behind it: nothing comes between."""
        self.say(head)
        link = self.link
        for attachment in attachments:
            link.outlet.write(link.form.binary(attachment))

    def hear(self, packet: Packet) -> None:
        """What the client sent, by whatever way."""
        if self.over:
            return
        match packet.type:
            case "4":
                self._pipes.upper.heard(self, packet.data)
            case "3":
                self._beat()
            case "1":
                self.end(LEFT, engineio.NOOP)
            case "2":
                self.end(UNREADABLE)  # this way only the server pings

    def move(self, link: Link, waiting: Iterable[bytes]) -> None:
        """Go on over another link, beginning with what waited on the one before."""
        self.link = link
        for packet in waiting:
            link.outlet.write(engineio.reshaped(packet, link.form))
        self._pipes.upper.moved(self)

    def full(self) -> None:
        """The link holds more than it may."""
        self._pipes.upper.full(self)

    def drained(self) -> None:
        """The link has room again."""
        self._pipes.upper.drained(self)

    def end(self, end: Close, last: bytes = engineio.CLOSE) -> None:
        """Close. Safe to call twice."""
        if not self.over:
            link = self.link
            self.close_reason = end
            self.forget()
            link.part(end, last)

    def leave(self, end: Close) -> None:
        """Close, and see that a client between two polls hears it from the next."""
        link = self.link
        self.end(end)
        if link.form is engineio.BODY and link.outlet.get_write_buffer_size():
            self._pipes.keep_parted(self.sid, link)

    def forget(self) -> None:
        """The session is over, and its link is gone or will see to itself."""
        if not self.over:
            self.over = True
            self._pipes.forget(self)
            # Each holds the other: thousands of such pairs would wait for the garbage collector.
            self.link = NO_LINK

    def log_refusal(self, namespace: str, reason: str) -> None:
        """Log that the client may not join a namespace."""
        if self._pipes.log is not None:
            self._pipes.log.namespace_refused(self, namespace, reason)

    def look(self, now: float) -> None:
        """Ping if it is time; end if no pong came."""
        if self.over or now < self.due:
            return
        if self._pong_due:
            self.end(PING_TIMEOUT)
            return
        self._pong_due = True
        # From when the ping was due: what the sweep is late by is not given to the client.
        self.due += self._pipes.rules.ping_timeout
        self.say(engineio.PING)

    def _beat(self) -> None:
        if self._pong_due:
            self._pong_due = False
            self.due = asyncio.get_running_loop().time() + self._pipes.rules.ping_interval


class SessionLog(Protocol):
    """Writes down which sessions come and go."""

    def session_opened(self, pipe: Pipe) -> None: ...
    def session_closed(self, pipe: Pipe) -> None: ...
    def namespace_refused(self, pipe: Pipe, namespace: str, reason: str) -> None:
        """A client may not join a namespace."""
        ...


class Pipes:
    """The sessions of this process, by their secret id."""

    def __init__(self, upper: Upper, rules: SocketIO, clock: Clock) -> None:
        self.upper = upper
        self.rules = rules
        self._clock = clock
        self._by_sid: dict[str, Pipe] = {}
        self._parted: dict[str, Link] = {}
        self.unjoined = 0
        self._unjoined_by_address: dict[str | None, int] = {}
        self._width = min(rules.ping_interval, rules.ping_timeout) / SLOTS
        self._slots: dict[int, set[Pipe]] = {}
        self._turned = 0
        self.log: SessionLog | None = None

    def __len__(self) -> int:
        return len(self._by_sid)

    def find(self, sid: str) -> Pipe | None:
        """The session of that id, unless its time is over."""
        pipe = self._by_sid.get(sid)
        if pipe is not None:
            pipe.look(asyncio.get_running_loop().time())
        return None if pipe is None or pipe.over else pipe

    def unjoined_from(self, address: str | None) -> int:
        """How many polling sessions of an address have joined no namespace yet."""
        return self._unjoined_by_address.get(address, 0)

    def set_joined(self, pipe: Pipe) -> None:
        """Count a session no longer as one that has joined no namespace. Safe to call twice."""
        if pipe.is_unjoined:
            pipe.is_unjoined = False
            self._count_unjoined(pipe.request.address, -1)

    def _count_unjoined(self, address: str | None, change: int) -> None:
        self.unjoined += change
        count = self._unjoined_by_address.get(address, 0) + change
        if count:
            self._unjoined_by_address[address] = count
        else:
            del self._unjoined_by_address[address]

    def begin(self, pipe: Pipe) -> None:
        """Open a session on its first link."""
        if pipe.link.form is engineio.BODY:  # the others are bounded by the sockets they hold
            pipe.is_unjoined = True
            self._count_unjoined(pipe.request.address, 1)
        pipe.due = asyncio.get_running_loop().time() + self.rules.ping_interval
        self._by_sid[pipe.sid] = pipe
        self._expect(pipe)
        if self.log is not None:
            self.log.session_opened(pipe)
        pipe.say(engineio.opened(self._handshake(pipe)))
        self.upper.opened(pipe)

    def forget(self, pipe: Pipe) -> None:
        """Its id opens nothing any more."""
        self.set_joined(pipe)
        self._by_sid.pop(pipe.sid, None)
        self._slots.get(pipe.slot, set()).discard(pipe)
        self.upper.closed(pipe)
        if self.log is not None:
            self.log.session_closed(pipe)

    def parted(self, sid: str) -> Link | None:
        """The link of a session that has ended and whose client has not heard it; it is told once."""
        return self._parted.pop(sid, None)

    def keep_parted(self, sid: str, link: Link) -> None:
        """Keep what an ended session has still to say, for as long as a client may take to ask."""
        self._parted[sid] = link
        asyncio.get_running_loop().call_later(PARTING_SECONDS, self.parted, sid)

    def close(self) -> None:
        """End every session: clients come back by themselves."""
        for pipe in list(self._by_sid.values()):
            pipe.end(reasons.RESTARTING)

    async def run(self) -> None:
        """Sweep for ever."""
        self._turned = self._slot(asyncio.get_running_loop().time())
        while True:
            await self._clock.sleep(self._width)
            self.turn(asyncio.get_running_loop().time())

    def turn(self, now: float) -> None:
        """Look at who was due until now."""
        for slot in range(self._turned, self._slot(now)):
            for pipe in self._slots.pop(slot, ()):
                pipe.look(now)
                if not pipe.over:
                    self._expect(pipe)
        self._turned = self._slot(now)

    def _expect(self, pipe: Pipe) -> None:
        pipe.slot = max(self._slot(pipe.due), self._turned)
        self._slots.setdefault(pipe.slot, set()).add(pipe)

    def _slot(self, at: float) -> int:
        return int(at / self._width)

    def _handshake(self, pipe: Pipe) -> Handshake:
        rules = self.rules
        return Handshake(
            sid=pipe.sid,
            upgrades=("websocket",) if pipe.link.form is engineio.BODY else (),
            pingInterval=round(rules.ping_interval * 1000),
            pingTimeout=round(rules.ping_timeout * 1000),
            maxPayload=rules.max_payload,
        )
