"""For any input and chunks, the reader returns the same events at low cost, and agrees with another implementation."""

import codecs
import sys
import tracemalloc
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from bellcast.live.framing import websocket
from bellcast.live.framing.websocket import (
    CloseReceived,
    ControlReceived,
    FrameReader,
    ProtocolViolation,
)

from . import client

LIMIT = 2000

keys = st.binary(min_size=4, max_size=4)
texts = st.text(max_size=40).map(str.encode)
payloads = st.one_of(texts, st.binary(max_size=40), st.integers(120, 130).map(lambda size: b"p" * size))


@st.composite
def messages(draw):
    """The frames of one message, with a control frame here and there."""
    opcode = draw(st.sampled_from([client.TEXT, client.BINARY]))
    parts = draw(st.lists(texts if opcode == client.TEXT else payloads, min_size=1, max_size=3))
    frames = []
    for at, part in enumerate(parts):
        frames += [client.frame(client.PING, draw(texts)[:125], key=draw(keys))] * draw(st.booleans())
        kind = client.CONTINUATION if at else opcode
        frames.append(client.frame(kind, part, final=at == len(parts) - 1, key=draw(keys)))
    return b"".join(frames)


@st.composite
def odd_frames(draw):
    opcode = draw(st.sampled_from([0, 1, 2, 3, 8, 9, 10, 11]))
    reserved = draw(st.sampled_from([0, 0, 0, 0, 4]))
    return client.frame(opcode, draw(payloads), final=draw(st.booleans()), reserved=reserved, key=draw(keys))


closes = st.builds(
    client.close, st.sampled_from([1000, 1001, 1005, 1015, 2000, 3000, 4999]), texts.map(lambda t: t[:123])
)
streams = st.lists(st.one_of(messages(), messages(), odd_frames(), closes), min_size=1, max_size=4).map(b"".join)


@st.composite
def mutated_streams(draw):
    stream = bytearray(draw(streams))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(stream) - 1))
        stream[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2)) or b"\x81"
    return bytes(stream)


def events_of(*pieces: bytes, limit: int = LIMIT) -> list:
    reader = FrameReader(limit)
    return [item for piece in pieces for item in reader.receive(piece)]


@settings(max_examples=100, deadline=None)
@given(mutated_streams(), st.lists(st.integers(0, 400), max_size=6))
def test_reader_returns_the_same_events_for_any_chunks(stream, cuts):
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    at_once = events_of(stream)
    assert events_of(*(stream[a:b] for a, b in pairwise(edges))) == at_once
    assert events_of(*(stream[at : at + 1] for at in range(len(stream)))) == at_once


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300), st.binary(max_size=300), keys)
def test_masked_payload_is_unmasked(text, data, key):
    stream = client.frame(client.TEXT, text.encode(), key=key) + client.frame(client.BINARY, data, key=key)
    assert events_of(stream) == [text, data]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([client.TEXT, client.BINARY, client.PING, client.PONG]), payloads, keys)
def test_server_frames_equal_client_frames_except_for_the_mask(opcode, payload, key):
    payload = payload[:125]
    encode = {client.TEXT: websocket.text_frame, client.BINARY: websocket.binary_frame}.get(
        opcode, partial(websocket.control_frame, opcode)
    )
    ours = encode(payload)
    assert bytes((ours[0], 0x80 | ours[1])) + key + client.masked(ours[2:], key) == client.frame(
        opcode, payload, key=key
    )


@pytest.mark.thorough
@settings(max_examples=200, deadline=None)
@given(mutated_streams())
@example(client.frame(client.TEXT, b"half", final=False) + client.close(1000))
@example(client.frame(client.TEXT, b"\xed\xa0", final=False))
def test_reader_agrees_with_the_websockets_library(stream):
    # Appended to the input: it completes every frame and then violates the protocol, so both must judge the whole input.
    stream += bytes(LIMIT + 200)
    ours, theirs = events_of(stream), heard_by_websockets(stream)
    assert len(ours) <= len(theirs)
    assert ours[:-1] == theirs[: len(ours) - 1]
    last, expected = ours[-1], theirs[len(ours) - 1]
    if not is_known_difference(last, expected):
        assert (last.code if isinstance(last, ProtocolViolation) else last) == expected
        assert len(ours) == len(theirs)


