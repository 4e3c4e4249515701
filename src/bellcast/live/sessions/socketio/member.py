"""A client in one namespace: the connection the hub knows. Several may share one pipe."""

import asyncio
from typing import Any

from bellcast.live.connection import NOWHERE, Connection, Phase
from bellcast.live.protocols.socketio import dialect, packets
from bellcast.live.protocols.socketio.packets import ACK, EVENT, Packet
from bellcast.live.reasons import Close
from bellcast.live.sessions.engineio import Pipe
from bellcast.model.inboxes import Position


class Member(Connection):
    """Written to over whatever link its pipe has. `id` is what others know it by; the pipe's own is a secret."""

    __slots__ = ("_answers", "_asked", "namespace", "pipe", "resumable", "rooms")

    def __init__(self, *args: Any, pipe: Pipe, namespace: str) -> None:
        super().__init__(*args)
        self.pipe = pipe
        self.namespace = namespace
        self.resumable = False
        self.rooms: dict[str, bool] | None = None  # topics it joined; whether by the app's word
        self._asked = 0
        self._answers: dict[int, asyncio.Future[list[Any]]] | None = None

    def settle(self, unsent: int, *, resumable: bool) -> None:
        """Write over the pipe from here on."""
        self.unsent = unsent
        self.resumable = resumable
        self.take_link()

    def take_link(self) -> None:
        """The pipe has another link."""
        link = self.pipe.link
        self.dialect = dialect.of(self.namespace, link.form, resumable=self.resumable)
        self.outlet, self.sock = link.outlet, link.sock
        if self.phase is Phase.REPLAYING:
            self.begin_replay()
        else:
            self.write = link.outlet.write
            self._bound(self.unsent)

    # --- what it is told

    def emit(self, name: str, args: tuple[Any, ...], id: int | None = None) -> None:
        """An event of its own. What may be resumed ends in the position, unless an ack stands last already."""
        placed = (self.position.text,) if self.resumable and id is None else ()
        self._send(Packet(EVENT, self.namespace, [name, *args, *placed], id))

    def acknowledge(self, id: int, args: list[Any]) -> None:
        """Answer an event of the client's."""
        self._send(Packet(ACK, self.namespace, args, id))

    @property
    def position(self) -> Position:
        """Where it is in its inbox."""
        return Position(self.epoch, self.revision)

    def _send(self, packet: Packet) -> None:
        if self.phase is not Phase.ENDED:
            self.wrote_at = self.keeper.tick
            self.pipe.send(*packets.written(packet))

    # --- what it is asked

    def ask(self, name: str, args: tuple[Any, ...]) -> tuple[int, "asyncio.Future[list[Any]]"]:
        """Emit with an id; the future has the arguments of the ack."""
        if self._answers is None:
            self._answers = {}
        id, self._asked = self._asked, self._asked + 1
        answer = self._answers[id] = asyncio.get_running_loop().create_future()
        self.emit(name, args, id)
        return id, answer

    def answered(self, id: int | None, args: list[Any]) -> None:
        """An ack came; one that nobody waits for is passed over."""
        answer = self._answers.pop(id, None) if self._answers and id is not None else None
        if answer is not None and not answer.done():
            answer.set_result(args)

    def stop_asking(self, id: int) -> None:
        """Nobody waits for that ack any more."""
        if self._answers is not None:
            self._answers.pop(id, None)

    # --- its end

    def finish(self, end: Close) -> None:
        """Closing the transport brings a client back; a DISCONNECT keeps it away."""
        if self.phase is Phase.ENDED:
            return
        self.close_reason = end
        if end.reconnect:
            self.pipe.leave(end)
        else:
            self.outlet.write(self.dialect.close(end))
            self.pipe.talk.members.pop(self.namespace, None)
        self.gone()

    def gone(self) -> None:
        """It has left, or its pipe has. Safe to call twice."""
        self.phase = Phase.ENDED
        self._wake()
        self.keeper.lost(self)
        self.sock = None  # the pipe's, which lets it go
        self.outlet, self.write = NOWHERE, NOWHERE.write
        answers, self._answers = self._answers, None
        for answer in (answers or {}).values():
            if not answer.done():
                answer.set_exception(TimeoutError("The client has gone."))
