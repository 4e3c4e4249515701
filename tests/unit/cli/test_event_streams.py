"""The SSE parser reassembles frames from chunks cut at any position."""

import itertools
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellcast.cli.output import CommandError
from bellcast.cli.remote import SseFrame, error_of, frames
from bellcast.live.framing import sse

STREAM = (
    sse.retry(3000)
    + sse.field("id", "p-1")
    + sse.event("ready", b'{"unread":1}')
    + b": still here\n\n"
    + sse.field("id", "p-2")
    + sse.event("notification", '{"title":"line\u2028separator, Tschüß"}'.encode())
    + sse.event("heartbeat", b'{"time":\n1}')
)
FRAMES = [
    SseFrame("ready", {"unread": 1}, "p-1"),
    SseFrame("notification", {"title": "line\u2028separator, Tschüß"}, "p-2"),
    SseFrame("heartbeat", {"time": 1}),
]


@given(st.sets(st.integers(1, len(STREAM) - 1)))
def test_frames_are_independent_of_chunk_boundaries(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:end] for start, end in pairwise(edges)]
    assert list(frames(chunks)) == FRAMES


def test_incomplete_frame_is_dropped():
    assert list(frames([STREAM[:-1]])) == FRAMES[:-1]


@pytest.mark.parametrize(
    "chunks",
    [itertools.repeat(b"data: " + b"x" * 1_000_000), [b"event: x\ndata: {\n\n"], [b"event: \xff\ndata: 1\n\n"]],
    ids=["endless", "no JSON", "no object"],
)
def test_frame_of_another_server_is_an_error(chunks):
    with pytest.raises(CommandError, match="check --url"):
        list(frames(chunks))


def test_frame_is_returned_as_soon_as_it_is_complete():
    def chunks():
        yield STREAM
        raise AssertionError("read on before the frames were taken")

    parsed = frames(chunks())
    assert [next(parsed) for _ in FRAMES] == FRAMES


@pytest.mark.parametrize("content", [b"<html>", b'{"detail": "\xff"}', b'{"status": ' + b"[" * 100_000])
def test_refusal_that_is_not_of_a_bellcast_server_has_its_status(content: bytes) -> None:
    error = error_of(httpx.Response(404, content=content))
    assert isinstance(error, CommandError)
    assert "status 404" in str(error)
