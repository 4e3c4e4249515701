"""Engine.IO v4, the pipe below Socket.IO: packets in and out, how they travel, and its refusals. No I/O.

A packet is one digit and its data; a binary message has no digit. Over WebSocket a packet is a frame; over polling a
body holds many, with U+001E between and binary in base64 behind a `b`.
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
# How a binary packet is told from a text between us and another server's sends: no text packet begins with it.
BINARY_MARK = b"\x04"

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
PROBE, PROBED = b"2probe", b"3probe"
TYPES = frozenset("0123456")


class Broken(Exception):
    """The peer sent what nobody can read: its connection is over."""


class Packet(NamedTuple):
    """What a client sent: the digit, and what stood behind it. A binary message is a `4` with bytes."""

    type: str
    data: str | bytes


class Form(Struct, frozen=True, eq=False):
    """One way packets travel. Compared by identity: there are three, made once."""

    transport: Literal["websocket", "polling"]
    text: Callable[[bytes], bytes]
    binary: Callable[[bytes], bytes]


def _as_is(packet: bytes) -> bytes:
    return packet


def _base64(data: bytes) -> bytes:
    return b"b" + base64.b64encode(data)


def _marked(data: bytes) -> bytes:
    return BINARY_MARK + data


FRAMES = Form("websocket", websocket.text_frame, websocket.binary_frame)  # straight to the socket
SENDS = Form("websocket", _as_is, _marked)  # through another server's sends
BODY = Form("polling", _as_is, _base64)


def reshaped(packet: bytes, form: Form) -> bytes:
    """A packet that waited for a poll, in another form."""
    return form.binary(base64.b64decode(packet[1:])) if packet[:1] == b"b" else form.text(packet)


def read(text: str) -> Packet:
    """The packet in a text frame."""
    if text[:1] not in TYPES or not text:
        raise Broken("An Engine.IO packet begins with a digit from 0 to 6.")
    return Packet(text[0], text[1:])


def read_body(body: bytes) -> Iterator[Packet]:
    """The packets of a POST, in order. How many is the body's matter: bytes are the bound."""
    return map(_read_posted, body.split(SEPARATOR))


def _read_posted(part: bytes) -> Packet:
    try:
        if part[:1] == b"b":
            return Packet("4", base64.b64decode(part[1:], validate=True))
        return read(part.decode())
    except (UnicodeDecodeError, binascii.Error):
        raise Broken("A packet is UTF-8, or b and base64.") from None


class Handshake(Struct, frozen=True):
    """The server's first packet: five keys, durations in whole milliseconds."""

    sid: str
    upgrades: tuple[str, ...]
    pingInterval: int  # noqa: N815 - the protocol's names
    pingTimeout: int  # noqa: N815
    maxPayload: int  # noqa: N815


def opened(handshake: Handshake) -> bytes:
    """The packet that opens a session."""
    return OPEN + msgspec.json.encode(handshake)


class Refusal(Struct, frozen=True):
    """Why there is no session for this request."""

    code: int
    message: str
    status: int = 400

    @property
    def body(self) -> bytes:
        """As clients read it."""
        return msgspec.json.encode({"code": self.code, "message": self.message})


UNKNOWN_TRANSPORT = Refusal(0, "Transport unknown")
UNKNOWN_SESSION = Refusal(1, "Session ID unknown")
BAD_METHOD = Refusal(2, "Bad handshake method")
BAD_REQUEST = Refusal(3, "Bad request")
FORBIDDEN = Refusal(4, "Forbidden", 403)
BAD_VERSION = Refusal(5, "Unsupported protocol version")
