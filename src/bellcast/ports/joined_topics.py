"""Topics joined by live connections, stored so that a recovered connection follows them again."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

# Lifetime and refresh interval. A recovered connection finds its topics for at least the difference of the two, even
# after a crash of its server. The reference server drops a disconnected session after 2 minutes.
JOINED_TOPICS_LIFETIME_MS = 30 * 60_000
JOINED_TOPICS_REFRESH_MS = 10 * 60_000
# How long expired topics are stored: a connection that returns after their lifetime must not be recovered without them.
EXPIRED_TOPICS_MS = 24 * 3_600_000
# Equal to `Limits.connections_per_recipient`: a client that reconnects endlessly cannot fill the table.
MAX_CONNECTIONS_PER_RECIPIENT = 100


class JoinedBy(NamedTuple):
    """A connection of a recipient: the number of the inbox and the public id of the connection."""

    inbox: int
    connection: str


class SavedTopics(NamedTuple):
    """The topics of a connection, and when they were saved or last refreshed (UTC milliseconds)."""

    text: str
    saved_at: int


class TopicLists(Struct, frozen=True, array_like=True):
    """Topics joined by the app and topics subscribed by the client. As JSON it is the text of saved topics."""

    joined: list[str] = []
    subscribed: list[str] = []


class JoinedTopics(Protocol):
    """The topics that each connection of a recipient joined, as the JSON of TopicLists."""

    async def save(self, by: JoinedBy, topics: str, now: int) -> None:
        """Store or replace the topics of a connection. Does not store topics for an erased recipient; of more than
        MAX_CONNECTIONS_PER_RECIPIENT connections the least recently saved are dropped."""
        ...

    async def get(self, by: JoinedBy) -> SavedTopics | None:
        """Return the topics of a connection, even if they have expired."""
        ...

    async def refresh(self, connections: Sequence[JoinedBy], now: int) -> None:
        """Restart the lifetime of the topics of these connections."""
        ...

    async def sweep(self, now: int, limit: int) -> int:
        """Delete at most `limit` rows that expired EXPIRED_TOPICS_MS ago; return how many were deleted."""
        ...
