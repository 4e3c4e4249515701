"""Engine.IO sessions: each a pipe of messages that begins on polling or on a WebSocket, and may move to the second.

The server pings; only a pong counts as an answer. Pings and ends are swept by one timer, in slots by when a pipe is due.
"""

import asyncio
from collections.abc import Iterable
from socket import SocketType
from typing import Any, Protocol

from bellcast.live.config import SocketIOConfig
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import CLOSE_TIMEOUT, NULL_TRANSPORT, OutboundTransport
from bellcast.live.http.handshake_request import HandshakeRequest
from bellcast.live.socketio import session_ids
from bellcast.live.socketio.protocol import engineio
from bellcast.live.socketio.protocol.engineio import Encoding, EnginePacket, OpenPayload
from bellcast.ports import Clock

# The shorter of interval and timeout is cut into this many slots: an end is late by a twentieth at most.
SLOTS = 20

UNREADABLE = CloseReason(close_reasons.BAD_REQUEST.code, "parse_error", reconnect=True)
PING_TIMEOUT = CloseReason(close_reasons.NO_PONG.code, "ping_timeout", reconnect=True)
CLIENT_CLOSED = CloseReason(1000, "closed by the client", reconnect=True)


class EngineTransport(Protocol):
    """What carries a pipe's packets at the time."""

    @property
    def encoding(self) -> Encoding: ...
    @property
    def transport(self) -> OutboundTransport: ...
    @property
    def sock(self) -> SocketType | None:
        """The plain socket below, if packets may be sent on it directly."""
        ...

    def close_with(self, end: CloseReason, last: bytes) -> None:
        """Close, telling `last` to a poll that waits."""
        ...


class ClosedTransport:
    """The link of a session that is over."""

    encoding = engineio.ASGI_MESSAGES
    transport: OutboundTransport = NULL_TRANSPORT
    sock = None

    def close_with(self, end: CloseReason, last: bytes) -> None: ...


CLOSED_TRANSPORT = ClosedTransport()


class EngineListener(Protocol):
    """Whoever speaks through pipes."""

    def on_open(self, pipe: "EngineSession") -> None: ...
    def on_message(self, pipe: "EngineSession", message: str | bytes) -> None: ...

    def on_transport_changed(self, pipe: "EngineSession") -> None:
        """The pipe has another link."""
        ...

    def on_buffer_full(self, pipe: "EngineSession") -> None:
        """What is written waits for a slow reader."""
        ...

    def on_buffer_drained(self, pipe: "EngineSession") -> None:
        """There is room again."""
        ...

    def on_close(self, pipe: "EngineSession") -> None: ...


class EngineSession:
    """One session. `talk` is the upper layer's, for what it knows of the pipe."""

    __slots__ = (
        "_pong_due",
        "_sessions",
        "app_state",
        "close_reason",
        "deadline",
        "is_closed",
        "is_unjoined",
        "request",
        "sid",
        "slot",
        "transport",
    )

    def __init__(self, pipes: "EngineSessions", request: HandshakeRequest) -> None:
        self._sessions = pipes
        self._pong_due = False
        self.sid = session_ids.new_sid()
        self.request = request
        self.is_closed = False
        self.is_unjoined = False  # counted among the polling sessions that have joined no namespace yet
        self.close_reason: CloseReason | None = None  # None at the end: the socket was lost
        self.deadline = 0.0
        self.slot = 0  # where the sweep finds it
        self.transport: EngineTransport = CLOSED_TRANSPORT
        self.app_state: Any = None

    @property
    def transport_name(self) -> str:
        """`polling` or `websocket`."""
        return "polling" if self.transport.encoding is engineio.POLLING_BODY else "websocket"

    def set_joined(self) -> None:
        """It has joined a namespace: from here on it is counted as a connection of the hub."""
        self._sessions.set_joined(self)

    def begin(self, link: EngineTransport) -> None:
        """Say what the client needs to know, and begin the pulse."""
        self.transport = link
        self._sessions.begin(self)

    def send_packet(self, packet: bytes) -> None:
        """One text packet."""
        link = self.transport
        link.transport.write(link.encoding.text(packet))

    def send(self, head: bytes, attachments: Iterable[bytes]) -> None:
        """A message and the binary messages behind it: nothing comes between."""
        self.send_packet(head)
        link = self.transport
        for attachment in attachments:
            link.transport.write(link.encoding.binary(attachment))

    def receive(self, packet: EnginePacket) -> None:
        """What the client sent, by whatever way."""
        if self.is_closed:
            return
        match packet.type:
            case "4":
                self._sessions.listener.on_message(self, packet.data)
            case "3":
                self._send_ping()
            case "1":
                self.close(CLIENT_CLOSED, engineio.NOOP)
            case "2":
                self.close(UNREADABLE)  # this way only the server pings

    def change_transport(self, link: EngineTransport, waiting: Iterable[bytes]) -> None:
        """Go on over another link, beginning with what waited on the one before."""
        self.transport = link
        for packet in waiting:
            link.transport.write(engineio.reencode(packet, link.encoding))
        self._sessions.listener.on_transport_changed(self)

    def on_buffer_full(self) -> None:
        """The link holds more than it may."""
        self._sessions.listener.on_buffer_full(self)

    def on_buffer_drained(self) -> None:
        """The link has room again."""
        self._sessions.listener.on_buffer_drained(self)

    def close(self, end: CloseReason, last: bytes = engineio.CLOSE) -> None:
        """Close. Safe to call twice."""
        if not self.is_closed:
            link = self.transport
            self.close_reason = end
            self.discard()
            link.close_with(end, last)

    def close_by_client(self, end: CloseReason) -> None:
        """Close, and see that a client between two polls hears it from the next."""
        link = self.transport
        self.close(end)
        if link.encoding is engineio.POLLING_BODY and link.transport.get_write_buffer_size():
            self._sessions.keep_final_packets(self.sid, link)

    def discard(self) -> None:
        """The session is over, and its link is gone or will see to itself."""
        if not self.is_closed:
            self.is_closed = True
            self._sessions.discard(self)
            # Each holds the other: thousands of such pairs would wait for the garbage collector.
            self.transport = CLOSED_TRANSPORT

    def log_refusal(self, namespace: str, reason: str) -> None:
        """Log that the client may not join a namespace."""
        if self._sessions.log is not None:
            self._sessions.log.namespace_refused(self, namespace, reason)

    def check_timeout(self, now: float) -> None:
        """Ping if it is time; end if no pong came."""
        if self.is_closed or now < self.deadline:
            return
        if self._pong_due:
            self.close(PING_TIMEOUT)
            return
        self._pong_due = True
        # From when the ping was due: what the sweep is late by is not given to the client.
        self.deadline += self._sessions.config.ping_timeout
        self.send_packet(engineio.PING)

    def _send_ping(self) -> None:
        if self._pong_due:
            self._pong_due = False
            self.deadline = asyncio.get_running_loop().time() + self._sessions.config.ping_interval


