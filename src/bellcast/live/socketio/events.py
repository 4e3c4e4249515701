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
from bellcast.context import Context
from bellcast.kernel import validation
from bellcast.kernel.errors import BellcastError, Forbidden, HandlerFailed, Invalid, NoHandler
from bellcast.kernel.http.validation_errors import field_error
from bellcast.live.config import Spawn
from bellcast.live.connection.connection import Phase
from bellcast.live.connection.inbound_queue import InboundQueue
from bellcast.live.hub.hub import Hub
from bellcast.live.native import protocol
from bellcast.live.native.app_callbacks import CLOSED_BY_APP, RESTART_BY_APP
from bellcast.live.native.commands import Commands
from bellcast.live.socketio.joined_topics import ConnectionTopics
from bellcast.live.socketio.namespace_connection import NamespaceConnection
from bellcast.live.socketio.protocol.packets import Packet
from bellcast.live.sync import topic_replay
from bellcast.topics import publishing as live_events

log = structlog.get_logger(__name__)

# Events that need no handler, with the field that a bare argument sets.
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
# A client closes the session after it is disconnected from its last namespace. If the server closed the session
# immediately, the JavaScript client would process that close first, and reconnect.
CLOSE_DELAY_SECONDS = 1


class SocketIOCallContext:
    """A calls.CallContext for one connection. Events emitted before it has joined are queued in `pending_frames`, topics
    joined before it follows any in `pending_topics`."""

    def __init__(
        self, engines: Context, hub: Hub, joined_topics: ConnectionTopics, connection: NamespaceConnection
    ) -> None:
        self._engines = engines
        self._hub = hub
        self._joined_topics = joined_topics
        self._connection = connection
        self.pending_frames: list[tuple[str, tuple[Any, ...]]] | None = (
            [] if connection.phase is Phase.OPENING else None
        )
        self.pending_topics: list[str] | None = None if self.pending_frames is None else []
        self.close_reason: Callable[[], None] | None = None  # disconnects the caller after the reply

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        if self.pending_frames is not None:
            self.pending_frames.append((name, args))
        else:
            self._connection.emit(name, args)

    async def publish(self, topic: str, name: str, data: Any) -> None:
        """Publish to the subscribers of a topic of the caller's tenant, in any dialect."""
        await live_events.publish_from_handler(self._engines, self._connection.principal.tenant, topic, name, data)

    async def ask(self, name: str, args: tuple[Any, ...], timeout: float) -> Any:  # noqa: ASYNC109 - the port's
        """Emit and wait for the ack. Return its only argument, a list of several, or None."""
        if self.pending_frames is not None:
            raise HandlerFailed("The `connect` handler cannot call its own client, which has not joined yet.")
        id, ack = self._connection.ask(name, args)
        try:
            async with asyncio.timeout(timeout):
                reply = await ack
        finally:
            self._connection.cancel_ask(id)
        return reply if len(reply) > 1 else next(iter(reply), None)

    async def join(self, topic: str) -> None:
        """Subscribe the connection to a topic. The app's call authorizes it."""
        if self.pending_topics is not None:
            self.pending_topics.append(topic)
        elif self._connection.phase is not Phase.CLOSED:
            await topic_replay.confirm(self._hub, self._connection, (topic,))
            self._hub.subscriptions.follow(self._connection, {topic: Grant.APP})
            await self._joined_topics.follow(self._connection, (topic,), by_app=True)

    async def leave(self, topic: str) -> None:
        if self.pending_topics is not None:
            self.pending_topics = [one for one in self.pending_topics if one != topic]
        self._hub.subscriptions.unfollow(self._connection, (topic,))
        await self._joined_topics.unfollow(self._connection, (topic,))

    async def disconnect(self) -> None:
        self.close_reason = partial(self._hub.end, self._connection, CLOSED_BY_APP)

    async def close(self, *, reconnect: bool) -> None:
        self.close_reason = (
            partial(self._connection.session.close_by_client, RESTART_BY_APP) if reconnect else self._close_session
        )

    def close_if_requested(self) -> None:
        """Disconnect the caller if the handler requested it. The reply is sent before the next event loop iteration."""
        if self.close_reason is not None:
            asyncio.get_running_loop().call_soon(self.close_reason)

    def _close_session(self) -> None:
        """Disconnect every namespace first, so that the client does not reconnect, then close the session."""
        session = self._connection.session
        for connection in list(session.app_state.connections.values()):
            if connection is not None:
                self._hub.end(connection, CLOSED_BY_APP)
        asyncio.get_running_loop().call_later(CLOSE_DELAY_SECONDS, session.close_by_client, RESTART_BY_APP)


