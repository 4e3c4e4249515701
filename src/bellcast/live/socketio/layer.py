"""Socket.IO on an Engine.IO session: dispatches packets to namespaces and closes sessions."""

import asyncio
from functools import partial
from typing import Any

from bellcast.errors import BellcastError, HandlerFailed
from bellcast.live.admission import guarded_start
from bellcast.live.config import SocketIOConfig, Spawn
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import RejectedByApp
from bellcast.live.connection.connection import Phase
from bellcast.live.socketio.engine_session import CLIENT_CLOSED, UNREADABLE, EngineSession
from bellcast.live.socketio.events import EventDispatcher
from bellcast.live.socketio.namespace_connection import NamespaceConnection
from bellcast.live.socketio.namespace_handshake import NamespaceHandshake
from bellcast.live.socketio.protocol import packets
from bellcast.live.socketio.protocol.engineio import InvalidPacket
from bellcast.live.socketio.protocol.packets import Packet, PacketReader

# Namespaces of one pipe; apps have a handful.
MAX_NAMESPACES = 100


class SocketIOState:
    """State of one session: its member per namespace (None while joining)."""

    __slots__ = ("connect_timer", "members", "reader")

    def __init__(self, max_payload: int, patience: asyncio.TimerHandle) -> None:
        self.reader = PacketReader(max_payload)
        self.members: dict[str, NamespaceConnection | None] = {}
        self.connect_timer: asyncio.TimerHandle | None = patience

    def add(self, member: NamespaceConnection) -> None:
        """Mark the session as joined, permanently."""
        self.members[member.namespace] = member
        member.session.set_joined()
        self.cancel_timer()

    def cancel_timer(self) -> None:
        """Cancel the timeout for joining a namespace."""
        if self.connect_timer is not None:
            self.connect_timer.cancel()
            self.connect_timer = None


class SocketIOLayer:
    """The Socket.IO layer of all sessions."""

    def __init__(
        self, settings: SocketIOConfig, joining: NamespaceHandshake, asking: EventDispatcher, spawn: Spawn
    ) -> None:
        self._settings = settings
        self._handshake = joining
        self._dispatcher = asking
        self._spawn = spawn

    def on_open(self, pipe: EngineSession) -> None:
        """Start the timeout for joining a namespace."""
        loop = asyncio.get_running_loop()
        patience = loop.call_later(self._settings.connect_timeout, pipe.close, close_reasons.NO_PONG)
        pipe.app_state = SocketIOState(self._settings.max_payload, patience)

    def on_message(self, pipe: EngineSession, message: str | bytes) -> None:
        """Handle a message; an invalid one closes the session."""
        try:
            packet = pipe.app_state.reader.read(message)
            if packet is not None:
                self._handle(pipe, packet)
        except InvalidPacket:
            pipe.close(UNREADABLE)

    def on_transport_changed(self, pipe: EngineSession) -> None:
        for member in _members(pipe):
            if member.phase is not Phase.CLOSED:
                member.attach_transport()

    def on_buffer_full(self, pipe: EngineSession) -> None:
        """Pause replays; live members of such a slow client are closed and resume from their position."""
        replaying = [member for member in _members(pipe) if member.phase is Phase.REPLAYING]
        for member in replaying:
            member.pause_writing()
        if not replaying:
            pipe.close(close_reasons.TOO_SLOW)

    def on_buffer_drained(self, pipe: EngineSession) -> None:
        for member in _members(pipe):
            member.resume_writing()

    def on_close(self, pipe: EngineSession) -> None:
        talk = pipe.app_state
        if talk is not None:
            talk.cancel_timer()
            for member in _members(pipe):
                member.close_reason = member.close_reason or pipe.close_reason
                member.disconnected()
            talk.members.clear()

    def _handle(self, pipe: EngineSession, packet: Packet) -> None:
        members: dict[str, NamespaceConnection | None] = pipe.app_state.members
        if packet.type == packets.CONNECT:
            self._connect(pipe, packet, members)
            return
        member = members.get(packet.namespace)
        if member is None:
            raise InvalidPacket("A packet came for a namespace that is not joined.")
        match packet.type:
            case packets.DISCONNECT:
                del members[packet.namespace]
                member.close_reason = CLIENT_CLOSED
                member.disconnected()
            case packets.ACK:
                member.on_ack(packet.id, packet.data)
            case _:
                self._dispatcher.receive(member, packet)

    def _connect(self, pipe: EngineSession, packet: Packet, members: dict[str, NamespaceConnection | None]) -> None:
        if packet.namespace in members:
            raise InvalidPacket("A CONNECT came for a namespace that is joined.")
        if not self._dispatcher.app.has_namespace(packet.namespace):
            _send_connect_error(pipe, packet.namespace, "Invalid namespace")
        elif len(members) >= MAX_NAMESPACES:
            _send_connect_error(pipe, packet.namespace, "Too many namespaces", {"code": "too_many"}, "too_many")
        else:
            members[packet.namespace] = None
            self._spawn(self._start(self._handshake.create_connection(pipe, packet.namespace), packet.data or {}))

    async def _start(self, connection: NamespaceConnection, auth: dict[str, Any]) -> None:
        await guarded_start(connection, self._handshake.join(connection, auth), partial(_refuse, connection))


def _refuse(connection: NamespaceConnection, error: BellcastError) -> None:
    """Send CONNECT_ERROR, after which clients wait for their app; a temporary error closes the session instead, after
    which clients reconnect automatically."""
    session, namespace = connection.session, connection.namespace
    connection.disconnected()
    if isinstance(error, RejectedByApp):
        _send_connect_error(session, namespace, error.detail, error.data)
    elif error.status >= 500 and error.status != HandlerFailed.status:
        session.close(close_reasons.UNAVAILABLE)
    else:
        wait = {} if error.retry_after is None else {"retry_after": error.retry_after}
        _send_connect_error(session, namespace, error.detail, {"code": error.code, **wait}, error.code)


def _members(pipe: EngineSession) -> list[NamespaceConnection]:
    return [member for member in pipe.app_state.members.values() if member is not None]


def _send_connect_error(
    pipe: EngineSession, namespace: str, message: str, data: Any = None, code: str | None = None
) -> None:
    """Encode CONNECT_ERROR, always an object: JavaScript clients show nothing of a plain string."""
    if pipe.is_closed:
        return
    pipe.app_state.members.pop(namespace, None)
    pipe.log_refusal(namespace, message if code is None else code)
    said = {"message": message} if data is None else {"message": message, "data": data}
    pipe.send(*packets.encode(Packet(packets.CONNECT_ERROR, namespace, said)))
