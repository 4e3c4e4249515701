"""The tenant of a request."""

from collections.abc import Sequence

from msgspec import Struct

from bellcast.auth import tenant_bounds
from bellcast.kernel import validation
from bellcast.kernel.errors import FieldError, Forbidden, Invalid
from bellcast.kernel.field_limits import TENANT, ValueRule, list_of
from bellcast.kernel.http import request_body
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import DEFAULT_TENANT, EVERY_TENANT, Caller
from bellcast.kernel.limits import Limits
from bellcast.kernel.validation import FieldErrors
from bellcast.rest import bound_callers, context, guards

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
    bound = bound_callers.every(request) if named == EVERY_TENANT else None
    if bound is not None:
        return bound
    return [EVERY_TENANT if named == EVERY_TENANT else single_tenant(request)]


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


def log_tenant_of_items(request: ApiRequest, items: set[str | None]) -> None:
    """Name the tenant of a request with many items in the request log, if all items belong to it: callers that are
    restricted to this tenant can read the whole body in the log. In `items`, None is an item of the default tenant, or
    a refused one, whose tenant is unknown."""
    if guards.caller(request).tenants is not None:  # the guard has limited each item to this tenant
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
    lambda limits: list_of(MAX_BOUND, TENANT.schema(limits), least=1) | {"uniqueItems": True},
)


def check_grant(caller: Caller, bound: tuple[str, ...] | None) -> None:
    """Raise Forbidden if a key with these tenants may use more than the caller."""
    if not tenant_bounds.is_within(caller.tenants, bound):
        raise Forbidden(f"You may only use these tenants: {', '.join(caller.tenants or ())}.")


def outside(tenant: str) -> str | None:
    """Return a tenant's key as shown in responses: None for the default tenant."""
    return tenant or None


def key(request: ApiRequest) -> str:
    """Return the tenant's key in the path. Raises Invalid."""
    result = request_body.path(request, "key")
    validation.check(validation.tenant("key", result, context.of(request).limits))
    log_tenant(request, result)
    return result
