"""Guardians of many nodes, which report the ends of what a dead node held, with an in-memory broker and a fake clock."""

from collections.abc import AsyncIterator

import pytest
from benchmarks.node_network import NetworkNode

from bellcast.kernel.events import Stream, node_stream
from bellcast.live.cluster.guardians import Holder
from bellcast.live.types import Holdings, NodeLeft
from tests.unit.live.test_groups import losing
from tests.unit.live.test_members import Cluster


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    started = Cluster()
    yield started
    await started.close()


def held(cluster: Cluster) -> list[tuple[str, str]]:
    """Return the list to which the guardians of all nodes add the ends that they report, with their ids."""
    reported: list[tuple[str, str]] = []
    for node in cluster.nodes:
        node.hub.guardians.holders["end"] = Holder(
            lambda name, _, by=node.id: reported.append((by, name)), lambda _: None
        )
    return reported


def add_last(cluster: Cluster) -> NetworkNode:
    """Add a node that is the first guardian of the one that had the highest id."""
    node = cluster.add()
    node.hub.members.id = "f" * 16
    return node


def release_when_reported(node: NetworkNode) -> None:
    """Let a guardian release what it reports, as `DisconnectCalls` does."""
    guardians = node.hub.guardians
    reporting = guardians.holders["end"]

    def end(name: str, payload: bytes) -> None:
        reporting.end(name, payload)
        guardians.release("end", name)

    guardians.holders["end"] = reporting._replace(end=end)


@pytest.mark.parametrize("dying", [1, 2], ids=["it alone", "its guardian too"])
async def test_guardian_reports_the_ends_of_a_killed_node_once(cluster: Cluster, dying: int) -> None:
    nodes = await cluster.start(5)
    reported = held(cluster)
    nodes[1].hub.guardians.hold("end", "a")
    nodes[1].hub.guardians.hold("end", "b")
    await cluster.pass_seconds(3)
    nodes[1].hub.guardians.release("end", "b")
    nodes[1].hub.guardians.hold("end", "c")
    await cluster.pass_seconds(1)
    for node in nodes[1 : 1 + dying]:
        await node.kill()
    await cluster.pass_seconds(40)
    assert sorted(reported) == [(nodes[1 + dying].id, "a"), (nodes[1 + dying].id, "c")]


async def test_replacement_of_a_killed_node_does_not_take_the_place_of_its_guardian(cluster: Cluster) -> None:
    guardian, dying = await cluster.start(2)
    dying.hub.guardians.hold("end", "a")
    await cluster.pass_seconds(3)
    await dying.kill()
    add_last(cluster)
    reported = held(cluster)
    await cluster.pass_seconds(30)
    assert reported == [(guardian.id, "a")]


@pytest.mark.parametrize("seconds", [1, 3, 7])
@pytest.mark.parametrize("is_killed", [False, True], ids=["left", "killed"])
async def test_guardian_that_joined_shortly_before_a_node_ends_is_the_only_one_that_reports(
    cluster: Cluster, *, is_killed: bool, seconds: int
) -> None:
    *_, ending = await cluster.start(3)
    ending.hub.guardians.hold("end", "a")
    await cluster.pass_seconds(3)
    joined = add_last(cluster)
    reported = held(cluster)
    await cluster.pass_seconds(seconds)
    if not is_killed:
        await ending.publish(NodeLeft(ending.id))
    await ending.kill()
    await cluster.pass_seconds(30)
    assert reported == [(joined.id, "a")]


async def test_guardian_that_missed_a_message_reports_all(cluster: Cluster) -> None:
    holding, guardian, _ = await cluster.start(3)
    reported = held(cluster)
    for name, stream in (("a", "none"), ("b", node_stream(guardian.id)), ("c", "none")):
        with losing(guardian, Stream(stream)):
            holding.hub.guardians.hold("end", name)
            await cluster.pass_seconds(1)
    await holding.kill()
    await cluster.pass_seconds(20)
    assert sorted(reported) == [(guardian.id, name) for name in "abc"]


async def test_end_of_which_a_guardian_does_not_know_the_report_is_not_reported_later(cluster: Cluster) -> None:
    _, dying, first, second, _ = await cluster.start(5)
    reported = held(cluster)
    release_when_reported(first)
    dying.hub.guardians.hold("end", "a")
    await cluster.pass_seconds(3)
    with losing(second, node_stream(second.id)):
        await dying.kill()
        await cluster.pass_seconds(20)
    await first.kill()
    await cluster.pass_seconds(20)
    assert reported == [(first.id, "a")]


async def test_end_of_what_its_guardian_has_too_is_not_reported(cluster: Cluster) -> None:
    holding, guardian, _ = await cluster.start(3)
    reported = held(cluster)
    holding.hub.guardians.hold("end", "alone")
    for node in (holding, guardian):
        node.hub.guardians.hold("end", "shared")
    await cluster.pass_seconds(3)
    await holding.kill()
    await cluster.pass_seconds(20)
    assert reported == [(guardian.id, "alone")]


