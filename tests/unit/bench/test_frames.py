"""Parsers consume complete frames and leave the rest, wherever the data is cut."""

import pytest
from benchmarks import frames
from benchmarks.frames import CLOSE, PING, TEXT, HttpReply, ReceivedFrame

from .fixed_server import chunk, frame


def test_frames_of_all_three_length_forms_are_parsed():
    short, middle, long = b"a" * 125, b"b" * 126, b"c" * 70_000
    data = frame(short) + frame(middle) + b"\x81\x7f" + len(long).to_bytes(8, "big") + long
    assert frames.websocket(data) == (
        [ReceivedFrame(TEXT, short), ReceivedFrame(TEXT, middle), ReceivedFrame(TEXT, long)],
        len(data),
    )


def test_control_frames_keep_their_opcode():
    parsed, _ = frames.websocket(frame(b"hi", PING) + frame(b"\x03\xe8", CLOSE))
    assert [item.opcode for item in parsed] == [PING, CLOSE]


@pytest.mark.parametrize(
    ("split", "first", "second"),
    [
        (frames.websocket, frame(b"one"), frame(b"x" * 300)),
        (frames.events, b"data: one\n\n", b"event: note\ndata: two\n\n"),
        (frames.chunked_events, chunk(b"data: one\n\n"), chunk(b"data: two\n\n")),
    ],
)
def test_first_frame_is_consumed_once_complete_at_any_cut(split, first, second):
    whole = first + second
    for cut in range(len(whole)):
        parsed, consumed = split(whole[:cut])
        assert (len(parsed), consumed) == ((1, len(first)) if cut >= len(first) else (0, 0))
    assert split(whole)[1] == len(whole)


def test_event_across_chunks_needs_its_last_chunk():
    begin, end = chunk(b"data: o"), chunk(b"ne\n\n")
    assert frames.chunked_events(begin) == ([], 0)
    assert frames.chunked_events(begin + end) == ([ReceivedFrame(TEXT, b"data: one")], len(begin + end))


@pytest.mark.parametrize("block", [b": hi\n\n", b"retry: 100\n\n", b"id: 7\n: data:\n\n"])
def test_blocks_without_data_are_consumed_and_not_counted(block):
    assert frames.events(block) == ([], len(block))


def test_response_is_complete_at_its_content_length():
    data = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}"
    assert frames.response(data[:-1]) is None
    assert frames.response(data + b"HTTP") == (HttpReply(201, b"{}"), len(data))


def test_response_without_a_length_has_no_body():
    data = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    assert frames.response(data) == (HttpReply(304, b""), len(data))


def test_chunked_response_is_joined_at_its_last_chunk():
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"ab") + chunk(b"c")
    assert frames.response(data) is None
    assert frames.response(data + b"0\r\n\r\n") == (HttpReply(200, b"abc"), len(data) + 5)


@pytest.mark.parametrize("size", [0, 125, 126, 5_000])
def test_client_frame_has_its_length_and_a_zero_mask(size):
    encoded = frames.text_frame(b"x" * size)
    head = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    assert encoded == head + bytes(4) + b"x" * size


def test_pong_carries_the_masked_payload_of_the_ping():
    assert frames.pong(ReceivedFrame(PING, b"42")) == b"\x8a\x82\0\0\0\x0042"
