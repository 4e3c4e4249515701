"""What clients ask over a WebSocket: done in order, one at a time a connection, each answered by `ack` or `error`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import structlog

from bellcast.auth import permissions
from bellcast.errors import BadRequest, BellcastError, Forbidden, Invalid, TooMany
from bellcast.inbox import actions
from bellcast.live import topics
from bellcast.live.connection import Connection, Phase
from bellcast.live.hub import Hub
from bellcast.live.protocols import native
from bellcast.live.rules import LiveConfig, Spawn
from bellcast.live.turns import InboundQueue
from bellcast.model import drafts, event_names, times
from bellcast.model.events import LiveEvent, Member, Typing
from bellcast.model.people import Principal
from bellcast.ports import Action, Context, Marking

log = structlog.get_logger(__name__)

ACTIONS: dict[type[native.MarkCommand], Action] = {
    native.SeenCommand: "seen",
    native.ReadCommand: "read",
    native.UnreadCommand: "unread",
    native.ArchiveCommand: "archive",
    native.UnarchiveCommand: "unarchive",
    native.DeleteCommand: "delete",
}


class CommandBackend(Protocol):
    """What the commands need of the rooms that know credentials and the app's handlers."""

    async def renew(self, token: str) -> Principal:
        """The principal of a fresh token; Unauthenticated if it is none."""
        ...

    async def call(self, connection: Connection, name: str, data: Any) -> Any:
        """The handler's reply; NoHandler or HandlerFailed if there is none."""
        ...


