"""Many notifications in one request: a JSON array or one JSON object per line, each accepted or refused separately.

Items are decoded and sent in parts of a few thousand recipients, so that memory does not grow with the recipients of a
request: a body of 16 MB can name three million. Only the encoded results are kept."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from bellcast.inbox import imports, sending
from bellcast.inbox import types as notification_types
from bellcast.inbox.http import notifications
from bellcast.inbox.http.notifications import PlannedChannel
from bellcast.inbox.types import Audience, Draft, ImportedDraft
from bellcast.kernel import times, validation
from bellcast.kernel.errors import MAX_FIELD_ERRORS, BellcastError, Invalid
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.http.validation_errors import Suggestions
from bellcast.rest import context, guards, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation
from bellcast.rest.resource import DryRunQuery
from bellcast.rest.tenants import TenantQuery

NDJSON = request_body.NDJSON_TYPES

# Maximum field errors of one item. With MAX_FIELD_ERRORS for each, the response to 10,000 items could reach 100 MB.
MAX_ITEM_ERRORS = 10
# A part ends with the item that reaches one of these limits. Parts are committed one after another, so they are no
# smaller than a usual request of 10,000 items, and the store is not idle between them.
PART_RECIPIENTS = 10_000
PART_BYTES = 4_194_304

RawItem = bytes | msgspec.Raw
D = TypeVar("D", bound=Draft)


class Result(Struct, frozen=True, omit_defaults=True):
    """The result of one item: the id of its notification or announcement, the ids for a list of recipients, the
    schedule of an item with `send_at`, or the problem that caused its refusal. A refused item is not sent. In a dry
    run: the item's plan and its number of recipients, which is null for an audience of more than 10,000 or of all
    tenants."""

    id: str | UnsetType = UNSET
    ids: list[str] | UnsetType = UNSET
    schedule: dict[str, Any] | UnsetType = UNSET
    error: dict[str, Any] | UnsetType = UNSET
    recipients: int | UnsetType | None = UNSET
    plan: list[PlannedChannel] | UnsetType = UNSET


class BulkResults(Struct, frozen=True):
    """One result for each item, in order."""

    results: list[Result]


class ImportResults(BulkResults, frozen=True, omit_defaults=True):
    """One result for each item, in order, and the number of items that an earlier import, or an earlier item of this one,
    had added: they changed nothing."""

    existing: int = 0


class EncodedResults(Struct, eq=False):
    """The results of the parts that are done, as JSON."""

    count: int = 0
    _pieces: list[bytes] = field(default_factory=lambda: [b'{"results":['])

    def add(self, results: Sequence[Result]) -> None:
        """Append the results of the next part."""
        if results:
            self._pieces += [b"," if self.count else b"", _encode(results)[1:-1]]
            self.count += len(results)

    def response(self, existing: int = 0) -> ASGIApp:
        """Return the response, a BulkResults, or an ImportResults."""
        return responses.in_pieces([*self._pieces, b'],"existing":%d}' % existing if existing else b"]}"])


_encode = msgspec.json.Encoder().encode


@operation(
    "POST",
    "/v1/notifications/bulk",
    tag="Sending",
    required_scope="send",
    query=DryRunQuery,
    body=list[Draft],
    body_types=("application/json", *NDJSON),
    headers=("Idempotency-Key",),
    response_types={200: BulkResults},
    example=[{"to": "alice", "title": "New booking"}, {"to": {"role": "admin"}, "title": "Night backup done"}],
)
async def send(request: ApiRequest) -> ASGIApp:
    """Send many notifications.

    Up to 10,000, each accepted or refused separately: a JSON array, or one JSON object per line
    (`application/x-ndjson`). Items may have an `idempotency_key` each; an `Idempotency-Key` header applies to every
    item without one. A dry run plans each item, for the first 100 recipients of the request."""
    ctx, is_dry_run = context.of(request), request_body.is_dry_run(request)
    results, named = EncodedResults(), set[str | None]()
    planned, bulk_send = 0, sending.BulkSend(ctx.engines, ctx.limits)
    async for drafts in parts(request, notifications.DRAFT):
        named.update(map(_tenant_of, drafts))
        if is_dry_run:
            # Plan items, of which the first has this number, for at most `limit` recipients
            limit = sending.PLANNED - planned
            plans: list[Result] = []
            async for number, draft in ctx.engines.pace.each(enumerate(drafts, results.count)):
                plans.append(await _plan_item(request, number, draft, limit))
                limit -= _recipients_of(plans[-1])
            planned += sum(map(_recipients_of, plans))
            results.add(plans)
        else:
            results.add(await results_of(ctx, drafts, await bulk_send.send(drafts), results.count))
    tenants.log_tenant_of_items(request, guards.caller(request), named)  # last, when the tenants of all parts are known
    return results.response()


def _recipients_of(result: Result) -> int:
    """Return the number of recipients whose plan the result shows."""
    return len({one.recipient for one in result.plan}) if result.plan else 0


async def _plan_item(request: ApiRequest, number: int, draft: Draft | BellcastError, limit: int) -> Result:
    ctx = context.of(request)
    try:
        if isinstance(draft, BellcastError):
            raise draft
        limit = min(limit, notifications.plan_limit(request, draft.to))
        plan = notifications.plan_of(*await sending.plan(ctx.engines, ctx.limits, draft, limit))
    except BellcastError as refusal:
        return refused(number, refusal)
    return Result(recipients=plan.recipients, plan=plan.plan)


def _tenant_of(draft: Draft | BellcastError) -> str | None:
    """Return the tenant that an item names; None if it names none or several, or was refused."""
    if not isinstance(draft, Draft):
        return None
    is_same = not isinstance(draft.to, Audience) or draft.to.tenant in (None, draft.tenant)
    return draft.tenant if is_same else None


async def parts(request: ApiRequest, shape: request_body.Shape[D]) -> AsyncIterator[list[D | BellcastError]]:
    """Decode the items of a request, and yield them in parts. The result of an invalid item is its refusal."""
    ctx = context.of(request)
    tenant = request_body.query(request, TenantQuery).tenant
    key = request_body.header(request, b"idempotency-key")
    if key is not None:
        validation.check(validation.key("Idempotency-Key", key, ctx.limits))
    items = await request_body.bulk_items(request, ctx.limits.bulk_items, ctx.engines.pace)
    keys: list[str | None] = [None] * len(items)
    if key is not None:  # hashed, so that the item's number always fits
        root = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
        keys = [f"{root}.{number}" for number in range(len(items))]
    suggestions = Suggestions()
    part: list[D | BellcastError] = []
    recipients = size = 0
    async for some in ctx.engines.pace.parts(zip(items, keys, strict=True)):
        for item, item_key in some:
            draft = _read(ctx, item, shape, tenant, item_key, suggestions)
            part.append(draft)
            recipients += len(draft.to) if isinstance(draft, Draft) and isinstance(draft.to, list) else 1
            size += len(item)
            if recipients >= PART_RECIPIENTS or size >= PART_BYTES:
                yield part
                part, recipients, size = [], 0, 0
    if part:
        yield part


async def results_of(
    ctx: ApiContext, drafts: Sequence[Draft | BellcastError], outcomes: Sequence[bytes | BellcastError], first: int
) -> list[Result]:
    """Return the results of drafts, of which the first has this number: their results and refusals, in the same
    order."""
    results: list[Result] = []
    async for some in ctx.engines.pace.parts(enumerate(zip(drafts, outcomes, strict=True), first)):
        results += [_result(number, draft, outcome) for number, (draft, outcome) in some]
    return results


def _read(
    ctx: ApiContext,
    item: RawItem,
    shape: request_body.Shape[D],
    tenant: str | None,
    key: str | None,
    suggestions: Suggestions,
) -> D | BellcastError:
    try:
        request_body.check_item_size(item)
        draft = request_body.json(bytes(item), shape, ctx, suggestions)
        return notifications.with_defaults(draft, tenant, key if draft.idempotency_key is None else None)
    except BellcastError as refusal:
        return refusal


def _result(number: int, draft: Draft | BellcastError, outcome: bytes | BellcastError) -> Result:
    if isinstance(outcome, BellcastError):
        return refused(number, outcome)
    response = msgspec.json.decode(outcome)
    if "schedule" in response:
        return Result(schedule=response["schedule"])
    if "announcement" in response:
        return Result(response["announcement"]["id"])
    ids = [one["id"] for one in response["notifications"]]
    return Result(ids=ids) if isinstance(draft, Draft) and isinstance(draft.to, list) else Result(ids[0])


def refused(number: int, refusal: BellcastError) -> Result:
    """Return the refusal with its first MAX_ITEM_ERRORS field errors; the detail has the number of omitted ones."""
    rest = len(refusal.errors) - MAX_ITEM_ERRORS
    if rest > 0:
        shown = Invalid.fields(list(refusal.errors[:MAX_ITEM_ERRORS]))
        at_least = "at least " if len(refusal.errors) == MAX_FIELD_ERRORS else ""
        refusal = Invalid(f"{shown.detail}; {at_least}{rest} more", errors=shown.errors)
    return Result(error=responses.problem_fields(refusal, within=str(number)))


@operation(
    "POST",
    "/v1/import",
    tag="Sending",
    required_scope="manage",
    query=DryRunQuery,
    body=list[ImportedDraft],
    body_types=("application/x-ndjson", *NDJSON[1:], "application/json"),
    headers=("Idempotency-Key",),
    response_types={200: ImportResults},
    example=[
        {
            "to": "alice",
            "title": "New booking",
            "created_at": "2025-03-01T09:30:00Z",
            "read_at": "2025-03-01T10:00:00Z",
            "idempotency_key": "old-1",
        }
    ],
    id="imports.load",
)
async def load_imports(request: ApiRequest) -> ASGIApp:
    """Import notifications of another system.

    Up to 10,000, each imported or refused separately: one JSON object per line (`application/x-ndjson`), or a JSON
    array of drafts with `created_at`, `seen_at`, `read_at` and `archived_at` for named recipients. An import causes no
    message, toast or webhook. A repeated `idempotency_key` imports nothing: within 24 hours as in a bulk send, and
    later for as long as the inbox has the notification and `created_at` is the same. `existing` is the number of such
    items. A dry run returns the number of recipients of each item."""
    ctx, is_dry_run = context.of(request), request_body.is_dry_run(request)
    results, bulk_import = EncodedResults(), imports.BulkImport(ctx.engines, ctx.limits)
    async for drafts in parts(request, IMPORTED):
        if is_dry_run:
            planned = await imports.prepare(ctx.engines, ctx.limits, drafts, ctx.engines.clock.now())
            results.add(
                [
                    refused(number, one) if isinstance(one, BellcastError) else Result(recipients=len(one.recipients))
                    for number, one in enumerate(planned, results.count)
                ]
            )
        else:
            results.add(await results_of(ctx, drafts, await bulk_import.send(drafts), results.count))
    return results.response(bulk_import.existing)


IMPORTED = request_body.Shape(
    ImportedDraft,
    lambda draft, ctx: notification_types.check_import(draft, ctx.limits, times.to_rfc3339(ctx.engines.clock.now())),
    ruled_later=True,
)
