"""Pages of lists that accept the tenant `*`."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from bellcast.api import bound_callers, list_total, tenants
from bellcast.api.list_total import ListTotal
from bellcast.api.request_body import ApiRequest
from bellcast.errors import Invalid
from bellcast.model.identities import EVERY_TENANT
from bellcast.ports.list_scan import ListScan

T = TypeVar("T")


def tenant_of(request: ApiRequest, named: str | None, **single: str | None) -> str:
    """Return the tenant of a list, or `*`. Raises Invalid if `*` comes with a filter that is unique within a tenant only."""
    if named != EVERY_TENANT:
        return tenants.single_tenant(request)
    for name, value in single.items():
        if value is not None:
            raise Invalid.of("tenant", f"must be one tenant: {name} is unique within a tenant only")
    return EVERY_TENANT


async def total(
    request: ApiRequest,
    page: ListScan[T],
    cursor: str | None,
    limit: int,
    count: Callable[[int], Awaitable[int]] | None,
) -> ListTotal | None:
    """Return the total of a list of which `page` was read with a limit of one more; `count` is None for a list with filters."""
    has_more = len(page.rows) > limit or page.scanned_until is not None
    counts = count if bound_callers.every(request) is None else None
    return await list_total.of_first_page(min(len(page.rows), limit), cursor, has_next=has_more, count=counts)


async def newest(
    request: ApiRequest,
    tenant: str,
    limit: int,
    read: Callable[[str], Awaitable[ListScan[T]]],
    id_of: Callable[[T], str],
) -> ListScan[T]:
    """Read a page of a tenant by descending id; with `*`, of all tenants of the caller."""
    bound = bound_callers.every(request) if tenant == EVERY_TENANT else None
    if bound is None:
        return await read(tenant)
    pages = [await read(one) for one in bound]
    # Below the end of one search, rows of its tenant may be missing.
    end = max((one.scanned_until for one in pages if one.scanned_until is not None), default="")
    rows = sorted((row for page in pages for row in page.rows if id_of(row) >= end), key=id_of, reverse=True)
    return ListScan(rows[:limit], None if len(rows) >= limit else end or None)
