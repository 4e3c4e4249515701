"""The last event of topics that keep it."""

from bellcast.ports import LastEvent
from bellcast.storage.engine import Engine, Script, Statement
from bellcast.storage.locks import locks


class Topics:
    """ports.Topics on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def save(self, tenant: str, topic: str, last: LastEvent) -> None:
        """Keep this event instead of the one before."""
        await self._engine.write(_save, tenant, topic, last)

    async def get(self, tenant: str, topic: str, since: int) -> LastEvent | None:
        """The event kept, if it was told since."""
        return await self._engine.read(_get, tenant, topic, since)

    async def delete_older(self, before: int) -> None:
        """Drop what was told before a time."""
        await self._engine.write(_delete_older, before)


@locks(lambda *_: [])
def _save(tenant: str, topic: str, last: LastEvent) -> Script[None]:
    kept = {"name": last.name, "data": last.data, "at": last.at}
    yield Statement("last_event_keep", {"tenant": tenant, "topic": topic, **kept})


def _get(tenant: str, topic: str, since: int) -> Script[LastEvent | None]:
    found = yield Statement("last_event", {"tenant": tenant, "topic": topic, "since": since})
    return LastEvent(*found[0]) if found else None


@locks(lambda *_: [])
def _delete_older(before: int) -> Script[None]:
    yield Statement("last_event_forget", {"before": before})
