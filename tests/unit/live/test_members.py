"""Beats, lists and keepers, of many nodes with an in-memory broker and a fake clock."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest
from benchmarks.node_network import NetworkNode, NodeNetwork

from bellcast.kernel.brokers.remote import kind_of
from bellcast.live.types import NodeBeat, NodeLeft, NodeList
from tests.clock import FakeClock

TICK = 0.25
NODE_BEAT, NODE_LIST = kind_of(NodeBeat("", 0, None)), kind_of(NodeList("", {}))


class Cluster(NodeNetwork):
    """Nodes whose ids are random, unless a test replaces them. `start` returns them in the order of their ids."""

    def __init__(self) -> None:
        self.fake_clock = FakeClock()
        super().__init__(self.fake_clock)
        self.dropped: list[tuple[str, str]] = []  # by, and which

    async def start(self, number: int) -> list[NetworkNode]:
        for _ in range(number):
            node = self.add()
            node.hub.members.dropped.append(lambda id, _, by=node.id: self.dropped.append((by, id)))
        await self.pass_seconds(4)
        return sorted(self.nodes, key=lambda node: node.id)

    async def pass_seconds(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.fake_clock.advance(TICK)
            await self.settle()

    @property
    def keepers(self) -> list[NetworkNode]:
        return [node for node in self.nodes if node.hub.members.is_keeper]

    def is_complete(self) -> bool:
        ids = {node.id for node in self.nodes}
        return all(node.hub.members.others.keys() == ids - {node.id} for node in self.nodes)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    started = Cluster()
    yield started
    await started.close()


async def test_nodes_that_start_together_know_each_other(cluster: Cluster) -> None:
    first, *_ = await cluster.start(5)
    assert cluster.is_complete()
    assert cluster.keepers == [first]
    assert cluster.dropped == []
    assert cluster.published["members"] <= 3  # of one keeper


async def test_heartbeats_of_50_nodes_are_at_most_3000_messages_a_minute(cluster: Cluster) -> None:
    await cluster.start(50)
    cluster.published.clear()
    cluster.delivered.clear()
    cluster.batches = 0
    await cluster.pass_seconds(60)
    assert cluster.is_complete()
    assert cluster.batches == cluster.published.total()  # a turn without messages does not wake the broker
    assert set(cluster.delivered) == {"beat", "members"}
    assert cluster.published.total() <= 1_500 + 10
    assert cluster.delivered.total() <= 3_000


async def test_beats_are_sent_when_the_list_arrives(cluster: Cluster) -> None:
    """The keeper reads those of all nodes together, although the nodes started at different times."""
    for _ in range(8):
        await cluster.start(1)
        await cluster.pass_seconds(TICK)
    beats, lists = Counter[bool](), [0]  # by whether a list was sent just before
    for _ in range(round(60 / TICK)):
        cluster.published.clear()
        await cluster.pass_seconds(TICK)
        lists.append(cluster.published[NODE_LIST])
        beats[sum(lists[-2:]) > 0] += cluster.published[NODE_BEAT]
    assert beats[True] > 10 * beats[False]


async def test_new_node_is_known_to_all_at_once(cluster: Cluster) -> None:
    await cluster.start(3)
    cluster.add()
    await cluster.pass_seconds(TICK)
    assert cluster.is_complete()


@pytest.mark.parametrize("number", [1, 8], ids=["alone", "with the next ones"])
async def test_killed_keeper_is_replaced_within_8_seconds_and_no_live_node_is_dead(
    cluster: Cluster, number: int
) -> None:
    nodes = await cluster.start(12)
    killed, left = nodes[:number], nodes[number:]
    for node in killed:
        await node.kill()
    await cluster.pass_seconds(8)
    assert cluster.keepers == left[:1]
    await cluster.pass_seconds(30)
    assert {id for _, id in cluster.dropped} == {node.id for node in killed}
    assert cluster.is_complete()


async def test_keeper_that_stops_is_replaced_at_once(cluster: Cluster) -> None:
    keeper, second, *_ = await cluster.start(3)
    await keeper.publish(NodeLeft(keeper.id))
    await keeper.kill()
    await cluster.pass_seconds(2)
    assert cluster.keepers == [second]
    assert cluster.is_complete()


@pytest.mark.parametrize("waited", range(8))  # in other turns between two beats
@pytest.mark.parametrize("with_keeper", [False, True], ids=["alone", "with the keeper"])
async def test_killed_node_is_dead_within_9_5_seconds(cluster: Cluster, with_keeper: bool, waited: int) -> None:
    keeper, node, *_ = await cluster.start(4)
    await cluster.pass_seconds(waited * TICK)
    for one in (keeper, node) if with_keeper else (node,):
        await one.kill()
    await cluster.pass_seconds(6.5)
    assert cluster.dropped == []
    await cluster.pass_seconds(3)
    assert cluster.is_complete()
    assert len(cluster.dropped) == len(set(cluster.dropped))


@pytest.mark.parametrize("number", [0, 2], ids=["keeper", "another node"])
async def test_node_busy_for_six_seconds_is_not_dead(cluster: Cluster, number: int) -> None:
    nodes = await cluster.start(4)
    for _ in range(8):  # at other times between two beats
        nodes[number].suspend()
        await cluster.pass_seconds(6)
        nodes[number].resume()
        await cluster.pass_seconds(5.25)
    assert cluster.dropped == []
    assert cluster.is_complete()


@pytest.mark.parametrize("number", [0, 2], ids=["keeper", "another node"])
async def test_cut_node_drops_none_and_returns(cluster: Cluster, number: int) -> None:
    nodes = await cluster.start(4)
    cut = nodes[number]
    await cut.set_cut(True)
    await cluster.pass_seconds(40)
    assert {id for _, id in cluster.dropped} == {cut.id}
    assert not [id for by, id in cluster.dropped if by == cut.id]
    await cut.set_cut(False)
    await cluster.pass_seconds(4)
    assert cluster.is_complete()
    assert len(cluster.keepers) == 1
    assert {id for _, id in cluster.dropped} == {cut.id}


@pytest.mark.parametrize("step", [10_800_000, -10_800_000])
@pytest.mark.parametrize("number", [1, 3], ids=["of the keeper", "of all"])
async def test_step_of_the_system_time_ends_no_live_node_and_hides_no_dead_one(
    cluster: Cluster, number: int, step: int
) -> None:
    nodes = await cluster.start(3)
    for node in nodes[:number]:
        node.step_ms = step
    await cluster.pass_seconds(20)
    assert cluster.dropped == []
    assert cluster.is_complete()
    reported_at = [at for at, _ in nodes[0].hub.members.reports.values()]
    assert len(reported_at) == 3
    assert max(abs(at - step - cluster.fake_clock.now()) for at in reported_at) < 5_000
    await nodes[2].kill()
    await cluster.pass_seconds(10)
    assert {id for _, id in cluster.dropped} == {nodes[2].id}


async def test_list_of_a_new_keeper_that_does_not_know_a_node_yet_ends_it_for_no_other(cluster: Cluster) -> None:
    _, second, third = await cluster.start(3)
    new = "0" * 16
    second.hub.members.receive(NodeList(new, {new: 0, second.id: 0}))
    assert third.id in second.hub.members.others


async def test_two_keepers_become_one(cluster: Cluster) -> None:
    nodes = await cluster.start(4)
    for node in nodes[2:]:
        await node.set_cut(True)  # they cannot hear each other either
    await cluster.pass_seconds(9)
    assert len(cluster.keepers) == 3
    for node in nodes[2:]:
        await node.set_cut(False)
    await cluster.pass_seconds(4)
    assert cluster.keepers == [nodes[0]]
    assert cluster.is_complete()


async def test_new_keeper_waits_for_nodes_that_were_busy_as_it_was(cluster: Cluster) -> None:
    keeper, second, *others = await cluster.start(5)
    await keeper.kill()
    await cluster.pass_seconds(5.5)
    for node in (second, *others):
        node.suspend()
    await cluster.pass_seconds(4.25)  # the last list is as old as the timeout of a node
    second.resume()
    await cluster.pass_seconds(0.75)
    assert second.hub.members.is_keeper
    for node in others:
        node.resume()
    await cluster.pass_seconds(20)
    assert {id for _, id in cluster.dropped} == {keeper.id}
    assert cluster.keepers == [second]


@pytest.mark.parametrize("is_turn_first", [True, False], ids=["before the messages", "after them"])
async def test_suspended_keeper_drops_none_when_it_continues(cluster: Cluster, is_turn_first: bool) -> None:
    keeper, *_ = await cluster.start(3)
    keeper.suspend()
    await cluster.pass_seconds(30)
    assert {id for _, id in cluster.dropped} == {keeper.id}
    if is_turn_first:
        keeper.clock.runs.set()
        await cluster.settle()
    keeper.resume()
    await cluster.pass_seconds(20)
    assert cluster.is_complete()
    assert len(cluster.keepers) == 1
    assert keeper.id not in {by for by, _ in cluster.dropped}
