"""Callers that are bound to tenants: which tenant their requests may name. Pure."""

from collections.abc import Iterable
from typing import Any

from bellcast.errors import Forbidden
from bellcast.model.identities import EVERY_TENANT

# Values in these fields are the app's own, and name no tenant to Bellcast.
FREE_FIELDS = frozenset({"data", "settings"})
NAME_ONE = "You may use several tenants: name one, as in ?tenant={first}."
NONE_LEFT = "You may use no tenant."
NOT_OPEN = "This is for callers that are not bound to tenants."


def choose(bound: tuple[str, ...], named: str | None, *, accepts_every: bool) -> str:
    """Return the tenant of a request that names this one or none: `*` for all of the caller's, if the operation accepts it.
    Raises Forbidden."""
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
        raise Forbidden(f"You may use these tenants only: {', '.join(bound)}.")


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
