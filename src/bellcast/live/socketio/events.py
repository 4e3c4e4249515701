"""Client events of a namespace, executed in order and acknowledged: app handlers first, then built-in events."""

import asyncio
from typing import Any

import msgspec
import structlog

from bellcast import calls
from bellcast.calls import Call
from bellcast.engines import Engines
from bellcast.kernel import validation
from bellcast.kernel.errors import BellcastError, Forbidden, HandlerFailed, Invalid, NoHandler
from bellcast.kernel.http.validation_errors import field_error
from bellcast.live.connection.connection import Phase
from bellcast.live.connection.inbound_queue import InboundQueue
from bellcast.live.hub.hub import Hub
from bellcast.live.native import protocol
from bellcast.live.native.app_callbacks import CLOSED_BY_APP, RESTART_BY_APP, NativeCallContext, caller
from bellcast.live.native.commands import Commands
from bellcast.live.socketio.namespace_connection import ConnectionTopics, NamespaceConnection
from bellcast.live.socketio.protocol import Packet
from bellcast.live.wiring import LiveContext

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


class SocketIOCallContext(NativeCallContext):
    """A calls.CallContext for one connection. `pending_frames` are events with their arguments."""

    _connection: NamespaceConnection

    def __init__(
        self, engines: Engines, hub: Hub, joined_topics: ConnectionTopics, connection: NamespaceConnection
    ) -> None:
        super().__init__(engines, hub, connection)
        self._joined_topics = joined_topics
        self._ends_session = False

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        self._emit((name, args))

    def _emit(self, frame: tuple[str, tuple[Any, ...]]) -> None:
        if self.pending_frames is not None:
            self.pending_frames.append(frame)
        else:
            self._connection.emit(*frame)

    async def ask(self, name: str, args: tuple[Any, ...], timeout: float) -> Any:  # noqa: ASYNC109 - the port's
        """Emit and wait for the ack. Return its only argument, a list of several, or None."""
        if self.pending_frames is not None:
            raise HandlerFailed("The `connect` handler cannot call its own client, which has not joined yet.")
        async with asyncio.timeout(timeout):
            reply = await self._connection.ask(name, args)
        return reply if len(reply) > 1 else next(iter(reply), None)

    async def join(self, topic: str) -> None:
        is_joining = self.pending_topics is None and self._connection.phase is not Phase.CLOSED
        await super().join(topic)
        if is_joining:
            await self._joined_topics.follow(self._connection, (topic,), by_app=True)

    async def leave(self, topic: str) -> None:
        await super().leave(topic)
        await self._joined_topics.unfollow(self._connection, (topic,))

    async def disconnect(self) -> None:
        self.close_reason, self._ends_session = CLOSED_BY_APP, False

    async def close(self, *, reconnect: bool) -> None:
        await super().close(reconnect=reconnect)
        self._ends_session = True

    def close_if_requested(self) -> None:
        """Disconnect the caller if the handler requested it. The reply is sent before the next event loop iteration."""
        if not self._ends_session:
            super().close_if_requested()
        elif self.close_reason is RESTART_BY_APP:
            asyncio.get_running_loop().call_soon(self._connection.session.close_by_client, RESTART_BY_APP)
        else:
            asyncio.get_running_loop().call_soon(self._close_session)

    def _close_session(self) -> None:
        """Disconnect every namespace first, so that the client does not reconnect, then close the session."""
        session = self._connection.session
        for connection in list(session.app_state.connections.values()):
            if connection is not None:
                self._hub.end(connection, CLOSED_BY_APP)
        asyncio.get_running_loop().call_later(CLOSE_DELAY_SECONDS, session.close_by_client, RESTART_BY_APP)


class EventDispatcher:
    def __init__(self, live: LiveContext, commands: Commands, joined_topics: ConnectionTopics) -> None:
        self.app = live.app
        self.joined_topics = joined_topics
        self._commands = commands
        self._engines = live.engines
        self._hub = live.hub
        max_payload = live.settings["socketio"].max_payload
        queue = InboundQueue(self._respond, live.spawn, max_payload, commands.limits.frames_per_second)
        self.receive = queue.enqueue  # a packet of a connection, with its size

    def context_for(self, connection: NamespaceConnection) -> SocketIOCallContext:
        return SocketIOCallContext(self._engines, self._hub, self.joined_topics, connection)

    async def _respond(self, connection: NamespaceConnection, packet: Packet) -> None:
        name, *args = packet.data
        reply: Any = None
        refusal: dict[str, Any] | None = None
        try:
            reply = await self._reply(connection, str(name), args, packet.attachments)
        except calls.Refused as refused:
            refusal = {"code": Forbidden.code, "message": refused.message}
            if refused.data is not None:
                refusal["data"] = refused.data
        except BellcastError as error:
            refusal = {"code": error.code, "message": error.detail}
            if packet.id is None and isinstance(error, NoHandler):
                return  # an event without a handler is ignored
        except Exception:
            log.exception("event_failed", name=name)
            refusal = {"code": BellcastError.code, "message": BellcastError().detail}
        # Acknowledge the event if the client requested it; otherwise send only errors, as an event
        try:
            if packet.id is None:
                if refusal is not None:
                    connection.emit("error", ({**refusal, "event": name},))
            elif refusal is not None:
                connection.acknowledge(packet.id, [{"error": refusal}])
            else:  # no arguments for None, several for a tuple
                several = list(reply) if isinstance(reply, tuple) else [reply]
                connection.acknowledge(packet.id, [] if reply is None else several)
        # Too many binary values, or values that JSON cannot represent or that are nested too deeply.
        except (ValueError, TypeError, RecursionError) as failure:
            log.warning("reply_encode_failed", name=packet.data[0], reason=str(failure))

    async def _reply(self, connection: NamespaceConnection, name: str, args: list[Any], attachments: int) -> Any:
        validation.check_event(name, None, self._commands.limits)
        if self.app.has(name) and name not in (calls.CONNECT, calls.DISCONNECT):
            context = self.context_for(connection)
            try:
                return await self.app.dispatch(
                    Call(context, name, args, connection=connection.id, **caller(connection))
                )
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


def _command(name: str, args: list[Any]) -> protocol.ClientCommand:
    """Decode a built-in event. Its argument is an object or the value of its main field."""
    reply, field = args[0] if args else {}, BUILTIN_EVENTS[name]
    if not isinstance(reply, dict):
        items = [reply] if field in LISTS and isinstance(reply, str) else reply
        reply = {field: items} if field else {}
    try:
        command: protocol.ClientCommand = msgspec.convert({**reply, "type": name}, protocol.ANY_COMMAND)
    except msgspec.ValidationError as problem:
        raise Invalid.fields([field_error(problem)]) from None
    return command