class Commands:
    """Does what clients ask."""

    def __init__(self, engines: Context, hub: Hub, rules: LiveConfig, asking: CommandBackend, spawn: Spawn) -> None:
        self._engines = engines
        self._hub = hub
        self._rules = rules
        self._backend = asking
        self._queue = InboundQueue(self._do, spawn, outlasting=True)
        self._command_table: dict[type[native.Command], Callable[[Connection, Any], Awaitable[native.Frame]]] = {
            native.SubscribeCommand: self._subscribe,
            native.UnsubscribeCommand: self._unsubscribe,
            native.PublishCommand: self._publish,
            native.TypingCommand: self._typing,
            native.CallCommand: self._call,
            native.AuthCommand: self._auth,
            native.PingCommand: self._ping,
            **dict.fromkeys(ACTIONS, self._mark),
        }
        self.limits = rules.limits

    def receive(self, connection: Connection, message: str | bytes) -> None:
        """Take one frame in; it is done after the ones before it."""
        if isinstance(message, bytes):
            self._send(connection, native.error(None, BadRequest("Frames are text, not binary.")))
        else:
            self._queue.enqueue(connection, message)

    async def _do(self, connection: Connection, message: str) -> None:
        self._send(connection, await self._respond(connection, message))

    async def _respond(self, connection: Connection, message: str) -> native.Frame:
        command = native.receive(message)
        if isinstance(command, native.InvalidFrame):
            return native.error(command.ref, command.error)
        try:
            return await self.perform(connection, command)
        except BellcastError as refusal:
            return native.error(command.ref, refusal)
        except Exception:
            log.exception("command failed", command=type(command).__name__)
            return native.error(command.ref, BellcastError())

    async def perform(self, connection: Connection, command: native.AnyCommand) -> native.Frame:
        """Do one command; its ack, or raises why it came to nothing."""
        return await self._command_table[type(command)](connection, command)

    def _send(self, connection: Connection, frame: native.Frame) -> None:
        if connection.phase is not Phase.CLOSED:
            connection.write_tracked(connection.dialect.encode_frame(frame))

    # --- one method a command

    async def _subscribe(self, connection: Connection, asked: native.SubscribeCommand) -> native.Frame:
        followed = connection.grants or {}
        new = [topic for topic in dict.fromkeys(asked.topics) if topic not in followed]
        given, refused = await topics.authorize_topics(
            self._engines.store, connection.principal, new, len(followed), self._rules
        )
        accepted = [topic for topic in dict.fromkeys(asked.topics) if topic in given or topic in followed]
        if refused and not accepted:
            raise _none_accepted(refused)
        self._hub.follow(connection, given)
        present = self.members(connection.principal, accepted)
        return native.ack(asked.ref, topics=accepted, refused=refused, **({"presence": present} if present else {}))

    def members(self, principal: Principal, asked: list[str] | tuple[str, ...]) -> dict[str, list[Member]]:
        """Who is there, for those of the topics presence is kept on."""
        presence = self._hub.presence
        return {topic: presence.members(principal.tenant, topic) for topic in asked if presence.tracks(topic)}

    async def _unsubscribe(self, connection: Connection, asked: native.UnsubscribeCommand) -> native.Frame:
        self._hub.unfollow(connection, asked.topics)
        return native.ack(asked.ref, topics=asked.topics, refused=[])

    async def _publish(self, connection: Connection, asked: native.PublishCommand) -> native.Frame:
        principal = connection.principal
        drafts.check(drafts.topic("topic", asked.topic, self.limits))
        if (refusal := permissions.may_publish(principal, asked.topic)) is not None:
            raise Forbidden(refusal.message)
        drafts.check(event_names.publishable("name", asked.name))
        drafts.check_event(asked.name, asked.data, self.limits)
        event = LiveEvent(
            tenant=principal.tenant, name=asked.name, data=asked.data, topic=asked.topic, sender=connection.id
        )
        await self._engines.broker.publish(event)
        return native.ack(asked.ref)

    async def _typing(self, connection: Connection, asked: native.TypingCommand) -> native.Frame:
        principal = connection.principal
        if principal.recipient is None or asked.topic not in self._hub.topics(connection):
            raise Forbidden("Typing is shown on topics this connection follows: subscribe first.")
        event = Typing(
            tenant=principal.tenant,
            topic=asked.topic,
            recipient=principal.recipient,
            on=asked.on,
            sender=connection.id,
        )
        await self._engines.broker.publish(event)
        return native.ack(asked.ref)

    async def _mark(self, connection: Connection, asked: native.MarkCommand) -> native.Frame:
        if connection.principal.recipient is None:
            raise Forbidden("A nameless connection has no inbox: connect with a session token.")
        if asked.of is not None and not asked.all:
            raise Invalid.of("of", 'may only be given with "all": true')
        marking = Marking(
            actions=(ACTIONS[type(asked)],),
            ids=actions.parse_selection(asked.ids, everything=asked.all, limits=self.limits),
            type=asked.of.type if asked.of else None,
        )
        marked = await actions.mark(self._engines, connection.inbox, marking)
        state = marked.state
        return native.ack(asked.ref, changed=marked.changed, unread=state.unread, unseen=state.unseen)

    async def _call(self, connection: Connection, asked: native.CallCommand) -> native.Frame:
        drafts.check_event(asked.name, None, self.limits)
        return native.ack(asked.ref, data=await self._backend.call(connection, asked.name, asked.data))

    async def _auth(self, connection: Connection, asked: native.AuthCommand) -> native.Frame:
        fresh = await self._backend.renew(asked.token)
        before = connection.principal
        if (fresh.tenant, fresh.recipient) != (before.tenant, before.recipient):
            raise Forbidden("A fresh token must be the same recipient's: connect anew to be somebody else.")
        followed = dict(connection.grants or {})
        kept = await topics.reauthorized(self._engines.store, fresh, followed, self._rules)
        connection.principal = fresh
        self._hub.regrant(connection, followed, kept)
        ends = None if fresh.expires_at is None else times.to_rfc3339(fresh.expires_at)
        return native.ack(asked.ref, expires_at=ends)

    async def _ping(self, connection: Connection, asked: native.PingCommand) -> native.Frame:
        return native.pong(asked.ref)


def _none_accepted(refused: Sequence[topics.TopicRefused]) -> BellcastError:
    """The error of a frame none of whose topics was given: by the reason they share."""
    detail = "; ".join(f"{one.topic}: {one.message}" for one in refused)
    kinds = {Invalid.code: Invalid, TooMany.code: TooMany}
    codes = {one.code for one in refused}
    return (kinds.get(codes.pop(), Forbidden) if len(codes) == 1 else Forbidden)(detail)
