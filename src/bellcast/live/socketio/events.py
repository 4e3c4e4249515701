"""Client events of a namespace, executed in order and acknowledged: app handlers first, then built-in events."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import structlog

from bellcast import calls
from bellcast.auth.permissions import Grant
from bellcast.calls import Call, CallBackend
from bellcast.errors import BellcastError, Forbidden, HandlerFailed, Invalid, NoHandler
from bellcast.live.config import Spawn
from bellcast.live.connection.connection import Phase
from bellcast.live.connection.inbound_queue import InboundQueue
from bellcast.live.hub.hub import Hub
from bellcast.live.native import protocol
from bellcast.live.native.app_callbacks import CLOSED_BY_APP, RESTART_BY_APP
from bellcast.live.native.commands import Commands
from bellcast.live.socketio.joined_topics import JoinedTopics
from bellcast.live.socketio.namespace_connection import NamespaceConnection
from bellcast.live.socketio.protocol.packets import Packet
from bellcast.model import validation
from bellcast.model.decode_errors import field_error
from bellcast.model.events import LiveEvent
from bellcast.ports import Broker

log = structlog.get_logger(__name__)

# What a client may ask without a handler of the app's, and the field a bare argument stands for.
BUILTIN_EVENTS = {
    "subscribe": "topics",
    "unsubscribe": "topics",
    "seen": "ids",
    "read": "ids",
    "unread": "ids",
    "archive": "ids",
    "unarchive": "ids",
    "delete": "ids",
    "publish": "",
    "typing": "",
    "auth": "token",
    "ping": "",
}
LISTS = ("topics", "ids")
# A client put out of its last namespace closes the pipe itself. Closed with the same words, JavaScript's reads the close
# first and comes back.
HANG_UP_SECONDS = 1


class SocketIOCallContext:
    """A calls.CallPort for one member. Events emitted before it has joined are queued in `pending_frames`."""

    def __init__(self, broker: Broker, hub: Hub, rooms: JoinedTopics, member: NamespaceConnection) -> None:
        self._broker = broker
        self._hub = hub
        self._joined_topics = rooms
        self._member = member
        self.pending_frames: list[tuple[str, tuple[Any, ...]]] | None = [] if member.phase is Phase.OPENING else None
        self.pending_topics: list[str] = []
        self.close_reason: Callable[[], None] | None = None  # how the caller is let go, once it has been answered

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        """Send an event to the caller, including binary data."""
        if self.pending_frames is not None:
            self.pending_frames.append((name, args))
        else:
            self._member.emit(name, args)

    async def publish(self, topic: str, name: str, data: Any) -> None:
        """Publish to the subscribers of a topic of the caller's tenant, in any dialect."""
        validation.check(validation.data("data", data, 0))  # raise in the handler if the broker cannot carry it
        tenant = self._member.principal.tenant
        await self._broker.publish(LiveEvent(tenant=tenant, name=name, data=data, topic=topic))

    async def ask(self, name: str, args: tuple[Any, ...], timeout: float) -> Any:  # noqa: ASYNC109 - the port's
        """Emit and wait for the ack: its one argument, a list of several, or None."""
        if self.pending_frames is not None:
            raise HandlerFailed("A client is asked once it is in: not by its own `connect` handler.")
        id, answer = self._member.ask(name, args)
        try:
            async with asyncio.timeout(timeout):
                said = await answer
        finally:
            self._member.cancel_ask(id)
        return said if len(said) > 1 else next(iter(said), None)

    async def join(self, topic: str) -> None:
        """Subscribe the member to a topic. The app's call is the authorization."""
        if self.pending_frames is not None:
            self.pending_topics.append(topic)
        elif self._member.phase is not Phase.CLOSED:
            self._hub.follow(self._member, {topic: Grant.APP})
            await self._joined_topics.follow(self._member, (topic,), by_app=True)

    async def leave(self, topic: str) -> None:
        """Unsubscribe the member from the topic."""
        self.pending_topics = [one for one in self.pending_topics if one != topic]
        self._hub.unfollow(self._member, (topic,))
        await self._joined_topics.unfollow(self._member, (topic,))

    async def disconnect(self) -> None:
        """Disconnect the member from its namespace; the session and other namespaces stay."""
        self.close_reason = partial(self._hub.end, self._member, CLOSED_BY_APP)

    async def close(self, *, reconnect: bool) -> None:
        """Request that the session is closed."""
        self.close_reason = (
            partial(self._member.session.close_by_client, RESTART_BY_APP) if reconnect else self._close_session
        )

    def close_if_requested(self) -> None:
        """Disconnect the caller if the handler requested it. The reply is sent before the next event loop iteration."""
        if self.close_reason is not None:
            asyncio.get_running_loop().call_soon(self.close_reason)

    def _close_session(self) -> None:
        """A client that shall not come back is put out of every namespace first, and then hangs up."""
        pipe = self._member.session
        for member in list(pipe.app_state.members.values()):
            if member is not None:
                self._hub.end(member, CLOSED_BY_APP)
        asyncio.get_running_loop().call_later(HANG_UP_SECONDS, pipe.close_by_client, RESTART_BY_APP)


