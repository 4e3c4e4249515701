"""Engine.IO sessions, which start on long polling or on a WebSocket, and may upgrade to a WebSocket.

The server pings, and only a pong resets the timeout. One timer checks all sessions.
"""

import asyncio
import hashlib
import os
import secrets
import socket
from collections import Counter
from collections.abc import Iterable
from socket import SocketType
from typing import Any, Protocol

import msgspec
import structlog
from msgspec import Struct, field

from bellcast.kernel.clock import Clock
from bellcast.live.connection import CLOSE_TIMEOUT, close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.outbound import NULL_TRANSPORT, OutboundTransport
from bellcast.live.http.asgi import HandshakeRequest
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.socketio import SocketIOConfig
from bellcast.live.socketio.protocol import (
    CLOSE,
    FRAMES,
    NOOP,
    OPEN,
    PING,
    POLLING_BODY,
    UNKNOWN_SESSION,
    Encoding,
    EngineError,
    EnginePacket,
    reencode,
)

log = structlog.get_logger(__name__)

# --- ids of sessions, which name their machine and process

# The id alone authorizes access to the session: 144 random bits.
SECRET_BYTES = 18
# 32 bits, so that two machines of one service are unlikely to share them.
HOST_DIGITS = 8
MAX_PROCESS_DIGITS = 10

ELSEWHERE = EngineError(
    UNKNOWN_SESSION.code,
    "Session ID unknown: it began on another machine. Polling needs a balancer that keeps each client on one machine, "
    "or clients that use WebSocket alone (transports: ['websocket']).",
)
OUT_OF_REACH = EngineError(
    UNKNOWN_SESSION.code,
    "Session ID unknown: it began in another process, which has ended or cannot be reached from this one.",
)

HOST = hashlib.blake2b(socket.gethostname().encode()).hexdigest()[:HOST_DIGITS]


def owner_of(sid: str) -> tuple[str, int] | None:
    """Return the host and the process that owns a session id; None if the id is invalid."""
    host, _, rest = sid.partition(".")
    process = rest.partition(".")[0]
    is_valid = (
        len(host) == HOST_DIGITS and process.isascii() and process.isdecimal() and len(process) <= MAX_PROCESS_DIGITS
    )
    return (host, int(process)) if is_valid else None


def unknown_session(sid: str) -> EngineError:
    """Return the reason why a session was not found."""
    owner = owner_of(sid)
    if owner is None or owner == (HOST, os.getpid()):  # not cached: servers fork their workers after importing the app
        return UNKNOWN_SESSION
    return OUT_OF_REACH if owner[0] == HOST else ELSEWHERE


# --- sessions

POLLING, WEBSOCKET = "polling", "websocket"
# Checks of all sessions per interval or timeout, whichever is shorter: a timeout is at most a twentieth late. One of 20,000 sessions
# takes 1 ms.
CHECKS = 20

UNREADABLE = CloseReason(close_reasons.BAD_REQUEST.code, "parse_error", reconnect=True)
PING_TIMEOUT = CloseReason(close_reasons.NO_PONG.code, "ping_timeout", reconnect=True)
CLIENT_CLOSED = CloseReason(1000, "closed by the client", reconnect=True)


class EngineTransport(Protocol):
    """The current transport of a session."""

    encoding: Encoding

    @property
    def transport(self) -> OutboundTransport: ...
    def open_socket(self) -> SocketType | None:
        """Return the raw socket, if packets may be written to it directly. It is closed with the transport."""

    def close_with(self, end: CloseReason, last: bytes) -> None:
        """Close, sending `last` to a pending poll."""


class ClosedTransport:
    encoding = FRAMES
    transport: OutboundTransport = NULL_TRANSPORT

    def open_socket(self) -> SocketType | None:
        return None

    def close_with(self, end: CloseReason, last: bytes) -> None: ...


CLOSED_TRANSPORT = ClosedTransport()


