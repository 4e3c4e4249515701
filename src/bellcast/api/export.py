"""Everything kept of one recipient, as one JSON document, streamed so that its size does not matter."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send

from bellcast.api import rooms, tenants
from bellcast.api.operations import operation
from bellcast.api.reading import Asked
from bellcast.api.recipients import key
from bellcast.api.tenants import TenantQuery
from bellcast.errors import NotFound

# A chunk is worth a system call; smaller ones would cost more than the rows in them.
CHUNK = 64 * 1024


@operation(
    "GET",
    "/v1/recipients/{key:str}/export",
    tag="Recipients",
    door="read",
    query=TenantQuery,
    answers={200: dict[str, list[Any]]},
    refusals=(NotFound,),
)
async def export(request: Asked) -> ASGIApp:
    """Everything kept of a recipient: a list for each kind of thing."""
    store = rooms.of(request).engines.store
    found = await store.recipients.export(tenants.one(request), key(request))
    if found is None:
        raise NotFound("There is no recipient with this key.")
    return _streamed(found)


def _streamed(things: AsyncIterator[tuple[str, Any]]) -> ASGIApp:
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for chunk in _chunks(things):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return answer


async def _chunks(things: AsyncIterator[tuple[str, Any]]) -> AsyncIterator[bytes]:
    """`{"kind":[…],"kind":[…]}`; the store gives things kind by kind."""
    chunk = bytearray(b"{")
    before: str | None = None
    async for kind, thing in things:
        if kind == before:
            chunk += b","
        else:
            chunk += (b"" if before is None else b"],") + msgspec.json.encode(kind) + b":["
        chunk += msgspec.json.encode(thing)
        before = kind
        if len(chunk) >= CHUNK:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk) + (b"}" if before is None else b"]}")
