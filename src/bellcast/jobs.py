"""Durable later work: added in a transaction, leased in batches, tried again with growing pauses, given up after a while."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from bellcast import ports
from bellcast.errors import BellcastError
from bellcast.ports import Job

log = structlog.get_logger(__name__)

LEASE_BATCH = 32
# A process that dies while it works lets the others wait this long for its jobs.
LEASE_MS = 30_000
# Between two looks when nobody says that there is work; a due retry waits no longer than this.
POLL_INTERVAL_SECONDS = 0.5
FIRST_RETRY_MS = 1_000
MAX_RETRY_MS = 60_000
RETRY_DEADLINE_MS = 300_000

JobHandler = Callable[[Job], Awaitable[None]]


class JobRunner:
    """The jobs of this process: what it adds, and what it does of what anybody added."""

    def __init__(self, store: ports.Jobs, clock: ports.Clock, new_id: Callable[[int], str]) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._handlers: dict[str, JobHandler] = {}
        self._added = asyncio.Event()

    def register(self, kind: str, doer: JobHandler) -> None:
        """Jobs of that kind are done by this; what it raises is tried again."""
        self._handlers[kind] = doer

    async def add(self, kind: str, payload: bytes) -> None:
        """Do it soon, in whatever process is there then."""
        await self.put_off(kind, {self._new_id(self._clock.now()): payload}, 0)

    async def put_off(self, kind: str, payloads: Mapping[str, bytes], after: int) -> None:
        """Do each, by its `once` name, in `after` milliseconds; what waits under that name already is put off."""
        now = self._clock.now()
        jobs = [
            Job(id=name, kind=kind, payload=payload, run_at=now + after, created_at=now)
            for name, payload in payloads.items()
        ]
        await self._store.add(jobs)
        self._added.set()

    async def cancel(self, names: Sequence[str]) -> frozenset[str]:
        """Do not do what waits under these `once` names, if nobody has begun to; which of them waited."""
        return await self._store.cancel(names)

    async def run(self) -> None:
        """Work for ever; a store that is away is tried again."""
        while True:
            try:
                while await self.run_due() == LEASE_BATCH:
                    pass
            except BellcastError as failure:
                log.warning("jobs wait", why=failure.detail)
            await self._poll()

    async def run_due(self) -> int:
        """One batch of what is due; how many that were."""
        now = self._clock.now()
        leased = await self._store.lease(now, now + LEASE_MS, LEASE_BATCH)
        done = [job.id for job, good in zip(leased, await self._all(leased), strict=True) if good]
        if done:
            await self._store.done(done)
        return len(leased)

    async def _all(self, leased: Sequence[Job]) -> Sequence[bool]:
        return await asyncio.gather(*map(self._one, leased))

    async def _one(self, job: Job) -> bool:
        """Whether nothing is left to do."""
        doer = self._handlers.get(job.kind)
        if doer is None:
            return False  # a newer process's: it will be due again
        try:
            await doer(job)
        except BellcastError as failure:
            return await self._failed(job, failure.detail)
        except Exception:
            log.exception("job failed", kind=job.kind, job=job.id)
            return await self._failed(job, "unforeseen")
        return True

    async def _failed(self, job: Job, why: str) -> bool:
        now = self._clock.now()
        pause = min(FIRST_RETRY_MS << min(job.attempts - 1, 16), MAX_RETRY_MS)
        if now + pause > job.created_at + RETRY_DEADLINE_MS:
            log.error("job given up", kind=job.kind, job=job.id, attempts=job.attempts, why=why)
            return True
        log.warning("job failed; tried again", kind=job.kind, job=job.id, attempts=job.attempts, why=why)
        await self._store.retry(job.id, now + pause)
        return False

    async def _poll(self) -> None:
        self._added.clear()
        waiting = asyncio.ensure_future(self._added.wait())
        try:
            await asyncio.wait((waiting,), timeout=POLL_INTERVAL_SECONDS)
        finally:
            waiting.cancel()
