"""Numbers of the servers over time."""

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Literal

import msgspec
from litestar.types import ASGIApp
from msgspec import Meta, Struct

from bellcast.api import context, request_body, responses
from bellcast.api.metrics import BUCKETS
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.errors import FieldError, Invalid, NotFound
from bellcast.model import stats, times
from bellcast.model.operators import ROLES
from bellcast.model.stats import StatsPoint
from bellcast.model.times import Moment

StepName = Literal["10s", "1m", "15m", "1d"]
STEPS: dict[StepName, int] = dict(zip(("10s", "1m", "15m", "1d"), stats.KEPT_MS, strict=True))
# A chart has fewer pixels. 48 hours have 2,880 minutes.
MAX_POINTS = 3_000
# Each node has a row in each interval. So many take 0.2 s of a thread.
MAX_ROWS = 20_000
DAY_MS = 24 * 3_600_000


class SeriesQuery(Struct, frozen=True, kw_only=True):
    """Metrics, repeated or separated by commas (default: all), the length of the intervals, and a range of time: by
    default the last 24 hours, with steps of 10 s the last hour."""

    metrics: list[str] = []
    step: StepName = "1m"
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")
    node: Annotated[str, Meta(max_length=100)] | None = None


class Series(Struct, frozen=True):
    """Points by time: the beginning of an interval (UTC milliseconds), then one value per metric."""

    step: StepName
    metrics: list[str]
    points: list[list[int | float | None]]


@operation(
    "GET",
    "/v1/stats/series",
    tag="Console",
    required_scope="observe",
    roles=ROLES,
    query=SeriesQuery,
    response_types={200: Series},
    refusals=(NotFound,),
)
async def series(request: ApiRequest) -> ASGIApp:
    """Read numbers over time.

    Of all nodes together, or of `node`:

    - `connections`: open ones, on average.
    - `requests`, `refusals` (status 4xx), `failures` (status 5xx, and messages that failed or bounced).
    - `sends`: notifications and announcements, each with all of its recipients; `publishes`: live events.
    - `deliveries`: messages that a provider accepted, or that were simulated.
    - `latency_p50`, `latency_p95`: milliseconds from a request to the start of its response, as the upper bound of a
      bucket of `bellcast_request_seconds`; null without requests.
    - `queue_age`: the longest time in milliseconds that a due job had waited when a sample was taken.

    Steps of 10 s are kept for an hour, in the memory of the process that responds and of this process only; steps of 1 m
    for 48 hours, 15 m for 30 days, 1 d (UTC) for 400 days. The last interval may be incomplete; one without a point has no
    row. A node is one process: the `node` of `GET /v1/connections`. Callers that are bound to tenants are refused."""
    query, ctx = request_body.query(request, SeriesQuery), context.of(request)
    if ctx.stats is None:
        raise NotFound("Numbers over time are turned off here: BELLCAST_STATS=off.")
    names = [name for given in query.metrics for name in given.split(",") if name] or list(stats.METRICS)
    if not set(names) <= set(stats.METRICS) or len(names) > len(stats.METRICS):
        raise Invalid.fields([FieldError("metrics", f"must be some of: {', '.join(stats.METRICS)}")])
    step, now = STEPS[query.step], (ctx.real_clock or ctx.engines.clock).now()
    until = now if query.end is None else times.milliseconds(query.end)
    since = until - min(DAY_MS, stats.KEPT_MS[step]) if query.start is None else times.milliseconds(query.start)
    if (until - since) // step > MAX_POINTS:
        raise Invalid.fields([FieldError("from", f"must be at most {MAX_POINTS} steps before to")])
    points = await ctx.stats.series(step, since, until, query.node, MAX_ROWS + 1)
    if len(points) > MAX_ROWS:
        many = f"must be closer to to: the range has more than {MAX_ROWS} points of nodes. Or use a larger step"
        raise Invalid.fields([FieldError("from", many)])
    return responses.json(Series(query.step, names, await asyncio.to_thread(_rows, points, names, step, now)))


def _rows(
    points: Sequence[tuple[int, StatsPoint]], metrics: Sequence[str], step: int, now: int
) -> list[list[int | float | None]]:
    """Combine the points of all nodes in each interval."""
    result: list[list[int | float | None]] = []
    for at, of_nodes in groupby(points, key=lambda one: one[0]):
        combined, samples = stats.total(point for _, point in of_nodes), stats.samples(step, at, now)
        result.append([at, *(stats.value(combined, metric, BUCKETS, samples) for metric in metrics)])
    return result


HANDLERS = (series,)
