"""Statistics of a server per interval, and the results of its checks."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Literal

from msgspec import Struct

from bellcast.kernel import times

# Histogram buckets in seconds. A send is one commit (about 1 ms), a second indicates trouble, and ten seconds is the
# timeout of most clients.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

# Retention of each step: 10 s in memory, the others in the store. With 6,200 rows of about 300 bytes, a node
# needs 2 MB.
SAMPLE_MS = 10_000
KEPT_MS = {
    SAMPLE_MS: times.HOUR_MS,
    times.MINUTE_MS: 2 * times.DAY_MS,
    15 * times.MINUTE_MS: 30 * times.DAY_MS,
    times.DAY_MS: 400 * times.DAY_MS,
}
# Hourly statistics of the busiest tenants. These limits bound the tenants and bytes of a node's row: with 720 rows, a
# node needs 7 MB.
TENANTS_KEPT_MS = 30 * times.DAY_MS
MAX_TENANTS, MAX_TENANTS_BYTES = 100, 7_500
# Rows of a day that are read for a tenant: 83 nodes.
MAX_DAY_ROWS = 2_000
STORED_MS = {step: kept for step, kept in KEPT_MS.items() if step > SAMPLE_MS}


class StatsPoint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The statistics of a node in one interval. `connections` is the sum of the samples, taken every 10 s. `queue_age`
    is the maximum, in milliseconds. `durations` counts requests by duration bucket."""

    connections: int = 0
    requests: int = 0
    refusals: int = 0
    failures: int = 0
    sends: int = 0
    runs: int = 0
    publishes: int = 0
    deliveries: int = 0
    queue_age: int = 0
    durations: tuple[int, ...] = ()


COUNTERS = ("requests", "refusals", "failures", "sends", "runs", "publishes", "deliveries")
TENANT_METRICS = ("connections", *COUNTERS)
METRICS = (*TENANT_METRICS, "latency_p50", "latency_p95", "queue_age")


def total(points: Iterable[StatsPoint]) -> StatsPoint:
    """Combine points of several nodes or intervals."""
    combined = list(points)
    sums = {name: sum(getattr(one, name) for one in combined) for name in TENANT_METRICS}
    durations = tuple(map(sum, zip_longest(*(one.durations for one in combined), fillvalue=0)))
    return StatsPoint(**sums, queue_age=max((one.queue_age for one in combined), default=0), durations=durations)


def difference(after: StatsPoint, before: StatsPoint) -> StatsPoint:
    """Return the difference of two readings of the counters. Connections and queue age are those of `after`."""
    counted = {name: getattr(after, name) - getattr(before, name) for name in COUNTERS}
    pairs = zip_longest(after.durations, before.durations, fillvalue=0)
    durations = tuple(new - old for new, old in pairs)
    return StatsPoint(connections=after.connections, queue_age=after.queue_age, durations=durations, **counted)


def samples(step: int, at: int, now: int) -> int:
    """Return the number of samples per node in the interval that begins `at`; before its end, only those of full
    minutes. The sum of connections is divided by this number, not by each node's own samples; otherwise a node replaced
    at noon and its successor would both count fully on that day."""
    if step == SAMPLE_MS:
        return 1
    ended = (now - at) // times.MINUTE_MS * times.MINUTE_MS
    return max(times.MINUTE_MS, min(step, ended)) // SAMPLE_MS


def value(point: StatsPoint, metric: str, bounds: Sequence[float], samples: int) -> float | None:
    """Return a metric of one interval for all nodes. Latencies are milliseconds, None without requests; `bounds` are
    the upper bounds of the durations in seconds, except for the last bucket."""
    if metric == "connections":
        return round(point.connections / samples, 1)
    if metric.startswith("latency_p"):
        # The upper bound of the bucket with the quantile, in milliseconds; for the last bucket, its lower bound.
        share = int(metric.removeprefix("latency_p")) / 100
        rank, passed = sum(point.durations) * share, 0
        for bucket, number in enumerate(point.durations):
            passed += number
            if number and passed >= rank:
                return round(bounds[min(bucket, len(bounds) - 1)] * 1000, 1)
        return None
    count: int = getattr(point, metric)
    return count


FindingState = Literal["ok", "warning", "problem"]


class FindingItem(Struct, frozen=True):
    """The result of a check. `fix` is empty if the state is `ok`."""

    check: str
    state: FindingState
    what: str
    fix: str = ""
