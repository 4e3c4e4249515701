"""Operations of a kind of object: a list, and objects that are read, written and deleted by their key.

A kind is declared once, as `Resource`. Its methods turn functions into operations: they read the request, call the function,
and answer. What is special about an object is in the function; what is not that plain is an operation of its own.
"""

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from msgspec import Struct

from bellcast.kernel import ids
from bellcast.kernel.db.lists import KeysetList, ListPage, ListQuery, RowKey
from bellcast.kernel.errors import BadRequest, Invalid, NotFound
from bellcast.kernel.http import list_positions, request_body, responses, time_range
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.list_limit import AppListLimit
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.rest import bound_callers, context, tenants, viewers
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import ApiEndpoint, Tag, operation
from bellcast.rest.tenants import TenantQuery

B = TypeVar("B")
Q = TypeVar("Q")
T = TypeVar("T")


# Filters by keys of which each tenant has its own.
UNIQUE_IN_TENANT = ("recipient", "notification", "run", "trigger")


class ObjectsQuery(TenantQuery, frozen=True, kw_only=True):
    """A page of a list, in the order of its keys."""

    limit: AppListLimit = 100
    after: str | None = None


class DryRunQuery(TenantQuery, frozen=True, kw_only=True):
    """`dry_run` only validates."""

    dry_run: bool = False


class Listing(Struct, Generic[Q], frozen=True):
    """A request for a page of a list: its parameters, and the page of the store that they mean, without filters."""

    request: ApiRequest
    ctx: ApiContext
    query: Q
    wanted: ListQuery


class Change(Struct, Generic[B], frozen=True):
    """A request for one object: its tenant and key, and the body."""

    request: ApiRequest
    ctx: ApiContext
    tenant: str
    key: tuple[Any, ...]
    body: B
    is_dry_run: bool = False


ReadPage: TypeAlias = Callable[[Listing[Q]], Awaitable[ListPage[Any]]]
WriteOne: TypeAlias = Callable[[Change[B]], Awaitable[tuple[T, bool]]]
KeyOf: TypeAlias = Callable[[ApiRequest], tuple[Any, ...]]


class Resource:
    """A kind of object. `name` is its plural, in paths and pages; `key_of` returns the key in the path of one."""

    def __init__(self, name: str, item: str = "", key_of: KeyOf = lambda _: (), *, tag: Tag) -> None:
        self.name = name
        self.path = f"/v1/{name}"
        self.item_path = f"{self.path}{item}"
        self.key_of = key_of
        self._operation = functools.partial(operation, tag=tag)

    def page(
        self, listed: KeysetList[Any], page_type: Any, *, query: Any = ObjectsQuery, scope: str = "read", **promise: Any
    ) -> Callable[[ReadPage[Any]], ApiEndpoint]:
        """Make a function the operation that lists objects, and exports them. The filters of the list are parameters."""
        is_counted = "total" in request_body.attributes(page_type)
        declare = self._operation(
            "GET", self.path, required_scope=scope, query=query, bound_by="list", is_exported=True,
            response_types={200: page_type}, **promise,
        )  # fmt: skip

        def declared(read: ReadPage[Any]) -> ApiEndpoint:
            @functools.wraps(read)
            async def page(request: ApiRequest) -> ASGIApp:
                given = request_body.query(request, query)
                of_store = wanted(request, listed, given, is_counted=is_counted)
                found = await read(Listing(request, context.of(request), given, of_store))
                shown = answer(page_type, self.name, listed, given.tenant, found)
                return responses.json(viewers.page_for(request, shown))

            return declare(page)

        return declared

    def put(self, body: type[B], item_type: type[T], **promise: Any) -> Callable[[WriteOne[B, T]], ApiEndpoint]:
        """Make a function the operation that writes an object, and returns it and whether it is new."""
        shape, is_optional = request_body.Shape(body), promise.get("is_body_optional", False)
        declare = self._operation(
            "PUT", self.item_path, required_scope="manage", query=DryRunQuery, body=body,
            response_types={200: item_type, 201: item_type}, **promise,
        )  # fmt: skip

        def declared(write: WriteOne[B, T]) -> ApiEndpoint:
            @functools.wraps(write)
            async def put(request: ApiRequest) -> ASGIApp:
                ctx, tenant, key = context.of(request), tenants.single_tenant(request), self.key_of(request)
                sent = await (request_body.optional_body if is_optional else request_body.body)(request, shape)
                change = Change(request, ctx, tenant, key, sent or body(), request_body.is_dry_run(request))
                written, is_new = await write(change)
                return responses.json(written, 201 if is_new else 200)

            return declare(put)

        return declared

    def delete(
        self, unknown: str, **promise: Any
    ) -> Callable[[Callable[[Change[None]], Awaitable[bool]]], ApiEndpoint]:
        """Make a function the operation that deletes an object, and returns whether there was one; else the error is
        `unknown`."""
        declare = self._operation(
            "DELETE", self.item_path, required_scope="manage", query=TenantQuery, response_types={204: None},
            refusals=(NotFound,), **promise,
        )  # fmt: skip

        def declared(delete: Callable[[Change[None]], Awaitable[bool]]) -> ApiEndpoint:
            @functools.wraps(delete)
            async def remove(request: ApiRequest) -> ASGIApp:
                ctx, tenant, key = context.of(request), tenants.single_tenant(request), self.key_of(request)
                if not await delete(Change(request, ctx, tenant, key, None)):
                    raise NotFound(unknown)
                return responses.empty()

            return declare(remove)

        return declared


