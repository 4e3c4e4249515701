"""Socket.IO on an Engine.IO session: dispatches packets to namespaces and closes sessions."""

import asyncio
from functools import partial
from typing import Any

from msgspec import Struct

from bellcast.kernel.errors import BellcastError, HandlerFailed
from bellcast.kernel.identities import Principal
from bellcast.live.admission import guarded_start
from bellcast.live.connection import Phase, close_reasons
from bellcast.live.connection.close_reasons import RejectedByApp
from bellcast.live.socketio import SocketIOConfig, protocol
from bellcast.live.socketio.engine_session import CLIENT_CLOSED, UNREADABLE, EngineSession
from bellcast.live.socketio.namespace_connection import NamespaceConnection
from bellcast.live.socketio.namespaces import Namespaces
from bellcast.live.socketio.protocol import InvalidPacket, Packet, PacketReader
from bellcast.live.types import Spawn

# Maximum namespaces per session; apps have a handful. A session that has not joined any may be refused as many times.
MAX_NAMESPACES = 100
# Maximum bytes of a session's queued packets and those in progress, as a multiple of the payload limit: enough for one
# packet in progress and the full queue of its namespace.
MAX_HELD_PAYLOADS = 2
# Maximum refusals of one session in the live feed, so that a client that repeats them does not displace those of
# others.
MAX_REFUSED_EVENTS = 10
ANONYMOUS = Principal()


class SocketIOState(Struct, eq=False):
    """State of one session: its connection per namespace (None while joining). `leaving` are connections that the
    client has left while a handler still processes their packet. `joining_bytes` is the size of CONNECT packets, which
    stay in memory until their namespace is joined or refused. A session that has joined no namespace, or has left all,
    is closed after `connect_timeout`, since no limit counts its connections."""

    reader: PacketReader
    max_payload: int  # 0: unlimited
    connect_timeout: float
    connections: dict[str, NamespaceConnection | None] = {}
    leaving: tuple[NamespaceConnection, ...] = ()  # a set would take 216 bytes
    connect_timer: asyncio.TimerHandle | None = None  # not None while no namespace is joined
    joining_bytes: int = 0
    refused: int = 0  # namespaces
    _refused_before: int = 0  # before the last namespace was left

    def add(self, connection: NamespaceConnection) -> None:
        """Mark the session as joined."""
        self.connections[connection.namespace] = connection
        connection.session.set_joined()
        self.cancel_timer()

    def remove(self, session: EngineSession, namespace: str) -> None:
        """Remove a namespace that was left or refused. A session that has joined no other namespace is limited like a
        new one."""
        self.connections.pop(namespace, None)
        if self.connect_timer is None and not any(self.connections.values()) and not session.is_closed:
            session.set_unjoined()
            self.start_timer(session)

    def keep_leaving(self, connection: NamespaceConnection) -> None:
        """Count the packets of a connection that was left, until its handler ends."""
        if connection not in self.leaving:
            self.leaving = (*self.leaving, connection)

    def end_leaving(self, connection: NamespaceConnection) -> None:
        self.leaving = tuple(one for one in self.leaving if one is not connection)

    def start_timer(self, session: EngineSession) -> None:
        """Close the session after `connect_timeout` unless it joins a namespace."""
        loop = asyncio.get_running_loop()
        self._refused_before = self.refused
        self.connect_timer = loop.call_later(self.connect_timeout, session.close, close_reasons.NO_PONG)

    @property
    def is_refused_too_often(self) -> bool:
        """True if the session has not joined a namespace, and MAX_NAMESPACES were refused."""
        return self.connect_timer is not None and self.refused - self._refused_before >= MAX_NAMESPACES

    @property
    def is_full(self) -> bool:
        """True if the queue of a namespace is full, or if the queued packets and those in progress of all namespaces
        together have too many bytes, including namespaces that are being joined."""
        connections = [one for one in (*self.connections.values(), *self.leaving) if one is not None]
        queues = [one.pending for one in connections if one.pending is not None]
        is_any_full = any(queue.is_full for queue in queues)
        held_bytes = self.joining_bytes + sum(queue.held_bytes for queue in queues)
        return is_any_full or 0 < MAX_HELD_PAYLOADS * self.max_payload < held_bytes

    def cancel_timer(self) -> None:
        if self.connect_timer is not None:
            self.connect_timer.cancel()
            self.connect_timer = None


