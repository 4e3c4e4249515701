"""The namespace handshake: authentication, admission and replay after a CONNECT."""

from itertools import islice
from typing import Any, NamedTuple

from bellcast import calls
from bellcast.auth.authenticator import Authenticator
from bellcast.auth.origins import Kind, WrongOrigin
from bellcast.auth.permissions import Grant
from bellcast.errors import BellcastError, Unauthenticated, Unavailable
from bellcast.live import topic_access
from bellcast.live.admission import Admission
from bellcast.live.config import LiveConfig, SocketIOConfig
from bellcast.live.connection.close_reasons import CloseReason, RejectedByApp
from bellcast.live.connection.connection import Phase
from bellcast.live.hub.hub import Hub
from bellcast.live.native.app_callbacks import merge_principal
from bellcast.live.socketio import recovery
from bellcast.live.socketio.engine_session import EngineSession
from bellcast.live.socketio.events import EventDispatcher, SocketIOCallContext
from bellcast.live.socketio.namespace_connection import NamespaceConnection
from bellcast.live.socketio.protocol import dialect, engineio
from bellcast.live.socketio.protocol.packets import CONNECT, Packet
from bellcast.live.socketio.recovery import Pid
from bellcast.live.sync import resume
from bellcast.model import patterns
from bellcast.model.identities import Principal, Project
from bellcast.model.inboxes import Inbox, Position
from bellcast.ports import Changes, Store

# What an app says to all of its users at once; each hears it in its own namespace.
EVERYONE = "everyone"
CLOSED_DURING_START = "This connection closed while it started."
SESSION_REPLACED = CloseReason(1000, "replaced by its own return", reconnect=True)


class Recovery(NamedTuple):
    """A recovered connection and its last position."""

    pid: Pid
    position: Position
    missed: Changes


