"""Events that the reader returns for a client's frames.

The tables cover groups 1 to 7 of the Autobahn test suite: each of its cases has a row, or a row with the same content
in fewer bytes."""

from functools import partial

import pytest

from bellcast.live.framing.websocket import (
    MAX_FRAGMENTS,
    NO_CODE,
    SMALL_FRAGMENT,
    CloseReceived,
    ControlReceived,
    FrameReader,
    ProtocolViolation,
    ReaderSignal,
)

from . import client
from .client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

LIMIT = 70_000
HELLO = frame(TEXT, b"Hello, world!")
NOT_UTF8 = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"

WHOLE, BY_997, BY_1 = 1 << 20, 997, 1
pieces = pytest.mark.parametrize("size", [WHOLE, BY_997, BY_1], ids=["whole", "by 997 bytes", "byte by byte"])


def events_of(stream: bytes, size: int = WHOLE, limit: int = LIMIT) -> list:
    """Return all events of a reader for a stream received in chunks of a size."""
    reader = FrameReader(limit)
    return [item for at in range(0, len(stream), size) for item in reader.receive(stream[at : at + size])]


def verdict(stream: bytes, size: int = WHOLE, limit: int = LIMIT) -> list:
    """The same, with only the code of a failure."""
    return [item.code if isinstance(item, ProtocolViolation) else item for item in events_of(stream, size, limit)]


@pieces
@pytest.mark.parametrize("length", [0, 125, 126, 127, 128, 65535, 65536])
def test_1_messages_with_every_form_of_length_are_received(length, size):
    if size == BY_1 and length > 128:
        size = 4096  # a big frame byte by byte has its own test
    assert events_of(frame(TEXT, b"*" * length), size) == ["*" * length]
    assert events_of(frame(BINARY, b"\xfe" * length), size) == [b"\xfe" * length]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("length", [100, 126, 200, 65536])
def test_1_message_may_be_cut_anywhere_near_its_start(length, opcode):
    stream = frame(opcode, b"*" * length)
    whole = events_of(stream)
    for cut in range(1, 140):
        reader = FrameReader(LIMIT)
        assert reader.receive(stream[:cut]) + reader.receive(stream[cut:]) == whole, cut


@pytest.mark.parametrize(("opcode", "kind"), [(BINARY, bytes), (PING, partial(ControlReceived, PING))])
def test_payload_that_looks_like_a_frame_is_payload(opcode, kind):
    reader, unmasking = FrameReader(LIMIT), bytes(4)
    stream = frame(opcode, HELLO, key=unmasking)
    assert reader.receive(stream[:6]) == []
    assert reader.receive(HELLO) == [kind(HELLO)]
    assert reader.receive(HELLO) == ["Hello, world!"]


@pieces
@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(frame(PING), [ControlReceived(PING, b"")], id="2.1 a ping without payload"),
        pytest.param(frame(PING, b"Hello"), [ControlReceived(PING, b"Hello")], id="2.2 a ping with text"),
        pytest.param(frame(PING, NOT_UTF8), [ControlReceived(PING, NOT_UTF8)], id="2.3 a ping that is not UTF-8"),
        pytest.param(
            frame(PING, b"\xfe" * 125), [ControlReceived(PING, b"\xfe" * 125)], id="2.4 and 2.6 the largest ping"
        ),
        pytest.param(frame(PING, b"\xfe" * 126), [1002], id="2.5 a ping that is too large"),
        pytest.param(frame(PONG), [ControlReceived(PONG, b"")], id="2.7 an unsolicited pong"),
        pytest.param(frame(PONG, b"x"), [ControlReceived(PONG, b"x")], id="2.8 the same with payload"),
        pytest.param(
            frame(PONG, b"x") + frame(PING, b"y"),
            [ControlReceived(PONG, b"x"), ControlReceived(PING, b"y")],
            id="2.9 a pong, then a ping",
        ),
        pytest.param(
            b"".join(frame(PING, b"%d" % n) for n in range(10)),
            [ControlReceived(PING, b"%d" % n) for n in range(10)],
            id="2.10 and 2.11 ten pings",
        ),
    ],
)
def test_2_pings_and_pongs_are_received(stream, expected, size):
    assert verdict(stream, size) == expected


