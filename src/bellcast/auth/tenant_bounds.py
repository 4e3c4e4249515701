"""Callers that are restricted to tenants: rules for the tenants in their requests. Pure."""

from collections.abc import Iterable
from typing import Any

from bellcast.kernel.errors import Forbidden
from bellcast.kernel.identities import EVERY_TENANT

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