class NamespaceHandshake:
    """Admits clients to namespaces."""

    def __init__(
        self,
        project: Project,
        store: Store,
        hub: Hub,
        rules: LiveConfig,
        settings: SocketIOConfig,
        doors: Authenticator,
        arrivals: Admission,
        asking: EventDispatcher,
    ) -> None:
        self._project = project
        self._store = store
        self._hub = hub
        self._config = rules
        self._settings = settings
        self._authenticator = doors
        self._admission = arrivals
        self._dispatcher = asking

    def create_connection(self, session: EngineSession, namespace: str) -> NamespaceConnection:
        """Create the unregistered connection of a CONNECT, anonymous until `join` has authenticated it."""
        unresumable = dialect.dialect_for(namespace, session.transport.encoding, resumable=False)
        return self._admission.create_connection(
            NamespaceConnection, unresumable, Principal(), session.request.address, pipe=session, namespace=namespace
        )

    async def join(self, connection: NamespaceConnection, auth: dict[str, Any]) -> None:
        """Authenticate and admit a client, and go live; raises if it is refused."""
        context, pid = await self._authenticate(connection, auth)
        if (old := self._hub.find(connection.id)) is not None:
            self._hub.end(old, SESSION_REPLACED)  # its socket is dead, which the server has not noticed yet
        position = None if pid is None else recovery.position_of(pid, auth.get("offset"))
        opened = await self._admission.admit(connection, position)
        inbox = None if opened is None else opened.inbox
        missed = None
        if opened is not None and opened.missed is not None and pid is not None and position is not None:
            missed = Recovery(pid, position, opened.missed)
        granted = await self._topics(connection, inbox)
        if missed is not None:
            granted |= await self._dispatcher.joined_topics.restore(connection, len(granted))
        if connection.session.is_closed or connection.phase is Phase.CLOSED:
            raise Unavailable(CLOSED_DURING_START)
        connection.session.app_state.add(connection)
        connection.activate(self._config.limits.unsent, resumable=inbox is not None and self._settings.recovery)
        if missed is not None:
            await self._resume(connection, missed, granted)
        else:
            self._go_live(connection, inbox, granted, lost="pid" in auth)
        self._connected(connection, context)
        if connection.phase is Phase.OPENING:  # the inbox changed since it was read
            await resume.catch_up(self._store, connection, self._config.limits)

    # --- authentication

    async def _authenticate(
        self, connection: NamespaceConnection, auth: dict[str, Any]
    ) -> tuple[SocketIOCallContext, Pid | None]:
        connection.principal, auth_error = await self._principal(connection.session, auth)
        new_id, pid = connection.id, self._pid(connection, auth)
        if pid is not None:
            connection.id = pid.sid  # so that the app receives the id that it stored
        context = self._dispatcher.context_for(connection)
        has_handler = self._dispatcher.app.has(calls.CONNECT, connection.namespace)
        if has_handler and await self._call_connect(context, connection, auth):
            auth_error = None
        if auth_error is not None:
            raise auth_error
        if pid is not None and not pid.is_of(connection.principal, connection.namespace):
            connection.id, pid = new_id, None
        return context, pid

    async def _call_connect(
        self, context: SocketIOCallContext, connection: NamespaceConnection, auth: dict[str, Any]
    ) -> bool:
        """Call the `connect` handler; True if its result authenticates the client. Raises RejectedByApp."""
        call = self._dispatcher.call(context, connection, calls.CONNECT, [_without_recovery(auth)])
        try:
            with self._admission.waiting_for_app(connection.session.request.address):
                await self._dispatcher.app.dispatch(call)
        except calls.Refused as refused:
            raise RejectedByApp(refused.message, data=refused.data) from None
        if context.close_reason is not None:
            context.close_if_requested()
            raise RejectedByApp("The app closed this connection.")
        if call.accepted is not None:
            accepted = merge_principal(call.accepted, connection.principal, asked_at=connection.connected_at)
            connection.principal = accepted
        # Without `accept` the credentials may have been for the app only: the client is admitted as anonymous.
        return call.accepted is not None or self._config.access.anonymous

    def _pid(self, connection: NamespaceConnection, auth: dict[str, Any]) -> Pid | None:
        """Return the client's recovery id, unless its credentials name another recipient."""
        pid = recovery.read(self._project, auth.get("pid")) if self._settings.recovery else None
        principal = connection.principal
        if pid is None or (principal.recipient and not pid.is_of(principal, connection.namespace)):
            return None
        return pid

    async def _principal(self, session: EngineSession, auth: dict[str, Any]) -> tuple[Principal, BellcastError | None]:
        """Return the principal of the credentials, or an anonymous one with the error, which the app may overrule."""
        token = auth.get("token")
        try:
            if token is None:
                is_polling = session.transport.encoding is engineio.POLLING_BODY
                kind: Kind = "stream" if is_polling else "websocket"
                return await self._authenticator.recipient(session.request, kind), None
            return await self._authenticator.session(_token_of(token)), None
        except Unauthenticated as error:
            return Principal(), error
        except WrongOrigin as error:
            if session.request.header(b"cookie") is not None:
                raise
            return Principal(), error  # a request without credentials

    # --- first packets

    async def _topics(self, member: NamespaceConnection, inbox: Inbox | None) -> dict[str, Grant]:
        """Return the topics of everyone, of the member's roles and of its token."""
        principal = member.principal
        if inbox is None:
            return {}
        roles = inbox.roles if principal.roles is None else principal.roles
        named = [topic for topic in principal.topics if "*" not in topic]
        asked = [*map(patterns.role_topic, roles), *named]
        limit = self._config.limits.topics_per_connection
        given, _ = (
            await topic_access.authorize_topics(self._store, principal, asked, 0, self._config) if asked else ({}, ())
        )
        by_record = tuple(map(patterns.role_topic, inbox.roles)) if principal.roles is None else ()
        found = {EVERYONE: Grant.DIALECT} | dict.fromkeys(by_record, Grant.SUBSCRIPTION) | given
        return dict(islice(found.items(), limit or None))

    async def _resume(self, member: NamespaceConnection, back: Recovery, given: dict[str, Grant]) -> None:
        """Replay missed events before the reply: clients deliver them before they emit `connect`."""
        member.revision = back.position.revision
        base = back.position.revision if back.position.base is None else back.position.base
        await resume.replay(self._store, member, back.missed, base, self._config.limits)
        if member.phase is Phase.CLOSED:
            return
        self._hub.follow(member, given)
        self._reply(member, recovery.sign(self._project, back.pid))
        state = back.missed.state
        exact = {"unread": state.unread, "unseen": state.unseen} if state.revision == member.revision else {}
        self._ready(member, tuple(given), resumed=True, counters=exact)

    def _go_live(
        self, member: NamespaceConnection, inbox: Inbox | None, given: dict[str, Grant], *, lost: bool
    ) -> None:
        self._hub.follow(member, given)
        if inbox is None:
            self._reply(member, None)
            member.go_live()
            return
        state = inbox.state
        member.revision = state.revision
        principal = member.principal
        pid = Pid(principal.tenant, principal.recipient or "", member.namespace, member.id, state.position)
        self._reply(member, recovery.sign(self._project, pid) if self._settings.recovery else None)
        self._ready(member, tuple(given), resumed=False, counters={"unread": state.unread, "unseen": state.unseen})
        if lost and self._settings.recovery:
            member.write_tracked(member.dialect.reset(state))
        if not member.is_stale:
            member.go_live()

    def _reply(self, member: NamespaceConnection, pid: str | None) -> None:
        said = {"sid": member.id} if pid is None else {"sid": member.id, "pid": pid}
        member.write_tracked(member.dialect.encode_frame(Packet(CONNECT, member.namespace, said)))

    def _ready(
        self, member: NamespaceConnection, given: tuple[str, ...], *, resumed: bool, counters: dict[str, int]
    ) -> None:
        """Send the inbox position, the client's first offset."""
        position = member.position.text
        fields = {
            "connection": member.id,
            "recipient": member.principal.recipient,
            "position": position,
            **counters,
            "resumed": resumed,
            "topics": given,
        }
        spoken = member.dialect
        if isinstance(spoken, dialect.SocketIODialect):
            member.write_tracked(spoken.event_with_offset("ready", fields, position))

    def _connected(self, member: NamespaceConnection, port: SocketIOCallContext) -> None:
        """Apply the effects of the app's `connect` handler."""
        held, port.pending_frames = port.pending_frames or [], None
        if member.phase is Phase.CLOSED:
            return
        self._hub.follow(member, dict.fromkeys(port.pending_topics, Grant.APP))
        for name, args in held:
            member.emit(name, args)


def _token_of(said: Any) -> str:
    if not isinstance(said, str):
        raise Unauthenticated("auth.token must be a text: a session token.")
    return said.removeprefix("Bearer ")


def _without_recovery(auth: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in auth.items() if name not in ("pid", "offset")}
