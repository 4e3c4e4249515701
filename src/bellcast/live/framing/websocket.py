"""Strict server side of WebSocket (RFC 6455): handshake, outbound frames, inbound messages."""

import binascii
import codecs
import hashlib
import struct
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, TypeAlias

import msgspec

from bellcast.kernel.errors import BadRequest, UpgradeRequired
from bellcast.live.framing import HeaderFields, lines

# --- frames (5.2, 5.5, 7.4): those of the server are unfragmented and unmasked

FINAL: Final = 0x80
RESERVED: Final = 0x70

CONTINUATION_OPCODE: Final = 0x0
TEXT_OPCODE: Final = 0x1
BINARY_OPCODE: Final = 0x2
CLOSE_OPCODE: Final = 0x8
PING_OPCODE: Final = 0x9
PONG_OPCODE: Final = 0xA

NORMAL: Final = 1000
PROTOCOL_ERROR: Final = 1002
NO_CODE: Final = 1005  # represents a close frame without a code; never sent
NOT_UTF8: Final = 1007
POLICY: Final = 1008
TOO_LARGE: Final = 1009

CONTROL_LIMIT: Final = 125
# Values of the 7-bit length field above 125: the length follows in 2 or 8 bytes.
TWO_BYTES_FOLLOW: Final = 126
EIGHT_BYTES_FOLLOW: Final = 127

PING: Final = b"\x89\x00"


def text_frame(payload: bytes) -> bytes:
    """Encode a text message; the payload must be UTF-8."""
    size = len(payload)
    return b"\x81%c%b" % (size, payload) if size < TWO_BYTES_FOLLOW else _header(TEXT_OPCODE, size) + payload


def text_header(size: int) -> bytes:
    """Encode what precedes the payload of a text message."""
    return _header(TEXT_OPCODE, size)


def binary_frame(payload: bytes) -> bytes:
    return _header(BINARY_OPCODE, len(payload)) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Encode a close frame; `NO_CODE` yields an empty one. A reason over 123 bytes is truncated between characters."""
    if code == NO_CODE:
        return control_frame(CLOSE_OPCODE, b"")
    if not is_sendable_code(code):
        raise ValueError(f"close code {code} may not be sent")
    fitting = reason.encode(errors="replace")[: CONTROL_LIMIT - 2].decode(errors="ignore")
    return control_frame(CLOSE_OPCODE, code.to_bytes(2) + fitting.encode())


def is_sendable_code(code: int) -> bool:
    """1000 to 1014 are protocol codes, three of which are reserved; 3000 to 4999 are for libraries and applications."""
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))


def control_frame(opcode: int, data: bytes) -> bytes:
    """Encode a ping, a pong or a close frame."""
    if len(data) > CONTROL_LIMIT:
        raise ValueError(f"a control frame has at most {CONTROL_LIMIT} bytes, not {len(data)}")
    return _header(opcode, len(data)) + data


def _header(opcode: int, size: int) -> bytes:
    if size < TWO_BYTES_FOLLOW:
        return b"%c%c" % (FINAL | opcode, size)
    if size < 1 << 16:
        return struct.pack("!BBH", FINAL | opcode, TWO_BYTES_FOLLOW, size)
    return struct.pack("!BBQ", FINAL | opcode, EIGHT_BYTES_FOLLOW, size)


def client_frame(opcode: int, payload: bytes) -> bytes:
    """Encode a frame of a client, with a mask of zeros."""
    header = _header(opcode, len(payload))
    return b"%c%c%b\0\0\0\0%b" % (header[0], header[1] | _MASKED, header[2:], payload)


def sent_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the opcodes and payloads of whole frames that this module has encoded."""
    at = 0
    while at < len(data):
        opcode, size, start = data[at] & 0x0F, data[at + 1], at + 2
        if size >= TWO_BYTES_FOLLOW:
            start += 2 if size == TWO_BYTES_FOLLOW else 8
            size = int.from_bytes(data[at + 2 : start])
        at = start + size
        yield opcode, data[start:at]


# --- the opening handshake (4.2). No extension or subprotocol is negotiated: those that a client offers are ignored.


