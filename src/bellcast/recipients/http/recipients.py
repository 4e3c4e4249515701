"""Recipients: their fields, their stored data, and revocation of their sessions."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, to_builtins
from msgspec.structs import force_setattr, replace

from bellcast.inbox.http.bulk import NDJSON
from bellcast.kernel import validation
from bellcast.kernel.db.lists import ListPage, containing
from bellcast.kernel.errors import BadRequest, BellcastError, Forbidden, Invalid, PreconditionFailed
from bellcast.kernel.field_limits import KEY
from bellcast.kernel.http import ASGIApp, entity_tags, list_parameters, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.times import Moment
from bellcast.recipients import changes, store
from bellcast.recipients.store import Recipients
from bellcast.recipients.types import RECORD_FIELDS, Recipient, RecipientFields
from bellcast.rest import audit, context, guards, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation
from bellcast.rest.resource import DryRunQuery, Listing, ObjectsQuery, Resource, ResourceCall, SearchedText

EXAMPLE = {"name": "Alice", "email": "alice@example.com", "locale": "en-GB", "roles": ["admin"]}
# Fields in the audit log. Values that may identify a person are omitted.
AUDITED = ("roles", *RECORD_FIELDS)
# The fields that are neither content nor personal.
IMPERSONAL = frozenset({"locale", "timezone", "roles", "member_since"})


# A page of names: a request has at most 100 parameters.
MAX_KEYS = 90


class PageQuery(ObjectsQuery, frozen=True, kw_only=True):
    """A page of a list, in the order of its keys."""

    before: str | None = None  # alias of the cursor, as in the inbox

    def __post_init__(self) -> None:
        """Raises Invalid if both names of the cursor are used."""
        if self.before is not None:
            if self.after is not None:
                raise Invalid.of("before", "is another name of `after`: use one of them")
            force_setattr(self, "after", self.before)


class SearchQuery(PageQuery, frozen=True, kw_only=True):
    """A page of recipients. `prefix` is the beginning of their keys, `search` its alias. `text` is a part of their keys, names
    or e-mail addresses; the case of letters is ignored (on SQLite: of ASCII letters). `from` and `to` filter by creation
    time. The tenant `*` means all tenants, ordered by their keys. `keys`, repeated, are those of the
    recipients to read, in one page and without other filters; of all tenants, each is `tenant/key`, with the tenant
    percent-encoded."""

    keys: Annotated[list[str], Meta(max_length=MAX_KEYS)] = msgspec.field(default_factory=list)
    search: str | None = None
    prefix: str | None = None
    text: SearchedText | None = None
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")


def key(request: ApiRequest, name: str = "key") -> str:
    """Return the recipient's key in the path. Raises Invalid."""
    result = request_body.path(request, name)
    validation.check(validation.key(name, result, context.of(request).limits))
    return result


RECIPIENTS = Resource("recipients", "/{key:str}", lambda request: (key(request),), tag="Recipients")


@RECIPIENTS.page(store.LIST, Recipient, query=SearchQuery, shown=" ".join((*IMPERSONAL, "unread", "unseen")))
async def page(listing: Listing[SearchQuery]) -> ListPage[Recipient]:
    """List recipients by key.

    Operators with the role viewer cannot search by `text`, since they read no names and addresses: 403."""
    query = listing.query
    if query.text and guards.caller(listing.request).role == "viewer":
        raise Forbidden("Viewers do not search names and addresses: use `prefix`, which compares keys.")
    if query.keys:
        return ListPage(await Recipients(listing.ctx.engines.db).of_keys(_owners(query, listing.list_query.tenants)))
    prefix, filters = query.prefix or query.search or "", containing(query.text)
    wanted = replace(listing.list_query, prefix=prefix, filters=filters)
    return await Recipients(listing.ctx.engines.db).page(wanted)


def _owners(query: SearchQuery, tenants: Sequence[str] | None) -> list[tuple[str, str]]:
    """Return the tenants and keys of the recipients of `keys`, of those tenants that are listed. Raises Invalid."""
    if any((query.prefix, query.search, query.text, query.after, query.start, query.end)):
        raise Invalid.of("keys", "cannot be combined with other filters")
    try:
        owners = [list_parameters.key(query.tenant or DEFAULT_TENANT, one) for one in query.keys]
    except BadRequest:
        raise Invalid.of("keys", "must be `tenant/key` each for the tenant `*`") from None
    return [(tenant, key) for tenant, key in owners if tenants is None or tenant in tenants]


@RECIPIENTS.get(Recipient)
async def read(call: ResourceCall[None]) -> Recipient:
    """Read a recipient.

    The response includes the counters of its inbox."""
    return await changes.get(call.ctx.engines, call.tenant, *call.key)


