"""The SSE parser reassembles frames from chunks cut at any position."""

import itertools
from functools import partial
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellcast.cli import remote
from bellcast.cli.output import CommandError
from bellcast.cli.remote import MIN_RECONNECT_DELAY, SseFollower, SseFrame, error_of, frames
from bellcast.client import Bellcast
from bellcast.live import framing

STREAM = (
    framing.sse_retry(3000)
    + framing.sse_field("id", "p-1")
    + framing.sse_event("ready", b'{"unread":1}')
    + b": still here\n\n"
    + framing.sse_field("id", "p-2")
    + framing.sse_event("notification", '{"title":"line\u2028separator, Tschüß"}'.encode())
    + framing.sse_event("heartbeat", b'{"time":\n1}')
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


@pytest.mark.parametrize(
    "frame",
    ["event: ready\ndata: {}", 'event: close\ndata: {"reason": "expired", "reconnect": true}'],
    ids=["cut", "expired"],
)
def test_stream_that_ends_at_once_is_opened_again_after_a_pause(monkeypatch: pytest.MonkeyPatch, frame: str) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=iter([f"{frame}\n\n".encode()])))
    monkeypatch.setattr(httpx, "Client", partial(httpx.Client, transport=transport))
    monkeypatch.setattr(remote.time, "sleep", pause)
    with Bellcast("http://bell", "s" * 43, transport=transport) as client, pytest.raises(KeyboardInterrupt):
        list(SseFollower(client, lambda: "token", lambda _: None).frames())
    assert pauses == [MIN_RECONNECT_DELAY] * 3
