"""Objects that the app defines by key: one declaration gives the four operations of a kind.

The project has one object of a key; with `?tenant=` a request is about a tenant's override, and a read returns what
applies to the tenant.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from bellcast.api import audit, context, request_body, responses, tenants
from bellcast.api.context import ApiContext
from bellcast.api.operations import ApiEndpoint, Handler, Method, Tag, operation
from bellcast.api.request_body import ApiRequest
from bellcast.api.tenants import TenantQuery
from bellcast.errors import Conflict, FieldError, Invalid, NotFound
from bellcast.model.asgi import ASGIApp
from bellcast.model.identities import KeyScope
from bellcast.ports import Document
from bellcast.ports.documents import PROJECT

T = TypeVar("T", bound=Struct)

KEY_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
MAX_KEY = 100
# Uses that the error of a refused DELETE names.
SHOWN_USES = 5
# Fields that a read adds; a write that sends them back is not refused for them.
ADDED = ("key", "tenant", "created_at", "updated_at", "uses")


is_dry_run = request_body.is_dry_run


class DryRunQuery(TenantQuery, frozen=True, kw_only=True):
    """`dry_run` only validates."""

    dry_run: bool = False


class ObjectsQuery(TenantQuery, frozen=True, kw_only=True):
    """A page of a list, in the order of its keys."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: str | None = None


# Returns the errors of the references of an object: of a tenant, with this key.
CheckReferences = Callable[[T, ApiContext, str, str], Awaitable[list[FieldError]]]
# Returns what a read adds to the objects with these keys.
Describe = Callable[[ApiContext, str, Sequence[str]], Awaitable[dict[str, dict[str, Any]]]]
# Returns the users of the objects with these keys, as `types/booking`.
FindUses = Callable[[ApiContext, str, Sequence[str]], Awaitable[dict[str, list[str]]]]


class Kind(Struct, Generic[T], frozen=True, kw_only=True):
    """A kind of object: the plural in its path, the type of its body, and rules beyond the type. An object with uses
    cannot be deleted. `describe` returns the fields `added` of a read; `changed` is called after a write. `merge` combines the project's object with a tenant's override; without it, the override
    replaces the whole object."""

    plural: str
    name: str
    tag: Tag
    type: type[T]
    rules: Callable[[T, ApiContext], None]
    example: dict[str, Any]
    any_key: bool = False
    check_references: CheckReferences[T] | None = None
    find_uses: FindUses | None = None
    stand_ins: Mapping[str, Any] = {}  # valid values of the fields without a default
    added: Mapping[str, Any] = {}
    describe: Describe | None = None
    changed: Callable[[ApiContext], None] | None = None
    merge: Callable[[T, T], T] | None = None


def key_of(request: ApiRequest, kind: Kind[Any]) -> str:
    """Return the object's key in the path."""
    key = request_body.path(request, "key")
    limit = context.of(request).limits.type if kind.any_key else MAX_KEY
    if not key or (limit and len(key) > limit):
        raise Invalid.of("key", f"must have 1 to {limit} characters, got {len(key)}")
    if not kind.any_key and not KEY_CHARACTERS.issuperset(key):
        raise Invalid.of("key", "may only contain A-Z a-z 0-9 and _ . -")
    return key


def checked_key(key: str) -> str:
    """Return a key of the restricted form. Raises Invalid."""
    if not 1 <= len(key) <= MAX_KEY:
        raise Invalid.of("key", f"must have 1 to {MAX_KEY} characters, got {len(key)}")
    if not KEY_CHARACTERS.issuperset(key):
        raise Invalid.of("key", "may only contain A-Z a-z 0-9 and _ . -")
    return key


def restricted_key(request: ApiRequest) -> str:
    """Return the object's key in the path, of the restricted form. Raises Invalid."""
    return checked_key(request_body.path(request, "key"))


