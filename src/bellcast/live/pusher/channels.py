"""Pusher channels: authorization, subscription replies and client events."""

import asyncio
from typing import Any

import structlog
from msgspec import Struct

from bellcast import calls
from bellcast.auth import pusher_signatures as signatures
from bellcast.auth.permissions import Grant
from bellcast.calls import Call
from bellcast.errors import BadRequest, Forbidden, NoHandler
from bellcast.live import topic_access as following
from bellcast.live.connection.connection import Connection, Phase
from bellcast.live.connection.message_rate import MessageRateLimiter
from bellcast.live.pusher import protocol
from bellcast.live.pusher.call_context import PusherCallContext
from bellcast.live.pusher.context import PusherContext
from bellcast.live.pusher.presence_cache import PresenceCache
from bellcast.live.pusher.protocol import frames
from bellcast.live.pusher.signed_in_users import PusherUsers
from bellcast.model import topics, validation
from bellcast.model.events import LiveEvent, Member, topic_stream

log = structlog.get_logger(__name__)

TOO_FAST = 4301


class SubscriptionRefused(Exception):
    """A refused subscription, with the error fields that pusher-js receives."""

    def __init__(self, kind: str, message: str, status: int) -> None:
        super().__init__(message)
        self.kind, self.message, self.status = kind, message, status


