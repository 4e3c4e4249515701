"""Engine.IO sessions: each a pipe of messages that begins on polling or on a WebSocket, and may move to the second.

The server pings; only a pong counts as an answer. Pings and ends are swept by one timer, in slots by when a pipe is due.
"""

import asyncio
from collections.abc import Iterable
from socket import SocketType
from typing import Any, Protocol

import structlog

from bellcast.live.config import SocketIOConfig
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import CLOSE_TIMEOUT, NULL_TRANSPORT, OutboundTransport
from bellcast.live.http.handshake_request import HandshakeRequest
from bellcast.live.socketio import session_ids
from bellcast.live.socketio.protocol import engineio
from bellcast.live.socketio.protocol.engineio import Encoding, EnginePacket, OpenPayload
from bellcast.live.wiring import SessionLog
from bellcast.ports import Clock

log = structlog.get_logger(__name__)

# Slots per shorter of interval and timeout: a timeout is at most a twentieth late.
SLOTS = 20

UNREADABLE = CloseReason(close_reasons.BAD_REQUEST.code, "parse_error", reconnect=True)
PING_TIMEOUT = CloseReason(close_reasons.NO_PONG.code, "ping_timeout", reconnect=True)
CLIENT_CLOSED = CloseReason(1000, "closed by the client", reconnect=True)


class EngineTransport(Protocol):
    """The current transport of a session."""

    @property
    def encoding(self) -> Encoding: ...
    @property
    def transport(self) -> OutboundTransport: ...
    @property
    def sock(self) -> SocketType | None:
        """The raw socket, if packets may be written to it directly."""
        ...

    def close_with(self, end: CloseReason, last: bytes) -> None:
        """Close, sending `last` to a pending poll."""
        ...


class ClosedTransport:
    """The transport of a closed session."""

    encoding = engineio.ASGI_MESSAGES
    transport: OutboundTransport = NULL_TRANSPORT
    sock = None

    def close_with(self, end: CloseReason, last: bytes) -> None: ...


CLOSED_TRANSPORT = ClosedTransport()


class EngineListener(Protocol):
    """The protocol layer above sessions."""

    def on_open(self, pipe: "EngineSession") -> None: ...
    def on_message(self, pipe: "EngineSession", message: str | bytes) -> None: ...

    def on_transport_changed(self, pipe: "EngineSession") -> None:
        """Handle a change of the session's transport."""
        ...

    def on_buffer_full(self, pipe: "EngineSession") -> None:
        """Handle a full write buffer."""
        ...

    def on_buffer_drained(self, pipe: "EngineSession") -> None:
        """Handle a write buffer that is writable again."""
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
        """Mark the session as joined to a namespace; the hub counts its connections from now on."""
        self._sessions.set_joined(self)

    def begin(self, link: EngineTransport) -> None:
        """Send the open packet and start the heartbeat. A session whose start fails is closed and logged."""
        self.transport = link
        try:
            self._sessions.begin(self)
        except Exception:
            log.exception("session_start_failed")
            self.close(close_reasons.UNAVAILABLE)

    def send_packet(self, packet: bytes) -> None:
        """Send a text packet."""
        link = self.transport
        link.transport.write(link.encoding.text(packet))

    def send(self, head: bytes, attachments: Iterable[bytes]) -> None:
        """Send a message and its binary attachments without other packets between them."""
        self.send_packet(head)
        link = self.transport
        for attachment in attachments:
            link.transport.write(link.encoding.binary(attachment))

    def receive(self, packet: EnginePacket) -> None:
        """Handle a packet received over any transport."""
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
        """Switch to another transport, starting with the packets pending on the previous one."""
        self.transport = link
        for packet in waiting:
            link.transport.write(engineio.reencode(packet, link.encoding))
        self._sessions.listener.on_transport_changed(self)

    def on_buffer_full(self) -> None:
        """Handle a transport whose write buffer is over its limit."""
        self._sessions.listener.on_buffer_full(self)

    def on_buffer_drained(self) -> None:
        """Handle a transport that is writable again."""
        self._sessions.listener.on_buffer_drained(self)

    def close(self, end: CloseReason, last: bytes = engineio.CLOSE) -> None:
        """Close. Safe to call twice."""
        if not self.is_closed:
            link = self.transport
            self.close_reason = end
            self.discard()
            link.close_with(end, last)

    def close_by_client(self, end: CloseReason) -> None:
        """Close; a client between two polls receives the close with its next poll."""
        link = self.transport
        self.close(end)
        if link.encoding is engineio.POLLING_BODY and link.transport.get_write_buffer_size():
            self._sessions.keep_final_packets(self.sid, link)

    def discard(self) -> None:
        """End the session, whose transport is closed or closes itself."""
        if not self.is_closed:
            self.is_closed = True
            self._sessions.discard(self)
            # Break the reference cycle: thousands of pairs would otherwise wait for the garbage collector.
            self.transport = CLOSED_TRANSPORT

    def log_refusal(self, namespace: str, reason: str) -> None:
        """Log that the client may not join a namespace."""
        if self._sessions.log is not None:
            self._sessions.log.namespace_refused(self, namespace, reason)

    def check_timeout(self, now: float) -> None:
        """Send a ping if due; close if no pong arrived."""
        if self.is_closed or now < self.deadline:
            return
        if self._pong_due:
            self.close(PING_TIMEOUT)
            return
        self._pong_due = True
        # Measured from when the ping was due, so that sweep delays do not extend the timeout.
        self.deadline += self._sessions.config.ping_timeout
        self.send_packet(engineio.PING)

    def _send_ping(self) -> None:
        if self._pong_due:
            self._pong_due = False
            self.deadline = asyncio.get_running_loop().time() + self._sessions.config.ping_interval


