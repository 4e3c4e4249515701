"""Metrics over time: samples, stored minutes, and values of an interval."""

from collections.abc import Collection, Mapping

import pytest

from bellcast.console import types as stats
from bellcast.console.stats import MAX_COUNTED_TENANTS, MAX_SAMPLES, StatsRecorder, TenantCounts
from bellcast.console.types import SAMPLE_MS, StatsPoint
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.times import HOUR_MS, MINUTE_MS
from bellcast.live_feed import FeedEvent, FeedKind
from tests.clock import FakeClock

DAY = 24 * 60 * MINUTE_MS
# Midnight.
NOW = 20_000 * DAY


class Recorded:
    """A recorder and the minutes that it stored. Each reading of its counters returns one request more."""

    def __init__(self, now: int = NOW) -> None:
        self.clock = FakeClock(now)
        self.stored: list[tuple[int, StatsPoint]] = []
        self.is_available = True
        self.readings = 0
        self.tenants = TenantCounts()
        self.hours: dict[int, Mapping[str, StatsPoint]] = {}
        self.recorder = StatsRecorder(self, self.clock, "node", self.measure, self.tenants)

    async def measure(self) -> StatsPoint:
        self.readings += 1
        return StatsPoint(connections=2, requests=self.readings, queue_age=self.readings)

    async def add(
        self, node: str, at: int, point: StatsPoint, keep: Mapping[int, int], tenants: Mapping[str, StatsPoint]
    ) -> None:
        if not self.is_available:
            raise Unavailable("The store does not respond.")
        self.stored.append((at, point))
        self.hours[at // HOUR_MS] = tenants

    async def page(
        self, step: int, since: int, until: int, node: str | None, limit: int
    ) -> list[tuple[int, StatsPoint]]:
        return []

    async def tenant_page(
        self, tenant: str, since: int, until: int, node: str | None, limit: int
    ) -> list[tuple[int, StatsPoint]] | None:
        return None

    async def tenant_sends(
        self, tenants: Collection[str], since: int, until: int, node: str | None, limit: int
    ) -> dict[str, int] | None:
        return dict.fromkeys(tenants, 5) if self.is_available else None

    async def sample(self, count: int, seconds: float = 10) -> None:
        for _ in range(count):
            self.clock.advance(seconds)
            await self.recorder.sample()


async def test_six_samples_are_stored_as_a_minute() -> None:
    recorded = Recorded()
    await recorded.sample(5)
    assert recorded.stored == []
    await recorded.sample(7)
    minute = StatsPoint(connections=12, requests=6, queue_age=6)
    assert recorded.stored == [(NOW, minute), (NOW + MINUTE_MS, StatsPoint(connections=12, requests=6, queue_age=12))]


async def test_recent_samples_are_in_memory_for_an_hour() -> None:
    recorded = Recorded()
    await recorded.sample(MAX_SAMPLES + 3)
    points = await recorded.recorder.series(SAMPLE_MS, 0, NOW + DAY, None, 9_999)
    assert [at for at, _ in points] == [NOW + number * SAMPLE_MS for number in range(3, MAX_SAMPLES + 3)]
    assert {point.requests for _, point in points} == {1}
    assert await recorded.recorder.series(SAMPLE_MS, 0, NOW + DAY, "another", 9_999) == []


async def test_late_samples_belong_to_the_interval_before_them() -> None:
    recorded = Recorded()
    await recorded.sample(5)
    await recorded.sample(1, seconds=90)  # busy over the end of the minute
    assert recorded.stored == [(NOW, StatsPoint(connections=10, requests=5, queue_age=5))]


async def test_timer_that_fires_early_adds_no_second_sample() -> None:
    recorded = Recorded()
    await recorded.sample(1, seconds=9.999)
    await recorded.sample(1, seconds=0.001)
    assert recorded.readings == 1
    assert [at for at, _ in await recorded.recorder.series(SAMPLE_MS, 0, NOW + DAY, "node", 9)] == [NOW]


async def test_minute_that_cannot_be_stored_is_lost_and_the_next_one_is_stored() -> None:
    recorded = Recorded()
    recorded.is_available = False
    await recorded.sample(6)
    recorded.is_available = True
    await recorded.sample(6)
    assert [at for at, _ in recorded.stored] == [NOW + MINUTE_MS]


@pytest.mark.parametrize(
    ("step", "age", "samples"),
    [
        (SAMPLE_MS, 5_000, 1),
        (MINUTE_MS, 10 * MINUTE_MS, 6),
        (15 * MINUTE_MS, 15 * MINUTE_MS, 90),
        # the last interval is in progress
        (15 * MINUTE_MS, 2 * MINUTE_MS + 59_999, 12),
        (DAY, 0, 6),
    ],
)
def test_connections_are_averaged_over_the_part_of_the_interval_that_has_passed(
    step: int, age: int, samples: int
) -> None:
    assert stats.samples(step, NOW, NOW + age) == samples


def test_node_and_its_successor_do_not_count_twice() -> None:
    halves = [StatsPoint(connections=100 * 45), StatsPoint(connections=100 * 45)]
    samples = stats.samples(15 * MINUTE_MS, NOW, NOW + DAY)
    assert stats.value(stats.total(halves), "connections", (), samples) == 100


@pytest.mark.parametrize(
    ("durations", "p50", "p95"),
    [((), None, None), ((1,), 10, 10), ((90, 9, 1), 10, 100), ((0, 0, 5), 100, 100), ((50, 0, 0, 50), 10, 100)],
)
def test_latency_is_the_upper_bound_of_a_bucket(
    durations: tuple[int, ...], p50: float | None, p95: float | None
) -> None:
    point = StatsPoint(durations=durations)
    found = [stats.value(point, name, (0.01, 0.1, 0.1), 1) for name in ("latency_p50", "latency_p95")]
    assert found == [p50, p95]


def count(tenants: TenantCounts, event: FeedEvent) -> None:
    tenants.count(event.kind, event.tenant, fields=event.fields)


def event(kind: FeedKind, tenant: str = "acme", **fields: object) -> FeedEvent:
    return FeedEvent(kind=kind, at=NOW, text="", tenant=tenant, fields=fields)


async def test_events_are_counted_by_tenant_and_hour() -> None:
    recorded = Recorded()
    for one in (
        event("send"),
        event("publish"),
        event("request", status=201),
        event("refused", status=422),
        event("refused", status=503),
        event("refused", reason="no_token"),
        event("attempt", state="sent"),
        event("attempt", state="simulated"),
        event("attempt", state="queued"),
        event("attempt", state="bounced"),
        event("run", state="failed"),
        event("run", state="completed"),
        event("connect"),
        event("connect", "globex"),
        event("disconnect", "globex"),
    ):
        count(recorded.tenants, one)
    recorded.tenants.count("start", "acme", 2)
    await recorded.sample(HOUR_MS // SAMPLE_MS)
    acme = StatsPoint(connections=360, requests=3, refusals=2, failures=3, sends=1, runs=2, publishes=1, deliveries=1)
    assert recorded.hours[NOW // HOUR_MS] == {"acme": acme}
    count(recorded.tenants, event("send"))  # in the first seconds of the next hour
    await recorded.sample(6)
    assert recorded.hours[NOW // HOUR_MS + 1] == {"acme": StatsPoint(connections=6, sends=1)}


async def test_hour_without_its_last_minute_does_not_count_in_the_next() -> None:
    recorded = Recorded()
    count(recorded.tenants, event("send"))
    await recorded.sample(6)
    await recorded.sample(6, seconds=3700)
    assert [list(tenants) for tenants in recorded.hours.values()][-1] == []


def test_counted_tenants_are_bounded_and_the_busiest_are_kept() -> None:
    counts = TenantCounts()
    for number in range(5 * MAX_COUNTED_TENANTS):
        count(counts, event("send", f"t{number}"))
        count(counts, event("send", "busy"))
    assert len(counts.busiest()) == MAX_COUNTED_TENANTS
    assert next(iter(counts.busiest().items())) == ("busy", StatsPoint(sends=5 * MAX_COUNTED_TENANTS))


async def test_sends_of_today_have_those_that_are_not_stored_yet() -> None:
    recorded = Recorded()
    recorded.tenants.count("send", "acme", 8)
    recorded.tenants.count("send", "zoo", 1)
    # 5 sends of each tenant are stored, all of them by this node in this hour; for `zoo`, it has started counting again.
    assert await recorded.recorder.sends_today(["acme", "zoo", "idle"]) == {"acme": 8, "zoo": 5, "idle": 5}
    recorded.is_available = False
    assert await recorded.recorder.sends_today(["acme"]) == {}