def wanted(request: ApiRequest, listed: KeysetList[Any], query: Any, *, is_counted: bool) -> ListQuery:
    """Return the page of the store that the parameters of a list mean. With the tenant `*`, of all tenants of the
    caller. Raises Invalid if it is combined with a filter that is only unique within a tenant."""
    owners: Sequence[str] | None = bound_callers.every(request)
    filters = {name: getattr(query, name, None) for name in (*listed.leads, *listed.filters)}
    if query.tenant != EVERY_TENANT:
        owners = [tenants.single_tenant(request)]
    elif unique := next((name for name in UNIQUE_IN_TENANT if filters.get(name) is not None), None):
        raise Invalid.of("tenant", f"must be one tenant: {unique} is only unique within a tenant")
    created = time_range.created(getattr(query, "start", None), getattr(query, "end", None))
    after = _key(listed, query.after, query.tenant) if query.after else None
    return ListQuery(
        tenants=owners, after=after, limit=query.limit, created=created, filters=filters, is_counted=is_counted
    )


def answer(page_type: type[T], name: str, listed: KeysetList[Any], tenant: str | None, page: ListPage[Any]) -> T:
    """Return a page of a tenant's list, or of all (`*`), as clients see it; `name` is the field with its items."""
    fields = {
        name: page.items,
        "next": cursor(listed, page.next, tenant),
        "scanned_until": cursor(listed, page.scanned_until, tenant),
        "total": page.total,
    }
    return page_type(**{field: value for field, value in fields.items() if field in request_body.attributes(page_type)})


def cursor(listed: KeysetList[Any], key: RowKey | None, tenant: str | None) -> str | None:
    """Return the position of a key: `email:ann@example.com`, in a list of all tenants `acme/email:ann@example.com`."""
    if key is None or listed.key[0] != "tenant":
        return None if key is None else ":".join(key)
    owner, *own = key
    return list_positions.of_key(owner, ":".join(own), is_in_every=tenant == EVERY_TENANT)


def _key(listed: KeysetList[Any], after: str, tenant: str | None) -> RowKey:
    """Return the key of a position. Raises BadRequest if it is none of this list."""
    if listed.key[0] != "tenant":
        if listed.is_newest_first and not ids.is_id(after):
            raise BadRequest(list_positions.WRONG)
        return (after,)
    owner, name = list_positions.key(tenant or "", after)
    own = name.split(":", len(listed.key) - 2)
    return (owner, *own, *[""] * (len(listed.key) - 1 - len(own)))