def is_known_difference(ours, theirs) -> bool:
    """Cases in which Bellcast is stricter, or the RFC leaves a choice."""
    match ours:
        case CloseReceived():
            return theirs == 1002  # the library forbids a close inside a message; the RFC and Autobahn 7.1.5 do not
        case ProtocolViolation(1007):
            return (
                theirs == 1002
            )  # the library waits for the third byte of a surrogate, and judges the next frame first
        case ProtocolViolation(1002, "a close frame has no valid code"):
            return theirs == 1007  # when its reason is wrong too
        case ProtocolViolation(1002, "a length is not encoded in the shortest form"):
            return True
        case ProtocolViolation(1002):
            return theirs == 1009  # a header with two faults: the library checks the length first
    return False


def heard_by_websockets(stream: bytes) -> list:
    """Convert their frames to our messages, and a failure to its code. The library leaves the UTF-8 check to its caller."""
    protocol = ServerProtocol(state=State.OPEN, max_size=LIMIT)
    protocol.receive_data(stream)
    received, content, characters = [], None, None
    for frame in protocol.events_received():
        if frame.opcode is Opcode.PING:
            received.append(ControlReceived(client.PING, bytes(frame.data)))
        elif frame.opcode is Opcode.PONG:
            received.append(ControlReceived(client.PONG, bytes(frame.data)))
        elif frame.opcode is Opcode.CLOSE:
            return [*received, CloseReceived(protocol.close_rcvd.code, protocol.close_rcvd.reason)]
        else:
            if frame.opcode is not Opcode.CONT:
                content = b""
                characters = codecs.getincrementaldecoder("utf-8")() if frame.opcode is Opcode.TEXT else None
            content += frame.data
            try:
                characters and characters.decode(bytes(frame.data), frame.fin)
            except UnicodeDecodeError:
                return [*received, 1007]
            if frame.fin:
                received.append(content.decode() if characters else content)
    return [*received, protocol.close_sent.code]


def test_idle_reader_is_small():
    assert sys.getsizeof(FrameReader(LIMIT)) <= 100


@pytest.mark.parametrize(
    ("rest", "end"),
    [
        pytest.param(client.masked(b"x" * 50_000), str, id="a big message"),
        pytest.param(client.masked(b"x" * 49_999 + b"\xff"), ProtocolViolation, id="a failure inside one"),
        pytest.param(
            client.masked(b"x" * 50_000) + client.frame(client.TEXT, b"x" * 50_000, final=False) + client.close(1000),
            CloseReceived,
            id="a close inside one",
        ),
    ],
)
def test_reader_frees_its_memory_after_a_message(rest, end):
    reader, begun = FrameReader(1 << 17), client.header(client.TEXT, 100_000) + client.KEY
    begun += client.masked(b"x" * 50_000)
    tracemalloc.start()
    try:
        assert reader.receive(begun) == []
        assert kept_by_reader() > 40_000
        assert [type(item) for item in reader.receive(rest)][-1] is end
        assert kept_by_reader() < 1000
    finally:
        tracemalloc.stop()


def test_large_message_in_tiny_chunks_takes_little_more_memory_than_its_size():
    reader, message = FrameReader(1 << 17), client.frame(client.TEXT, "é".encode() * 8_000)
    tracemalloc.start()
    try:
        for at in range(len(message) - 200):
            reader.receive(message[at : at + 1])
        kept = kept_by_reader()
        assert kept < 24_000
        copies = sum(
            peak_of(reader.receive, message[at : at + 1]) > 4_000 for at in range(len(message) - 200, len(message) - 1)
        )
    finally:
        tracemalloc.stop()
    assert copies <= 1  # when the buffer grows


def test_tiny_fragments_take_little_more_memory_than_their_size():
    reader = FrameReader(1 << 17)
    parts = client.fragments(client.TEXT, *["é".encode()] * 1000)
    tracemalloc.start()
    try:
        for part in parts[:-1]:
            reader.receive(part)
        assert kept_by_reader() < 4000
    finally:
        tracemalloc.stop()


def kept_by_reader() -> int:
    """Return the bytes in use that the reader's modules allocated: other threads of the process allocate too."""
    filters = [tracemalloc.Filter(inclusive=True, filename_pattern=f"{Path(websocket.__file__).parent}/*")]
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(filters).traces)


def peak_of(call, piece: bytes) -> int:
    """Return the peak increase of the memory in use during a call."""
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    call(piece)
    return tracemalloc.get_traced_memory()[1] - before
