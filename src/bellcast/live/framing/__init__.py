"""Server-side framing of HTTP heads, server-sent events (WHATWG HTML, 9.2) and, in `websocket`, WebSockets, without I/O or a
clock.

Over HTTP/1.1, wrap each event with `chunk` and end the body with `LAST_CHUNK`; over HTTP/1.0, closing ends the body."""

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

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


# --- server-sent events

LAST_CHUNK: Final = b"0\r\n\r\n"

# NUL too: EventSource ignores an id that contains one, so the position would not advance.
_LINE_BREAK = re.compile(r"[\r\n\0]")


_HEAD = head(
    b"200 OK",
    (
        (b"Content-Type", b"text/event-stream"),
        # no-transform: proxies that compress also buffer.
        (b"Cache-Control", b"no-store, no-transform"),
        (b"X-Accel-Buffering", b"no"),
        # The HTTP server has released the socket, so no second request can be served.
        (b"Connection", b"close"),
    ),
).removesuffix(b"\r\n")


def sse_head(http_version: str, origin_headers: HeaderFields = (), own_line: bytes = b"") -> bytes:
    """Encode the head of an event stream, chunked for HTTP/1.1. `own_line` is a header line that differs between
    responses."""
    chunked = b"Transfer-Encoding: chunked\r\n" if http_version == "1.1" else b""
    return b"%b%b%b%b\r\n" % (_HEAD, chunked, lines(origin_headers) if origin_headers else b"", own_line)


def sse_event(name: str, data: bytes) -> bytes:
    """Encode one event. The `sse_field` of its id precedes it."""
    # Each line is a data field; EventSource joins them with LF.
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    if _LINE_BREAK.search(name):
        raise ValueError(f"an event's name may not contain CR, LF or NUL: {name!r}")
    return b"event: %b\ndata: %b\n\n" % (name.encode(), lines)


def sse_retry(ms: int) -> bytes:
    """Encode the delay before the browser reconnects, as a field of the event that follows.

    Some libraries report a block without data as an event.
    """
    if ms < 0:
        raise ValueError(f"retry must not be negative: {ms}")
    return b"retry: %d\n" % ms


def chunk(data: bytes) -> bytes:
    """Encode an HTTP chunk. Empty data yields no chunk, because an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def sse_field(name: str, value: str) -> bytes:
    """Encode a field. The client sends the last `id` as Last-Event-ID; an empty one clears it. Raises ValueError."""
    if _LINE_BREAK.search(value):
        raise ValueError(f"{name} may not contain CR, LF or NUL: {value!r}")
    return f"{name}: {value}\n".encode()
