"""Client commands over a WebSocket: executed in order per connection, each answered by `ack` or `error`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import structlog

from bellcast.auth import permissions
from bellcast.errors import BadRequest, BellcastError, Forbidden, Invalid, TooMany
from bellcast.inbox import actions
from bellcast.live import topic_access
from bellcast.live.config import LiveConfig, Spawn
from bellcast.live.connection.connection import Connection, Phase
from bellcast.live.connection.inbound_queue import InboundQueue
from bellcast.live.hub.hub import Hub
from bellcast.live.native import protocol
from bellcast.model import event_names, times, validation
from bellcast.model.events import LiveEvent, Member, Typing
from bellcast.model.identities import Principal
from bellcast.ports import Action, Context, Marking

log = structlog.get_logger(__name__)

ACTIONS: dict[type[protocol.MarkCommand], Action] = {
    protocol.SeenCommand: "seen",
    protocol.ReadCommand: "read",
    protocol.UnreadCommand: "unread",
    protocol.ArchiveCommand: "archive",
    protocol.UnarchiveCommand: "unarchive",
    protocol.DeleteCommand: "delete",
}


class CommandBackend(Protocol):
    """Token verification and app handlers, as the commands need them."""

    async def renew(self, token: str) -> Principal:
        """Return the principal of a fresh token; raises Unauthenticated if it is invalid."""
        ...

    async def call(self, connection: Connection, name: str, data: Any) -> Any:
        """Return the handler's reply; raises NoHandler or HandlerFailed if there is none."""
        ...


class Commands:
    """Executes client commands."""

    def __init__(self, engines: Context, hub: Hub, rules: LiveConfig, asking: CommandBackend, spawn: Spawn) -> None:
        self._engines = engines
        self._hub = hub
        self._rules = rules
        self._backend = asking
        self._queue = InboundQueue(self._do, spawn, outlasting=True)
        self._command_table: dict[type[protocol.Command], Callable[[Connection, Any], Awaitable[protocol.Frame]]] = {
            protocol.SubscribeCommand: self._subscribe,
            protocol.UnsubscribeCommand: self._unsubscribe,
            protocol.PublishCommand: self._publish,
            protocol.TypingCommand: self._typing,
            protocol.CallCommand: self._call,
            protocol.AuthCommand: self._auth,
            protocol.PingCommand: self._ping,
            **dict.fromkeys(ACTIONS, self._mark),
        }
        self.limits = rules.limits

    def receive(self, connection: Connection, message: str | bytes) -> None:
        """Enqueue a frame; frames of a connection are executed in order."""
        if isinstance(message, bytes):
            self._send(connection, protocol.error(None, BadRequest("Frames are text, not binary.")))
        else:
            self._queue.enqueue(connection, message)

    async def _do(self, connection: Connection, message: str) -> None:
        self._send(connection, await self._respond(connection, message))

    async def _respond(self, connection: Connection, message: str) -> protocol.Frame:
        command = protocol.receive(message)
        if isinstance(command, protocol.InvalidFrame):
            return protocol.error(command.ref, command.error)
        try:
            return await self.perform(connection, command)
        except BellcastError as refusal:
            return protocol.error(command.ref, refusal)
        except Exception:
            log.exception("command failed", command=type(command).__name__)
            return protocol.error(command.ref, BellcastError())

    async def perform(self, connection: Connection, command: protocol.AnyCommand) -> protocol.Frame:
        """Execute a command and return its ack; raises BellcastError if it is refused."""
        return await self._command_table[type(command)](connection, command)

    def _send(self, connection: Connection, frame: protocol.Frame) -> None:
        if connection.phase is not Phase.CLOSED:
            connection.write_tracked(connection.dialect.encode_frame(frame))

    # --- one method per command

    async def _subscribe(self, connection: Connection, asked: protocol.SubscribeCommand) -> protocol.Frame:
        followed = connection.grants or {}
        new = [topic for topic in dict.fromkeys(asked.topics) if topic not in followed]
        given, refused = await topic_access.authorize_topics(
            self._engines.store, connection.principal, new, len(followed), self._rules
        )
        accepted = [topic for topic in dict.fromkeys(asked.topics) if topic in given or topic in followed]
        if refused and not accepted:
            raise _none_accepted(refused)
        self._hub.follow(connection, given)
        present = self.members(connection.principal, accepted)
        return protocol.ack(asked.ref, topics=accepted, refused=refused, **({"presence": present} if present else {}))

    def members(self, principal: Principal, asked: list[str] | tuple[str, ...]) -> dict[str, list[Member]]:
        """Return the members present, for those of the topics with presence tracking."""
        presence = self._hub.presence
        return {topic: presence.members(principal.tenant, topic) for topic in asked if presence.tracks(topic)}

    async def _unsubscribe(self, connection: Connection, asked: protocol.UnsubscribeCommand) -> protocol.Frame:
        self._hub.unfollow(connection, asked.topics)
        return protocol.ack(asked.ref, topics=asked.topics, refused=[])

    async def _publish(self, connection: Connection, asked: protocol.PublishCommand) -> protocol.Frame:
        principal = connection.principal
        validation.check(validation.topic("topic", asked.topic, self.limits))
        if (refusal := permissions.may_publish(principal, asked.topic)) is not None:
            raise Forbidden(refusal.message)
        validation.check(event_names.publishable("name", asked.name))
        validation.check_event(asked.name, asked.data, self.limits)
        event = LiveEvent(
            tenant=principal.tenant, name=asked.name, data=asked.data, topic=asked.topic, sender=connection.id
        )
        await self._engines.broker.publish(event)
        return protocol.ack(asked.ref)

    async def _typing(self, connection: Connection, asked: protocol.TypingCommand) -> protocol.Frame:
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
        return protocol.ack(asked.ref)

    async def _mark(self, connection: Connection, asked: protocol.MarkCommand) -> protocol.Frame:
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
        return protocol.ack(asked.ref, changed=marked.changed, unread=state.unread, unseen=state.unseen)

    async def _call(self, connection: Connection, asked: protocol.CallCommand) -> protocol.Frame:
        validation.check_event(asked.name, None, self.limits)
        return protocol.ack(asked.ref, data=await self._backend.call(connection, asked.name, asked.data))

    async def _auth(self, connection: Connection, asked: protocol.AuthCommand) -> protocol.Frame:
        fresh = await self._backend.renew(asked.token)
        before = connection.principal
        if (fresh.tenant, fresh.recipient) != (before.tenant, before.recipient):
            raise Forbidden("A fresh token must be the same recipient's: connect anew to be somebody else.")
        await self._hub.reauthorize(connection, fresh, self._engines.store, self._rules)
        ends = None if fresh.expires_at is None else times.to_rfc3339(fresh.expires_at)
        return protocol.ack(asked.ref, expires_at=ends)

    async def _ping(self, connection: Connection, asked: protocol.PingCommand) -> protocol.Frame:
        return protocol.pong(asked.ref)


def _none_accepted(refused: Sequence[topic_access.TopicRefused]) -> BellcastError:
    """Return the error of a `subscribe` with no topic granted: the code shared by all topics, else Forbidden."""
    detail = "; ".join(f"{one.topic}: {one.message}" for one in refused)
    kinds = {Invalid.code: Invalid, TooMany.code: TooMany}
    codes = {one.code for one in refused}
    return (kinds.get(codes.pop(), Forbidden) if len(codes) == 1 else Forbidden)(detail)