class EventDispatcher:
    """Executes and acknowledges client events."""

    def __init__(
        self, app: CallBackend, commands: Commands, broker: Broker, hub: Hub, rooms: JoinedTopics, spawn: Spawn
    ) -> None:
        self.app = app
        self.joined_topics = rooms
        self._commands = commands
        self._broker = broker
        self._hub = hub
        self._queue = InboundQueue(self._respond, spawn)

    def context_for(self, member: NamespaceConnection) -> SocketIOCallContext:
        """Return the call context of a member."""
        return SocketIOCallContext(self._broker, self._hub, self.joined_topics, member)

    def call(self, port: SocketIOCallContext, member: NamespaceConnection, name: str, args: list[Any]) -> Call:
        """Create a call by a member."""
        principal = member.principal
        return Call(
            port,
            name,
            args,
            recipient=principal.recipient,
            connection=member.id,
            dialect=member.dialect.protocol,
            tenant=principal.tenant,
            roles=principal.roles or (),
            namespace=member.namespace,
        )

    def receive(self, member: NamespaceConnection, packet: Packet) -> None:
        """Enqueue an event; events of a member are executed in order."""
        self._queue.enqueue(member, packet)

    async def _respond(self, member: NamespaceConnection, packet: Packet) -> None:
        name, *args = packet.data
        try:
            said = _ack(await self._reply(member, str(name), args, packet.attachments))
        except calls.Refused as refused:
            said = [_error(Forbidden.code, refused.message, data=refused.data)]
        except NoHandler as refusal:
            said = [_error(refusal.code, refusal.detail)]
            if packet.id is None:
                return  # an event nobody handles is no error
        except BellcastError as refusal:
            said = [_error(refusal.code, refusal.detail)]
        except Exception:
            log.exception("event failed", name=name)
            said = [_error(BellcastError.code, BellcastError().detail)]
        self._handle(member, packet, said)

    def _handle(self, member: NamespaceConnection, packet: Packet, said: list[Any]) -> None:
        """Acknowledge if the client requested it; otherwise send only errors, as an event."""
        try:
            if packet.id is not None:
                member.acknowledge(packet.id, said)
            elif said and isinstance(said[0], ErrorReply):
                member.emit("error", ({**said[0]["error"], "event": packet.data[0]},))
        except (ValueError, TypeError) as failure:  # more than ten binary values, or what no JSON can say
            log.warning("answer cannot be sent", name=packet.data[0], why=str(failure))

    async def _reply(self, member: NamespaceConnection, name: str, args: list[Any], attachments: int) -> Any:
        validation.check_event(name, None, self._commands.limits)
        if self.app.has(name) and name not in (calls.CONNECT, calls.DISCONNECT):
            port = self.context_for(member)
            try:
                return await self.app.dispatch(self.call(port, member, name, args))
            except NoHandler:
                if name not in BUILTIN_EVENTS:
                    raise
            finally:
                port.close_if_requested()
        elif name not in BUILTIN_EVENTS:
            raise NoHandler(f"No handler answers {name!r}.")
        if attachments:
            raise Invalid(f"{name!r} takes JSON only: send no binary values.")
        done = await self._commands.perform(member, _command(name, args))
        match name:
            case "ping":
                member.emit("pong", ())
            case "subscribe":
                await self.joined_topics.follow(member, done.fields["topics"], by_app=False)
            case "unsubscribe":
                await self.joined_topics.unfollow(member, done.fields["topics"])
        return done.fields


class ErrorReply(dict[str, Any]):
    """An error response."""


def _error(code: str, message: str, **more: Any) -> ErrorReply:
    told = {name: value for name, value in more.items() if value is not None}
    return ErrorReply(error={"code": code, "message": message, **told})


def _ack(reply: Any) -> list[Any]:
    """Return a reply as ack arguments: none for None, several for a tuple."""
    if reply is None:
        return []
    return list(reply) if isinstance(reply, tuple) else [reply]


def _command(name: str, args: list[Any]) -> protocol.AnyCommand:
    """One of our own words: its fields in an object, or the one that matters bare."""
    said, field = args[0] if args else {}, BUILTIN_EVENTS[name]
    if not isinstance(said, dict):
        listed = [said] if field in LISTS and isinstance(said, str) else said
        said = {field: listed} if field else {}
    try:
        command: protocol.AnyCommand = msgspec.convert({**said, "type": name}, protocol.AnyCommand)
    except msgspec.ValidationError as problem:
        raise Invalid.fields([field_error(problem)]) from None
    return command
