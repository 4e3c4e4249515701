"""Schedules to test with."""

from typing import Any

from bellcast.kernel import times
from bellcast.kernel.limits import Limits
from bellcast.workflows import schedule_times
from bellcast.workflows.schedule_times import Schedule
from tests.workflows import WorkflowWorld

DAY = 86_400
# Saturday 2025-03-29 12:00 in Vienna; the clocks go forward the next night.
START = times.milliseconds(times.EPOCH.fromisoformat("2025-03-29T11:00:00+00:00"))
ZONES = {"alice": "Europe/Vienna", "bob": "America/New_York", "mia": None, "zoe": "Pacific/Auckland"}


def daily(**fields: Any) -> Schedule:
    base = {"cron": "30 2 * * *", "timezone": "Europe/Vienna", "notification": {"to": "alice", "title": "Good morning"}}
    return Schedule(**{**base, **fields})


async def put(world: WorkflowWorld, schedule: Schedule) -> None:
    schedule_times.check(schedule, world.clock.now(), Limits())
    await world.workflows.schedules.put("", "s", schedule)


async def populate(world: WorkflowWorld) -> None:
    for key, zone in ZONES.items():
        await world.recipient(key, timezone=zone)
