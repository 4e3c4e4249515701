"""The test clock of a server that was started with `--test-clock`."""

from datetime import datetime
from typing import Annotated

from msgspec import Struct

from bellcast.kernel import times
from bellcast.kernel.errors import NotFound
from bellcast.kernel.field_limits import lasting
from bellcast.kernel.http import request_body
from bellcast.kernel.jobs.test_clock import TimeTravel
from bellcast.rest.context import ApiContext
from bellcast.rest.resource import Change, Resource


class ClockTime(Struct, frozen=True):
    """The time of the test clock."""

    now: datetime


class ClockAdvance(Struct, frozen=True, forbid_unknown_fields=True):
    """A duration by which to move the clock: seconds, or a text such as "15m" or "3d"."""

    advance: Annotated[str | float, lasting(0, times.MAX_AHEAD_SECONDS, "must be between 0 and 366d")]


CLOCK = Resource("test-clock", tag="Server", query=None)


@CLOCK.get(ClockTime)
async def read(wanted: Change[None]) -> ClockTime:
    """Read the test clock.

    404 on a server that runs with the system time."""
    return ClockTime(times.to_rfc3339(_clock(wanted.ctx).now()))


@CLOCK.act("", ClockTime, body=request_body.Shape(ClockAdvance, None, {"advance": "1s"}), example={"advance": "3d"})
async def advance(change: Change[ClockAdvance]) -> ClockTime:
    """Advance the test clock.

    Runs all work that becomes due (delays, digests, retries, schedules, expiry) before the response is
    sent."""
    now = await _clock(change.ctx).advance(round(times.seconds(change.body.advance) * 1000))
    return ClockTime(times.to_rfc3339(now))


def _clock(ctx: ApiContext) -> TimeTravel:
    clock = ctx.find(TimeTravel)
    if clock is None:
        raise NotFound("This server runs with the system time: start it with --test-clock.")
    return clock


HANDLERS = [read, advance]
