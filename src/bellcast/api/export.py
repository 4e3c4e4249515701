"""Exports of all stored data of a recipient or a tenant. They are streamed, so memory use does not depend on their
size."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.api import context, responses, tenants
from bellcast.api.operations import operation
from bellcast.api.preferences import StoredPreferences
from bellcast.api.recipients import key
from bellcast.api.request_body import ApiRequest
from bellcast.api.tenants import TenantQuery
from bellcast.errors import NotFound
from bellcast.model.asgi import ASGIApp
from bellcast.model.identities import Recipient, Subscription
from bellcast.model.notifications import Notification

# Smaller chunks would cost more in system calls than in encoding.
CHUNK_BYTES = 64 * 1024


NDJSON = "application/x-ndjson"
LISTS = ("subscription", "notification")


class Export(Struct, frozen=True):
    """All stored data of a recipient."""

    recipient: Recipient
    preferences: StoredPreferences | None
    subscriptions: list[Subscription]
    notifications: list[Notification]


@operation(
    "GET",
    "/v1/recipients/{key:str}/export",
    tag="Recipients",
    required_scope="read",
    query=TenantQuery,
    response_types={200: Export},
    refusals=(NotFound,),
)
async def export(request: ApiRequest) -> ASGIApp:
    """Export a recipient.

    All stored data of the recipient in one document."""
    store = context.of(request).engines.store
    result = await store.recipients.export(tenants.single_tenant(request), key(request))
    if result is None:
        raise NotFound("No recipient has this key.")
    return _stream(_chunks(result))


@operation(
    "GET",
    "/v1/tenants/{key:str}/export",
    tag="Tenants",
    required_scope="read",
    bound_by="path",
    roles=("owner", "developer"),
    response_types={200: NDJSON},
    refusals=(NotFound,),
)
async def export_tenant(request: ApiRequest) -> ASGIApp:
    """Export a tenant.

    All stored data of the tenant as JSON lines. Each line is an object whose only name is the kind: `tenant`,
    `announcement`, `event` (the last one of a topic), `recipient`, and after each recipient its `preferences` (if set),
    `subscription` and `notification` lines."""
    result = await context.of(request).engines.store.recipients.export_tenant(tenants.key(request))
    if result is None:
        raise NotFound("No tenant has this key.")
    return _stream(_lines(result), NDJSON)


async def _lines(rows: AsyncIterator[tuple[str, Any]]) -> AsyncIterator[bytes]:
    chunk = bytearray()
    async for kind, row in rows:
        chunk += msgspec.json.encode({kind: row}) + b"\n"
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)


def _stream(chunks: AsyncIterator[bytes], content_type: str = responses.JSON) -> ASGIApp:
    return responses.stream([(b"content-type", content_type.encode()), responses.NO_STORE], chunks)


async def _chunks(rows: AsyncIterator[tuple[str, Any]]) -> AsyncIterator[bytes]:
    """Yield the document in chunks. The store yields the recipient first, then the rows grouped by kind."""
    _, recipient = await anext(rows)
    chunk = bytearray(b'{"recipient":' + msgspec.json.encode(recipient))
    preferences, missing = None, list(LISTS)
    before: str | None = None
    async for kind, row in rows:
        if kind == "preferences":
            preferences = row
            continue
        if kind != before:
            chunk += (b"" if before is None else b"]") + _list_start(kind)
            missing.remove(kind)
        else:
            chunk += b","
        chunk += msgspec.json.encode(row)
        before = kind
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    chunk += b"" if before is None else b"]"
    for kind in missing:
        chunk += _list_start(kind) + b"]"
    yield bytes(chunk) + b',"preferences":' + msgspec.json.encode(preferences) + b"}"


def _list_start(kind: str) -> bytes:
    return f',"{kind}s":['.encode()
