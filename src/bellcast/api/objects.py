"""Objects that the app defines by key: one declaration gives the four operations of a kind.

The project has one object of a key; with `?tenant=` a request is about a tenant's override, and a read returns what
applies to the tenant.
"""

from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Method
from msgspec import Meta, Struct

from bellcast.api import context, request_body, responses, tenants
from bellcast.api.context import ApiContext
from bellcast.api.operations import Handler, Tag, operation
from bellcast.api.request_body import ApiRequest
from bellcast.api.tenants import TenantQuery
from bellcast.errors import Invalid, NotFound
from bellcast.model.identities import KeyScope
from bellcast.ports import Document
from bellcast.ports.documents import PROJECT

T = TypeVar("T", bound=Struct)

KEY_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
MAX_KEY = 100
# Fields that a read adds; a write that sends them back is not refused for them.
ADDED = ("key", "tenant", "created_at", "updated_at", "uses")


class DryRunQuery(TenantQuery, frozen=True, kw_only=True):
    """`dry_run` only validates."""

    dry_run: bool = False


class ObjectsQuery(TenantQuery, frozen=True, kw_only=True):
    """A page of a list, in the order of its keys."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: str | None = None


class Kind(Struct, Generic[T], frozen=True, kw_only=True):
    """A kind of object: the plural in its path, the type of its body, and rules beyond the type."""

    plural: str
    name: str
    tag: Tag
    type: type[T]
    rules: Callable[[T, ApiContext], None]
    example: dict[str, Any]
    any_key: bool = False


def key_of(request: ApiRequest, kind: Kind[Any]) -> str:
    """The object's key in the path."""
    key = request_body.path(request, "key")
    limit = context.of(request).limits.type if kind.any_key else MAX_KEY
    if not key or (limit and len(key) > limit):
        raise Invalid.of("key", f"must have 1 to {limit} characters, got {len(key)}")
    if not kind.any_key and not KEY_CHARACTERS.issuperset(key):
        raise Invalid.of("key", "may only contain A-Z a-z 0-9 and _ . -")
    return key


def operations(kind: Kind[T]) -> list[HTTPRouteHandler]:
    """List, read, write and delete."""
    path, item = f"/v1/{kind.plural}", f"/v1/{kind.plural}/{{key:str}}"
    shape = request_body.Shape(kind.type, kind.rules)
    shown = msgspec.defstruct(
        f"{kind.type.__name__}Object",
        [("key", str), ("tenant", str | None)],
        bases=(kind.type,),
        namespace={"__doc__": f"A {kind.name} with its key. `tenant` is null for the project's own."},
        frozen=True,
        kw_only=True,
    )
    listed = msgspec.defstruct(
        f"{kind.type.__name__}Page",
        [(kind.plural, list[shown]), ("next", str | None)],  # type: ignore[valid-type]  # a type made above
        namespace={"__doc__": "A page of objects; `next` goes into `after`."},
    )

    async def page(request: ApiRequest) -> ASGIApp:
        query = request_body.query(request, ObjectsQuery)
        tenant = tenants.single_tenant(request)
        documents = context.of(request).engines.store.documents
        found = await documents.page(kind.plural, tenant, query.after or "", query.limit + 1)
        items = [_outside(one, tenant) for one in found[: query.limit]]
        following = items[-1]["key"] if len(found) > query.limit else None
        return responses.json({kind.plural: items, "next": following})

    async def read(request: ApiRequest) -> ASGIApp:
        key, tenant = key_of(request, kind), tenants.single_tenant(request)
        documents = context.of(request).engines.store.documents
        for owner in dict.fromkeys((tenant, PROJECT)):
            found = await documents.get(kind.plural, owner, key)
            if found is not None:
                return responses.json(_outside(found, owner))
        raise NotFound(f"There is no {kind.name} with this key.")

    async def write(request: ApiRequest) -> ASGIApp:
        ctx, key, tenant = context.of(request), key_of(request, kind), tenants.single_tenant(request)
        value = request_body.json(_without_added(await request_body.json_text(request)), shape, ctx)
        body = msgspec.json.encode(value)
        if request_body.query(request, DryRunQuery).dry_run:
            return responses.json({**msgspec.json.decode(body), "key": key, "tenant": tenant or None})
        engines = ctx.engines
        document, is_new = await engines.store.documents.put(kind.plural, tenant, key, body, engines.clock.now())
        ctx.engines.router.forget()
        return responses.json(_outside(document, tenant), 201 if is_new else 200)

    async def delete(request: ApiRequest) -> ASGIApp:
        ctx, key = context.of(request), key_of(request, kind)
        if not await ctx.engines.store.documents.delete(kind.plural, tenants.single_tenant(request), key):
            raise NotFound(f"There is no {kind.name} with this key.")
        ctx.engines.router.forget()
        return responses.empty()

    override = f"With `?tenant=`, the request is about a tenant's override of the {kind.name}."
    return [
        _operation("GET", path, page, kind, f"List the {kind.plural}.\n\nBy key. {override}", "read",
                   query=ObjectsQuery, response_types={200: listed}),
        _operation("GET", item, read, kind, f"Read a {kind.name}.\n\nWith `?tenant=`, the one that applies there.", "read",
                   query=TenantQuery, response_types={200: shown}, refusals=(NotFound,)),
        _operation("PUT", item, write, kind,
                   f"Write a {kind.name}.\n\nThe request replaces it; 201 when it is new. {override}", "manage",
                   query=DryRunQuery, body=kind.type, response_types={200: shown, 201: shown}, example=kind.example),
        _operation("DELETE", item, delete, kind, f"Delete a {kind.name}.\n\n{override}", "manage",
                   query=TenantQuery, response_types={204: None}, refusals=(NotFound,)),
    ]  # fmt: skip


def _operation(
    method: Method, path: str, function: Handler, kind: Kind[Any], doc: str, scope: KeyScope, **promise: Any
) -> HTTPRouteHandler:
    """Declare an operation; its name in the OpenAPI document has the kind in it."""
    function.__doc__ = doc
    function.__name__ = f"{function.__name__}_{kind.plural.replace('-', '_')}"
    return operation(method, path, tag=kind.tag, required_scope=scope, **promise)(function)


def _without_added(text: bytes) -> bytes:
    """The body without the fields that a read adds."""
    value = request_body.anything(text)
    if isinstance(value, dict):
        value = {name: inner for name, inner in value.items() if name not in ADDED}
    return msgspec.json.encode(value)


def _outside(document: Document, tenant: str) -> dict[str, Any]:
    return {**msgspec.json.decode(document.body), "key": document.key, "tenant": tenant or None}
