"""Recipients: their fields, their stored data, and revocation of their sessions."""

import functools
from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Struct, to_builtins

from bellcast.kernel import validation
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.list_scan import ANY_TIME, CreatedRange, ListScan, ListTotal
from bellcast.kernel.errors import Invalid, NotFound
from bellcast.kernel.http import list_positions, list_total, request_body, responses, time_range
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.list_limit import AppListLimit
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import DEFAULT_TENANT, EVERY_TENANT
from bellcast.kernel.times import Moment
from bellcast.operators import types as operators
from bellcast.recipients import recipients
from bellcast.recipients.store.recipients import Recipients
from bellcast.recipients.types import RECORD_FIELDS, Recipient, RecipientFields
from bellcast.rest import audit, context, objects, tenant_pages, tenants, viewers
from bellcast.rest.operations import operation
from bellcast.rest.resource import DryRunQuery
from bellcast.rest.tenants import TenantQuery

EXAMPLE = {"name": "Alice", "email": "alice@example.com", "locale": "en-GB", "roles": ["admin"]}
# Fields in the audit log. Values that may identify a person are omitted.
AUDITED = ("roles", *RECORD_FIELDS)
IMPERSONAL = frozenset({"locale", "timezone", "roles", "member_since"})


class PageQuery(TenantQuery, frozen=True, kw_only=True):
    """A page of a list, ordered by key."""

    limit: AppListLimit = 100
    after: str | None = None
    before: str | None = None  # alias of the cursor, as in the inbox

    @property
    def cursor(self) -> str | None:
        """Start of the page: the `next` of the previous page. Raises Invalid if both names are used."""
        if self.after is not None and self.before is not None:
            raise Invalid.of("before", "is another name of `after`: use one of them")
        return self.after if self.before is None else self.before


class SearchQuery(PageQuery, frozen=True, kw_only=True):
    """A page of recipients. `prefix` is the beginning of their keys, `search` its alias. `from` and `to` filter by
    creation time. The tenant `*` means all tenants, ordered by their keys."""

    search: str | None = None
    prefix: str | None = None
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")


class RecipientPage(Struct, frozen=True):
    """A page of recipients; `next` is the value of `after` for the next page. If `scanned_until` is not null, the
    search stopped before the page was full: pass it as `after` to continue. Only the first page has a `total`."""

    recipients: list[Recipient]
    next: str | None
    scanned_until: str | None
    total: ListTotal | None = None


def key(request: ApiRequest, name: str = "key") -> str:
    """Return the recipient's key in the path. Raises Invalid."""
    result = request_body.path(request, name)
    validation.check(validation.key(name, result, context.of(request).limits))
    return result


@operation(
    "GET",
    "/v1/recipients",
    tag="Recipients",
    required_scope="read",
    roles=operators.ROLES,
    bound_by="list",
    query=SearchQuery,
    is_exported=True,
    response_types={200: RecipientPage},
)
async def page(request: ApiRequest) -> ASGIApp:
    """List recipients by key."""
    params = request_body.query(request, SearchQuery)
    db, created = context.of(request).engines.db, time_range.created(params.start, params.end)
    prefix, limit = params.prefix or params.search or "", params.limit + 1
    tenant, named = tenant_pages.tenant_of(request, params.tenant), tenant_pages.tenants_of(request, params.tenant)
    after = list_positions.key(tenant, params.cursor or "")
    if EVERY_TENANT in named:
        found = await Recipients(db).page_of_all(after, limit, prefix, created)
    else:
        found = await tenant_pages.by_key(named, after, limit, functools.partial(_read, db, prefix, created))
    shown, has_next = found.rows[: params.limit], len(found.rows) > params.limit
    # Across all tenants, no index finds keys by prefix: every key would be compared.
    is_counted = created == ANY_TIME and not (prefix and EVERY_TENANT in named)
    count = functools.partial(_count, db, named, prefix) if is_counted else None
    has_more = has_next or found.scanned_until is not None
    total = await list_total.of_first_page(len(shown), params.cursor, has_next=has_more, count=count)
    position = functools.partial(list_positions.of_key, is_in_every=tenant == EVERY_TENANT)
    following = position(shown[-1].tenant or DEFAULT_TENANT, shown[-1].key) if has_next else None
    scanned = None if found.scanned_until is None else position(*found.scanned_until)
    return responses.json(viewers.page_for(request, RecipientPage(shown, following, scanned, total)))


