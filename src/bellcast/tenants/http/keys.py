"""API keys for servers: create, list and revoke. The secret part is shown once."""

from typing import Annotated

import msgspec
from msgspec import Struct

from bellcast.auth import keys, server_credentials, tenant_bounds
from bellcast.auth.store import Keys
from bellcast.kernel import times
from bellcast.kernel.errors import BadRequest, FieldError, Forbidden
from bellcast.kernel.field_limits import KEY, LINK_LIFETIME, ValueRule
from bellcast.kernel.http import list_positions, request_body
from bellcast.kernel.http.list_parameters import ListLimit
from bellcast.kernel.http.list_positions import AfterMoment
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT, KeyScope
from bellcast.kernel.limits import Limits
from bellcast.kernel.validation import FieldErrors
from bellcast.rest import audit, context, guards, tenants
from bellcast.rest.resource import Change, Resource, listing
from bellcast.rest.tenants import BOUND, TenantQuery
from bellcast.tenants.types import ApiKey


def _scopes(field: str, scopes: list[KeyScope], _: Limits) -> FieldErrors:
    return () if scopes else [FieldError(field, f"must be one or more of: {', '.join(keys.SCOPES)}")]


class KeyRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name and scopes of a new key, and the tenants that it is restricted to. Without `tenants`, it may use all tenants
    that its creator may use. It ends after `ttl` (seconds, or as `90d`), by default when it is revoked."""

    name: Annotated[str, KEY]
    scopes: Annotated[list[KeyScope], ValueRule(_scopes, lambda _: {"minItems": 1})]
    tenants: Annotated[list[str] | None, BOUND] = None
    ttl: Annotated[str | float | None, LINK_LIFETIME] = None


class NewKey(ApiKey, frozen=True, kw_only=True):
    """A new key with its text, which is not shown again."""

    key: str


class KeysQuery(TenantQuery, frozen=True, kw_only=True):
    """A page of keys, oldest first. With a tenant, the keys that may use it; without one, or with `*`, all keys."""

    limit: ListLimit = 200
    after: AfterMoment | None = None


class ApiKeys(Struct, frozen=True):
    """A page of keys, including revoked ones, without their secret parts. Pass `next` as `after` for newer ones."""

    keys: list[ApiKey]
    next: str | None = None


KEYS = Resource(
    "keys",
    "/{id:str}",
    tag="Access",
    unknown="No API key has this id.",
    query=None,
    is_audited=True,
    is_sensitive=True,
    bound_by="handler",
)


@KEYS.create(
    request_body.Shape(KeyRequest, None, {"name": "x", "scopes": ["read"]}),
    NewKey,
    example={"name": "booking service", "scopes": ["send"]},
)
async def create(change: Change[KeyRequest]) -> NewKey:
    """Create an API key.

    Only this response contains its text. A key can only have scopes and tenants that its creator has, and ends with it at the latest. A key with
    `tenants` can use only these: its requests name one in the query (`?tenant=acme`), which may be omitted if the key
    has only one. Operations that do not belong to one tenant refuse such a key."""
    params, caller = change.body, guards.caller(change.request)
    for scope in params.scopes:  # otherwise a key could create keys with more scopes than its own
        server_credentials.require(caller, scope)
    if "manage" in params.scopes and caller.role not in (None, "owner"):  # it could create tokens and erase recipients
        raise Forbidden("Only an owner may create keys with the scope manage.")
    bound = caller.tenants if params.tenants is None else tuple(params.tenants)
    tenants.check_grant(caller, bound)
    now, expires_at = change.ctx.engines.clock.now(), caller.expires_at
    if params.ttl is not None:
        until = change.ctx.token_clock.now() + round(times.seconds(params.ttl) * 1000)
        expires_at = guards.ending(change.request, until)
    made = keys.make(params.name, params.scopes, now, bound, expires_at)
    await Keys(change.ctx.engines.db).create(made.key, made.digest)
    audit.note_changes(change.request, {}, {"name": params.name, "scopes": made.key.scopes, "tenants": bound})
    return NewKey(**msgspec.structs.asdict(made.key), key=made.text)


@listing("/v1/keys", ApiKeys, query=KeysQuery, tag="Access", required_scope="manage", refusals=(BadRequest,))
async def page(request: ApiRequest, query: KeysQuery) -> ApiKeys:
    """List the API keys.

    A caller that is restricted to tenants sees only the keys of these tenants. With `?tenant=`, the list has the keys
    that may use the tenant: those restricted to it, and those without a restriction. Without it, or with `*`, the list
    has all keys."""
    ctx, bound = context.of(request), guards.caller(request).tenants
    tenant = None if query.tenant == EVERY_TENANT else query.tenant
    if tenant is not None:
        tenants.single_tenant(request)
    own = [
        one
        for one in await Keys(ctx.engines.db).all()
        if tenant_bounds.is_within(bound, one.tenants)
        and (tenant is None or one.tenants is None or tenant in one.tenants)
    ]
    if query.after:
        after = list_positions.moment(query.after)
        own = [one for one in own if _position(one) > after]
    return ApiKeys(*list_positions.split(own, query.limit, lambda one: list_positions.of_moment(*_position(one))))


@KEYS.delete()
async def revoke(change: Change[None]) -> bool:
    """Revoke an API key.

    It is rejected from now on."""
    (id,), engines = change.key, change.ctx.engines
    found = await Keys(engines.db).find(id)
    is_own = found is not None and tenant_bounds.is_within(guards.caller(change.request).tenants, found[0].tenants)
    if not is_own or not await Keys(engines.db).revoke(id, engines.clock.now()):
        return False
    audit.note_change(change.request, "revoked", before=False, after=True)
    return True


def _position(key: ApiKey) -> tuple[int, str]:
    return times.milliseconds(key.created_at), key.id
