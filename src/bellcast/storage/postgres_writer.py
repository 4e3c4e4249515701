"""Group commit on PostgreSQL: scripts that wait share a transaction on one of a few connections, tenant by turns.

A group holds the inboxes its scripts touch before any of them begins (see touching.py), so they run as if there were one
writer, at READ COMMITTED and without conflicts. A script that does not say what it touches runs alone at REPEATABLE READ
and is run again when another process came between.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import asyncpg

from bellcast import ports
from bellcast.contention import MAX_BACKOFF_SECONDS, ContentionDetector
from bellcast.errors import DiskFull, Unavailable
from bellcast.storage import merging, pipeline
from bellcast.storage.engine import WriteConflict
from bellcast.storage.fair_queue import SMALL_ROWS, FairQueue, may_share_transaction
from bellcast.storage.locks import NO_TENANT, LockKey, ScriptCall, tenant_of
from bellcast.storage.pipeline import GroupFailed
from bellcast.storage.postgres_connection import RETRYABLE_ERRORS, PostgresConnection, PostgresText, Raw, translated

# A group takes in so many rows, and what began with the last of them: its first waits for its last.
MAX_GROUP_ROWS = 256
# Rows that one statement sends, alone and in company: some 10 ms and 1 ms of the database's time, 2 ms and 0.2 ms of ours.
STATEMENT_ROWS, SMALL_STRETCH = 300, 25
# One lane is for work of many rows: two would mostly wait for each other's inboxes, and PostgreSQL looks anew at each that
# was waited for. The rest of the lanes are for what is light, which finds one free while somebody sends thousands.
MAX_WRITERS, HEAVY_LANES = 3, 1
# In company heavy work rests between two statements so many times as long as the last one took: every worker has a heavy
# lane, and the processors are to have room for others. With 1, and 50 rows, the p99 of others was 3.2 times its quiet value,
# with this 2.4 times; 4,300 rows a second go through in company instead of 7,900 (two workers on two cores, 2026-11-20).
BACKOFF_FACTOR = 3
# A tenant's light work has one at a time: while it is committed the next is collected, and in a second lane the groups would
# only be smaller. What people do themselves has two: some of it is done one by one.
LANES_OF_ONE, LANES_OF_NOBODY = 1, 2
# What another process came between is run again so often, each time after a longer, random wait.
MAX_ATTEMPTS = 10
RETRY_DELAY = 0.002

Name = tuple[str, str]  # of a recipient: tenant and key
Numbers = dict[Name, int]


class PendingScript(NamedTuple):
    """A script that waits to be run, and what it touches."""

    start: ScriptCall
    inboxes: frozenset[LockKey] | None


class PostgresWriteJob(NamedTuple):
    """Scripts that wait to be run, and who waits for their outcomes. `size` is how many rows it is about."""

    starts: list[ScriptCall]
    locks: list[frozenset[LockKey] | None]
    outcomes: asyncio.Future[list[Any]]
    tenant: str
    size: int

    @property
    def is_small(self) -> bool:
        """Whether it goes before larger ones."""
        return self.size <= SMALL_ROWS


class PostgresWriter:
    """The writers of this process. They work only while there is work."""

    def __init__(self, pool: asyncpg.Pool, known: dict[str, PostgresText], clock: ports.Clock) -> None:
        self._pool = pool
        self._texts = known
        self._clock = clock
        self._queue = FairQueue[PostgresWriteJob]()
        self._small_slots: Counter[str] = Counter()  # lanes with light work, by the tenant they began for
        self._bulk_slots = 0  # lanes with heavy work
        self._contention = ContentionDetector()
        self._working: set[asyncio.Task[None]] = set()

    async def submit(self, starts: list[ScriptCall]) -> list[Any]:
        """Run the scripts in order in a shared transaction; their outcomes, after the commit.

        A waiter that is cancelled leaves its scripts behind: they are committed or not."""
        loop = asyncio.get_running_loop()
        touched = [start.inboxes for start in starts]
        job = PostgresWriteJob(
            starts, touched, loop.create_future(), tenant_of(touched), sum(map(merging.size, starts))
        )
        self._queue.add(job)
        if job.is_small:
            self._contention.record()
        if len(self._working) < MAX_WRITERS and self._next() is not None:
            lane = loop.create_task(self._work_off())
            self._working.add(lane)
            lane.add_done_callback(self._working.discard)
        return await job.outcomes

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Shares of tenants that wait for each other."""
        self._queue.weights = weights

    async def close(self) -> None:
        """Commit what waits."""
        await asyncio.gather(*self._working)

    async def _work_off(self) -> None:
        while jobs := self._next_group():
            with self._slot_in_use(jobs[0]):
                found = await self._outcomes(jobs)
            for job, outcomes in zip(jobs, found, strict=True):
                if not job.outcomes.done():
                    job.outcomes.set_result(outcomes)

    @contextlib.contextmanager
    def _slot_in_use(self, job: PostgresWriteJob) -> Iterator[None]:
        """A lane is taken by such a job."""
        served = Counter([job.tenant] if job.is_small else [])
        self._small_slots += served
        self._bulk_slots += not job.is_small
        try:
            yield
        finally:
            self._small_slots -= served  # which forgets what comes to nothing
            self._bulk_slots -= not job.is_small

    def _next(self) -> PostgresWriteJob | None:
        """Whose turn it is, if there is a lane for it."""
        served = [tenant for tenant, lanes in self._small_slots.items() if lanes >= _max_slots(tenant)]
        return self._queue.next(served, heavy=self._bulk_slots < HEAVY_LANES)

    def _next_group(self) -> list[PostgresWriteJob]:
        """Jobs that may share a transaction, or one that may not."""
        jobs: list[PostgresWriteJob] = []
        room = MAX_GROUP_ROWS
        while room > 0 and (job := self._next()) is not None:
            if jobs and (None in job.locks or not may_share_transaction(jobs[0], job)):
                break
            self._queue.dequeue(job)
            if job.outcomes.done():
                continue
            jobs.append(job)
            room -= job.size
            if None in job.locks:
                break
        return jobs

    async def _outcomes(self, jobs: list[PostgresWriteJob]) -> list[list[Any]]:
        """What became of each script of each job."""
        asked: Sequence[PendingScript] = [
            PendingScript(*one) for job in jobs for one in zip(job.starts, job.locks, strict=True)
        ]
        found: list[Any] = []
        while asked:
            stretch = merging.take_batch(
                asked, lambda one: one.start, SMALL_STRETCH if self._contention else STATEMENT_ROWS
            )
            began = perf_counter()
            found += await self._single_statement(stretch, asked) or await self._in_transactions(stretch)
            asked = asked[len(stretch) :]
            if self._contention and not jobs[0].is_small:
                await asyncio.sleep(min(BACKOFF_FACTOR * (perf_counter() - began), MAX_BACKOFF_SECONDS))
        following = iter(found)
        return [[next(following) for _ in job.starts] for job in jobs]

    async def _single_statement(
        self, stretch: Sequence[PendingScript], asked: Sequence[PendingScript]
    ) -> list[Any] | None:
        """Run a stretch of what is asked by one statement; None if there is none that does it."""
        starts = [one.start for one in stretch]
        script = merging.single_statement(starts)
        if script is None:
            return None
        for _ in range(MAX_ATTEMPTS):
            try:
                outcome = await self._run_single_statement(script)
            except Exception as error:  # noqa: BLE001  whatever it is, the waiters must hear it
                failure = translated(error)
                return (
                    [failure for _ in starts]
                    if _is_unavailable(failure) and not isinstance(error, RETRYABLE_ERRORS)
                    else None
                )
            if outcome is not None:
                return merging.split_results(starts, outcome)
            before = merging.prerequisite([one.start for one in asked])
            if before and (failure := await self._retried(before, before.inboxes)) is not None:
                return [failure for _ in starts]
        return None

    async def _run_single_statement(self, script: ScriptCall) -> Any:
        async with self._pool.acquire() as raw:
            return await PostgresConnection(raw, self._texts).run(script())

    async def _in_transactions(self, asked: Sequence[PendingScript]) -> list[Any]:
        """Run scripts in one transaction, or one by one."""
        starts, touched = [one.start for one in asked], [one.inboxes for one in asked]
        found = await self._merged(starts, touched) if len(starts) > 1 else None
        return found or [await self._retried(*one) for one in asked]

    async def _merged(self, starts: list[ScriptCall], touched: list[frozenset[LockKey] | None]) -> list[Any] | None:
        """Run scripts in one transaction; None if they must be run one by one."""
        said = [inboxes for inboxes in touched if inboxes is not None]
        if len(said) < len(starts):
            return None
        following = iter(said)
        runs = list(merging.runs(starts))
        held = [frozenset[LockKey]().union(*(next(following) for _ in run)) for run in runs]
        try:
            outcomes = await self._transaction([merging.merge(run) for run in runs], held)
        except (GroupFailed, *RETRYABLE_ERRORS):
            return None
        except Exception as error:  # noqa: BLE001  whatever it is, the waiters must hear it
            failure = translated(error)
            # One text that cannot be stored, say, is its own sender's affair.
            return None if failure is error or not _is_unavailable(failure) else [failure for _ in starts]
        return [
            each for run, outcome in zip(runs, outcomes, strict=True) for each in merging.split_results(run, outcome)
        ]

    async def _retried(self, start: ScriptCall, inboxes: frozenset[LockKey] | None) -> Any:
        """Run one script in a transaction of its own, as often as others come between."""
        for tries in range(MAX_ATTEMPTS):
            try:
                return await self._once(start, inboxes)
            except (WriteConflict, *RETRYABLE_ERRORS):
                await self._clock.sleep(random.uniform(0, RETRY_DELAY * 2**tries))
            except Exception as error:  # noqa: BLE001  one script's failure is its own caller's to hear
                return translated(error)
        return translated(RETRYABLE_ERRORS[0]())

    async def _once(self, start: ScriptCall, inboxes: frozenset[LockKey] | None) -> Any:
        async with self._pool.acquire() as raw:
            link = PostgresConnection(raw, self._texts)
            try:
                if inboxes is None:
                    await raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                else:
                    await _begin(link, inboxes)
                outcome = await link.run(start())
                await raw.execute("COMMIT")
            except BaseException:
                await _roll_back(raw)
                raise
            return outcome

    async def _transaction(self, starts: list[ScriptCall], touched: list[frozenset[LockKey]]) -> list[Any]:
        async with self._pool.acquire() as raw:
            link = PostgresConnection(raw, self._texts)
            try:
                numbers = await _begin(link, frozenset().union(*touched))
                outcomes: list[Any] = [None] * len(starts)
                for turn in pipeline.conflict_free_rounds(touched, numbers):
                    for index, outcome in zip(
                        turn, await pipeline.run_pipelined(link, _started(starts, turn)), strict=True
                    ):
                        outcomes[index] = outcome
                await raw.execute("COMMIT")
            except BaseException:
                await _roll_back(raw)
                raise
            return outcomes


