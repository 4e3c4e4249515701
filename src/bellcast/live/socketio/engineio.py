"""Engine.IO v4, the protocol below Socket.IO, without I/O: packets, their encodings, and errors.

A packet is one digit and its data; a binary message has no digit. Over WebSocket a packet is a frame; a polling body
contains several, separated by U+001E, with binary data as `b` and base64.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from bellcast.live.framing import websocket

VERSION = "4"
SEPARATOR = b"\x1e"

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
PROBE, PROBED = b"2probe", b"3probe"
TYPES = frozenset("0123456")


class InvalidPacket(Exception):
    """The peer sent an invalid packet; its connection is closed."""


class EnginePacket(NamedTuple):
    """A client's packet: the digit and the data. A binary message is a `4` with bytes."""

    type: str
    data: str | bytes


class Encoding(Struct, frozen=True, eq=False):
    """Packet encoding for one transport. Compared by identity: the two instances are module constants."""

    transport: Literal["websocket", "polling"]
    text: Callable[[bytes], bytes]
    binary: Callable[[bytes], bytes]
    text_header: Callable[[int], bytes]  # of `text`, by the length of the packet


FRAMES = Encoding("websocket", websocket.text_frame, websocket.binary_frame, websocket.text_header)
POLLING_BODY = Encoding("polling", bytes, lambda data: b"b" + base64.b64encode(data), lambda size: b"")


def reencode(packet: bytes, encoding: Encoding) -> bytes:
    """Convert a packet of a polling body to another encoding."""
    return encoding.binary(base64.b64decode(packet[1:])) if packet[:1] == b"b" else encoding.text(packet)


def read(text: str) -> EnginePacket:
    """Decode a text frame. Raises InvalidPacket."""
    if text[:1] not in TYPES or not text:
        raise InvalidPacket("An Engine.IO packet begins with a digit from 0 to 6.")
    return EnginePacket(text[0], text[1:])


def read_body(body: bytes) -> Iterator[EnginePacket]:
    """Decode the packets of a POST, in order; only the size of the body limits their number. Raises InvalidPacket."""
    start = 0  # one at a time, because half a million parts would use 20 times the memory of the body
    while (end := body.find(SEPARATOR, start)) >= 0:
        yield _read_part(body[start:end])
        start = end + 1
    yield _read_part(body[start:])


def _read_part(part: bytes) -> EnginePacket:
    try:
        if part[:1] == b"b":
            # Java's client ends its base64 with a line feed.
            return EnginePacket("4", base64.b64decode(part[1:].translate(None, b"\r\n"), validate=True))
        return read(part.decode())
    except (UnicodeDecodeError, binascii.Error):
        raise InvalidPacket("A packet is UTF-8, or b and base64.") from None


class OpenPayload(Struct, frozen=True, rename="camel"):
    """The server's first packet: five keys, in camel case on the wire; durations in whole milliseconds."""

    sid: str
    upgrades: tuple[str, ...]
    ping_interval: int
    ping_timeout: int
    max_payload: int


class EngineError(Struct, frozen=True):
    code: int
    message: str
    status: int = 400

    @property
    def body(self) -> bytes:
        return msgspec.json.encode({"code": self.code, "message": self.message})


UNKNOWN_TRANSPORT = EngineError(0, "Transport unknown")
UNKNOWN_SESSION = EngineError(1, "Session ID unknown")
BAD_METHOD = EngineError(2, "Bad handshake method")
BAD_REQUEST = EngineError(3, "Bad request")
FORBIDDEN = EngineError(4, "Forbidden", 403)
BAD_VERSION = EngineError(5, "Unsupported protocol version")
