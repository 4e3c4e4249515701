"""Groups of many nodes, with an in-memory broker that counts messages and a fake clock."""

from collections.abc import AsyncIterator, Iterable, Iterator, Set
from contextlib import contextmanager
from itertools import pairwise

import pytest
from benchmarks.node_network import NetworkNode

from bellcast.auth.permissions import Grant
from bellcast.kernel.events import Stream, inbox_stream, node_stream, topic_stream
from bellcast.kernel.identities import Principal
from bellcast.live.cluster import groups
from bellcast.live.cluster.members import BATCH_MS
from bellcast.live.types import MEMBERS, GroupAnswer, GroupState, GroupUpdate
from bellcast.topics.types import Member
from tests.unit.live.fakes import FakeConnection, connect
from tests.unit.live.test_members import Cluster

INBOX, ROOM = inbox_stream("", "alice"), topic_stream("", "room")
GROUP_MESSAGES = {"group", "group-told"}


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    started = Cluster()
    yield started
    await started.close()


def receivers(nodes: Iterable[NetworkNode]) -> int:
    """Return how many nodes have received messages of groups, and forget them."""
    found = [node for node in nodes if GROUP_MESSAGES & node.received.keys()]
    for node in found:
        node.received.clear()
    return len(found)


@contextmanager
def losing(node: NetworkNode, stream: Stream) -> Iterator[None]:
    """Lose the messages of a stream to a node."""
    followed = node.followed.pop(stream, 0)
    yield
    node.followed[stream] += followed


def follow(node: NetworkNode, id: str, recipient: str = "alice", topic: str = "room") -> FakeConnection:
    connection: FakeConnection = connect(node.hub, id, Principal(recipient=recipient))
    node.hub.subscriptions.follow(connection, {topic: Grant.PUBLIC})
    return connection


async def test_connect_reaches_the_nodes_that_follow_the_inbox_and_no_others(cluster: Cluster) -> None:
    nodes = await cluster.start(50)
    for number, node in enumerate(nodes[:3]):
        connect(node.hub, f"{number}")
        await cluster.pass_seconds(2)
    await cluster.pass_seconds(5)  # each state is repeated once
    receivers(nodes)
    unshared: FakeConnection = connect(nodes[3].hub, "bob", Principal(recipient="bob"))
    await cluster.pass_seconds(10)
    assert receivers(nodes) == 0
    unshared.connection_lost(None)
    await cluster.pass_seconds(10)
    assert receivers(nodes) == 0
    shared: FakeConnection = connect(nodes[3].hub, "shared")
    await cluster.pass_seconds(10)
    assert receivers(nodes[:3]) == 3
    assert receivers(nodes[4:]) == 0
    assert [node.hub.subscriptions.total(INBOX) for node in nodes[:4]] == [4] * 4
    nodes[3].received.clear()
    shared.connection_lost(None)
    await cluster.pass_seconds(10)
    assert (receivers(nodes[:3]), receivers(nodes[3:])) == (3, 0)
    assert [node.hub.subscriptions.total(INBOX) for node in nodes[:3]] == [3] * 3


async def test_connect_costs_each_node_of_its_group_two_messages(cluster: Cluster) -> None:
    nodes = await cluster.start(20)
    for node in nodes[1:]:
        follow(node, "one")
    await cluster.pass_seconds(10)
    for node in nodes:
        node.received.clear()
    follow(nodes[0], "new")
    for _ in range(4):
        cluster.fake_clock.advance(groups.ANSWER_MS / 2_000)  # an answer arrives in time
        await cluster.settle()
    await cluster.pass_seconds(10)
    messages = sum(node.received[kind] for node in nodes for kind in GROUP_MESSAGES)
    # Of the inbox and of the topic: a question and its repetition to 19 nodes, and one answer.
    assert messages == 2 * (2 * 19 + 1)


