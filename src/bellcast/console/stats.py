"""Samples the counters of this process every 10 s, and stores a point per minute, with the counts of the busiest tenants
in its hour. Counting events costs nothing extra."""

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec
import structlog
from msgspec import Struct, field

from bellcast.console import types as stats
from bellcast.console.store import StatsPoints
from bellcast.console.types import COUNTERS, KEPT_MS, SAMPLE_MS, STORED_MS, StatsPoint
from bellcast.kernel import times
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError
from bellcast.live_feed import CountedKind, FeedKind

log = structlog.get_logger(__name__)

# --- counts by tenant

# At times twice as many have counts, each of about 400 bytes.
MAX_COUNTED_TENANTS = 1_000
# Final states of messages that did not arrive.
FAILED = ("failed", "bounced")
# The metrics of the counted kinds that have one.
METRICS: Mapping[str, str] = {"request": "requests", "send": "sends", "publish": "publishes", "start": "runs"}


class TenantCounts(Struct, eq=False):
    """Counts the feed's events by tenant. Beyond MAX_COUNTED_TENANTS tenants, the counts of the less busy half are dropped."""

    _counts: dict[str, Counter[str]] = {}
    _open: Counter[str] = field(default_factory=Counter)

    def count(self, kind: FeedKind | CountedKind, tenant: str, number: int = 1, fields: Mapping[str, Any] = {}) -> None:
        """Count events of a kind; of some, the fields decide what is counted. Must be called for every connection of the process,
        because open connections are counted as started minus ended."""
        if kind in METRICS:
            self._of(tenant)[METRICS[kind]] += number
        elif kind == "connect":
            self._open[tenant] += number
        elif kind == "disconnect":
            self._open[tenant] -= number
            if self._open[tenant] <= 0:
                del self._open[tenant]
        elif kind == "refused":
            counts, status = self._of(tenant), fields.get("status")
            if status is None:  # a connection or a topic
                counts["refusals"] += 1
            else:
                counts["requests"] += 1
                counts["failures" if status >= 500 else "refusals"] += 1
        elif kind in ("attempt", "run") and fields.get("state") in FAILED:
            self._of(tenant)["failures"] += 1
        elif kind == "attempt" and fields.get("state") == "sent":
            self._of(tenant)["deliveries"] += 1

    def sample(self) -> None:
        """Sample the current connections of tenants that have counts and of those with the most connections."""
        for tenant in {*self._counts, *(tenant for tenant, _ in self._open.most_common(MAX_COUNTED_TENANTS))}:
            if self._open[tenant]:
                self._of(tenant)["connections"] += self._open[tenant]

    def busiest(self) -> Mapping[str, StatsPoint]:
        """Return the numbers of the current hour, the busiest tenants first."""
        return {
            tenant: msgspec.convert(self._counts[tenant], StatsPoint)
            for tenant in self._by_activity()[:MAX_COUNTED_TENANTS]
        }

    def sends_of(self, tenants: Iterable[str]) -> dict[str, int]:
        """Return the sends of tenants in the hour so far; those without counts are absent."""
        return {tenant: self._counts[tenant]["sends"] for tenant in tenants if tenant in self._counts}

    def clear(self) -> None:
        """Start a new hour."""
        self._counts.clear()

    def _of(self, tenant: str) -> Counter[str]:
        counts = self._counts.get(tenant)
        if counts is None:
            if len(self._counts) >= 2 * MAX_COUNTED_TENANTS:
                for idle in self._by_activity()[MAX_COUNTED_TENANTS:]:
                    del self._counts[idle]
            counts = self._counts[tenant] = Counter()
        return counts

    def _by_activity(self) -> list[str]:
        def activity(tenant: str) -> tuple[int, int]:
            counts = self._counts[tenant]
            return sum(counts[name] for name in COUNTERS), counts["connections"]

        return sorted(self._counts, key=activity, reverse=True)


# --- points

