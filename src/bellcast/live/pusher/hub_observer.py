"""Pusher events derived from the hub: subscription counts, online status, and inbox changes on aliases, which are
channels that an app already subscribes to."""

import asyncio
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from bellcast.inbox.types.inboxes import InboxEvent, NotificationAdded
from bellcast.kernel.events import SEPARATOR, TOPIC, Stream, topic_stream
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.live.cluster.groups import PresenceKey
from bellcast.live.cluster.guardians import Holder
from bellcast.live.connection.connection import Connection
from bellcast.live.connection.dialect import Dialect, payload_of
from bellcast.live.hub.hub import Hub
from bellcast.live.pusher import protocol
from bellcast.live.pusher.apps import ConnectedApps
from bellcast.live.pusher.plugin import PusherConfig, alias, aliased
from bellcast.live.pusher.protocol import PusherDialect
from bellcast.live.pusher.signed_in_users import PusherUsers
from bellcast.live.pusher.webhooks import PusherWebhooks
from bellcast.live.types import PresenceChanged
from bellcast.topics.types import is_presence


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


# Channels with more subscribers than this get their count at most once per interval.
DIRECT_SUBSCRIBERS, COUNT_INTERVAL_SECONDS = 100, 5.0
# While a new subscriber of a cache channel waits for the last event, which comes first, the count waits too.
CACHE_SECONDS = 0.1
# Prefix of Laravel's private channels for model classes.
LARAVEL = "App."


# The kind of ends that guardians report: of channels, and of members of presence channels.
HELD = "pusher"


