"""Client commands over a WebSocket, executed in order per connection. The reply to each is an `ack` or `error`."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog

from bellcast import calls
from bellcast.auth import permissions
from bellcast.inbox import inboxes
from bellcast.inbox.types.inboxes import Position
from bellcast.kernel import times, validation
from bellcast.kernel.errors import BadRequest, BellcastError, Forbidden, Invalid, NoHandler, TooMany
from bellcast.kernel.events import LiveEvent, topic_stream
from bellcast.kernel.identities import Principal
from bellcast.live import resume
from bellcast.live.connection import Connection, Phase
from bellcast.live.connection.dialect import Payload
from bellcast.live.connection.inbound_queue import TOPICS_PER_MESSAGE, InboundQueue
from bellcast.live.hub import subscriptions
from bellcast.live.native import protocol
from bellcast.live.native.app_callbacks import NativeCallContext
from bellcast.live.types import PUSHER_PREFIXES, SERVER_EVENTS, SOCKETIO_LIFECYCLE, TopicRefused, Typing
from bellcast.live.wiring import LiveContext
from bellcast.topics import publishing
from bellcast.topics.types import Member

log = structlog.get_logger(__name__)

# A request can name 100 topics, whose refusals are about 170 bytes each. The live feed has more.
MAX_SHOWN_REFUSALS = 5
# Typing to this many followers takes as much CPU time as another message.
FOLLOWERS_PER_MESSAGE = 15
# Messages as which typing counts at most. It also counts as at most half a second's.
MAX_TYPING_MESSAGES = 100


class Commands:
    def __init__(self, live: LiveContext) -> None:
        self._live = live
        self.limits = limits = live.config.limits
        self._queue = InboundQueue(
            self._respond, live.spawn, limits.frame, limits.frames_per_second, survives_disconnect=True
        )

    def receive(self, connection: Connection, message: str | bytes) -> None:
        if isinstance(message, bytes):
            connection.send_frame(protocol.error(None, BadRequest("Frames are text, not binary.")))
        else:
            self._queue.enqueue(connection, message, len(message))

    async def _respond(self, connection: Connection, message: str) -> None:
        command = protocol.receive(message)
        if isinstance(command, Payload):
            connection.send_frame(command)
            return
        try:
            reply = await self.perform(connection, command)
        except BellcastError as error:
            reply = protocol.error(command.ref, error)
        except Exception:
            log.exception("command_failed", command=type(command).__name__)
            reply = protocol.error(command.ref, BellcastError())
        connection.send_frame(reply)

    async def perform(self, connection: Connection, command: protocol.ClientCommand) -> Payload:
        """Execute a command and return its ack; raises BellcastError if it is refused."""
        match command:
            case protocol.PingCommand(ref=ref):
                return protocol.pong(ref)
            case protocol.SubscribeCommand():
                return await self._subscribe(connection, command)
            case protocol.UnsubscribeCommand(topics=topics):
                await self._queue.pace(connection, len(topics) // TOPICS_PER_MESSAGE)
                self._live.hub.subscriptions.unfollow(connection, topics)
                return protocol.ack(command.ref, topics=topics, refused=[])
            case protocol.PublishCommand():
                return await self._publish(connection, command)
            case protocol.TypingCommand(topic=topic, on=on):
                tenant, recipient = connection.principal.tenant, connection.principal.recipient
                if recipient is None or topic not in (connection.grants or ()):
                    raise Forbidden("Typing is shown only on topics that this connection follows: subscribe first.")
                event = Typing(tenant=tenant, topic=topic, recipient=recipient, on=on, sender=connection.id)
                messages = self._live.hub.subscriptions.total(event.stream) // FOLLOWERS_PER_MESSAGE
                most = min(MAX_TYPING_MESSAGES, self.limits.frames_per_second // 2)
                if await self._queue.pace(connection, min(messages, most)):
                    await self._live.engines.broker.publish(event)
                return protocol.ack(command.ref)
            case protocol.CallCommand(name=name):
                validation.check_event(name, None, self.limits)
                if name in (calls.CONNECT, calls.DISCONNECT):
                    raise NoHandler(f"{name[:100]!r} cannot be called.")
                args = () if command.data is None else (command.data,)
                reply = await NativeCallContext(self._live, connection).call(name, args)
                return protocol.ack(command.ref, data=reply)
            case protocol.AuthCommand(token=token):
                return await self._auth(connection, command.ref, token)
            case protocol.MarkCommand(of=of):
                if connection.principal.recipient is None:
                    raise Forbidden("An anonymous connection has no inbox: connect with a session token.")
                if of is not None and not command.all:
                    raise Invalid.of("of", 'may only be given with "all": true')
                chosen = inboxes.parse_selection(command.ids, everything=command.all, limits=self.limits)
                marking = inboxes.marking_of(protocol.MARKS[type(command)], chosen, of)
                marked = await inboxes.mark(self._live.engines, connection.principal.tenant, connection.inbox, marking)
                state = marked.state
                return protocol.ack(command.ref, changed=marked.changed, unread=state.unread, unseen=state.unseen)
        raise TypeError(type(command))

    async def _subscribe(self, connection: Connection, command: protocol.SubscribeCommand) -> Payload:
        await self._queue.pace(connection, len(command.topics) // TOPICS_PER_MESSAGE)
        while True:
            followed = connection.grants or {}
            _check_not_followed(command, followed)
            named = dict.fromkeys(command.topics)
            granted, refused = await subscriptions.authorize_topics(
                self._live.engines.db,
                connection.principal,
                [topic for topic in named if topic not in followed],
                len(followed),
                self._live.config,
            )
            if refused:
                self._live.hub.callbacks.topics_refused(connection, refused)
            accepted = [topic for topic in named if topic in granted or topic in followed]
            if refused and not accepted:
                raise _none_accepted(refused)
            async with self.knowing_members(connection.principal, granted):
                past = await resume.read(
                    self._live.hub, connection, granted, command.position, command.rewind, is_partial=True
                )
                _check_not_followed(command, connection.grants or {})  # the app may have joined it in the meantime
                if not past.events or connection.phase is not Phase.REPLAYING:
                    self._live.hub.subscriptions.follow(connection, granted)
                    break
            # One replay of a connection runs at a time. A slow reader may take minutes: authorize and read again.
            await self._live.hub.wait_replayed(connection)
        if past.events:
            await resume.send(self._live.hub, connection, past, protocol.encode_rewound)
            if connection.phase is Phase.REPLAYING and connection.inbox:
                start = Position(connection.epoch, connection.revision)
                await resume.replay(self._live.engines.db, connection, None, start, self.limits)
            elif connection.phase is Phase.REPLAYING:
                connection.go_live()
        fields: dict[str, Any] = {"id": self._live.hub.newest_event(connection)}
        if command.position is not None:
            fields["recovered"] = past.recovered
        present = self.members(connection.principal, accepted)
        more = {"presence": present} if present else {}
        return protocol.ack(command.ref, topics=accepted, refused=refused, **fields, **more)

    def knowing_members(self, principal: Principal, topics: Collection[str]) -> AbstractAsyncContextManager[None]:
        """Know the members on other nodes, of topics with presence, before a connection follows. Read missed events within:
        those of the wait for the members would be lost after it."""
        presence = self._live.hub.presence
        return self._live.hub.groups.observing(
            [topic_stream(principal.tenant, topic) for topic in topics if presence.tracks(topic)]
        )

    def members(self, principal: Principal, topics: Iterable[str]) -> dict[str, list[Member]]:
        """Return the present members of those topics that have presence tracking."""
        presence = self._live.hub.presence
        return {topic: presence.members(principal.tenant, topic) for topic in topics if presence.tracks(topic)}

    async def _publish(self, connection: Connection, command: protocol.PublishCommand) -> Payload:
        principal = connection.principal
        validation.check(validation.topic("topic", command.topic, self.limits))
        if (refusal := permissions.may_publish(principal, command.topic)) is not None:
            raise Forbidden(refusal)
        name = command.name
        if name in SERVER_EVENTS or name in SOCKETIO_LIFECYCLE or name.startswith(PUSHER_PREFIXES):
            raise Invalid.of("name", f"must not be {name[:50]!r}, which only the server sends: choose another name")
        validation.check_event(name, command.data, self.limits)
        event = LiveEvent(
            tenant=principal.tenant,
            name=name,
            data=command.data,
            topic=command.topic,
            sender=connection.id,
            keep=command.keep,
        )
        (published,) = await self._live.engines.history.append(event)
        await publishing.deliver(self._live.engines, published)
        return protocol.ack(command.ref, **({} if published.id is None else {"id": published.id}))

    async def _auth(self, connection: Connection, ref: Any, token: str) -> Payload:
        fresh = await self._live.authenticator.session(token)
        before = connection.principal
        if (fresh.tenant, fresh.recipient) != (before.tenant, before.recipient):
            raise Forbidden(
                "A fresh token must be for the same recipient: open a new connection for another recipient."
            )
        # After the check, because it writes the session's name and roles to the recipient's record.
        fresh = fresh.with_name((await inboxes.reopen(self._live.engines, fresh, None)).inbox.name)
        await self._live.hub.subscriptions.reauthorize(connection, fresh, self._live.engines.db, self._live.config)
        ends = None if fresh.expires_at is None else times.to_rfc3339(fresh.expires_at)
        return protocol.ack(ref, expires_at=ends)


def _check_not_followed(command: protocol.SubscribeCommand, followed: Collection[str]) -> None:
    """Refuse the replay of a topic that the connection already follows. It would repeat events, and the server does not
    record which events it has sent."""
    field = "rewind" if command.rewind else None if command.position is None else "position"
    again = next((topic for topic in command.topics if topic in followed), None)
    if field is not None and again is not None:
        raise Invalid.of(
            field, f"cannot replay {again}, which this connection already follows: unsubscribe from it first"
        )


def _none_accepted(refused: Sequence[TopicRefused]) -> BellcastError:
    """Return the error of a `subscribe` that grants no topic: the error of all topics if they have the same code, else
    Forbidden. The text names the first ones."""
    shown = [f"{one.topic}: {one.message}" for one in refused[:MAX_SHOWN_REFUSALS]]
    more = len(refused) - len(shown)
    detail = "; ".join(shown) + (f"; and {more} more topics." if more else "")
    kinds = {Invalid.code: Invalid, TooMany.code: TooMany}
    codes = {one.code for one in refused}
    return (kinds.get(codes.pop(), Forbidden) if len(codes) == 1 else Forbidden)(detail)