async def test_node_that_missed_a_connect_answers_the_check(cluster: Cluster) -> None:
    first, second, third = await cluster.start(3)
    for node in (second, third):
        node.observe("alice")
    await cluster.pass_seconds(70)  # beyond their own checks
    with losing(third, INBOX):
        connect(first.hub, "new")
        await cluster.pass_seconds(1)
    assert third.hub.subscriptions.total(INBOX) == 0
    cluster.published.clear()
    await cluster.pass_seconds(5)
    assert third.hub.subscriptions.total(INBOX) == 1
    assert first.hub.groups.is_followed_elsewhere(INBOX)
    assert GROUP_MESSAGES & cluster.published.keys() == {"group"}  # the answer to the question had its state


async def test_follower_that_received_no_answer_knows_the_others_after_the_check(cluster: Cluster) -> None:
    first, second = await cluster.start(2)
    follow(first, "one", "bob")
    await cluster.pass_seconds(70)
    with losing(second, node_stream(second.id)):
        follow(second, "two", "carol")
        await cluster.pass_seconds(2)
    assert {one.recipient for one in second.hub.presence.members("", "room")} == {"carol"}
    await cluster.pass_seconds(5)
    for node in (first, second):
        assert {one.recipient for one in node.hub.presence.members("", "room")} == {"bob", "carol"}


def present(node: NetworkNode) -> set[str]:
    return {one.recipient for one in node.hub.presence.members("", "room")}


async def test_node_that_does_not_know_the_others_answers_for_itself_only(cluster: Cluster) -> None:
    first, second, third = await cluster.start(3)
    follow(third, "three", "carol")
    await cluster.pass_seconds(70)
    with losing(first, node_stream(first.id)):
        follow(first, "one", "alice")
        for _ in range(2):
            cluster.fake_clock.advance(BATCH_MS / 1000)
            await cluster.settle()
        follow(second, "two", "bob")
        await cluster.pass_seconds(1.5)
    assert present(second) == {"alice", "bob", "carol"}


async def test_node_counts_before_itself_those_that_came_earlier_or_have_a_lower_id(cluster: Cluster) -> None:
    first, second, third = await cluster.start(3)
    before: dict[str, int] = {}
    for node in (first, second, third):
        groups_of = node.hub.groups
        groups_of.known.append(lambda _, id=node.id, of=groups_of: before.setdefault(id, of.count_before(INBOX)))
    for node in (first, second):
        connect(node.hub, node.id)
    await cluster.pass_seconds(2)
    assert [node.hub.groups.count_before(INBOX) for node in (first, second)] == [1, 1]
    connect(third.hub, third.id)
    await cluster.pass_seconds(2)
    assert before == {first.id: 0, second.id: 1, third.id: 2}


async def test_connection_of_a_lower_id_counts_the_node_that_was_known_before_it(cluster: Cluster) -> None:
    first, second = await cluster.start(2)
    before: list[int] = []
    first.hub.groups.known.append(lambda _: before.append(first.hub.groups.count_before(INBOX)))
    connect(second.hub, "earlier")
    await cluster.pass_seconds(0.5)
    first.observe("alice")
    await cluster.pass_seconds(0.5)
    assert second.hub.groups.is_known(INBOX)
    connect(first.hub, "later")
    await cluster.pass_seconds(1)
    assert before == [1]


async def test_change_before_another_first_question_is_in_it(cluster: Cluster) -> None:
    first, second = await cluster.start(2)
    follow(second, "two", "bob")
    await cluster.pass_seconds(70)
    with losing(first, node_stream(first.id)), losing(first, ROOM):
        follow(first, "one", "alice")
        cluster.fake_clock.advance(BATCH_MS / 1000)
        await cluster.settle()
        assert present(second) == {"alice", "bob"}
        first.hub.groups.mark_suspect([ROOM])
        follow(first, "three", "carol")
        await cluster.pass_seconds(1)
    assert present(second) == {"alice", "bob", "carol"}


async def test_answer_does_not_bring_back_a_dead_node(cluster: Cluster) -> None:
    first, second = await cluster.start(2)
    follow(first, "one", "alice")
    follow(second, "two", "bob")
    await cluster.pass_seconds(10)
    first.hub.groups.mark_suspect([ROOM])
    of_dead = GroupState("dead", 5, None, 1, (Member("carol", connections=1),))
    of_second = GroupState(second.id, 0, None, 0)
    first.hub.groups.receive(GroupAnswer(first.id, 1_000, ROOM, (of_second, of_dead), is_whole=True))
    assert present(first) == {"alice", "bob"}


