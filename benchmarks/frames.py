"""Parsers for bytes received from a server. Pure: no socket, no clock.

Every parser takes the data received so far and returns the complete items in it and the number of bytes consumed; the
caller keeps the rest.
"""

from collections.abc import Callable
from typing import NamedTuple

TEXT = 0x1
CLOSE = 0x8
PING = 0x9
PONG = 0xA


class ReceivedFrame(NamedTuple):
    opcode: int
    payload: bytes


Split = Callable[[bytes], tuple[list[ReceivedFrame], int]]


class HttpReply(NamedTuple):
    status: int
    body: bytes


class Head(NamedTuple):
    status: int
    chunked: bool
    size: int


def head(data: bytes) -> Head | None:
    """Parse the head of an HTTP response; None while it is incomplete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    return Head(int(data[9:12]), b"\r\ntransfer-encoding: chunked" in data[:end].lower(), end + 4)


def websocket(data: bytes) -> tuple[list[ReceivedFrame], int]:
    """Parse unmasked frames. Fragments are not joined: the measured servers send none."""
    frames: list[ReceivedFrame] = []
    start = 0
    while (end := _frame_end(data, start)) is not None:
        body, stop = end
        frames.append(ReceivedFrame(data[start] & 0x0F, data[body:stop]))
        start = stop
    return frames, start


def _frame_end(data: bytes, start: int) -> tuple[int, int] | None:
    """Return start and end of the frame's payload; None while it is incomplete."""
    if len(data) < start + 2:
        return None
    size = data[start + 1] & 0x7F
    extra = {126: 2, 127: 8}.get(size, 0)
    body = start + 2 + extra
    if extra:
        size = int.from_bytes(data[start + 2 : body], "big")
    return (body, body + size) if body <= len(data) and body + size <= len(data) else None


def events(data: bytes) -> tuple[list[ReceivedFrame], int]:
    """Parse server-sent events of an unchunked body. Blocks without data (comments, `retry`) are skipped."""
    blocks = data.split(b"\n\n")
    rest = blocks.pop()
    parsed = [ReceivedFrame(TEXT, block) for block in blocks if block.startswith(b"data:") or b"\ndata:" in block]
    return parsed, len(data) - len(rest)


def chunked_events(data: bytes) -> tuple[list[ReceivedFrame], int]:
    """Parse server-sent events of a chunked body. An event may span chunks, so only chunks up to the end of a complete
    event
    count as consumed."""
    body = whole = b""
    start = consumed = 0
    while (chunk := _chunk_end(data, start)) is not None:
        begin, stop = chunk
        body += data[begin:stop]
        start = stop + 2
        if body.endswith(b"\n\n"):
            consumed, whole = start, body
    return events(whole)[0], consumed


def _chunk_end(data: bytes, start: int) -> tuple[int, int] | None:
    line = data.find(b"\r\n", start)
    if line < 0:
        return None
    size = int(data[start:line].split(b";")[0], 16)
    stop = line + 2 + size
    return (line + 2, stop) if stop + 2 <= len(data) else None


def response(data: bytes) -> tuple[HttpReply, int] | None:
    """Parse an HTTP response that has a Content-Length, is chunked, or has no body (204, 304); None while
    incomplete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    fields = data[:end].lower()
    at = fields.find(b"\r\ncontent-length:")
    if at < 0 and b"\r\ntransfer-encoding: chunked" in fields:
        return _chunked_response(data, end + 4)
    size = int(fields[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    stop = end + 4 + size
    return (HttpReply(int(data[9:12]), data[end + 4 : stop]), stop) if stop <= len(data) else None


def _chunked_response(data: bytes, start: int) -> tuple[HttpReply, int] | None:
    status, body = int(data[9:12]), b""
    while (chunk := _chunk_end(data, start)) is not None:
        begin, stop = chunk
        if begin == stop:
            return HttpReply(status, body), stop + 2
        body += data[begin:stop]
        start = stop + 2
    return None


def pong(ping: ReceivedFrame) -> bytes:
    return _masked(PONG, ping.payload)


def text_frame(text: bytes) -> bytes:
    return _masked(TEXT, text)


def _masked(opcode: int, payload: bytes) -> bytes:
    """Build a masked frame of at most 65,535 bytes. The mask is zero, since loopback has no intermediaries to
    protect."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + length + bytes(4) + payload


# Normal closure (1000).
CLOSE_FRAME = _masked(CLOSE, b"\x03\xe8")
