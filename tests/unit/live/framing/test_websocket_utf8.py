"""Text that is not UTF-8 closes the connection, at the first byte that makes it invalid: group 6 of Autobahn."""

from itertools import product

import pytest

from bellcast.live.framing.websocket import FrameReader, ProtocolViolation

from . import client
from .client import TEXT, frame

KOSME = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"  # Greek, with a letter of three bytes
SURROGATE = KOSME + b"\xed\xa0\x80edited"
TOO_HIGH = KOSME + b"\xf4\x90\x80\x80edited"
REFUSED = [ProtocolViolation(1007, "text is not UTF-8")]

VALID = {
    "6.5 mixed lengths": [
        b"hello\x24world",
        b"hello\xc2\xa2world",
        b"hello\xe2\x82\xacworld",
        b"\xf0\xa4\xad\xa2",
        KOSME,
    ],
    "6.6 whole prefixes": [KOSME[:2], KOSME[:5], KOSME[:7], KOSME[:9]],
    "6.7 the first of each length": [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"],
    "6.9 the last of each length": [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
    "6.11 around the surrogates": [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd"],
    "6.22 non-characters": [
        (plane << 16 | last).to_bytes(4, "little").decode("utf-32-le").encode()
        for plane in range(17)
        for last in (0xFFFE, 0xFFFF)
    ],
    "6.23 specials": [b"\xef\xbf" + bytes((last,)) for last in range(0xB9, 0xC0)],
}
INVALID = {
    "6.6 cut prefixes": [KOSME[:1], KOSME[:3], KOSME[:4], KOSME[:6], KOSME[:8], KOSME[:10]],
    "6.8 the first of five and six bytes": [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    "6.10 the last beyond Unicode": [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"],
    "6.11 the first beyond Unicode": [b"\xf4\x90\x80\x80"],
    "6.12 stray continuation bytes": [
        b"\x80",
        b"\xbf",
        *(b"\x80\xbf" * n for n in (1, 2, 3)),
        bytes(range(0x80, 0xBF)),
    ],
    "6.13 starts without a rest": [bytes((start, 0x20)) for start in range(0xC0, 0xFE)],
    "6.14 the last byte missing": [b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf"],
    "6.15 several of those": [b"\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf"],
    "6.16 impossible bytes": [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    "6.17 an ASCII character too long": [b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf"],
    "6.18 the longest of those": [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf"],
    "6.19 NUL too long": [b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80"],
    "6.20 single surrogates": [b"\xed" + bytes(rest) for rest in product((0xA0, 0xAD, 0xAE, 0xB0, 0xBF), (0x80, 0xBF))],
    "6.21 paired surrogates": [b"\xed\xa0\x80\xed\xb0\x80", b"\xed\xad\xbf\xed\xbf\xbf", b"\xed\xae\x80\xed\xb0\x80"],
}


def rows(table):
    return [pytest.param(text, id=f"{group}: {text.hex(' ')}") for group, texts in table.items() for text in texts]


def in_one_byte_fragments(text):
    return b"".join(client.fragments(TEXT, *(text[at : at + 1] for at in range(len(text)))))


@pytest.mark.parametrize("text", rows(VALID))
def test_valid_utf8_is_accepted(text):
    assert FrameReader(1000).receive(frame(TEXT, text)) == [text.decode()]
    assert FrameReader(1000).receive(in_one_byte_fragments(text)) == [text.decode()]


@pytest.mark.parametrize("text", rows(INVALID))
def test_invalid_utf8_is_refused(text):
    assert FrameReader(1000).receive(frame(TEXT, text)) == REFUSED
    assert FrameReader(1000).receive(in_one_byte_fragments(text)) == REFUSED


def test_6_1_fragments_may_be_empty():
    assert FrameReader(10).receive(b"".join(client.fragments(TEXT, b"", b"", b""))) == [""]
    assert FrameReader(10).receive(b"".join(client.fragments(TEXT, b"", b"middle", b""))) == ["middle"]


@pytest.mark.parametrize("at", range(1, len(KOSME)))
def test_6_2_fragments_may_end_inside_a_character(at):
    assert FrameReader(100).receive(b"".join(client.fragments(TEXT, KOSME[:at], KOSME[at:]))) == [KOSME.decode()]


@pytest.mark.parametrize("text", [SURROGATE, TOO_HIGH])
def test_6_3_and_6_4_fragment_with_the_decisive_byte_is_refused(text):
    reader = FrameReader(100)
    assert reader.receive(frame(TEXT, text[:12], final=False)) == []
    assert reader.receive(frame(client.CONTINUATION, text[12:13], final=False)) == REFUSED


@pytest.mark.parametrize("text", [SURROGATE, TOO_HIGH])
def test_6_4_decisive_byte_in_the_middle_of_a_frame_is_refused(text):
    reader = FrameReader(100)
    whole = frame(TEXT, text)
    decisive = len(whole) - len(text) + 12
    assert [reader.receive(whole[at : at + 1]) for at in range(decisive)] == [[]] * decisive
    assert reader.receive(whole[decisive : decisive + 1]) == REFUSED


def test_start_of_a_character_is_refused_only_if_nothing_can_complete_it():
    beginnings = {character[:length] for character in every_character() for length in (1, 2, 3)}
    for beginning in map(bytes, [*((a,) for a in range(256)), *product(range(0xC0, 256), range(256))]):
        outcome = FrameReader(100).receive(frame(TEXT, beginning, final=False))
        assert (outcome == []) == (beginning in beginnings), beginning


def every_character():
    """One of every 64 characters suffices: the last byte takes all 64 values after any preceding bytes. Every pair of
    ASCII and any other start of a second character is included too."""
    characters = [chr(point).encode() for point in range(0, 0x110000, 64) if not 0xD800 <= point < 0xE000]
    ascii_characters = [bytes((byte,)) for byte in range(128)]
    two_byte_ones = [bytes(pair) for pair in product(range(0xC2, 0xE0), range(0x80, 0xC0))]
    return characters + ascii_characters + two_byte_ones


def test_utf8_state_is_reset_after_each_message():
    reader = FrameReader(100)
    assert reader.receive(frame(TEXT, KOSME)) == [KOSME.decode()]
    assert reader.receive(frame(TEXT, KOSME[1:])) == REFUSED
