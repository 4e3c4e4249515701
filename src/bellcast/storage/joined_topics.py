"""The topics that each connection of a recipient joined."""

from collections.abc import Sequence

from bellcast.ports.joined_topics import (
    JOINED_TOPICS_LIFETIME_MS,
    JOINED_TOPICS_REFRESH_MS,
    MAX_CONNECTIONS_PER_RECIPIENT,
    JoinedBy,
)
from bellcast.storage.engine import Engine, Script, Statement
from bellcast.storage.locks import locks


class JoinedTopics:
    """ports.JoinedTopics on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def save(self, by: JoinedBy, topics: str, now: int) -> None:
        """Store or replace the topics of a connection."""
        await self._engine.write(_save, by, topics, now)

    async def get(self, by: JoinedBy, now: int) -> str | None:
        """Return the topics of a connection, unless their lifetime is over."""
        return await self._engine.read(_get, by, now - JOINED_TOPICS_LIFETIME_MS)

    async def refresh(self, connections: Sequence[JoinedBy], now: int) -> None:
        """Restart the lifetime of the topics of these connections."""
        await self._engine.write(_refresh, sorted(connections), now)  # in one order: nodes wait for each other

    async def sweep(self, now: int, limit: int) -> int:
        """Delete at most `limit` rows whose lifetime is over."""
        # A row that was read at the very end of its lifetime stays until the next refresh.
        return await self._engine.write(_sweep, now - JOINED_TOPICS_LIFETIME_MS - JOINED_TOPICS_REFRESH_MS, limit)


@locks(lambda by, *_: [by.inbox])
def _save(by: JoinedBy, topics: str, now: int) -> Script[None]:
    yield Statement("joined_topics_save", {**by._asdict(), "topics": topics, "now": now})
    yield Statement("joined_topics_trim", {"inbox": by.inbox, "limit": MAX_CONNECTIONS_PER_RECIPIENT})


def _get(by: JoinedBy, since: int) -> Script[str | None]:
    rows = yield Statement("joined_topics_get", {**by._asdict(), "since": since})
    return rows[0][0] if rows else None


@locks(lambda *_: [])
def _refresh(connections: Sequence[JoinedBy], now: int) -> Script[None]:
    yield Statement("joined_topics_refresh", many=[{**by._asdict(), "now": now} for by in connections])


@locks(lambda *_: [])
def _sweep(before: int, limit: int) -> Script[int]:
    return len((yield Statement("joined_topics_sweep", {"before": before, "limit": limit})))
