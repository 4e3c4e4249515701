"""Schedules on every store: weeks of the fake clock in a second."""

from typing import Any

import msgspec
import pytest

from bellcast.errors import Invalid
from bellcast.model import times
from bellcast.model.limits import Limits
from bellcast.ports import Store
from bellcast.workflows import schedules
from bellcast.workflows.schedules import Schedule
from tests.clock import FakeClock
from tests.contract.app import App
from tests.workflows import WorkflowWorld

DAY = 86_400
# Saturday 2025-03-29 12:00 in Vienna; the clocks go forward the next night.
START = times.milliseconds(times.EPOCH.fromisoformat("2025-03-29T11:00:00+00:00"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
async def world(store: Store, clock: FakeClock) -> WorkflowWorld:
    return WorkflowWorld(store, clock)


def daily(**fields: Any) -> Schedule:
    base = {"cron": "30 2 * * *", "timezone": "Europe/Vienna", "notification": {"to": "alice", "title": "Good morning"}}
    return Schedule(**{**base, **fields})


async def put(world: WorkflowWorld, schedule: Schedule) -> None:
    schedules.check(schedule, world.clock.now(), Limits())
    await world.workflows.schedules.put("", "s", schedule)


async def sent_at(app: App) -> list[str]:
    return [str(one.created_at.isoformat()) for one in (await app.page("alice"))[::-1]]


async def test_each_day_fires_once_also_when_the_clocks_change(world: WorkflowWorld, app: App) -> None:
    await put(world, daily())
    await world.advance(3 * DAY)
    # The skipped 02:30 fires right after the gap.
    assert await sent_at(app) == [
        "2025-03-30T01:00:00+00:00",
        "2025-03-31T00:30:00+00:00",
        "2025-04-01T00:30:00+00:00",
    ]


async def test_time_fires_once_and_has_no_next(world: WorkflowWorld, app: App) -> None:
    await put(world, daily(cron=None, at="2025-03-29T20:00:00"))
    await world.advance(2 * DAY)
    assert await sent_at(app) == ["2025-03-29T19:00:00+00:00"]
    found = await world.workflows.schedules.find("", "s")
    assert found is not None
    shown = schedules.shown("s", "", *found)
    assert (shown["next_at"], shown["last_error"]) == (None, None)


@pytest.mark.parametrize(("missed", "number"), [("latest", 1), ("all", 3), ("skip", 0)])
async def test_missed_times_are_made_up_for_as_configured(
    world: WorkflowWorld, app: App, missed: Any, number: int
) -> None:
    await put(world, daily(missed=missed))
    world.clock.advance(3 * DAY)
    await world.settle()
    assert len(await sent_at(app)) == number
    await world.advance(DAY)
    assert len(await sent_at(app)) == number + 1


async def test_repeated_firing_sends_once(world: WorkflowWorld, app: App) -> None:
    """The process dies between the send and the record of it."""
    await put(world, daily())
    before = await world.store.documents.get(schedules.PROGRESS, "", "s")
    assert before is not None
    world.clock.advance(14 * 3_600)
    (job,) = await app.lease(app.now, app.now + 1, 10)
    following = await world.workflows.schedules.run(job)
    await world.store.documents.put(schedules.PROGRESS, "", "s", before.body, app.now)
    assert await world.workflows.schedules.run(job) == following
    assert len(await sent_at(app)) == 1


async def test_workflow_is_triggered_and_errors_are_kept(world: WorkflowWorld) -> None:
    await world.put("hello", {"key": "bell", "type": "inbox", "title": "Hello"})
    await put(world, daily(notification=None, workflow="hello", to=["alice", "bob"]))
    await world.advance(DAY)
    assert len(await world.runs(workflow="hello")) == 2
    await world.workflows.library.change("", "hello", active=False, version=None)
    await world.advance(DAY)
    found = await world.workflows.schedules.find("", "s")
    assert found is not None
    assert found[1].last_error == "This workflow is not active."
    await world.workflows.library.change("", "hello", active=True, version=None)
    await world.advance(DAY)
    assert len(await world.runs(workflow="hello")) == 4


async def test_inactive_changed_and_deleted_schedules_do_not_fire(world: WorkflowWorld, app: App) -> None:
    await put(world, daily())
    await put(world, daily(active=False))
    await world.advance(2 * DAY)
    assert await sent_at(app) == []
    await put(world, daily(cron="0 12 * * *"))
    await world.advance(DAY)
    assert len(await sent_at(app)) == 1
    assert await world.workflows.schedules.delete("", "s")
    await world.advance(2 * DAY)
    assert len(await sent_at(app)) == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"at": "2025-04-01T00:00:00Z"}, "cron"),
        ({"cron": None}, "cron"),
        ({"cron": "* *"}, "cron"),
        ({"cron": None, "at": "noon"}, "at"),
        ({"cron": None, "at": "2025-04-01T00:00:00", "timezone": None}, "at"),
        ({"cron": None, "at": "2025-03-29T10:58:00Z"}, "at"),
        ({"cron": None, "at": "2026-04-01T00:00:00Z"}, "at"),
        ({"timezone": "Mars"}, "timezone"),
        ({"notification": None}, "workflow"),
        ({"workflow": "x"}, "workflow"),
        ({"notification": None, "workflow": "x"}, "to"),
        ({"notification": {"title": "x"}}, "notification."),
        ({"notification": {"to": "", "title": "x"}}, "notification.to"),
    ],
)
def test_wrong_schedules_are_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        schedules.check(daily(**fields), START, Limits())
    assert field in [error.field for error in refused.value.errors]


def test_schedule_survives_json() -> None:
    schedule = daily()
    assert msgspec.json.decode(msgspec.json.encode(schedule), type=Schedule) == schedule
