"""Frames of a server are whole, unmasked, and as short as they can be."""

import pytest

from bellcast.live.framing import websocket


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, "81 00"),
        (125, "81 7d"),
        (126, "81 7e 00 7e"),
        (65535, "81 7e ff ff"),
        (65536, "81 7f 00 00 00 00 00 01 00 00"),
    ],
)
def test_length_is_written_in_the_shortest_form(size, header):
    assert websocket.text_frame(b"x" * size) == bytes.fromhex(header) + b"x" * size


@pytest.mark.parametrize(
    ("frame", "written"),
    [
        pytest.param(websocket.text_frame(b"Hello"), b"\x81\x05Hello", id="text"),
        pytest.param(websocket.binary_frame(b"\x00\xff"), b"\x82\x02\x00\xff", id="binary"),
        pytest.param(websocket.PING, b"\x89\x00", id="the empty ping"),
        pytest.param(websocket.control_frame(websocket.PING_OPCODE, b"7"), b"\x89\x017", id="ping"),
        pytest.param(websocket.control_frame(websocket.PONG_OPCODE, b"7"), b"\x8a\x017", id="pong"),
        pytest.param(websocket.close_frame(4401, "revoked"), b"\x88\x09\x11\x31revoked", id="close"),
        pytest.param(websocket.close_frame(1000), b"\x88\x02\x03\xe8", id="close without a reason"),
        pytest.param(websocket.close_frame(websocket.NO_CODE), b"\x88\x00", id="close without a code"),
    ],
)
def test_frame_of_each_kind_has_the_expected_bytes(frame, written):
    assert frame == written


def test_control_frame_holds_at_most_125_bytes():
    assert websocket.control_frame(websocket.PING_OPCODE, b"x" * 125)[1] == 125
    with pytest.raises(ValueError, match="at most 125 bytes, not 126"):
        websocket.control_frame(websocket.PONG_OPCODE, b"x" * 126)


@pytest.mark.parametrize(
    ("reason", "fitting"),
    [
        ("r" * 123, "r" * 123),
        ("r" * 124, "r" * 123),
        ("é" * 62, "é" * 61),
        ("r" * 122 + "🔔", "r" * 122),
        ("r" * 119 + "🔔", "r" * 119 + "🔔"),
        ("\ud800", "?"),
    ],
)
def test_close_reason_is_cut_to_123_bytes_between_two_characters(reason, fitting):
    assert websocket.close_frame(1000, reason)[4:].decode() == fitting


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2999, 5000, 65536])
def test_forbidden_close_code_is_an_internal_error(code):
    with pytest.raises(ValueError, match=f"{code} may not be sent"):
        websocket.close_frame(code)
