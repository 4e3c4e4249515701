"""Durable jobs, leased by group: jobs of a killed process run again."""

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable, pages, read, read_in_background, write
from bellcast.kernel.db.lists import KeysetList
from bellcast.kernel.db.script import RecipientKey, Script, ScriptCommand, Statement
from bellcast.kernel.jobs import Job, JobGroup, kind_of, new_job_params

LEASE_BYTES = 8
# So many due jobs are read by their times, in 0.1 ms. Beyond, a walk visits all groups with jobs: those of 10,000 tenants in 16 ms
# on SQLite, and in 190 ms on PostgreSQL.
FEW_DUE = 100
RETRIED_FIELDS = ("kind", "payload", "run_at", "attempts", "crashes", "error")

DEAD = KeysetList("jobs_dead", ("id",), lambda row: Job(*row))


class DeadJobEffect(NamedTuple):
    """What else changes when a job of a kind is dead: the recipients whose inboxes the script locks, by the ids of jobs, and the
    script for one job."""

    recipients: Callable[[Sequence[str]], Script[frozenset[RecipientKey]]]
    script: Callable[[str], Script[None]]


NO_EFFECTS: Mapping[str, DeadJobEffect] = {}


class Jobs(StoreTable):
    """Jobs that survive a restart. Each runs at least once.

    An outcome (`done`, `retry`, `set_dead`) is ignored if the lease was lost, or if the job was added again in the
    meantime."""

    @write()
    def add(self, jobs: Sequence[Job]) -> Script[None]:
        """Store jobs. A job with an existing id is rescheduled to the new time; if it is running, it runs again."""
        yield Statement("job_add", many=[new_job_params(job) for job in jobs])

    @read
    def due(self, now: int) -> Script[list[JobGroup]]:
        """Return the groups with due jobs, urgent ones first, then those due the longest. The time does not depend on
        the number of jobs, nor, while few are due, on that of the groups with jobs that wait."""
        found = yield Statement("jobs_first_due", {"now": now, "limit": FEW_DUE})
        if sum(number for *_, number in found) == FEW_DUE:
            found = yield Statement("jobs_due", {"now": now})
        return [JobGroup(*row[:4]) for row in found]

    @write(is_housekeeping=True)
    def lease(self, shares: Mapping[JobGroup, int], now: int, until: int) -> Script[list[Job]]:
        """Lease at most the given number of due jobs of each group, oldest due time first. A job without an outcome is
        due again at `until`."""
        leased, lease = list[Job](), secrets.token_hex(LEASE_BYTES)
        for group, limit in shares.items():
            params = {"priority": group.priority, "tenant": group.tenant, "kind": group.kind}
            found = yield Statement("job_lease", {**params, "now": now, "until": until, "lease": lease, "limit": limit})
            leased += sorted((Job(*row) for row in found), key=lambda job: job.id)
        return leased

    @write(is_housekeeping=True)
    def renew(self, jobs: Sequence[Job], until: int) -> Script[None]:
        """Extend leases."""
        yield Statement("job_renew", many=[_lease_params(job) | {"until": until} for job in jobs])

    @write(is_housekeeping=True)
    def release(self, now: int, until: int) -> Script[None]:
        """Make the jobs due that earlier processes have leased until a time. Only for a store that no other process uses."""
        yield Statement("jobs_release", {"now": now, "until": until})

    @read
    def is_leased(self, job: Job) -> Script[bool]:
        """Return whether the job still has its lease."""
        return bool((yield Statement("job_find_leased", _lease_params(job))))

    @write(is_housekeeping=True)
    def done(self, jobs: Sequence[Job]) -> Script[None]:
        """Delete finished jobs."""
        yield Statement("job_done", many=[_lease_params(job) for job in jobs])

    @write(is_housekeeping=True)
    def retry(self, jobs: Sequence[Job], now: int) -> Script[None]:
        """End leases; each job is due again at its `run_at`, with its `kind`, `payload`, `attempts`, `crashes` and `error`."""
        yield Statement(
            "job_again",
            many=[
                _lease_params(job) | {field: getattr(job, field) for field in RETRIED_FIELDS} | {"now": now}
                for job in jobs
            ],
        )

    @read_in_background
    def planned_after(self, moment: int, lease: int, limit: int) -> Script[list[str]]:
        """Return the ids of jobs that were planned, or leased for `lease` milliseconds, after a moment. Takes time in proportion
        to all waiting jobs."""
        params = {"moment": moment, "lease": lease, "limit": limit}
        found = yield Statement("jobs_planned_after", params, heavy=True)
        return [id for (id,) in found]

    @write(is_housekeeping=True)
    def replan(self, ids: Sequence[str], now: int, lease: int, due: Sequence[str] = ()) -> Script[int]:
        """Let jobs that were planned or leased after `now` wait for the same time from now on. Those of the kinds `due` are due,
        because they know until when they wait. Return how many there are."""
        params = {"ids": columns.to_json(ids), "now": now, "lease": lease, "due": columns.to_json(due)}
        return len((yield Statement("jobs_replan", params)))

    async def set_dead(self, jobs: Sequence[Job], effects: Mapping[str, DeadJobEffect] = NO_EFFECTS) -> None:
        """Set jobs aside with their `error`: dead jobs are not leased. `effects` by kind happen in the same transaction."""
        params = [_lease_params(job) | {"error": job.error} for job in jobs]
        inboxes = frozenset[RecipientKey]()
        for kind, effect in effects.items():
            if affected := [job.id for job in jobs if kind_of(job.kind) == kind]:
                inboxes |= await self._engine.read(effect.recipients, affected)

        def script() -> Script[None]:
            yield Statement("job_set_dead", many=params)
            for job in jobs:
                effect = effects.get(kind_of(job.kind))
                # Not dead: its lease was lost, and another process continues.
                if effect is not None and (yield Statement("job_find_dead", {"tenant": job.tenant, "id": job.id})):
                    yield from effect.script(job.id)

        await self._engine.write(ScriptCommand(script, inboxes))

    @write()
    def cancel(self, ids: Sequence[str]) -> Script[frozenset[str]]:
        """Delete jobs that were never leased; return their ids. The others are running or done."""
        cancelled = yield Statement("jobs_cancel", {"ids": columns.to_json(ids)})
        return frozenset(id for (id,) in cancelled)

    dead = pages(DEAD)

    @read
    def is_dead(self, tenant: str, id: str) -> Script[bool]:
        """Return whether there is a dead job of this id."""
        return bool((yield Statement("job_find_dead", {"tenant": tenant, "id": id})))

    @write()
    def revive(self, tenant: str, id: str, now: int) -> Script[bool]:
        """Make a dead job due. Return whether there is one of this id."""
        return bool((yield Statement("job_revive", {"tenant": tenant, "id": id, "now": now})))

    @write()
    def delete_dead(self, tenant: str, id: str) -> Script[bool]:
        """Delete a dead job. Return whether there was one of this id."""
        return bool((yield Statement("job_delete_dead", {"tenant": tenant, "id": id})))

    @read_in_background
    def counts(self) -> Script[dict[tuple[str, str], int]]:
        """Count the jobs by kind and state (ready, running, dead). Takes time in proportion to their number."""
        found = yield Statement("jobs_count", heavy=True)
        counts = Counter[tuple[str, str]]()
        for kind, state, count in found:
            counts[kind_of(kind), state] += count
        return counts


def _lease_params(job: Job) -> dict[str, object]:
    return {"id": job.id, "lease": job.lease}
