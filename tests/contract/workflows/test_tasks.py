"""Tasks on every store: Python functions that run by the clock."""

from typing import Any

import pytest

from bellcast import Workflows
from bellcast.kernel.errors import Invalid
from bellcast.workflows import schedule_firing
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store
from tests.workflows import WorkflowWorld

HOUR = 3_600


def world_of(store: Store, clock: FakeClock, workflows: Workflows) -> WorkflowWorld:
    return WorkflowWorld(store, clock, workflows.functions, workflows.tasks)


async def test_task_runs_at_its_times_and_sends(store: Store, clock: FakeClock, app: App) -> None:
    workflows = Workflows()

    @workflows.task("remind", cron="0 * * * *")
    async def remind(task: Any) -> None:
        await task.notify("alice", title=f"{task.name} {task.fired_at:%H:%M}")
        await task.trigger("hello", "bob", {"n": 1})

    world = world_of(store, clock, workflows)
    await world.put("hello", {"key": "bell", "type": "inbox", "title": "{{ data.n }}"})
    await world.workflows.tasks.plan()
    await world.advance(3 * HOUR)
    assert len(await app.titles("alice")) == len(await app.titles("bob")) == 3
    assert (await app.titles("alice"))[-1].startswith("remind ")


async def test_task_in_a_thread_waits_for_its_calls(store: Store, clock: FakeClock, app: App) -> None:
    workflows, ids = Workflows(), []

    @workflows.task("remind", cron="0 * * * *", timezone="Europe/Vienna")
    def remind(task: Any) -> None:
        ids.append(task.notify(["alice", "bob"], title="Hello")["notifications"][0]["id"])
        ids.append(task.trigger("hello", "alice")["run"])

    world = world_of(store, clock, workflows)
    await world.put("hello", {"key": "bell", "type": "inbox", "title": "Triggered"})
    await world.workflows.tasks.plan()
    await world.advance(HOUR)
    assert sorted(await app.titles("alice")) == ["Hello", "Triggered"]
    assert all(ids)


async def test_repeated_run_sends_once(store: Store, clock: FakeClock, app: App) -> None:
    """The process dies between the sends and the record of the run."""
    workflows = Workflows()

    @workflows.task("remind", cron="0 * * * *")
    async def remind(task: Any) -> None:
        for _ in range(2):
            await task.notify("alice", title="Hello")

    world = world_of(store, clock, workflows)
    await world.workflows.tasks.plan()
    before = await store.documents.get(schedule_firing.TASK_PROGRESS, "", "remind")
    assert before is not None
    await world.advance(HOUR)
    await store.documents.put(schedule_firing.TASK_PROGRESS, "", "remind", before.body, app.now)
    (job,) = await app.lease(2**52, 2**52 + 1, 10)
    await world.workflows.tasks.run(job)
    assert await app.titles("alice") == ["Hello", "Hello"]


async def test_failing_task_runs_again_at_its_next_time(store: Store, clock: FakeClock) -> None:
    workflows, calls = Workflows(), []

    @workflows.task("remind", cron="0 * * * *")
    async def remind(task: Any) -> None:
        calls.append(task.fired_at)
        raise RuntimeError

    world = world_of(store, clock, workflows)
    await world.workflows.tasks.plan()
    await world.advance(2 * HOUR)
    assert len(calls) == 2


async def test_restart_keeps_the_time_and_new_times_begin_now(store: Store, clock: FakeClock) -> None:
    calls: list[str] = []

    async def restarted(cron: str) -> WorkflowWorld:
        workflows = Workflows()

        @workflows.task("remind", cron=cron)
        async def remind(task: Any) -> None:
            calls.append(f"{task.fired_at:%H:%M}")

        world = world_of(store, clock, workflows)
        await world.workflows.tasks.plan()
        return world

    await restarted("0 * * * *")
    clock.advance(2 * HOUR)
    world = await restarted("0 * * * *")
    await world.settle()
    assert len(calls) == 1  # the latest of those that were missed
    world = await restarted("30 * * * *")
    await world.settle()
    assert len(calls) == 1
    await world.advance(HOUR)
    assert calls[1].endswith(":30")


@pytest.mark.parametrize("fields", [{"cron": "x"}, {"cron": "0 8 * * *", "timezone": "recipient"}])
def test_wrong_times_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        Workflows().task("remind", **fields)


def test_task_has_one_function() -> None:
    workflows = Workflows()
    workflows.task("remind", cron="0 8 * * *")(print)
    with pytest.raises(ValueError, match="already registered"):
        workflows.task("remind", cron="0 8 * * *")


async def test_tasks_with_the_same_times_and_calls_both_send(store: Store, clock: FakeClock, app: App) -> None:
    workflows = Workflows()
    for name in ("first", "second"):

        @workflows.task(name, cron="0 * * * *")
        async def remind(task: Any) -> None:
            await task.notify("alice", title="Hello")

    world = world_of(store, clock, workflows)
    await world.workflows.tasks.plan()
    await world.advance(HOUR)
    assert await app.titles("alice") == ["Hello", "Hello"]
