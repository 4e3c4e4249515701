"""Socket.IO on a pipe: whose packet it is, and what closes everything."""

import asyncio
from typing import Any

import structlog

from bellcast import calls
from bellcast.errors import BellcastError
from bellcast.live import reasons
from bellcast.live.connection import Phase
from bellcast.live.protocols.socketio import packets
from bellcast.live.protocols.socketio.engineio import Broken
from bellcast.live.protocols.socketio.packets import Packet, Reader
from bellcast.live.rules import SocketIO, Spawn
from bellcast.live.sessions.engineio import LEFT, UNREADABLE, Pipe
from bellcast.live.sessions.socketio.asking import Asking
from bellcast.live.sessions.socketio.joining import Joining
from bellcast.live.sessions.socketio.member import Member

log = structlog.get_logger(__name__)

# Namespaces of one pipe; apps have a handful.
MOST_NAMESPACES = 100


class Talk:
    """What is known of one pipe: who is in which namespace (None: on the way in)."""

    __slots__ = ("members", "patience", "reader")

    def __init__(self, max_payload: int, patience: asyncio.TimerHandle) -> None:
        self.reader = Reader(max_payload)
        self.members: dict[str, Member | None] = {}
        self.patience: asyncio.TimerHandle | None = patience

    def enter(self, member: Member) -> None:
        """Somebody is in: the pipe is not idle, and never will be again."""
        self.members[member.namespace] = member
        member.pipe.set_joined()
        self.calm()

    def calm(self) -> None:
        """Nobody waits for a namespace to be joined any more."""
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None


class Talks:
    """The upper layer of every pipe."""

    def __init__(self, settings: SocketIO, joining: Joining, asking: Asking, spawn: Spawn) -> None:
        self._settings = settings
        self._joining = joining
        self._asking = asking
        self._spawn = spawn

    def opened(self, pipe: Pipe) -> None:
        """A pipe must join a namespace in time."""
        loop = asyncio.get_running_loop()
        patience = loop.call_later(self._settings.connect_timeout, pipe.end, reasons.NO_PONG)
        pipe.talk = Talk(self._settings.max_payload, patience)

    def heard(self, pipe: Pipe, message: str | bytes) -> None:
        """One message; what cannot be read ends the pipe."""
        try:
            packet = pipe.talk.reader.read(message)
            if packet is not None:
                self._take(pipe, packet)
        except Broken:
            pipe.end(UNREADABLE)

    def moved(self, pipe: Pipe) -> None:
        for member in _members(pipe):
            if member.phase is not Phase.ENDED:
                member.take_link()

    def full(self, pipe: Pipe) -> None:
        """A replay waits; live members of a reader this slow are let go, to come back by their position."""
        replaying = [member for member in _members(pipe) if member.phase is Phase.REPLAYING]
        for member in replaying:
            member.pause_writing()
        if not replaying:
            pipe.end(reasons.TOO_SLOW)

    def drained(self, pipe: Pipe) -> None:
        for member in _members(pipe):
            member.resume_writing()

    def closed(self, pipe: Pipe) -> None:
        talk = pipe.talk
        if talk is not None:
            talk.calm()
            for member in _members(pipe):
                member.close_reason = member.close_reason or pipe.close_reason
                member.gone()
            talk.members.clear()

    def _take(self, pipe: Pipe, packet: Packet) -> None:
        members: dict[str, Member | None] = pipe.talk.members
        if packet.type == packets.CONNECT:
            self._connect(pipe, packet, members)
            return
        member = members.get(packet.namespace)
        if member is None:
            raise Broken("A packet came for a namespace that is not joined.")
        match packet.type:
            case packets.DISCONNECT:
                del members[packet.namespace]
                member.close_reason = LEFT
                member.gone()
            case packets.ACK:
                member.answered(packet.id, packet.data)
            case _:
                self._asking.receive(member, packet)

    def _connect(self, pipe: Pipe, packet: Packet, members: dict[str, Member | None]) -> None:
        if packet.namespace in members:
            raise Broken("A CONNECT came for a namespace that is joined.")
        if not self._asking.app.has_namespace(packet.namespace):
            _refuse(pipe, packet.namespace, "Invalid namespace")
        elif len(members) >= MOST_NAMESPACES:
            _refuse(pipe, packet.namespace, "Too many namespaces", {"code": "too_many"}, "too_many")
        else:
            members[packet.namespace] = None
            self._spawn(self._join(pipe, packet.namespace, packet.data or {}))

    async def _join(self, pipe: Pipe, namespace: str, auth: dict[str, Any]) -> None:
        try:
            await self._joining.join(pipe, namespace, auth)
        except calls.Refused as refused:
            _refuse(pipe, namespace, refused.message, refused.data)
        except BellcastError as refusal:
            self._turn_away(pipe, namespace, refusal)
        except Exception:
            log.exception("a namespace could not be joined", namespace=namespace)
            self._turn_away(pipe, namespace, BellcastError())

    def _turn_away(self, pipe: Pipe, namespace: str, refusal: BellcastError) -> None:
        """A refusal is told, and clients stay away until their app tries again; what passes by itself closes the
        transport instead, since then they come back by themselves."""
        if refusal.status >= 500 and refusal.status != 502:
            pipe.end(reasons.UNAVAILABLE)
            return
        wait = {} if refusal.retry_after is None else {"retry_after": refusal.retry_after}
        _refuse(pipe, namespace, refusal.detail, {"code": refusal.code, **wait}, refusal.code)


def _members(pipe: Pipe) -> list[Member]:
    return [member for member in pipe.talk.members.values() if member is not None]


def _refuse(pipe: Pipe, namespace: str, message: str, data: Any = None, code: str | None = None) -> None:
    """CONNECT_ERROR is always an object: of a bare text JavaScript's clients show nothing."""
    if pipe.over:
        return
    pipe.talk.members.pop(namespace, None)
    pipe.log_refusal(namespace, message if code is None else code)
    said = {"message": message} if data is None else {"message": message, "data": data}
    pipe.send(*packets.written(Packet(packets.CONNECT_ERROR, namespace, said)))
