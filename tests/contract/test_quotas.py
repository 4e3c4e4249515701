"""What a tenant may send holds for all nodes together: rates over every broker, budgets on every store."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bellcast.errors import TooMany
from bellcast.inbox.quotas import Quotas
from bellcast.model.events import Event, RateUsage
from bellcast.model.limits import Limits
from bellcast.model.token_bucket import TokenBuckets
from bellcast.ports import Broker
from bellcast.server.clock import SystemClock
from bellcast.shared_rates import SharedRates
from tests.contract.app import App
from tests.contract.test_broker import BETWEEN, BROKERS, WITHIN, until

DAY = 24 * 3600


@pytest.fixture(params=BETWEEN)
def between(request: pytest.FixtureRequest) -> Callable[[], Broker]:
    return BROKERS[request.param]


async def node(broker: Broker, heard: list[RateUsage]) -> SharedRates:
    rates = SharedRates(broker, SystemClock())

    def hear(event: Event) -> None:
        if isinstance(event, RateUsage):
            rates.receive(event)
            heard.append(event)

    broker.listen(hear)
    await broker.open()
    broker.follow(RateUsage("", {}).stream)
    return rates


async def test_what_is_taken_on_one_node_is_gone_on_the_other(between: Callable[[], Broker]) -> None:
    brokers, heard = (between(), between()), list[RateUsage]()
    one, other = await node(brokers[0], []), await node(brokers[1], heard)
    assert other.take("a", 10, 0) == 0
    async with asyncio.timeout(WITHIN):
        while not heard:  # the other node hears the first one by now
            one.take("hello", 1e9, 0)
            await one.publish_usage()
            await asyncio.sleep(0.01)
    while one.take("a", 10, 0) == 0:
        pass
    await one.publish_usage()
    await until(lambda: any("a" in spent.taken for spent in heard))  # some hello may still be on its way
    assert other.take("a", 10, 0) > 0
    for broker in brokers:
        await broker.close()


def quotas(app: App, rates: TokenBuckets | None = None, **limits: int) -> Quotas:
    return Quotas(app.store, rates or TokenBuckets(), Limits(**limits), app.clock)


def may(quotas: Quotas, tenant: str, times: int) -> int:
    """How often it may send one."""
    sent = 0
    for _ in range(times):
        try:
            quotas.take(tenant, 1)
        except TooMany:
            continue
        sent += 1
    return sent


async def test_who_has_no_bound_is_not_counted(app: App) -> None:
    assert may(quotas(app), "acme", 1_000) == 1_000


async def test_a_tenants_own_rate_goes_before_the_servers(app: App) -> None:
    for tenant, settings in (("acme", {"sends_per_second": 7}), ("free", {"sends_per_second": 0})):
        await app.store.recipients.put_tenant(tenant, None, settings, app.now)
    here = quotas(app, sends_per_second=3)
    await here.load()
    assert [may(here, tenant, 20) for tenant in ("acme", "free", "globex")] == [7, 20, 3]
    app.clock.advance(1)
    assert [may(here, tenant, 20) for tenant in ("acme", "globex")] == [7, 3]


async def test_a_days_budget_is_of_all_nodes_and_outlives_them(app: App) -> None:
    app.clock.advance(DAY - app.now // 1000 % DAY)  # midnight
    one, other = quotas(app, sends_per_day=10), quotas(app, sends_per_day=10)
    assert may(one, "acme", 6) == 6
    await one.save()
    assert may(other, "acme", 1) == 1
    await other.save()
    assert may(other, "acme", 20) == 3
    await other.save()
    assert may(one, "acme", 20) == 4  # it does not know yet
    await one.save()
    assert may(one, "acme", 20) == 0
    after_restart = quotas(app, sends_per_day=10)
    assert may(after_restart, "globex", 20) == 10
    await app.store.recipients.put_tenant("acme", None, {"sends_per_day": 15}, app.now)
    await after_restart.load()
    assert may(after_restart, "acme", 20) == 1
    app.clock.advance(DAY)
    assert may(one, "acme", 20) == 10


async def test_a_restarted_server_knows_what_was_sent_today(app: App) -> None:
    before = quotas(app, sends_per_day=10)
    assert may(before, "acme", 6) == 6
    await before.save()
    after = quotas(app, sends_per_day=10)
    await after.load()
    assert may(after, "acme", 20) == 4
    assert may(after, "globex", 20) == 10


async def test_a_server_without_budgets_reads_no_sums(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(app.store.recipients), "spent", None)
    await quotas(app).load()


async def test_a_refusal_for_the_day_says_when_the_next_begins(app: App) -> None:
    app.clock.advance(DAY - app.now // 1000 % DAY + 3600)  # one in the morning
    here = quotas(app, sends_per_day=1)
    here.take("acme", 1)
    with pytest.raises(TooMany) as refused:
        here.take("acme", 1)
    assert refused.value.retry_after == 23 * 3600 + 1


async def test_weights_reach_those_who_wait_at_the_store(app: App) -> None:
    await app.store.recipients.put_tenant("acme", None, {"weight": 4}, app.now)
    await quotas(app).load()
    engine: Any = app.store._engine  # type: ignore[attr-defined]  # behind the port
    waiting = engine._writer
    assert waiting._queue.weights == {"acme": 4.0}
