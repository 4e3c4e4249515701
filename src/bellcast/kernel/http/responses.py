"""Responses as ASGI applications, which handlers return, and their compression."""

import asyncio
import base64
import functools
import gzip
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from bellcast.kernel import times
from bellcast.kernel.errors import BellcastError, UpgradeRequired
from bellcast.kernel.http import ASGIApp, AsgiMessage, Receive, Scope, Send, request_body
from bellcast.kernel.http.request_body import ApiRequest

T = TypeVar("T", bound=Struct)

NDJSON = request_body.NDJSON_TYPES[0]
# The nodes that did not reply while this request was served: their number is in the header `Bellcast-Incomplete`.
INCOMPLETE: ContextVar[set[str]] = ContextVar("incomplete")
JSON = "application/json"
PROBLEM = "application/problem+json"  # RFC 9457
HTML = "text/html; charset=utf-8"
NO_STORE = (b"cache-control", b"no-store")
# A body of this size or less is sent in one write: sockets buffer more.
SMALL_BODY_BYTES = 65_536
_encode = msgspec.json.Encoder().encode


class WrongField(Struct, frozen=True):
    """An invalid field of a refused request, or of a draft that cannot be published yet."""

    field: str
    message: str


def item(item_type: type[T], stored: object, **own: Any) -> T:
    """Return a stored value as clients see it: with these fields, and its own of the same names. Milliseconds become times, and
    the default tenant becomes null."""
    fields = {name: own[name] if name in own else getattr(stored, name) for name in item_type.__struct_fields__}
    for name in _times_of(item_type):
        fields[name] = times.to_rfc3339_or_null(fields[name])
    if "tenant" in fields:
        fields["tenant"] = fields["tenant"] or None
    return item_type(**fields)


@functools.cache
def _times_of(item_type: type[Struct]) -> list[str]:
    return [one.name for one in msgspec.structs.fields(item_type) if one.type in (datetime, datetime | None)]


def inline_source(text: str) -> str:
    """Return the Content-Security-Policy source that allows exactly this inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def complete(
    status: int,
    body: bytes,
    media_type: str = JSON,
    headers: Mapping[str, str] | None = None,
    cookies: Sequence[str] = (),
) -> ASGIApp:
    """Return a response with a complete body."""
    encoded = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
    return _at_once(status, encoded + _encoded(headers, cookies), body)


def _at_once(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> ASGIApp:
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return respond


def in_pieces(body: Sequence[bytes]) -> ASGIApp:
    """Return a JSON response whose body, if it is large, is sent in pieces, each after the client has read the ones before
    it."""
    size = sum(map(len, body))
    if size <= SMALL_BODY_BYTES:
        return complete(200, b"".join(body))
    headers = [(b"content-type", JSON.encode()), (b"content-length", b"%d" % size), NO_STORE]

    async def pieces() -> AsyncIterator[bytes]:
        for piece in body:
            yield piece

    return stream(headers, pieces())


def json(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None, cookies: Sequence[str] = ()
) -> ASGIApp:
    """Return a JSON response."""
    return complete(status, _encode(value), headers=headers, cookies=cookies)


def empty(status: int = 204, headers: Mapping[str, str] | None = None, cookies: Sequence[str] = ()) -> ASGIApp:
    """Return a response without a body, such as 204 or 304."""
    return _at_once(status, _encoded(headers, cookies), b"")


def problem_fields(refusal: BellcastError, within: str = "") -> dict[str, object]:
    """`{"type","code","title","status","detail","errors"?}`; `type` is a page served at that path. `within` is the
    prefix of the fields of one item among many: `0.title`; an item has `retry_after` (seconds) too."""
    fields: dict[str, object] = {
        "type": f"/errors/{refusal.code}",
        "code": refusal.code,
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        **refusal.members,
    }
    if refusal.errors:
        paths = [".".join(filter(None, (within, error.field))) for error in refusal.errors]
        fields["errors"] = [
            {"field": path, "message": error.message} | ({} if error.line is None else {"line": error.line})
            for path, error in zip(paths, refusal.errors, strict=True)
        ]
    if within and refusal.retry_after is not None:  # an item has no header Retry-After
        fields["retry_after"] = refusal.retry_after
    return fields


def problem_headers(refusal: BellcastError) -> dict[str, str]:
    """Return the headers of the response."""
    result = {"content-type": PROBLEM}
    if refusal.retry_after is not None:
        result["retry-after"] = str(refusal.retry_after)
    if refusal.status == 401:
        result["www-authenticate"] = "Bearer"
    if isinstance(refusal, UpgradeRequired):
        result.update({"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13"})
    return result


def problem_body(refusal: BellcastError) -> bytes:
    """Encode the problem as JSON."""
    return _encode(problem_fields(refusal))


def problem(refused: BellcastError, more: Mapping[str, str] = {}) -> ASGIApp:
    """Return a problem+json response, with more headers."""
    headers = {**problem_headers(refused), "cache-control": "no-store", **more}
    return complete(refused.status, problem_body(refused), headers.pop("content-type"), headers)


def stream(headers: list[tuple[bytes, bytes]], chunks: AsyncIterator[bytes]) -> ASGIApp:
    """Return a streamed response. It ends after the last chunk, or early if the client disconnects. HEAD reads no
    chunk."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        disconnected = asyncio.ensure_future(wait_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if not scope["state"]["is_head"]:
                async for chunk in chunks:
                    await asyncio.sleep(0)  # so that other tasks run even if neither the chunks nor `send` suspend
                    if disconnected.done():
                        return
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            disconnected.cancel()

    return respond