class SessionLog(Protocol):
    """Writes down which sessions come and go."""

    def session_opened(self, pipe: EngineSession) -> None: ...
    def session_closed(self, pipe: EngineSession) -> None: ...
    def namespace_refused(self, pipe: EngineSession, namespace: str, reason: str) -> None:
        """A client may not join a namespace."""
        ...


class EngineSessions:
    """The sessions of this process, by their secret id."""

    def __init__(self, upper: EngineListener, rules: SocketIOConfig, clock: Clock) -> None:
        self.listener = upper
        self.config = rules
        self._clock = clock
        self._by_sid: dict[str, EngineSession] = {}
        self._final_packets: dict[str, EngineTransport] = {}
        self.unjoined = 0
        self._unjoined_by_address: dict[str | None, int] = {}
        self._width = min(rules.ping_interval, rules.ping_timeout) / SLOTS
        self._slots: dict[int, set[EngineSession]] = {}
        self._last_tick = 0
        self.log: SessionLog | None = None

    def __len__(self) -> int:
        return len(self._by_sid)

    def find(self, sid: str) -> EngineSession | None:
        """The session of that id, unless its time is over."""
        pipe = self._by_sid.get(sid)
        if pipe is not None:
            pipe.check_timeout(asyncio.get_running_loop().time())
        return None if pipe is None or pipe.is_closed else pipe

    def unjoined_from(self, address: str | None) -> int:
        """How many polling sessions of an address have joined no namespace yet."""
        return self._unjoined_by_address.get(address, 0)

    def set_joined(self, pipe: EngineSession) -> None:
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

    def begin(self, pipe: EngineSession) -> None:
        """Open a session on its first link."""
        if pipe.transport.encoding is engineio.POLLING_BODY:  # the others are bounded by the sockets they hold
            pipe.is_unjoined = True
            self._count_unjoined(pipe.request.address, 1)
        pipe.deadline = asyncio.get_running_loop().time() + self.config.ping_interval
        self._by_sid[pipe.sid] = pipe
        self._schedule(pipe)
        if self.log is not None:
            self.log.session_opened(pipe)
        pipe.send_packet(engineio.open_packet(self._handshake(pipe)))
        self.listener.on_open(pipe)

    def discard(self, pipe: EngineSession) -> None:
        """Its id opens nothing any more."""
        self.set_joined(pipe)
        self._by_sid.pop(pipe.sid, None)
        self._slots.get(pipe.slot, set()).discard(pipe)
        self.listener.on_close(pipe)
        if self.log is not None:
            self.log.session_closed(pipe)

    def final_packets(self, sid: str) -> EngineTransport | None:
        """The link of a session that has ended and whose client has not heard it; it is told once."""
        return self._final_packets.pop(sid, None)

    def keep_final_packets(self, sid: str, link: EngineTransport) -> None:
        """Keep what an ended session has still to say, for as long as a client may take to ask."""
        self._final_packets[sid] = link
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.final_packets, sid)

    def close(self) -> None:
        """End every session: clients come back by themselves."""
        for pipe in list(self._by_sid.values()):
            pipe.close(close_reasons.RESTARTING)

    async def run(self) -> None:
        """Sweep for ever."""
        self._last_tick = self._slot(asyncio.get_running_loop().time())
        while True:
            await self._clock.sleep(self._width)
            self.tick(asyncio.get_running_loop().time())

    def tick(self, now: float) -> None:
        """Look at who was due until now."""
        for slot in range(self._last_tick, self._slot(now)):
            for pipe in self._slots.pop(slot, ()):
                pipe.check_timeout(now)
                if not pipe.is_closed:
                    self._schedule(pipe)
        self._last_tick = self._slot(now)

    def _schedule(self, pipe: EngineSession) -> None:
        pipe.slot = max(self._slot(pipe.deadline), self._last_tick)
        self._slots.setdefault(pipe.slot, set()).add(pipe)

    def _slot(self, at: float) -> int:
        return int(at / self._width)

    def _handshake(self, pipe: EngineSession) -> OpenPayload:
        rules = self.config
        return OpenPayload(
            sid=pipe.sid,
            upgrades=("websocket",) if pipe.transport.encoding is engineio.POLLING_BODY else (),
            pingInterval=round(rules.ping_interval * 1000),
            pingTimeout=round(rules.ping_timeout * 1000),
            maxPayload=rules.max_payload,
        )
