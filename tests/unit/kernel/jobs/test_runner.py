"""Slots, leases and shutdown of the job runner, on a store in memory."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from bellcast.kernel.errors import Unavailable
from bellcast.kernel.jobs import NORMAL, URGENT, Job, JobGroup, in_line, runner
from bellcast.kernel.jobs.runner import (
    LEASE_MS,
    PAGE,
    RENEW_MS,
    SLOTS,
    STEP_MS,
    URGENT_SLOTS,
    Again,
    DestinationCall,
    JobKind,
    JobRunner,
    PageOutcome,
)
from bellcast.kernel.jobs.slots import JOBS_PER_SLOT, TENANT_SLOTS, Destination
from tests.clock import FakeClock


class FakeStore:
    """Jobs in memory, as far as the runner uses it."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.is_away = False
        self.leases = 0
        self.searches: list[asyncio.Future[list[str]]] = []  # for jobs that were planned while the clock was ahead
        self.search_moments: list[int] = []
        self.replanned: asyncio.Queue[list[str]] = asyncio.Queue()

    def put(self, *jobs: Job) -> None:
        self.jobs |= {job.id: job for job in jobs}

    async def due(self, now: int) -> list[JobGroup]:
        if self.is_away:
            raise Unavailable
        groups = {(job.priority, job.tenant, job.kind) for job in self.jobs.values() if job.run_at <= now}
        return [JobGroup(*group, 0) for group in sorted(groups)]

    async def lease(self, shares: Mapping[JobGroup, int], now: int, until: int) -> list[Job]:
        self.leases += 1
        leased = []
        for group, limit in shares.items():
            due = [
                job
                for job in self.jobs.values()
                if (job.priority, job.tenant, job.kind) == (group.priority, group.tenant, group.kind)
                and job.run_at <= now
            ]
            leased += [replace(job, run_at=until, attempts=job.attempts + 1) for job in due[:limit]]
        self.put(*leased)
        return leased

    async def renew(self, jobs: Sequence[Job], until: int) -> None:
        self.put(*(replace(self.jobs[job.id], run_at=until) for job in jobs))

    async def done(self, jobs: Sequence[Job]) -> None:
        if self.is_away:
            raise Unavailable
        for job in jobs:
            self.jobs.pop(job.id)

    async def set_dead(self, jobs: Sequence[Job]) -> None:
        raise AssertionError(jobs)

    async def retry(self, jobs: Sequence[Job], now: int) -> None:
        self.put(*jobs)

    async def planned_after(self, moment: int, lease: int, limit: int) -> list[str]:
        self.search_moments.append(moment)
        return await self.searches.pop(0) if self.searches else []

    async def replan(self, ids: list[str], now: int, lease: int, due: Sequence[str]) -> int:
        self.replanned.put_nowait(ids)
        return len(ids)


class World:
    """A runner whose jobs run until the test ends them."""

    def __init__(self) -> None:
        self.clock, self.store = FakeClock(), FakeStore()
        self.runner = JobRunner(cast(Any, self.store), self.clock, str)
        self.runner.register("k", self.handle)
        self.runner.register("rare", self.handle, concurrency=2)
        self.running: dict[str, asyncio.Event] = {}

    async def handle(self, job: Job) -> None:
        end = self.running[job.id] = asyncio.Event()
        try:
            await end.wait()
        finally:
            del self.running[job.id]

    def add(self, number: int, prefix: str = "j", **fields: Any) -> None:
        jobs = [
            Job(**{"id": f"{prefix}{n}", "kind": "k", "payload": b"", "run_at": 0, "created_at": 0, **fields})
            for n in range(number)
        ]
        self.store.put(*jobs)
        self.runner.wake()

    async def settle(self, turns: int = 30) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    def tenants(self) -> Counter[str]:
        return Counter(self.store.jobs[id].tenant for id in self.running)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    async with running(world):
        yield world


@contextlib.asynccontextmanager
async def running(world: World) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(world.runner.run())
    try:
        yield task
    finally:
        for end in list(world.running.values()):
            end.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_free_slot_is_used_while_slow_jobs_run(world: World) -> None:
    world.add(TENANT_SLOTS + 1)
    await world.settle()
    assert len(world.running) == TENANT_SLOTS
    first = next(iter(world.running))
    world.running[first].set()
    await world.settle()
    assert len(world.running) == TENANT_SLOTS
    assert first not in world.store.jobs


