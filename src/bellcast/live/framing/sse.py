"""Server-sent events as EventSource reads them (WHATWG HTML 9.2), and the HTTP answer that carries them.

An event is delivered on its blank line only, so each function here gives something whole: write it in one piece.
To HTTP/1.1 wrap it with `chunk` (once for all connections) and end with `LAST_CHUNK`; to HTTP/1.0 send it as it is
and end by closing.
"""

import re
from functools import lru_cache
from typing import Final

from bellcast.live.framing.http_head import Headers, head

LAST_CHUNK: Final = b"0\r\n\r\n"

# NUL too: EventSource ignores an id that holds one, so the position would silently stand still.
_BREAKS_A_FIELD = re.compile(r"[\r\n\0]")


# Heads that are remembered: one for each origin whose pages may ask, and version.
_HEADS = 64


def response_head(http_version: str, origin_headers: Headers = ()) -> bytes:
    """The 200 that begins a stream, chunked unless the client is too old for it."""
    return _response_head(http_version, tuple(origin_headers))


@lru_cache(_HEADS)
def _response_head(http_version: str, origin_headers: Headers) -> bytes:
    return head(
        b"200 OK",
        (
            (b"Content-Type", b"text/event-stream"),
            # no-transform: proxies that compress also buffer.
            (b"Cache-Control", b"no-store, no-transform"),
            (b"X-Accel-Buffering", b"no"),
            # The stream has taken the socket over: there is no second request on it, whatever the version.
            (b"Connection", b"close"),
            *([(b"Transfer-Encoding", b"chunked")] if http_version == "1.1" else []),
            *origin_headers,
        ),
    )


def event(name: str, data: bytes, id: str | None = None) -> bytes:
    """One event. Its id comes back as Last-Event-ID (an empty one erases what was there); without one that stands."""
    fields = _field("event", name) + (b"" if id is None else _field("id", id))
    return b"%bdata: %b\n\n" % (fields, _on_data_lines(data))


def retry(ms: int) -> bytes:
    """How long the browser waits before it comes back."""
    if ms < 0:
        raise ValueError(f"retry must not be negative: {ms}")
    return b"retry: %d\n\n" % ms


def chunk(data: bytes) -> bytes:
    """HTTP's chunk framing. Nothing stays nothing: an empty chunk would end the answer."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _field(name: str, value: str) -> bytes:
    if _BREAKS_A_FIELD.search(value):
        raise ValueError(f"{name} may not hold CR, LF or NUL: {value!r}")
    return f"{name}: {value}\n".encode()


def _on_data_lines(data: bytes) -> bytes:
    """Each line its own field; EventSource puts them together again with LF between."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
