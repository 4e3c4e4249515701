"""What Pusher's clients are told beside the events of their channels: how many follow one, who is online, and inbox
changes on the channels an app listens to already."""

import asyncio

from bellcast.live import changes
from bellcast.live.connection import Connection, Dialect
from bellcast.live.nodes import Cause, Place
from bellcast.live.protocols import pusher
from bellcast.live.protocols.pusher import frames
from bellcast.live.sessions.pusher_rosters import Rosters
from bellcast.live.sessions.pusher_users import Users
from bellcast.live.sessions.pusher_wiring import Wiring
from bellcast.model import pusher as rules
from bellcast.model import topics
from bellcast.model.events import SEPARATOR, InboxEvent, NotificationAdded, PresenceChanged, Stream, topic_stream
from bellcast.model.people import DEFAULT_TENANT

# Followers of a larger channel are told their number this often at most.
FEW, PAUSE_SECONDS = 100, 5.0
# Laravel names a private channel after the class of its model.
LARAVEL = "App."


class Watch:
    """The hub's watcher."""

    def __init__(self, wiring: Wiring, users: Users, rosters: Rosters) -> None:
        self._wiring = wiring
        self._hub = wiring.hub
        self._aliases = wiring.pusher.aliases
        self._users = users
        self._rosters = rosters
        self._counting: dict[str, bool] = {}  # whether the app is to be told too

    # --- followers

    def counted(self, stream: Stream, count: int, change: int, cause: Cause) -> None:
        """A stream has more followers or fewer, on all nodes together."""
        kind, tenant, name = stream.split(SEPARATOR, 2)
        if tenant != DEFAULT_TENANT:
            return
        if kind == "topic":
            self._tell_app(stream, name, count, change, cause)
            self._count_soon(name, count, cause)
        elif count == 0:
            self._users.went(name)
        elif count == change:
            self._users.came(name)

    def _tell_app(self, stream: Stream, channel: str, count: int, change: int, cause: Cause) -> None:
        """Webhooks are sent by the node where it happened; for one that died, by one of the others."""
        if cause is Cause.HERE:
            if count == change:
                self._wiring.webhooks.occupied(channel)
            elif self._hub.count(stream) == 0:
                self._wiring.webhooks.vacated(channel)
        elif cause is Cause.DEATH and count == 0 and self._hub.census.leads:
            self._wiring.webhooks.vacated(channel)

    def moved(self, change: PresenceChanged, cause: Cause) -> None:
        """Somebody came to a presence channel, or left it."""
        self._rosters.moved(change)
        if change.tenant != DEFAULT_TENANT or not topics.is_presence(change.topic):
            return
        if cause is Cause.HERE:
            for member in change.joined:
                self._wiring.webhooks.joined(change.topic, member.recipient)
        elif cause is Cause.DEATH and self._hub.census.leads:
            for member in change.left:
                self._wiring.webhooks.left(change.topic, member.recipient)

    def left(self, where: Place) -> None:
        """Somebody left a presence channel here. If that was the last of them anywhere is known a little later."""
        tenant, channel, recipient = where
        if tenant == DEFAULT_TENANT and topics.is_presence(channel):
            self._wiring.webhooks.left(channel, recipient)

    def _count_soon(self, channel: str, count: int, cause: Cause) -> None:
        """Once for all who came or went in this turn of the loop; behind what the newcomer itself is told first."""
        if not self._wiring.pusher.subscription_count or topics.is_presence(channel):
            return
        if channel not in self._counting:
            asyncio.get_running_loop().call_later(0 if count <= FEW else PAUSE_SECONDS, self._count, channel)
        self._counting[channel] = self._counting.get(channel, False) or cause is Cause.HERE

    def _count(self, channel: str) -> None:
        ours = self._counting.pop(channel)
        stream = topic_stream(DEFAULT_TENANT, channel)
        count = self._hub.total(stream)
        if count:
            self._tell(stream, frames.counted(channel, count))
            if ours:
                self._wiring.webhooks.counted(channel, count)

    # --- inboxes

    def changed(self, event: InboxEvent) -> None:
        """Tell an inbox change on the recipient's aliases, where somebody follows them."""
        for pattern in self._aliases:
            channel = rules.alias(pattern, event.inbox.recipient)
            stream = topic_stream(event.inbox.tenant, channel)
            if self._hub.count(stream):
                self._tell(stream, frames.changed(channel, changes.told(event, event.inbox.position)))
                if LARAVEL in pattern and isinstance(event, NotificationAdded):
                    self._tell(stream, frames.laravel(channel, event.notification))

    def recipient_of(self, topic: str) -> str | None:
        """Whose inbox changes a channel carries."""
        for pattern in self._aliases:
            recipient = rules.aliased(pattern, topic)
            if recipient is not None:
                return recipient
        return None

    def answered(self, connection: Connection, data: bytes) -> None:
        """A ping was answered."""
        self._users.answered(connection, data)

    def _tell(self, stream: Stream, frame: bytes) -> None:
        def encode(dialect: Dialect) -> bytes | None:
            return dialect.wrap(frame) if isinstance(dialect, pusher.Dialect) else None

        self._hub.tell(stream, encode)
