"""The last event of each cache topic."""

from bellcast.ports import LastEvent
from bellcast.storage.commit.command import ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import Statement, fetch


class LastEvents:
    """ports.LastEvents on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def save(self, tenant: str, topic: str, last: LastEvent) -> None:
        params = {"tenant": tenant, "topic": topic, "name": last.name, "data": last.data, "at": last.at}
        await self._engine.write(ScriptCommand(lambda: fetch(Statement("last_event_keep", params)), []))

    async def get(self, tenant: str, topic: str, since: int) -> LastEvent | None:
        params = {"tenant": tenant, "topic": topic, "since": since}
        found = await self._engine.read(fetch, Statement("last_event", params))
        return LastEvent(*found[0]) if found else None

    async def delete_older(self, before: int) -> None:
        await self._engine.write(ScriptCommand(lambda: fetch(Statement("last_event_forget", {"before": before})), []))
