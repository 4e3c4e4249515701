"""Presence changes: sent in batches of net changes; a new member receives only later ones."""

import asyncio
from collections.abc import Sequence

from bellcast.live.hub.presence import DIRECT_FOLLOWERS, MAX_BATCH_CHANGES, PresenceBatcher, merge_changes
from bellcast.live.types import PresenceChanged
from bellcast.topics.types import Member


def join(who: str) -> PresenceChanged:
    return PresenceChanged("", "presence-hall", joined=(Member(who),), sender=f"link-{who}")


def leave(who: str) -> PresenceChanged:
    return PresenceChanged("", "presence-hall", left=(Member(who),), sender=f"link-{who}")


def net(*changes: PresenceChanged) -> tuple[list[str], list[str]]:
    merged = merge_changes(changes)
    if merged is None:
        return [], []
    return [member.recipient for member in merged.joined], [member.recipient for member in merged.left]


def test_several_changes_are_merged() -> None:
    assert net(join("a"), leave("b"), join("c")) == (["a", "c"], ["b"])


def test_join_and_leave_of_one_member_cancel_out() -> None:
    assert net(join("a"), leave("a")) == ([], [])
    assert net(leave("a"), join("a")) == ([], [])
    assert net(join("a"), leave("a"), join("a")) == (["a"], [])


async def test_changes_for_few_followers_are_sent_in_the_next_iteration() -> None:
    sent: list[Sequence[PresenceChanged]] = []
    batcher = PresenceBatcher(lambda stream, changes: sent.append(changes))
    batcher.add(join("a"), DIRECT_FOLLOWERS)
    assert sent == []
    await asyncio.sleep(0)
    assert sent == [[join("a")]]


async def test_changes_for_many_followers_are_batched_up_to_a_limit() -> None:
    sizes: list[int] = []
    batcher = PresenceBatcher(lambda stream, changes: sizes.append(len(changes)))
    for number in range(MAX_BATCH_CHANGES + 1):
        batcher.add(join(str(number)), 100_000)
    await asyncio.sleep(0)
    assert sizes == [MAX_BATCH_CHANGES]


async def test_changes_after_a_pending_one_wait_even_for_few_followers() -> None:
    sizes: list[int] = []
    batcher = PresenceBatcher(lambda stream, changes: sizes.append(len(changes)))
    batcher.add(join("a"), DIRECT_FOLLOWERS + 1)
    batcher.add(leave("a"), 1)
    await asyncio.sleep(0)
    assert sizes == []
