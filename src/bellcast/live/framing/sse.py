"""Server-sent events (WHATWG HTML, 9.2) and the head of their HTTP response.

For HTTP/1.1, wrap each event with `chunk` and end the body with `LAST_CHUNK`; for HTTP/1.0, closing ends the body.
"""

import re
from typing import Final

from bellcast.live.framing import HeaderFields, head, lines

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


def response_head(http_version: str, origin_headers: HeaderFields = (), own_line: bytes = b"") -> bytes:
    """Encode the head of an event stream, chunked for HTTP/1.1. `own_line` is a header line that differs between
    responses."""
    chunked = b"Transfer-Encoding: chunked\r\n" if http_version == "1.1" else b""
    return b"%b%b%b%b\r\n" % (_HEAD, chunked, lines(origin_headers) if origin_headers else b"", own_line)


def event(name: str, data: bytes) -> bytes:
    """Encode one event. The `field` of its id precedes it."""
    # Each line is a data field; EventSource joins them with LF.
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    if _LINE_BREAK.search(name):
        raise ValueError(f"an event's name may not contain CR, LF or NUL: {name!r}")
    return b"event: %b\ndata: %b\n\n" % (name.encode(), lines)


def retry(ms: int) -> bytes:
    """Encode the delay before the browser reconnects, as a field of the event that follows.

    Some libraries report a block without data as an event.
    """
    if ms < 0:
        raise ValueError(f"retry must not be negative: {ms}")
    return b"retry: %d\n" % ms


def chunk(data: bytes) -> bytes:
    """Encode an HTTP chunk. Empty data yields no chunk, because an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def field(name: str, value: str) -> bytes:
    """Encode a field. The client sends the last `id` as Last-Event-ID; an empty one clears it. Raises ValueError."""
    if _LINE_BREAK.search(value):
        raise ValueError(f"{name} may not contain CR, LF or NUL: {value!r}")
    return f"{name}: {value}\n".encode()
