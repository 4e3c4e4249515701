"""Durable jobs: added in a transaction, leased in batches, retried with growing delays until a deadline."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from bellcast import ports
from bellcast.errors import BellcastError
from bellcast.ports import Job

log = structlog.get_logger(__name__)

LEASE_BATCH = 32
# Jobs of a process that dies run again after this long.
LEASE_MS = 30_000
# Delay between polls without a wake-up; a due retry waits at most this long.
POLL_INTERVAL_SECONDS = 0.5
FIRST_RETRY_MS = 1_000
MAX_RETRY_MS = 60_000
RETRY_DEADLINE_MS = 300_000

# Returns None when the job is done, or the time (UTC milliseconds) at which it is due again.
JobHandler = Callable[[Job], Awaitable[int | None]]


class JobRunner:
    """Adds jobs and runs those of all processes."""

    def __init__(self, store: ports.Jobs, clock: ports.Clock, new_id: Callable[[int], str]) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._handlers: dict[str, JobHandler] = {}
        self._added = asyncio.Event()

    def register(self, kind: str, handler: JobHandler) -> None:
        """Set the handler of a kind of job. A job is retried if its handler raises."""
        self._handlers[kind] = handler

    async def add(self, kind: str, payload: bytes) -> None:
        """Run a job soon, in any process."""
        await self.put_off(kind, {self._new_id(self._clock.now()): payload}, 0)

    async def put_off(self, kind: str, payloads: Mapping[str, bytes], after: int) -> None:
        """Schedule jobs by name in `after` milliseconds; a job that already waits under a name is rescheduled."""
        now = self._clock.now()
        jobs = [
            Job(id=name, kind=kind, payload=payload, run_at=now + after, created_at=now)
            for name, payload in payloads.items()
        ]
        await self._store.add(jobs)
        self._added.set()

    def wake(self) -> None:
        """Look for due jobs now: some were added to the store."""
        self._added.set()

    async def cancel(self, names: Sequence[str]) -> frozenset[str]:
        """Cancel the jobs of these names that have not started; return their names."""
        return await self._store.cancel(names)

    async def run(self) -> None:
        """Run due jobs until cancelled; retry while the store is unavailable."""
        while True:
            try:
                while await self.run_due() == LEASE_BATCH:
                    pass
            except BellcastError as failure:
                log.warning("jobs_delayed", reason=failure.detail)
            await self._poll()

    async def run_due(self) -> int:
        """Run one batch of due jobs; return its size."""
        now = self._clock.now()
        leased = await self._store.lease(now, now + LEASE_MS, LEASE_BATCH)
        done = [job.id for job, good in zip(leased, await self._all(leased), strict=True) if good]
        if done:
            await self._store.done(done)
        return len(leased)

    async def _all(self, leased: Sequence[Job]) -> Sequence[bool]:
        return await asyncio.gather(*map(self._one, leased))

    async def _one(self, job: Job) -> bool:
        """Run one job; return whether it is finished."""
        handler = self._handlers.get(job.kind)
        if handler is None:
            return False  # added by a newer version: its lease expires and another process runs it
        try:
            run_at = await handler(job)
        except BellcastError as failure:
            return await self._failed(job, failure.detail)
        except Exception:
            log.exception("job_failed", kind=job.kind, job=job.id)
            return await self._failed(job, "unexpected error")
        if run_at is not None:
            await self._store.retry(job.id, run_at)
        return run_at is None

    async def _failed(self, job: Job, reason: str) -> bool:
        now = self._clock.now()
        pause = min(FIRST_RETRY_MS << min(job.attempts - 1, 16), MAX_RETRY_MS)
        if now + pause > job.created_at + RETRY_DEADLINE_MS:
            log.error("job_abandoned", kind=job.kind, job=job.id, attempts=job.attempts, reason=reason)
            return True
        log.warning("job_retried", kind=job.kind, job=job.id, attempts=job.attempts, reason=reason)
        await self._store.retry(job.id, now + pause)
        return False

    async def _poll(self) -> None:
        self._added.clear()
        waiting = asyncio.ensure_future(self._added.wait())
        try:
            await asyncio.wait((waiting,), timeout=POLL_INTERVAL_SECONDS)
        finally:
            waiting.cancel()