@pieces
@pytest.mark.parametrize("reserved", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize(("opcode", "payload"), [(TEXT, b"Hello"), (BINARY, NOT_UTF8), (PING, b"Hello"), (CLOSE, b"")])
def test_3_reserved_bits_are_a_violation_after_earlier_messages(opcode, payload, reserved, size):
    stream = HELLO + frame(opcode, payload, reserved=reserved) + frame(PING)
    assert verdict(stream, size) == ["Hello, world!", 1002]


@pieces
@pytest.mark.parametrize("payload", [b"", b"reserved opcode payload"])
@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_4_unknown_opcodes_are_a_violation_after_earlier_messages(opcode, payload, size):
    assert verdict(frame(opcode, payload), size) == [1002]
    assert verdict(HELLO + frame(opcode, payload) + frame(PING), size) == ["Hello, world!", 1002]


ONE, TWO = client.fragments(TEXT, b"fragment1", b"fragment2")
LOST_END = frame(CONTINUATION, b"lost")
LOST_MIDDLE = frame(CONTINUATION, b"lost", final=False)
BOTH = "fragment1fragment2"


@pieces
@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(frame(PING, b"1", final=False) + LOST_END, [1002], id="5.1 a fragmented ping"),
        pytest.param(frame(PONG, b"1", final=False) + LOST_END, [1002], id="5.2 a fragmented pong"),
        pytest.param(frame(CLOSE, b"", final=False) + LOST_END, [1002], id="a fragmented close"),
        pytest.param(ONE + TWO, [BOTH], id="5.3 to 5.5 two fragments"),
        pytest.param(
            ONE + frame(PING, b"p") + TWO,
            [ControlReceived(PING, b"p"), BOTH],
            id="5.6 to 5.8 a ping between two fragments",
        ),
        pytest.param(LOST_END + HELLO, [1002], id="5.9 to 5.11 an end of nothing"),
        pytest.param(LOST_MIDDLE + HELLO, [1002], id="5.12 to 5.14 a middle of nothing"),
        pytest.param(ONE + TWO + LOST_MIDDLE + HELLO, [BOTH, 1002], id="5.15 a message, then a middle of nothing"),
        pytest.param((LOST_MIDDLE + ONE + TWO) * 2, [1002], id="5.16 a middle of nothing before a message"),
        pytest.param((LOST_END + ONE + TWO) * 2, [1002], id="5.17 an end of nothing before a message"),
        pytest.param(ONE + HELLO, [1002], id="5.18 a text that begins inside another"),
        pytest.param(ONE + frame(BINARY, b"x"), [1002], id="a binary that begins inside a text"),
        pytest.param(frame(TEXT, final=False) + HELLO, [1002], id="a text after an empty fragment"),
        pytest.param(
            b"".join(client.fragments(BINARY, b"\xff", b"\xfe")),
            [b"\xff\xfe"],
            id="fragments of a binary",
        ),
    ],
)
def test_5_fragments_are_joined_or_refused(stream, expected, size):
    assert verdict(stream, size) == expected


def test_5_19_and_5_20_ping_within_a_message_is_received_immediately():
    parts = client.fragments(TEXT, b"1", b"2", b"3", b"4", b"5")
    reader = FrameReader(LIMIT)
    assert reader.receive(parts[0] + parts[1] + frame(PING, b"first")) == [ControlReceived(PING, b"first")]
    assert reader.receive(parts[2] + parts[3] + frame(PING, b"second") + parts[4]) == [
        ControlReceived(PING, b"second"),
        "12345",
    ]


