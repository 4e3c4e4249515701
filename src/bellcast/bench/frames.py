"""Bytes as they come from a server, taken apart. Pure: no socket, no clock.

Every function takes what has arrived so far and answers with the whole things in it and how many bytes they
took, so that the caller keeps the rest for next time.
"""

from collections.abc import Callable
from typing import NamedTuple

TEXT = 0x1
CLOSE = 0x8
PING = 0x9
PONG = 0xA


class Frame(NamedTuple):
    opcode: int
    payload: bytes


Split = Callable[[bytes], tuple[list[Frame], int]]


class Answer(NamedTuple):
    status: int
    body: bytes


class Head(NamedTuple):
    status: int
    chunked: bool
    size: int


def head(data: bytes) -> Head | None:
    """The head of an HTTP answer, once it is all there."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    return Head(int(data[9:12]), b"\r\ntransfer-encoding: chunked" in data[:end].lower(), end + 4)


def websocket(data: bytes) -> tuple[list[Frame], int]:
    """Unmasked frames. Fragments are not joined: no server measured here sends any."""
    frames: list[Frame] = []
    start = 0
    while (end := _frame_end(data, start)) is not None:
        body, stop = end
        frames.append(Frame(data[start] & 0x0F, data[body:stop]))
        start = stop
    return frames, start


def _frame_end(data: bytes, start: int) -> tuple[int, int] | None:
    """Where the frame's payload begins and ends, when all of it is there."""
    if len(data) < start + 2:
        return None
    size = data[start + 1] & 0x7F
    extra = {126: 2, 127: 8}.get(size, 0)
    body = start + 2 + extra
    if extra:
        size = int.from_bytes(data[start + 2 : body], "big")
    return (body, body + size) if body <= len(data) and body + size <= len(data) else None


def events(data: bytes) -> tuple[list[Frame], int]:
    """Server-sent events in a body that comes as it is. What has no data (comments, `retry`) is no event."""
    blocks = data.split(b"\n\n")
    rest = blocks.pop()
    heard = [Frame(TEXT, block) for block in blocks if block.startswith(b"data:") or b"\ndata:" in block]
    return heard, len(data) - len(rest)


def chunked_events(data: bytes) -> tuple[list[Frame], int]:
    """Server-sent events in a chunked body. An event may lie across chunks, so only the chunks up to the end of
    a whole event count as taken."""
    body = whole = b""
    start = taken = 0
    while (chunk := _chunk_end(data, start)) is not None:
        begin, stop = chunk
        body += data[begin:stop]
        start = stop + 2
        if body.endswith(b"\n\n"):
            taken, whole = start, body
    return events(whole)[0], taken


def _chunk_end(data: bytes, start: int) -> tuple[int, int] | None:
    line = data.find(b"\r\n", start)
    if line < 0:
        return None
    size = int(data[start:line].split(b";")[0], 16)
    stop = line + 2 + size
    return (line + 2, stop) if stop + 2 <= len(data) else None


def answer(data: bytes) -> tuple[Answer, int] | None:
    """A whole HTTP answer with a Content-Length, or with none and no body (204, 304)."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    fields = data[:end].lower()
    at = fields.find(b"\r\ncontent-length:")
    if at < 0 and b"\r\ntransfer-encoding: chunked" in fields:
        return _chunked_answer(data, end + 4)
    size = int(fields[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    stop = end + 4 + size
    return (Answer(int(data[9:12]), data[end + 4 : stop]), stop) if stop <= len(data) else None


def _chunked_answer(data: bytes, start: int) -> tuple[Answer, int] | None:
    status, body = int(data[9:12]), b""
    while (chunk := _chunk_end(data, start)) is not None:
        begin, stop = chunk
        if begin == stop:
            return Answer(status, body), stop + 2
        body += data[begin:stop]
        start = stop + 2
    return None


def pong(ping: Frame) -> bytes:
    """The reply to a ping."""
    return _masked(PONG, ping.payload)


def said(text: bytes) -> bytes:
    """A text of a client's."""
    return _masked(TEXT, text)


def _masked(opcode: int, payload: bytes) -> bytes:
    """The mask is zero: nobody between us and the server needs protecting. 65,535 bytes are more than is said here."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + length + bytes(4) + payload


# Of a client that leaves on purpose (1000).
GOODBYE = _masked(CLOSE, b"\x03\xe8")
