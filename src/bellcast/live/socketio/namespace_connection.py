"""A client in one namespace, a hub connection. Several may share one session."""

import asyncio
from typing import Any

from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import NULL_TRANSPORT, Connection, Phase
from bellcast.live.socketio.engine_session import EngineSession
from bellcast.live.socketio.protocol import dialect, packets
from bellcast.live.socketio.protocol.packets import ACK, EVENT, Packet
from bellcast.model.inboxes import Position


class NamespaceConnection(Connection):
    """Written to over whatever link its pipe has. `id` is what others know it by; the pipe's own is a secret."""

    __slots__ = ("_last_ack_id", "_pending_acks", "joined_topics", "namespace", "resumable", "session")

    def __init__(self, *args: Any, pipe: EngineSession, namespace: str) -> None:
        super().__init__(*args)
        self.session = pipe
        self.namespace = namespace
        self.resumable = False
        self.joined_topics: dict[str, bool] | None = None  # topics it joined; whether by the app's word
        self._last_ack_id = 0
        self._pending_acks: dict[int, asyncio.Future[list[Any]]] | None = None

    def activate(self, unsent: int, *, resumable: bool) -> None:
        """Write to the session from now on."""
        self.max_unsent = unsent
        self.resumable = resumable
        self.attach_transport()

    def attach_transport(self) -> None:
        """Handle a change of the session's transport."""
        link = self.session.transport
        self.dialect = dialect.dialect_for(self.namespace, link.encoding, resumable=self.resumable)
        self.transport, self.sock = link.transport, link.sock
        if self.phase is Phase.REPLAYING:
            self._limit_replay()
        else:
            self.write = link.transport.write
            self._set_high_water(self.max_unsent)

    # --- outbound

    def emit(self, name: str, args: tuple[Any, ...], id: int | None = None) -> None:
        """An event of its own. What may be resumed ends in the position, unless an ack stands last already."""
        placed = (self.position.text,) if self.resumable and id is None else ()
        self._send(Packet(EVENT, self.namespace, [name, *args, *placed], id))

    def acknowledge(self, id: int, args: list[Any]) -> None:
        """Acknowledge a client's event."""
        self._send(Packet(ACK, self.namespace, args, id))

    @property
    def position(self) -> Position:
        """The member's inbox position."""
        return Position(self.epoch, self.revision)

    def _send(self, packet: Packet) -> None:
        if self.phase is not Phase.CLOSED:
            self.last_sent_tick = self.owner.tick
            self.session.send(*packets.encode(packet))

    # --- calls to the client

    def ask(self, name: str, args: tuple[Any, ...]) -> tuple[int, "asyncio.Future[list[Any]]"]:
        """Emit with an id; the future has the arguments of the ack."""
        if self._pending_acks is None:
            self._pending_acks = {}
        id, self._last_ack_id = self._last_ack_id, self._last_ack_id + 1
        answer = self._pending_acks[id] = asyncio.get_running_loop().create_future()
        self.emit(name, args, id)
        return id, answer

    def on_ack(self, id: int | None, args: list[Any]) -> None:
        """Handle an ack; one without a pending call is ignored."""
        answer = self._pending_acks.pop(id, None) if self._pending_acks and id is not None else None
        if answer is not None and not answer.done():
            answer.set_result(args)

    def cancel_ask(self, id: int) -> None:
        """Discard a pending ack."""
        if self._pending_acks is not None:
            self._pending_acks.pop(id, None)

    # --- close

    def close(self, end: CloseReason) -> None:
        """Closing the transport brings a client back; a DISCONNECT keeps it away."""
        if self.phase is Phase.CLOSED:
            return
        self.close_reason = end
        if end.reconnect:
            self.session.close_by_client(end)
        else:
            self.transport.write(self.dialect.close(end))
            self.session.app_state.members.pop(self.namespace, None)
        self.disconnected()

    def disconnected(self) -> None:
        """Handle the end of the member or its session. Safe to call twice."""
        if self.phase is not Phase.CLOSED:
            self.transition(Phase.CLOSED)
        self.owner.on_disconnected(self)
        self.sock = None  # the pipe's, which lets it go
        self.transport, self.write = NULL_TRANSPORT, NULL_TRANSPORT.write
        answers, self._pending_acks = self._pending_acks, None
        for answer in (answers or {}).values():
            if not answer.done():
                answer.set_exception(TimeoutError("The client has gone."))
