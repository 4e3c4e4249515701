"""The last event of topics that keep it."""

from bellcast.ports import Kept
from bellcast.storage.engine import Engine, Script, Statement
from bellcast.storage.touching import touches


class Topics:
    """ports.Topics on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def keep(self, tenant: str, topic: str, last: Kept) -> None:
        """Keep this event instead of the one before."""
        await self._engine.write(_keep, tenant, topic, last)

    async def last(self, tenant: str, topic: str, since: int) -> Kept | None:
        """The event kept, if it was told since."""
        return await self._engine.read(_last, tenant, topic, since)

    async def forget(self, before: int) -> None:
        """Drop what was told before a time."""
        await self._engine.write(_forget, before)


@touches(lambda *_: [])
def _keep(tenant: str, topic: str, last: Kept) -> Script[None]:
    kept = {"name": last.name, "data": last.data, "at": last.at}
    yield Statement("last_event_keep", {"tenant": tenant, "topic": topic, **kept})


def _last(tenant: str, topic: str, since: int) -> Script[Kept | None]:
    found = yield Statement("last_event", {"tenant": tenant, "topic": topic, "since": since})
    return Kept(*found[0]) if found else None


@touches(lambda *_: [])
def _forget(before: int) -> Script[None]:
    yield Statement("last_event_forget", {"before": before})
