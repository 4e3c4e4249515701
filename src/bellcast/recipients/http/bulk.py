"""Many recipients in one request: a JSON array or one JSON object per line, each written or refused separately."""

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast.inbox.http.bulk import NDJSON
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.field_limits import KEY
from bellcast.kernel.http import bulk_items, problems, request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.recipients import recipients as inbox_recipients
from bellcast.recipients.types import RecipientFields
from bellcast.rest import context, objects, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation
from bellcast.rest.resource import DryRunQuery

MAX_RECIPIENTS = 10_000


class BulkRecipient(RecipientFields, frozen=True, kw_only=True):
    """A recipient with its key. Absent fields of a known recipient do not change."""

    key: Annotated[str, KEY]


class WrittenRecipient(Struct, frozen=True, omit_defaults=True):
    """The result for one recipient: its key, or the problem that caused its refusal."""

    key: str | UnsetType = UNSET
    error: dict[str, Any] | UnsetType = UNSET


class WrittenRecipients(Struct, frozen=True):
    """One result for each recipient, in order."""

    results: list[WrittenRecipient]


@operation(
    "POST",
    "/v1/recipients/bulk",
    tag="Recipients",
    required_scope="manage",
    query=DryRunQuery,
    body=list[BulkRecipient],
    body_types=("application/json", *NDJSON),
    response_types={200: WrittenRecipients},
    example=[{"key": "alice", "email": "alice@example.com"}, {"key": "bob", "roles": ["admin"]}],
)
async def write(request: ApiRequest) -> ASGIApp:
    """Write many recipients.

    Up to 10,000, each created or changed, or refused separately: a JSON array, or one JSON object per line
    (`application/x-ndjson`)."""
    ctx = context.of(request)
    items = await bulk_items.read(request, ctx.limits.bulk, MAX_RECIPIENTS, ctx.engines.pace, "recipients")
    is_dry_run = objects.is_dry_run(request)
    results: list[WrittenRecipient] = []
    named: set[str | None] = set()
    async for some in ctx.engines.pace.slices(items):
        read = [_read(ctx, item) async for item in ctx.engines.pace.each(some)]
        numbered = enumerate(read, len(results))
        writes = [_write(request, ctx, number, fields, named, is_dry_run=is_dry_run) for number, fields in numbered]
        results += await asyncio.gather(*writes)
    tenants.log_tenant_of_items(request, named)
    return responses.json(WrittenRecipients(results))


def _read(ctx: ApiContext, item: bytes | msgspec.Raw) -> BulkRecipient | BellcastError:
    """Decode one recipient. The result of an invalid item is its refusal."""
    try:
        bulk_items.check_size(item)
        return request_body.json(bytes(item), RECIPIENT, ctx)
    except BellcastError as refusal:
        return refusal


async def _write(
    request: ApiRequest,
    ctx: ApiContext,
    number: int,
    fields: BulkRecipient | BellcastError,
    named: set[str | None],
    *,
    is_dry_run: bool,
) -> WrittenRecipient:
    """Write one recipient, and add its tenant to `named` (None if it is the default tenant or unknown)."""
    tenant = None
    try:
        if isinstance(fields, BellcastError):
            raise fields
        tenant = tenants.tenant_of_item(request, None if fields.tenant is UNSET else fields.tenant)
        if not is_dry_run:
            await inbox_recipients.put(ctx.engines, tenant, fields.key, fields, replace=False)
    except BellcastError as refusal:
        return WrittenRecipient(error=problems.problem(refusal, within=str(number)))
    finally:
        named.add(tenant or None)
    return WrittenRecipient(fields.key)


RECIPIENT = request_body.Shape(BulkRecipient, stand_ins={"key": "x"})
