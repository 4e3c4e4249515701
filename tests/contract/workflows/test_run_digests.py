"""Digests of runs on every store: which run closes a digest, and with which items, when runs are cancelled, fail or commit late."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from bellcast.kernel.jobs import Job
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import MAX_DEAD_RUNS, CounterKey, CounterUpdate, RunCommit, StepCounter
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store
from tests.workflows import WorkflowWorld

HOUR = 3_600
DIGEST: dict[str, Any] = {"key": "all", "type": "digest", "window": "1h"}
BELL: dict[str, Any] = {
    "key": "bell",
    "type": "inbox",
    "title": "{{ digest.count }}: {{ digest.items | map(attribute='n') | join(' ') }}"
    " by {{ digest.actors | map(attribute='name') | join(' ') }}",
}


class PassingClock(FakeClock):
    """Each reading is a millisecond later than the last one, as on a busy system."""

    def now(self) -> int:
        self._now += 1
        return self._now


async def test_digest_opens_once_while_time_passes(store: Store) -> None:
    world = WorkflowWorld(store, PassingClock())
    await world.put("comments", DIGEST, BELL)
    ids = [await comment(world, n, actor) for n, actor in ((1, "Ann"), (2, "Bob"))]
    assert await statuses(world, ids) == ["waiting", "merged"]
    run, state = await world.run(ids[0])
    assert run.wakes_at == state.step("all").due_at == (state.step("all").planned_at or 0) + HOUR * 1000


def test_items_are_in_the_order_of_the_triggers_whichever_run_reached_the_digest_first() -> None:
    states = {number: runs.RunState(data={"n": number}) for number in (2, 10, 1)}
    counter = StepCounter(run="run-2", digest=runs.own_digest(states[2]), runs=("run-2",))
    for number in (10, 1):
        assert counter.digest is not None
        counter = runs.with_run(counter, f"run-{number}", states[number])
    collected = runs.in_order(counter)
    assert collected is not None
    assert ([item["n"] for item in collected.items], collected.count) == ([1, 2, 10], 3)
    unlisted = msgspec.structs.replace(counter, runs=())  # as beyond MAX_DIGEST_RUNS
    assert runs.in_order(unlisted) == counter.digest


@pytest.fixture
async def world(store: Store, clock: FakeClock) -> WorkflowWorld:
    world = WorkflowWorld(store, clock)
    await world.put("comments", DIGEST, BELL)
    return world


async def comment(world: WorkflowWorld, n: int, actor: str | None = None, **fields: Any) -> str:
    """Trigger with a separate cancel key, and let the run reach its digest."""
    id = await world.trigger("comments", **{"data": {"n": n}, "actor": actor, "cancel_key": f"c{n}", **fields})
    await world.settle()
    return id


async def cancel(world: WorkflowWorld, key: str) -> int:
    counted = await world.store.runs.count_by_key("", "comments", key, None)
    cancelled = await world.store.runs.cancel_by_key("", "comments", key, None, world.clock.now())
    assert counted == cancelled
    return cancelled


async def statuses(world: WorkflowWorld, ids: Sequence[str]) -> list[str]:
    return [await world.status(id) for id in ids]


async def test_cancelled_opening_run_takes_only_its_own_item_along(world: WorkflowWorld, app: App) -> None:
    ids = [await comment(world, n, actor) for n, actor in ((1, "Ann"), (2, "Bob"), (3, "Mia"))]
    closes_at = (await world.run(ids[0]))[0].wakes_at
    world.clock.advance(60)
    assert await cancel(world, "c1") == 1
    assert await statuses(world, ids) == ["cancelled", "waiting", "merged"]
    run, state = await world.run(ids[1])
    assert (run.wakes_at, run.ended_at, run.reason, state.status) == (closes_at, None, None, "waiting")
    await world.advance(HOUR - 61)
    assert await app.titles("alice") == []
    await world.advance(1)
    assert await app.titles("alice") == ["2: 2 3 by Bob Mia"]
    assert await statuses(world, ids) == ["cancelled", "completed", "merged"]
    assert await world.store.jobs.due(2**52) == []


async def test_each_cancelled_opening_run_leaves_the_digest_to_the_next(world: WorkflowWorld, app: App) -> None:
    ids = [await comment(world, n, "Ann") for n in (1, 2, 3)]
    assert await world.store.runs.cancel("", ids[0], world.clock.now()) == 1
    ids.append(await comment(world, 4, "Bob"))
    assert await cancel(world, "c2") == 1
    await world.advance(HOUR)
    assert await app.titles("alice") == ["2: 3 4 by Ann Bob"]
    assert await statuses(world, ids) == ["cancelled", "cancelled", "completed", "merged"]


async def test_cancelled_run_without_others_leaves_no_digest(world: WorkflowWorld, app: App) -> None:
    await comment(world, 1)
    world.clock.advance(60)
    assert await cancel(world, "c1") == 1
    await comment(world, 2)
    await world.advance(HOUR - 1)
    assert await app.titles("alice") == []
    await world.advance(1)
    assert await app.titles("alice") == ["1: 2 by "]


async def test_cancel_takes_the_merged_runs_of_its_key_along(world: WorkflowWorld, app: App) -> None:
    ids = [await comment(world, n, cancel_key=key) for n, key in ((1, "x"), (2, "x"), (3, "y"), (4, "x"))]
    assert await cancel(world, "x") == 1
    assert await statuses(world, ids) == ["cancelled", "merged", "waiting", "merged"]
    await world.advance(HOUR)
    assert await app.titles("alice") == ["1: 3 by "]


async def test_cancel_of_all_runs_of_a_digest_sends_nothing(world: WorkflowWorld, app: App) -> None:
    ids = [await comment(world, n, cancel_key="x") for n in (1, 2)]
    assert await cancel(world, "x") == 1
    await world.advance(2 * HOUR)
    assert (await statuses(world, ids), await app.titles("alice")) == (["cancelled", "merged"], [])


async def test_merged_run_that_is_cancelled_stays_in_the_digest(world: WorkflowWorld, app: App) -> None:
    for n in (1, 2):
        await comment(world, n)
    assert await cancel(world, "c2") == 0
    await world.advance(HOUR)
    assert await app.titles("alice") == ["2: 1 2 by "]


async def test_actor_of_a_cancelled_run_stays_if_another_run_has_it(world: WorkflowWorld, app: App) -> None:
    for n, actor in ((1, "Ann"), (2, "Bob"), (3, "Ann")):
        await comment(world, n, actor)
    await cancel(world, "c1")
    await world.advance(HOUR)
    assert await app.titles("alice") == ["2: 2 3 by Ann Bob"]


async def test_next_run_has_its_item_although_it_did_not_fit(world: WorkflowWorld, app: App) -> None:
    for n in (1, 2, 3):
        await comment(world, n, data={"n": n, "text": "x" * 40_000})
    await cancel(world, "c1")
    await world.advance(HOUR)
    assert await app.titles("alice") == ["2: 2 by "]


async def test_next_run_keeps_the_group_of_the_digest(world: WorkflowWorld, app: App) -> None:
    await world.put("comments", {**DIGEST, "by": "{{ recipient.name }}"}, BELL)
    await world.recipient("alice", name="Alice")
    for n in (1, 2, 3):
        await comment(world, n)
    await cancel(world, "c1")
    await world.recipient("alice", name="Alicia")
    await world.advance(HOUR)
    assert await app.titles("alice") == ["2: 2 3 by "]


async def test_repeating_digest_continues_after_a_cancelled_run(world: WorkflowWorld, app: App) -> None:
    await world.put("comments", {**DIGEST, "mode": "repeats"}, BELL)
    for n in (1, 2, 3):
        await comment(world, n)
    await cancel(world, "c2")
    await world.advance(HOUR)
    assert await app.titles("alice") == ["1: 3 by ", "1: 1 by "]


async def test_failed_opening_run_takes_only_its_own_item_along(world: WorkflowWorld, app: App) -> None:
    ids = [await comment(world, n) for n in (1, 2, 3)]
    run, state = await world.run(ids[0])
    body, now = runs.encode(state.ended("failed", "too_large")), world.clock.now()
    ended = msgspec.structs.replace(run, state="failed", ended_at=now, wakes_at=None, body=body)
    assert await world.store.runs.commit([RunCommit(run=ended, now=now, has_counters=True)]) == [()]
    await world.advance(HOUR)
    assert await app.titles("alice") == ["2: 2 3 by "]
    assert await statuses(world, ids) == ["failed", "completed", "merged"]


async def lease_opener(app: App, id: str, seconds: int = HOUR) -> Job:
    """Lease the job of a run that waits for its digest."""
    (job,) = await app.lease(app.now + seconds * 1000, app.now + (seconds + 1) * 1000, 10)
    assert job.id == id
    return job


async def set_aside(app: App, job: Job) -> None:
    await app.store.jobs.set_dead([msgspec.structs.replace(job, error="KeyError: 'x'")])


async def test_opening_run_that_is_set_aside_takes_only_its_own_item_along(world: WorkflowWorld, app: App) -> None:
    ids = [await comment(world, n, actor) for n, actor in ((1, "Ann"), (2, "Bob"), (3, "Mia"))]
    await set_aside(app, await lease_opener(app, ids[0]))
    assert await statuses(world, ids) == ["waiting", "waiting", "merged"]
    await world.advance(HOUR - 1)
    assert await app.titles("alice") == []
    await world.advance(1)
    assert await app.titles("alice") == ["2: 2 3 by Bob Mia"]
    assert await statuses(world, ids) == ["waiting", "completed", "merged"]


async def test_run_that_was_set_aside_and_is_retried_joins_the_digest_that_is_open(
    world: WorkflowWorld, app: App
) -> None:
    ids = [await comment(world, n) for n in (1, 2, 3)]
    await set_aside(app, await lease_opener(app, ids[0]))
    world.clock.advance(60)
    assert await app.store.jobs.revive("", ids[0], app.now)
    await world.settle()
    assert await statuses(world, ids) == ["waiting", "waiting", "merged"]  # until its time
    await world.advance(HOUR)
    assert await app.titles("alice") == ["3: 1 2 3 by "]
    assert await statuses(world, ids) == ["merged", "completed", "merged"]


async def test_digest_whose_runs_die_one_after_the_other_is_dropped(world: WorkflowWorld, app: App) -> None:
    ids = [await comment(world, n) for n in range(1, MAX_DEAD_RUNS + 2)]
    for id in ids[:MAX_DEAD_RUNS]:
        await set_aside(app, await lease_opener(app, id))
    assert await statuses(world, ids) == [*["waiting"] * MAX_DEAD_RUNS, "merged"]
    await comment(world, 9)
    await world.advance(HOUR)
    assert await app.titles("alice") == ["1: 9 by "]


async def test_lost_lease_of_an_opening_run_changes_no_digest(world: WorkflowWorld, app: App) -> None:
    ids = [await comment(world, n) for n in (1, 2)]
    lost = await lease_opener(app, ids[0])
    await lease_opener(app, ids[0], HOUR + 1)
    await set_aside(app, lost)
    assert await statuses(world, ids) == ["waiting", "merged"]
    assert not await app.store.jobs.is_dead("", ids[0])
    await world.advance(HOUR + 2)
    assert await app.titles("alice") == ["2: 1 2 by "]


async def test_job_is_set_aside_even_if_its_digest_cannot_be_read(world: WorkflowWorld, app: App) -> None:
    key, id = CounterKey("", "comments", "all", "alice", ""), await comment(world, 1)
    counter = await world.store.runs.counter(key)
    assert counter is not None
    update = CounterUpdate(key=key, revision=counter.revision, body=b'{"runs":1}', run=id, expires_at=2**52)
    run, _ = await world.run(id)
    assert await world.store.runs.commit([RunCommit(run=run, now=app.now, counters=(update,))]) == [()]
    await set_aside(app, await lease_opener(app, id))
    assert await app.store.jobs.is_dead("", id)
    await comment(world, 2)
    await world.advance(HOUR)
    assert await app.titles("alice") == ["1: 2 by "]


async def test_digest_whose_listed_runs_are_gone_is_deleted(
    world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "MAX_DIGEST_RUNS", 2)
    for n in (1, 2, 3):
        await comment(world, n)
    assert [await cancel(world, "c1"), await cancel(world, "c2")] == [1, 1]
    await comment(world, 4)
    await world.advance(HOUR)
    assert await app.titles("alice") == ["1: 4 by "]


async def test_commit_for_an_earlier_digest_joins_the_current_one(
    world: WorkflowWorld, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a slow process adds a run to a digest, that digest is closed and another run opens the next one."""
    await comment(world, 1)
    late = await world.trigger("comments", data={"n": 2})
    (job,) = [job for job in await app.lease(app.now, app.now + 10 * HOUR * 1000, 10) if job.id == late]
    commit = world.store.runs.commit

    async def commit_late(commits: Sequence[RunCommit]) -> Any:
        monkeypatch.undo()
        await world.advance(HOUR)
        await comment(world, 3)
        return await commit(commits)

    monkeypatch.setattr(type(world.store.runs), "commit", staticmethod(commit_late))
    await world.execute(job)
    await comment(world, 4)
    await world.advance(HOUR)
    assert await app.titles("alice") == ["3: 2 3 4 by ", "1: 1 by "]


