"""The test clock of a server that was started with `--test-clock`."""

from datetime import datetime
from typing import Annotated

from msgspec import Struct

from bellcast.kernel import times
from bellcast.kernel.errors import NotFound
from bellcast.kernel.field_limits import lasting
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.jobs.test_clock import TimeTravel
from bellcast.rest import context
from bellcast.rest.operations import operation


class ClockTime(Struct, frozen=True):
    """The time of the test clock."""

    now: datetime


class ClockAdvance(Struct, frozen=True, forbid_unknown_fields=True):
    """A duration by which to move the clock: seconds, or a text such as "15m" or "3d"."""

    advance: Annotated[str | float, lasting(0, times.MAX_AHEAD_SECONDS, "must be between 0 and 366d")]


@operation(
    "GET",
    "/v1/test-clock",
    tag="Server",
    required_scope="read",
    response_types={200: ClockTime},
    refusals=(NotFound,),
)
async def read(request: ApiRequest) -> ASGIApp:
    """Read the test clock.

    404 on a server that runs with the system time."""
    return responses.json(ClockTime(times.to_rfc3339(_clock(request).now())))


@operation(
    "POST",
    "/v1/test-clock",
    tag="Server",
    required_scope="manage",
    body=ClockAdvance,
    response_types={200: ClockTime},
    refusals=(NotFound,),
    example={"advance": "3d"},
)
async def advance(request: ApiRequest) -> ASGIApp:
    """Advance the test clock.

    Runs all work that becomes due (delays, digests, retries, schedules, expiry) before the response is
    sent."""
    clock = _clock(request)
    body = await request_body.body(request, ADVANCE)
    now = await clock.advance(round(times.seconds(body.advance) * 1000))
    return responses.json(ClockTime(times.to_rfc3339(now)))


def _clock(request: ApiRequest) -> TimeTravel:
    clock = context.of(request).find(TimeTravel)
    if clock is None:
        raise NotFound("This server runs with the system time: start it with --test-clock.")
    return clock


ADVANCE = request_body.Shape(ClockAdvance, None, {"advance": "1s"})
HANDLERS = [read, advance]