@pieces
@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(HELLO * 3, ["Hello, world!"] * 3, id="7.1.1 messages"),
        pytest.param(HELLO + client.close(1000), ["Hello, world!", CloseReceived(1000, "")], id="7.1.1 and a close"),
        pytest.param(client.close(1000) + frame(CLOSE), [CloseReceived(1000, "")], id="7.1.2 a second close"),
        pytest.param(client.close(1000) + frame(PING), [CloseReceived(1000, "")], id="7.1.3 a ping after the close"),
        pytest.param(client.close(1000) + HELLO, [CloseReceived(1000, "")], id="7.1.4 a text after the close"),
        pytest.param(ONE + client.close(1000) + TWO, [CloseReceived(1000, "")], id="7.1.5 a close inside a message"),
        pytest.param(
            frame(TEXT, b"A" * 60_000) + HELLO + client.close(1000) + frame(PING),
            ["A" * 60_000, "Hello, world!", CloseReceived(1000, "")],
            id="7.1.6 a close behind a big message",
        ),
        pytest.param(frame(CLOSE), [CloseReceived(NO_CODE, "")], id="7.3.1 a close without a code"),
        pytest.param(frame(CLOSE, b"a"), [1002], id="7.3.2 a close with half a code"),
        pytest.param(client.close(1000), [CloseReceived(1000, "")], id="7.3.3 a close with a code"),
        pytest.param(
            client.close(1000, b"Bye \xf0\x9f\x94\x94"), [CloseReceived(1000, "Bye 🔔")], id="7.3.4 and a reason"
        ),
        pytest.param(client.close(1000, b"*" * 123), [CloseReceived(1000, "*" * 123)], id="7.3.5 the longest reason"),
        pytest.param(client.close(1000, b"*" * 124), [1002], id="7.3.6 a reason that is too long"),
        pytest.param(client.close(1000, b"\xce\xba\xed\xa0\x80"), [1007], id="7.5.1 a reason that is not UTF-8"),
        pytest.param(client.close(1000, b"\xce"), [1007], id="a reason that ends inside a character"),
    ],
)
def test_7_close_frames_are_received_or_refused(stream, expected, size):
    if size == BY_1 and len(stream) > 60_000:
        size = 4096
    assert verdict(stream, size) == expected


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4401, 4999])
def test_7_7_valid_close_code_is_received(code):
    assert events_of(client.close(code)) == [CloseReceived(code, "")]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_7_9_and_7_13_other_close_codes_are_a_violation(code):
    assert events_of(client.close(code)) == [ProtocolViolation(1002, "a close frame has no valid code")]


@pieces
@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"\x81\x05Hello", id="an unmasked text"),
        pytest.param(b"\x89\x00", id="an unmasked ping"),
        pytest.param(b"\x81\xfe\x00\x7d" + client.KEY, id="125 bytes announced in two"),
        pytest.param(b"\x81\xff" + (65535).to_bytes(8) + client.KEY, id="65535 bytes announced in eight"),
        pytest.param(b"\x81\xff\x80" + bytes(7) + client.KEY, id="a length with its top bit set"),
        pytest.param(b"\x89\xfe\x00\x05" + client.KEY, id="a ping with a long length"),
    ],
)
def test_frame_that_does_not_follow_the_rfc_is_a_violation(stream, size):
    assert verdict(stream, size) == [1002]


@pytest.mark.parametrize(
    ("beginning", "code"),
    [
        pytest.param(b"\xc1", 1002, id="a reserved bit: one byte"),
        pytest.param(b"\x83", 1002, id="an unknown opcode: one byte"),
        pytest.param(b"\x09", 1002, id="a fragmented ping: one byte"),
        pytest.param(b"\x80", 1002, id="nothing to continue: one byte"),
        pytest.param(b"\x81\x05", 1002, id="no mask: two bytes"),
        pytest.param(b"\x89\xfe", 1002, id="a ping that is too large: two bytes"),
        pytest.param(client.header(TEXT, LIMIT + 1), 1009, id="a message that is too large: its header"),
    ],
)
def test_violation_is_reported_at_the_first_decisive_byte(beginning, code):
    reader = FrameReader(LIMIT)
    assert [item for byte in beginning[:-1] for item in reader.receive(bytes((byte,)))] == []
    [failed] = reader.receive(beginning[-1:])
    assert failed.code == code


