"""Import notifications from another system with their original times, as a bulk request."""

from bellcast.inbox import imports
from bellcast.inbox.http import bulk
from bellcast.inbox.types import drafts as notification_drafts
from bellcast.inbox.types.notifications import ImportedDraft
from bellcast.kernel import times
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.http import request_body
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest import context, objects
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation
from bellcast.rest.resource import DryRunQuery


@operation(
    "POST",
    "/v1/import",
    tag="Sending",
    required_scope="manage",
    query=DryRunQuery,
    body=list[ImportedDraft],
    body_types=("application/x-ndjson", *bulk.NDJSON[1:], "application/json"),
    headers=("Idempotency-Key",),
    response_types={200: bulk.ImportResults},
    example=[
        {
            "to": "alice",
            "title": "New booking",
            "created_at": "2025-03-01T09:30:00Z",
            "read_at": "2025-03-01T10:00:00Z",
            "idempotency_key": "old-1",
        }
    ],
)
async def load(request: ApiRequest) -> ASGIApp:
    """Import notifications of another system.

    Up to 10,000, each imported or refused separately: one JSON object per line (`application/x-ndjson`), or a JSON
    array of drafts with `created_at`, `seen_at`, `read_at` and `archived_at` for named recipients. An import causes no
    message, toast or webhook. A repeated `idempotency_key` imports nothing: within 24 hours as in a bulk send, and
    later for as long as the inbox has the notification and `created_at` is the same. `existing` is the number of such
    items. A dry run returns the number of recipients of each item."""
    ctx, received, is_dry_run = context.of(request), await bulk.read(request), objects.is_dry_run(request)
    results, bulk_import = bulk.EncodedResults(), imports.BulkImport(ctx.engines, ctx.limits)
    async for drafts in bulk.parts(ctx, received, IMPORTED):
        if is_dry_run:
            planned = await imports.plan_many(ctx.engines, ctx.limits, drafts)
            results.add(
                [
                    bulk.refused(number, one) if isinstance(one, BellcastError) else bulk.Result(recipients=one)
                    for number, one in enumerate(planned, results.count)
                ]
            )
        else:
            results.add(await bulk.results_of(ctx, drafts, await bulk_import.send(drafts), results.count))
    return results.response(bulk_import.existing)


def _check(draft: ImportedDraft, ctx: ApiContext) -> None:
    notification_drafts.check_import(draft, ctx.limits, times.to_rfc3339(ctx.engines.clock.now()))


IMPORTED = request_body.Shape(ImportedDraft, _check, {"to": "x", "title": "x"}, ruled_later=True)
