"""Pusher channels: authorization, subscription replies and client events."""

import asyncio
from typing import Any

import structlog
from msgspec import Struct

from bellcast import calls
from bellcast.auth.permissions import Grant
from bellcast.kernel import validation
from bellcast.kernel.errors import BadRequest, Forbidden, NoHandler
from bellcast.kernel.events import LiveEvent, topic_stream
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.live import resume
from bellcast.live.connection import Connection, Phase
from bellcast.live.hub import subscriptions as following
from bellcast.live.native.app_callbacks import NativeCallContext
from bellcast.live.pusher import protocol, signatures
from bellcast.live.pusher.apps import ConnectedApps
from bellcast.live.pusher.plugin import PusherConfig
from bellcast.live.pusher.signed_in_users import PusherUsers
from bellcast.live.pusher.webhooks import PusherWebhooks
from bellcast.live.types import PresenceChanged, TopicRefused
from bellcast.live.wiring import LiveContext
from bellcast.topics import publishing
from bellcast.topics.store import LastEvent, LastEvents
from bellcast.topics.types import Member, is_cache, is_presence, is_private

log = structlog.get_logger(__name__)

TOO_FAST = 4301
# Maximum queries for the last event of a channel, which are repeated while events arrive. On a channel this busy, the
# next event corrects an outdated one.
MAX_CACHE_QUERIES = 5
# Time in which a saved event is delivered to this process, usually milliseconds.
DELIVERY_SECONDS = 0.2
# Maximum characters of a refused channel's name in the log if the length of topic names is unlimited.
MAX_LOGGED_CHANNEL = 200


class SubscriptionRefused(Exception):
    """A refused subscription, with the error fields that pusher-js receives. `reason` is the message for the log and
    the live feed, which must not contain user data."""

    def __init__(self, kind: str, message: str, status: int, reason: str | None = None) -> None:
        super().__init__(message)
        self.kind, self.message, self.status = kind, message, status
        self.reason = message if reason is None else reason


class PresenceCache(Struct, eq=False):
    """Members of presence channels as encoded frame fragments, updated with every change. With thousands of members, encoding
    them for each new subscriber would cost more than sending them."""

    _ids: dict[tuple[str, str], dict[str, str]] = {}
    _entries: dict[tuple[str, str], dict[str, str]] = {}

    def apply(self, event: PresenceChanged) -> None:
        if not is_presence(event.topic):
            return
        key = (event.tenant, event.topic)
        ids, entries = self._ids.setdefault(key, {}), self._entries.setdefault(key, {})
        for member in event.joined:
            ids[member.recipient], entries[member.recipient] = protocol.presence_entry(member)
        for member in event.left:
            ids.pop(member.recipient, None)
            entries.pop(member.recipient, None)
        if not ids:
            del self._ids[key], self._entries[key]

    def count(self, tenant: str, channel: str) -> int:
        return len(self._ids.get((tenant, channel), ()))

    def snapshot(self, tenant: str, channel: str) -> str:
        ids = self._ids.get((tenant, channel), {})
        return protocol.presence_snapshot(ids.values(), self._entries.get((tenant, channel), {}).values(), len(ids))