async def test_node_whose_leave_messages_were_lost_is_removed_if_it_does_not_answer(cluster: Cluster) -> None:
    first, second, third = await cluster.start(3)
    follow(first, "one", "alice")
    leaving = follow(second, "two", "bob")
    follow(third, "three", "carol")
    await cluster.pass_seconds(70)
    with losing(first, ROOM):
        leaving.connection_lost(None)
        await cluster.pass_seconds(5)
    assert present(first) == {"alice", "bob", "carol"}
    first.hub.groups.mark_suspect([ROOM])  # as after a lost connection
    await cluster.pass_seconds(1)
    assert present(first) == {"alice", "carol"}


async def test_stream_followed_before_the_reply_to_a_claim_arrived_is_known_afterwards(cluster: Cluster) -> None:
    (keeper,) = await cluster.start(1)
    follow(keeper, "one", "alice")
    await cluster.pass_seconds(70)
    keeper.suspend()
    new = cluster.add()
    new.hub.members.id = "f" * 16  # the keeper has a lower one
    await cluster.pass_seconds(1.5)
    assert new.hub.members.is_keeper
    follow(new, "two", "bob")
    keeper.resume()
    await cluster.pass_seconds(4)
    assert present(keeper) == present(new) == {"alice", "bob"}


async def test_answer_to_an_earlier_question_removes_no_node(cluster: Cluster) -> None:
    first, second, third = await cluster.start(3)
    for node, recipient in ((first, "alice"), (second, "bob"), (third, "carol")):
        follow(node, recipient, recipient)
    await cluster.pass_seconds(70)
    with losing(first, node_stream(first.id)):
        first.hub.groups.mark_suspect([ROOM])
        cluster.fake_clock.advance(BATCH_MS / 1000)
        await cluster.settle()
        of_second = GroupState(second.id, 0, None, 0)
        first.hub.groups.receive(GroupAnswer(first.id, 0, ROOM, (of_second,), is_whole=True))
    assert present(first) == {"alice", "bob", "carol"}


async def test_change_of_a_node_that_regarded_itself_as_alone_is_sent_after_a_late_answer(cluster: Cluster) -> None:
    first, second = await cluster.start(2)
    follow(first, "one", "alice")
    await cluster.pass_seconds(70)
    with losing(second, node_stream(second.id)):
        follow(second, "two", "bob")
        await cluster.pass_seconds(1)
        with losing(first, ROOM):
            await cluster.pass_seconds(5)
        follow(second, "three", "carol")
        await cluster.pass_seconds(1)
    assert (present(first), present(second)) == ({"alice", "bob"}, {"bob", "carol"})
    of_first = GroupState(first.id, 1, None, 1, (Member("alice", connections=1),))
    second.hub.groups.receive(GroupAnswer(second.id, 1_000, ROOM, (of_first,), is_whole=True))
    await cluster.pass_seconds(5)
    assert present(first) == present(second) == {"alice", "bob", "carol"}


async def test_two_lost_leave_messages_are_repaired_by_the_third(cluster: Cluster) -> None:
    first, second = await cluster.start(2)
    follow(first, "one")
    leaving = follow(second, "two")
    await cluster.pass_seconds(10)
    assert first.hub.subscriptions.total(ROOM) == 2
    with losing(first, ROOM):
        leaving.connection_lost(None)
        await cluster.pass_seconds(10)
    assert first.hub.subscriptions.total(ROOM) == 2
    await cluster.pass_seconds(65)
    assert first.hub.subscriptions.total(ROOM) == 1
    assert len(first.hub.groups) == 0


async def test_node_that_leaves_while_it_regards_itself_as_alone_is_removed(cluster: Cluster) -> None:
    keeper, second = await cluster.start(2)
    leaving = follow(keeper, "one", "bob")
    follow(second, "two", "carol")
    await cluster.pass_seconds(70)
    with losing(second, MEMBERS):
        keeper.hub.members._drop(second.id, 0)  # its beats were lost, and it does not know that
        leaving.connection_lost(None)
        await cluster.pass_seconds(4)
    assert keeper.hub.members.others
    await cluster.pass_seconds(10)
    assert {one.recipient for one in second.hub.presence.members("", "room")} == {"carol"}
    assert second.hub.subscriptions.total(ROOM) == 1


