"""What Pusher's clients are told beside the events of their channels: how many follow one, who is online, and inbox
changes on the channels an app listens to already."""

import asyncio

from bellcast.live import changes
from bellcast.live.connection import Connection, Dialect
from bellcast.live.protocols import pusher
from bellcast.live.protocols.pusher import frames
from bellcast.live.sessions.pusher_users import Users
from bellcast.live.sessions.pusher_wiring import Wiring
from bellcast.model import pusher as rules
from bellcast.model import topics
from bellcast.model.events import SEPARATOR, InboxEvent, NotificationAdded, Stream, topic_stream
from bellcast.model.people import DEFAULT_TENANT

# Followers of a larger channel are told their number this often at most.
FEW, PAUSE_SECONDS = 100, 5.0
# Laravel names a private channel after the class of its model.
LARAVEL = "App."


class Watch:
    """The hub's watcher."""

    def __init__(self, wiring: Wiring, users: Users) -> None:
        self._wiring = wiring
        self._hub = wiring.hub
        self._aliases = wiring.pusher.aliases
        self._users = users
        self._counting: set[str] = set()

    # --- followers

    def counted(self, stream: Stream, count: int, change: int) -> None:
        """A stream has one follower more or less."""
        kind, tenant, name = stream.split(SEPARATOR, 2)
        if tenant != DEFAULT_TENANT:
            return
        if kind == "topic":
            self._wiring.webhooks.followed(name, count, change)
            self._count_soon(name, count)
        elif count == 0:
            self._users.went(name)
        elif count == change:
            self._users.came(name)

    def _count_soon(self, channel: str, count: int) -> None:
        """Once for all who came or went in this turn of the loop; behind what the newcomer itself is told first."""
        if not self._wiring.pusher.subscription_count or topics.is_presence(channel) or channel in self._counting:
            return
        self._counting.add(channel)
        asyncio.get_running_loop().call_later(0 if count <= FEW else PAUSE_SECONDS, self._count, channel)

    def _count(self, channel: str) -> None:
        self._counting.discard(channel)
        stream = topic_stream(DEFAULT_TENANT, channel)
        count = self._hub.count(stream)
        if count:
            self._tell(stream, frames.counted(channel, count))
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