class PusherChannels:
    def __init__(
        self,
        live: LiveContext,
        apps: ConnectedApps,
        webhooks: PusherWebhooks,
        users: PusherUsers,
        presence_cache: PresenceCache,
    ) -> None:
        self._live = live
        self._apps = apps
        self._webhooks = webhooks
        self._users = users
        self._presence_cache = presence_cache
        self._config: PusherConfig = live.settings["pusher"]
        self._rates = TokenBuckets()  # of client events, by connection

    # --- subscriptions

    async def subscribe(self, connection: Connection, command: protocol.PusherSubscribe) -> None:
        """Subscribe to the channel, or send the error in the two forms that clients handle."""
        try:
            await self._subscribe(connection, command)
        except SubscriptionRefused as refused:
            channel, shown = command.channel, command.channel[: self._live.config.limits.topic or MAX_LOGGED_CHANNEL]
            log.info("subscription_refused", channel=shown, reason=refused.reason)
            self._live.hub.callbacks.topics_refused(connection, (TopicRefused(shown, refused.kind, refused.reason),))
            connection.send_frame(protocol.subscription_error(channel, refused.kind, refused.message, refused.status))
            connection.send_frame(protocol.error(refused.message))

    async def _subscribe(self, connection: Connection, command: protocol.PusherSubscribe) -> None:
        channel = command.channel
        only = self._apps.only_channel(connection)
        if only not in (None, channel):
            raise SubscriptionRefused(
                "AuthError", f"This app is being tested: it may use only the channel {only}.", 403
            )
        if channel.startswith(protocol.TO_RECIPIENT):
            if connection.principal.recipient != protocol.recipient_of(channel):
                raise SubscriptionRefused(
                    "AuthError", f"{channel} is only for connections signed in as that user.", 401
                )
            connection.send_frame(protocol.subscribed(channel))
            return
        for problem in validation.topic("channel", channel, self._live.config.limits):
            raise SubscriptionRefused("InvalidName", f"A channel's name {problem.message}.", 400)
        followed = connection.grants or {}
        if channel in followed:
            raise BadRequest(f"This connection already follows {channel}.")
        limit = self._live.config.limits.topics_per_connection
        if limit and len(followed) >= limit:
            raise SubscriptionRefused("LimitReached", f"A connection follows at most {limit} channels.", 403)
        grant, member = await self._authorize(connection, command, len(followed))
        await resume.confirm(self._live.hub, connection, (channel,))
        streams = [] if member is None else [topic_stream(connection.principal.tenant, channel)]
        async with self._live.hub.groups.observing(streams):
            if member is not None:
                self._check_members(connection, channel, member)  # with those on other nodes
            if connection.phase is Phase.CLOSED:
                return
            self._live.hub.subscriptions.follow(connection, {channel: grant}, member)
        tenant, members = connection.principal.tenant, self._presence_cache
        snapshot = members.snapshot(tenant, channel) if is_presence(channel) else protocol.EMPTY
        connection.send_frame(protocol.subscribed(channel, snapshot))
        if is_cache(channel):
            await self._send_cached_event(connection, channel)

    def unsubscribe(self, connection: Connection, channel: str) -> None:
        self._live.hub.subscriptions.unfollow(connection, (channel,))

    async def _authorize(
        self, connection: Connection, command: protocol.PusherSubscribe, followed: int
    ) -> tuple[Grant, Member | None]:
        """Return the grant and, on a presence channel, the member; raises SubscriptionRefused if not authorized."""
        if is_presence(command.channel):
            self._check_signature(connection, command, command.channel_data)
            principal = connection.principal
            if command.channel_data is not None:
                member = protocol.read_member(command.channel_data)
                if isinstance(member, str):
                    raise SubscriptionRefused("AuthError", f"{command.channel}: {member}", 401)
            elif principal.recipient is not None:
                member = Member(recipient=principal.recipient, name=principal.name, info=self._users.info(connection))
            else:
                raise SubscriptionRefused("AuthError", f"{command.channel}: send channel_data, or sign in first.", 401)
            self._check_members(connection, command.channel, member)
            return Grant.APP, member
        if is_private(command.channel):
            self._check_signature(connection, command, None)
            return Grant.APP, None
        granted, refused = await following.authorize_topics(
            self._live.engines.db, connection.principal, (command.channel,), followed, self._live.config
        )
        if refused:
            raise SubscriptionRefused("AuthError", f"{command.channel}: {refused[0].message}", 403)
        return granted[command.channel], None

    def _check_signature(
        self, connection: Connection, command: protocol.PusherSubscribe, channel_data: str | None
    ) -> None:
        apps = self._apps
        signed = signatures.channel_string(connection.id, command.channel, channel_data)
        if not signatures.is_valid_for_any(apps.credentials(connection), command.auth or "", signed):
            key = apps.key(connection)
            reason = f"{command.channel}: the signature is invalid."
            message = f"{reason} It must be {key}:<hex HMAC-SHA256> of {signed[:1000]!r} under the secret of that key."
            raise SubscriptionRefused("AuthError", message, 401, reason)

    def _check_members(self, connection: Connection, channel: str, member: Member) -> None:
        limit, tenant = self._config.presence_members, connection.principal.tenant
        is_new = not self._live.hub.presence.is_present(tenant, channel, member.recipient)
        if limit and is_new and self._presence_cache.count(tenant, channel) >= limit:
            raise SubscriptionRefused("LimitReached", f"{channel} already has {limit} members.", 403)

    async def _send_cached_event(self, connection: Connection, channel: str) -> None:
        """Send the last event of a cache channel, unless it or a newer one was delivered since the subscription."""
        engines, tenant = self._live.engines, connection.principal.tenant
        since = engines.clock.now() - int(self._config.cache_ttl * 1000)
        last: LastEvent | None = None
        with self._live.hub.dispatcher.collected.collecting([topic_stream(tenant, channel)]) as delivered:
            for _ in range(MAX_CACHE_QUERIES):
                count = len(delivered)
                last = await LastEvents(engines.db).get(tenant, channel, since)
                # Saved a moment ago, it may be delivered to the new subscriber as well.
                is_new = last is not None and engines.clock.now() - last.at < DELIVERY_SECONDS * 1000
                if last is not None and is_new and not any(_is_same(event, last) for event in delivered):
                    await engines.clock.sleep(DELIVERY_SECONDS)
                # Events are saved before they are delivered, so a query with no delivery in the meantime returns the
                # last delivered event or a newer one. Client events are delivered but not saved.
                if count == len(delivered):
                    break
        if connection.phase is Phase.CLOSED:
            return
        if last is not None and any(_is_same(event, last) for event in delivered):
            return
        if last is None:
            connection.send_frame(protocol.cache_miss(channel))
            if tenant == DEFAULT_TENANT:
                self._webhooks.missed(channel, since)
        else:
            connection.send_frame(protocol.event_frame(last.name, channel, last.data))

    # --- client events

    async def client_event(self, connection: Connection, command: protocol.ClientEvent) -> None:
        if not self._config.client_events:
            raise Forbidden("Client events are turned off (BELLCAST_PUSHER_CLIENT_EVENTS).")
        stream = topic_stream(connection.principal.tenant, command.channel)
        if not is_private(command.channel) or stream not in connection.streams:
            raise Forbidden("Client events need a private or presence channel that the sender is subscribed to.")
        validation.check_event(command.event, None, self._live.config.limits)
        validation.check(validation.data("data", command.data, 0))  # the size is checked below, as encoded for clients
        limit = self._live.config.limits.event_data
        if limit and len(protocol.text(command.data).encode(errors="surrogatepass")) > limit:
            raise BadRequest(f"{command.event[:50]}: the data may have at most {limit} bytes.")
        limit, now = self._config.client_events_per_second, int(asyncio.get_running_loop().time() * 1000)
        if self._rates.take(connection.id, limit, now):
            connection.send_frame(protocol.error(f"At most {limit} client events per second.", TOO_FAST))
            return
        principal, member = connection.principal, None
        if is_presence(command.channel):
            member = self._live.hub.presence.member_key(principal, command.channel, connection.id)
        event = LiveEvent(
            tenant=principal.tenant,
            name=command.event,
            data=command.data,
            topic=command.channel,
            sender=connection.id,
            member=member,
        )
        await publishing.deliver(self._live.engines, event)
        if event.tenant == DEFAULT_TENANT:
            self._webhooks.client_event(event)
        # Call the handler named like the event without its prefix; a reply is sent as an event of that name
        name = command.event.removeprefix("client-")
        if name in (calls.CONNECT, calls.DISCONNECT) or not self._live.app.has(name):
            return
        try:
            args = () if command.data is None else (command.data,)
            reply = await PusherCallContext(self._live, connection, command.channel).call(name, args)
        except NoHandler:
            return
        if reply is not None:
            connection.send_frame(protocol.event_frame(name, command.channel, protocol.text(reply)))