class SocketIOLayer(Struct, eq=False):
    config: SocketIOConfig
    namespaces: Namespaces
    spawn: Spawn

    def on_open(self, session: EngineSession) -> None:
        state = session.app_state = SocketIOState(
            PacketReader(self.config.max_payload), self.config.max_payload, self.config.connect_timeout
        )
        state.start_timer(session)

    def on_message(self, session: EngineSession, message: str | bytes) -> None:
        """Handle a message. An invalid one closes the session."""
        state: SocketIOState = session.app_state
        if state.connect_timer is not None and message[:1] != str(protocol.CONNECT):
            session.close(UNREADABLE)
            return
        try:
            packet = state.reader.read(message)
            if packet is None:
                return
            if packet.type == protocol.CONNECT:
                self._connect(session, packet, state.connections)
                return
            connection = state.connections.get(packet.namespace)
            if connection is None:
                session.close(UNREADABLE)
                return
            match packet.type:
                case protocol.DISCONNECT:
                    state.remove(session, packet.namespace)
                    connection.close_reason = CLIENT_CLOSED
                    connection.disconnected()
                case protocol.ACK:
                    connection.on_ack(packet.id, packet.data)
                case _:
                    self.namespaces.receive(connection, packet, state.reader.size)
        except InvalidPacket:
            session.close(UNREADABLE)

    def on_transport_changed(self, session: EngineSession) -> None:
        for connection in _connections(session):
            if connection.phase is not Phase.CLOSED:
                connection.attach_transport()

    def on_buffer_full(self, session: EngineSession) -> None:
        """Pause the replays, and limit the other output. Without a replay, the client is too slow: close the connection,
        which the client resumes from its position."""
        connections = _connections(session)
        if not any(connection.phase is Phase.REPLAYING for connection in connections):
            session.close(close_reasons.TOO_SLOW)
            return
        for connection in connections:
            connection.pause_writing()

    def on_buffer_drained(self, session: EngineSession) -> None:
        for connection in _connections(session):
            connection.resume_writing()

    def on_close(self, session: EngineSession) -> None:
        state = session.app_state
        if state is not None:
            state.cancel_timer()
            for connection in _connections(session):
                connection.close_reason = connection.close_reason or session.close_reason
                connection.disconnected()
            state.connections.clear()

    def _connect(
        self, session: EngineSession, packet: Packet, connections: dict[str, NamespaceConnection | None]
    ) -> None:
        if packet.namespace in connections:
            raise InvalidPacket("A CONNECT arrived for a namespace that is joined.")
        if not self.namespaces.app.has_namespace(packet.namespace):
            _send_connect_error(session, packet.namespace, "Invalid namespace")
        elif len(connections) + len(session.app_state.leaving) >= MAX_NAMESPACES:
            _send_connect_error(session, packet.namespace, "Too many namespaces", {"code": "too_many"}, "too_many")
        elif isinstance(packet.data, str):
            _send_connect_error(session, packet.namespace, "auth must be an object: `auth: { token }`", code="invalid")
        else:
            connections[packet.namespace] = None
            connection = self.namespaces.create_connection(session, packet.namespace)
            size = session.app_state.reader.size
            session.app_state.joining_bytes += size
            if session.app_state.is_full:
                session.transport.transport.pause_reading()
            self.spawn(self._start(connection, packet.data or {}, size))

    async def _start(self, connection: NamespaceConnection, auth: dict[str, Any], size: int) -> None:
        """Join a namespace. `size` is the size of the CONNECT packet, which counts towards the limit until then."""
        session, state = connection.session, connection.session.app_state
        try:
            # Otherwise the output for a client that joins and leaves, but reads nothing, would have no limit.
            await session.wait_drained()
            if not session.is_closed:
                await guarded_start(connection, self.namespaces.join(connection, auth), partial(_refuse, connection))
        finally:
            was_full = state.is_full
            state.joining_bytes -= size
            if was_full:
                connection.resume_reading()


def _refuse(connection: NamespaceConnection, error: BellcastError) -> None:
    """Send CONNECT_ERROR, after which clients wait for their app; a temporary error closes the session instead, after
    which clients reconnect automatically."""
    session, namespace, principal = connection.session, connection.namespace, connection.principal
    connection.disconnected()
    if isinstance(error, RejectedByApp):
        _send_connect_error(session, namespace, error.detail, error.data, principal=principal)
    elif error.is_server_error and error.status != HandlerFailed.status:
        if not session.is_closed:
            _log_refusal(session, namespace, error.code, principal)
        session.close(close_reasons.UNAVAILABLE)
    else:
        wait = {} if error.retry_after is None else {"retry_after": error.retry_after}
        data = {"code": error.code, **wait}
        _send_connect_error(session, namespace, error.detail, data, error.code, principal)


def _connections(session: EngineSession) -> list[NamespaceConnection]:
    return [connection for connection in session.app_state.connections.values() if connection is not None]


def _send_connect_error(
    session: EngineSession,
    namespace: str,
    message: str,
    data: Any = None,
    code: str | None = None,
    principal: Principal = ANONYMOUS,
) -> None:
    """Send CONNECT_ERROR with an object: JavaScript clients do not show a plain string."""
    if session.is_closed:
        return
    state: SocketIOState = session.app_state
    state.remove(session, namespace)
    if state.is_refused_too_often:
        session.close(close_reasons.TOO_FAST)
        return
    if session.is_buffer_full:
        session.close(close_reasons.TOO_SLOW)
        return
    _log_refusal(session, namespace, message if code is None else code, principal)
    payload = {"message": message} if data is None else {"message": message, "data": data}
    session.send_packet(protocol.encode(Packet(protocol.CONNECT_ERROR, namespace, payload))[0])


def _log_refusal(session: EngineSession, namespace: str, reason: str, principal: Principal) -> None:
    state: SocketIOState = session.app_state
    state.refused += 1
    is_fed = state.refused <= MAX_REFUSED_EVENTS
    session.sessions.callbacks.namespace_refused(session, namespace, reason, principal, is_fed=is_fed)
