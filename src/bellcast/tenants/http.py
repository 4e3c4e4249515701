"""Tenants: their names, settings and erasure."""

import functools
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, structs

from bellcast.console.stats import StatsRecorder
from bellcast.kernel import times, validation
from bellcast.kernel.clock import request_time
from bellcast.kernel.db.lists import ListPage
from bellcast.kernel.errors import Forbidden, NotFound, PasswordRequired, PreconditionFailed
from bellcast.kernel.field_limits import ANY_TENANT, DATA, Limit
from bellcast.kernel.http import entity_tags, request_body, responses
from bellcast.kernel.http.list_parameters import ListLimit
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.rest import audit, editor_access, guards, objects, tenants
from bellcast.rest.resource import Listing, Resource, ResourceCall, Written
from bellcast.rest.tenants import key
from bellcast.tenants import erasure, store
from bellcast.tenants.store import Tenants
from bellcast.tenants.types import RULE_NAMES, Tenant, settings_errors


class TenantFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of a tenant that the app can set."""

    name: Annotated[str | None, Limit("title")] = None
    settings: Annotated[dict[str, Any], DATA] = {}


TENANTS = Resource("tenants", "/{key:str}", key, tag="Tenants", unknown="There is no tenant with this key.", query=None)


class TenantsQuery(Struct, frozen=True, kw_only=True):
    """A page of tenants, ordered by key. `prefix` is the beginning of their keys. `from` and `to` filter by creation
    time. With `tenant`, only this one; `*` means all."""

    tenant: Annotated[str | None, ANY_TENANT] = None
    prefix: Annotated[str, Meta(max_length=200)] = ""
    start: times.Moment | None = msgspec.field(default=None, name="from")
    end: times.Moment | None = msgspec.field(default=None, name="to")
    limit: ListLimit = 50
    after: str | None = None


class ListedTenant(Tenant, frozen=True, kw_only=True):
    """A tenant with its number of recipients (at most 10,000), and what it sent today (UTC). With a daily budget, each recipient
    counts; else each send, as in `GET /v1/stats/series`: `sends_today` is then a lower bound, and null if nothing was counted."""

    recipients: int
    sends_today: int | None


SHOWN = "erasing_since recipients sends_today"


@TENANTS.page(store.LIST, ListedTenant, query=TenantsQuery, shown=SHOWN, bound_by="handler")
async def page(listing: Listing[TenantsQuery]) -> ListPage[ListedTenant]:
    """List tenants by key.

    The default tenant is not listed."""
    ctx, table, tenant = listing.ctx, Tenants(listing.ctx.engines.db), listing.query.tenant
    query = structs.replace(listing.list_query, tenants=None, prefix=listing.query.prefix)
    named = guards.caller(listing.request).tenants
    if tenant is not None and tenant != EVERY_TENANT:
        if named is not None:
            tenants.check(named, tenant)
        named = (tenant,)
    found = await (table.page(query) if named is None else table.named_page(named, query))
    # The sends of today are those of the daily budgets, else those of the statistics.
    keys = [one.key or "" for one, _ in found.items]
    recorder = ctx.find(StatsRecorder)
    counted = {} if recorder is None else await recorder.sends_today(keys)
    sends = {**counted, **await table.usage(ctx.engines.clock.now() // times.DAY_MS)}
    return found.of(
        [
            ListedTenant(**structs.asdict(one), recipients=recipients, sends_today=sends.get(one.key or ""))
            for one, recipients in found.items
        ]
    )


@TENANTS.get(Tenant, bound_by="path", response_headers=("ETag",))
async def read(call: ResourceCall[None]) -> Any:
    """Read a tenant."""
    found = await Tenants(call.ctx.engines.db).get(*call.key)
    return found and responses.json(found, headers=entity_tags.tagged(_content(found), found))


@TENANTS.put(
    request_body.Shape(TenantFields, lambda fields, ctx: validation.check(settings_errors(fields.settings))),
    Tenant,
    bound_by="path",
    query=request_body.DryRunFlag,
    headers=objects.CONDITIONS,
    example={"name": "Acme Studios", "settings": {"plan": "team"}},
    refusals=(PasswordRequired, PreconditionFailed),
)
async def write(call: ResourceCall[TenantFields]) -> Written[Tenant]:
    """Set a tenant's name and settings.

    The request replaces the previous values. 201 when the tenant is new. You can use any names for settings except
    `key` and `name`, which templates read from the tenant itself, and four with a meaning: `weight` (the tenant's share
    when tenants compete, 1 by default), `sends_per_second`, `sends_per_day` (0: unlimited; a notification counts once per
    recipient, an announcement counts once) and `retention_days` (0: forever). Without one of the last three, the server's
    setting applies. Every server applies them within seconds. Callers that are restricted to tenants cannot change these
    four; of the operators, only owners can change `retention_days`, because it deletes notifications. The texts
    `timezone` and `locale` must be an IANA name and a language tag."""
    request, engines, fields, (named,) = call.request, call.ctx.engines, call.body, call.key
    before = await Tenants(engines.db).get(named)
    check = functools.partial(_check_change, request, fields.settings)
    check(before)
    if call.is_dry_run:
        created_at = times.to_rfc3339(engines.clock.now()) if before is None else before.created_at
        return Tenant(key=named, name=fields.name, settings=fields.settings, created_at=created_at), False
    tenant, created = await Tenants(engines.db).put(
        named, fields.name, fields.settings, request_time(engines.clock), check=check
    )
    engines.router.forget()
    audit.note_changes(request, {} if before is None else _content(before), _content(tenant))
    return tenant, created, _content(tenant)


def _content(tenant: Tenant) -> dict[str, Any]:
    """Return what a write replaces."""
    return {"name": tenant.name, "settings": tenant.settings}


@TENANTS.delete(
    roles=("owner",),
    is_sensitive=True,
    headers=objects.CONDITION_OF_CHANGE,
    response_types={204: None, 202: Tenant},
    refusals=(NotFound, PreconditionFailed),
)
async def erase(call: ResourceCall[None]) -> Any:
    """Erase a tenant.

    Deletes all its data: recipients, notifications, announcements, subscriptions. Its connections close, its sessions
    end. 204 when all data is deleted. 202 after 5 seconds: a job continues, also after a restart. Until it ends, the tenant has
    `erasing_since` and refuses sends and new recipients with 409. Then the tenant is not found."""
    ctx, (erased,) = call.ctx, call.key

    def check(stored: Tenant) -> None:
        entity_tags.check(call.request, entity_tags.tag_of(_content(stored)))

    left = await erasure.delete_tenant(ctx.engines, ctx.token_clock, erased, check)
    await editor_access.end_all(ctx, erased)
    await ctx.refresh_dialects()
    return True if left is None else responses.json(left, 202)


def _check_change(request: ApiRequest, after: dict[str, Any], tenant: Tenant | None) -> None:
    """Raise PreconditionFailed unless the tenant is as the request expects it, and Forbidden if the caller may not change these
    settings: the limits protect the other tenants, and the retention deletes notifications. Raise PasswordRequired for an owner who
    has not typed the password recently."""
    entity_tags.check(request, None if tenant is None else entity_tags.tag_of(_content(tenant)))
    by, before = guards.caller(request), {} if tenant is None else tenant.settings
    changed = [name for name in RULE_NAMES if before.get(name) != after.get(name)]
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
