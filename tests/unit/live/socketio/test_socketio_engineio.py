"""Engine.IO packets as tables."""

import base64

import pytest

from bellcast.live.socketio import protocol
from bellcast.live.socketio.protocol import (
    FRAMES,
    POLLING_BODY,
    EnginePacket,
    InvalidPacket,
)


@pytest.mark.parametrize(("text", "packet"), [("2probe", ("2", "probe")), ("4", ("4", "")), ("4é\n", ("4", "é\n"))])
def test_text_packet_is_a_digit_and_its_data(text: str, packet: tuple[str, str]) -> None:
    assert protocol.read_text(text) == packet


@pytest.mark.parametrize("text", ["", "7", "a", "²", " 4"])
def test_text_packet_without_a_digit_is_invalid(text: str) -> None:
    with pytest.raises(InvalidPacket):
        protocol.read_text(text)


@pytest.mark.thorough
def test_body_holds_any_number_of_packets() -> None:
    assert list(protocol.read_body(b"4a\x1e3\x1ebAQIDBA==\x1e4")) == [
        EnginePacket("4", "a"), EnginePacket("3", ""), EnginePacket("4", b"\x01\x02\x03\x04"), EnginePacket("4", ""),
    ]  # fmt: skip
    assert len(list(protocol.read_body(b"\x1e".join([b"4x"] * 5000)))) == 5000


@pytest.mark.parametrize("part", [b"bAQIDBA==\n", b"bAQID\r\nBA==\r\n"])
def test_base64_of_a_body_may_contain_line_breaks(part: bytes) -> None:
    assert list(protocol.read_body(part + b"\x1e4")) == [EnginePacket("4", b"\x01\x02\x03\x04"), EnginePacket("4", "")]


@pytest.mark.parametrize("body", [b"", b"\x1e", b"4a\x1e", b"abc", b"4\xff", b"b!!!", b"bAQ", b"4a\x1e\x1e4b"])
def test_body_with_one_unreadable_packet_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidPacket):
        list(protocol.read_body(body))


def test_packet_pending_for_a_poll_moves_to_a_websocket_unchanged() -> None:
    assert protocol.reencode(POLLING_BODY.text(b'42["a"]'), FRAMES) == FRAMES.text(b'42["a"]')
    data = bytes(range(256))
    assert POLLING_BODY.binary(data) == b"b" + base64.b64encode(data)
    assert protocol.reencode(POLLING_BODY.binary(data), FRAMES) == FRAMES.binary(data)


def test_refusal_is_an_object_with_a_code_and_a_message() -> None:
    assert protocol.UNKNOWN_SESSION.body == b'{"code":1,"message":"Session ID unknown"}'
    codes = [
        protocol.UNKNOWN_TRANSPORT, protocol.UNKNOWN_SESSION, protocol.BAD_METHOD,
        protocol.BAD_REQUEST, protocol.FORBIDDEN, protocol.BAD_VERSION,
    ]  # fmt: skip
    assert [one.code for one in codes] == [0, 1, 2, 3, 4, 5]