@pieces
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_message_may_have_at_most_the_largest_size(opcode, size):
    [whole] = events_of(frame(opcode, b"x" * 300), size, limit=300)
    assert len(whole) == 300
    assert events_of(frame(opcode, b"x" * 301), size, limit=300) == [
        ProtocolViolation(1009, "a message may have 300 bytes")
    ]


def test_violation_is_a_value_as_other_events_are():
    [violation] = events_of(frame(TEXT, b"abcd"), limit=3)
    assert not isinstance(violation, Exception)
    with pytest.raises(AttributeError):
        violation.code = 1000


def test_short_text_is_limited_to_the_largest_size_too():
    assert verdict(frame(TEXT, b"abcd"), limit=3) == [1009]


@pieces
def test_fragments_are_limited_in_total_size(size):
    head = b"".join(client.fragments(TEXT, b"x" * 200, b"y" * 100, b"")[:2])
    assert verdict(head + frame(CONTINUATION), size, limit=300) == ["x" * 200 + "y" * 100]
    assert verdict(head + frame(CONTINUATION, b"z"), size, limit=300) == [1009]


def test_pings_do_not_count_as_part_of_a_message():
    head, tail = client.fragments(BINARY, b"x" * 10, b"")
    assert events_of(head + frame(PING, b"p" * 125) + tail, limit=10) == [
        ControlReceived(PING, b"p" * 125),
        b"x" * 10,
    ]


def test_message_without_a_limit_may_have_any_size():
    assert events_of(frame(BINARY, bytes(200_000)), limit=0) == [bytes(200_000)]


def test_message_has_a_maximum_number_of_fragments():
    parts = client.fragments(TEXT, *[b""] * MAX_FRAGMENTS)
    assert events_of(b"".join(parts)) == [""]
    endless = frame(TEXT, final=False) + frame(CONTINUATION, final=False) * MAX_FRAGMENTS
    assert events_of(endless) == [ProtocolViolation(1008, "a message may have 1024 fragments")]
    assert events_of(b"".join(parts) * 2) == ["", ""]


@pieces
@pytest.mark.parametrize("last", [client.close(1000), b"\xff\xff"], ids=["Closed", "Failed"])
def test_input_after_the_end_is_ignored(last, size):
    reader = FrameReader(LIMIT)
    assert len(reader.receive(ONE + last)) == 1
    for stream in (HELLO, TWO, frame(PING), client.close(1001), b"\xff\xff", b""):
        assert [item for at in range(0, len(stream), size) for item in reader.receive(stream[at : at + size])] == []


def test_empty_input_yields_no_events():
    assert FrameReader(LIMIT).receive(b"") == []


@pytest.mark.parametrize("more", [PING, TEXT])
def test_more_events_in_one_read_than_the_maximum_end_the_reader(more):
    reader = FrameReader(LIMIT, 3)
    allowed = frame(PING, b"1") * 2 + frame(TEXT, b"2")
    assert len(reader.receive(allowed)) == len(reader.receive(allowed)) == 3
    assert reader.receive(allowed + frame(more, b"3") * 1_000)[2:] == ["2", ReaderSignal.FLOOD]
    assert reader.receive(allowed) == []


def test_close_frame_after_the_maximum_of_events_is_received():
    reader = FrameReader(LIMIT, 1)
    assert reader.receive(frame(PING) + client.close(1000))[1:] == [CloseReceived(1000, "")]


def test_small_fragments_count_as_events():
    reader = FrameReader(LIMIT, 3)
    begun, more = frame(TEXT, b"1", final=False), frame(CONTINUATION, b"2", final=False)
    assert reader.receive(begun + more + more) == [ReaderSignal.FRAGMENT] * 3
    assert reader.receive(more * 1_000)[3:] == [ReaderSignal.FLOOD]


def test_large_fragments_count_as_one_message():
    parts = client.fragments(TEXT, *[b"x" * SMALL_FRAGMENT] * 5, b"end")
    assert FrameReader(LIMIT, 1).receive(b"".join(parts)) == ["x" * 5 * SMALL_FRAGMENT + "end"]
