"""Counts of what the steps of runs did, and the runs that they count, on every store."""

from typing import Any

import pytest

from bellcast.kernel.db.lists import ListPage, ListTotal
from bellcast.kernel.outbound import Response
from bellcast.workflows import run_stats
from bellcast.workflows.run_stats import RunCounts, RunStats, StepCounts
from bellcast.workflows.types import StepStatus
from bellcast.workflows.types.runs import StoredRun
from tests.clock import FakeClock
from tests.contract.app import wanted
from tests.store import Store
from tests.workflows import WorkflowWorld

LARGE = {"var": "data.total", "op": "gte", "value": 100}
GATE = {
    "key": "gate",
    "type": "branch",
    "branches": [{"if": LARGE, "steps": [{"key": "call", "type": "http", "url": "https://app.example.com/"}]}],
    "else": [{"key": "bell", "type": "inbox", "title": "Booked"}],
}
LATER = {"key": "later", "type": "delay", "for": "1h"}
LAST = {"key": "last", "type": "inbox", "title": "Soon"}
SHOWN = ("gate", "call", "bell", "later", "last")


def counted(**numbers: Any) -> StepCounts:
    return StepCounts(**{"done": 0, "waiting": 0, "skipped": {}, "failed": 0, **numbers})


class World(WorkflowWorld):
    @property
    def stats(self) -> RunStats:
        return RunStats(self.store, self.clock, self.workflows.workflow_catalog)

    async def counts(self, version: int | None = None, tenant: str = "") -> RunCounts:
        return await self.stats.counts(wanted(tenant), "booking", version, SHOWN)


@pytest.fixture
async def world(store: Store, clock: FakeClock) -> World:
    """Five runs: one failed, two ended, one waits, one is cancelled while it waits."""
    world = World(store, clock)
    await world.put("booking", GATE, LATER, LAST)
    await add_runs(world)
    return world


async def add_runs(world: World, **data: Any) -> None:
    world.http.responses = [Response(400, {}, b"")]
    await world.trigger("booking", "ann", data={"total": 100, **data})
    for recipient in ("ben", "cleo"):
        await world.trigger("booking", recipient, data={"total": 1, **data})
    await world.advance(3_700)
    await world.trigger("booking", "dan", data={"total": 1, "last": {"state": "done"}, **data})
    cancelled = await world.trigger("booking", "eve", data={"total": 1, **data})
    await world.settle()
    await world.store.runs.cancel("", cancelled, world.clock.now())


async def test_large_runs_are_counted_by_a_small_part_of_them(world: World) -> None:
    await world.advance(3_700)
    await world.settle()
    small = await world.counts()
    await add_runs(world, note="ü" * 4000)
    outlines = await world.store.runs.outlines(wanted())
    assert [len(run.body) < 1000 for run in outlines.items] == [True] * 10
    await world.advance(3_700)
    await world.settle()
    large = await world.counts()
    assert {state: 2 * number for state, number in small.runs.items()} == large.runs
    for key, one in small.steps.items():
        skipped = {reason: 2 * number for reason, number in one.skipped.items()}
        assert large.steps[key] == counted(done=2 * one.done, failed=2 * one.failed, skipped=skipped), key


async def test_counts_are_those_of_the_list(world: World) -> None:
    counts = await world.counts()
    ended = {"ended: the run ended at call (HTTP status 400)": 1, "ended: the run was cancelled": 1}
    assert counts == RunCounts(
        {"failed": 1, "completed": 2, "waiting": 1, "cancelled": 1},
        {
            "gate": counted(done=5),
            "call": counted(failed=1, skipped={"branch": 4}),
            "bell": counted(done=4, skipped={"branch": 1}),
            "later": counted(done=2, waiting=1, skipped=ended),
            "last": counted(done=2, skipped=ended),
        },
        exact=True,
    )
    state: StepStatus
    for key, of_step in counts.steps.items():
        for state, number in (
            ("done", of_step.done), ("waiting", of_step.waiting), ("failed", of_step.failed), ("skipped", sum(of_step.skipped.values())),
        ):  # fmt: skip
            for tenant in ("", "*"):
                page = await world.stats.page(wanted(tenant, workflow="booking"), key, state)
                assert (len(page.items), page.total) == (number, ListTotal(number, exact=True)), (key, state)
    reached = await world.stats.page(wanted(), "last", None)
    assert len(reached.items) == 4
    pending = await world.stats.page(wanted(), "last", "pending")
    assert [run.recipient for run in pending.items] == ["dan"]


