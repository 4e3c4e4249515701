"""The topics that each connection of a recipient joined, and the last event of each cache topic."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from bellcast.kernel import times
from bellcast.kernel.db.engine import StoreTable, read, write
from bellcast.kernel.db.script import Script, Statement, first

# Lifetime and refresh interval. A recovered connection finds its topics for at least the difference of the two, even
# after a crash of its server. The reference server drops a disconnected session after 2 minutes.
JOINED_TOPICS_LIFETIME_MS = 30 * 60_000
JOINED_TOPICS_REFRESH_MS = 10 * 60_000
# How long expired topics are stored: a connection that returns after their lifetime must not be recovered without them.
EXPIRED_TOPICS_MS = times.DAY_MS
# Equal to `Limits.connections_per_recipient`: a client that reconnects endlessly cannot fill the table.
MAX_CONNECTIONS_PER_RECIPIENT = 100


class JoinedBy(NamedTuple):
    """A connection of a recipient: the number of the inbox and the public id of the connection."""

    inbox: int
    connection: str


class SavedTopics(NamedTuple):
    """The topics of a connection as the JSON of TopicLists, and when they were saved or last refreshed (UTC milliseconds)."""

    text: str
    saved_at: int


class TopicLists(Struct, frozen=True, array_like=True):
    """Topics joined by the app and topics subscribed by the client. As JSON it is the text of saved topics."""

    joined: list[str] = []
    subscribed: list[str] = []


class JoinedTopics(StoreTable):
    """The topics that each connection of a recipient joined, as the JSON of TopicLists."""

    @write(locks=lambda by, *_: [by.inbox])
    def save(self, by: JoinedBy, topics: str, now: int) -> Script[None]:
        """Store or replace the topics of a connection. Does not store topics for an erased recipient; of more than
        MAX_CONNECTIONS_PER_RECIPIENT connections the least recently saved are dropped."""
        yield Statement("joined_topics_save", {**by._asdict(), "topics": topics, "now": now})
        yield Statement("joined_topics_trim", {"inbox": by.inbox, "limit": MAX_CONNECTIONS_PER_RECIPIENT})

    @read
    def get(self, by: JoinedBy) -> Script[SavedTopics | None]:
        """Return the topics of a connection, even if they have expired."""
        return first(Statement("joined_topics_get", by._asdict()), lambda row: SavedTopics(*row))

    @write()
    def refresh(self, connections: Sequence[JoinedBy], now: int) -> Script[None]:
        """Restart the lifetime of the topics of these connections."""
        # Sorted: processes that write the same rows in one order cannot deadlock.
        yield Statement("joined_topics_refresh", many=[{**by._asdict(), "now": now} for by in sorted(connections)])

    @write()
    def sweep(self, now: int, limit: int) -> Script[int]:
        """Delete at most `limit` rows that expired EXPIRED_TOPICS_MS ago; return how many were deleted."""
        before = now - JOINED_TOPICS_LIFETIME_MS - EXPIRED_TOPICS_MS
        return len((yield Statement("joined_topics_sweep", {"before": before, "limit": limit})))


class LastEvent(Struct, frozen=True):
    """The last event of a topic: its name, its data as text, and its time (UTC milliseconds)."""

    name: str
    data: str
    at: int


class LastEvents(StoreTable):
    """The last event of each cache topic."""

    @write()
    def save(self, tenant: str, topic: str, last: LastEvent) -> Script[None]:
        """Replace the last event of a topic."""
        params = {"tenant": tenant, "topic": topic, "name": last.name, "data": last.data, "at": last.at}
        yield Statement("last_event_keep", params)

    @read
    def get(self, tenant: str, topic: str, since: int) -> Script[LastEvent | None]:
        """Return the last event if its time is `since` (UTC milliseconds) or later."""
        params = {"tenant": tenant, "topic": topic, "since": since}
        return first(Statement("last_event", params), lambda row: LastEvent(*row))

    @write()
    def delete_older(self, before: int) -> Script[None]:
        """Delete events older than a time (UTC milliseconds)."""
        yield Statement("last_event_forget", {"before": before})