class PusherObserver(Struct, eq=False):
    hub: Hub
    config: PusherConfig
    apps: ConnectedApps
    webhooks: PusherWebhooks
    users: PusherUsers
    presence_cache: PresenceCache
    _counting: dict[Stream, bool] = {}  # channel -> whether to notify the app too
    # Members that came here ("": a first follower) while those on other nodes were unknown
    _unreported: dict[Stream, set[str]] = {}

    def __post_init__(self) -> None:
        self.hub.guardians.holders[HELD] = Holder(self._end_held, self._begin_again)

    # --- subscribers

    @property
    def has_count_receivers(self) -> bool:
        """True if Pusher clients may be connected or webhooks are configured."""
        return self.apps.is_used or self.webhooks.is_configured

    def subscription_count_changed(self, stream: Stream, here: int, change: int, *, is_here: bool) -> None:
        if not stream.startswith(TOPIC):
            count = self.hub.subscriptions.total(stream) if self.users.has_watchers else None
            if count in (0, change):  # the user came online or went offline
                _, tenant, recipient = stream.split(SEPARATOR, 2)
                self.users.on_changed(tenant, recipient, is_online=count > 0)
            return
        if not self.has_count_receivers:
            return
        count = self.hub.subscriptions.total(stream)
        _, tenant, name = stream.split(SEPARATOR, 2)
        # The project's webhooks only report the default tenant.
        if tenant == DEFAULT_TENANT:
            # Send webhooks on the node where the change happened; for a dead node, on its guardian
            if is_here and here == change:
                self._hold(stream, "")
                self._report_begin(stream, "")
            elif is_here and here == 0:
                self._report_end(stream, "")
        if not self.config.subscription_count or is_presence(name):
            return
        # One count for all changes in this event loop iteration, sent after the reply to the new subscriber.
        if stream not in self._counting:
            delay = 0 if count <= DIRECT_SUBSCRIBERS else COUNT_INTERVAL_SECONDS
            asyncio.get_running_loop().call_later(delay, self._count, stream, name)
        self._counting[stream] = self._counting.get(stream, False) or is_here

    def presence_changed(self, change: PresenceChanged, *, is_here: bool) -> None:
        self.presence_cache.apply(change)
        if change.tenant != DEFAULT_TENANT or not is_presence(change.topic):
            return
        if is_here:
            for member in change.joined:
                self._report_begin(change.stream, member.recipient)

    def node_joined(self, key: PresenceKey) -> None:
        tenant, channel, recipient = key
        if tenant == DEFAULT_TENANT and is_presence(channel):
            self._hold(topic_stream(tenant, channel), recipient)

    def node_left(self, key: PresenceKey) -> None:
        tenant, channel, recipient = key
        if tenant == DEFAULT_TENANT and is_presence(channel):
            self._report_end(topic_stream(tenant, channel), recipient)

    # --- webhooks

    def _hold(self, stream: Stream, member: str) -> None:
        """Let a guardian report the end of the channel or the membership if this node dies."""
        if self.webhooks.is_configured:
            self.hub.guardians.hold(HELD, stream + SEPARATOR + member)

    def _end_held(self, name: str, _payload: bytes) -> None:
        _, _, channel, member = name.split(SEPARATOR, 3)
        self.webhooks.ended(channel, member)
        self.hub.guardians.release(HELD, name)

    def _begin_again(self, name: str) -> None:
        """Report what has not ended here, but was reported as ended because this node was regarded as dead."""
        kind, tenant, channel, member = name.split(SEPARATOR, 3)
        stream = Stream(SEPARATOR.join((kind, tenant, channel)))
        self._hold(stream, member)
        self._report_begin(stream, member)

    def _report_begin(self, stream: Stream, member: str) -> None:
        """Report an occupied channel or, with a `member`, who joined it; later if other nodes may have it already."""
        if not self.webhooks.is_configured:
            return
        groups, channel = self.hub.groups, stream.split(SEPARATOR, 2)[2]
        if not groups.is_known(stream):
            self._unreported.setdefault(stream, set()).add(member)
        elif not groups.count_before(stream, member or None):
            self.webhooks.began(channel, member)

    def _report_end(self, stream: Stream, member: str) -> None:
        self.hub.guardians.release(HELD, stream + SEPARATOR + member)
        unreported = self._unreported.get(stream, set())
        if member in unreported:
            unreported.discard(member)
            if not unreported:
                del self._unreported[stream]
        else:
            self.webhooks.ended(stream.split(SEPARATOR, 2)[2], member)

    def group_known(self, stream: Stream) -> None:
        for member in self._unreported.pop(stream, ()):
            self._report_begin(stream, member)

    def _count(self, stream: Stream, channel: str) -> None:
        if stream in self.hub.dispatcher.collected:
            asyncio.get_running_loop().call_later(CACHE_SECONDS, self._count, stream, channel)
            return
        is_ours = self._counting.pop(stream) and stream == topic_stream(DEFAULT_TENANT, channel)
        count = self.hub.subscriptions.total(stream)
        if count:
            self._send(stream, partial(protocol.subscription_count, channel, count))
            if is_ours:
                self.webhooks.counted(channel, count)

    # --- inboxes

    def inbox_changed(self, event: InboxEvent) -> None:
        # The aliases of the settings now, which may have changed since the channels were subscribed to
        for pattern in self.config.aliases if self.apps.is_used else ():
            channel = alias(pattern, event.inbox.recipient)
            stream = topic_stream(event.inbox.tenant, channel)
            if self.hub.subscriptions.count(stream):
                payload = payload_of(event, event.inbox.position)
                self._send(stream, partial(protocol.inbox_change, channel, payload))
                if isinstance(event, NotificationAdded):
                    followers = self.hub.subscriptions.connections_on(stream)
                    written = sum(isinstance(one.dialect, PusherDialect) for one in followers)
                    if written:
                        self.hub.writes.record(event, written)
                    if LARAVEL in pattern:
                        self._send(stream, partial(protocol.laravel, channel, event.notification))

    def recipient_of(self, topic: str) -> str | None:
        for pattern in self.config.aliases:
            recipient = aliased(pattern, topic)
            if recipient is not None:
                return recipient
        return None

    def topics_of(self, recipient: str) -> list[str]:
        return [alias(pattern, recipient) for pattern in self.config.aliases]

    def pong_received(self, connection: Connection, data: bytes) -> None:
        self.users.on_pong(connection, data)

    def _send(self, stream: Stream, frame: Callable[[], bytes]) -> None:
        """Send a frame to the Pusher clients of a stream. It is only encoded if there are any."""

        def encode(dialect: Dialect) -> bytes | None:
            return dialect.encode_frame(frame()) if isinstance(dialect, PusherDialect) else None

        self.hub.dispatcher.send_to_stream(stream, encode)
