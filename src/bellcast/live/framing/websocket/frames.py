"""Frames of RFC 6455 (5.2, 5.5, 7.4): constants, and encoding of server frames, which are unfragmented and unmasked."""

import struct
from typing import Final

FINAL: Final = 0x80
RESERVED: Final = 0x70

CONTINUATION_OPCODE: Final = 0x0
TEXT_OPCODE: Final = 0x1
BINARY_OPCODE: Final = 0x2
CLOSE_OPCODE: Final = 0x8
PING_OPCODE: Final = 0x9
PONG_OPCODE: Final = 0xA

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
    return _header(TEXT_OPCODE, len(payload)) + payload


def text_header(size: int) -> bytes:
    """Encode what precedes the payload of a text message."""
    return _header(TEXT_OPCODE, size)


def binary_frame(payload: bytes) -> bytes:
    return _header(BINARY_OPCODE, len(payload)) + payload


def ping_frame(data: bytes) -> bytes:
    return _control_frame(PING_OPCODE, data)


def pong_frame(data: bytes) -> bytes:
    return _control_frame(PONG_OPCODE, data)


def close_frame(code: int, reason: str = "") -> bytes:
    """Encode a close frame; `NO_CODE` yields an empty one. A reason over 123 bytes is truncated between characters."""
    if code == NO_CODE:
        return _control_frame(CLOSE_OPCODE, b"")
    if not is_sendable_code(code):
        raise ValueError(f"close code {code} may not be sent")
    fitting = reason.encode(errors="replace")[: CONTROL_LIMIT - 2].decode(errors="ignore")
    return _control_frame(CLOSE_OPCODE, code.to_bytes(2) + fitting.encode())


def is_sendable_code(code: int) -> bool:
    """1000 to 1014 are protocol codes, three of which are reserved; 3000 to 4999 are for libraries and applications."""
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))


def _control_frame(opcode: int, data: bytes) -> bytes:
    if len(data) > CONTROL_LIMIT:
        raise ValueError(f"a control frame has at most {CONTROL_LIMIT} bytes, not {len(data)}")
    return _header(opcode, len(data)) + data


def _header(opcode: int, size: int) -> bytes:
    if size < TWO_BYTES_FOLLOW:
        return b"%c%c" % (FINAL | opcode, size)
    if size < 1 << 16:
        return struct.pack("!BBH", FINAL | opcode, TWO_BYTES_FOLLOW, size)
    return struct.pack("!BBQ", FINAL | opcode, EIGHT_BYTES_FOLLOW, size)
