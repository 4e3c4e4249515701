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
from bellcast.errors import DiskFull, Unavailable
from bellcast.pacing import REST_SECONDS, Company
from bellcast.storage import joining, lockstep
from bellcast.storage.engine import OvertakenError
from bellcast.storage.link import AGAIN, Link, Raw, Text, translated
from bellcast.storage.lockstep import SpoiledError
from bellcast.storage.touching import NOBODY, Inbox, Start, tenant_of
from bellcast.storage.turns import LIGHT, Turns, go_together

# A group takes in so many rows, and what began with the last of them: its first waits for its last.
GROUP = 256
# Rows that one statement sends, alone and in company: some 10 ms and 1 ms of the database's time, 2 ms and 0.2 ms of ours.
STRETCH, SMALL_STRETCH = 300, 25
# One lane is for work of many rows: two would mostly wait for each other's inboxes, and PostgreSQL looks anew at each that
# was waited for. The rest of the lanes are for what is light, which finds one free while somebody sends thousands.
LANES, HEAVY_LANES = 3, 1
# In company heavy work rests between two statements so many times as long as the last one took: every worker has a heavy
# lane, and the processors are to have room for others. With 1, and 50 rows, the p99 of others was 3.2 times its quiet value,
# with this 2.4 times; 4,300 rows a second go through in company instead of 7,900 (two workers on two cores, 2026-11-20).
RESTS = 3
# A tenant's light work has one at a time: while it is committed the next is collected, and in a second lane the groups would
# only be smaller. What people do themselves has two: some of it is done one by one.
LANES_OF_ONE, LANES_OF_NOBODY = 1, 2
# What another process came between is run again so often, each time after a longer, random wait.
TRIES = 10
WAIT_SECONDS = 0.002

Name = tuple[str, str]  # of a recipient: tenant and key
Numbers = dict[Name, int]


class Asked(NamedTuple):
    """A script that waits to be run, and what it touches."""

    start: Start
    inboxes: frozenset[Inbox] | None


class Job(NamedTuple):
    """Scripts that wait to be run, and who waits for their outcomes. `size` is how many rows it is about."""

    starts: list[Start]
    touched: list[frozenset[Inbox] | None]
    outcomes: asyncio.Future[list[Any]]
    tenant: str
    size: int

    @property
    def light(self) -> bool:
        """Whether it goes before larger ones."""
        return self.size <= LIGHT