async def test_stream_followed_while_a_node_regarded_itself_as_alone_is_known_afterwards(cluster: Cluster) -> None:
    keeper, second = await cluster.start(2)
    follow(second, "two", "carol")
    await cluster.pass_seconds(70)
    with losing(second, MEMBERS):
        keeper.hub.members._drop(second.id, 0)  # its beats were lost, and it does not know that
        follow(keeper, "one", "bob")
        await cluster.pass_seconds(4)
    for node in cluster.nodes:
        assert {one.recipient for one in node.hub.presence.members("", "room")} == {"bob", "carol"}


@pytest.mark.parametrize("is_open", [False, True], ids=["to an earlier question", "to an open question"])
async def test_answer_does_not_bring_back_a_node_that_has_left(cluster: Cluster, is_open: bool) -> None:
    first, second, third = await cluster.start(3)
    follow(first, "one", "alice")
    follow(second, "two", "bob")
    await cluster.pass_seconds(10)
    receive = first.hub.groups.receive
    if is_open:
        first.hub.groups.mark_suspect([ROOM])
        receive(GroupUpdate(ROOM, GroupState(third.id, 6, None, 0), has_left=True))
    before = GroupState(third.id, 5, None, 1, (Member("carol", connections=1),))
    receive(GroupAnswer(first.id, 1, ROOM, (GroupState(second.id, 0, None, 0), before), is_whole=True))
    assert {one.recipient for one in first.hub.presence.members("", "room")} == {"alice", "bob"}


async def test_group_at_rest_sends_nothing(cluster: Cluster) -> None:
    nodes = await cluster.start(5)
    for node in nodes:
        follow(node, node.id)
    await cluster.pass_seconds(70)
    cluster.published.clear()
    await cluster.pass_seconds(300)
    assert set(cluster.published) == {"beat", "members"}


async def test_single_node_sends_nothing_about_its_streams(cluster: Cluster) -> None:
    (node,) = await cluster.start(1)
    follow(node, "one").connection_lost(None)
    await cluster.pass_seconds(70)
    assert set(cluster.published) == {"claim", "members"}


async def test_node_alone_on_a_stream_keeps_nothing_about_it(cluster: Cluster) -> None:
    first, second = await cluster.start(2)
    for number in range(10):
        connect(first.hub, f"{number}", Principal(recipient=f"{number}"))
    await cluster.pass_seconds(2)
    assert (len(first.hub.groups), len(second.hub.groups)) == (0, 0)


async def test_first_follower_learns_counts_and_members(cluster: Cluster) -> None:
    first, second, third = await cluster.start(3)
    for number, node in enumerate((first, first, second)):
        follow(node, f"{number}", f"r{number}")
    await cluster.pass_seconds(2)
    follow(third, "last", "r0")
    await cluster.pass_seconds(0.5)
    for node in cluster.nodes:
        members = node.hub.presence.members("", "room")
        assert {one.recipient: one.connections for one in members} == {"r0": 2, "r1": 1, "r2": 1}
        assert node.hub.subscriptions.total(ROOM) == 4