async def test_digest_of_an_ended_run_is_reopened(world: WorkflowWorld, app: App) -> None:
    """Digests as earlier builds left them."""
    ended = await comment(world, 1)
    await world.advance(HOUR)
    other = await world.trigger("comments", "bob")
    await world.settle()
    counter = StepCounter(run=ended, opened_at=app.now, closes_at=app.now, digest=runs.Digest(items=({"n": 1},)))
    update = CounterUpdate(
        key=CounterKey("", "comments", "all", "alice", ""),
        revision=0,
        body=msgspec.json.encode(counter),
        run=ended,
        expires_at=2**52,
    )
    run, _ = await world.run(other)
    assert await world.store.runs.commit([RunCommit(run=run, now=app.now, counters=(update,))]) == [()]
    for n in (2, 3):
        await comment(world, n)
    await world.advance(HOUR)
    assert await app.titles("alice") == ["2: 2 3 by ", "1: 1 by "]


async def test_open_digest_of_an_inactive_workflow_keeps_what_it_collected(world: WorkflowWorld, app: App) -> None:
    for n in (1, 2, 3):
        await comment(world, n, "Ann")
    await world.workflows.workflow_catalog.change("", "comments", active=False, version=None)
    await world.advance(40 * 24 * HOUR)
    await world.store.maintenance.delete_messages(world.clock.now() - 30 * 24 * HOUR * 1000, 100)
    await world.workflows.workflow_catalog.change("", "comments", active=True, version=None)
    await world.settle()
    assert await app.titles("alice") == ["3: 1 2 3 by Ann"]
