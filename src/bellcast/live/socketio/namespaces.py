"""The namespaces of clients: after a CONNECT the handshake, with authentication, admission and replay; then client events, executed
in order and acknowledged: app handlers first, then built-in events; and refusals."""

import asyncio
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import structlog
from msgspec import Struct

from bellcast import calls
from bellcast.auth import link_tokens
from bellcast.auth.origins import ResponseKind, WrongOrigin
from bellcast.auth.permissions import Grant
from bellcast.inbox.types.inboxes import Inbox, Position, parse_position
from bellcast.kernel import validation
from bellcast.kernel.brokers import history
from bellcast.kernel.errors import (
    BellcastError,
    HandlerFailed,
    Invalid,
    NoHandler,
    Unauthenticated,
    Unavailable,
)
from bellcast.kernel.events import role_topic
from bellcast.kernel.http.validation_errors import field_error
from bellcast.kernel.identities import Principal, Project
from bellcast.live import resume
from bellcast.live.admission import guarded_start
from bellcast.live.connection import Phase, close_reasons
from bellcast.live.connection.close_reasons import CloseReason, RejectedByApp
from bellcast.live.connection.dialect import InboxReset
from bellcast.live.connection.inbound_queue import InboundQueue
from bellcast.live.hub import subscriptions
from bellcast.live.native import protocol as native
from bellcast.live.native.app_callbacks import CLOSED_AT_START, CLOSED_BY_APP, RESTART_BY_APP, NativeCallContext
from bellcast.live.native.commands import Commands
from bellcast.live.socketio import SocketIOConfig, protocol
from bellcast.live.socketio.engine_session import (
    CLIENT_CLOSED,
    MAX_NAMESPACES,
    UNREADABLE,
    EngineSession,
    NamespaceConnection,
)
from bellcast.live.socketio.joined_topics import ConnectionTopics
from bellcast.live.socketio.protocol import CONNECT, InvalidPacket, Packet
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
# Maximum refusals of one session in the live feed, so that a client that repeats them does not displace those of
# others.
MAX_REFUSED_EVENTS = 10
ANONYMOUS = Principal()
# A client closes the session after it is disconnected from its last namespace. If the server closed the session
# immediately, the JavaScript client would process that close first, and reconnect.
CLOSE_DELAY_SECONDS = 1


class SocketIOCallContext(NativeCallContext):
    """A calls.CallContext for one connection. `pending_frames` are events with their arguments."""

    _connection: NamespaceConnection

    def __init__(self, live: LiveContext, joined_topics: ConnectionTopics, connection: NamespaceConnection) -> None:
        super().__init__(live, connection)
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

    def close_at_start(self, end: CloseReason) -> BellcastError:
        self.close_if_requested()
        return RejectedByApp(CLOSED_AT_START)

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
        for connection in session.joined_connections:
            self._hub.end(connection, CLOSED_BY_APP)
        asyncio.get_running_loop().call_later(CLOSE_DELAY_SECONDS, session.close_by_client, RESTART_BY_APP)


PURPOSE = b"socketio recovery\0"
# Several times the length of an issued id; longer ones are not decoded.
MAX_PID_LENGTH = 2_048


class Pid(Struct, frozen=True, array_like=True):
    tenant: str
    recipient: str
    namespace: str
    sid: str
    position: str
    connected_at: int = 0  # a new session has another id: clients recognize a recovery by the same one

    def is_of(self, principal: Principal, namespace: str) -> bool:
        return (self.tenant, self.recipient, self.namespace) == (principal.tenant, principal.recipient, namespace)


def read(project: Project, text: Any, offset: Any) -> Pid | None:
    """Decode a client's `pid`; None if it is invalid, or if the offset shows that the client must not be recovered."""
    if not isinstance(text, str) or len(text) > MAX_PID_LENGTH:
        return None
    if isinstance(offset, str) and offset.startswith(protocol.UNRECOVERABLE):
        return None
    return link_tokens.read(project, PURPOSE, text, Pid)


class RecoveryPoint(NamedTuple):
    """The inbox position and the last live event of a returning client. `text` is the resume position. `has_joined`:
    the client had joined topics when it received the offset."""

    position: Position
    text: str
    has_joined: bool


def point_of(pid: Pid, offset: Any) -> RecoveryPoint | None:
    """Return the resume position in the client's offset or, if that is invalid, the one at its start."""
    for text in (offset, pid.position):
        if isinstance(text, str):
            bare = text.removeprefix(protocol.HAS_JOINED)
            position = parse_position(history.split_position(bare)[0])
            if position is not None:
                return RecoveryPoint(position, bare, has_joined=bare != text)
    return None