async def test_jobs_run_while_the_start_searches_for_those_planned_with_a_wrong_clock() -> None:
    """The search reads all waiting jobs. If it fails, it is repeated."""
    world, loop = World(), asyncio.get_running_loop()
    first, second = (loop.create_future() for _ in range(2))
    world.store.searches += [first, second]
    world.add(1)
    async with running(world):
        await world.settle()
        assert set(world.running) == {"j0"}
        first.set_exception(Unavailable())
        second.set_result(["ahead"])
        async with asyncio.timeout(5):
            assert await world.store.replanned.get() == ["ahead"]


async def test_job_that_is_leased_during_a_long_search_is_not_planned_again() -> None:
    """Its lease ends a lease after the beginning of the first search, but not after that of the next one."""
    world, search = World(), asyncio.get_running_loop().create_future()
    world.store.searches.append(search)
    async with running(world), asyncio.timeout(5):
        await world.settle()
        world.clock.advance(60)
        world.add(1)
        await world.settle()
        search.set_result(["ahead"])
        await world.store.replanned.get()
        await world.settle()
        assert world.store.search_moments[1:] == [world.clock.now() + STEP_MS]
        assert world.store.jobs["j0"].run_at <= world.store.search_moments[1] + LEASE_MS


async def test_clock_that_goes_back_by_less_than_an_outage_lasts_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bellcast.kernel.jobs.runner.POLL_INTERVAL_SECONDS", 0.001)
    world = World()
    async with running(world), asyncio.timeout(5):
        await world.settle()
        world.store.is_away = True
        world.clock.advance(3600)
        world.runner.wake()
        await world.settle()
        search = asyncio.get_running_loop().create_future()
        search.set_result(["ahead"])
        world.store.searches.append(search)
        world.clock.advance(-1800)
        world.store.is_away = False
        assert await world.store.replanned.get() == ["ahead"]


async def test_error_of_the_search_for_jobs_planned_with_a_wrong_clock_ends_the_loop_which_is_restarted() -> None:
    world, search = World(), asyncio.get_running_loop().create_future()
    world.store.searches.append(search)
    async with running(world) as task:
        await world.settle()
        search.set_exception(ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            async with asyncio.timeout(5):
                await task


async def test_shutdown_ends_the_search_before_it_waits_for_running_jobs() -> None:
    """Otherwise, it would move jobs during the shutdown, or read a store that is being closed."""
    world, search = World(), asyncio.get_running_loop().create_future()
    world.store.searches.append(search)
    world.add(1)
    async with running(world) as task:
        await world.settle()
        task.cancel()
        await world.settle()
        assert search.cancelled()
        assert set(world.running) == {"j0"}


async def test_urgent_job_starts_while_all_others_wait(world: World) -> None:
    world.add(SLOTS, "a", tenant="acme")
    world.add(SLOTS, "z", tenant="zoo")
    await world.settle()
    assert len(world.running) == SLOTS - URGENT_SLOTS
    world.add(1, "urgent", tenant="acme", priority=URGENT)
    await world.settle()
    assert "urgent0" in world.running


async def test_job_of_another_tenant_starts_before_a_backlog(world: World) -> None:
    world.add(10_000, "a", tenant="acme")
    await world.settle()
    world.add(1, "z", tenant="zoo")
    await world.settle()
    assert world.tenants() == {"acme": TENANT_SLOTS, "zoo": 1}


async def test_kind_runs_up_to_its_concurrency(world: World) -> None:
    world.add(5, "rare", kind="rare")
    world.add(3, "j")
    await world.settle()
    assert Counter(world.store.jobs[id].kind for id in world.running) == {"rare": 2, "k": 3}


async def test_full_slots_read_no_jobs(world: World) -> None:
    world.add(TENANT_SLOTS, "u", priority=URGENT, tenant="a")
    world.add(TENANT_SLOTS, "v", priority=URGENT, tenant="b")
    await world.settle()
    assert len(world.running) == SLOTS
    before = world.store.leases
    world.runner.wake()
    await world.settle()
    assert world.store.leases == before


async def test_lease_of_a_running_job_is_renewed(world: World) -> None:
    world.add(1)
    await world.settle()
    for _ in range(10):
        world.clock.advance(RENEW_MS / 1000)
        world.runner.wake()
        await world.settle()
        assert world.store.jobs["j0"].run_at == world.clock.now() + LEASE_MS
    assert len(world.running) == 1
    assert world.store.jobs["j0"].attempts == 1


async def test_lease_is_renewed_after_the_clock_was_set_back(world: World) -> None:
    world.add(1)
    await world.settle()
    world.clock.advance(-60)
    world.runner.wake()
    await world.settle()
    assert world.store.jobs["j0"].run_at == world.clock.now() + LEASE_MS


async def test_outcome_is_saved_once_the_store_is_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "POLL_INTERVAL_SECONDS", 0)
    world.add(1)
    await world.settle()
    world.store.is_away = True
    world.running["j0"].set()
    await world.settle()
    assert "j0" in world.store.jobs
    world.store.is_away = False
    await world.settle()
    assert world.store.jobs == {}


