"""The namespace handshake: authentication, admission and replay after a CONNECT."""

from itertools import islice
from typing import Any, NamedTuple

from bellcast import calls
from bellcast.auth.authenticator import Authenticator
from bellcast.auth.origins import WrongOrigin
from bellcast.auth.permissions import Grant
from bellcast.errors import BellcastError, Unauthenticated, Unavailable
from bellcast.live import topic_access
from bellcast.live.admission import Admission
from bellcast.live.config import LiveConfig, SocketIOConfig
from bellcast.live.connection.close_reasons import CloseReason
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

    async def join(self, pipe: EngineSession, namespace: str, auth: dict[str, Any]) -> None:
        """Admit a client, or raise and leave no state behind."""
        member, port, pid = await self._authenticate(pipe, namespace, auth)
        if (old := self._hub.find(member.id)) is not None:
            self._hub.end(old, SESSION_REPLACED)  # it was not yet known to be dead
        try:
            position = None if pid is None else recovery.position_of(pid, auth.get("offset"))
            opened = await self._admission.admit(member, position)
            inbox = None if opened is None else opened.inbox
            back = None
            if opened is not None and opened.missed is not None and pid is not None and position is not None:
                back = Recovery(pid, position, opened.missed)
            given = await self._topics(member, inbox)
            if back is not None:
                given |= await self._dispatcher.joined_topics.restore(member, len(given))
            _check_here(member)
        except BaseException:
            member.disconnected()
            raise
        pipe.app_state.add(member)
        resumable = inbox is not None and self._settings.recovery
        member.activate(self._config.limits.unsent, resumable=resumable)
        if back is not None:
            await self._resume(member, back, given)
        else:
            self._go_live(member, inbox, given, lost="pid" in auth)
        self._connected(member, port)
        if member.phase is Phase.OPENING:  # something went by meanwhile
            await resume.catch_up(self._store, member, self._config.limits)

    # --- authentication

    async def _authenticate(
        self, pipe: EngineSession, namespace: str, auth: dict[str, Any]
    ) -> tuple[NamespaceConnection, SocketIOCallContext, Pid | None]:
        principal, doubt = await self._principal(pipe, auth)
        spoken = dialect.dialect_for(namespace, pipe.transport.encoding, resumable=False)
        member = self._admission.create_connection(
            NamespaceConnection, spoken, principal, pipe.request.address, pipe=pipe, namespace=namespace
        )
        fresh, pid = member.id, self._pid(member, auth)
        if pid is not None:
            member.id = pid.sid  # so that the app receives the id it knows
        port = self._dispatcher.context_for(member)
        if self._dispatcher.app.has(calls.CONNECT, namespace) and await self._call_connect(port, member, auth):
            doubt = None
        if doubt is not None:
            raise doubt
        if pid is not None and not pid.is_of(member.principal, namespace):
            member.id, pid = fresh, None
        return member, port, pid

    async def _call_connect(self, port: SocketIOCallContext, member: NamespaceConnection, auth: dict[str, Any]) -> bool:
        """Call the `connect` handler; True if its result authenticates the client."""
        call = self._dispatcher.call(port, member, calls.CONNECT, [_without_recovery(auth)])
        await self._dispatcher.app.dispatch(call)
        if port.close_reason is not None:
            port.close_if_requested()
            raise calls.Refused("The app closed this connection.")
        if call.accepted is not None:
            member.principal = merge_principal(call.accepted, member.principal, asked_at=member.connected_at)
        # What it brought may have been the app's to read: let in, but as nobody.
        return call.accepted is not None or self._config.access.anonymous

    def _pid(self, member: NamespaceConnection, auth: dict[str, Any]) -> Pid | None:
        """What it was given when it was here before, unless it is known to be somebody else now."""
        pid = recovery.read(self._project, auth.get("pid")) if self._settings.recovery else None
        if pid is None or (member.principal.recipient and not pid.is_of(member.principal, member.namespace)):
            return None
        return pid

    async def _principal(self, pipe: EngineSession, auth: dict[str, Any]) -> tuple[Principal, BellcastError | None]:
        """Who the credentials speak of; or nobody, and what is wrong with them, which the app may know better."""
        token = auth.get("token")
        try:
            if token is None:
                by_poll = pipe.transport.encoding is engineio.POLLING_BODY
                return await self._authenticator.recipient(pipe.request, "stream" if by_poll else "websocket"), None
            return await self._authenticator.session(_token_of(token)), None
        except Unauthenticated as doubt:
            return Principal(), doubt
        except WrongOrigin as doubt:
            if pipe.request.header(b"cookie") is not None:
                raise
            return Principal(), doubt  # it brought nothing at all

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
            member.phase = Phase.LIVE
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
            member.phase = Phase.LIVE

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


def _check_here(member: NamespaceConnection) -> None:
    if member.session.is_closed or member.phase is Phase.CLOSED:
        raise Unavailable("This connection ended while it began.")


def _token_of(said: Any) -> str:
    if not isinstance(said, str):
        raise Unauthenticated("auth.token must be a text: a session token.")
    return said.removeprefix("Bearer ")


def _without_recovery(auth: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in auth.items() if name not in ("pid", "offset")}