@RECIPIENTS.put(RecipientFields, Recipient, headers=("If-None-Match",), refusals=(PreconditionFailed,), example=EXAMPLE)
async def write(call: ResourceCall[RecipientFields]) -> tuple[Recipient, bool]:
    """Write a recipient.

    The request replaces the recipient: absent fields are cleared. 201 when the recipient is new. With
    `If-None-Match: *`, only a new one is written. `timezone` is an IANA name, and `locale` a language tag such as `de-AT`;
    other values are refused."""
    return await _put(call, replace=True)


@RECIPIENTS.patch(RecipientFields, Recipient, query=DryRunQuery, example={"locale": "de"})
async def change(call: ResourceCall[RecipientFields]) -> Recipient:
    """Change a recipient.

    Absent fields do not change."""
    recipient, _ = await _put(call, replace=False)
    return recipient


async def _put(call: ResourceCall[RecipientFields], *, replace: bool) -> tuple[Recipient, bool]:
    request, ctx, fields, (key,) = call.request, call.ctx, call.body, call.key
    tenant = tenants.single_tenant(request, None if fields.tenant is UNSET else fields.tenant)
    is_new = (request_body.header(request, entity_tags.IF_NONE_MATCH) == entity_tags.ANY or None) if replace else False
    before = None
    if not replace:
        before = await changes.get(ctx.engines, tenant, key)
    elif is_new or audit.is_by_operator(request):
        before = await Recipients(ctx.engines.db).get(tenant, key)
    if is_new and before is not None:
        raise PreconditionFailed
    if call.is_dry_run:
        return await changes.plan(ctx.engines, tenant, key, fields, replace=replace), False
    written = await changes.put(ctx.engines, tenant, key, fields, replace=replace, is_new=is_new)
    # Record the names of the changed fields. The audit log outlives the erasure of a recipient, so it contains no
    # personal values.
    after = written[0]
    for field in AUDITED:
        # An empty value counts as none.
        old = to_builtins(getattr(before, field, None)) or None
        new = to_builtins(getattr(after, field)) or None
        if field in IMPERSONAL:
            audit.note_change(request, field, old, new)
        elif old != new:
            audit.note_change(request, field, None, "changed")
    return written


@RECIPIENTS.delete(roles=("owner",), is_sensitive=True)
async def erase(call: ResourceCall[None]) -> bool:
    """Erase a recipient.

    All stored data of the recipient is deleted, and its live connections close. Responses under idempotency keys stay
    for their 24 hours, so that a late retry does not send again. Suppressed addresses stay suppressed, and the audit log
    keeps what operators did."""
    await changes.delete(call.ctx.engines, call.ctx.token_clock, call.tenant, *call.key)
    return True


@RECIPIENTS.delete("/sessions", tag="Access", refusals=())
async def revoke(call: ResourceCall[None]) -> bool:
    """End every session of a recipient.

    Its live connections close, and tokens and preferences links issued earlier are refused. Unsubscribe links stay
    valid."""
    await changes.revoke(call.ctx.engines, call.ctx.token_clock, call.tenant, *call.key)
    return True


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
    id="recipients_bulk.write",
)
async def write_many(request: ApiRequest) -> ASGIApp:
    """Write many recipients.

    Up to 10,000, each created or changed, or refused separately: a JSON array, or one JSON object per line
    (`application/x-ndjson`)."""
    ctx = context.of(request)
    items = await request_body.bulk_items(request, MAX_RECIPIENTS, ctx.engines.pace, "recipients")
    is_dry_run = request_body.is_dry_run(request)
    results: list[WrittenRecipient] = []
    named: set[str | None] = set()
    async for some in ctx.engines.pace.slices(items):
        read = [_read_one(ctx, item) async for item in ctx.engines.pace.each(some)]
        numbered = enumerate(read, len(results))
        writes = [_write_one(request, ctx, number, fields, named, is_dry_run=is_dry_run) for number, fields in numbered]
        results += await asyncio.gather(*writes)
    tenants.log_tenant_of_items(request, guards.caller(request), named)
    return responses.json(WrittenRecipients(results))


def _read_one(ctx: ApiContext, item: bytes | msgspec.Raw) -> BulkRecipient | BellcastError:
    """Decode one recipient. The result of an invalid item is its refusal."""
    try:
        request_body.check_item_size(item)
        return request_body.json(bytes(item), RECIPIENT, ctx)
    except BellcastError as refusal:
        return refusal


async def _write_one(
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
            await changes.put(ctx.engines, tenant, fields.key, fields, replace=False)
    except BellcastError as refusal:
        return WrittenRecipient(error=responses.problem_fields(refusal, within=str(number)))
    finally:
        named.add(tenant or None)
    return WrittenRecipient(fields.key)


RECIPIENT = request_body.Shape(BulkRecipient, stand_ins={"key": "x"})
