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


def test_several_moves_come_to_one() -> None:
    assert net(came("a"), went("b"), came("c")) == (["a", "c"], ["b"])


def test_who_came_and_went_again_is_not_told_of() -> None:
    assert net(came("a"), went("a")) == ([], [])
    assert net(went("a"), came("a")) == ([], [])
    assert net(came("a"), went("a"), came("a")) == (["a"], [])


async def test_few_followers_hear_at_once() -> None:
    assert PresenceBatcher(lambda stream, moves: None).add(came("a"), DIRECT_FOLLOWERS) is False


async def test_a_crowd_hears_later_and_at_the_latest_after_so_many_moves() -> None:
    told: list[int] = []
    crowds = PresenceBatcher(lambda stream, moves: told.append(len(moves)))
    for number in range(MAX_BATCH_MOVES + 1):
        assert crowds.add(came(str(number)), 100_000) is True
    assert told == [MAX_BATCH_MOVES]


async def test_what_follows_a_waiting_move_waits_too_however_few_are_left() -> None:
    crowds = PresenceBatcher(lambda stream, moves: None)
    crowds.add(came("a"), DIRECT_FOLLOWERS + 1)
    assert crowds.add(went("a"), 1) is True
