"""Server-side framing of HTTP heads, event streams and WebSockets, without I/O or a clock."""

from collections.abc import Iterable
from typing import TypeAlias

HeaderFields: TypeAlias = Iterable[tuple[bytes, bytes]]

CLOSE = (b"connection", b"close")


def head(status: bytes, headers: HeaderFields) -> bytes:
    """Encode a response head, with its blank line."""
    return b"HTTP/1.1 %b\r\n%b\r\n" % (status, lines(headers))


def lines(headers: HeaderFields) -> bytes:
    """Encode header lines. Raises ValueError for a name or value with a line break."""
    fields = [b"%b: %b\r\n" % (name, value) for name, value in headers]
    encoded, number = b"".join(fields), len(fields)
    if encoded.count(b"\n") != number or encoded.count(b"\r") != number or encoded.count(b"\0"):
        raise ValueError(f"a header may not contain CR, LF or NUL: {fields!r}")
    return encoded