class PusherChannels:
    """Executes channel commands of clients."""

    def __init__(self, wiring: PusherContext, users: PusherUsers, rosters: PresenceCache) -> None:
        self._context = wiring
        self._users = users
        self._presence_cache = rosters
        self._hub = wiring.hub
        self._limits = wiring.rules.limits
        self._rules = wiring.pusher
        self._rate_limiters: dict[Connection, MessageRateLimiter] = {}

    # --- subscriptions

    async def subscribe(self, connection: Connection, asked: protocol.PusherSubscribe) -> None:
        """Subscribe to the channel, or send the refusal in both forms that clients handle."""
        try:
            await self._subscribe(connection, asked)
        except SubscriptionRefused as refused:
            log.info("subscription refused", channel=asked.channel[:200], why=refused.message)
            channel = asked.channel
            self._send(connection, frames.subscription_error(channel, refused.kind, refused.message, refused.status))
            self._send(connection, frames.error(refused.message))

    async def _subscribe(self, connection: Connection, asked: protocol.PusherSubscribe) -> None:
        channel = asked.channel
        if channel.startswith(topics.TO_RECIPIENT):
            self._check_own(connection, channel)
            self._send(connection, frames.subscribed(channel))
            return
        self._check_name(channel)
        followed = self._hub.topics(connection)
        if channel in followed:
            raise BadRequest(f"This connection follows {channel} already.")
        self._check_room(len(followed))
        grant, member = await self._authorize(connection, asked, len(followed))
        if connection.phase is not Phase.CLOSED:
            self._hub.follow(connection, {channel: grant}, member)
            self._send(connection, frames.subscribed(channel, self._presence_snapshot(connection, channel)))
            if topics.is_cache(channel):
                await self._send_cached_event(connection, channel)

    def unsubscribe(self, connection: Connection, channel: str) -> None:
        """Unsubscribe from the channel; there is no reply."""
        self._hub.unfollow(connection, (channel,))

    async def _authorize(
        self, connection: Connection, asked: protocol.PusherSubscribe, followed: int
    ) -> tuple[Grant, Member | None]:
        """Return the grant and, on a presence channel, the member; raises SubscriptionRefused if not authorized."""
        if topics.is_presence(asked.channel):
            return Grant.APP, self._member(connection, asked)
        if topics.is_private(asked.channel):
            self._check_signature(connection, asked, None)
            return Grant.APP, None
        wiring = self._context
        given, refused = await following.authorize_topics(
            wiring.engines.store, connection.principal, (asked.channel,), followed, wiring.rules
        )
        if refused:
            raise SubscriptionRefused("AuthError", f"{asked.channel}: {refused[0].message}", 403)
        return given[asked.channel], None

    def _check_own(self, connection: Connection, channel: str) -> None:
        if connection.principal.recipient != topics.recipient(channel):
            raise SubscriptionRefused(
                "AuthError", f"{channel} is for the connections signed in as that user only.", 401
            )

    def _check_name(self, channel: str) -> None:
        for wrong in validation.topic("channel", channel, self._limits):
            raise SubscriptionRefused("InvalidName", f"A channel's name {wrong.message}.", 400)

    def _check_room(self, followed: int) -> None:
        limit = self._limits.topics_per_connection
        if limit and followed >= limit:
            raise SubscriptionRefused("LimitReached", f"A connection follows at most {limit} channels.", 403)

    def _check_signature(
        self, connection: Connection, asked: protocol.PusherSubscribe, channel_data: str | None
    ) -> None:
        project = self._context.project
        signed = signatures.channel_string(connection.id, asked.channel, channel_data)
        if not signatures.is_valid(project, asked.auth or "", signed):
            message = f"{asked.channel}: the signature does not hold. It must be {project.key}:<hex HMAC-SHA256> of "
            raise SubscriptionRefused("AuthError", f"{message}{signed[:1000]!r} under the secret of that key.", 401)

    def _member(self, connection: Connection, asked: protocol.PusherSubscribe) -> Member:
        self._check_signature(connection, asked, asked.channel_data)
        principal, limit = connection.principal, self._rules.presence_members
        if limit and self._presence_cache.count(principal.tenant, asked.channel) >= limit:
            raise SubscriptionRefused("LimitReached", f"{asked.channel} has {limit} members already.", 403)
        if asked.channel_data is None:
            if principal.recipient is None:
                raise SubscriptionRefused("AuthError", f"{asked.channel}: send channel_data, or sign in first.", 401)
            return Member(recipient=principal.recipient, name=principal.name, info=self._users.info(connection))
        said = protocol.read_member(asked.channel_data)
        if isinstance(said, str):
            raise SubscriptionRefused("AuthError", f"{asked.channel}: {said}", 401)
        for wrong in validation.data("user_info", said.user_info, 0):  # it is also sent to other nodes
            raise SubscriptionRefused(
                "AuthError", f"{asked.channel}: channel_data: {wrong.field} {wrong.message}.", 401
            )
        return Member(recipient=said.user_id, info=said.user_info)

    def _presence_snapshot(self, connection: Connection, channel: str) -> str:
        if not topics.is_presence(channel):
            return frames.EMPTY
        return self._presence_cache.snapshot(connection.principal.tenant, channel)

    async def _send_cached_event(self, connection: Connection, channel: str) -> None:
        engines, tenant = self._context.engines, connection.principal.tenant
        since = engines.clock.now() - int(self._rules.cache_ttl * 1000)
        last = await engines.store.topics.get(tenant, channel, since)
        if last is None:
            self._send(connection, frames.cache_miss(channel))
            self._context.webhooks.missed(channel, since)
        else:
            self._send(connection, frames.event(last.name, channel, last.data))

    # --- client events

    async def client_event(self, connection: Connection, asked: protocol.ClientEvent) -> None:
        """Send a client event to the other subscribers and to the app."""
        self._check_event(connection, asked)
        if self._is_rate_limited(connection):
            limit = self._rules.client_events_per_second
            self._send(connection, frames.error(f"At most {limit} client events a second.", TOO_FAST))
            return
        wiring, principal = self._context, connection.principal
        member = None
        if topics.is_presence(asked.channel):
            member = self._hub.presence.member_key(principal, asked.channel, connection.id)
        event = LiveEvent(
            tenant=principal.tenant,
            name=asked.event,
            data=asked.data,
            topic=asked.channel,
            sender=connection.id,
            member=member,
        )
        await wiring.engines.broker.publish(event)
        wiring.webhooks.client_event(event)
        await self._call(connection, asked)

    def _check_event(self, connection: Connection, asked: protocol.ClientEvent) -> None:
        if not self._rules.client_events:
            raise Forbidden("Client events are off here (BELLCAST_PUSHER_CLIENT_EVENTS).")
        stream = topic_stream(connection.principal.tenant, asked.channel)
        if not topics.is_private(asked.channel) or stream not in connection.streams:
            raise Forbidden("Client events are told on private and presence channels that the sender follows.")
        validation.check_event(asked.event, None, self._limits)
        validation.check(validation.data("data", asked.data, 0))  # the size is checked below, as encoded for clients
        limit = self._limits.event_data
        if limit and len(frames.text(asked.data).encode(errors="surrogatepass")) > limit:
            raise BadRequest(f"{asked.event[:50]}: the data must have at most {limit} bytes.")

    def _is_rate_limited(self, connection: Connection) -> bool:
        pace = self._rate_limiters.get(connection)
        if pace is None:
            pace = self._rate_limiters[connection] = MessageRateLimiter(self._rules.client_events_per_second)
        return pace.hit(asyncio.get_running_loop().time())

    # --- the app's handlers

    async def _call(self, connection: Connection, asked: protocol.ClientEvent) -> None:
        """Call the handler named like the event without its prefix; a reply is sent as an event of that name."""
        name = asked.event.removeprefix("client-")
        if name in (calls.CONNECT, calls.DISCONNECT):
            return
        try:
            call = await self.call_app(connection, name, asked.channel, asked.data)
        except NoHandler:
            return
        except calls.Refused as refused:
            raise Forbidden(refused.message) from None
        if call is not None and call.reply is not None:
            self._send(connection, frames.event(name, asked.channel, frames.text(call.reply)))

    async def call_app(self, connection: Connection, name: str, channel: str | None, data: Any) -> "AppReply | None":
        """Call the app's handler of that name; None if there is no handler."""
        wiring, principal = self._context, connection.principal
        if not wiring.app.has(name):
            return None
        port = PusherCallContext(wiring.engines, wiring.hub, connection, channel)
        call = Call(
            port,
            name,
            () if data is None else (data,),
            recipient=principal.recipient,
            connection=connection.id,
            dialect="pusher",
            tenant=principal.tenant,
            roles=principal.roles or (),
        )
        try:
            return AppReply(await wiring.app.dispatch(call), call.accepted)
        finally:
            self._close_if_requested(connection, port, at_once=name == calls.CONNECT)

    def _close_if_requested(self, connection: Connection, port: PusherCallContext, *, at_once: bool) -> None:
        """Close the connection if the handler requested it: at once during `connect`, else after the reply, which is
        sent before the next event loop iteration."""
        if port.close_reason is not None and at_once:
            self._hub.end(connection, port.close_reason)
        elif port.close_reason is not None:
            asyncio.get_running_loop().call_soon(self._hub.end, connection, port.close_reason)

    def disconnected(self, connection: Connection) -> None:
        """Discard the connection's rate limiter."""
        self._rate_limiters.pop(connection, None)

    def _send(self, connection: Connection, frame: bytes) -> None:
        if connection.phase is not Phase.CLOSED:
            connection.write_tracked(connection.dialect.encode_frame(frame))


class AppReply(Struct, frozen=True):
    """Result of a call to the app."""

    reply: Any
    accepted: calls.Accepted | None