class Lanes:
    """The writers of this process. They work only while there is work."""

    def __init__(self, pool: asyncpg.Pool, known: dict[str, Text], clock: ports.Clock) -> None:
        self._pool = pool
        self._texts = known
        self._clock = clock
        self._queue = Turns[Job]()
        self._served: Counter[str] = Counter()  # lanes with light work, by the tenant they began for
        self._heavy = 0  # lanes with heavy work
        self._company = Company()
        self._working: set[asyncio.Task[None]] = set()

    async def submit(self, starts: list[Start]) -> list[Any]:
        """Run the scripts in order in a shared transaction; their outcomes, after the commit.

        A waiter that is cancelled leaves its scripts behind: they are committed or not."""
        loop = asyncio.get_running_loop()
        touched = [start.inboxes for start in starts]
        job = Job(starts, touched, loop.create_future(), tenant_of(touched), sum(map(joining.size, starts)))
        self._queue.add(job)
        if job.light:
            self._company.note()
        if len(self._working) < LANES and self._next() is not None:
            lane = loop.create_task(self._work_off())
            self._working.add(lane)
            lane.add_done_callback(self._working.discard)
        return await job.outcomes

    def weigh(self, weights: Mapping[str, float]) -> None:
        """Shares of tenants that wait for each other."""
        self._queue.weights = weights

    async def close(self) -> None:
        """Commit what waits."""
        await asyncio.gather(*self._working)

    async def _work_off(self) -> None:
        while jobs := self._next_group():
            with self._occupied(jobs[0]):
                found = await self._outcomes(jobs)
            for job, outcomes in zip(jobs, found, strict=True):
                if not job.outcomes.done():
                    job.outcomes.set_result(outcomes)

    @contextlib.contextmanager
    def _occupied(self, job: Job) -> Iterator[None]:
        """A lane is taken by such a job."""
        served = Counter([job.tenant] if job.light else [])
        self._served += served
        self._heavy += not job.light
        try:
            yield
        finally:
            self._served -= served  # which forgets what comes to nothing
            self._heavy -= not job.light

    def _next(self) -> Job | None:
        """Whose turn it is, if there is a lane for it."""
        served = [tenant for tenant, lanes in self._served.items() if lanes >= _lanes_of(tenant)]
        return self._queue.next(served, heavy=self._heavy < HEAVY_LANES)

    def _next_group(self) -> list[Job]:
        """Jobs that may share a transaction, or one that may not."""
        jobs: list[Job] = []
        room = GROUP
        while room > 0 and (job := self._next()) is not None:
            if jobs and (None in job.touched or not go_together(jobs[0], job)):
                break
            self._queue.take(job)
            if job.outcomes.done():
                continue
            jobs.append(job)
            room -= job.size
            if None in job.touched:
                break
        return jobs

    async def _outcomes(self, jobs: list[Job]) -> list[list[Any]]:
        """What became of each script of each job."""
        asked: Sequence[Asked] = [Asked(*one) for job in jobs for one in zip(job.starts, job.touched, strict=True)]
        found: list[Any] = []
        while asked:
            stretch = joining.stretch(asked, lambda one: one.start, SMALL_STRETCH if self._company else STRETCH)
            began = perf_counter()
            found += await self._outright(stretch, asked) or await self._in_transactions(stretch)
            asked = asked[len(stretch) :]
            if self._company and not jobs[0].light:
                await asyncio.sleep(min(RESTS * (perf_counter() - began), REST_SECONDS))
        following = iter(found)
        return [[next(following) for _ in job.starts] for job in jobs]

    async def _outright(self, stretch: Sequence[Asked], asked: Sequence[Asked]) -> list[Any] | None:
        """Run a stretch of what is asked by one statement; None if there is none that does it."""
        starts = [one.start for one in stretch]
        script = joining.outright(starts)
        if script is None:
            return None
        for _ in range(TRIES):
            try:
                outcome = await self._by_one_statement(script)
            except Exception as error:  # noqa: BLE001  whatever it is, the waiters must hear it
                failure = translated(error)
                return [failure for _ in starts] if _is_away(failure) and not isinstance(error, AGAIN) else None
            if outcome is not None:
                return joining.parted(starts, outcome)
            before = joining.before([one.start for one in asked])
            if before and (failure := await self._alone(before, before.inboxes)) is not None:
                return [failure for _ in starts]
        return None

    async def _by_one_statement(self, script: Start) -> Any:
        async with self._pool.acquire() as raw:
            return await Link(raw, self._texts).run(script())

    async def _in_transactions(self, asked: Sequence[Asked]) -> list[Any]:
        """Run scripts in one transaction, or one by one."""
        starts, touched = [one.start for one in asked], [one.inboxes for one in asked]
        found = await self._together(starts, touched) if len(starts) > 1 else None
        return found or [await self._alone(*one) for one in asked]

    async def _together(self, starts: list[Start], touched: list[frozenset[Inbox] | None]) -> list[Any] | None:
        """Run scripts in one transaction; None if they must be run one by one."""
        said = [inboxes for inboxes in touched if inboxes is not None]
        if len(said) < len(starts):
            return None
        following = iter(said)
        runs = list(joining.runs(starts))
        held = [frozenset[Inbox]().union(*(next(following) for _ in run)) for run in runs]
        try:
            outcomes = await self._transaction([joining.one(run) for run in runs], held)
        except (SpoiledError, *AGAIN):
            return None
        except Exception as error:  # noqa: BLE001  whatever it is, the waiters must hear it
            failure = translated(error)
            # One text that cannot be stored, say, is its own sender's affair.
            return None if failure is error or not _is_away(failure) else [failure for _ in starts]
        return [each for run, outcome in zip(runs, outcomes, strict=True) for each in joining.parted(run, outcome)]

    async def _alone(self, start: Start, inboxes: frozenset[Inbox] | None) -> Any:
        """Run one script in a transaction of its own, as often as others come between."""
        for tries in range(TRIES):
            try:
                return await self._once(start, inboxes)
            except (OvertakenError, *AGAIN):
                await self._clock.sleep(random.uniform(0, WAIT_SECONDS * 2**tries))
            except Exception as error:  # noqa: BLE001  one script's failure is its own caller's to hear
                return translated(error)
        return translated(AGAIN[0]())

    async def _once(self, start: Start, inboxes: frozenset[Inbox] | None) -> Any:
        async with self._pool.acquire() as raw:
            link = Link(raw, self._texts)
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

    async def _transaction(self, starts: list[Start], touched: list[frozenset[Inbox]]) -> list[Any]:
        async with self._pool.acquire() as raw:
            link = Link(raw, self._texts)
            try:
                numbers = await _begin(link, frozenset().union(*touched))
                outcomes: list[Any] = [None] * len(starts)
                for turn in lockstep.turns(touched, numbers):
                    for index, outcome in zip(turn, await lockstep.advance(link, _begun(starts, turn)), strict=True):
                        outcomes[index] = outcome
                await raw.execute("COMMIT")
            except BaseException:
                await _roll_back(raw)
                raise
            return outcomes


