"""Durable later work: leased in batches, so that what a killed process had begun is begun again."""

from collections.abc import Sequence
from operator import attrgetter

import msgspec

from bellcast.ports import Job
from bellcast.storage import rows
from bellcast.storage.engine import Engine, Script, Statement
from bellcast.storage.locks import locks


class Jobs:
    """ports.Jobs on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, jobs: Sequence[Job]) -> None:
        """Keep them until they are done."""
        await self._engine.write(_add, jobs)

    async def lease(self, now: int, until: int, limit: int) -> list[Job]:
        """At most `limit` due jobs."""
        return await self._engine.write(_lease, now, until, limit)

    async def done(self, ids: Sequence[str]) -> None:
        """Forget them."""
        await self._engine.write(_delete, ids)

    async def cancel(self, ids: Sequence[str]) -> frozenset[str]:
        """Forget those nobody has begun; which they were."""
        return await self._engine.write(_cancel, ids)

    async def retry(self, id: str, run_at: int) -> None:
        """Try one again at a time."""
        await self._engine.write(_retry, id, run_at)


@locks(lambda *_: [])
def _add(jobs: Sequence[Job]) -> Script[None]:
    yield Statement("job_add", many=[msgspec.structs.asdict(job) for job in jobs])


@locks(lambda *_: [])
def _lease(now: int, until: int, limit: int) -> Script[list[Job]]:
    leased = yield Statement("job_lease", {"now": now, "until": until, "limit": limit})
    jobs = [
        Job(id=id, kind=kind, payload=payload, run_at=run_at, created_at=created_at, attempts=attempts)
        for id, kind, payload, run_at, created_at, attempts in leased
    ]
    return sorted(jobs, key=attrgetter("id"))


@locks(lambda *_: [])
def _delete(ids: Sequence[str]) -> Script[None]:
    yield Statement("job_done", many=[{"id": id} for id in ids])


@locks(lambda *_: [])
def _cancel(ids: Sequence[str]) -> Script[frozenset[str]]:
    cancelled = yield Statement("jobs_cancel", {"ids": rows.to_json(ids)})
    return frozenset(id for (id,) in cancelled)


@locks(lambda *_: [])
def _retry(id: str, run_at: int) -> Script[None]:
    yield Statement("job_again", {"id": id, "run_at": run_at})
