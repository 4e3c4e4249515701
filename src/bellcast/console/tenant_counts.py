"""Statistics per tenant of this process for the current hour."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from bellcast.console.types.live_feed import SIMPLE_FEED_KINDS, FeedKind, SimpleFeedKind
from bellcast.console.types.stats import COUNTERS, StatsPoint

# At times twice as many have counts, each of about 400 bytes.
MAX_COUNTED_TENANTS = 1_000
# Final states of messages.
ACCEPTED, FAILED = ("sent", "simulated"), ("failed", "bounced")


# The metrics of the simple kinds that have one.
METRICS: Mapping[str, str] = {"request": "requests", "send": "sends", "publish": "publishes"}


class TenantCounts:
    """Counts the feed's events by tenant. Beyond MAX_COUNTED_TENANTS tenants, the counts of the less busy half are dropped."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._open: Counter[str] = Counter()

    def count(self, kind: FeedKind, tenant: str, fields: Mapping[str, Any]) -> None:
        """Count one event."""
        if kind in SIMPLE_FEED_KINDS:
            self.count_simple(kind, tenant, 1)
        else:
            for metric in _metrics(kind, fields):
                self._of(tenant)[metric] += 1

    def count_simple(self, kind: SimpleFeedKind, tenant: str, number: int) -> None:
        """Count events of a simple kind. Must be called for every connection of the process, because open connections
        are counted as started minus ended."""
        if kind == "connect":
            self._open[tenant] += number
        elif kind == "disconnect":
            self._open[tenant] -= number
            if self._open[tenant] <= 0:
                del self._open[tenant]
        elif kind in METRICS:
            self._of(tenant)[METRICS[kind]] += number

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


def _metrics(kind: str, fields: Mapping[str, Any]) -> tuple[str, ...]:
    if kind == "refused":
        status = fields.get("status")
        if status is None:  # a connection or a topic
            return ("refusals",)
        return ("requests", "failures" if status >= 500 else "refusals")
    if kind == "attempt":
        state = fields.get("state")
        return ("deliveries",) if state in ACCEPTED else ("failures",) if state in FAILED else ()
    if kind == "run" and fields.get("state") == "failed":
        return ("failures",)
    return ()