def _lanes_of(tenant: str) -> int:
    """How many its light work may have."""
    return LANES_OF_NOBODY if tenant == NOBODY else LANES_OF_ONE


def _begun(starts: list[Start], turn: list[int]) -> Iterable[Any]:
    return (starts[index]() for index in turn)


async def _begin(link: Link, inboxes: frozenset[Inbox]) -> Numbers:
    """Begin a transaction that has these inboxes to itself, those not made yet too; the numbers of those that are there."""
    numbers = [inbox for inbox in inboxes if isinstance(inbox, int)]
    names = sorted(inbox for inbox in inboxes if isinstance(inbox, tuple))
    for _ in range(TRIES):
        await link.raw.execute("BEGIN")
        held = await _hold(link, numbers, names)
        if held is not None:
            return held
        await link.raw.execute("ROLLBACK")
    raise OvertakenError


async def _hold(link: Link, numbers: list[int], names: list[Name]) -> Numbers | None:
    """Rows first, then names. None if another process made one of the names meanwhile: whoever holds names must not
    wait for rows, for others hold rows and wait for names."""
    found = await _numbers(link, names)
    wanted = [*numbers, *found.values()]
    (rows,) = await link.ask("hold_inboxes", [{"numbers": wanted}]) if wanted else [[]]
    there = {number for (number,) in rows}
    held = {name: number for name, number in found.items() if number in there}
    missing = [name for name in names if name not in held]
    if missing:
        await link.ask("hold_names", [_columns(missing)])
        if await _numbers(link, missing):
            return None
    return held


async def _numbers(link: Link, names: list[Name]) -> Numbers:
    (rows,) = await link.ask("inboxes_of_names", [_columns(names)]) if names else [[]]
    return {(tenant, key): number for number, tenant, key in rows}


def _columns(names: list[Name]) -> dict[str, list[str]]:
    return {"tenants": [tenant for tenant, _ in names], "keys": [key for _, key in names]}


async def _roll_back(raw: Raw) -> None:
    if not raw.is_closed() and raw.is_in_transaction():
        await raw.execute("ROLLBACK")


def _is_away(failure: Exception) -> bool:
    return isinstance(failure, DiskFull | Unavailable)