async def test_pages_of_a_step_follow_each_other(world: World) -> None:
    found, after = [], None
    for _ in range(3):
        page = await world.stats.page(wanted(before=after, limit=2), "gate", "done")
        found += [run.recipient for run in page.items]
        after = page.next[0] if page.next else None
    assert (found, after) == (["eve", "dan", "cleo", "ben", "ann"], None)


async def test_runs_of_versions_without_the_step_are_not_counted(world: World) -> None:
    await world.put("booking", LAST)
    await world.trigger("booking", "flo")
    await world.settle()
    counts = await world.counts()
    assert (counts.runs["completed"], counts.steps["gate"].done, counts.steps["last"].done) == (3, 5, 3)
    assert (await world.counts(version=2)).steps["gate"] == counted()
    assert len((await world.stats.page(wanted(), "gate", "skipped")).items) == 0


async def test_page_that_is_cut_continues_after_its_last_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search from the last row that was read would skip the runs that did not fit."""
    every = (await world.store.runs.page(wanted())).items
    pages = iter([ListPage(every[:2], next=(every[1].id,)), ListPage(every[2:], scanned_until=("0",))])

    async def page(*_: object) -> ListPage[StoredRun]:
        return next(pages)

    monkeypatch.setattr(type(world.store.runs), "page", page)
    found = await world.stats.page(wanted(limit=3), "gate", None)
    assert (found.items, found.next, found.scanned_until) == (every[:3], (every[2].id,), None)


async def test_newest_runs_are_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_stats, "RUNS_PER_READ", 2)
    assert (await world.counts()).runs == {"failed": 1, "completed": 2, "waiting": 1, "cancelled": 1}
    monkeypatch.setattr(run_stats, "MAX_COUNTED", 2)
    for tenant in ("", "*"):
        counts = await world.counts(tenant=tenant)
        assert (counts.runs, counts.exact) == ({"cancelled": 1, "waiting": 1}, False)


async def test_runs_of_the_last_24_hours_are_counted_by_workflow_up_to_a_bound(
    world: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflows = ["booking", "idle"]
    for tenant in ("", None):
        assert await world.stats.recent(tenant, workflows) == {
            "booking": ListTotal(5, exact=True),
            "idle": ListTotal(0, exact=True),
        }
    assert (await world.stats.recent("acme", workflows))["booking"] == ListTotal(0, exact=True)
    monkeypatch.setattr(run_stats, "MAX_RECENT", 4)
    monkeypatch.setattr(run_stats, "MAX_COUNTED", 3)
    assert (await world.stats.recent("", workflows))["booking"] == ListTotal(4, exact=False)
    assert await world.stats.recent(None, workflows) == {
        "booking": ListTotal(3, exact=False),
        "idle": ListTotal(0, exact=False),
    }
    monkeypatch.undo()
    clock.advance(86_400 - 60)
    assert (await world.stats.recent("", workflows))["booking"] == ListTotal(
        2, exact=True
    )  # three began an hour before


async def test_recent_runs_of_the_project_are_not_those_of_a_tenants_own_workflow(world: World) -> None:
    await world.trigger("booking", "flo", tenant="acme")
    await world.put("booking", LAST, tenant="acme")
    world.workflows.workflow_catalog.forget()
    await world.trigger("booking", "flo", tenant="acme")
    assert await world.stats.recent(None, ["booking"]) == {"booking": ListTotal(6, exact=True)}
    assert await world.stats.recent("acme", ["booking"]) == {"booking": ListTotal(2, exact=True)}


async def test_counts_are_cached_for_ten_seconds(world: World, clock: FakeClock) -> None:
    stats = world.stats
    before = await stats.counts(wanted(), "booking", None, SHOWN)
    await world.trigger("booking", "flo")
    assert await stats.counts(wanted(), "booking", None, SHOWN) is before
    clock.advance(10)
    assert (await stats.counts(wanted(), "booking", None, SHOWN)).runs["running"] == 1


async def test_many_reasons_are_counted_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_stats, "MAX_REASONS", 1)
    reasons = (await world.counts()).steps["later"].skipped
    assert sorted(reasons.values()) == [1, 1]
    assert run_stats.OTHER_REASONS in reasons