_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n%b\r\n"
SPACES = b" \t"  # whitespace around a header's value, which some servers keep


def check_upgrade(method: str, http_version: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return the key of a handshake request. Header names are lower-case and may be repeated, as in ASGI. Raises BadRequest
    and UpgradeRequired."""
    fields = dict(headers)
    if len(fields) < len(headers):  # join repeated lines into one list (RFC 9110, 5.3)
        repeated: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            repeated.setdefault(name, []).append(value)
        fields = {name: b", ".join(values) for name, values in repeated.items()}
    if not _lists(fields, b"upgrade", b"websocket"):
        raise UpgradeRequired("This path accepts WebSocket only.")
    if fields.get(b"sec-websocket-version", b"").strip(SPACES) != b"13":
        raise UpgradeRequired("Sec-WebSocket-Version must be 13.")
    if method != "GET" or http_version != "1.1":
        raise BadRequest("A WebSocket handshake is an HTTP/1.1 GET.")
    if not _lists(fields, b"connection", b"upgrade"):
        raise BadRequest("Connection: Upgrade is missing; a proxy on the way may have removed it.")
    if not fields.get(b"host"):
        raise BadRequest("Host is missing.")
    if fields[b"host"].count(b","):
        raise BadRequest("Send exactly one Host header.")
    # Bellcast would read the bytes after the head as frames, a proxy as a body: request smuggling.
    if b"transfer-encoding" in fields or fields.get(b"content-length", b"0").strip(SPACES) != b"0":
        raise BadRequest("A WebSocket handshake has no body.")
    key = fields.get(b"sec-websocket-key", b"").strip(SPACES)
    try:
        size = len(binascii.a2b_base64(key, strict_mode=True))
    except binascii.Error:
        size = 0
    if size != 16:
        raise BadRequest("Sec-WebSocket-Key must be 16 bytes in base64.")
    return key


def response(key: bytes, extra: HeaderFields = (), own_line: bytes = b"") -> bytes:
    """Encode the 101 response to a handshake's key, with `extra` headers and an encoded header line."""
    accepted = binascii.b2a_base64(hashlib.sha1(key + _GUID, usedforsecurity=False).digest(), newline=False)
    return _SWITCHING % (accepted, (lines(extra) if extra else b"") + own_line)


def _lists(fields: dict[bytes, bytes], name: bytes, token: bytes) -> bool:
    """True if a header's list contains a token."""
    value = fields.get(name, b"").lower()
    return value == token or token in [item.strip(SPACES) for item in value.split(b",")]


# --- the incremental reader of client frames

# Browsers fragment messages into 64 KiB or more, so only an attack reaches this limit.
MAX_FRAGMENTS: Final = 1024
# A fragment with fewer bytes counts as a separate event: each takes 2 µs, so 200 messages of 1,024 empty fragments
# would take 0.4 s. Clients and proxies that divide messages send at least a network packet, 1,400 bytes.
SMALL_FRAGMENT: Final = 512

_LARGEST: Final = (1 << 63) - 1  # the most significant bit of a length must be 0
_WHOLE_TEXT: Final = FINAL | TEXT_OPCODE
_MASKED: Final = 0x80
_OPCODES: Final = frozenset((0x0, 0x1, 0x2, 0x8, 0x9, 0xA))


class ControlReceived(msgspec.Struct, frozen=True, gc=False):
    """A ping or a pong."""

    opcode: int
    data: bytes


class CloseReceived(msgspec.Struct, frozen=True, gc=False):
    """A close frame: respond with the same code (`NO_CODE` if it had none)."""

    code: int
    reason: str


class ProtocolViolation(msgspec.Struct, frozen=True, gc=False):
    """An invalid frame, for which the connection is closed with this code. The reason is for the client's developer."""

    code: int
    reason: str


class ReaderSignal(Enum):
    """`FRAGMENT`: a small fragment that is not the last of its message, reported only by a reader with `max_events`. `FLOOD`:
    one read had more events than these."""

    FRAGMENT = auto()
    FLOOD = auto()


# The first two are messages.
ReaderEvent: TypeAlias = str | bytes | ControlReceived | CloseReceived | ProtocolViolation | ReaderSignal


class FrameReader:
    """Parses a client's bytes into events. Ignores all input after CloseReceived, ProtocolViolation or a flood.

    `max_size` limits a message over all its fragments (0: no limit); a larger frame is refused on its header. Errors are
    detected at the first byte that makes them certain, so the events do not depend on how the input is split.
    `max_events` limits the events of one call (0: no limit), because parsing 1 MB of empty frames takes 0.4 s. With it,
    small fragments are events too.
    """

    __slots__ = ("_is_finished", "_max_events", "_message", "_rest", "max_size")

    def __init__(self, max_size: int, max_events: int = 0) -> None:
        self.max_size = max_size or _LARGEST
        self._max_events = max_events or _LARGEST
        self._message: _Message | None = None
        # An incomplete header or control frame, at most 130 bytes; payloads are appended to their message directly.
        self._rest = b""
        self._is_finished = False

    def receive(self, data: bytes) -> list[ReaderEvent]:
        """Return the events completed by these bytes, in order."""
        received: list[ReaderEvent] = []
        try:
            # Fast path: nearly all input is one short text message in one read, which needs no state.
            size = len(data) - 6
            if (
                self._message is None
                and not self._rest
                and not self._is_finished
                and 0 <= size < TWO_BYTES_FOLLOW
                and size <= self.max_size
                and data[0] == _WHOLE_TEXT
                and data[1] == _MASKED | size
            ):
                received.append(_utf8(_unmask(data[2:6], data[6:])))
                return received
            data, self._rest, at = self._rest + data, b"", 0
            while at < len(data) and not self._is_finished:
                if self._message is not None and self._message.awaited:
                    at = self._payload(self._message, data, at, received)
                elif (end := self._frame(data, at, received)) is not None:
                    at = end
                else:
                    self._rest = data[at:]
                    break
                if len(received) > self._max_events and not self._is_finished:
                    received[-1] = ReaderSignal.FLOOD
                    self.stop()
        except _FrameError as error:
            received.append(error.violation)
            self.stop()
        return received

    def stop(self) -> None:
        """Ignore all further input."""
        self._is_finished, self._message, self._rest = True, None, b""

    def _frame(self, data: bytes, at: int, received: list[ReaderEvent]) -> int | None:
        """Read the frame at this offset. Return the offset after it, or None if more input is needed."""
        first = data[at]
        opcode = first & 0x0F
        if first & RESERVED:
            raise _protocol_error("reserved bits are set, but no extension was agreed on")
        if opcode not in _OPCODES:
            raise _protocol_error(f"opcode {opcode} is unknown")
        if opcode >= CLOSE_OPCODE and first < FINAL:
            raise _protocol_error("a control frame is fragmented")
        if opcode == CONTINUATION_OPCODE and self._message is None:
            raise _protocol_error("there is no message to continue")
        if CONTINUATION_OPCODE < opcode < CLOSE_OPCODE and self._message is not None:
            raise _protocol_error("a new message began before the previous one was complete")
        if (measured := _length(data, at, opcode)) is None:
            return None
        length, start = measured
        if opcode < CLOSE_OPCODE:
            # Begin a data frame, which may be the first of a message, and read the available payload
            message = self._message or _Message(is_text=first & 0x0F == TEXT_OPCODE)
            message.check_room(length, self.max_size)
            if len(data) < start:
                return None
            is_final = first >= FINAL
            message.begin_frame(data[start - 4 : start], length, is_final=is_final)
            self._message = message
            if not is_final and length < SMALL_FRAGMENT and self._max_events != _LARGEST:
                received.append(ReaderSignal.FRAGMENT)
            return self._payload(message, data, start, received)
        end = start + length
        if len(data) < end:
            return None
        payload = _unmask(data[start - 4 : start], data[start:end])
        if opcode != CLOSE_OPCODE:
            received.append(ControlReceived(opcode, payload))
        elif not payload:
            received.append(CloseReceived(NO_CODE, ""))
            self.stop()
        else:
            code = int.from_bytes(payload[:2])  # a single byte yields an invalid code below 256
            if not is_sendable_code(code):
                raise _protocol_error("a close frame has no valid code")
            received.append(CloseReceived(code, _utf8(payload[2:])))
            self.stop()
        return end

    def _payload(self, message: "_Message", data: bytes, at: int, received: list[ReaderEvent]) -> int:
        """Read the available payload of the current frame; append the message if it is complete."""
        end = min(at + message.awaited, len(data))
        message.add(data[at:end])
        if message.is_whole():
            self._message = None
            received.append(message.received())
        return end


class _Message(msgspec.Struct, eq=False):
    """An incomplete text or binary message."""

    is_text: bool
    awaited: int = 0
    _content: bytearray = msgspec.field(default_factory=bytearray)
    _checked: int = 0  # length of the prefix that is valid UTF-8
    _fragments: int = 0
    _is_final: bool = False
    _key: bytes = b""

    def check_room(self, length: int, max_size: int) -> None:
        if len(self._content) + length > max_size:
            raise _FrameError(TOO_LARGE, f"a message may have {max_size} bytes")
        if self._fragments == MAX_FRAGMENTS:
            raise _FrameError(POLICY, f"a message may have {MAX_FRAGMENTS} fragments")

    def begin_frame(self, key: bytes, length: int, *, is_final: bool) -> None:
        self._key, self.awaited, self._is_final = key, length, is_final
        self._fragments += 1

    def add(self, masked: bytes) -> None:
        self._content += _unmask(self._key, masked)
        self.awaited -= len(masked)
        turn = len(masked) % 4
        self._key = self._key[turn:] + self._key[:turn]
        if self.is_text and not self.is_whole():
            # Refuse input that cannot become valid UTF-8. Each byte is decoded once, except those of a split character.
            unchecked = self._content[self._checked :]
            try:
                known = codecs.utf_8_decode(unchecked)[1]  # without a split last character
            except UnicodeDecodeError:
                raise _not_utf8() from None
            # Python accepts two bytes of a surrogate and waits for the third; the second byte makes it invalid.
            if unchecked[known : known + 1] == b"\xed" and unchecked[known + 1 :] >= b"\xa0":
                raise _not_utf8()
            self._checked += known

    def is_whole(self) -> bool:
        return self._is_final and not self.awaited

    def received(self) -> str | bytes:
        return _utf8(self._content) if self.is_text else bytes(self._content)


class _FrameError(Exception):
    """Ends the reading of frames at a violation."""

    def __init__(self, code: int, reason: str) -> None:
        self.violation = ProtocolViolation(code, reason)


def _length(data: bytes, at: int, opcode: int) -> tuple[int, int] | None:
    """Return the length of the payload and the offset after its masking key; None if more input is needed."""
    if len(data) < at + 2:
        return None
    length = data[at + 1] - _MASKED
    if length < 0:
        raise _protocol_error("a client's frame is not masked")
    if length < TWO_BYTES_FOLLOW:
        return length, at + 6
    if opcode >= CLOSE_OPCODE:
        raise _protocol_error(f"a control frame has more than {CONTROL_LIMIT} bytes")
    width = 2 if length == TWO_BYTES_FOLLOW else 8
    field = data[at + 2 : at + 2 + width]
    if len(field) < width:
        return None
    length = int.from_bytes(field)
    if length < (TWO_BYTES_FOLLOW if width == 2 else 1 << 16):
        raise _protocol_error("a length is not encoded in the shortest form")
    if length > _LARGEST:
        raise _protocol_error("a length has its top bit set")
    return length, at + 2 + width + 4


def _unmask(key: bytes, payload: bytes) -> bytes:
    """XOR with the repeated key, as two big integers: 0.5 µs for 100 bytes, 1.8 ms for 1 MB."""
    size = len(payload)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(keys)).to_bytes(size)


def _utf8(payload: bytes | bytearray) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise _not_utf8() from None


def _not_utf8() -> _FrameError:
    return _FrameError(NOT_UTF8, "text is not UTF-8")


def _protocol_error(reason: str) -> _FrameError:
    return _FrameError(PROTOCOL_ERROR, reason)
