"""The topics that each connection of a recipient joined."""

from collections.abc import Sequence

from bellcast.ports.joined_topics import (
    EXPIRED_TOPICS_MS,
    JOINED_TOPICS_LIFETIME_MS,
    MAX_CONNECTIONS_PER_RECIPIENT,
    JoinedBy,
    SavedTopics,
)
from bellcast.storage.commit.command import ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import Script, Statement, fetch


class JoinedTopics:
    """ports.JoinedTopics on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def save(self, by: JoinedBy, topics: str, now: int) -> None:
        await self._engine.write(ScriptCommand(lambda: _save(by, topics, now), [by.inbox]))

    async def get(self, by: JoinedBy) -> SavedTopics | None:
        rows = await self._engine.read(fetch, Statement("joined_topics_get", by._asdict()))
        return SavedTopics(*rows[0]) if rows else None

    async def refresh(self, connections: Sequence[JoinedBy], now: int) -> None:
        # Sorted: processes that write the same rows in one order cannot deadlock.
        refreshed = Statement(
            "joined_topics_refresh", many=[{**by._asdict(), "now": now} for by in sorted(connections)]
        )
        await self._engine.write(ScriptCommand(lambda: fetch(refreshed), []))

    async def sweep(self, now: int, limit: int) -> int:
        before = now - JOINED_TOPICS_LIFETIME_MS - EXPIRED_TOPICS_MS
        sweep = Statement("joined_topics_sweep", {"before": before, "limit": limit})
        return len(await self._engine.write(ScriptCommand(lambda: fetch(sweep), [])))


def _save(by: JoinedBy, topics: str, now: int) -> Script[None]:
    yield Statement("joined_topics_save", {**by._asdict(), "topics": topics, "now": now})
    yield Statement("joined_topics_trim", {"inbox": by.inbox, "limit": MAX_CONNECTIONS_PER_RECIPIENT})
