"""The presence benchmark counts joins and leaves only."""

import pytest
from benchmarks.presence import is_move

from bellcast.live.pusher import protocol
from bellcast.topics.types import Member

MEMBER = Member("m-1")


@pytest.mark.parametrize(
    ("frame", "count"),
    [
        (protocol.member_added("presence-x", MEMBER), 1),
        (protocol.member_removed("presence-x", MEMBER), 1),
        (protocol.subscribed("presence-x"), 0),
        (protocol.subscription_count("presence-x", 3), 0),
    ],
)
def test_presence_change_is_recognised_by_its_frame(frame, count):
    assert is_move(frame) == count
