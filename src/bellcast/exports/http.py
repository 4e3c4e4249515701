"""Exports of all stored data of a recipient or a tenant. They are streamed, so memory use does not depend on their
size."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.channels import http as channels_http
from bellcast.channels.types import Message, SuppressedAddress
from bellcast.exports import store
from bellcast.exports.store import RECIPIENT_TABLES, Exports
from bellcast.inbox.types import Notification
from bellcast.kernel.http import ASGIApp, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.preferences.http import StoredPreferences
from bellcast.recipients.http import key
from bellcast.recipients.types import Recipient, Subscription
from bellcast.rest.resource import Resource, ResourceCall
from bellcast.tenants.http import TENANTS
from bellcast.tenants.types import Tenant
from bellcast.workflows.http import runs
from bellcast.workflows.types import RunDetails

# Smaller chunks would cost more in system calls than in encoding.
CHUNK_BYTES = 64 * 1024

NDJSON = "application/x-ndjson"
# The list of a recipient's export that contains each kind: its plural.
LISTS = {kind: f"{kind.removesuffix('s')}s" for kind in (*(table.kind for table in RECIPIENT_TABLES), "suppression")}


class Export(Struct, frozen=True, kw_only=True):
    """All stored data of a recipient. `recipient` is null if it has no record, and only other data names it. The field
    `to` of push messages is empty: the address of a browser or app is a secret."""

    recipient: Recipient | None
    preferences: StoredPreferences | None
    subscriptions: list[Subscription]
    notifications: list[Notification]
    messages: list[Message]
    decisions: list[store.ExportedDecision]
    runs: list[RunDetails]
    counters: list[store.ExportedCounter]
    awaited_events: list[store.ExportedWait]
    webhook_events: list[store.ExportedEvent]
    push_endpoints: list[store.ExportedEndpoint]
    devices: list[store.ExportedDevice]
    joined_topics: list[store.ExportedTopics]
    suppressions: list[SuppressedAddress]


@Resource("recipients", "/{key:str}/export", key, tag="Recipients", unknown="No recipient has this key.").get(Export)
async def export(call: ResourceCall[None]) -> Any:
    """Export a recipient.

    All stored data of the recipient in one document. It contains no keys or tokens of push endpoints. It does not
    contain announcements since the inbox was last opened, live events that are kept for a short time, responses under
    idempotency keys, the audit log, or requests that name several recipients, such as schedules."""
    result = await Exports(call.ctx.engines.db).recipient(call.tenant, *call.key)
    return result and _stream(_document(_items(call.request, result)), responses.JSON)


@TENANTS.get(Tenant, "/export", bound_by="path", roles=("owner", "developer"), response_types={200: NDJSON})
async def export_tenant(call: ResourceCall[None]) -> Any:
    """Export a tenant.

    All stored data of the tenant as JSON lines. Each line is an object whose only name is the kind: `tenant`, then the
    objects of the tenant (`type`, `template`, `template_draft`, `workflow`, `workflow_draft`, `event_source`, `schedule`
    and `preference_defaults`, each with its current `version` and its `content`), `announcement`, `event` (the last one of a topic), `recipient`, and after each recipient its `preferences` (if set)
    and the lines of its export, one for each item: `subscription`, `notification`, `message`, `decision`, `run`,
    `counter`, `awaited_event`, `webhook_event`, `push_endpoint`, `device`, `joined_topics` and `suppression`. The last
    recipients are those without a record: their `recipient` has only the `key`. Providers, webhooks and apps are left
    out, because they have secrets."""
    result = await Exports(call.ctx.engines.db).tenant(*call.key)
    if result is None:
        return None
    lines = (msgspec.json.encode({kind: item}) + b"\n" async for kind, item in _items(call.request, result))
    return _stream(lines, NDJSON)


async def _items(request: ApiRequest, pairs: AsyncIterator[tuple[str, Any]]) -> AsyncIterator[tuple[str, Any]]:
    """Return what the store exports as clients see it."""
    async for kind, value in pairs:
        match kind:
            case "message":
                message = channels_http.item(value)
                yield kind, msgspec.structs.replace(message, to="") if message.channel == "push" else message
            case "run":
                yield kind, await runs.item(request, value)
            case "webhook_event" if value.body.get("data", {}).get("channel") == "push":
                yield kind, msgspec.structs.replace(value, body=value.body | {"data": value.body["data"] | {"to": ""}})
            case _:
                yield kind, value


async def _document(rows: AsyncIterator[tuple[str, Any]]) -> AsyncIterator[bytes]:
    """Yield the document in pieces. The store yields the recipient first, then the rows grouped by kind."""
    _, recipient = await anext(rows)
    yield b'{"recipient":' + msgspec.json.encode(recipient)
    preferences, missing = None, dict(LISTS)
    before, end = "", ""
    async for kind, row in rows:
        if kind == "preferences":
            preferences = row
            continue
        begin = "," if kind == before else f'{end},"{missing.pop(kind)}":['
        before, end = kind, "]"
        yield begin.encode() + msgspec.json.encode(row)
    empty = "".join(f',"{name}":[]' for name in missing.values())
    yield f'{end}{empty},"preferences":'.encode() + msgspec.json.encode(preferences) + b"}"


def _stream(pieces: AsyncIterator[bytes], content_type: str) -> ASGIApp:
    """Return a streamed response, with many pieces in each chunk."""

    async def chunks() -> AsyncIterator[bytes]:
        chunk = bytearray()
        async for piece in pieces:
            chunk += piece
            if len(chunk) >= CHUNK_BYTES:
                yield bytes(chunk)
                chunk.clear()
        yield bytes(chunk)

    return responses.stream([(b"content-type", content_type.encode()), responses.NO_STORE], chunks())
