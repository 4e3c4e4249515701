"""The tenant of a request, and requests of bound callers: operators and API keys that are restricted to some tenants. Before the
handler runs, each of these is narrowed to one allowed tenant or refused, so handlers only see a query with an allowed
tenant and a body that names no other."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from bellcast.kernel import field_limits, validation
from bellcast.kernel.errors import FieldError, Forbidden, Invalid, TooLarge
from bellcast.kernel.field_limits import ValueRule, list_of
from bellcast.kernel.http import request_body
from bellcast.kernel.http.request_body import TENANT, ApiRequest
from bellcast.kernel.identities import DEFAULT_TENANT, EVERY_TENANT, Caller
from bellcast.kernel.limits import Limits
from bellcast.kernel.validation import FieldErrors
from bellcast.rest import context

# How an operation limits a bound caller. "query": the query names the tenant. "list": like "query", and `*` means all
# tenants of the caller. "path": the path names the tenant. "handler": the handler compares the tenants itself.
# "refused" or None: bound callers are refused.
TenantRule = Literal["query", "list", "path", "handler", "refused"]
# If this name does not occur in the JSON text, no field has it; a backslash escape could hide it.
MARKS = (b"tenant", b"\\u")
# Larger bodies are decoded in another thread.
INLINE_BYTES = 65_536
# A decoded value takes about 80 bytes.
MAX_VALUES = 1_000_000
EVERY = "every_tenant"


def limit(request: ApiRequest, caller: Caller, rule: TenantRule | None) -> None:
    """Limit a request to a tenant of its caller. Raises Forbidden."""
    if caller.tenants is None or rule == "handler":
        return
    scope: Any = request.scope
    if rule == "path":
        tenant = request_body.path(request, "key")
        check(caller.tenants, tenant)
    elif rule in (None, "refused"):
        raise Forbidden(NOT_OPEN)
    else:
        given = request_body.pairs(scope["query_string"])
        named = request_body.single(TENANT, given[TENANT]) if TENANT in given else None
        tenant = choose(caller.tenants, named, accepts_every=rule == "list")
        scope["query_string"] = urlencode(given | {TENANT: [tenant]}, doseq=True, quote_via=quote).encode()
    if tenant == EVERY_TENANT:
        scope["state"][EVERY] = caller.tenants

    async def check_body(body: bytes) -> None:
        media_type = request_body.media_type(request)
        # Parsing YAML of this size takes a second.
        if len(body) <= INLINE_BYTES and media_type not in request_body.YAML_TYPES:
            _check(media_type, body, tenant)
        else:
            await asyncio.to_thread(_check, media_type, body, tenant)

    scope["state"][request_body.CHECK_BODY] = check_body


def every(request: ApiRequest) -> tuple[str, ...] | None:
    """Return the tenants that `*` means in a request of a bound caller; None for all."""
    result: tuple[str, ...] | None = request.scope["state"].get(EVERY)
    return result


def _check(media_type: str, body: bytes, tenant: str) -> None:
    """Raise Forbidden if a body names a tenant that is not allowed, BadRequest if a part cannot be decoded."""
    is_escaped = media_type == request_body.FORM or media_type in request_body.YAML_TYPES
    if not is_escaped and not any(mark in body for mark in MARKS):
        return
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise TooLarge(f"A request of a caller that is restricted to tenants may have at most {MAX_VALUES} values.")
    for value in values_of(media_type, body):
        check_value(tenant, value)


def values_of(media_type: str, body: bytes) -> Iterable[Any]:
    """Decode the values in a body of any type. Raises BadRequest."""
    if media_type in request_body.YAML_TYPES:
        from bellcast.kernel.yaml_text import YamlText

        return [YamlText(body).value]
    if media_type == request_body.FORM:
        return [request_body.anything(text.encode()) for text in request_body.form_fields(body).values()]
    if media_type in request_body.NDJSON_TYPES:
        return (request_body.anything(line[0]) for line in request_body.LINE.finditer(body))
    # Each element of a list is decoded when it is read: a decoding holds the interpreter's lock, for 0.1 s if 16 MB are
    # decoded in one call. Other JSON is one value.
    try:
        items = request_body.decoder(list[msgspec.Raw]).decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return [request_body.anything(body)]
    return (request_body.anything(bytes(item)) for item in items)


# Fields with free data of the app; `tenant` in them has no meaning to Bellcast.
FREE_FIELDS = frozenset({"data", "settings"})
NAME_ONE = "You may use several tenants: name one, as in ?tenant={first}."
NONE_LEFT = "You may not use any tenant: ask an owner to assign one."
NOT_OPEN = "Only callers that are not restricted to tenants may do this."


def choose(bound: tuple[str, ...], named: str | None, *, accepts_every: bool) -> str:
    """Return the tenant of a request, given the tenant it names, if any. `*` means all tenants of the caller, if the
    operation accepts it. Raises Forbidden."""
    if named in (None, "", EVERY_TENANT):
        if len(bound) == 1:
            return bound[0]
        if not bound:
            raise Forbidden(NONE_LEFT)
        if accepts_every:
            return EVERY_TENANT
        raise Forbidden(NAME_ONE.format(first=bound[0]))
    check(bound, named)
    return named


def check(bound: tuple[str, ...], tenant: Any) -> None:
    """Raise Forbidden for a tenant that is not one of these."""
    if tenant not in bound:
        raise Forbidden(f"You may only use these tenants: {', '.join(bound)}.")


def check_value(tenant: str, value: Any) -> None:
    """Raise Forbidden if a JSON value names another tenant in a field `tenant`, at any depth; the empty text
    names the default tenant."""
    remaining = [value]
    while remaining:
        one = remaining.pop()
        if isinstance(one, dict):
            if one.get("tenant") not in (None, tenant):
                check((tenant,), one["tenant"])
            remaining += [inner for name, inner in one.items() if name not in FREE_FIELDS]
        elif isinstance(one, list):
            remaining += one


def is_within(bound: tuple[str, ...] | None, tenants: Iterable[str] | None) -> bool:
    """Return True if `tenants` are a subset of `bound`; None means all tenants."""
    return bound is None or (tenants is not None and set(tenants) <= set(bound))


# Maximum tenants of a bound caller. A list of all of them reads each one.
MAX_BOUND = 20


class TenantQuery(Struct, frozen=True, kw_only=True):
    """The tenant of a request with server permissions. Absent means the default tenant."""

    tenant: str | None = None


def tenant_of(query: str | None, body: str | None = None) -> str | None:
    """Return the tenant in the query or the body, or None. Raises Invalid if they differ."""
    if query and body is not None and query != body:
        raise Invalid.of("tenant", "must be the same in the query and in the body")
    return query or body


def single_tenant(request: ApiRequest, body: str | None = None) -> str:
    """Return the tenant of a request for a single tenant, and name it in the request log."""
    tenant = tenant_of_item(request, body)
    if tenant != DEFAULT_TENANT:
        log_tenant(request, tenant)
    return tenant


def tenants_of(request: ApiRequest, named: str | None) -> Sequence[str]:
    """Return the tenants of a list: the named one, or for `*` all that the caller is bound to; `*` itself for an
    unbound caller."""
    bound = every(request) if named == EVERY_TENANT else None
    if bound is not None:
        return bound
    return [EVERY_TENANT if named == EVERY_TENANT else single_tenant(request)]


def several(_: ApiRequest) -> str:
    """Return no tenant, for requests that may be about none or several."""
    return ""


def tenant_of_item(request: ApiRequest, body: str | None) -> str:
    """Return the tenant of one of the items of a request."""
    tenant = tenant_of(request_body.query(request, TenantQuery).tenant, body)
    if tenant is None:
        return DEFAULT_TENANT
    validation.check(validation.tenant("tenant", tenant, context.of(request).limits))
    return tenant


def tenant_of_object(request: ApiRequest, value: object) -> str:
    """Return the tenant of a request for a single tenant, whose body is this JSON value and can name it."""
    named = value.get(request_body.TENANT) if isinstance(value, dict) else None
    if named is not None and not isinstance(named, str):
        raise Invalid.of("tenant", "must be a tenant's key or null")
    return single_tenant(request, named)


def log_tenant(request: ApiRequest, tenant: str | None) -> None:
    """Name the tenant of a request with server permissions in the request log."""
    request.scope["state"]["tenant"] = tenant


def log_tenant_of_items(request: ApiRequest, caller: Caller, items: set[str | None]) -> None:
    """Name the tenant of a request with many items in the request log, if all items belong to it: callers that are
    restricted to this tenant can read the whole body in the log. In `items`, None is an item of the default tenant, or
    a refused one, whose tenant is unknown."""
    if caller.tenants is not None:  # the guard has limited each item to this tenant
        items = {request_body.query(request, TenantQuery).tenant}
    log_tenant(request, next(iter(items)) if len(items) == 1 else None)


def _bound_errors(field: str, bound: list[str], limits: Limits) -> FieldErrors:
    if not 1 <= len(bound) <= MAX_BOUND or len(set(bound)) != len(bound):
        yield FieldError(field, f"must be 1 to {MAX_BOUND} different tenants, or null for all")
        return
    for number, tenant in enumerate(bound):
        yield from validation.tenant(f"{field}.{number}", tenant, limits)


# The tenants that a key or an operator is restricted to.
BOUND = ValueRule(
    _bound_errors,
    lambda limits: list_of(MAX_BOUND, field_limits.TENANT.schema(limits), least=1) | {"uniqueItems": True},
)


def check_grant(caller: Caller, bound: tuple[str, ...] | None) -> None:
    """Raise Forbidden if a key with these tenants may use more than the caller."""
    if not is_within(caller.tenants, bound):
        raise Forbidden(f"You may only use these tenants: {', '.join(caller.tenants or ())}.")


def key(request: ApiRequest) -> str:
    """Return the tenant's key in the path. Raises Invalid."""
    result = request_body.path(request, "key")
    validation.check(validation.tenant("key", result, context.of(request).limits))
    log_tenant(request, result)
    return result