def _is_same(event: LiveEvent, last: LastEvent) -> bool:
    data = protocol.text(event.data) if event.text is None else event.text
    return (event.name, data) == (last.name, last.data)


class PusherCallContext(NativeCallContext):
    """Calls the app's handlers for one connection. `channel` is the channel of the client event.

    A `connect` handler, which has no channel, runs before the connection is established: its frames and topics wait until
    `flush`.
    """

    def __init__(self, live: LiveContext, connection: Connection, channel: str | None = None) -> None:
        super().__init__(live, connection)
        self._channel = channel
        if channel is not None:  # the connection may be signing in, which opens it again
            self.pending_frames = self.pending_topics = None

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        data = args[0] if len(args) == 1 else list(args) or None
        self._emit(
            self._connection.dialect.encode_frame(protocol.event_frame(name, self._channel, protocol.text(data)))
        )

    async def join(self, topic: str) -> None:
        """Subscribe the connection to a topic and notify the client. The app's call authorizes it."""
        is_joining = self.pending_topics is None
        await super().join(topic)
        if is_joining:
            self._emit(self._connection.dialect.encode_frame(protocol.subscribed(topic)))

    async def flush(self) -> None:
        """Join the topics of a `connect` handler, and send its frames, after the connection is established."""
        topics, self.pending_topics = self.pending_topics or (), None
        emitted, self.pending_frames = self.pending_frames or (), None
        for topic in topics:
            await self.join(topic)
        for frame in emitted:
            self._emit(frame)
