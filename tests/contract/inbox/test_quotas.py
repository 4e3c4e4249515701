"""Send quotas of a tenant apply across all nodes: rates over every broker, budgets on every store."""

import asyncio
from collections.abc import Callable
from itertools import count

import pytest

from bellcast.inbox.quotas import Quotas
from bellcast.kernel.brokers import Broker, MemoryBroker
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.errors import TooMany
from bellcast.kernel.events import Event
from bellcast.kernel.limits import Limits
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.live.cluster.members import SYNC_INTERVAL_MS, Members, SharedRates
from bellcast.live.types import BEATS, MEMBERS, RatesUsed, RateUsage
from tests.contract.app import App, engine_of
from tests.contract.kernel.test_broker import BROKERS, REMOTE_BROKERS, TIMEOUT

DAY = 24 * 3600


@pytest.fixture(params=REMOTE_BROKERS)
def make_broker(request: pytest.FixtureRequest) -> Callable[[], Broker]:
    return BROKERS[request.param]


async def start_node(broker: Broker, *, is_keeper: bool) -> tuple[SharedRates, Members]:
    clock = SystemClock()
    rates = SharedRates(clock)
    members = Members(broker, clock, lambda: 0, lambda: None, clock)
    members.parts.clear()  # no beats: the keeper stays the same
    rates.share(members)
    members.note("other")
    members.keeper = members.id if is_keeper else "other"

    def receive(event: Event) -> None:
        if isinstance(event, RateUsage | RatesUsed):
            rates.receive(event)

    broker.listen(receive)
    await broker.open()
    for stream in (BEATS, MEMBERS) if is_keeper else (MEMBERS,):
        broker.follow(stream)
    return rates, members


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_rate_used_on_one_node_is_deducted_on_the_others(make_broker: Callable[[], Broker], number: int) -> None:
    brokers = [make_broker() for _ in range(3)]
    nodes = [await start_node(broker, is_keeper=broker is brokers[0]) for broker in brokers]
    tasks = [asyncio.ensure_future(members.run()) for _, members in nodes]
    user, others = nodes[number][0], [rates for rates, _ in nodes if rates is not nodes[number][0]]
    async with asyncio.timeout(TIMEOUT):
        for round in count():  # until all nodes follow
            assert [rates.take(f"a{round}", 10, 0) for rates, _ in nodes] == [0, 0, 0]
            while user.take(f"a{round}", 10, 0) == 0:
                pass
            await asyncio.sleep(5 * SYNC_INTERVAL_MS / 1000)
            if all(rates.take(f"a{round}", 10, 0) > 0 for rates in others):
                break
    for task in tasks:
        task.cancel()
    for broker in brokers:
        await broker.close()


async def test_unused_rates_send_nothing() -> None:
    published: list[Event] = []
    broker = MemoryBroker()
    rates, members = await start_node(broker, is_keeper=True)
    broker.listen(published.append)
    await members.send()
    assert published == []
    rates.take("a", 10, 0)
    rates.deduct("a", -1)
    await members.send()
    assert published == []


async def test_former_keeper_forgets_what_it_has_received() -> None:
    published: list[Event] = []
    broker = MemoryBroker()
    rates, members = await start_node(broker, is_keeper=True)
    broker.listen(published.append)
    rates.receive(RateUsage("other", {"a": 5}))
    for keeper in ("other", members.id):
        members.keeper = keeper
        rates._sent_at = 0
        await members.send()
    assert published == []


def quotas(app: App, rates: TokenBuckets | None = None, **limits: int) -> Quotas:
    return Quotas(app.store, rates or TokenBuckets(), Limits(**limits), app.clock)


def count_allowed(quotas: Quotas, tenant: str, times: int) -> int:
    """Return how many of `times` sends are allowed."""
    sent = 0
    for _ in range(times):
        try:
            quotas.take(tenant, 1)
        except TooMany:
            continue
        sent += 1
    return sent


async def test_unlimited_tenant_is_not_counted(app: App) -> None:
    assert count_allowed(quotas(app), "acme", 1_000) == 1_000


async def test_tenants_rate_overrides_the_servers(app: App) -> None:
    for tenant, settings in (("acme", {"sends_per_second": 7}), ("free", {"sends_per_second": 0})):
        await app.store.tenants.put(tenant, None, settings, app.now)
    node_quotas = quotas(app, sends_per_second=3)
    await node_quotas.load()
    assert [count_allowed(node_quotas, tenant, 20) for tenant in ("acme", "free", "globex")] == [7, 20, 3]
    app.clock.advance(1)
    assert [count_allowed(node_quotas, tenant, 20) for tenant in ("acme", "globex")] == [7, 3]


async def test_daily_budget_is_shared_by_nodes_and_survives_a_restart(app: App) -> None:
    app.clock.advance(DAY - app.now // 1000 % DAY)  # midnight
    first, second = quotas(app, sends_per_day=10), quotas(app, sends_per_day=10)
    assert count_allowed(first, "acme", 6) == 6
    await first.save()
    assert count_allowed(second, "acme", 1) == 1
    await second.save()
    assert count_allowed(second, "acme", 20) == 3
    await second.save()
    assert count_allowed(first, "acme", 20) == 4  # not synchronized yet
    await first.save()
    assert count_allowed(first, "acme", 20) == 0
    after_restart = quotas(app, sends_per_day=10)
    assert count_allowed(after_restart, "globex", 20) == 10
    await app.store.tenants.put("acme", None, {"sends_per_day": 15}, app.now)
    await after_restart.load()
    assert count_allowed(after_restart, "acme", 20) == 1
    app.clock.advance(DAY)
    assert count_allowed(first, "acme", 20) == 10


async def test_restarted_server_loads_the_usage_of_the_day(app: App) -> None:
    before = quotas(app, sends_per_day=10)
    assert count_allowed(before, "acme", 6) == 6
    await before.save()
    after = quotas(app, sends_per_day=10)
    await after.load()
    assert count_allowed(after, "acme", 20) == 4
    assert count_allowed(after, "globex", 20) == 10


async def test_server_without_budgets_reads_no_usage(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(app.store.tenants), "usage", None)
    await quotas(app).load()


async def test_refusal_of_the_day_has_the_time_until_midnight(app: App) -> None:
    app.clock.advance(DAY - app.now // 1000 % DAY + 3600)  # one in the morning
    node_quotas = quotas(app, sends_per_day=1)
    node_quotas.take("acme", 1)
    with pytest.raises(TooMany) as refused:
        node_quotas.take("acme", 1)
    assert refused.value.retry_after == 23 * 3600 + 1


async def test_weights_reach_the_writer_queue(app: App) -> None:
    await app.store.tenants.put("acme", None, {"weight": 4}, app.now)
    await quotas(app).load()
    writer = engine_of(app.store)._writer
    assert writer._queue.weights == {"acme": 4.0}
