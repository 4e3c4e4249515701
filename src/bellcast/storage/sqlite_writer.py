"""Group commit: everyone who waits to write shares one transaction and one wait for the disk; tenants take turns.

While a commit is on its way to the disk the next writers queue up, so the slower the disk, the larger the groups.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from math import inf
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

from bellcast import ports
from bellcast.contention import MAX_BACKOFF_SECONDS, ContentionDetector
from bellcast.storage import merging
from bellcast.storage.fair_queue import SMALL_ROWS, FairQueue
from bellcast.storage.locks import ScriptCall
from bellcast.storage.sqlite_connection import SqliteConnection, translated

# A group takes in light jobs until it has so many or has run so long: its first waits for its last.
MAX_GROUP_ROWS = 256
GROUP_SECONDS = 0.008
# Many rows of one caller wait in pieces of so many, about 1 ms: others take their turns between them.
SCRIPT_ROWS = 25
# Of such pieces a group takes in so many rows while they are among themselves, and one piece in company. A page of the
# file is written once for all rows of a group that lie in it: among four thousand a row costs a third of what it does
# among five hundred; but who comes while they are written waits for them all.
MAX_BULK_ROWS = 4_000
# Pieces among themselves are run as one up to so many rows, about 10 ms: then each inbox is looked at and changed once.
MERGE_ROWS = 1_000
# How long another program may hold the write lock before writers are told; backups and tools take milliseconds.
BUSY_TIMEOUT = 5_000
RETRY_DELAY = 0.01

Outcome: TypeAlias = Any  # what the script returned, or the Exception it raised


class SqliteWriteJob(NamedTuple):
    """Scripts that wait to be run, and who waits for their outcomes. `size` is how many rows it is about; `light` is said
    of all that one caller wants, so that its pieces stay in order."""

    starts: list[ScriptCall]
    outcomes: asyncio.Future[list[Outcome]]
    tenant: str
    size: int
    is_small: bool


class CommitGroup:
    """The jobs of one transaction: those that began in it, and which may still come in."""

    def __init__(self, room: int, *, light: bool) -> None:
        self.jobs: list[SqliteWriteJob] = []
        self.light = light  # whether only light jobs come in
        self._room = room  # rows of heavy jobs
        self._light = self._heavy = 0  # how many jobs, how many rows
        self._until = inf

    def takes(self, job: SqliteWriteJob) -> bool:
        """Whether a job may come in. Who waits with a light one waits for one heavy one at most."""
        if perf_counter() >= self._until:
            return False
        if job.is_small:
            return self._light < MAX_GROUP_ROWS
        return not self._heavy or (not self._light and self._heavy + job.size <= self._room)

    def joins(self, last: SqliteWriteJob, rows: int, job: SqliteWriteJob) -> bool:
        """Whether a job may be run as one with the `rows` before it, of which `last` is the last."""
        at_a_stretch = MAX_GROUP_ROWS if job.is_small else MERGE_ROWS if self._room > SCRIPT_ROWS else 0
        return (
            job.is_small == last.is_small
            and rows + job.size <= at_a_stretch
            and merging.can_merge_all([*last.starts, *job.starts])
        )

    def add(self, job: SqliteWriteJob) -> None:
        """Count a job in."""
        self.jobs.append(job)
        if not job.is_small:
            self._heavy += job.size
            return
        if not self._light:
            self._until = perf_counter() + GROUP_SECONDS
        self._light += 1


class _GroupFailed(Exception):
    """A script raised after it had written: the group is rolled back and each script runs alone."""


class SqliteWriter:
    """The only one who writes. Needs no closing while nothing is queued: it works only while there is work."""

    def __init__(self, connection: SqliteConnection, clock: ports.Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._queue = FairQueue[SqliteWriteJob]()
        self._work: asyncio.Task[None] | None = None
        self._contention = ContentionDetector()
        self._small_arrived = asyncio.Event()
        self._backoff_until = 0.0

    async def submit(self, starts: list[ScriptCall], tenant: str) -> list[Outcome]:
        """Run a tenant's scripts in order in shared transactions; their outcomes, after the last commit.

        A waiter that is cancelled leaves its scripts behind: they are committed or not."""
        loop = asyncio.get_running_loop()
        pieces = list(_pieces(starts))
        light = sum(size for _, size in pieces) <= SMALL_ROWS
        jobs = [SqliteWriteJob(piece, loop.create_future(), tenant, size, light) for piece, size in pieces]
        for job in jobs:
            self._queue.add(job)
        if light:
            self._contention.record()
            self._small_arrived.set()
        if self._work is None:
            self._work = loop.create_task(self._work_off())
        return [outcome for job in jobs for outcome in await job.outcomes]

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Shares of tenants that wait for each other."""
        self._queue.weights = weights

    async def close(self) -> None:
        """Commit what waits, then close the connection."""
        if self._work is not None:
            await self._work
        self._connection.close()

    async def _work_off(self) -> None:
        try:
            while self._queue:
                await self._back_off()
                began = perf_counter()
                if await self._group() and self._contention:
                    self._backoff_until = perf_counter() + min(perf_counter() - began, MAX_BACKOFF_SECONDS)
        finally:
            self._work = None

    @property
    def _is_backing_off(self) -> bool:
        return perf_counter() < self._backoff_until

    async def _back_off(self) -> None:
        """In company, after many rows, nothing is begun for as long as they took, but for what is light: the disk and the
        processor are to have room for others."""
        self._small_arrived.clear()
        if self._is_backing_off and self._queue.next(heavy=False) is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._small_arrived.wait(), self._backoff_until - perf_counter())

    async def _group(self) -> bool:
        """Run and commit what waits; whether there was heavy work in it."""
        group = CommitGroup(SCRIPT_ROWS if self._contention else MAX_BULK_ROWS, light=self._is_backing_off)
        try:
            await self._begin()
            outcomes = await self._run(group)
            await self._connection.in_thread(self._connection.raw.execute, "COMMIT")
        except _GroupFailed:
            self._connection.roll_back()
            outcomes = [[await self._run_alone(start) for start in job.starts] for job in group.jobs]
        except Exception as error:  # noqa: BLE001  whatever it is, the waiters must hear it
            self._connection.roll_back()
            group.jobs = group.jobs or self._queue.clear()
            outcomes = [[translated(error) for _ in job.starts] for job in group.jobs]
        for job, outcome in zip(group.jobs, outcomes, strict=True):
            if not job.outcomes.done():
                job.outcomes.set_result(outcome)
        return not all(job.is_small for job in group.jobs)

    async def _begin(self) -> None:
        """Take the write lock; somebody else's may take a while, and the loop goes on meanwhile."""
        deadline = self._clock.now() + BUSY_TIMEOUT
        while True:
            try:
                self._connection.raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or self._clock.now() >= deadline:
                    raise
            else:
                return
            await self._clock.sleep(RETRY_DELAY)

    async def _run(self, group: CommitGroup) -> list[list[Outcome]]:
        """Run queued jobs until the group is full."""
        outcomes: list[Outcome] = []
        self._connection.yield_periodically()
        while jobs := self._next(group):
            for run in merging.runs([start for job in jobs for start in job.starts]):
                outcomes += await self._run_merged(run)
        following = iter(outcomes)
        return [[next(following) for _ in job.starts] for job in group.jobs]

    def _next(self, group: CommitGroup) -> list[SqliteWriteJob]:
        """Whose turn it is, with those behind it that may be run as one with it. Who gave up is passed over."""
        jobs: list[SqliteWriteJob] = []
        rows = 0
        while (job := self._queue.next(heavy=not group.light)) is not None and group.takes(job):
            if jobs and not group.joins(jobs[-1], rows, job):
                break
            self._queue.dequeue(job)
            if not job.outcomes.done():
                group.add(job)
                jobs.append(job)
                rows += job.size
        return jobs

    async def _run_merged(self, run: list[ScriptCall]) -> list[Outcome]:
        outcome = await self._run_script(merging.merge(run))
        if isinstance(outcome, Exception) and len(run) > 1:
            return [await self._run_script(start) for start in run]
        return merging.split_results(run, outcome)

    async def _run_script(self, start: ScriptCall) -> Outcome:
        written = self._connection.raw.total_changes
        try:
            return await self._connection.run(start())
        except Exception as error:
            if self._connection.raw.total_changes != written or not self._connection.raw.in_transaction:
                raise _GroupFailed from error
            return translated(error)

    async def _run_alone(self, start: ScriptCall) -> Outcome:
        """Run one script in a transaction of its own."""
        try:
            await self._begin()
            outcome = await self._connection.run(start())
            await self._connection.in_thread(self._connection.raw.execute, "COMMIT")
        except Exception as error:  # noqa: BLE001  one script's failure is its own caller's to hear
            self._connection.roll_back()
            return translated(error)
        return outcome


def _pieces(starts: list[ScriptCall]) -> Iterator[tuple[list[ScriptCall], int]]:
    """Cut what one caller wants done; with each piece how many rows it is about."""
    piece: list[ScriptCall] = []
    rows = 0
    for start in starts:
        size = merging.size(start)
        if piece and rows + size > SCRIPT_ROWS:
            yield piece, rows
            piece, rows = [], 0
        piece.append(start)
        rows += size
    yield piece, rows
