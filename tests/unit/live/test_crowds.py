"""Presence changes in large topics: sent in batches of net changes; a new member receives only later ones."""

from bellcast.live.cluster.presence_batching import DIRECT_FOLLOWERS, MAX_BATCH_MOVES, PresenceBatcher, merge_changes
from bellcast.model.events import Member, PresenceChanged


def came(who: str) -> PresenceChanged:
    return PresenceChanged("", "presence-hall", joined=(Member(who),), sender=f"link-{who}")


def went(who: str) -> PresenceChanged:
    return PresenceChanged("", "presence-hall", left=(Member(who),), sender=f"link-{who}")


def net(*moves: PresenceChanged) -> tuple[list[str], list[str]]:
    told = merge_changes(moves)
    if told is None:
        return [], []
    return [member.recipient for member in told.joined], [member.recipient for member in told.left]


def test_several_moves_are_merged() -> None:
    assert net(came("a"), went("b"), came("c")) == (["a", "c"], ["b"])


def test_join_and_leave_of_one_member_cancel_out() -> None:
    assert net(came("a"), went("a")) == ([], [])
    assert net(went("a"), came("a")) == ([], [])
    assert net(came("a"), went("a"), came("a")) == (["a"], [])


async def test_moves_for_few_followers_are_sent_at_once() -> None:
    assert PresenceBatcher(lambda stream, moves: None).add(came("a"), DIRECT_FOLLOWERS) is False


async def test_moves_for_many_followers_are_batched_up_to_a_limit() -> None:
    told: list[int] = []
    crowds = PresenceBatcher(lambda stream, moves: told.append(len(moves)))
    for number in range(MAX_BATCH_MOVES + 1):
        assert crowds.add(came(str(number)), 100_000) is True
    assert told == [MAX_BATCH_MOVES]


async def test_moves_after_a_pending_one_wait_even_for_few_followers() -> None:
    crowds = PresenceBatcher(lambda stream, moves: None)
    crowds.add(came("a"), DIRECT_FOLLOWERS + 1)
    assert crowds.add(went("a"), 1) is True
