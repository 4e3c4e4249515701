"""Durable jobs: leases, groups, outcomes, dead jobs, and the runner on each store."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from bellcast.kernel.errors import Unavailable
from bellcast.kernel.ids import Ids
from bellcast.kernel.jobs import FANOUT, NORMAL, URGENT, Job, JobGroup
from bellcast.kernel.jobs.runner import LEASE_MS, MAX_CRASHES, RETRY_DEADLINE_MS, JobRunner, SetAside
from bellcast.kernel.jobs.store import FEW_DUE
from tests.contract.app import App, wanted
from tests.due_jobs import run_due


def job(id: str, run_at: int, **fields: Any) -> Job:
    return Job(**{"id": id, "kind": "k", "payload": b"\x00bytes", "run_at": run_at, "created_at": 0, **fields})


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


async def test_adding_a_pending_job_again_postpones_it(app: App) -> None:
    await app.store.jobs.add([job("a", 10)])
    await app.store.jobs.add([job("a", 30)])
    assert await app.lease(20, 100, 10) == []
    assert ids(await app.lease(30, 100, 10)) == ["a"]


async def test_leased_jobs_are_due_and_exclusive_until_the_lease_ends(app: App) -> None:
    await app.store.jobs.add([job("a", 10), job("b", 20), job("c", 30)])
    leased = await app.lease(20, 100, 10)
    assert [(job_.id, job_.payload, job_.attempts) for job_ in leased] == [
        ("a", b"\x00bytes", 1),
        ("b", b"\x00bytes", 1),
    ]
    assert await app.lease(20, 100, 10) == []
    await app.store.jobs.done(leased[:1])
    again = await app.lease(100, 200, 10)
    assert [(job_.id, job_.attempts, job_.crashes) for job_ in again] == [("b", 2, 1), ("c", 1, 0)]


async def test_release_makes_leased_jobs_due_and_counts_their_crash(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 10), job("later", 500), job("retried", 10), job("dead", 10)])
    leased = {one.id: one for one in await app.lease(20, 1_000, 10)}
    await jobs.retry([replace(leased["retried"], run_at=600)], 20)
    await jobs.set_dead([leased["dead"]])
    await jobs.release(30, 1_000)
    again = await app.lease(30, 1_000, 10)
    assert [(job_.id, job_.attempts, job_.crashes) for job_ in again] == [("a", 2, 1)]
    await jobs.done([leased["a"]])  # the ended lease has no outcome
    assert set(ids(await app.lease(1_000, 2_000, 10))) == {"a", "later", "retried"}


async def test_lease_takes_at_most_its_limit_and_the_longest_due_first(app: App) -> None:
    await app.store.jobs.add([job("a", 30), job("b", 10), job("c", 20)])
    assert set(ids(await app.lease(50, 100, 2))) == {"b", "c"}


@pytest.mark.parametrize("others", [0, FEW_DUE])
async def test_due_lists_each_group_once_by_priority_and_age(app: App, others: int) -> None:
    """Also those behind many due jobs of another group."""
    await app.store.jobs.add([job(f"other {n}", 10, tenant="acme") for n in range(others)])
    await app.store.jobs.add(
        [job(f"{n}", 10 + n, tenant="acme") for n in range(5)]
        + [job("u", 15, tenant="zoo", priority=URGENT), job("f", 1, priority=FANOUT), job("later", 99, tenant="later")]
        + [job("k2", 2, tenant="acme", kind="k2"), job("own", 9)]
    )
    assert await app.store.jobs.due(20) == [
        JobGroup(URGENT, "zoo", "k", 15),
        JobGroup(NORMAL, "acme", "k2", 2),
        JobGroup(NORMAL, "", "k", 9),
        JobGroup(NORMAL, "acme", "k", 10),
        JobGroup(FANOUT, "", "k", 1),
    ]


async def test_lease_takes_the_shares_in_their_order(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 1, tenant="acme"), job("b", 2, tenant="acme"), job("z", 3, tenant="zoo")])
    acme, zoo = await jobs.due(5)
    leased = await jobs.lease({zoo: 5, acme: 1}, 5, 100)
    assert [(job_.id, job_.tenant) for job_ in leased] == [("z", "zoo"), ("a", "acme")]


async def test_unleased_job_can_be_cancelled(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 10), job("b", 20)])
    await app.lease(10, 100, 10)
    assert await jobs.cancel(["a", "b", "c"]) == {"b"}
    assert ids(await app.lease(1_000, 2_000, 10)) == ["a"]


async def test_job_added_again_during_its_lease_runs_once_more(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 10)])
    leased = await app.lease(10, 100, 10)
    await jobs.add([job("a", 50)])
    await jobs.done(leased)
    again = await app.lease(50, 100, 10)
    assert [(job_.id, job_.crashes) for job_ in again] == [("a", 0)]
    await jobs.add([job("a", 200)])
    assert await jobs.cancel(["a"]) == {"a"}


async def test_renewed_lease_lasts_longer(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 10), job("b", 10)])
    first, _ = await app.lease(10, 100, 10)
    await jobs.renew([first], 300)
    assert ids(await app.lease(100, 400, 10)) == ["b"]
    assert ids(await app.lease(300, 400, 10)) == ["a"]


async def test_outcome_of_a_lost_lease_is_ignored(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 10)])
    (lost,) = await app.lease(10, 100, 10)
    (held,) = await app.lease(100, 200, 10)
    await jobs.done([lost])
    await jobs.retry([replace(lost, run_at=0)], 100)
    await jobs.set_dead([replace(lost, error="no")])
    await jobs.renew([lost], 10_000)
    assert [await jobs.is_leased(one) for one in (lost, held)] == [False, True]
    assert await app.lease(199, 300, 10) == []
    await jobs.done([held])
    assert await app.lease(10_000, 20_000, 10) == []


async def test_retry_keeps_crashes_and_error(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job("a", 10)])
    (leased,) = await app.lease(10, 100, 10)
    await jobs.retry([replace(leased, run_at=50, crashes=2, error="ValueError: x")], 20)
    (again,) = await app.lease(50, 200, 10)
    assert (again.crashes, again.error, again.attempts) == (2, "ValueError: x", 2)


async def test_waiting_jobs_that_were_planned_while_the_clock_was_ahead_keep_their_delay(app: App) -> None:
    jobs, day = app.store.jobs, 86_400_000
    await jobs.add([job("leased", day, created_at=day), job("retried", day, created_at=day)])
    leased = {one.id: one for one in await app.lease(day, day + 30_000, 10)}
    await jobs.retry([replace(leased["retried"], run_at=day + 10_000)], day)
    await jobs.add([job("ahead", day + 2_000, created_at=day), job("due", 50, created_at=day)])
    await jobs.add([job("before", 5_000, created_at=100)])
    assert await jobs.planned_after(500, 30_000, 1) == ["leased"]
    found = await jobs.planned_after(500, 30_000, 10)
    assert found == ["leased", "retried", "ahead"]
    assert [await jobs.replan(found, 500, 30_000), await jobs.replan(found, 500, 30_000)] == [3, 0]
    assert await jobs.planned_after(500, 30_000, 10) == []
    assert ids(await app.lease(2_499, day, 10)) == ["due"]
    assert ids(await app.lease(2_500, day, 10)) == ["ahead"]
    assert ids(await app.lease(10_499, day, 10)) == ["before"]
    assert ids(await app.lease(10_500, day, 10)) == ["retried"]


async def test_dead_job_is_listed_until_it_is_revived_or_deleted(app: App) -> None:
    jobs = app.store.jobs
    await jobs.add([job(id, 10, tenant=tenant) for id, tenant in (("a", ""), ("b", ""), ("c", ""), ("d", "acme"))])
    leased = await app.lease(10, 100, 10)
    await jobs.set_dead([replace(one, error=f"bad {one.id}") for one in leased])
    assert await app.lease(2**52, 2**52, 10) == []
    assert await jobs.cancel(["a"]) == frozenset()
    assert [(one.id, one.error) for one in (await jobs.dead(wanted(limit=2))).items] == [("a", "bad a"), ("b", "bad b")]
    assert ids((await jobs.dead(wanted(before="b", limit=2))).items) == ["c"]
    assert [(one.id, one.tenant) for one in (await jobs.dead(wanted("*", before="b"))).items] == [
        ("c", ""),
        ("d", "acme"),
    ]
    assert ids((await jobs.dead(wanted("*", limit=3))).items) == ["a", "b", "c"]
    assert [await jobs.is_dead(*one) for one in (("", "a"), ("acme", "a"), ("", "x"))] == [True, False, False]
    assert [await jobs.revive("acme", "a", 300), await jobs.delete_dead("acme", "a")] == [False, False]
    assert [await jobs.revive("", "a", 300), await jobs.revive("", "a", 300)] == [True, False]
    assert [await jobs.delete_dead("", "b"), await jobs.delete_dead("", "b")] == [True, False]
    assert [await jobs.is_dead("", id) for id in ("a", "b", "c")] == [False, False, True]
    (revived,) = await app.lease(300, 400, 10)
    assert (revived.id, revived.attempts, revived.crashes, revived.error) == ("a", 1, 0, None)
    assert await jobs.counts() == {("k", "dead"): 2, ("k", "running"): 1}


# --- the runner


class FakeHandler:
    """A job handler that can be set to fail."""

    def __init__(self) -> None:
        self.done: list[bytes] = []
        self.remaining_failures = 0
        self.failure: Exception = Unavailable("away")

    async def __call__(self, job: Job) -> None:
        self.remaining_failures -= 1
        if self.remaining_failures >= 0:
            raise self.failure
        self.done.append(job.payload)


@asynccontextmanager
async def running(jobs: JobRunner) -> AsyncIterator[None]:
    task = asyncio.ensure_future(jobs.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def start_runner(app: App, retry_deadline: int | None = None) -> tuple[JobRunner, FakeHandler]:
    jobs, handler = JobRunner(app.store.jobs, app.clock, Ids().new), FakeHandler()
    jobs.register("k", handler, retry_deadline=retry_deadline)
    return jobs, handler


async def run_for(app: App, jobs: JobRunner, seconds: int) -> list[int]:
    """Run jobs as they become due; return the seconds at which a job ran."""
    ran = []
    for second in range(seconds):
        if await run_due(jobs):
            ran.append(second)
        app.clock.advance(1)
    return ran


async def test_job_runs_once_when_it_is_due(app: App) -> None:
    jobs, handler = start_runner(app)
    await jobs.add("k", b"now")
    await jobs.put_off("k", {"1": b"later"}, 5_000)
    assert [await run_due(jobs), await run_due(jobs)] == [1, 0]
    app.clock.advance(5)
    await run_due(jobs)
    assert handler.done == [b"now", b"later"]


async def test_failed_job_is_retried_with_growing_pauses_until_its_deadline(app: App) -> None:
    jobs, handler = start_runner(app, RETRY_DEADLINE_MS)
    handler.remaining_failures = 1_000
    await jobs.add("k", b"x")
    tries = await run_for(app, jobs, RETRY_DEADLINE_MS // 1000 + 100)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert pauses[:4] == [1, 2, 4, 8]
    assert max(pauses) == 60
    assert tries[-1] <= RETRY_DEADLINE_MS // 1000
    assert await app.store.jobs.counts() == {}


async def test_job_without_deadline_outlasts_an_outage(app: App) -> None:
    jobs, handler = start_runner(app)
    handler.remaining_failures = 15
    await jobs.add("k", b"x")
    assert (await run_for(app, jobs, RETRY_DEADLINE_MS // 1000 * 3))[-1] > RETRY_DEADLINE_MS // 1000
    assert handler.done == [b"x"]


async def test_job_is_set_aside_after_unforeseen_errors(app: App) -> None:
    jobs, handler = start_runner(app, RETRY_DEADLINE_MS)
    handler.remaining_failures, handler.failure = 1_000, ValueError("broken")
    await jobs.add("k", b"x")
    assert len(await run_for(app, jobs, 100)) == MAX_CRASHES
    (dead,) = (await app.store.jobs.dead(wanted())).items
    assert (dead.error, dead.payload) == ("ValueError: broken", b"x")


async def test_job_that_failed_permanently_is_set_aside_immediately(app: App) -> None:
    jobs, handler = start_runner(app)
    handler.remaining_failures, handler.failure = 1_000, SetAside("HTTP 410")
    await jobs.add("k", b"x")
    assert len(await run_for(app, jobs, 10)) == 1
    (dead,) = (await app.store.jobs.dead(wanted())).items
    assert dead.error == "HTTP 410"


async def test_job_that_kills_its_process_is_set_aside(app: App) -> None:
    jobs, handler = start_runner(app)
    await jobs.add("k", b"x")
    for _ in range(MAX_CRASHES):
        assert len(await app.lease(app.now, app.now + LEASE_MS, 10)) == 1  # and dies
        app.clock.advance(LEASE_MS / 1000)
    await run_for(app, jobs, 2)
    assert handler.done == []
    (dead,) = (await app.store.jobs.dead(wanted())).items
    assert dead.error == "The process ended while it ran this job."


async def test_job_of_a_killed_process_is_run_by_the_next(app: App) -> None:
    jobs, handler = start_runner(app)
    await jobs.add("k", b"x")
    await app.lease(app.now, app.now + LEASE_MS, 10)  # and dies
    assert await run_due(jobs) == 0
    app.clock.advance(LEASE_MS / 1000)
    await run_due(jobs)
    assert handler.done == [b"x"]


@pytest.mark.parametrize("kind", ["newer", "a kind before ours"])
async def test_job_of_unknown_kind_is_left_for_other_processes(app: App, kind: str) -> None:
    jobs, handler = start_runner(app)
    await app.store.jobs.add([job("z", app.now, kind=kind), job("k", app.now)])
    assert await run_due(jobs) == 1
    assert len(handler.done) == 1
    (left,) = await app.lease(app.now, app.now + 90_000, 10)
    assert (left.id, left.attempts) == ("z", 1)


@pytest.mark.parametrize("text", ["NUL \x00", "not UTF-8 \udce9"])
async def test_job_whose_error_cannot_be_stored_does_not_block_others(app: App, text: str) -> None:
    jobs, handler = start_runner(app)
    handler.failure, handler.remaining_failures = ValueError(text), 5
    await jobs.add("k", b"broken")
    await run_for(app, jobs, 60)
    (dead,) = (await app.store.jobs.dead(wanted())).items
    assert (dead.error or "").startswith(f"ValueError: {text[:-1]}")
    await jobs.add("k", b"other")
    await run_due(jobs)
    assert handler.done == [b"other"]


async def test_runner_plans_jobs_again_when_the_clock_returns(app: App) -> None:
    jobs, handler = start_runner(app)
    app.clock.advance(86_400)
    handler.remaining_failures = 1
    await jobs.add("k", b"retried")
    await jobs.put_off("k", {"1": b"later"}, 2_000)
    with capture_logs() as logs:
        async with running(jobs):
            while handler.remaining_failures or await app.store.jobs.counts() != {("k", "ready"): 2}:
                jobs.wake()
                await asyncio.sleep(0.01)
            app.clock.advance(-86_400)
            while logs[-1]["event"] != "jobs_replanned":
                jobs.wake()
                await asyncio.sleep(0.01)
            app.clock.advance(2)
            while len(handler.done) < 2:
                jobs.wake()
                await asyncio.sleep(0.01)
    assert sorted(handler.done) == [b"later", b"retried"]
    assert logs[-1]["number"] == 2