async def test_guardian_that_stops_after_its_report_leaves_nothing_to_report(cluster: Cluster) -> None:
    _, dying, first, *_ = await cluster.start(5)
    reported = held(cluster)
    release_when_reported(first)
    dying.hub.guardians.hold("end", "a")
    await cluster.pass_seconds(3)
    await dying.kill()
    while not reported:
        await cluster.pass_seconds(0.25)
    await cluster.pass_seconds(0.25)
    await first.publish(NodeLeft(first.id))
    await first.kill()
    await cluster.pass_seconds(20)
    assert reported == [(first.id, "a")]


async def test_new_guardian_replaces_the_previous_one(cluster: Cluster) -> None:
    nodes = await cluster.start(2)
    nodes[0].hub.guardians.hold("end", "a")
    await cluster.pass_seconds(3)
    for _ in range(4):
        cluster.add()
    await cluster.pass_seconds(5)
    reported = held(cluster)
    await nodes[0].kill()
    await cluster.pass_seconds(30)
    assert [name for _, name in reported] == ["a"]


@pytest.mark.parametrize("key", ["newer a", "malformed", "pusher"])
async def test_end_that_a_guardian_cannot_report_stops_neither_the_others_nor_the_node(
    cluster: Cluster, key: str
) -> None:
    first, second = await cluster.start(2)
    reported = held(cluster)
    second.hub.guardians.holders["pusher"] = Holder(
        lambda name, _: reported.append((name.split("/", 1)[1], name)), lambda _: None
    )
    second.hub.guardians.receive(Holdings(second.id, first.id, 1, True, {key: b"", "end a": b""}))
    await first.kill()
    await cluster.pass_seconds(40)
    assert reported == [(second.id, "a")]
    cluster.add()
    await cluster.pass_seconds(20)
    assert len(second.hub.members.others) == 1  # its members are still followed


async def test_node_that_holds_nothing_sends_its_guardians_nothing(cluster: Cluster) -> None:
    await cluster.start(5)
    await cluster.pass_seconds(20)
    assert cluster.published["holdings"] == 0


async def test_inherited_end_is_reported_by_the_next_guardian_but_not_one_that_has_been_reported(
    cluster: Cluster,
) -> None:
    nodes = await cluster.start(5)
    reported = held(cluster)
    first = nodes[2].hub.guardians
    reporting = first.holders["end"]

    def end(name: str, payload: bytes) -> None:
        reporting.end(name, payload)
        if name == "done":
            first.release("end", name)

    first.holders["end"] = reporting._replace(end=end)
    nodes[1].hub.guardians.hold("end", "done")
    nodes[1].hub.guardians.hold("end", "unfinished")
    await cluster.pass_seconds(3)
    await nodes[1].kill()
    await cluster.pass_seconds(14)
    assert sorted(name for _, name in reported) == ["done", "unfinished"]
    await nodes[2].kill()
    await cluster.pass_seconds(20)
    assert reported[2:] == [(nodes[3].id, "unfinished")]


@pytest.mark.parametrize("fault", ["cut", "suspended"])
async def test_node_that_returns_knows_what_a_guardian_has_reported(cluster: Cluster, fault: str) -> None:
    nodes = await cluster.start(3)
    reported, lost = held(cluster), []
    returning = nodes[0].hub.guardians
    returning.holders["end"] = Holder(lambda *_: None, lost.append)
    returning.hold("end", "a")
    await cluster.pass_seconds(3)
    if fault == "cut":
        await nodes[0].set_cut(True)
    else:
        nodes[0].suspend()
    await cluster.pass_seconds(14)
    if fault == "cut":
        returning.hold("end", "b")  # not known to a guardian
        await nodes[0].set_cut(False)
    else:
        nodes[0].resume()
    await cluster.pass_seconds(4)
    assert lost == ["a"]
    await nodes[0].kill()
    await cluster.pass_seconds(20)
    assert [name for _, name in reported] == (["a", "b"] if fault == "cut" else ["a"])


@pytest.mark.parametrize("seconds", [9, 14, 40])
@pytest.mark.parametrize("fault", ["cut", "suspended"])
async def test_guardian_that_returns_does_not_report_what_the_next_one_has_reported(
    cluster: Cluster, fault: str, seconds: int
) -> None:
    _, dying, guardian, following, *_ = await cluster.start(5)
    reported = held(cluster)
    release_when_reported(following)
    dying.hub.guardians.hold("end", "a")
    guardian.hub.guardians.hold("end", "b")
    await cluster.pass_seconds(3)
    if fault == "cut":
        await guardian.set_cut(True)
    else:
        guardian.suspend()
    await dying.kill()
    await cluster.pass_seconds(seconds)
    if fault == "cut":
        await guardian.set_cut(False)
    else:
        guardian.resume()
    await cluster.pass_seconds(30)
    assert [name for _, name in reported].count("a") == 1
