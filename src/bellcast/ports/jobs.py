"""Durable jobs."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Job(Struct, frozen=True, kw_only=True):
    """A durable job. `attempts` counts its leases."""

    id: str
    kind: str
    payload: bytes
    run_at: int
    created_at: int
    attempts: int = 0


class Jobs(Protocol):
    """Jobs that survive a restart. Each runs at least once."""

    async def add(self, jobs: Sequence[Job]) -> None:
        """Store jobs. A job with an existing id is rescheduled to the new time; if it is running, it runs again."""
        ...

    async def lease(self, now: int, until: int, limit: int) -> list[Job]:
        """Lease at most `limit` due jobs, oldest due time first; a job that is not done at `until` is due again."""
        ...

    async def done(self, ids: Sequence[str]) -> None:
        """Delete finished jobs."""
        ...

    async def cancel(self, ids: Sequence[str]) -> frozenset[str]:
        """Delete the jobs that were never leased; return their ids. The others are running or done."""
        ...

    async def retry(self, id: str, run_at: int) -> None:
        """Set the time of the next attempt."""
        ...