async def test_runner_at_rest_polls_less_often_until_it_is_woken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "POLL_INTERVAL_SECONDS", 0)
    monkeypatch.setattr(runner, "REST_INTERVAL_SECONDS", 3_600)
    read, reads = world.store.due, 0

    async def count(now: int) -> list[JobGroup]:
        nonlocal reads
        reads += 1
        return await read(now)

    monkeypatch.setattr(world.store, "due", count)
    world.runner.wake()
    await world.settle(1_000)
    assert runner.QUIET_TURNS <= reads <= runner.QUIET_TURNS + 2
    world.add(1)
    await world.settle()
    assert "j0" in world.running


async def test_settling_reads_the_store_once_if_an_iteration_runs_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL, both reads took equally long, so that each iteration delayed the other without end."""
    read, reads = world.store.due, 0

    async def read_slowly(now: int) -> list[JobGroup]:
        nonlocal reads
        reads += 1
        await world.settle(turns=3)
        return await read(now)

    await world.settle()
    monkeypatch.setattr(world.store, "due", read_slowly)
    world.runner.wake()
    await world.settle(turns=1)
    async with asyncio.timeout(60):
        await world.runner.settle()
    assert reads <= 3


async def test_shutdown_waits_for_running_jobs() -> None:
    world = World()
    async with running(world) as task:
        world.add(1, priority=NORMAL)
        await world.settle()
        task.cancel()
        await world.settle()
        assert not task.done()
        world.running["j0"].set()
        await asyncio.gather(task, return_exceptions=True)
    assert world.store.jobs == {}


async def test_shutdown_releases_jobs_that_do_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "CLOSE_TIMEOUT_SECONDS", 0)
    world = World()
    async with running(world) as task:
        world.add(1)
        await world.settle()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert world.running == {}
    assert world.store.jobs["j0"].run_at == world.clock.now()


async def test_end_of_an_outage_of_the_store_is_logged_with_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "POLL_INTERVAL_SECONDS", 0)
    world = World()
    world.store.is_away = True
    with capture_logs() as logs:
        async with running(world):
            await world.settle()
            world.clock.advance(5)
            world.store.is_away = False
            await world.settle()
    assert {"event": "jobs_resumed", "delayed_ms": 5_000, "log_level": "info"} in logs


async def test_shutdown_ends_while_a_lease_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    world, is_cancelled = World(), asyncio.Event()

    async def fail_after_the_cancellation(*_: object) -> list[Job]:
        await is_cancelled.wait()
        raise Unavailable

    monkeypatch.setattr(world.store, "lease", fail_after_the_cancellation)
    async with running(world) as task:
        world.add(1)
        await world.settle()
        task.cancel()
        await world.settle()
        is_cancelled.set()
        await world.settle()
        assert task.cancelled()


class Pages:
    """Handles pages of a kind: keeps them, and has one prepared behaviour for each job."""

    def __init__(self, world: World) -> None:
        self.seen: list[list[str]] = []
        self.failing: set[str] = set()
        self.slow: set[str] = set()
        self.world = world
        world.runner.register_pages(JobKind("page", self.handle))

    async def handle(self, jobs: Sequence[Job]) -> list[PageOutcome]:
        self.seen.append([job.id for job in jobs])
        if self.failing & {job.id for job in jobs}:
            raise ValueError("one of them is bad")
        destination = self.world.runner.destinations.of("slow", "", SLOTS)
        return [
            DestinationCall(destination, "slow", partial(self.world.handle, job)) if job.id in self.slow else None
            for job in jobs
        ]


async def test_jobs_of_one_tenant_run_in_pages(world: World) -> None:
    pages = Pages(world)
    world.add(PAGE + 1, "a", kind="page", tenant="acme")
    world.add(1, "z", kind="page", tenant="zoo")
    await world.settle()
    assert sorted(len(page) for page in pages.seen) == [1, 1, PAGE]
    assert world.store.jobs == {}


async def test_failing_job_of_a_page_fails_alone(world: World) -> None:
    pages = Pages(world)
    pages.failing = {"j1"}
    world.add(3, kind="page")
    await world.settle()
    assert pages.seen == [["j0", "j1", "j2"], ["j0"], ["j1"], ["j2"]]
    (left,) = world.store.jobs.values()
    assert (left.id, left.crashes, left.error) == ("j1", 1, "ValueError: one of them is bad")


async def test_job_that_failed_runs_alone_afterwards(world: World) -> None:
    pages = Pages(world)
    world.store.put(Job(id="bad", kind="page", payload=b"", run_at=0, created_at=0, crashes=1))
    world.add(2, kind="page")
    await world.settle()
    assert sorted(pages.seen) == [["bad"], ["j0", "j1"]]


async def test_slow_job_of_a_page_delays_no_other(world: World) -> None:
    pages = Pages(world)
    pages.slow = {"j1"}
    world.add(3, kind="page")
    await world.settle()
    assert list(world.store.jobs) == list(world.running) == ["j1"]
    world.running["j1"].set()
    await world.settle()
    assert world.store.jobs == {}


async def test_calls_that_hang_take_no_slots_and_wait_in_the_line_of_their_destination(world: World) -> None:
    hanging = world.runner.destinations.of("hanging", "", 2)
    world.runner.register_pages(JobKind("call", calling(world, hanging, "hanging")))
    world.add(500, "a", kind="call")
    await world.settle(500)
    assert len(world.running) == 2 * JOBS_PER_SLOT
    assert Counter(job.kind for job in world.store.jobs.values()) == {
        "call": 2 * JOBS_PER_SLOT,
        in_line("call", "hanging"): 500 - 2 * JOBS_PER_SLOT,
    }
    waiting = [job for job in world.store.jobs.values() if job.run_at <= world.clock.now()]
    assert {job.attempts for job in waiting} == {0}  # waiting is no attempt
    world.add(1, "z", kind="call", priority=URGENT)
    world.add(TENANT_SLOTS, "b")
    await world.settle(500)
    assert len(world.running) == 2 * JOBS_PER_SLOT + 1 + TENANT_SLOTS
    leases = world.store.leases
    world.runner.wake()
    await world.settle(500)
    assert world.store.leases == leases  # the line is not leased
    for id in list(world.running):
        world.running[id].set()
    await world.settle(500)
    assert len([id for id in world.running if id.startswith("a")]) == 2 * JOBS_PER_SLOT


async def test_tenants_share_the_room_of_a_destination(world: World) -> None:
    shared = world.runner.destinations.of("shared", "", 4)
    world.runner.register_pages(JobKind("call", calling(world, shared, "shared")))
    world.add(100, "a", kind="call", tenant="acme")
    await world.settle(500)
    world.add(100, "z", kind="call", tenant="zoo")
    await world.settle(500)
    assert world.tenants() == {"acme": 4 * JOBS_PER_SLOT}
    for id in list(world.running):
        world.running[id].set()
    await world.settle(500)
    assert set(world.tenants()) == {"acme", "zoo"}


async def test_line_that_a_process_does_not_serve_waits_for_another(world: World) -> None:
    async def park(jobs: Sequence[Job]) -> list[PageOutcome]:
        return [Again(world.clock.now(), line="elsewhere") for _ in jobs]

    world.runner.register_pages(JobKind("parked", park, serves=lambda line: line != "elsewhere"))
    world.add(1, kind="parked")
    await world.settle(500)
    leases = world.store.leases
    world.runner.wake()
    await world.settle(500)
    assert world.store.leases == leases
    assert await world.runner.next_due() is None
    (job,) = world.store.jobs.values()
    assert (job.kind, job.attempts) == (in_line("parked", "elsewhere"), 1)


def calling(
    world: World, destination: Destination, line: str
) -> Callable[[Sequence[Job]], Awaitable[list[PageOutcome]]]:
    async def handle(jobs: Sequence[Job]) -> list[PageOutcome]:
        return [DestinationCall(destination, line, partial(world.handle, job)) for job in jobs]

    return handle