async def test_change_among_many_members_does_not_list_all_of_them(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To list 5,000 takes 5 ms, and there are 20 changes in a second."""
    first, second = await cluster.start(2)
    for number in range(2 * groups.MAX_FULL_MEMBERS):
        follow(first, f"{number}", f"r{number}")
    follow(second, "other")
    await cluster.pass_seconds(2)
    listed: list[tuple[Stream, Set[str] | None]] = []
    list_members = first.hub.groups._members_here

    def record(stream: Stream, recipients: Set[str] | None) -> list[Member]:
        listed.append((stream, recipients))
        return list_members(stream, recipients)

    monkeypatch.setattr(first.hub.groups, "_members_here", record)
    follow(first, "new", "bob")
    await cluster.pass_seconds(0.5)
    assert [recipients for stream, recipients in listed if stream == ROOM] == [{"bob"}]
    assert "bob" in present(second)


async def test_many_members_travel_as_changes_and_a_lost_one_is_asked_for(cluster: Cluster) -> None:
    first, second = await cluster.start(2)
    for number in range(2 * groups.MAX_FULL_MEMBERS):
        follow(first, f"{number}", f"r{number}")
    follow(second, "other")
    await cluster.pass_seconds(2)
    assert len(second.hub.presence.members("", "room")) == 2 * groups.MAX_FULL_MEMBERS + 1
    del second.followed[ROOM]  # a message is lost
    follow(first, "lost", "bob")
    await cluster.pass_seconds(0.5)
    second.followed[ROOM] = 1
    follow(first, "next", "carol")
    await cluster.pass_seconds(1)
    assert {"bob", "carol"} <= {one.recipient for one in second.hub.presence.members("", "room")}


async def test_lost_change_is_repaired_by_its_repetition(cluster: Cluster) -> None:
    first, second = await cluster.start(2)
    connections = [follow(node, f"{number}") for number, node in enumerate((first, second))]
    await cluster.pass_seconds(2)
    del second.followed[ROOM]
    lost = follow(first, "lost", "bob")
    await cluster.pass_seconds(0.5)
    second.followed[ROOM] = 1
    await cluster.pass_seconds(9)
    assert {one.recipient for one in second.hub.presence.members("", "room")} == {"alice", "bob"}
    del second.followed[ROOM]
    connections[0].connection_lost(None)
    lost.connection_lost(None)
    await cluster.pass_seconds(0.5)
    second.followed[ROOM] = 1
    await cluster.pass_seconds(9)
    assert second.hub.subscriptions.total(ROOM) == 1


@pytest.mark.parametrize("fault", ["cut", "suspended"])
async def test_node_regarded_as_dead_returns_with_its_state(cluster: Cluster, fault: str) -> None:
    first, second = await cluster.start(2)
    follow(first, "1", "alice")
    follow(second, "2", "bob")
    await cluster.pass_seconds(2)
    if fault == "cut":
        await second.set_cut(True)
    else:
        second.suspend()
    await cluster.pass_seconds(25)
    assert first.hub.subscriptions.total(ROOM) == 1
    if fault == "cut":
        await second.set_cut(False)
    else:
        second.resume()
    await cluster.pass_seconds(10)
    for node in (first, second):
        assert {one.recipient for one in node.hub.presence.members("", "room")} == {"alice", "bob"}
        assert node.hub.subscriptions.total(ROOM) == 2


async def test_answers_of_other_nodes_do_not_keep_a_dead_node_alive(cluster: Cluster) -> None:
    keeper, second, third = await cluster.start(3)
    for number, node in enumerate((second, third)):
        follow(node, f"{number}", f"r{number}")
    await cluster.pass_seconds(2)
    await third.kill()
    for number in range(20):  # the keeper asks about the topic again and again
        short = follow(keeper, f"short{number}")
        await cluster.pass_seconds(0.25)
        short.connection_lost(None)
        await cluster.pass_seconds(0.25)
    assert {one.recipient for one in second.hub.presence.members("", "room")} == {"r0"}
    assert cluster.dropped == [(keeper.id, third.id), (second.id, third.id)]


async def test_returning_node_asks_at_a_bounded_rate(cluster: Cluster) -> None:
    first, second = await cluster.start(2)
    for number in range(1_000):
        connect(first.hub, f"{number}", Principal(recipient=f"{number}"))
    await cluster.pass_seconds(10)
    await first.set_cut(True)
    await cluster.pass_seconds(5)
    cluster.published.clear()
    await first.set_cut(False)
    sent = [0]
    for _ in range(100):
        cluster.fake_clock.advance(BATCH_MS / 1000)
        await cluster.settle()
        sent.append(cluster.published["group"])
    assert max(later - earlier for earlier, later in pairwise(sent)) == groups.MAX_BATCH_STEPS
    await cluster.pass_seconds(20)
    assert 1_000 <= cluster.published["group"] <= 3 * 1_010
    assert len(second.hub.groups) == 0
