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
from bellcast.pacing import REST_SECONDS, Company
from bellcast.storage import joining
from bellcast.storage.connection import Connection, translated
from bellcast.storage.touching import Start
from bellcast.storage.turns import LIGHT, Turns

# A group takes in light jobs until it has so many or has run so long: its first waits for its last.
GROUP = 256
GROUP_SECONDS = 0.008
# Many rows of one caller wait in pieces of so many, about 1 ms: others take their turns between them.
PIECE = 25
# Of such pieces a group takes in so many rows while they are among themselves, and one piece in company. A page of the
# file is written once for all rows of a group that lie in it: among four thousand a row costs a third of what it does
# among five hundred; but who comes while they are written waits for them all.
BULK = 4_000
# Pieces among themselves are run as one up to so many rows, about 10 ms: then each inbox is looked at and changed once.
STRETCH = 1_000
# How long another program may hold the write lock before writers are told; backups and tools take milliseconds.
PATIENCE = 5_000
RETRY_SECONDS = 0.01

Outcome: TypeAlias = Any  # what the script returned, or the Exception it raised


class Job(NamedTuple):
    """Scripts that wait to be run, and who waits for their outcomes. `size` is how many rows it is about; `light` is said
    of all that one caller wants, so that its pieces stay in order."""

    starts: list[Start]
    outcomes: asyncio.Future[list[Outcome]]
    tenant: str
    size: int
    light: bool


class Group:
    """The jobs of one transaction: those that began in it, and which may still come in."""

    def __init__(self, room: int, *, light: bool) -> None:
        self.jobs: list[Job] = []
        self.light = light  # whether only light jobs come in
        self._room = room  # rows of heavy jobs
        self._light = self._heavy = 0  # how many jobs, how many rows
        self._until = inf

    def takes(self, job: Job) -> bool:
        """Whether a job may come in. Who waits with a light one waits for one heavy one at most."""
        if perf_counter() >= self._until:
            return False
        if job.light:
            return self._light < GROUP
        return not self._heavy or (not self._light and self._heavy + job.size <= self._room)

    def joins(self, last: Job, rows: int, job: Job) -> bool:
        """Whether a job may be run as one with the `rows` before it, of which `last` is the last."""
        at_a_stretch = GROUP if job.light else STRETCH if self._room > PIECE else 0
        return (
            job.light == last.light
            and rows + job.size <= at_a_stretch
            and joining.may_join_all([*last.starts, *job.starts])
        )

    def add(self, job: Job) -> None:
        """Count a job in."""
        self.jobs.append(job)
        if not job.light:
            self._heavy += job.size
            return
        if not self._light:
            self._until = perf_counter() + GROUP_SECONDS
        self._light += 1


class _SpoiledError(Exception):
    """A script raised after it had written: the group is rolled back and each script runs alone."""


class Writer:
    """The only one who writes. Needs no closing while nothing is queued: it works only while there is work."""

    def __init__(self, connection: Connection, clock: ports.Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._queue = Turns[Job]()
        self._work: asyncio.Task[None] | None = None
        self._company = Company()
        self._light_came = asyncio.Event()
        self._rests_until = 0.0

    async def submit(self, starts: list[Start], tenant: str) -> list[Outcome]:
        """Run a tenant's scripts in order in shared transactions; their outcomes, after the last commit.

        A waiter that is cancelled leaves its scripts behind: they are committed or not."""
        loop = asyncio.get_running_loop()
        pieces = list(_pieces(starts))
        light = sum(size for _, size in pieces) <= LIGHT
        jobs = [Job(piece, loop.create_future(), tenant, size, light) for piece, size in pieces]
        for job in jobs:
            self._queue.add(job)
        if light:
            self._company.note()
            self._light_came.set()
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
                await self._rest()
                began = perf_counter()
                if await self._group() and self._company:
                    self._rests_until = perf_counter() + min(perf_counter() - began, REST_SECONDS)
        finally:
            self._work = None

    @property
    def _resting(self) -> bool:
        return perf_counter() < self._rests_until

    async def _rest(self) -> None:
        """In company, after many rows, nothing is begun for as long as they took, but for what is light: the disk and the
        processor are to have room for others."""
        self._light_came.clear()
        if self._resting and self._queue.next(heavy=False) is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._light_came.wait(), self._rests_until - perf_counter())

    async def _group(self) -> bool:
        """Run and commit what waits; whether there was heavy work in it."""
        group = Group(PIECE if self._company else BULK, light=self._resting)
        try:
            await self._begin()
            outcomes = await self._run(group)
            await self._connection.in_thread(self._connection.raw.execute, "COMMIT")
        except _SpoiledError:
            self._connection.roll_back()
            outcomes = [[await self._alone(start) for start in job.starts] for job in group.jobs]
        except Exception as error:  # noqa: BLE001  whatever it is, the waiters must hear it
            self._connection.roll_back()
            group.jobs = group.jobs or self._queue.clear()
            outcomes = [[translated(error) for _ in job.starts] for job in group.jobs]
        for job, outcome in zip(group.jobs, outcomes, strict=True):
            if not job.outcomes.done():
                job.outcomes.set_result(outcome)
        return not all(job.light for job in group.jobs)

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

    async def _run(self, group: Group) -> list[list[Outcome]]:
        """Run queued jobs until the group is full."""
        outcomes: list[Outcome] = []
        self._connection.share_loop()
        while jobs := self._next(group):
            for run in joining.runs([start for job in jobs for start in job.starts]):
                outcomes += await self._as_one(run)
        following = iter(outcomes)
        return [[next(following) for _ in job.starts] for job in group.jobs]

    def _next(self, group: Group) -> list[Job]:
        """Whose turn it is, with those behind it that may be run as one with it. Who gave up is passed over."""
        jobs: list[Job] = []
        rows = 0
        while (job := self._queue.next(heavy=not group.light)) is not None and group.takes(job):
            if jobs and not group.joins(jobs[-1], rows, job):
                break
            self._queue.take(job)
            if not job.outcomes.done():
                group.add(job)
                jobs.append(job)
                rows += job.size
        return jobs

    async def _as_one(self, run: list[Start]) -> list[Outcome]:
        outcome = await self._one(joining.one(run))
        if isinstance(outcome, Exception) and len(run) > 1:
            return [await self._one(start) for start in run]
        return joining.parted(run, outcome)

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


def _pieces(starts: list[Start]) -> Iterator[tuple[list[Start], int]]:
    """Cut what one caller wants done; with each piece how many rows it is about."""
    piece: list[Start] = []
    rows = 0
    for start in starts:
        size = joining.size(start)
        if piece and rows + size > PIECE:
            yield piece, rows
            piece, rows = [], 0
        piece.append(start)
        rows += size
    yield piece, rows