class EngineListener(Protocol):
    """The protocol layer above sessions."""

    def on_open(self, session: "EngineSession") -> None: ...
    def on_message(self, session: "EngineSession", message: str | bytes) -> None: ...

    def on_transport_changed(self, session: "EngineSession") -> None: ...

    def on_buffer_full(self, session: "EngineSession") -> None: ...

    def on_buffer_drained(self, session: "EngineSession") -> None: ...

    def on_close(self, session: "EngineSession") -> None: ...


class EngineSession(Struct, eq=False):
    """One session. `app_state` belongs to the listener."""

    protocol, dialect = "engineio", "socketio"

    sessions: "EngineSessions"
    request: HandshakeRequest
    sid: str = field(default_factory=lambda: f"{HOST}.{os.getpid()}.{secrets.token_urlsafe(SECRET_BYTES)}")
    is_closed: bool = False
    unjoined_as: str | None = None  # the transport as which a session without a namespace is counted
    close_reason: CloseReason | None = None  # None at the end: the socket was lost
    deadline: float = 0.0
    transport: EngineTransport = CLOSED_TRANSPORT
    app_state: Any = None
    _pong_due: bool = False

    def __repr__(self) -> str:
        """Show no field: the request has credentials, and `sid` is one."""
        return "EngineSession()"

    @property
    def transport_name(self) -> str:
        return POLLING if self.transport.encoding is POLLING_BODY else WEBSOCKET

    def set_joined(self) -> None:
        """Mark the session as joined to a namespace; the hub counts its connections from now on. Idempotent."""
        if self.unjoined_as is not None:
            self.sessions.count_unjoined(self.request.address, self.unjoined_as, -1)
            self.unjoined_as = None

    def set_unjoined(self) -> None:
        """Mark the session as joined to no namespace: from now on it is limited like one that has not joined yet.
        Idempotent."""
        if self.unjoined_as is None:
            self.unjoined_as = self.transport_name
            self.sessions.count_unjoined(self.request.address, self.unjoined_as, 1)

    def send_packet(self, packet: bytes) -> None:
        transport = self.transport
        transport.transport.write(transport.encoding.text(packet))

    def receive(self, packet: EnginePacket) -> None:
        if self.is_closed:
            return
        match packet.type:
            case "4":
                self.sessions.listener.on_message(self, packet.data)
            case "3":
                if self._pong_due:
                    self._pong_due = False
                    self.deadline = asyncio.get_running_loop().time() + self.sessions.config.ping_interval
            case "1":
                self.close(CLIENT_CLOSED, NOOP)
            case "2":
                self.close(UNREADABLE)  # only the server sends pings

    def change_transport(self, transport: EngineTransport, pending: Iterable[bytes]) -> None:
        """Switch to another transport, starting with the packets pending on the previous one."""
        self.transport = transport
        for packet in pending:
            transport.transport.write(reencode(packet, transport.encoding))
        self.sessions.listener.on_transport_changed(self)

    def on_buffer_full(self) -> None:
        if not self.is_closed:
            self.sessions.full.setdefault(self, asyncio.Event())
            self.sessions.listener.on_buffer_full(self)

    def on_buffer_drained(self) -> None:
        self.sessions.set_drained(self)
        self.sessions.listener.on_buffer_drained(self)

    @property
    def is_buffer_full(self) -> bool:
        return self in self.sessions.full

    async def wait_drained(self) -> None:
        """Wait until the client has read the buffered output, or the session is closed."""
        while (drained := self.sessions.full.get(self)) is not None:
            await drained.wait()

    def close(self, end: CloseReason, last: bytes = CLOSE) -> None:
        if not self.is_closed:
            transport = self.transport
            self.close_reason = end
            self.discard()
            transport.close_with(end, last)

    def close_by_client(self, end: CloseReason) -> None:
        """Close the session. A client between two polls receives the close with its next poll."""
        transport = self.transport
        self.close(end)
        if transport.encoding is POLLING_BODY and transport.transport.get_write_buffer_size():
            final_packets = self.sessions.final_packets
            final_packets[self.sid] = transport
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, final_packets.pop, self.sid, None)

    def discard(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.sessions.discard(self)
            # Break the reference cycle: thousands of pairs would otherwise wait for the garbage collector.
            self.transport = CLOSED_TRANSPORT

    def check_timeout(self, now: float) -> None:
        """Send a ping if due; close if no pong arrived."""
        if self.is_closed or now < self.deadline:
            return
        if self._pong_due:
            self.close(PING_TIMEOUT)
            return
        self._pong_due = True
        # Measured from the time when the ping was due, so that sweep delays do not extend the timeout.
        self.deadline += self.sessions.config.ping_timeout
        self.send_packet(PING)


class EngineSessions:
    """The sessions of this process, by their secret id."""

    def __init__(self, listener: EngineListener, config: SocketIOConfig, clock: Clock, callbacks: HubCallbacks) -> None:
        self.listener = listener
        self.config = config
        self.callbacks = callbacks
        self._clock = clock
        self._by_sid: dict[str, EngineSession] = {}
        # Transports of ended sessions that have not sent their close yet, until the client's next poll may arrive.
        self.final_packets: dict[str, EngineTransport] = {}
        self.full: dict[EngineSession, asyncio.Event] = {}  # sessions with a full buffer, until it is drained
        self.unjoined = 0  # polling sessions
        self._unjoined_by_address: Counter[tuple[str | None, str]] = Counter()  # and by transport
        self._check_seconds = min(config.ping_interval, config.ping_timeout) / CHECKS

    def __len__(self) -> int:
        return len(self._by_sid)

    def find(self, sid: str) -> EngineSession | None:
        """Return the session with this id unless it has timed out."""
        session = self._by_sid.get(sid)
        if session is not None:
            session.check_timeout(asyncio.get_running_loop().time())
        return None if session is None or session.is_closed else session

    def unjoined_from(self, address: str | None, *transports: str) -> int:
        """Return the number of an address's sessions without a namespace on these transports."""
        return sum(self._unjoined_by_address[address, transport] for transport in transports)

    def count_unjoined(self, address: str | None, transport: str, change: int) -> None:
        if transport == POLLING:
            self.unjoined += change
        self._unjoined_by_address[address, transport] += change
        if not self._unjoined_by_address[address, transport]:
            del self._unjoined_by_address[address, transport]

    def begin(self, session: EngineSession, transport: EngineTransport) -> None:
        """Register a session, and send the open packet on its first transport. A failed start is logged and closes the session."""
        session.transport = transport
        handshake = {
            "sid": session.sid,
            "upgrades": ("websocket",) if transport.encoding is POLLING_BODY else (),
            "pingInterval": round(self.config.ping_interval * 1000),
            "pingTimeout": round(self.config.ping_timeout * 1000),
            "maxPayload": self.config.max_payload,
        }
        try:
            session.set_unjoined()
            session.deadline = asyncio.get_running_loop().time() + self.config.ping_interval
            self._by_sid[session.sid] = session
            self.callbacks.session_opened(session)
            session.send_packet(OPEN + msgspec.json.encode(handshake))
            self.listener.on_open(session)
        except Exception:
            log.exception("session_start_failed")
            session.close(close_reasons.UNAVAILABLE)

    def set_drained(self, session: EngineSession) -> None:
        """Wake the tasks that wait until the client has read. Idempotent."""
        drained = self.full.pop(session, None)
        if drained is not None:
            drained.set()

    def discard(self, session: EngineSession) -> None:
        session.set_joined()
        self.set_drained(session)
        self._by_sid.pop(session.sid, None)
        self.listener.on_close(session)
        self.callbacks.session_closed(session)

    def close(self) -> None:
        for session in list(self._by_sid.values()):
            session.close(close_reasons.RESTARTING)

    async def run(self) -> None:
        while True:
            await self._clock.sleep(self._check_seconds)
            self.check_timeouts(asyncio.get_running_loop().time())

    def check_timeouts(self, now: float) -> None:
        for session in list(self._by_sid.values()):
            try:
                session.check_timeout(now)
            except Exception:  # the other sessions must be checked
                log.exception("session_check_failed")
