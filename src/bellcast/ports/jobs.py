"""Durable later work."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Job(Struct, frozen=True, kw_only=True):
    """Durable later work. `attempts` counts the leases so far."""

    id: str
    kind: str
    payload: bytes
    run_at: int
    created_at: int
    attempts: int = 0


class Jobs(Protocol):
    """Work that outlives the process: done at least once."""

    async def add(self, jobs: Sequence[Job]) -> None:
        """Keep them. One that is there already by its id is put off to the new time, and done once more if it is being
        done."""
        ...

    async def lease(self, now: int, until: int, limit: int) -> list[Job]:
        """At most `limit` due jobs, the longest due first; each is due again at `until` unless it is done by then."""
        ...

    async def done(self, ids: Sequence[str]) -> None:
        """Forget them."""
        ...

    async def cancel(self, ids: Sequence[str]) -> frozenset[str]:
        """Forget those of the jobs that no lease was taken on; their ids. The others are done or being done."""
        ...

    async def retry(self, id: str, run_at: int) -> None:
        """Try one again at a time."""
        ...
