"""Durable jobs: added in a transaction, leased when slots are free, retried with growing delays."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import structlog
from msgspec import Struct
from msgspec.structs import replace

from bellcast.kernel.clock import Clock, TestClock
from bellcast.kernel.errors import BellcastError, DiskFull, TenantErased, Unavailable
from bellcast.kernel.jobs import END_OF_TIME, FANOUT, NORMAL, URGENT, Job, JobGroup, in_line, kind_of, line_of
from bellcast.kernel.jobs.slots import Destination, Destinations, Room, TenantShares
from bellcast.kernel.jobs.store import DeadJobEffect, Jobs
from bellcast.kernel.validation import storable

log = structlog.get_logger(__name__)

# A clock that goes back by more than this was wrong before. Clocks of nodes differ by less.
STEP_MS = 10_000
# Jobs that are planned again in one transaction.
REPLANNED = 500
# Maximum concurrent jobs: several pages, so that one is executed while others wait for their commits. Jobs that call another
# server use the slots of their destinations instead.
SLOTS = 96
# Maximum jobs that share a commit. During a fan-out to a topic the p99 of urgent e-mails was 2.8 times its idle value
# with 16, and 1.6 to 4.4 times with 32, which took 6 % less CPU time per run (two busy cores, 2026-11-21).
PAGE = 16
# Slots reserved for urgent jobs, of all jobs and of each destination: they start immediately.
URGENT_SLOTS = 4
# Lines whose destination is known. Beyond, they are forgotten: the next jobs find it again.
MAX_LINES = 10_000
# Lease duration: jobs of a crashed process run again after this time.
LEASE_MS = 30_000
# Renewal interval: two renewals may fail before a lease ends.
RENEW_MS = LEASE_MS // 3
# Delay between polls without a wake-up; a due retry waits at most this long. At rest, after QUIET_TURNS without a wake-up or a
# job, it is longer: a poll takes this process 1 ms of CPU time, most of which is asyncpg's.
POLL_INTERVAL_SECONDS, REST_INTERVAL_SECONDS, QUIET_TURNS = 0.5, 1.0, 20
FIRST_RETRY_MS = 1_000
MAX_RETRY_MS = 60_000
# Retry deadline of jobs whose result is useless later.
RETRY_DEADLINE_MS = 300_000
# Consecutive crashes and unexpected errors after which a job is dead.
MAX_CRASHES = 5
# Time for running jobs at shutdown before they are cancelled: half of what Docker waits before it kills.
CLOSE_TIMEOUT_SECONDS = 5.0
MAX_ERROR_LENGTH = 1_000


class Again(Struct, frozen=True):
    """The outcome of a job that runs again at a time (UTC milliseconds): with another payload, or in a line."""

    at: int
    payload: bytes | None = None
    line: str | None = None


class DestinationCall(Struct, frozen=True):
    """The outcome of a job whose remaining work calls a destination. Without room there, it waits in the line in the store,
    whose jobs are leased only while the destination has room."""

    destination: Destination
    line: str
    work: Callable[[], Awaitable["PageOutcome"]]


# None when the job is done, the time (UTC milliseconds) at which it is due again, its error, or what remains.
PageOutcome: TypeAlias = "int | Again | DestinationCall | Exception | None"
JobHandler = Callable[[Job], Awaitable[PageOutcome]]
# Executes jobs of one kind and tenant together. Returns their outcomes in order. If it raises, each job runs again
# separately.
PageHandler = Callable[[Sequence[Job]], Awaitable[Sequence[PageOutcome]]]


class SetAside(Exception):
    """The outcome of a job that failed permanently: it is dead until it is retried. The text is its error."""


class JobKind(Struct, frozen=True):
    """How jobs of a kind are executed: at most `page` of them together. Jobs of lines that it does not serve wait for another
    process. `when_dead` happens when one is set dead.

    A job is retried if the handler raises: while a dependency is unavailable, without limit or for `retry_deadline` milliseconds;
    after other errors MAX_CRASHES times. SetAside makes it dead immediately. Jobs of a kind that `is_timed` know until when they
    wait: one that runs too early waits again."""

    name: str
    handler: PageHandler
    page: int = PAGE
    concurrency: int = SLOTS
    retry_deadline: int | None = None
    serves: Callable[[str], bool] = lambda line: True
    when_dead: DeadJobEffect | None = None
    is_timed: bool = False


class RunningJob(Struct, frozen=True):
    """A job in a slot, or that calls a destination."""

    job: Job
    task: asyncio.Task[None]
    destination: Destination | None


class Outcomes(Struct):
    """Outcomes of ended jobs that are not stored yet, in the form for the store."""

    done: list[Job] = []
    retry: list[Job] = []
    dead: list[Job] = []


class JobRunner:
    """Adds jobs and runs those of all processes."""

    def __init__(
        self,
        store: Jobs,
        clock: Clock,
        new_id: Callable[[int], str],
        weight_of: Callable[[str], float] = lambda tenant: 1.0,
    ) -> None:
        self._db = store
        self._clock = clock
        self._new_id = new_id
        self.destinations = Destinations(clock)
        self._kinds: dict[str, JobKind] = {}
        self._shares = {priority: TenantShares(weight_of) for priority in (URGENT, NORMAL, FANOUT)}
        self._running: dict[tuple[str, str | None], RunningJob] = {}
        self._lines: dict[tuple[str, str], Destination] = {}  # by tenant and kind with line
        self._outcomes = Outcomes()
        self._renewed_at = 0
        self._is_replanning = True
        self._changed = asyncio.Event()  # a job was added, or a slot is free
        self._turns = 0  # iterations of `run` that have begun
        self._settled_turn = 0  # the last one that found nothing to do
        self._turn_ended = asyncio.Event()

    def register(
        self,
        kind: str,
        handler: JobHandler,
        *,
        concurrency: int = SLOTS,
        retry_deadline: int | None = None,
        is_timed: bool = False,
    ) -> None:
        """Set the handler of a kind whose jobs are executed one by one."""

        async def execute(jobs: Sequence[Job]) -> list[PageOutcome]:
            return [await handler(job) for job in jobs]

        self.register_pages(JobKind(kind, execute, 1, concurrency, retry_deadline, is_timed=is_timed))

    def register_pages(self, kind: JobKind) -> None:
        self._kinds[kind.name] = kind

    async def add(self, kind: str, payload: bytes) -> None:
        """Run a job soon, in any process."""
        await self.put_off(kind, {self._new_id(self._clock.now()): payload}, 0)

    async def put_off(self, kind: str, payloads: Mapping[str, bytes], after: int, tenant: str = "") -> None:
        """Schedule jobs by name in `after` milliseconds; a job that already waits under a name is rescheduled."""
        now = self._clock.now()
        jobs = [
            Job(id=name, kind=kind, tenant=tenant, payload=payload, run_at=now + after, created_at=now)
            for name, payload in payloads.items()
        ]
        await self._db.add(jobs)
        self._changed.set()

    def wake(self) -> None:
        """Poll for due jobs now, because some were added to the store."""
        self._changed.set()

    async def cancel(self, names: Sequence[str]) -> frozenset[str]:
        """Cancel the jobs of these names that have not started; return their names."""
        return await self._db.cancel(names)

    async def run(self) -> None:
        """Run due jobs until cancelled; then wait for the running ones, and release those that do not end in time."""
        quiet, delayed_since = 0, None
        replanning = asyncio.ensure_future(self._replan())
        try:
            while True:
                if replanning.done():
                    replanning.result()  # raises its error, so that both are restarted
                self._changed.clear()
                self._turns += 1
                try:
                    await self._save_outcomes()
                    now = self._clock.now()
                    is_due = not 0 <= now - self._renewed_at < RENEW_MS  # also after the clock was set back
                    if self._running and is_due:
                        await self._db.renew([running.job for running in self._running.values()], now + LEASE_MS)
                        self._renewed_at = now
                    has_started = await self._start_due() > 0
                except BellcastError as failure:
                    log.warning("jobs_delayed", reason=failure.detail)
                    delayed_since = delayed_since or self._clock.now()
                    self._end_turn()
                    await asyncio.sleep(POLL_INTERVAL_SECONDS)
                else:
                    if delayed_since is not None:
                        log.info("jobs_resumed", delayed_ms=self._clock.now() - delayed_since)
                        delayed_since = None
                    if not (has_started or self._running or self._is_replanning or self._outcomes != Outcomes()):
                        self._settled_turn = self._turns
                    self._end_turn()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(
                            POLL_INTERVAL_SECONDS if quiet < QUIET_TURNS else REST_INTERVAL_SECONDS
                        ):
                            await self._changed.wait()
                    quiet = 0 if self._changed.is_set() or has_started else quiet + 1
        except BaseException as reason:
            replanning.cancel()
            await asyncio.gather(replanning, return_exceptions=True)
            if isinstance(reason, asyncio.CancelledError):
                await self._close()
            raise

    def _end_turn(self) -> None:
        """Let `settle` and `_replan` continue: also during an outage of the store, in which the clock may go back."""
        ended, self._turn_ended = self._turn_ended, asyncio.Event()
        ended.set()

    async def settle(self) -> None:
        """Wait, while `run` executes jobs, until an iteration that began after the call finds no job due, running or without a
        saved outcome."""
        begun = self._turns
        self._changed.set()
        while self._settled_turn <= begun:
            await self._turn_ended.wait()

    async def next_due(self) -> int | None:
        """Return when the next job is due (UTC milliseconds)."""
        return min((group.run_at for group in await self._known_groups(END_OF_TIME)), default=None)

    async def queue_age(self) -> int:
        """Return how long the longest due job has waited (milliseconds)."""
        now = self._clock.now()
        return max((now - group.run_at for group in await self._known_groups(now) if group.run_at > 0), default=0)

    async def _known_groups(self, now: int) -> list[JobGroup]:
        due = [(group, self._kinds.get(kind_of(group.kind))) for group in await self._db.due(now)]
        return [group for group, kind in due if kind is not None and kind.serves(line_of(group.kind))]

    # --- leases

    async def _start_due(self) -> int:
        """Lease jobs for the free slots, urgent ones first, and start them; return their number. Of each priority, jobs start until
        its slots are full or its groups are empty."""
        if not self._free_slots(URGENT):
            return 0
        due = await self._known_groups(self._clock.now())
        started = 0
        for priority, equals in itertools.groupby(due, lambda group: group.priority):
            groups = list(equals)
            while groups:
                # Count the slots that tenants use. For urgent jobs, slots of other jobs do not count.
                shares = self._shares[priority].allocate(
                    groups,
                    self._free_slots(priority),
                    Counter(job.tenant for job in self._in_slots() if priority != URGENT or job.priority == URGENT),
                    self._rooms(groups),
                )
                if not shares:
                    break
                leased = await self._lease(shares)
                self._shares[priority].charge(leased)
                self._start(leased)
                started += len(leased)
                found = Counter((job.tenant, job.kind) for job in leased)
                empty = {group for group, limit in shares.items() if found[group.tenant, group.kind] < limit}
                if not empty:
                    break  # due jobs may have changed: urgent jobs are first again
                groups = [group for group in groups if group not in empty]
        return started

    async def _lease(self, shares: Mapping[JobGroup, int]) -> list[Job]:
        """Lease jobs. If the call is cancelled, the leased jobs are released with the next outcomes."""
        now = self._clock.now()
        leasing = asyncio.ensure_future(self._db.lease(shares, now, now + LEASE_MS))
        try:
            return await asyncio.shield(leasing)
        except asyncio.CancelledError:
            with contextlib.suppress(BellcastError):  # in its place, the cancellation would be lost
                self._outcomes.retry += [replace(job, run_at=now) for job in await leasing]
            raise

    def _free_slots(self, priority: int) -> int:
        slots = SLOTS if priority == URGENT else SLOTS - URGENT_SLOTS
        return max(slots - len(self._in_slots()), 0)

    def _in_slots(self) -> list[Job]:
        return [running.job for running in self._running.values() if running.destination is None]

    def _rooms(self, groups: Sequence[JobGroup]) -> dict[JobGroup, Room]:
        """Return the room of each group: that of its destination, or of its kind."""
        running = Counter(kind_of(job.kind) for job in self._in_slots())
        rooms = {name: Room(kind.concurrency - running[name]) for name, kind in self._kinds.items()}
        of_destinations: dict[Destination, Room] = {}
        found: dict[JobGroup, Room] = {}
        for group in groups:
            destination = self._lines.get((group.tenant, group.kind))
            if destination is None:
                found[group] = rooms[kind_of(group.kind)]
            else:
                found[group] = of_destinations.setdefault(destination, Room(_room(destination, group.priority)))
        return found

    async def _replan(self) -> None:
        """At the start, and when the clock goes back: let jobs that were planned in a time that has not come wait as long as they
        were meant to, from now on. A job with a time of its own (`until`, a schedule) that runs too early waits for it again.
        Due jobs run meanwhile, so each search has its own time: one takes 3 s among a million waiting jobs on SQLite."""
        last_turn_at = END_OF_TIME
        while True:
            now, replanned = self._clock.now(), 0
            if now < last_turn_at - STEP_MS:
                self._is_replanning = True
                timed = [kind.name for kind in self._kinds.values() if kind.is_timed]
                try:
                    while ids := await self._db.planned_after(self._clock.now() + STEP_MS, LEASE_MS, REPLANNED):
                        replanned += await self._db.replan(ids, self._clock.now(), LEASE_MS, timed)
                except BellcastError as failure:
                    log.warning("jobs_delayed", reason=failure.detail)
                    await asyncio.sleep(POLL_INTERVAL_SECONDS)
                    continue
                if replanned:
                    reason = "they were planned while the clock was ahead"
                    log.warning("jobs_replanned", number=replanned, reason=reason)
                self._is_replanning = False
                self._changed.set()
            last_turn_at = now
            await self._turn_ended.wait()

    # --- pages of jobs

    def _start(self, leased: Sequence[Job]) -> None:
        """Start leased jobs in pages. A job that failed before runs separately."""
        if not self._running:
            self._renewed_at = self._clock.now()
        for (name, _, has_crashed), jobs in itertools.groupby(
            leased, lambda job: (job.kind, job.tenant, job.crashes > 0)
        ):
            kind = self._kinds[kind_of(name)]
            waiting = []
            for job in jobs:
                if job.crashes < MAX_CRASHES:
                    waiting.append(job)
                else:
                    self._set_dead(job, job.error or "The process ended while it ran this job.")
            size = 1 if has_crashed else kind.page
            for first in range(0, len(waiting), size):
                self._run(waiting[first : first + size], kind)

    def _run(self, jobs: Sequence[Job], kind: JobKind, call: DestinationCall | None = None) -> None:
        destination = None if call is None else call.destination
        task = asyncio.ensure_future(self._execute(jobs, kind, call))
        for job in jobs:
            self._running[job.id, job.lease] = RunningJob(job, task, destination)
        if destination is not None:
            destination.count(1)

        def free(ended: asyncio.Task[None]) -> None:
            """Free the slots of the jobs, except those that another task continues."""
            for key in [(job.id, job.lease) for job in jobs]:
                if self._running[key].task is ended:
                    del self._running[key]
            if destination is not None:
                destination.count(-1)
            self._changed.set()

        task.add_done_callback(free)

    async def _execute(self, jobs: Sequence[Job], kind: JobKind, call: DestinationCall | None) -> None:
        """Execute jobs together, or the call of one, and record their outcomes."""
        try:
            outcomes = await kind.handler(jobs) if call is None else [await call.work()]
        except Exception as error:  # noqa: BLE001  each job gets the error, or runs again
            if len(jobs) > 1 and not isinstance(error, Unavailable | DiskFull):
                for job in jobs:
                    self._run([job], kind)
                return
            outcomes = [error] * len(jobs)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, DestinationCall):
                # Continue a job at its destination, or let it wait in the line
                if len(self._lines) >= MAX_LINES:
                    self._lines.clear()
                self._lines[job.tenant, in_line(kind.name, outcome.line)] = outcome.destination
                if _room(outcome.destination, job.priority) > 0:
                    self._run([job], kind, outcome)
                else:
                    self._shares[job.priority].refund(job)
                    unused = replace(job, attempts=job.attempts - 1)
                    self._record(unused, kind, Again(self._clock.now(), line=outcome.line))
            else:
                self._record(job, kind, outcome)

    def _record(self, job: Job, kind: JobKind, outcome: int | Again | Exception | None) -> None:
        if isinstance(outcome, Unavailable | DiskFull | TenantErased):
            # Retry while a dependency is unavailable, until the job's deadline, or the erasure has deleted what the job is about.
            run_at = self._clock.now() + _retry_delay(job.attempts)
            about = {"kind": job.kind, "job": job.id, "attempts": job.attempts, "reason": outcome.detail}
            if kind.retry_deadline is not None and run_at > job.created_at + kind.retry_deadline:
                log.error("job_abandoned", **about)
                self._outcomes.done.append(job)
            else:
                log.warning("job_retried", **about)
                self._outcomes.retry.append(replace(job, run_at=run_at, crashes=0, error=None))
        elif isinstance(outcome, SetAside):
            log.warning("job_set_aside", kind=job.kind, job=job.id, attempts=job.attempts, error=str(outcome))
            self._outcomes.dead.append(replace(job, error=_error_text(str(outcome))))
        elif isinstance(outcome, Exception):
            log.error("job_failed", kind=job.kind, job=job.id, exc_info=outcome)
            crashes, text = job.crashes + 1, _error_text(f"{type(outcome).__name__}: {outcome}")
            if crashes >= MAX_CRASHES:
                self._set_dead(job, text)
            else:
                run_at = self._clock.now() + _retry_delay(crashes)
                self._outcomes.retry.append(replace(job, run_at=run_at, crashes=crashes, error=text))
        elif outcome is None:
            self._outcomes.done.append(job)
        else:
            again = Again(outcome) if isinstance(outcome, int) else outcome
            name = kind.name if again.line is None else in_line(kind.name, again.line)
            payload = job.payload if again.payload is None else again.payload
            retried = replace(job, kind=name, payload=payload, run_at=again.at, crashes=0, error=None)
            self._outcomes.retry.append(retried)

    def _set_dead(self, job: Job, error: str) -> None:
        log.error("job_dead", kind=job.kind, job=job.id, attempts=job.attempts, error=error)
        self._outcomes.dead.append(replace(job, error=error))
        self._changed.set()

    # --- outcomes

    async def _save_outcomes(self) -> None:
        """Save new outcomes. If the store is unavailable, the next call saves them."""
        ended, self._outcomes = self._outcomes, Outcomes()
        effects = {kind.name: kind.when_dead for kind in self._kinds.values() if kind.when_dead is not None}
        try:
            for jobs, save in (
                (ended.done, self._db.done),
                (ended.retry, partial(self._db.retry, now=self._clock.now())),
                (ended.dead, partial(self._db.set_dead, effects=effects)),
            ):
                if jobs:
                    await save(jobs)
        except BaseException:
            self._outcomes.done += ended.done
            self._outcomes.retry += ended.retry
            self._outcomes.dead += ended.dead
            raise

    async def _close(self) -> None:
        """Wait for running jobs, cancel those that take too long, and release their leases."""
        loop = asyncio.get_running_loop()
        until = loop.time() + CLOSE_TIMEOUT_SECONDS
        while self._running and (left := until - loop.time()) > 0:
            await asyncio.wait(self._tasks(), timeout=left)
        unfinished, tasks = list(self._running.values()), self._tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        now = self._clock.now()
        self._outcomes.retry += [replace(one.job, run_at=now) for one in unfinished]
        try:
            await self._save_outcomes()
        except BellcastError as failure:
            log.warning("jobs_not_released", reason=failure.detail, due_again_in_ms=LEASE_MS)

    def _tasks(self) -> set[asyncio.Task[None]]:
        return {running.task for running in self._running.values()}


class TimeTravel(Struct, eq=False):
    """Advances a server with a test clock. `expire` removes expired rows."""

    clock: TestClock
    jobs: JobRunner
    expire: Callable[[], Awaitable[None]]

    async def advance(self, milliseconds: int) -> int:
        """Move from one due job to the next, waiting until each has ended; return the new time."""
        end = self.clock.now() + milliseconds
        await self.jobs.settle()
        while (due := await self.jobs.next_due()) is not None and due <= end:
            self.clock.set(due)
            await self.expire()
            await self.jobs.settle()
        self.clock.set(end)
        await self.expire()
        await self.jobs.settle()
        return self.clock.now()


def _error_text(text: str) -> str:
    """Return an error text that the store accepts: a refused one would block all further outcomes."""
    return storable(text[:MAX_ERROR_LENGTH])


def _retry_delay(attempts: int) -> int:
    """Return the delay in milliseconds before the next attempt."""
    return min(FIRST_RETRY_MS << min(attempts - 1, 16), MAX_RETRY_MS)


def _room(destination: Destination, priority: int) -> int:
    return destination.room + (URGENT_SLOTS if priority == URGENT else 0)
