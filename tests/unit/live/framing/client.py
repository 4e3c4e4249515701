"""Build a WebSocket client's frames byte for byte, including invalid ones."""

import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
KEY = b"\x12\x9a\xf0\x07"


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, key: bytes = KEY) -> bytes:
    return header(opcode, len(payload), final=final, reserved=reserved) + key + masked(payload, key)


def header(opcode: int, length: int, *, final: bool = True, reserved: int = 0) -> bytes:
    """All but the masking key and the payload, with the length written the shortest way."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    if length < 126:
        return bytes((first, 0x80 | length))
    return struct.pack("!BBH", first, 0xFE, length) if length < 65536 else struct.pack("!BBQ", first, 0xFF, length)


def masked(payload: bytes, key: bytes = KEY) -> bytes:
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


def fragments(opcode: int, *parts: bytes) -> list[bytes]:
    """The parts of one message, a frame each."""
    last = len(parts) - 1
    return [frame(CONTINUATION if at else opcode, part, final=at == last) for at, part in enumerate(parts)]