# The author of a page cannot set the header that the general error names.
WITHOUT_CREDENTIALS = (
    "No token: pass `auth: { token }` to io(), or accept the connection in a `connect` handler with call.accept(name)."
)
# The topic of all users, which every authenticated connection follows in its own namespace.
EVERYONE = "everyone"
CLOSED_DURING_START = "The connection was closed while it was starting."
SESSION_REPLACED = CloseReason(1000, "replaced by a new connection of the same client", reconnect=True)


class Namespaces:
    """The namespaces of all sessions: the handshake of a connection to one, then its events, in order."""

    def __init__(self, live: LiveContext, commands: Commands, joined_topics: ConnectionTopics) -> None:
        self.app = live.app
        self._live = live
        self._settings: SocketIOConfig = live.settings["socketio"]
        self._commands = commands
        self._joined_topics = joined_topics
        self._queue = InboundQueue(
            self._respond, live.spawn, self._settings.max_payload, commands.limits.frames_per_second
        )

    # --- messages

    def receive(self, session: EngineSession, message: str | bytes) -> None:
        """Handle a message of a session. An invalid one closes the session."""
        if session.unjoined_as is not None and message[:1] != str(protocol.CONNECT):
            session.close(UNREADABLE)
            return
        try:
            packet = session.reader.read(message)
            if packet is None:
                return
            if packet.type == protocol.CONNECT:
                self._connect(session, packet)
                return
        except InvalidPacket:
            session.close(UNREADABLE)
            return
        connection = session.connections.get(packet.namespace)
        if connection is None:
            session.close(UNREADABLE)
        elif packet.type == protocol.DISCONNECT:
            session.remove(packet.namespace)
            connection.close_reason = CLIENT_CLOSED
            connection.disconnected()
        elif packet.type == protocol.ACK:
            connection.on_ack(packet.id, packet.data)
        else:
            self._queue.enqueue(connection, packet, session.reader.size)

    def _connect(self, session: EngineSession, packet: Packet) -> None:
        namespace, size = packet.namespace, session.reader.size
        if namespace in session.connections:
            raise InvalidPacket("A CONNECT arrived for a namespace that is joined.")
        if not self.app.has_namespace(namespace):
            _send_connect_error(session, namespace, "Invalid namespace")
        elif len(session.connections) + len(session.leaving) >= MAX_NAMESPACES:
            _send_connect_error(session, namespace, "Too many namespaces", {"code": "too_many"}, "too_many")
        elif isinstance(packet.data, str):
            _send_connect_error(session, namespace, "auth must be an object: `auth: { token }`", code="invalid")
        else:
            session.connections[namespace] = None
            session.joining_bytes += size
            if session.has_full_queue:
                session.transport.transport.pause_reading()
            connection = self.create_connection(session, namespace)
            self._live.spawn(self._start(connection, packet.data or {}, size))

    async def _start(self, connection: NamespaceConnection, auth: dict[str, Any], size: int) -> None:
        """Join a namespace. `size` is the size of the CONNECT packet, which counts towards the limit until then."""
        session = connection.session
        try:
            # Otherwise the output for a client that joins and leaves, but reads nothing, would have no limit.
            await session.wait_drained()
            if not session.is_closed:
                await guarded_start(connection, self.join(connection, auth), partial(_refuse, connection))
        finally:
            was_full = session.has_full_queue
            session.joining_bytes -= size
            if was_full:
                connection.resume_reading()

    # --- handshake

    def create_connection(self, session: EngineSession, namespace: str) -> NamespaceConnection:
        """Create the unregistered connection of a CONNECT, anonymous until `join` has authenticated it."""
        unresumable = protocol.dialect_for(namespace, session.transport.encoding, resumable=False)
        return self._live.admission.create_connection(
            NamespaceConnection,
            unresumable,
            Principal(),
            session.request.address,
            session.request.origin,
            session=session,
            namespace=namespace,
        )

    async def join(self, connection: NamespaceConnection, auth: dict[str, Any]) -> None:
        """Authenticate and admit a client, and go live; raises if it is refused."""
        context, pid = await self._authenticate(connection, auth)
        if (old := self._live.hub.find(connection.id)) is not None:
            self._live.hub.end(old, SESSION_REPLACED)  # its socket is dead, which the server has not noticed yet
        point = None if pid is None else point_of(pid, auth.get("offset"))
        position = None if point is None else point.position
        opened = await self._live.admission.admit(connection, position, connection.session.request)
        inbox = None if opened is None else opened.inbox
        granted = await self._topics(connection, inbox)
        missed = None if opened is None else opened.missed
        if missed is not None and point is not None:
            restored = await self._joined_topics.restore(connection, len(granted), has_joined=point.has_joined)
            if restored is None:
                point = None
            else:
                granted |= restored
        topics, joined = await context.read_topics(granted, None if point is None else point.text)
        if connection.session.is_closed or connection.phase is Phase.CLOSED:
            raise Unavailable(CLOSED_DURING_START)
        connection.session.add(connection)
        connection.activate(self._live.config.limits.unsent, resumable=inbox is not None and self._settings.recovery)
        self._live.hub.subscriptions.follow(connection, {**granted, **joined})
        is_complete = topics.recovered or topics.is_off  # without a history there is nothing to recover
        if pid is not None and point is not None and missed is not None and is_complete:
            # Replay missed events before the reply: clients deliver them before they emit `connect`
            connection.revision, connection.place = point.position.revision, point.position.text
            await resume.send(self._live.hub, connection, topics)
            await resume.replay(self._live.engines.db, connection, missed, point.position, self._live.config.limits)
            # If the replay has closed the connection, these have no receiver
            self._send_connect(connection, link_tokens.sign(self._live.project, PURPOSE, pid))
            state = missed.state
            exact = {"unread": state.unread, "unseen": state.unseen} if state.revision == connection.revision else {}
            self._ready(connection, tuple(granted), resumed=True, counters=exact)
        else:
            self._go_live(connection, inbox, granted, lost="pid" in auth)
        context.send_pending()
        if connection.phase is Phase.OPENING:  # the inbox changed since it was read
            await resume.catch_up(self._live.engines.db, connection, self._live.config.limits)

    # --- authentication

    async def _authenticate(
        self, connection: NamespaceConnection, auth: dict[str, Any]
    ) -> tuple[SocketIOCallContext, Pid | None]:
        connection.principal, auth_error = await self._principal(connection.session, auth)
        pid = read(self._live.project, auth.get("pid"), auth.get("offset")) if self._settings.recovery else None
        principal, new_id = connection.principal, connection.id
        if pid is not None and principal.recipient and not pid.is_of(principal, connection.namespace):
            pid = None  # the credentials name another recipient
        if pid is not None:
            connection.id = pid.sid  # keeps the id that the app has stored
        context = SocketIOCallContext(self._live, self._joined_topics, connection)
        if self.app.has(calls.CONNECT):
            args = [{name: value for name, value in auth.items() if name not in ("pid", "offset")}]
            request = connection.session.request
            handshake = (
                msgspec.json.decode(request.app_handshake, type=calls.ConnectRequest) if request.app_handshake else None
            )
            call = await context.connect(request.address, args, handshake=handshake)
            # The credentials may have been meant for the app only: without `accept`, the client is admitted as anonymous.
            if call.accepted is not None or self._live.config.access.anonymous:
                auth_error = None
        if auth_error is not None:
            raise auth_error
        if pid is not None and not pid.is_of(connection.principal, connection.namespace):
            connection.id, pid = new_id, None
        return context, pid

    async def _principal(self, session: EngineSession, auth: dict[str, Any]) -> tuple[Principal, BellcastError | None]:
        """Return the principal of the credentials, or an anonymous one and the error, which the app may override."""
        token = auth.get("token")
        if token is not None and not isinstance(token, str):
            return Principal(), Unauthenticated("auth.token must be a string: a session token.")
        try:
            if token is None:
                is_polling = session.transport.encoding is protocol.POLLING_BODY
                kind: ResponseKind = "stream" if is_polling else "websocket"
                return await self._live.authenticator.recipient(session.request, kind), None
            return await self._live.authenticator.session(token.removeprefix("Bearer ")), None
        except Unauthenticated as error:
            is_missing = token is None and "Authorization" in error.detail
            return Principal(), Unauthenticated(WITHOUT_CREDENTIALS) if is_missing else error
        except WrongOrigin as error:
            if session.request.header(b"cookie") is not None:
                raise
            return Principal(), error  # a request without credentials

    # --- first packets

    async def _topics(self, connection: NamespaceConnection, inbox: Inbox | None) -> dict[str, Grant]:
        """Return the public topics, and those of the connection's roles and token."""
        principal = connection.principal
        if inbox is None:
            return {}
        roles = inbox.roles if principal.roles is None else principal.roles
        requested = [topic for topic in principal.topics if "*" not in topic]
        names = [*map(role_topic, roles), *requested]
        limit = self._live.config.limits.topics_per_connection
        granted, _ = (
            await subscriptions.authorize_topics(self._live.engines.db, principal, names, 0, self._live.config)
            if names
            else ({}, ())
        )
        by_record = tuple(map(role_topic, inbox.roles)) if principal.roles is None else ()
        topics = {EVERYONE: Grant.DIALECT} | dict.fromkeys(by_record, Grant.SUBSCRIPTION) | granted
        return dict(islice(topics.items(), limit or None))

    def _go_live(
        self, connection: NamespaceConnection, inbox: Inbox | None, granted: dict[str, Grant], *, lost: bool
    ) -> None:
        if inbox is None:
            self._send_connect(connection, None)
            connection.go_live()
            return
        state = inbox.state
        connection.revision = state.revision
        principal = connection.principal
        start = connection.resume_position()
        recipient, namespace = principal.recipient or "", connection.namespace
        pid = Pid(principal.tenant, recipient, namespace, connection.id, start, connection.connected_at)
        self._send_connect(
            connection, link_tokens.sign(self._live.project, PURPOSE, pid) if self._settings.recovery else None
        )
        self._ready(
            connection, tuple(granted), resumed=False, counters={"unread": state.unread, "unseen": state.unseen}
        )
        if lost and self._settings.recovery:
            connection.write_tracked(connection.marked(connection.dialect.replay(InboxReset(state), state.position)))
        if not connection.is_stale:
            connection.go_live()

    def _send_connect(self, connection: NamespaceConnection, pid: str | None) -> None:
        data = {"sid": connection.id} if pid is None else {"sid": connection.id, "pid": pid}
        connection.write_tracked(connection.dialect.encode_frame(Packet(CONNECT, connection.namespace, data)))

    def _ready(
        self, connection: NamespaceConnection, granted: tuple[str, ...], *, resumed: bool, counters: dict[str, int]
    ) -> None:
        """Send the resume position, the client's first offset."""
        position = Position(connection.epoch, connection.revision).text
        fields = {
            "connection": connection.id,
            "recipient": connection.principal.recipient,
            "position": position,
            **counters,
            "resumed": resumed,
            "topics": granted,
        }
        dialect_in_use = connection.dialect
        if isinstance(dialect_in_use, protocol.SocketIODialect):
            connection.write_tracked(connection.marked(dialect_in_use.marked("ready", fields)))

    # --- events

    async def _respond(self, connection: NamespaceConnection, packet: Packet) -> None:
        name, *args = packet.data
        reply: Any = None
        refusal: dict[str, Any] | None = None
        try:
            reply = await self._reply(connection, str(name), args, packet.attachments)
        except BellcastError as error:
            refusal = {"code": error.code, "message": error.detail}
            if error.data is not None:
                refusal["data"] = error.data
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
            try:
                return await SocketIOCallContext(self._live, self._joined_topics, connection).call(name, args)
            except NoHandler:
                if name not in BUILTIN_EVENTS:
                    raise
        elif name not in BUILTIN_EVENTS:
            raise NoHandler(f"There is no handler for {name[:100]!r}.")
        if attachments:
            raise Invalid(f"{name[:100]!r} accepts only JSON: send no binary values.")
        # The argument is an object or the value of its main field
        body, field = args[0] if args else {}, BUILTIN_EVENTS[name]
        if not isinstance(body, dict):
            items = [body] if field in LISTS and isinstance(body, str) else body
            body = {field: items} if field else {}
        try:
            command: native.ClientCommand = msgspec.convert({**body, "type": name}, native.ANY_COMMAND)
        except msgspec.ValidationError as problem:
            raise Invalid.fields([field_error(problem)]) from None
        ack = await self._commands.perform(connection, command)
        match name:
            case "ping":
                connection.emit("pong", ())
            case "subscribe":
                await self._joined_topics.follow(connection, ack.fields["topics"], by_app=False)
            case "unsubscribe":
                await self._joined_topics.unfollow(connection, ack.fields["topics"])
        return ack.fields


# --- refusals


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
    session.remove(namespace)
    if session.is_refused_too_often:
        session.close(close_reasons.TOO_FAST)
        return
    if session.is_buffer_full:
        session.close(close_reasons.TOO_SLOW)
        return
    _log_refusal(session, namespace, message if code is None else code, principal)
    payload = {"message": message} if data is None else {"message": message, "data": data}
    session.send_packet(protocol.encode(Packet(protocol.CONNECT_ERROR, namespace, payload))[0])


def _log_refusal(session: EngineSession, namespace: str, reason: str, principal: Principal) -> None:
    session.refused += 1
    is_fed = session.refused <= MAX_REFUSED_EVENTS
    session.sessions.callbacks.namespace_refused(session, namespace, reason, principal, is_fed=is_fed)
