"""The head of an HTTP/1.1 answer, for the two that we write ourselves: a stream and a switch to WebSocket."""

import re
from collections.abc import Iterable
from typing import TypeAlias

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

CLOSE = (b"connection", b"close")
_ENDS_A_LINE = re.compile(rb"[\r\n\0]")


def head(status: bytes, headers: Headers) -> bytes:
    """Everything up to the blank line, with it."""
    return b"HTTP/1.1 %b\r\n%b\r\n" % (status, lines(headers))


def lines(headers: Headers) -> bytes:
    """A line each. A value that would begin a line of its own is a ValueError."""
    return b"".join([_line(name, value) for name, value in headers])


def _line(name: bytes, value: bytes) -> bytes:
    line = b"%b: %b" % (name, value)
    if _ENDS_A_LINE.search(line):
        raise ValueError(f"a header may not hold CR, LF or NUL: {line!r}")
    return line + b"\r\n"
