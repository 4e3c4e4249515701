"""Lists that are streamed as NDJSON while their items are computed, or returned as one JSON array, chosen by
`Accept`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest

NDJSON = request_body.NDJSON_TYPES[0]
_encode = msgspec.json.Encoder().encode


async def respond(request: ApiRequest, items: AsyncGenerator[Any]) -> ASGIApp:
    """Return the response. It starts after the first item, so that errors get an error status."""
    accepted = request_body.header(request, b"accept") or ""
    if responses.JSON in accepted and NDJSON not in accepted:
        async with aclosing(items):
            return responses.json([one async for one in items])
    first = [one] if (one := await anext(items, None)) is not None else []
    return responses.stream([(b"content-type", NDJSON.encode()), responses.NO_STORE], _lines(first, items))


async def _lines(first: list[Any], items: AsyncGenerator[Any]) -> AsyncGenerator[bytes]:
    async with aclosing(items):
        for one in first:
            yield _encode(one) + b"\n"
        async for one in items:
            yield _encode(one) + b"\n"