def _max_slots(tenant: str) -> int:
    """How many its light work may have."""
    return LANES_OF_NOBODY if tenant == NO_TENANT else LANES_OF_ONE


def _started(starts: list[ScriptCall], turn: list[int]) -> Iterable[Any]:
    return (starts[index]() for index in turn)


async def _begin(link: PostgresConnection, inboxes: frozenset[LockKey]) -> Numbers:
    """Begin a transaction that has these inboxes to itself, those not made yet too; the numbers of those that are there."""
    numbers = [inbox for inbox in inboxes if isinstance(inbox, int)]
    names = sorted(inbox for inbox in inboxes if isinstance(inbox, tuple))
    for _ in range(MAX_ATTEMPTS):
        await link.raw.execute("BEGIN")
        held = await _lock(link, numbers, names)
        if held is not None:
            return held
        await link.raw.execute("ROLLBACK")
    raise WriteConflict


async def _lock(link: PostgresConnection, numbers: list[int], names: list[Name]) -> Numbers | None:
    """Rows first, then names. None if another process made one of the names meanwhile: whoever holds names must not
    wait for rows, for others hold rows and wait for names."""
    found = await _numbers(link, names)
    wanted = [*numbers, *found.values()]
    (rows,) = await link.query("hold_inboxes", [{"numbers": wanted}]) if wanted else [[]]
    there = {number for (number,) in rows}
    held = {name: number for name, number in found.items() if number in there}
    missing = [name for name in names if name not in held]
    if missing:
        await link.query("hold_names", [_columns(missing)])
        if await _numbers(link, missing):
            return None
    return held


async def _numbers(link: PostgresConnection, names: list[Name]) -> Numbers:
    (rows,) = await link.query("inboxes_of_names", [_columns(names)]) if names else [[]]
    return {(tenant, key): number for number, tenant, key in rows}


def _columns(names: list[Name]) -> dict[str, list[str]]:
    return {"tenants": [tenant for tenant, _ in names], "keys": [key for _, key in names]}


async def _roll_back(raw: Raw) -> None:
    if not raw.is_closed() and raw.is_in_transaction():
        await raw.execute("ROLLBACK")


def _is_unavailable(failure: Exception) -> bool:
    return isinstance(failure, DiskFull | Unavailable)
