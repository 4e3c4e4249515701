"""Tenants of lists that accept the tenant `*`."""

from collections.abc import Sequence

from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.rest import bound_callers, tenants


def tenants_of(request: ApiRequest, named: str | None) -> Sequence[str]:
    """Return the tenants of a list: the named one, or for `*` all that the caller is bound to; `*` itself for an
    unbound caller."""
    bound = bound_callers.every(request) if named == EVERY_TENANT else None
    if bound is not None:
        return bound
    return [EVERY_TENANT if named == EVERY_TENANT else tenants.single_tenant(request)]