async def _read(
    db: Engine, prefix: str, created: CreatedRange, tenant: str, after: str, limit: int
) -> ListScan[Recipient]:
    if created == ANY_TIME:
        return ListScan(await Recipients(db).page(tenant, after, limit, prefix), None)
    return await Recipients(db).created_page(tenant, after, limit, prefix, created)


async def _count(db: Engine, named: Sequence[str], prefix: str, limit: int) -> ListTotal:
    async def count(tenant: str, limit: int) -> ListTotal:
        return list_total.up_to(limit, await Recipients(db).count(tenant, prefix, limit + 1))

    if EVERY_TENANT in named:
        return list_total.up_to(limit, await Recipients(db).count_of_all(limit + 1))
    return await tenant_pages.sum_of(named, count, limit)


@operation(
    "GET",
    "/v1/recipients/{key:str}",
    tag="Recipients",
    required_scope="read",
    query=TenantQuery,
    response_types={200: Recipient},
    refusals=(NotFound,),
)
async def read(request: ApiRequest) -> ASGIApp:
    """Read a recipient.

    The response includes the counters of its inbox."""
    ctx = context.of(request)
    return responses.json(await recipients.get(ctx.engines, tenants.single_tenant(request), key(request)))


@operation(
    "PUT",
    "/v1/recipients/{key:str}",
    tag="Recipients",
    required_scope="manage",
    query=DryRunQuery,
    body=RecipientFields,
    response_types={200: Recipient, 201: Recipient},
    example=EXAMPLE,
)
async def write(request: ApiRequest) -> ASGIApp:
    """Write a recipient.

    The request replaces the recipient: absent fields are cleared. 201 when the recipient is new. `timezone` is an IANA
    name, and `locale` a language tag such as `de-AT`; other values are refused."""
    recipient, created = await _put(request, replace=True)
    return responses.json(recipient, 201 if created else 200)


@operation(
    "PATCH",
    "/v1/recipients/{key:str}",
    tag="Recipients",
    required_scope="manage",
    query=DryRunQuery,
    body=RecipientFields,
    response_types={200: Recipient},
    refusals=(NotFound,),
    example={"locale": "de"},
)
async def change(request: ApiRequest) -> ASGIApp:
    """Change a recipient.

    Absent fields do not change."""
    recipient, _ = await _put(request, replace=False)
    return responses.json(recipient)


async def _put(request: ApiRequest, *, replace: bool) -> tuple[Recipient, bool]:
    ctx = context.of(request)
    known = key(request)
    fields = await request_body.body(request, FIELDS)
    tenant = tenants.single_tenant(request, None if fields.tenant is UNSET else fields.tenant)
    before = None
    if not replace:
        before = await recipients.get(ctx.engines, tenant, known)
    if objects.is_dry_run(request):
        return await recipients.plan(ctx.engines, tenant, known, fields, replace=replace), False
    if replace and audit.is_by_operator(request):
        before = await Recipients(ctx.engines.db).get(tenant, known)
    written = await recipients.put(ctx.engines, tenant, known, fields, replace=replace)
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


@operation(
    "DELETE",
    "/v1/recipients/{key:str}",
    tag="Recipients",
    required_scope="manage",
    roles=("owner",),
    is_sensitive=True,
    query=TenantQuery,
    response_types={204: None},
    refusals=(NotFound,),
)
async def erase(request: ApiRequest) -> ASGIApp:
    """Erase a recipient.

    All stored data of the recipient is deleted, and its live connections close. Responses under idempotency keys stay
    for their 24 hours, so that a late retry does not send again. Suppressed addresses stay suppressed, and the audit log
    keeps what operators did."""
    ctx = context.of(request)
    await recipients.delete(ctx.engines, ctx.token_clock, tenants.single_tenant(request), key(request))
    return responses.empty()


@operation(
    "DELETE",
    "/v1/recipients/{key:str}/sessions",
    tag="Access",
    required_scope="manage",
    query=TenantQuery,
    response_types={204: None},
)
async def revoke(request: ApiRequest) -> ASGIApp:
    """End every session of a recipient.

    Its live connections close, and tokens and preferences links issued earlier are refused. Unsubscribe links stay
    valid."""
    ctx = context.of(request)
    await recipients.revoke(ctx.engines, ctx.token_clock, tenants.single_tenant(request), key(request))
    return responses.empty()


FIELDS = request_body.Shape(RecipientFields)