class EngineSessions:
    """The sessions of this process, by their secret id."""

    def __init__(
        self, listener: EngineListener, config: SocketIOConfig, clock: Clock, session_log: SessionLog | None
    ) -> None:
        self.listener = listener
        self.config = config
        self.log = session_log
        self._clock = clock
        self._by_sid: dict[str, EngineSession] = {}
        self._final_packets: dict[str, EngineTransport] = {}
        self.unjoined = 0
        self._unjoined_by_address: dict[str | None, int] = {}
        self._width = min(config.ping_interval, config.ping_timeout) / SLOTS
        self._slots: dict[int, set[EngineSession]] = {}
        self._last_tick = 0

    def __len__(self) -> int:
        return len(self._by_sid)

    def find(self, sid: str) -> EngineSession | None:
        """Return the session of an id unless it has timed out."""
        pipe = self._by_sid.get(sid)
        if pipe is not None:
            pipe.check_timeout(asyncio.get_running_loop().time())
        return None if pipe is None or pipe.is_closed else pipe

    def unjoined_from(self, address: str | None) -> int:
        """Return the number of an address's polling sessions that have joined no namespace yet."""
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
        """Invalidate the session's id."""
        self.set_joined(pipe)
        self._by_sid.pop(pipe.sid, None)
        self._slots.get(pipe.slot, set()).discard(pipe)
        self.listener.on_close(pipe)
        if self.log is not None:
            self.log.session_closed(pipe)

    def final_packets(self, sid: str) -> EngineTransport | None:
        """Return the transport of an ended session that has not sent its close yet; once per session."""
        return self._final_packets.pop(sid, None)

    def keep_final_packets(self, sid: str, link: EngineTransport) -> None:
        """Keep the pending packets of an ended session until the client's next poll may arrive."""
        self._final_packets[sid] = link
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.final_packets, sid)

    def close(self) -> None:
        """Close every session; clients reconnect automatically."""
        for pipe in list(self._by_sid.values()):
            pipe.close(close_reasons.RESTARTING)

    async def run(self) -> None:
        """Sweep sessions until cancelled."""
        self._last_tick = self._slot(asyncio.get_running_loop().time())
        while True:
            await self._clock.sleep(self._width)
            self.tick(asyncio.get_running_loop().time())

    def tick(self, now: float) -> None:
        """Check the sessions that are due."""
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
