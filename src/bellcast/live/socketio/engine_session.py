"""Engine.IO sessions, which start on long polling or on a WebSocket, and may upgrade to a WebSocket; and the client's connections to
namespaces, each of which is a connection of the hub.

The server pings, and only a pong resets the timeout. One timer checks all sessions.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from socket import SocketType
from typing import Any, Protocol

import msgspec
import structlog
from msgspec import Struct, field

from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import Unavailable
from bellcast.live.connection import CLOSE_TIMEOUT, NO_MARK, Connection, Phase, close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.outbound import NULL_TRANSPORT, OutboundTransport
from bellcast.live.http.asgi import HandshakeRequest
from bellcast.live.http.socket_handoff import new_session_id
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.socketio import SocketIOConfig, protocol
from bellcast.live.socketio.protocol import (
    ACK,
    CLOSE,
    EVENT,
    FRAMES,
    NOOP,
    OPEN,
    PING,
    POLLING_BODY,
    Encoding,
    EnginePacket,
    Packet,
    PacketReader,
    reencode,
)

log = structlog.get_logger(__name__)

POLLING, WEBSOCKET = "polling", "websocket"
# Checks of all sessions per interval or timeout, whichever is shorter: a timeout is at most a twentieth late. One of 20,000 sessions
# takes 1 ms.
CHECKS = 20

# Maximum namespaces per session; apps have a handful. A session that has not joined any may be refused as many times.
MAX_NAMESPACES = 100
# Maximum bytes of a session's queued packets and those in progress, as a multiple of the payload limit: enough for one
# packet in progress and the full queue of its namespace.
MAX_HELD_PAYLOADS = 2

UNREADABLE = CloseReason(close_reasons.BAD_REQUEST.code, "parse_error", reconnect=True)
PING_TIMEOUT = CloseReason(close_reasons.NO_PONG.code, "ping_timeout", reconnect=True)
CLIENT_CLOSED = CloseReason(1000, "closed by the client", reconnect=True)
DISCONNECTED = "The client disconnected."
EVENTS_LOST = "Live events may be missing: after the reconnect, this connection will not be recovered."


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


class EngineSession(Struct, eq=False):
    """One session, with a connection for each namespace (None while the client joins it). `leaving` are connections that the
    client has left while a handler still processes their packet. `joining_bytes` is the size of CONNECT packets, which stay in
    memory until their namespace is joined or refused. A session that has joined no namespace, or has left all, is closed
    after the connect timeout, since no limit counts its connections."""

    protocol, dialect = "engineio", "socketio"

    sessions: "EngineSessions"
    request: HandshakeRequest
    reader: PacketReader
    sid: str = field(default_factory=new_session_id)
    is_closed: bool = False
    unjoined_as: str | None = None  # the transport as which a session without a namespace is counted
    close_reason: CloseReason | None = None  # None at the end: the socket was lost
    deadline: float = 0.0
    transport: EngineTransport = CLOSED_TRANSPORT
    connections: "dict[str, NamespaceConnection | None]" = {}
    leaving: "tuple[NamespaceConnection, ...]" = ()  # a set would take 216 bytes
    joining_bytes: int = 0
    refused: int = 0  # namespaces
    _refused_before: int = 0  # before the last namespace was left
    _connect_timer: asyncio.TimerHandle | None = None  # not None while no namespace is joined
    _pong_due: bool = False

    def __repr__(self) -> str:
        """Show no field: the request has credentials, and `sid` is one."""
        return "EngineSession()"

    @property
    def transport_name(self) -> str:
        return POLLING if self.transport.encoding is POLLING_BODY else WEBSOCKET

    # --- namespaces

    @property
    def joined_connections(self) -> "list[NamespaceConnection]":
        return [connection for connection in self.connections.values() if connection is not None]

    def add(self, connection: "NamespaceConnection") -> None:
        """Add the connection of a namespace that was joined."""
        self.connections[connection.namespace] = connection
        self.set_joined()

    def remove(self, namespace: str) -> None:
        """Remove a namespace that was left or refused. A session that has joined no other namespace is limited like a
        new one."""
        self.connections.pop(namespace, None)
        if not self.joined_connections and not self.is_closed:
            self.set_unjoined()

    def set_joined(self) -> None:
        """Mark the session as joined to a namespace; the hub counts its connections from now on. Idempotent."""
        if self.unjoined_as is not None:
            self.sessions.count_unjoined(self.request.address, self.unjoined_as, -1)
            self.unjoined_as = None
        if self._connect_timer is not None:
            self._connect_timer.cancel()
            self._connect_timer = None

    def set_unjoined(self) -> None:
        """Mark the session as joined to no namespace: from now on it is limited like one that has not joined yet.
        Idempotent."""
        if self.unjoined_as is None:
            self.unjoined_as = self.transport_name
            self.sessions.count_unjoined(self.request.address, self.unjoined_as, 1)
            self._refused_before = self.refused
            loop, timeout = asyncio.get_running_loop(), self.sessions.config.connect_timeout
            self._connect_timer = loop.call_later(timeout, self.close, close_reasons.NO_PONG)

    @property
    def is_refused_too_often(self) -> bool:
        """True if the session has not joined a namespace, and MAX_NAMESPACES were refused."""
        return self.unjoined_as is not None and self.refused - self._refused_before >= MAX_NAMESPACES

    def keep_leaving(self, connection: "NamespaceConnection") -> None:
        """Count the packets of a connection that was left, until its handler ends."""
        if connection not in self.leaving:
            self.leaving = (*self.leaving, connection)

    def end_leaving(self, connection: "NamespaceConnection") -> None:
        self.leaving = tuple(one for one in self.leaving if one is not connection)

    @property
    def has_full_queue(self) -> bool:
        """True if the queue of a namespace is full, or if the queued packets and those in progress of all namespaces
        together have too many bytes, including namespaces that are being joined."""
        queues = [one.pending for one in (*self.joined_connections, *self.leaving) if one.pending is not None]
        held_bytes = self.joining_bytes + sum(queue.held_bytes for queue in queues)
        return any(queue.is_full for queue in queues) or (
            0 < MAX_HELD_PAYLOADS * self.sessions.config.max_payload < held_bytes
        )

    # --- packets

    def send_packet(self, packet: bytes) -> None:
        transport = self.transport
        transport.transport.write(transport.encoding.text(packet))

    def receive(self, packet: EnginePacket) -> None:
        if self.is_closed:
            return
        match packet.type:
            case "4":
                self.sessions.receive(self, packet.data)
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
        for connection in self.joined_connections:
            if connection.phase is not Phase.CLOSED:
                connection.attach_transport()

    def on_buffer_full(self) -> None:
        """Pause the replays, and limit the other output. Without a replay, the client is too slow: close the session, which
        the client resumes from its position."""
        if self.is_closed:
            return
        self.sessions.full.setdefault(self, asyncio.Event())
        if not any(connection.phase is Phase.REPLAYING for connection in self.joined_connections):
            self.close(close_reasons.TOO_SLOW)
            return
        for connection in self.joined_connections:
            connection.pause_writing()

    def on_buffer_drained(self) -> None:
        self.sessions.set_drained(self)
        for connection in self.joined_connections:
            connection.resume_writing()

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


class NamespaceConnection(Connection):
    """A client's connection to one namespace, which writes to the current transport of its session. `id` is public; the id of the
    session is a secret."""

    __slots__ = (
        "_last_ack_id",
        "_pending_acks",
        "has_unsaved_topics",
        "joined_topics",
        "namespace",
        "resumable",
        "session",
    )

    def __init__(self, *args: Any, session: EngineSession, namespace: str) -> None:
        super().__init__(*args)
        self.session: EngineSession = session
        self.namespace = namespace
        self.resumable = False
        self.joined_topics: dict[str, bool] | None = None  # topic -> True if the app joined it
        self.has_unsaved_topics = False
        self._last_ack_id = 0
        self._pending_acks: dict[int, asyncio.Future[list[Any]]] | None = None

    def activate(self, unsent: int, *, resumable: bool) -> None:
        """Write to the session from now on."""
        self.max_unsent = unsent
        self.resumable = resumable
        self.attach_transport()

    def attach_transport(self) -> None:
        transport = self.session.transport
        self._set_dialect()
        self.transport, self.sock, self.may_have_sock = transport.transport, None, True
        if self.phase is Phase.REPLAYING:
            self._limit_replay()
        else:
            self.write = transport.transport.write
            self._set_high_water(self.max_unsent)
        self._limit_if_full()

    def set_joined(self, topics: dict[str, bool]) -> None:
        """Change `joined_topics`. While there are any, each offset sent to the client records this, because the client
        must not be recovered without them, even if their row has been deleted."""
        before, self.joined_topics = self._offset_prefix, topics
        self._update_prefix(before)

    def mark_topics(self, *, saved: bool) -> None:
        """Record whether `joined_topics` are stored. While they are not, each offset sent to the client records that it
        must not be recovered, on any node, even after a crash of this one."""
        before, self.has_unsaved_topics = self._offset_prefix, not saved
        self._update_prefix(before)

    def _update_prefix(self, before: str) -> None:
        if self.resumable and self._offset_prefix != before and self.phase is not Phase.CLOSED:
            self._set_dialect()

    def _set_dialect(self) -> None:
        self.mark_revision = NO_MARK  # its bytes have the prefix of the dialect before
        self.dialect = protocol.dialect_for(
            self.namespace, self.session.transport.encoding, resumable=self.resumable, offset_prefix=self._offset_prefix
        )

    @property
    def _offset_prefix(self) -> str:
        if self.has_unsaved_topics:
            return protocol.UNRECOVERABLE
        return protocol.HAS_JOINED if self.joined_topics else ""

    # --- outbound

    def transition(self, to: Phase) -> None:
        super().transition(to)
        if to is not Phase.CLOSED:
            self._limit_if_full()

    def _limit_if_full(self) -> None:
        """Limit the output if the session's buffer is full already: its transport does not report that again."""
        if self.session.is_buffer_full:
            self.pause_writing()

    def open_socket(self) -> SocketType | None:
        return self.session.transport.open_socket()

    def emit(self, name: str, args: tuple[Any, ...], id: int | None = None) -> None:
        """Send an event. For resumable clients the last argument is the position, unless the client must acknowledge the event."""
        position = (self._offset_prefix + self.resume_position(),) if self.resumable and id is None else ()
        self._send(Packet(EVENT, self.namespace, [name, *args, *position], id))

    def acknowledge(self, id: int, args: list[Any]) -> None:
        self._send(Packet(ACK, self.namespace, args, id))

    def _send(self, packet: Packet) -> None:
        if self.phase is not Phase.CLOSED:
            self.last_sent_tick = self.owner.tick
            encoding, (head, attachments) = self.session.transport.encoding, protocol.encode(packet)
            for frame in (encoding.text(head), *map(encoding.binary, attachments)):
                self.write(frame)

    def pause_writing(self) -> None:
        """Wait with a replay. Until the session's reader has caught up, limit all other output."""
        if self.writable_waiter is None:
            self.writable_waiter = asyncio.get_running_loop().create_future()
        self.write = self._write_during_replay

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.phase is Phase.LIVE:
            self.write = self.transport.write

    # --- calls to the client

    async def ask(self, name: str, args: tuple[Any, ...]) -> list[Any]:
        """Emit with an id. Return the arguments of the ack. Raises TimeoutError if the client disconnects, or has done so."""
        if self.phase is Phase.CLOSED:
            raise TimeoutError(DISCONNECTED)
        if self._pending_acks is None:
            self._pending_acks = {}
        id, self._last_ack_id = self._last_ack_id, self._last_ack_id + 1
        ack: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._pending_acks[id] = ack
        try:
            self.emit(name, args, id)
            return await ack
        finally:
            if self._pending_acks is not None:
                self._pending_acks.pop(id, None)

    def on_ack(self, id: int | None, args: list[Any]) -> None:
        ack = self._pending_acks.pop(id, None) if self._pending_acks and id is not None else None
        if ack is not None and not ack.done():
            ack.set_result(args)

    # --- inbound

    @property
    def has_full_queue(self) -> bool:
        return self.session.has_full_queue

    def resume_reading(self) -> None:
        """Read from the session again, unless it holds too many packets of other namespaces."""
        if self.pending is None:
            self.session.end_leaving(self)
        transport = self.session.transport.transport
        if not transport.is_closing() and not self.has_full_queue:
            transport.resume_reading()

    # --- close

    def close(self, end: CloseReason) -> None:
        """Close the session, after which clients reconnect, or send DISCONNECT, after which they do not reconnect."""
        if self.phase is Phase.CLOSED:
            return
        self.close_reason = end
        if end.event_id is not None:  # over Socket.IO only an event has an offset
            self.mark_topics(saved=False)
            self.emit("error", ({"code": Unavailable.code, "message": EVENTS_LOST},))
        if end.reconnect:
            self.session.close_by_client(end)
        else:
            self.transport.write(self.dialect.close(end))
            self.session.remove(self.namespace)
        self.disconnected()

    def disconnected(self) -> None:
        """Close without output. Idempotent."""
        if self.phase is not Phase.CLOSED:
            self.transition(Phase.CLOSED)
        self.owner.on_disconnected(self)
        if self.pending is not None:
            self.pending.clear()  # unprocessed messages
            self.session.keep_leaving(self)
        self.sock, self.may_have_sock = None, False  # the session detaches it
        self.transport, self.write = NULL_TRANSPORT, NULL_TRANSPORT.write
        acks, self._pending_acks = self._pending_acks, None
        for ack in (acks or {}).values():
            if not ack.done():
                ack.set_exception(TimeoutError(DISCONNECTED))


class EngineSessions:
    """The sessions of this process, by their secret id."""

    def __init__(
        self,
        receive: Callable[[EngineSession, str | bytes], None],  # handles a message
        config: SocketIOConfig,
        clock: Clock,
        callbacks: HubCallbacks,
    ) -> None:
        self.receive = receive
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

    def create(self, request: HandshakeRequest) -> EngineSession:
        """Create a session, which `begin` registers."""
        return EngineSession(self, request, PacketReader(self.config.max_payload))

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
        for connection in session.joined_connections:
            connection.close_reason = connection.close_reason or session.close_reason
            connection.disconnected()
        session.connections.clear()
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
