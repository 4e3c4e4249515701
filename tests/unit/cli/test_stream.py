"""Server-sent events put together again, wherever the network cut them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bellcast.cli.sse_follower import Frame, frames
from bellcast.live.framing import sse

TOLD = (
    sse.retry(3000)
    + sse.event("ready", b'{"unread":1}', "p-1")
    + b": still here\n\n"
    + sse.event("notification", '{"title":"line\u2028separator, Tschüß"}'.encode(), "p-2")
    + sse.event("heartbeat", b'{"time":\n1}')
)
FRAMES = [
    Frame("ready", {"unread": 1}, "p-1"),
    Frame("notification", {"title": "line\u2028separator, Tschüß"}, "p-2"),
    Frame("heartbeat", {"time": 1}),
]


@given(st.sets(st.integers(1, len(TOLD) - 1)))
def test_the_same_frames_come_out_of_any_cut(cuts):
    edges = [0, *sorted(cuts), len(TOLD)]
    chunks = [TOLD[start:end] for start, end in pairwise(edges)]
    assert list(frames(chunks)) == FRAMES


def test_a_frame_that_was_cut_off_is_not_told():
    assert list(frames([TOLD[:-1]])) == FRAMES[:-1]


def test_a_frame_comes_out_as_soon_as_it_is_whole():
    def arriving():
        yield TOLD
        raise AssertionError("read on before the frames were taken")

    told = frames(arriving())
    assert [next(told) for _ in FRAMES] == FRAMES