def operations(kind: Kind[T]) -> list[ApiEndpoint]:
    """List, read, write and delete."""
    path, item = f"/v1/{kind.plural}", f"/v1/{kind.plural}/{{key:str}}"
    shape = request_body.Shape(kind.type, kind.rules, dict(kind.stand_ins))
    shown = msgspec.defstruct(
        f"{kind.type.__name__}Object",
        [("key", str), ("tenant", str | None), *([("uses", list[str])] if kind.find_uses else []), *kind.added.items()],
        bases=(kind.type,),
        namespace={"__doc__": f"A {kind.name} with its key. `tenant` is null for the project's own."},
        frozen=True,
        kw_only=True,
    )
    listed = msgspec.defstruct(
        f"{kind.type.__name__}Page",
        [(kind.plural, list[shown]), ("next", str | None)],  # type: ignore[valid-type]  # a type made above
        namespace={"__doc__": "A page of objects; pass `next` as `after` for the next page."},
    )

    async def page(request: ApiRequest) -> ASGIApp:
        query, ctx = request_body.query(request, ObjectsQuery), context.of(request)
        tenant = tenants.single_tenant(request)
        found = await _page(kind, ctx, tenant, query.after or "", query.limit + 1)
        shown = found[: query.limit]
        uses = await _uses(kind, ctx, tenant, [document.key for document, _ in shown])
        items = [_outside(document, owner) | uses[document.key] for document, owner in shown]
        following = items[-1]["key"] if len(found) > query.limit else None
        return responses.json({kind.plural: items, "next": following})

    async def read(request: ApiRequest) -> ASGIApp:
        ctx, key, tenant = context.of(request), key_of(request, kind), tenants.single_tenant(request)
        found = await find(kind, ctx, tenant, key)
        if found is None:
            raise NotFound(f"There is no {kind.name} with this key.")
        uses = await _uses(kind, ctx, tenant, [key])
        return responses.json(_outside(*found) | uses[key])

    async def write(request: ApiRequest) -> ASGIApp:
        ctx, key, tenant = context.of(request), key_of(request, kind), tenants.single_tenant(request)
        text = without_added(await request_body.json_text(request), (*ADDED, *kind.added))
        value = request_body.json(text, shape, ctx)
        if kind.check_references is not None and (errors := await kind.check_references(value, ctx, tenant, key)):
            raise Invalid.fields(errors)
        body = msgspec.json.encode(value)
        uses = (await _uses(kind, ctx, tenant, [key]))[key]
        if is_dry_run(request):
            return responses.json({**msgspec.json.decode(body), "key": key, "tenant": tenant or None} | uses)
        engines = ctx.engines
        before = await engines.store.documents.get(kind.plural, tenant, key)
        document, is_new = await engines.store.documents.put(kind.plural, tenant, key, body, engines.clock.now())
        audit.note_changes(request, {} if before is None else _content(before), _content(document))
        _changed(kind, ctx)
        return responses.json(_outside(document, tenant) | uses, 201 if is_new else 200)

    async def delete(request: ApiRequest) -> ASGIApp:
        ctx, key, tenant = context.of(request), key_of(request, kind), tenants.single_tenant(request)
        await _check_unused(kind, ctx, tenant, key)
        if not await ctx.engines.store.documents.delete(kind.plural, tenant, key):
            raise NotFound(f"There is no {kind.name} with this key.")
        _changed(kind, ctx)
        audit.note_change(request, "key", key, None)
        return responses.empty()

    override = f"With `?tenant=`, the request is about a tenant's override of the {kind.name}."
    return [
        _operation("GET", path, page, kind, f"List the {kind.plural}.\n\nBy key. With `?tenant=`, those that apply there.", "read",
                   query=ObjectsQuery, response_types={200: listed}),
        _operation("GET", item, read, kind, f"Read a {kind.name}.\n\nWith `?tenant=`, the one that applies there.", "read",
                   query=TenantQuery, response_types={200: shown}, refusals=(NotFound,)),
        _operation("PUT", item, write, kind,
                   f"Write a {kind.name}.\n\nThe request replaces it; 201 when it is new. {override}", "manage",
                   query=DryRunQuery, body=kind.type, response_types={200: shown, 201: shown}, example=kind.example),
        _operation("DELETE", item, delete, kind, f"Delete a {kind.name}.\n\n{override}", "manage",
                   query=TenantQuery, response_types={204: None},
                   refusals=(NotFound, Conflict) if kind.find_uses else (NotFound,)),
    ]  # fmt: skip


