"""Statistics of the nodes over time, on every engine."""

from bellcast.console.types import MAX_TENANTS, STORED_MS, TENANTS_KEPT_MS, StatsPoint
from bellcast.kernel.times import HOUR_MS, MINUTE_MS
from tests.store import Store

DAY = 24 * 60 * MINUTE_MS
QUARTER = 15 * MINUTE_MS
# Midnight.
NOW = 20_000 * DAY
KEEP = {MINUTE_MS: 10 * MINUTE_MS, QUARTER: DAY}


async def test_minutes_of_a_node_add_up_in_each_step(store: Store) -> None:
    first = StatsPoint(connections=6, requests=2, queue_age=70, durations=(1, 1))
    second = StatsPoint(connections=12, failures=1, queue_age=5, durations=(0, 0, 3))
    for minute, point in enumerate((first, second)):
        await store.stats.add("a", NOW + minute * MINUTE_MS, point, STORED_MS, {})
    both = StatsPoint(connections=18, requests=2, failures=1, queue_age=70, durations=(1, 1, 3))
    pages = {step: await store.stats.page(step, NOW, NOW + DAY, None, 10) for step in STORED_MS}
    assert pages == {
        MINUTE_MS: [(NOW, first), (NOW + MINUTE_MS, second)],
        QUARTER: [(NOW, both)],
        DAY: [(NOW, both)],
    }


async def test_nodes_have_their_own_points_in_the_same_interval(store: Store) -> None:
    for node, sends in (("a", 1), ("b", 2)):
        await store.stats.add(node, NOW, StatsPoint(sends=sends), KEEP, {})
    assert await store.stats.page(QUARTER, NOW, NOW + 1, None, 10) == [
        (NOW, StatsPoint(sends=1)),
        (NOW, StatsPoint(sends=2)),
    ]
    assert await store.stats.page(QUARTER, NOW, NOW + 1, "b", 10) == [(NOW, StatsPoint(sends=2))]
    assert len(await store.stats.page(QUARTER, NOW, NOW + 1, None, 1)) == 1
    assert await store.stats.page(QUARTER, NOW + 1, NOW + DAY, None, 10) == []
    assert await store.stats.page(QUARTER, NOW - DAY, NOW, None, 10) == []


async def test_old_points_of_all_nodes_are_deleted_by_step(store: Store) -> None:
    for minute in range(12):
        await store.stats.add("ended", NOW + minute * MINUTE_MS, StatsPoint(sends=1), KEEP, {})
    await store.stats.add("other", NOW + 20 * MINUTE_MS, StatsPoint(sends=1), KEEP, {})
    rows = await store.stats.page(MINUTE_MS, 0, NOW + DAY, None, 99)
    assert [at for at, _ in rows] == [NOW + minute * MINUTE_MS for minute in (10, 11, 20)]
    assert [point.sends for _, point in await store.stats.page(QUARTER, 0, NOW + DAY, None, 99)] == [12, 1]


async def test_hours_of_a_tenant_are_those_of_all_nodes(store: Store) -> None:
    for minute, sends in ((0, 1), (1, 5)):
        tenants = {"acme": StatsPoint(sends=sends, connections=6), "": StatsPoint(requests=2)}
        await store.stats.add("a", NOW + minute * MINUTE_MS, StatsPoint(), KEEP, tenants)
    await store.stats.add("b", NOW + HOUR_MS, StatsPoint(), KEEP, {"acme": StatsPoint(failures=1)})
    acme = [(NOW, StatsPoint(sends=5, connections=6)), (NOW + HOUR_MS, StatsPoint(failures=1))]
    assert await store.stats.tenant_page("acme", NOW, NOW + 3 * DAY, None, 9) == acme
    assert await store.stats.tenant_page("acme", NOW, NOW + DAY, "b", 9) == acme[1:]
    assert await store.stats.tenant_page("", NOW, NOW + DAY, None, 9) == [(NOW, StatsPoint(requests=2))]
    assert await store.stats.tenant_page("globex", NOW, NOW + DAY, None, 9) == []
    assert await store.stats.tenant_page("acme", NOW, NOW + DAY, None, 1) is None


async def test_sends_of_tenants_are_counted_over_hours_and_nodes(store: Store) -> None:
    for node, hour, tenants in (("a", 0, {"acme": 5, "zoo": 1}), ("a", 1, {"acme": 2}), ("b", 1, {"acme": 1, "": 9})):
        points = {tenant: StatsPoint(sends=sends) for tenant, sends in tenants.items()}
        await store.stats.add(node, NOW + hour * HOUR_MS, StatsPoint(), KEEP, points)
    some = ("acme", "", "absent")
    assert await store.stats.tenant_sends(some, NOW, NOW + DAY, None, 3) == {"acme": 8, "": 9}
    assert await store.stats.tenant_sends(some, NOW, NOW + DAY, "a", 3) == {"acme": 7}
    assert await store.stats.tenant_sends(some, NOW + HOUR_MS, NOW + DAY, None, 3) == {"acme": 3, "": 9}
    assert await store.stats.tenant_sends(some, NOW - DAY, NOW, None, 3) == {}
    assert await store.stats.tenant_sends(some, NOW, NOW + DAY, None, 2) is None


async def test_row_of_tenants_is_bounded_and_has_the_busiest(store: Store) -> None:
    busy = StatsPoint(connections=10**9, **dict.fromkeys(("requests", "sends", "publishes"), 10**9))
    for key, stored in (("t{}", MAX_TENANTS), ("t{}" + "\N{BELL}" * 60, 25)):
        await store.stats.add("a", NOW, StatsPoint(), KEEP, {key.format(number): busy for number in range(200)})
        found = [await store.stats.tenant_page(key.format(number), NOW, NOW + DAY, None, 9) for number in range(200)]
        assert [bool(rows) for rows in found].index(False) == stored


async def test_hours_of_tenants_are_deleted_after_thirty_days(store: Store) -> None:
    for at in (NOW, NOW + TENANTS_KEPT_MS, NOW + TENANTS_KEPT_MS + HOUR_MS):
        await store.stats.add("a", at, StatsPoint(), KEEP, {"acme": StatsPoint(sends=1)})
    found = await store.stats.tenant_page("acme", NOW, NOW + 2 * TENANTS_KEPT_MS, None, 9)
    assert found is not None
    assert [at for at, _ in found] == [NOW + TENANTS_KEPT_MS, NOW + TENANTS_KEPT_MS + HOUR_MS]
