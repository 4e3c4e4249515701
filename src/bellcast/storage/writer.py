"""Group commit: everyone who waits to write shares one transaction and one wait for the disk; tenants take turns.

While a commit is on its way to the disk the next writers queue up, so the slower the disk, the larger the groups.
"""

import asyncio
import sqlite3
from collections.abc import Mapping
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

from bellcast import ports
from bellcast.storage.connection import Connection, translated
from bellcast.storage.touching import Start
from bellcast.storage.turns import Turns, go_together

# A group takes in scripts until it has so many or has run so long: its first waits for its last.
GROUP = 256
GROUP_SECONDS = 0.008
# Many scripts of one caller wait in pieces of so many, about 1 ms: others take their turns between them.
PIECE = 32
# How long another program may hold the write lock before writers are told; backups and tools take milliseconds.
PATIENCE = 5_000
RETRY_SECONDS = 0.01

Outcome: TypeAlias = Any  # what the script returned, or the Exception it raised


class Job(NamedTuple):
    """Scripts that wait to be run, and who waits for their outcomes."""

    starts: list[Start]
    outcomes: asyncio.Future[list[Outcome]]
    tenant: str

    @property
    def size(self) -> int:
        """How many rows it is about."""
        return len(self.starts)


class _SpoiledError(Exception):
    """A script raised after it had written: the group is rolled back and each script runs alone."""


class Writer:
    """The only one who writes. Needs no closing while nothing is queued: it works only while there is work."""

    def __init__(self, connection: Connection, clock: ports.Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._queue = Turns[Job]()
        self._work: asyncio.Task[None] | None = None

    async def submit(self, starts: list[Start], tenant: str) -> list[Outcome]:
        """Run a tenant's scripts in order in shared transactions; their outcomes, after the last commit.

        A waiter that is cancelled leaves its scripts behind: they are committed or not."""
        loop = asyncio.get_running_loop()
        jobs = [
            Job(starts[at : at + PIECE], loop.create_future(), tenant) for at in range(0, max(1, len(starts)), PIECE)
        ]
        for job in jobs:
            self._queue.add(job)
        if self._work is None:
            self._work = loop.create_task(self._work_off())
        return [outcome for job in jobs for outcome in await job.outcomes]

    def weigh(self, weights: Mapping[str, float]) -> None:
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
                await self._group()
        finally:
            self._work = None

    async def _group(self) -> None:
        jobs: list[Job] = []
        try:
            await self._begin()
            outcomes = await self._run(jobs)
            await self._connection.in_thread(self._connection.raw.execute, "COMMIT")
        except _SpoiledError:
            self._connection.roll_back()
            outcomes = [[await self._alone(start) for start in job.starts] for job in jobs]
        except Exception as error:  # noqa: BLE001  whatever it is, the waiters must hear it
            self._connection.roll_back()
            jobs = jobs or self._all_queued()
            outcomes = [[translated(error) for _ in job.starts] for job in jobs]
        for job, outcome in zip(jobs, outcomes, strict=True):
            if not job.outcomes.done():
                job.outcomes.set_result(outcome)

    def _all_queued(self) -> list[Job]:
        return self._queue.clear()

    async def _begin(self) -> None:
        """Take the write lock; somebody else's may take a while, and the loop goes on meanwhile."""
        deadline = self._clock.now() + PATIENCE
        while True:
            try:
                self._connection.raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or self._clock.now() >= deadline:
                    raise
            else:
                return
            await self._clock.sleep(RETRY_SECONDS)

    async def _run(self, jobs: list[Job]) -> list[list[Outcome]]:
        """Run queued jobs until the group is full, putting each into `jobs` as it begins."""
        outcomes: list[list[Outcome]] = []
        self._connection.share_loop()
        room = GROUP
        until = perf_counter() + GROUP_SECONDS
        while room > 0 and perf_counter() < until and (job := self._queue.next()) is not None:
            if jobs and not go_together(jobs[0], job):
                break
            self._queue.take(job)
            if job.outcomes.done():
                continue
            jobs.append(job)
            room -= len(job.starts)
            outcomes.append([await self._one(start) for start in job.starts])
        return outcomes

    async def _one(self, start: Start) -> Outcome:
        written = self._connection.raw.total_changes
        try:
            return await self._connection.run(start())
        except Exception as error:
            if self._connection.raw.total_changes != written or not self._connection.raw.in_transaction:
                raise _SpoiledError from error
            return translated(error)

    async def _alone(self, start: Start) -> Outcome:
        """Run one script in a transaction of its own."""
        try:
            await self._begin()
            outcome = await self._connection.run(start())
            await self._connection.in_thread(self._connection.raw.execute, "COMMIT")
        except Exception as error:  # noqa: BLE001  one script's failure is its own caller's to hear
            self._connection.roll_back()
            return translated(error)
        return outcome