class EventDispatcher:
    def __init__(
        self,
        app: CallBackend,
        commands: Commands,
        engines: Context,
        hub: Hub,
        joined_topics: ConnectionTopics,
        spawn: Spawn,
        max_payload: int,
    ) -> None:
        self.app = app
        self.joined_topics = joined_topics
        self._commands = commands
        self._engines = engines
        self._hub = hub
        self._queue = InboundQueue(self._respond, spawn, max_payload)

    def context_for(self, connection: NamespaceConnection) -> SocketIOCallContext:
        return SocketIOCallContext(self._engines, self._hub, self.joined_topics, connection)

    def call(self, context: SocketIOCallContext, connection: NamespaceConnection, name: str, args: list[Any]) -> Call:
        principal = connection.principal
        return Call(
            context,
            name,
            args,
            recipient=principal.recipient,
            connection=connection.id,
            dialect=connection.dialect.protocol,
            tenant=principal.tenant,
            roles=principal.roles or (),
            namespace=connection.namespace,
        )

    def receive(self, connection: NamespaceConnection, packet: Packet, size: int) -> None:
        self._queue.enqueue(connection, packet, size)

    async def _respond(self, connection: NamespaceConnection, packet: Packet) -> None:
        name, *args = packet.data
        try:
            reply = _ack(await self._reply(connection, str(name), args, packet.attachments))
        except calls.Refused as refused:
            reply = [_error(Forbidden.code, refused.message, data=refused.data)]
        except NoHandler as error:
            reply = [_error(error.code, error.detail)]
            if packet.id is None:
                return  # an event without a handler is ignored
        except BellcastError as error:
            reply = [_error(error.code, error.detail)]
        except Exception:
            log.exception("event_failed", name=name)
            reply = [_error(BellcastError.code, BellcastError().detail)]
        # Acknowledge the event if the client requested it; otherwise send only errors, as an event
        try:
            if packet.id is not None:
                connection.acknowledge(packet.id, reply)
            elif reply and isinstance(reply[0], ErrorReply):
                connection.emit("error", ({**reply[0]["error"], "event": packet.data[0]},))
        # Too many binary values, or values that JSON cannot represent or that are nested too deeply.
        except (ValueError, TypeError, RecursionError) as failure:
            log.warning("reply_encode_failed", name=packet.data[0], reason=str(failure))

    async def _reply(self, connection: NamespaceConnection, name: str, args: list[Any], attachments: int) -> Any:
        validation.check_event(name, None, self._commands.limits)
        if self.app.has(name) and name not in (calls.CONNECT, calls.DISCONNECT):
            context = self.context_for(connection)
            try:
                return await self.app.dispatch(self.call(context, connection, name, args))
            except NoHandler:
                if name not in BUILTIN_EVENTS:
                    raise
            finally:
                context.close_if_requested()
        elif name not in BUILTIN_EVENTS:
            raise NoHandler(f"There is no handler for {name[:100]!r}.")
        if attachments:
            raise Invalid(f"{name[:100]!r} accepts only JSON: send no binary values.")
        ack = await self._commands.perform(connection, _command(name, args))
        match name:
            case "ping":
                connection.emit("pong", ())
            case "subscribe":
                await self.joined_topics.follow(connection, ack.fields["topics"], by_app=False)
            case "unsubscribe":
                await self.joined_topics.unfollow(connection, ack.fields["topics"])
        return ack.fields


class ErrorReply(dict[str, Any]):
    """An error response, to distinguish it from a reply of the app."""


def _error(code: str, message: str, **more: Any) -> ErrorReply:
    fields = {name: value for name, value in more.items() if value is not None}
    return ErrorReply(error={"code": code, "message": message, **fields})


def _ack(reply: Any) -> list[Any]:
    """Return a reply as ack arguments: none for None, several for a tuple."""
    if reply is None:
        return []
    return list(reply) if isinstance(reply, tuple) else [reply]


def _command(name: str, args: list[Any]) -> protocol.AnyCommand:
    """Decode a built-in event. Its argument is an object or the value of its main field."""
    reply, field = args[0] if args else {}, BUILTIN_EVENTS[name]
    if not isinstance(reply, dict):
        items = [reply] if field in LISTS and isinstance(reply, str) else reply
        reply = {field: items} if field else {}
    try:
        command: protocol.AnyCommand = msgspec.convert({**reply, "type": name}, protocol.AnyCommand)
    except msgspec.ValidationError as problem:
        raise Invalid.fields([field_error(problem)]) from None
    return command