async def wait_disconnected(receive: Receive) -> None:
    """Return when the client of a stream or a WebSocket disconnects. What it sends is discarded."""
    while not (await receive())["type"].endswith(".disconnect"):
        pass


def _encoded(headers: Mapping[str, str] | None, cookies: Sequence[str] = ()) -> list[tuple[bytes, bytes]]:
    # Responses are private to the client unless an operation declares otherwise.
    named = {"cache-control": "no-store"} if headers is None else headers
    pairs = [*named.items(), *(("set-cookie", cookie) for cookie in cookies)]
    return [(name.encode(), value.encode("latin-1")) for name, value in pairs]


async def respond_list(request: ApiRequest, items: AsyncGenerator[Any]) -> ASGIApp:
    """Return the response. It starts after the first item, so that errors get an error status."""
    accepted = request_body.header(request, b"accept") or ""
    if JSON in accepted and NDJSON not in accepted:
        async with aclosing(items):
            return json([one async for one in items])
    first = await anext(items, None)

    async def lines() -> AsyncGenerator[bytes]:
        async with aclosing(items):
            if first is not None:
                yield _encode(first) + b"\n"
            async for one in items:
                yield _encode(one) + b"\n"

    return stream([(b"content-type", NDJSON.encode()), NO_STORE], lines())


# --- compression

ZERO = re.compile(r"\s*q=0(\.0{0,3})?\s*")


def accepts(header: str | None, coding: str) -> bool:
    """Return whether an Accept-Encoding header allows the coding: named, or covered by `*`, and not with a weight of
    zero."""
    offers = (part.partition(";") for part in (header or "").lower().split(","))
    weights = {name.strip(): weight for name, _, weight in offers}
    weight = weights.get(coding, weights.get("*"))
    return weight is not None and ZERO.fullmatch(weight) is None


# A body that fits into one packet is not compressed.
MIN_BYTES = 1_400
# A larger body is compressed in a thread: it would take the event loop more than 0.6 ms.
INLINE_BYTES = 65_536
COMPRESSED_TYPES = (b"application/json", b"text/")
# Takes 10 µs per KB of JSON and leaves a fifth of it. Level 6 takes half as long again for 7 % less.
LEVEL = 3


def compressing(scope: Any, send: Send) -> Send:
    """Wrap `send` of a GET request. Writes are not compressed: servers send them in large numbers, with small responses.

    A response with an ETag is not either: a strong one names one encoding (RFC 9110, 8.8.3), and conditional writes send it
    back. Streams are passed through."""
    if scope["method"] != "GET":
        return send
    start: AsgiMessage | None = None

    async def send_compressed(message: AsgiMessage) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            named = dict(message["headers"])
            is_text = named.get(b"content-type", b"").startswith(COMPRESSED_TYPES)
            if is_text and not named.keys() & {b"etag", b"content-encoding"}:
                start = message  # its headers depend on the body
                return
        if start is not None:
            held, start = start, None
            body: bytes = message.get("body", b"")
            if not message.get("more_body") and len(body) >= MIN_BYTES:
                headers = [*held["headers"], (b"vary", b"Accept-Encoding")]
                accepted = next((value for name, value in scope["headers"] if name == b"accept-encoding"), None)
                if accepted is not None and accepts(accepted.decode("latin-1"), "gzip"):
                    if len(body) > INLINE_BYTES:
                        body = await asyncio.to_thread(gzip.compress, body, LEVEL, mtime=0)
                    else:
                        body = gzip.compress(body, LEVEL, mtime=0)
                    headers = [header for header in headers if header[0] != b"content-length"]
                    headers += [(b"content-length", b"%d" % len(body)), (b"content-encoding", b"gzip")]
                    message = {**message, "body": body}
                held["headers"] = headers
            await send(held)
        await send(message)

    return send_compressed
