"""Pages of lists that accept the tenant `*`."""

import functools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from bellcast.kernel.db import list_scan
from bellcast.kernel.db.list_scan import ListScan, ListTotal
from bellcast.kernel.db.lists import ListPage
from bellcast.kernel.errors import Invalid
from bellcast.kernel.http import list_total
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.rest import bound_callers, tenants

T = TypeVar("T")


def tenant_of(request: ApiRequest, named: str | None, **single: str | None) -> str:
    """Return the tenant of a list, or `*`. Raises Invalid if `*` is combined with a filter that is only unique within a
    tenant."""
    if named != EVERY_TENANT:
        return tenants.single_tenant(request)
    for name, value in single.items():
        if value is not None:
            raise Invalid.of("tenant", f"must be one tenant: {name} is only unique within a tenant")
    return EVERY_TENANT


def tenants_of(request: ApiRequest, named: str | None) -> Sequence[str]:
    """Return the tenants of a list: the named one, or for `*` all that the caller is bound to; `*` itself for an
    unbound caller."""
    bound = bound_callers.every(request) if named == EVERY_TENANT else None
    return [tenant_of(request, named)] if bound is None else bound


async def by_key(
    named: Iterable[str], after: tuple[str, str], limit: int, read: Callable[[str, str, int], Awaitable[ListScan[T]]]
) -> ListPage[T]:
    """Read pages of several tenants in sequence, by tenant and key, starting after `after`. `read` takes the tenant,
    the key to start after, and a limit."""
    rows: list[T] = []
    for tenant in sorted(one for one in named if one >= after[0]):
        found = await read(tenant, after[1] if tenant == after[0] else "", limit - len(rows))
        rows += found.rows
        if found.scanned_until is not None:
            return ListPage(rows, scanned_until=(tenant, found.scanned_until))
        if len(rows) >= limit:
            break
    return ListPage(rows)


async def total(
    request: ApiRequest,
    tenant: str,
    page: ListScan[T],
    cursor: str | None,
    limit: int,
    count: Callable[[str, int], Awaitable[ListTotal]] | None,
) -> ListTotal | None:
    """Return the total of a list. `page` must have been read with a limit one above the page size. `count` counts a
    tenant's items up to a number; None: the list is not counted."""
    if page.scanned_until is not None:  # the page has every item of the examined rows
        return None if cursor else ListTotal(len(page.rows), exact=False)
    bound = bound_callers.every(request) if tenant == EVERY_TENANT else None
    counts = None if count is None else functools.partial(sum_of, [tenant] if bound is None else bound, count)
    return await list_total.of_first_page(
        min(len(page.rows), limit), cursor, has_next=len(page.rows) > limit, count=counts
    )


async def sum_of(named: Iterable[str], count: Callable[[str, int], Awaitable[ListTotal]], limit: int) -> ListTotal:
    """Count the items of several tenants, up to a common limit."""
    value = 0
    for tenant in named:
        counted = await count(tenant, limit - value)
        value += counted.value
        if not counted.exact:
            return ListTotal(value, exact=False)
    return ListTotal(value, exact=True)


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
    return list_scan.newest([await read(one) for one in bound], limit, id_of)
