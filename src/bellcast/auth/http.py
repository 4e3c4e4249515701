"""API keys, and session tokens for browsers, requested by the app's server."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Struct

from bellcast.auth import keys, tokens
from bellcast.auth.store import ApiKey, Keys
from bellcast.auth.tokens import Seconds
from bellcast.kernel import times, validation
from bellcast.kernel.errors import FieldError, Forbidden, Invalid
from bellcast.kernel.field_limits import KEY, LINK_LIFETIME, ROLE, TENANT, Limit, ValueRule, each, lasting, text
from bellcast.kernel.http import list_parameters
from bellcast.kernel.http.list_parameters import AfterMoment, ListLimit
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT, KeyScope
from bellcast.rest import audit, context, guards, tenants
from bellcast.rest.resource import Resource, ResourceCall
from bellcast.rest.tenants import BOUND, TenantQuery

NO_SCOPES = f"must be one or more of: {', '.join(keys.SCOPES)}"


class KeyRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name and scopes of a new key, and the tenants that it is restricted to. Without `tenants`, it may use all tenants
    that its creator may use. It ends after `ttl` (seconds, or as `90d`), by default when it is revoked."""

    name: Annotated[str, KEY]
    scopes: Annotated[
        list[KeyScope],
        ValueRule(lambda field, scopes, _: () if scopes else [FieldError(field, NO_SCOPES)], lambda _: {"minItems": 1}),
    ]
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
    KeyRequest,
    NewKey,
    example={"name": "booking service", "scopes": ["send"]},
    id="keys.create",
)
async def create_key(call: ResourceCall[KeyRequest]) -> NewKey:
    """Create an API key.

    Only this response contains its text. A key can only have scopes and tenants that its creator has, and ends with it at the latest. A key with
    `tenants` can use only these: its requests name one in the query (`?tenant=acme`), which may be omitted if the key
    has only one. Operations that do not belong to one tenant refuse such a key."""
    params, caller = call.body, guards.caller(call.request)
    for scope in params.scopes:  # otherwise a key could create keys with more scopes than its own
        keys.require(caller, scope)
    if "manage" in params.scopes and caller.role not in (None, "owner"):  # it could create tokens and erase recipients
        raise Forbidden("Only an owner may create keys with the scope manage.")
    bound = caller.tenants if params.tenants is None else tuple(params.tenants)
    tenants.check_grant(caller, bound)
    now, expires_at = call.ctx.engines.clock.now(), caller.expires_at
    if params.ttl is not None:
        until = call.ctx.token_clock.now() + round(times.seconds(params.ttl) * 1000)
        expires_at = guards.ending(call.request, until)
    new = keys.make(params.name, params.scopes, now, bound, expires_at)
    await Keys(call.ctx.engines.db).create(new.record, new.digest)
    audit.note_changes(call.request, {}, {"name": params.name, "scopes": new.record.scopes, "tenants": bound})
    return NewKey(**msgspec.structs.asdict(new.record), key=new.text)


@Resource("keys", tag="Access").listing(ApiKeys, query=KeysQuery, required_scope="manage", id="keys.page")
async def page_of_keys(request: ApiRequest, query: KeysQuery) -> ApiKeys:
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
        if tenants.is_within(bound, one.tenants) and (tenant is None or one.tenants is None or tenant in one.tenants)
    ]
    if query.after:
        after = list_parameters.moment(query.after)
        own = [one for one in own if _position(one) > after]
    return ApiKeys(*list_parameters.split(own, query.limit, lambda one: list_parameters.of_moment(*_position(one))))


@KEYS.delete(id="keys.revoke")
async def revoke_key(call: ResourceCall[None]) -> bool:
    """Revoke an API key.

    It is rejected from now on, like the session and editor tokens that it created; their connections close
    within 30 seconds. API keys that it created stay."""
    (id,), engines = call.key, call.ctx.engines
    found = await Keys(engines.db).find(id)
    is_own = found is not None and tenants.is_within(guards.caller(call.request).tenants, found[0].tenants)
    if not is_own or not await Keys(engines.db).revoke(id, engines.clock.now()):
        return False
    audit.note_change(call.request, "revoked", before=False, after=True)
    return True


def _position(key: ApiKey) -> tuple[int, str]:
    return times.milliseconds(key.created_at), key.id


HOUR = 3_600
# Maximum patterns of each kind, and roles.
PATTERNS = 100
# `*` matches any characters. The others are the characters of a topic.
PATTERN = ValueRule(
    lambda field, value, limits: validation.topic(field, value.replace("*", "-"), limits),
    lambda limits: text(limits.topic, r"^[A-Za-z0-9_=@,.;*-]+$"),
)


class TokenRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Recipient and lifetime (seconds, or as `1h`) of a session token, and its permissions beyond the recipient's own
    inbox. `since` (epoch seconds) is when the recipient joined the app; earlier announcements do not appear in its
    inbox."""

    recipient: Annotated[str, KEY]
    tenant: Annotated[str | None, TENANT] = None
    ttl: Annotated[int | float | str, lasting(1, tokens.MAX_TTL_SECONDS, "must be between 1 second and 30 days")] = HOUR
    topics: Annotated[list[str], each(PATTERNS, PATTERN, "items")] = []
    publish: Annotated[list[str], each(PATTERNS, PATTERN, "items")] = []
    roles: Annotated[list[str] | None, each(PATTERNS, ROLE, "items")] = None
    name: Annotated[str | None, Limit("title")] = None
    since: Seconds | None = None


class Token(Struct, frozen=True):
    """A signed token and its expiry."""

    token: str
    expires_at: datetime


@Resource("tokens", tag="Access").create(
    TokenRequest,
    Token,
    query=TenantQuery,
    roles=("owner",),
    is_sensitive=True,
    example={"recipient": "alice", "ttl": "1h", "topics": ["project.*"]},
)
async def make(call: ResourceCall[TokenRequest]) -> Token:
    """Create a session token.

    It gives access to one recipient's inbox until it expires: send it to that recipient's browser. An API key with the
    scope `manage` can create one for any recipient, topics and roles: protect it like the project secret. The token ends with that key, also when it is revoked."""
    ctx, params = call.ctx, call.body
    now = ctx.token_clock.now()
    expires_at = guards.ending(call.request, now + round(times.seconds(params.ttl) * 1000))
    token = tokens.sign(
        ctx.project,
        params.recipient,
        now=now,
        expires_at=expires_at,
        tenant=call.tenant,
        topics=params.topics,
        publish=params.publish,
        roles=params.roles,
        name=params.name,
        since=params.since,
        key=guards.caller(call.request).key,
    )
    if len(token) > tokens.MAX_LENGTH:  # no request with it would be accepted
        message = f"would make a token of {len(token)} characters, at most {tokens.MAX_LENGTH} are accepted"
        raise Invalid.of("", f"{message}: shorten topics, publish, roles or name")
    return Token(token, times.to_rfc3339(expires_at))
