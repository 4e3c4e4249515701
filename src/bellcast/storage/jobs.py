"""Durable jobs, leased by group: jobs of a killed process run again."""

import secrets
from collections import Counter
from collections.abc import Sequence

import msgspec

from bellcast.model.identities import EVERY_TENANT
from bellcast.ports.jobs import Job, JobGroup, JobShare, kind_of
from bellcast.storage import rows, run_commits
from bellcast.storage.commit.command import RecipientKey, ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import Params, Row, Script, Statement, fetch

# The `run_at` of dead jobs: the largest integer that JSON represents exactly.
NEVER = 2**53 - 1
LEASE_BYTES = 8
RETRIED_FIELDS = ("kind", "payload", "run_at", "attempts", "crashes", "error")


class Jobs:
    """ports.Jobs on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, jobs: Sequence[Job]) -> None:
        await self._write(Statement("job_add", many=[rows.new_job_params(job) for job in jobs]))

    async def due(self, now: int) -> list[JobGroup]:
        found = await self._engine.read(fetch, Statement("jobs_due", {"now": now}))
        return [JobGroup(*row) for row in found]

    async def lease(self, shares: Sequence[JobShare], now: int, until: int) -> list[Job]:
        lease = secrets.token_hex(LEASE_BYTES)
        command = ScriptCommand(lambda: _lease(shares, now, until, lease), [], is_housekeeping=True)
        return await self._engine.write(command)

    async def renew(self, jobs: Sequence[Job], until: int) -> None:
        await self._keep_house(Statement("job_renew", many=[_lease_params(job) | {"until": until} for job in jobs]))

    async def release(self, now: int) -> None:
        await self._keep_house(Statement("jobs_release", {"now": now}))

    async def is_leased(self, job: Job) -> bool:
        return bool(await self._engine.read(fetch, Statement("job_find_leased", _lease_params(job))))

    async def done(self, jobs: Sequence[Job]) -> None:
        await self._keep_house(Statement("job_done", many=[_lease_params(job) for job in jobs]))

    async def retry(self, jobs: Sequence[Job]) -> None:
        params = [_lease_params(job) | {field: getattr(job, field) for field in RETRIED_FIELDS} for job in jobs]
        await self._keep_house(Statement("job_again", many=params))

    async def set_dead(self, jobs: Sequence[Job]) -> None:
        params = [_lease_params(job) | {"error": job.error, "never": NEVER} for job in jobs]
        runs = [job for job in jobs if kind_of(job.kind) == run_commits.JOB_KIND]
        inboxes = await self._engine.read(_inboxes_of, runs) if runs else ()
        await self._engine.write(ScriptCommand(lambda: _set_dead(params, runs), inboxes))

    async def cancel(self, ids: Sequence[str]) -> frozenset[str]:
        cancelled = await self._write(Statement("jobs_cancel", {"ids": rows.to_json(ids)}))
        return frozenset(id for (id,) in cancelled)

    async def dead(self, tenant: str, after: str, limit: int) -> list[Job]:
        name = "jobs_dead_of_all" if tenant == EVERY_TENANT else "jobs_dead"
        params = {"tenant": tenant, "after": after, "limit": limit}
        return list(map(_job, await self._engine.read(fetch, Statement(name, params))))

    async def is_dead(self, tenant: str, id: str) -> bool:
        return bool(await self._engine.read(fetch, Statement("job_find_dead", {"tenant": tenant, "id": id})))

    async def revive(self, tenant: str, id: str, now: int) -> bool:
        return bool(await self._write(Statement("job_revive", {"tenant": tenant, "id": id, "now": now})))

    async def delete_dead(self, tenant: str, id: str) -> bool:
        return bool(await self._write(Statement("job_delete_dead", {"tenant": tenant, "id": id})))

    async def counts(self) -> dict[tuple[str, str], int]:
        found = await self._engine.read_in_background(fetch, Statement("jobs_count", heavy=True))
        counts = Counter[tuple[str, str]]()
        for kind, state, count in found:
            counts[kind_of(kind), state] += count
        return counts

    async def _keep_house(self, statement: Statement) -> None:
        await self._engine.write(ScriptCommand(lambda: fetch(statement), [], is_housekeeping=True))

    async def _write(self, statement: Statement) -> list[Row]:
        return await self._engine.write(ScriptCommand(lambda: fetch(statement), []))


def _inboxes_of(runs: Sequence[Job]) -> Script[frozenset[RecipientKey]]:
    """Return the recipients of the runs of jobs."""
    found = yield Statement("runs_find", {"ids": rows.to_json([job.id for job in runs])})
    return frozenset((run.tenant, run.recipient) for run in map(rows.run, found))


def _set_dead(params: Sequence[Params], runs: Sequence[Job]) -> Script[None]:
    yield Statement("job_set_dead", many=params)
    for job in runs:
        # Not dead: its lease was lost, and another process continues the run.
        if (yield Statement("job_find_dead", {"tenant": job.tenant, "id": job.id})):
            yield from _leave_digests(job.id)


def _leave_digests(run: str) -> Script[None]:
    """Let another run close what the run of a dead job has collected."""
    try:
        yield from run_commits.leave_digests([run], is_dead=True)
    except msgspec.DecodeError:  # a state that this build cannot read: the next run opens a digest
        yield Statement("run_counters_delete", {"run": run})


def _lease_params(job: Job) -> dict[str, object]:
    return {"id": job.id, "lease": job.lease}


def _lease(shares: Sequence[JobShare], now: int, until: int, lease: str) -> Script[list[Job]]:
    leased: list[Job] = []
    for share in shares:
        group = {"priority": share.group.priority, "tenant": share.group.tenant, "kind": share.group.kind}
        found = yield Statement(
            "job_lease", {**group, "now": now, "until": until, "lease": lease, "limit": share.limit}
        )
        leased += sorted(map(_job, found), key=lambda job: job.id)
    return leased


def _job(row: Row) -> Job:
    id, kind, payload, run_at, created_at, attempts, tenant, priority, lease, crashes, error = row
    return Job(
        id=id,
        kind=kind,
        payload=payload,
        run_at=run_at,
        created_at=created_at,
        attempts=attempts,
        tenant=tenant,
        priority=priority,
        lease=lease,
        crashes=crashes,
        error=error,
    )