def _content(document: Document) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.json.decode(document.body)
    return content


def _changed(kind: Kind[Any], ctx: ApiContext) -> None:
    """Read objects again: this process changed one."""
    ctx.engines.router.forget()
    if kind.changed is not None:
        kind.changed(ctx)


async def find(kind: Kind[Any], ctx: ApiContext, tenant: str, key: str) -> tuple[Document, str] | None:
    """Return the object that applies to a tenant, and its owner: the tenant, or the project."""
    documents = ctx.engines.store.documents
    base = await documents.get(kind.plural, PROJECT, key)
    own = None if tenant == PROJECT else await documents.get(kind.plural, tenant, key)
    return _applied(kind, base, own, tenant)


async def _page(kind: Kind[Any], ctx: ApiContext, tenant: str, after: str, limit: int) -> list[tuple[Document, str]]:
    """Return the objects that apply to a tenant, by key, with their owners."""
    documents = ctx.engines.store.documents
    base = {one.key: one for one in await documents.page(kind.plural, PROJECT, after, limit)}
    if tenant == PROJECT:
        return [(one, PROJECT) for one in base.values()]
    own = {one.key: one for one in await documents.page(kind.plural, tenant, after, limit)}
    keys = sorted(base | own)[:limit]
    return [one for key in keys if (one := _applied(kind, base.get(key), own.get(key), tenant)) is not None]


def _applied(kind: Kind[Any], base: Document | None, own: Document | None, tenant: str) -> tuple[Document, str] | None:
    if own is None:
        return None if base is None else (base, PROJECT)
    if base is None or kind.merge is None:
        return own, tenant
    decode = request_body.decoder(kind.type).decode
    merged = kind.merge(decode(base.body), decode(own.body))
    return msgspec.structs.replace(own, body=msgspec.json.encode(merged)), tenant


def _operation(
    method: Method, path: str, function: Handler, kind: Kind[Any], doc: str, scope: KeyScope, **promise: Any
) -> ApiEndpoint:
    """Declare an operation; its name in the OpenAPI document has the kind in it."""
    function.__doc__ = doc
    function.__name__ = f"{function.__name__}_{kind.plural.replace('-', '_')}"
    return operation(method, path, tag=kind.tag, required_scope=scope, **promise)(function)


async def _check_unused(kind: Kind[Any], ctx: ApiContext, tenant: str, key: str) -> None:
    """Raise Conflict if deleting the object would leave a reference to it without an object."""
    documents = ctx.engines.store.documents
    if tenant != PROJECT and await documents.get(kind.plural, PROJECT, key) is not None:
        return
    users = (await _uses(kind, ctx, tenant, [key]))[key].get("uses")
    if users and await documents.get(kind.plural, tenant, key) is not None:
        shown = ", ".join(users[:SHOWN_USES])
        raise Conflict(f"This {kind.name} is used by {shown}: change these first.")


async def _uses(kind: Kind[Any], ctx: ApiContext, tenant: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what a read adds to the objects with these keys."""
    if kind.describe is not None:
        return await kind.describe(ctx, tenant, keys)
    if kind.find_uses is None:
        return {key: {} for key in keys}
    return {key: {"uses": users} for key, users in (await kind.find_uses(ctx, tenant, keys)).items()}


def without_added(text: bytes, added: Sequence[str] = ADDED) -> bytes:
    """Return the body without the fields that a read adds."""
    value = request_body.anything(text)
    if isinstance(value, dict):
        value = {name: inner for name, inner in value.items() if name not in added}
    return msgspec.json.encode(value)


def _outside(document: Document, tenant: str) -> dict[str, Any]:
    return {**msgspec.json.decode(document.body), "key": document.key, "tenant": tenant or None}
