"""Rates of many nodes, with an in-memory broker and a fake clock."""

from collections.abc import AsyncIterator

import pytest
from benchmarks.node_network import NetworkNode

from bellcast.kernel.events import Event
from bellcast.live.cluster.members import BATCH_MS, SharedRates
from bellcast.live.types import RatesUsed, RateUsage
from tests.unit.live.test_members import TICK, Cluster

RATE = 20  # per second


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    started = Cluster()
    yield started
    await started.close()


def share_rates(node: NetworkNode) -> SharedRates:
    rates = SharedRates(node.clock)
    rates.share(node.hub.members)

    def receive(event: Event) -> None:
        if isinstance(event, RateUsage | RatesUsed):
            rates.receive(event)
        else:
            node.hub.dispatch(event)

    node.listen(receive)
    return rates


async def count_admitted(cluster: Cluster, rates: list[SharedRates], seconds: int) -> int:
    """Return how many requests the nodes admit together if each always has one more."""
    admitted = 0
    for _ in range(round(seconds / TICK)):
        for one in rates:
            while not one.take("sends", RATE, cluster.clock.now()):
                admitted += 1
        await cluster.pass_seconds(TICK)
    return admitted


async def test_rate_covers_all_nodes_and_again_8_seconds_after_the_keeper_was_killed(cluster: Cluster) -> None:
    nodes = await cluster.start(4)
    rates = [share_rates(node) for node in nodes]
    await count_admitted(cluster, rates, 5)  # the buckets are full at first
    assert await count_admitted(cluster, rates, 20) == pytest.approx(20 * RATE, rel=0.1)
    await nodes[0].kill()
    while_replaced = await count_admitted(cluster, rates[1:], 8)
    assert 8 * RATE * 1.1 < while_replaced <= 3 * 8 * RATE * 1.1  # each node the whole rate, at most
    await count_admitted(cluster, rates[1:], 2)  # until what was admitted since the last sum is deducted
    assert await count_admitted(cluster, rates[1:], 20) == pytest.approx(20 * RATE, rel=0.1)


async def test_unused_rates_send_nothing_and_used_ones_every_100_ms(cluster: Cluster) -> None:
    nodes = await cluster.start(2)
    rates = [share_rates(node) for node in nodes]
    await cluster.pass_seconds(10)
    assert cluster.published["used"] == 0
    for _ in range(100):
        for one in rates:
            one.take("sends", RATE, cluster.clock.now())
        cluster.fake_clock.advance(BATCH_MS / 1000)
        await cluster.settle()
    assert 30 <= cluster.published["used"] <= 51
    assert 30 <= cluster.published["rates"] <= 51