# Samples kept: one hour.
MAX_SAMPLES = KEPT_MS[SAMPLE_MS] // SAMPLE_MS


class StatsRecorder(Struct, eq=False):
    """The statistics of this process, and those of the nodes. `measure` reads the counters since the start, and the current connections
    and queue age."""

    points: StatsPoints
    clock: Clock
    node: str
    measure: Callable[[], Awaitable[StatsPoint]]
    tenants: TenantCounts
    _samples: deque[tuple[int, StatsPoint]] = field(default_factory=lambda: deque(maxlen=MAX_SAMPLES))
    _minute: StatsPoint | None = None
    _minute_at: int = 0
    _before: StatsPoint = field(default_factory=StatsPoint)

    def queue_age(self) -> int | None:
        """Return the queue age at the last sample, in milliseconds."""
        return self._samples[-1][1].queue_age if self._samples else None

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await self.clock.sleep((SAMPLE_MS - self.clock.now() % SAMPLE_MS) / 1000)
            await self.sample()

    async def sample(self) -> None:
        """Add the interval that ends now. A minute is stored with its last sample or, if the process was busy, with the
        first sample after it. A minute that cannot be stored is dropped, so that memory is bounded."""
        # A timer may fire a few milliseconds early.
        at = (self.clock.now() + SAMPLE_MS // 2) // SAMPLE_MS * SAMPLE_MS - SAMPLE_MS
        if self._samples and at <= self._samples[-1][0] < at + times.MINUTE_MS:
            return  # ignore the second firing of such a timer, but continue after a larger step of the clock backwards
        measured = await self.measure()
        point, self._before = stats.difference(measured, self._before), measured
        self._samples.append((at, point))
        if at - at % times.MINUTE_MS != self._minute_at:
            await self._store_minute()
            if self._minute_at and at // times.HOUR_MS > (self._minute_at + times.MINUTE_MS) // times.HOUR_MS:
                self.tenants.clear()  # the hour without its last minute
            self._minute_at = at - at % times.MINUTE_MS
        self.tenants.sample()
        self._minute = point if self._minute is None else stats.total((self._minute, point))
        if at + SAMPLE_MS == self._minute_at + times.MINUTE_MS:
            await self._store_minute()

    async def _store_minute(self) -> None:
        minute, self._minute = self._minute, None
        if minute is None:
            return
        try:
            await self.points.add(self.node, self._minute_at, minute, STORED_MS, self.tenants.busiest())
        except BellcastError as error:
            log.warning("stats_not_stored", reason=error.detail)
        if (self._minute_at + times.MINUTE_MS) % times.HOUR_MS == 0:
            self.tenants.clear()

    async def series(
        self, step: int, since: int, until: int, node: str | None, limit: int
    ) -> list[tuple[int, StatsPoint]]:
        """Return at most `limit` points by time. Points of 10 s cover only this node and the last hour."""
        if step == SAMPLE_MS:
            return [one for one in self._samples if since <= one[0] < until and node in (None, self.node)][:limit]
        return await self.points.page(step, since, until, node, limit)

    async def sends_today(self, tenants: Collection[str]) -> Mapping[str, int]:
        """Count the sends of tenants since midnight UTC: a send counts once with all of its recipients. Those of this process are
        up to date, those of others at most a minute old. Tenants of which nothing was counted are absent."""
        now = self.clock.now()
        day, hour = now - now % times.DAY_MS, now - now % times.HOUR_MS
        sends = await self.points.tenant_sends(tenants, day, day + times.DAY_MS, None, stats.MAX_DAY_ROWS)
        stored = await self.points.tenant_sends(tenants, hour, hour + times.HOUR_MS, self.node, 1)
        if sends is None or stored is None:
            return {}
        for tenant, number in self.tenants.sends_of(tenants).items():
            # The stored row of this hour contains the counts as of the process's last minute.
            sends[tenant] = sends.get(tenant, 0) + max(0, number - stored.get(tenant, 0))
        return sends
