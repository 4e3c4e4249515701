"""Samples the counters of this process every 10 s, and stores a point per minute. Counting events costs nothing
extra."""

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping

import structlog

from bellcast.console.store import StatsPoints
from bellcast.console.tenant_counts import TenantCounts
from bellcast.console.types import stats
from bellcast.console.types.stats import HOUR_MS, KEPT_MS, MINUTE_MS, SAMPLE_MS, STORED_MS, StatsPoint
from bellcast.kernel import times
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError

log = structlog.get_logger(__name__)

# Samples kept: one hour.
MAX_SAMPLES = KEPT_MS[SAMPLE_MS] // SAMPLE_MS


class StatsRecorder:
    """The statistics of this process, and those of the nodes. `measure` reads the counters since the start, and the current connections
    and queue age."""

    def __init__(
        self,
        points: StatsPoints,
        clock: Clock,
        node: str,
        measure: Callable[[], Awaitable[StatsPoint]],
        tenants: TenantCounts,
    ) -> None:
        self._points = points
        self._clock = clock
        self._node = node
        self._measure = measure
        self._tenants = tenants
        self._samples: deque[tuple[int, StatsPoint]] = deque(maxlen=MAX_SAMPLES)
        self._minute: StatsPoint | None = None
        self._minute_at = 0
        self._before = StatsPoint()

    def queue_age(self) -> int | None:
        """Return the queue age at the last sample, in milliseconds."""
        return self._samples[-1][1].queue_age if self._samples else None

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await self._clock.sleep((SAMPLE_MS - self._clock.now() % SAMPLE_MS) / 1000)
            await self.sample()

    async def sample(self) -> None:
        """Add the interval that ends now. A minute is stored with its last sample or, if the process was busy, with the
        first sample after it. A minute that cannot be stored is dropped, so that memory is bounded."""
        # A timer may fire a few milliseconds early.
        at = (self._clock.now() + SAMPLE_MS // 2) // SAMPLE_MS * SAMPLE_MS - SAMPLE_MS
        if self._samples and at <= self._samples[-1][0] < at + MINUTE_MS:
            return  # ignore the second firing of such a timer, but continue after a larger step of the clock backwards
        measured = await self._measure()
        point, self._before = stats.difference(measured, self._before), measured
        self._samples.append((at, point))
        if at - at % MINUTE_MS != self._minute_at:
            await self._store_minute()
            if self._minute_at and at // HOUR_MS > (self._minute_at + MINUTE_MS) // HOUR_MS:
                self._tenants.clear()  # the hour without its last minute
            self._minute_at = at - at % MINUTE_MS
        self._tenants.sample()
        self._minute = point if self._minute is None else stats.total((self._minute, point))
        if at + SAMPLE_MS == self._minute_at + MINUTE_MS:
            await self._store_minute()

    async def _store_minute(self) -> None:
        minute, self._minute = self._minute, None
        if minute is None:
            return
        try:
            await self._points.add(self._node, self._minute_at, minute, STORED_MS, self._tenants.busiest())
        except BellcastError as error:
            log.warning("stats_not_stored", reason=error.detail)
        if (self._minute_at + MINUTE_MS) % HOUR_MS == 0:
            self._tenants.clear()

    async def series(
        self, step: int, since: int, until: int, node: str | None, limit: int
    ) -> list[tuple[int, StatsPoint]]:
        """Return at most `limit` points by time. Points of 10 s cover only this node and the last hour."""
        if step == SAMPLE_MS:
            return [one for one in self._samples if since <= one[0] < until and node in (None, self._node)][:limit]
        return await self._points.page(step, since, until, node, limit)

    async def tenant_series(
        self, tenant: str, since: int, until: int, node: str | None, limit: int
    ) -> list[tuple[int, StatsPoint]] | None:
        """Return the hours of a tenant by time; None if `limit` is too small for a day of all nodes."""
        return await self._points.tenant_page(tenant, since, until, node, limit)

    async def sends_today(self, tenants: Collection[str]) -> Mapping[str, int]:
        """Count the sends of tenants since midnight UTC: a send counts once with all of its recipients. Those of this process are
        up to date, those of others at most a minute old. Tenants of which nothing was counted are absent."""
        now = self._clock.now()
        day, hour = now - now % times.DAY_MS, now - now % HOUR_MS
        sends = await self._points.tenant_sends(tenants, day, day + times.DAY_MS, None, stats.MAX_DAY_ROWS)
        stored = await self._points.tenant_sends(tenants, hour, hour + HOUR_MS, self._node, 1)
        if sends is None or stored is None:
            return {}
        for tenant, number in self._tenants.sends_of(tenants).items():
            # The stored row of this hour contains the counts as of the process's last minute.
            sends[tenant] = sends.get(tenant, 0) + max(0, number - stored.get(tenant, 0))
        return sends
