"""From a CONNECT to a member of a namespace: who comes, may they, and what did they miss."""

from itertools import islice
from typing import Any, NamedTuple

from bellcast import calls
from bellcast.auth.doors import Doors
from bellcast.auth.origins import WrongOrigin
from bellcast.auth.permissions import Grant
from bellcast.errors import BellcastError, Unauthenticated, Unavailable
from bellcast.live import resume, topics
from bellcast.live.answering import accepted
from bellcast.live.arrivals import Arrivals
from bellcast.live.connection import Phase
from bellcast.live.hub import Hub
from bellcast.live.protocols.socketio import dialect, engineio
from bellcast.live.protocols.socketio.packets import CONNECT, Packet
from bellcast.live.reasons import Close
from bellcast.live.rules import Rules, SocketIO
from bellcast.live.sessions.engineio import Pipe
from bellcast.live.sessions.socketio import recovery
from bellcast.live.sessions.socketio.asking import Asking, Port
from bellcast.live.sessions.socketio.member import Member
from bellcast.live.sessions.socketio.recovery import Pid
from bellcast.model import patterns
from bellcast.model.inboxes import Inbox, Position
from bellcast.model.people import Principal, Project
from bellcast.ports import Changes, Store

# What an app says to all of its users at once; each hears it in its own namespace.
EVERYONE = "everyone"
REPLACED = Close(1000, "replaced by its own return", reconnect=True)


class Return(NamedTuple):
    """Somebody who was here before, and where it had come to."""

    pid: Pid
    position: Position
    missed: Changes


