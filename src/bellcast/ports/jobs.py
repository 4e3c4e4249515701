"""Durable jobs."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

URGENT, NORMAL, FANOUT = 0, 1, 2
# Later than any due time.
END_OF_TIME = 2**52
# Separates a job's kind from the line in which it waits.
_LINE = "\x1f"


class Job(Struct, frozen=True, kw_only=True):
    """A durable job. `attempts` counts its leases, `crashes` the most recent consecutive ones that ended in an
    unexpected error or without an outcome. `lease` identifies the current lease; `error` is the last unexpected
    error. The kind can have a line (`in_line`), in which jobs wait for one destination."""

    id: str
    kind: str
    payload: bytes
    run_at: int
    created_at: int
    attempts: int = 0
    tenant: str = ""
    priority: int = NORMAL
    lease: str | None = None
    crashes: int = 0
    error: str | None = None


def in_line(kind: str, line: str) -> str:
    """Return the kind of a job that waits in a line."""
    return f"{kind}{_LINE}{line}"


def kind_of(kind: str) -> str:
    """Return a kind without its line."""
    return kind.partition(_LINE)[0]


def line_of(kind: str) -> str:
    """Return the line of a kind; empty without one."""
    return kind.partition(_LINE)[2]


class JobGroup(Struct, frozen=True):
    """The due jobs of one priority, tenant and kind. The oldest has been due since `run_at`; 0 if an event has woken one,
    at a time that is not stored."""

    priority: int
    tenant: str
    kind: str
    run_at: int


class JobShare(Struct, frozen=True):
    """How many jobs of a group to lease."""

    group: JobGroup
    limit: int


class Jobs(Protocol):
    """Jobs that survive a restart. Each runs at least once.

    An outcome (`done`, `retry`, `set_dead`) is ignored if the lease was lost, or if the job was added again in the
    meantime."""

    async def add(self, jobs: Sequence[Job]) -> None:
        """Store jobs. A job with an existing id is rescheduled to the new time; if it is running, it runs again."""
        ...

    async def due(self, now: int) -> list[JobGroup]:
        """Return the groups with due jobs, urgent ones first, then those due the longest. The time does not depend on
        the number of jobs."""
        ...

    async def lease(self, shares: Sequence[JobShare], now: int, until: int) -> list[Job]:
        """Lease at most the given number of due jobs of each group, oldest due time first. A job without an outcome is
        due again at `until`."""
        ...

    async def renew(self, jobs: Sequence[Job], until: int) -> None:
        """Extend leases."""
        ...

    async def release(self, now: int) -> None:
        """Make the jobs due that earlier processes have leased. Only for a store that no other process uses."""
        ...

    async def is_leased(self, job: Job) -> bool:
        """Return whether the job still has its lease."""
        ...

    async def done(self, jobs: Sequence[Job]) -> None:
        """Delete finished jobs."""
        ...

    async def retry(self, jobs: Sequence[Job]) -> None:
        """End leases; each job is due again at its `run_at`, with its `kind`, `payload`, `attempts`, `crashes` and `error`."""
        ...

    async def set_dead(self, jobs: Sequence[Job]) -> None:
        """Set jobs aside with their `error`: dead jobs are not leased. Another run continues with what the run of a dead job
        has collected."""
        ...

    async def cancel(self, ids: Sequence[str]) -> frozenset[str]:
        """Delete jobs that were never leased; return their ids. The others are running or done."""
        ...

    async def dead(self, tenant: str, after: str, limit: int) -> list[Job]:
        """Return the dead jobs of a tenant, of all if it is `*`, by id, after the id `after`."""
        ...

    async def is_dead(self, tenant: str, id: str) -> bool:
        """Return whether there is a dead job of this id."""
        ...

    async def revive(self, tenant: str, id: str, now: int) -> bool:
        """Make a dead job due. Return whether there is one of this id."""
        ...

    async def delete_dead(self, tenant: str, id: str) -> bool:
        """Delete a dead job. Return whether there was one of this id."""
        ...

    async def counts(self) -> dict[tuple[str, str], int]:
        """Count the jobs by kind and state (ready, running, dead). Takes time in proportion to their number."""
        ...
