"""Only that somebody came or went is counted."""

import pytest

from bellcast.bench.presence import is_move
from bellcast.live.pusher.protocol import frames
from bellcast.model.events import Member

MEMBER = Member("m-1")


@pytest.mark.parametrize(
    ("frame", "moves"),
    [
        (frames.member_added("presence-x", MEMBER), 1),
        (frames.member_removed("presence-x", MEMBER), 1),
        (frames.subscribed("presence-x"), 0),
        (frames.subscription_count("presence-x", 3), 0),
    ],
)
def test_a_move_is_known_by_its_frame(frame, moves):
    assert is_move(frame) == moves
