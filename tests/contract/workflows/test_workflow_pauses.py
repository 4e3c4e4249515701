"""Runs of workflows that are disabled and enabled again, on every store."""

import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from bellcast.documents.types import Document
from bellcast.inbox.types import Audience
from bellcast.kernel.errors import Conflict
from bellcast.workflows import workflow_catalog
from bellcast.workflows.store import Runs
from bellcast.workflows.workflow_catalog import WorkflowCatalog
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store
from tests.workflows import WorkflowWorld

LATER = {"key": "later", "type": "delay", "for": "1h"}
BELL = {"key": "bell", "type": "inbox", "title": "Booked"}
LOOKED = {"key": "looked", "type": "wait_for", "step": "bell", "event": "seen"}


@pytest.fixture
async def world(store: Store, clock: FakeClock) -> WorkflowWorld:
    return WorkflowWorld(store, clock)


async def switch(world: WorkflowWorld, *, active: bool) -> None:
    await world.workflows.workflow_catalog.change("", "booking", active=active, version=None)


async def test_inactive_workflow_pauses_runs_and_refuses_triggers(world: WorkflowWorld, app: App) -> None:
    await world.put("booking", LATER, BELL)
    id = await world.trigger("booking")
    await world.settle()
    await switch(world, active=False)
    with pytest.raises(Conflict):
        await world.trigger("booking")
    await world.advance(7_200)
    assert (await world.status(id), await app.titles("alice")) == ("paused", [])
    await switch(world, active=True)
    await world.settle()
    assert (await world.status(id), await app.titles("alice")) == ("completed", ["Booked"])


async def test_paused_runs_of_a_deleted_workflow_finish(world: WorkflowWorld) -> None:
    await world.put("booking", BELL)
    id = await world.trigger("booking")
    await switch(world, active=False)
    await world.settle()
    assert await world.status(id) == "paused"
    await world.delete("booking")
    await world.settle()
    assert await world.status(id) == "completed"


async def test_paused_runs_continue_when_code_defines_their_workflow(world: WorkflowWorld) -> None:
    await world.put("booking", BELL)
    id = await world.trigger("booking")
    await switch(world, active=False)
    await world.settle()
    await world.workflows.workflow_catalog.put("", "booking", {"steps": [LATER]}, is_code=True)
    await world.settle()
    assert await world.status(id) == "completed"


@pytest.mark.parametrize("to", ["alice", Audience(topic="room")])
async def test_node_with_an_older_state_of_the_workflow_leaves_no_run_paused(
    world: WorkflowWorld, to: str | Audience
) -> None:
    """Another node activates the workflow before this node, which only knows of the deactivation, pauses a run."""
    await world.store.subscriptions.subscribe("", "room", "alice", world.clock.now())
    await world.put("booking", BELL)
    trigger = await world.trigger("booking", to)
    await switch(world, active=False)
    await world.workflows.workflow_catalog.current("", "booking")
    await WorkflowCatalog(world.store, world.clock).change("", "booking", active=True, version=None)
    await world.settle()
    assert await world.store.runs.counts("", trigger) == {"completed": 1}


async def test_event_of_an_inactive_workflow_counts_when_it_is_active_again(world: WorkflowWorld, app: App) -> None:
    await world.put("booking", BELL, LOOKED)
    id = await world.trigger("booking")
    await world.settle()
    await switch(world, active=False)
    await app.mark("alice", "read")
    await world.settle()
    assert await world.status(id) == "paused"
    await switch(world, active=True)
    await world.settle()
    assert await world.status(id) == "completed"


async def test_new_version_does_not_undo_a_concurrent_deactivation(
    world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.put("booking", BELL)
    catalog, get = world.workflows.workflow_catalog, world.store.documents.get

    async def get_before_the_deactivation(*args: str) -> Document | None:
        found = await get(*args)
        monkeypatch.undo()
        await WorkflowCatalog(world.store, world.clock).change("", "booking", active=False, version=None)
        return found

    monkeypatch.setattr(type(world.store.documents), "get", staticmethod(get_before_the_deactivation))
    written, is_new = await catalog.put("", "booking", {"steps": [LATER]})
    workflow = workflow_catalog.stored(written, "")
    assert (workflow.current.version, workflow.current.active, is_new) == (2, False, False)
    current = await WorkflowCatalog(world.store, world.clock).current("", "booking")
    assert current == workflow.current


async def test_woken_run_does_not_count_as_a_job_that_has_waited_for_years(world: WorkflowWorld, app: App) -> None:
    await world.put("booking", BELL, {**LOOKED, "on_match": "continue", "timeout": "1h"})
    await world.trigger("booking")
    await world.settle()
    await app.mark("alice", "seen")
    assert [group.run_at for group in await world.store.jobs.due(world.clock.now())] == [0]
    assert await world.runner.queue_age() == 0


async def test_run_that_became_too_large_before_a_call_calls_nothing(
    world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.put("booking", {"key": "call", "type": "http", "url": "https://app.example.com/"})
    id = await world.trigger("booking")
    monkeypatch.setattr("bellcast.workflows.types.runs.MAX_RUN", 20)
    await world.settle()
    run, _ = await world.run(id)
    assert (run.state, run.reason, world.http.requests) == ("failed", "too_large", [])


async def test_cancellation_of_many_runs_commits_small_batches(
    world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bellcast.workflows.store.CANCEL_BATCH_ROWS", 3)
    cancel, batches = type(world.store.runs)._cancel, list[int]()

    async def count(self: Any, runs: Any, *args: Any) -> int:
        batches.append(len(runs))
        return await cancel(self, runs, *args)

    monkeypatch.setattr(type(world.store.runs), "_cancel", count)
    await world.put("booking", LATER, BELL)
    for only, cancelled in ((None, 10), (["r1", "r4", "r8"], 3)):
        id = await world.trigger("booking", [f"r{number}" for number in range(10)], cancel_key="c")
        await world.settle()
        found = await world.store.runs.cancel_by_key("", "booking", "c", only, world.clock.now())
        assert (found, (await world.store.runs.counts("", id))["cancelled"]) == (cancelled, cancelled)
    assert max(batches) == 3


def test_waits_end_after_their_runs_are_locked() -> None:
    """A cancellation locks the run before its waits: in another order the two could deadlock on PostgreSQL."""
    waiting: Any = SimpleNamespace(run="r", step="s")
    script: Any = inspect.unwrap(Runs.end_waits)
    assert next(script(None, [waiting], b"e")).name == "runs_lock"
