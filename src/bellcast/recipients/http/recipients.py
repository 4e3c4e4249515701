"""Recipients: their fields, their stored data, and revocation of their sessions."""

import msgspec
from msgspec import UNSET, Struct, to_builtins
from msgspec.structs import force_setattr, replace

from bellcast.kernel import validation
from bellcast.kernel.db.list_scan import ListTotal
from bellcast.kernel.db.lists import ListPage
from bellcast.kernel.errors import Invalid, NotFound
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.list_limit import AppListLimit
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.times import Moment
from bellcast.operators import types as operators
from bellcast.recipients import recipients
from bellcast.recipients.store import recipients as store
from bellcast.recipients.store.recipients import Recipients
from bellcast.recipients.types import RECORD_FIELDS, Recipient, RecipientFields
from bellcast.rest import audit, context, objects, tenants
from bellcast.rest.operations import operation
from bellcast.rest.resource import DryRunQuery, Listing, Resource
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

    def __post_init__(self) -> None:
        """Raises Invalid if both names of the cursor are used."""
        if self.before is not None:
            if self.after is not None:
                raise Invalid.of("before", "is another name of `after`: use one of them")
            force_setattr(self, "after", self.before)


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


RECIPIENTS = Resource("recipients", tag="Recipients")


@RECIPIENTS.page(store.LIST, RecipientPage, query=SearchQuery, roles=operators.ROLES)
async def page(listing: Listing[SearchQuery]) -> ListPage[Recipient]:
    """List recipients by key."""
    prefix = listing.query.prefix or listing.query.search or ""
    return await Recipients(listing.ctx.engines.db).page(replace(listing.wanted, prefix=prefix))


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
