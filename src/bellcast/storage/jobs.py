"""Durable jobs, leased in batches: jobs of a killed process run again."""

from collections.abc import Sequence
from operator import attrgetter

import msgspec

from bellcast.ports import Job
from bellcast.storage import rows
from bellcast.storage.commit.command import ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import Row, Statement, fetch


class Jobs:
    """ports.Jobs on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, jobs: Sequence[Job]) -> None:
        await self._write(Statement("job_add", many=[msgspec.structs.asdict(job) for job in jobs]))

    async def lease(self, now: int, until: int, limit: int) -> list[Job]:
        leased = await self._write(Statement("job_lease", {"now": now, "until": until, "limit": limit}))
        return sorted(map(_job, leased), key=attrgetter("id"))

    async def done(self, ids: Sequence[str]) -> None:
        await self._write(Statement("job_done", many=[{"id": id} for id in ids]))

    async def cancel(self, ids: Sequence[str]) -> frozenset[str]:
        cancelled = await self._write(Statement("jobs_cancel", {"ids": rows.to_json(ids)}))
        return frozenset(id for (id,) in cancelled)

    async def retry(self, id: str, run_at: int) -> None:
        await self._write(Statement("job_again", {"id": id, "run_at": run_at}))

    async def _write(self, statement: Statement) -> list[Row]:
        return await self._engine.write(ScriptCommand(lambda: fetch(statement), []))


def _job(row: Row) -> Job:
    id, kind, payload, run_at, created_at, attempts = row
    return Job(id=id, kind=kind, payload=payload, run_at=run_at, created_at=created_at, attempts=attempts)