class Joining:
    """Lets clients into namespaces."""

    def __init__(
        self,
        project: Project,
        store: Store,
        hub: Hub,
        rules: Rules,
        settings: SocketIO,
        doors: Doors,
        arrivals: Arrivals,
        asking: Asking,
    ) -> None:
        self._project = project
        self._store = store
        self._hub = hub
        self._rules = rules
        self._settings = settings
        self._doors = doors
        self._arrivals = arrivals
        self._asking = asking

    async def join(self, pipe: Pipe, namespace: str, auth: dict[str, Any]) -> None:
        """Let a client in, or raise why not. Nothing of it is left behind then."""
        member, port, pid = await self._recognise(pipe, namespace, auth)
        if (old := self._hub.find(member.id)) is not None:
            self._hub.end(old, REPLACED)  # it was not yet known to be dead
        try:
            position = None if pid is None else recovery.place(pid, auth.get("offset"))
            opened = await self._arrivals.enter(member, position)
            inbox = None if opened is None else opened.inbox
            back = None
            if opened is not None and opened.missed is not None and pid is not None and position is not None:
                back = Return(pid, position, opened.missed)
            given = await self._topics(member, inbox)
            if back is not None:
                given |= await self._asking.rooms.restore(member, len(given))
            _check_here(member)
        except BaseException:
            member.gone()
            raise
        pipe.talk.enter(member)
        resumable = inbox is not None and self._settings.recovery
        member.settle(self._rules.limits.unsent, resumable=resumable)
        if back is not None:
            await self._resume(member, back, given)
        else:
            self._begin(member, inbox, given, lost="pid" in auth)
        self._started(member, port)
        if member.phase is Phase.HOLDING:  # something went by meanwhile
            await resume.go_live(self._store, member, self._rules.limits)

    # --- who comes

    async def _recognise(self, pipe: Pipe, namespace: str, auth: dict[str, Any]) -> tuple[Member, Port, Pid | None]:
        principal, doubt = await self._who(pipe, auth)
        spoken = dialect.of(namespace, pipe.link.form, resumable=False)
        member = self._arrivals.make(Member, spoken, principal, pipe.request.address, pipe=pipe, namespace=namespace)
        fresh, pid = member.id, self._pid(member, auth)
        if pid is not None:
            member.id = pid.sid  # so that the app hears of it by the id it knows
        port = self._asking.port(member)
        if self._asking.app.has(calls.CONNECT, namespace) and await self._asked(port, member, auth):
            doubt = None
        if doubt is not None:
            raise doubt
        if pid is not None and not pid.is_of(member.principal, namespace):
            member.id, pid = fresh, None
        return member, port, pid

    async def _asked(self, port: Port, member: Member, auth: dict[str, Any]) -> bool:
        """Ask the app about a newcomer; whether its word is enough."""
        call = self._asking.call(port, member, calls.CONNECT, [_without_recovery(auth)])
        await self._asking.app.answer(call)
        if port.ending is not None:
            port.part()
            raise calls.Refused("The app closed this connection.")
        if call.accepted is not None:
            member.principal = accepted(call.accepted, member.principal, asked_at=member.since)
        # What it brought may have been the app's to read: let in, but as nobody.
        return call.accepted is not None or self._rules.access.anonymous

    def _pid(self, member: Member, auth: dict[str, Any]) -> Pid | None:
        """What it was given when it was here before, unless it is known to be somebody else now."""
        pid = recovery.read(self._project, auth.get("pid")) if self._settings.recovery else None
        if pid is None or (member.principal.recipient and not pid.is_of(member.principal, member.namespace)):
            return None
        return pid

    async def _who(self, pipe: Pipe, auth: dict[str, Any]) -> tuple[Principal, BellcastError | None]:
        """Who the credentials speak of; or nobody, and what is wrong with them, which the app may know better."""
        token = auth.get("token")
        try:
            if token is None:
                by_poll = pipe.link.form is engineio.BODY
                return await self._doors.recipient(pipe.request, "stream" if by_poll else "websocket"), None
            return await self._doors.session(_token(token)), None
        except Unauthenticated as doubt:
            return Principal(), doubt
        except WrongOrigin as doubt:
            if pipe.request.header(b"cookie") is not None:
                raise
            return Principal(), doubt  # it brought nothing at all

    # --- what it hears first

    async def _topics(self, member: Member, inbox: Inbox | None) -> dict[str, Grant]:
        """Everyone's, those of its roles, and those its token names."""
        principal = member.principal
        if inbox is None:
            return {}
        roles = inbox.roles if principal.roles is None else principal.roles
        named = [topic for topic in principal.topics if "*" not in topic]
        asked = [*map(patterns.role_topic, roles), *named]
        limit = self._rules.limits.topics_per_connection
        given, _ = await topics.admitted(self._store, principal, asked, 0, self._rules) if asked else ({}, ())
        by_record = tuple(map(patterns.role_topic, inbox.roles)) if principal.roles is None else ()
        found = {EVERYONE: Grant.DIALECT} | dict.fromkeys(by_record, Grant.SUBSCRIPTION) | given
        return dict(islice(found.items(), limit or None))

    async def _resume(self, member: Member, back: Return, given: dict[str, Grant]) -> None:
        """Missed events come before the reply: clients hand them out before they say `connect`."""
        member.revision = back.position.revision
        base = back.position.revision if back.position.base is None else back.position.base
        await resume.replay(self._store, member, back.missed, base, self._rules.limits)
        if member.phase is Phase.ENDED:
            return
        self._hub.follow(member, given)
        self._reply(member, recovery.sign(self._project, back.pid))
        state = back.missed.state
        exact = {"unread": state.unread, "unseen": state.unseen} if state.revision == member.revision else {}
        self._ready(member, tuple(given), resumed=True, counters=exact)

    def _begin(self, member: Member, inbox: Inbox | None, given: dict[str, Grant], *, lost: bool) -> None:
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
            member.told(member.dialect.reset(state))
        if not member.behind:
            member.phase = Phase.LIVE

    def _reply(self, member: Member, pid: str | None) -> None:
        said = {"sid": member.id} if pid is None else {"sid": member.id, "pid": pid}
        member.told(member.dialect.wrap(Packet(CONNECT, member.namespace, said)))

    def _ready(self, member: Member, given: tuple[str, ...], *, resumed: bool, counters: dict[str, int]) -> None:
        """Where the inbox stands: the client's first offset."""
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
        if isinstance(spoken, dialect.Dialect):
            member.told(spoken.placed("ready", fields, position))

    def _started(self, member: Member, port: Port) -> None:
        """What the app's `connect` handler did, done."""
        held, port.held = port.held or [], None
        if member.phase is Phase.ENDED:
            return
        self._hub.follow(member, dict.fromkeys(port.joined, Grant.APP))
        for name, args in held:
            member.emit(name, args)


def _check_here(member: Member) -> None:
    if member.pipe.over or member.phase is Phase.ENDED:
        raise Unavailable("This connection ended while it began.")


def _token(said: Any) -> str:
    if not isinstance(said, str):
        raise Unauthenticated("auth.token must be a text: a session token.")
    return said.removeprefix("Bearer ")


def _without_recovery(auth: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in auth.items() if name not in ("pid", "offset")}
