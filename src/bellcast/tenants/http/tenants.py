"""REST operations of tenants."""

import functools
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, structs

from bellcast.auth import tenant_bounds
from bellcast.console.stats import StatsRecorder
from bellcast.kernel import times, validation
from bellcast.kernel.db.list_scan import ListTotal
from bellcast.kernel.db.lists import ListPage
from bellcast.kernel.errors import FieldError, Forbidden, NotFound, PasswordRequired
from bellcast.kernel.field_limits import ANY_TENANT, DATA, Limit
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.list_parameters import ListLimit
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT, Caller
from bellcast.kernel.times import Moment
from bellcast.operators.types import ROLES
from bellcast.rest import audit, context, editor_access, guards
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation
from bellcast.rest.resource import Change, Listing, Resource
from bellcast.rest.tenants import key
from bellcast.tenants import erasure, store
from bellcast.tenants.store import Tenants
from bellcast.tenants.types import Tenant


class TenantFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of a tenant that the app can set."""

    name: Annotated[str | None, Limit("title")] = None
    settings: Annotated[dict[str, Any], DATA] = {}


def _check(fields: TenantFields, ctx: ApiContext) -> None:
    validation.check(
        _rules(fields.settings),
        validation.locale("settings.locale", fields.settings.get("locale")),
        validation.timezone("settings.timezone", fields.settings.get("timezone")),
    )


# One unit of work advances a tenant's virtual time by 1 / weight. With weights that differ by more than a factor of a
# million, adding small steps to a large time loses precision, and with it the fairness among all tenants.
MIN_WEIGHT, MAX_WEIGHT = 0.001, 1000

WHOLE = ("sends_per_second", "sends_per_day", "retention_days")
# Fields of the variable `tenant`, next to the settings.
RESERVED = ("key", "name")


def _rules(settings: dict[str, Any]) -> validation.FieldErrors:
    for name in RESERVED:
        if name in settings:
            yield FieldError(f"settings.{name}", f"must be absent: templates read the tenant's own {name} by this name")
    for name in WHOLE:
        value = settings.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31):
            yield FieldError(f"settings.{name}", "must be a whole number, 0 or more")
    weight = settings.get("weight")
    if weight is not None and (
        isinstance(weight, bool) or not isinstance(weight, int | float) or not MIN_WEIGHT <= weight <= MAX_WEIGHT
    ):
        yield FieldError("settings.weight", f"must be a number from {MIN_WEIGHT} to {MAX_WEIGHT}")


TENANTS = Resource(
    "tenants",
    "/{key:str}",
    lambda request: (key(request),),
    tag="Tenants",
    unknown="There is no tenant with this key.",
    query=None,
)


class TenantsQuery(Struct, frozen=True, kw_only=True):
    """A page of tenants, ordered by key. `prefix` is the beginning of their keys. `from` and `to` filter by creation
    time. With `tenant`, only this one; `*` means all."""

    tenant: Annotated[str | None, ANY_TENANT] = None
    prefix: Annotated[str, Meta(max_length=200)] = ""
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")
    limit: ListLimit = 50
    after: str | None = None


class ListedTenant(Tenant, frozen=True, kw_only=True):
    """A tenant with its number of recipients (at most 10,000), and what it sent today (UTC). With a daily budget, each recipient
    counts; else each send, as in `GET /v1/stats/series`: `sends_today` is then a lower bound, and null if nothing was counted."""

    recipients: int
    sends_today: int | None


class TenantPage(Struct, frozen=True):
    """A page of tenants. Pass `next` as `after` for the following page, or `scanned_until`, if it is not null, to
    search further. Only the first page has a `total`."""

    tenants: list[ListedTenant]
    next: str | None
    scanned_until: str | None
    total: ListTotal | None = None


@TENANTS.page(store.LIST, TenantPage, query=TenantsQuery, roles=ROLES, bound_by="handler")
async def page(listing: Listing[TenantsQuery]) -> ListPage[ListedTenant]:
    """List tenants by key.

    The default tenant is not listed."""
    ctx, tenants = listing.ctx, Tenants(listing.ctx.engines.db)
    named, query = _named(listing), structs.replace(listing.wanted, tenants=None, prefix=listing.query.prefix)
    found = await (tenants.page(query) if named is None else tenants.named_page(named, query))
    # The sends of today are those of the daily budgets, else those of the statistics.
    keys = [one.tenant.key or "" for one in found.items]
    recorder = ctx.find(StatsRecorder)
    counted = {} if recorder is None else await recorder.sends_today(keys)
    sends = {**counted, **await tenants.usage(ctx.engines.clock.now() // times.DAY_MS)}
    return found.of(
        [
            ListedTenant(
                **structs.asdict(one.tenant), recipients=one.recipients, sends_today=sends.get(one.tenant.key or "")
            )
            for one in found.items
        ]
    )


def _named(listing: Listing[TenantsQuery]) -> tuple[str, ...] | None:
    """Return the tenants that may be listed; None for all."""
    bound, tenant = guards.caller(listing.request).tenants, listing.query.tenant
    if tenant in (None, EVERY_TENANT):
        return bound
    if bound is not None:
        tenant_bounds.check(bound, tenant)
    return (tenant,)


@TENANTS.get(Tenant, bound_by="path")
async def read(wanted: Change[None]) -> Tenant | None:
    """Read a tenant."""
    return await Tenants(wanted.ctx.engines.db).get(*wanted.key)


@TENANTS.put(
    request_body.Shape(TenantFields, _check),
    Tenant,
    bound_by="path",
    query=request_body.DryRunFlag,
    example={"name": "Acme Studios", "settings": {"plan": "team"}},
    refusals=(PasswordRequired,),
)
async def write(change: Change[TenantFields]) -> tuple[Tenant, bool]:
    """Set a tenant's name and settings.

    The request replaces the previous values. 201 when the tenant is new. You can use any names for settings except
    `key` and `name`, which templates read from the tenant itself, and four with a meaning: `weight` (the tenant's share
    when tenants compete, 1 by default), `sends_per_second`, `sends_per_day` (0: unlimited; a notification counts once per
    recipient, an announcement counts once) and `retention_days` (0: forever). Without one of the last three, the server's
    setting applies. Every server applies them within seconds. Callers that are restricted to tenants cannot change these
    four; of the operators, only owners can change `retention_days`, because it deletes notifications. The texts
    `timezone` and `locale` must be an IANA name and a language tag."""
    request, engines, fields, (named,) = change.request, change.ctx.engines, change.body, change.key
    before = await Tenants(engines.db).get(named)
    check = functools.partial(_check_rules, guards.caller(request), fields.settings)
    check({} if before is None else before.settings)
    if change.is_dry_run:
        created_at = times.to_rfc3339(engines.clock.now()) if before is None else before.created_at
        return Tenant(key=named, name=fields.name, settings=fields.settings, created_at=created_at), False
    tenant, created = await Tenants(engines.db).put(
        named, fields.name, fields.settings, engines.clock.now(), check=check
    )
    engines.router.forget()
    after = {"name": tenant.name, "settings": tenant.settings}
    audit.note_changes(request, {} if before is None else {"name": before.name, "settings": before.settings}, after)
    return tenant, created


@operation(
    "DELETE",
    "/v1/tenants/{key:str}",
    tag="Tenants",
    required_scope="manage",
    roles=("owner",),
    is_sensitive=True,
    response_types={204: None, 202: Tenant},
    refusals=(NotFound,),
)
async def erase(request: ApiRequest) -> ASGIApp:
    """Erase a tenant.

    Deletes all its data: recipients, notifications, announcements, subscriptions. Its connections close, its sessions
    end. 204 when all data is deleted. 202 after 5 seconds: a job continues, also after a restart. Until it ends, the tenant has
    `erasing_since` and refuses sends and new recipients with 409. Then the tenant is not found."""
    ctx = context.of(request)
    left = await erasure.delete_tenant(ctx.engines, ctx.token_clock, key(request))
    await editor_access.end_all(ctx, key(request))
    await ctx.refresh_dialects()
    return responses.empty() if left is None else responses.json(left, 202)


def _check_rules(by: Caller, after: dict[str, Any], before: dict[str, Any]) -> None:
    """Raise Forbidden if the caller may not change these settings: the limits protect the other tenants, and the
    retention deletes notifications. Raise PasswordRequired for an owner who has not typed the password recently."""
    changed = [name for name in ("weight", *WHOLE) if before.get(name) != after.get(name)]
    if changed and by.tenants is not None:
        raise Forbidden(f"Only callers that are not restricted to tenants may change {', '.join(changed)}.")
    if "retention_days" not in changed:
        return
    if by.role not in (None, "owner"):
        raise Forbidden(
            "Only owners and API keys may change settings.retention_days, because it deletes notifications."
        )
    if not by.is_verified:
        raise PasswordRequired
