"""Objects that the app defines by key. One declaration creates the four operations of a kind.

A key identifies one object of the project. With `?tenant=`, a write concerns a tenant's override, and a read returns
the object that applies to the tenant. A list with `?tenant=*` has the objects of all tenants as they are stored.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import Struct

from bellcast.documents import store as documents
from bellcast.documents.store import Documents, Owned, Versions
from bellcast.documents.types import PROJECT, Document, draft_kind
from bellcast.kernel import times, validation
from bellcast.kernel.db.lists import ListPage, ListQuery, containing
from bellcast.kernel.errors import Conflict, Invalid, NotFound, PreconditionFailed
from bellcast.kernel.http import ASGIApp, entity_tags, list_parameters, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT, KeyScope
from bellcast.operators.types import ROLES
from bellcast.rest import audit, context, guards, kinds, resource, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.kinds import DraftInfo, Kind
from bellcast.rest.operations import ApiEndpoint, Method, operation
from bellcast.rest.resource import DryRunQuery, ObjectsQuery, SearchedText
from bellcast.rest.tenants import TenantQuery

if TYPE_CHECKING:  # imported with the first YAML
    from bellcast.kernel.yaml_text import YamlText

T = TypeVar("T", bound=Struct)
K = TypeVar("K", bound=Any)  # a kind, with its plural in paths and the `tag` of its operations

# Headers of a conditional write, which keep two editors from overwriting each other's changes.
CONDITIONS = ("If-Match", "If-None-Match")
CONDITION_OF_CHANGE = ("If-Match",)  # also of a deletion: the object exists
# Fields that a read adds. A write ignores them, except for the tenant, so that a client can send back what it read.
ADDED = ("key", "tenant", "created_at", "updated_at", "uses", kinds.MANAGED)


# Above the version numbers of any object, and within the integer range of every store.
Version = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class ObjectSearchQuery(ObjectsQuery, frozen=True, kw_only=True):
    """A page of a list, in the order of its keys. `text` is a part of them; the case of letters is ignored (on SQLite: of ASCII
    letters)."""

    text: SearchedText | None = None


class DraftsQuery(ObjectSearchQuery, frozen=True, kw_only=True):
    """A page of a list, in the order of its keys. `text` is a part of them; the case of letters is ignored (on SQLite: of ASCII
    letters). With `drafts`, it includes objects that are drafts only."""

    drafts: bool = False


class VersionQuery(TenantQuery, frozen=True, kw_only=True):
    """`version` reads an earlier version."""

    version: Version | None = None


def key_of(request: ApiRequest, kind: Kind[Any]) -> str:
    """Return the object's key in the path."""
    key = request_body.path(request, "key")
    kinds.check_key(context.of(request), kind, key)
    return key


def restricted_key(request: ApiRequest) -> str:
    """Return the object's key in the path if it has the restricted form. Raises Invalid."""
    return kinds.checked_key(request_body.path(request, "key"))


def operations(kind: Kind[T]) -> list[ApiEndpoint]:
    """Return the operations that list, read, write and delete objects."""
    path, item = f"/v1/{kind.plural}", f"/v1/{kind.plural}/{{key:str}}"
    shown, written = kinds.types_of(kind)
    override = f"the request is about a tenant's override of the {kind.name}."
    return [
        declare("GET", path, page, kind, f"List the {kind.plural}.\n\nBy key. With `?tenant=`, {'its own' if kind.lists_own else 'those that apply there'}; with `?tenant=*`, "
                   "those of the project and of all tenants, by tenant and key."
                   + (" With `drafts`, also drafts that were never published." * kind.is_versioned), "read",
                   bound_by="list", query=DraftsQuery if kind.is_versioned else ObjectSearchQuery, is_exported=True, response_types={200: resource.page_type(kind.plural, shown, title=shown.__name__.removesuffix("Object"))},
                   roles=ROLES if kind.is_open_to_viewers else None),
        declare("GET", item, read, kind, f"Read a {kind.name}.\n\n"
                   + ("The current version, or that of `?version=` as it was written. " * kind.is_versioned)
                   + "With `?tenant=`, the one that applies there.", "read",
                   query=VersionQuery if kind.is_versioned else TenantQuery, response_types={200: shown}, response_headers=("ETag",), refusals=(NotFound,)),
        declare("PUT", item, write, kind,
                   f"Write a {kind.name}.\n\nAs JSON or YAML. The request replaces it; 201 when it is new. "
                   + ("Changed content becomes its next version. " * kind.is_versioned) +
                   f"With `?tenant=`, or `tenant` in the body, {override}", "manage",
                   query=DryRunQuery, body=kind.type, body_types=BODY_TYPES, headers=CONDITIONS,
                   response_types={200: written, 201: written}, response_headers=("ETag",),
                   refusals=(Conflict, PreconditionFailed), example=kind.example),
        declare("DELETE", item, delete, kind, f"Delete a {kind.name}.\n\n" + ("Unless other objects use it (409). " * bool(kind.find_uses)) + f"With `?tenant=`, {override}", "manage",
                   query=TenantQuery, headers=CONDITION_OF_CHANGE, response_types={204: None},
                   refusals=(NotFound, *([Conflict] if kind.find_uses else []), PreconditionFailed)),
    ]  # fmt: skip


async def page(request: ApiRequest, kind: Kind[Any]) -> ASGIApp:
    query: ObjectSearchQuery = request_body.query(request, DraftsQuery if kind.is_versioned else ObjectSearchQuery)
    ctx = context.of(request)
    if query.tenant == EVERY_TENANT or kind.lists_own:
        wanted = resource.list_query(request, documents.LIST, query, is_counted=False)
        listed = await _find_page(ctx, kind.plural, wanted, query.text)
        following = resource.cursor(documents.LIST, listed.next, query.tenant)
        published = {(owner, document.key): (document, owner) for owner, document in listed.items}
    else:
        tenant = tenants.single_tenant(request)
        applied = await _applying(kind, ctx, tenant, query.after or "", query.limit + 1, query.text)
        found, following = list_parameters.split(applied, query.limit, lambda one: one[0].key)
        published = {(tenant, one[0].key): one for one in found}
    drafted: dict[Owned, DraftInfo | None] = {}
    named = list(published)
    if isinstance(query, DraftsQuery):
        drafted, following = await merge_drafts(request, kind.plural, query, named, is_last=following is None)
        named = list(drafted)
    shown: list[dict[str, Any]] = [
        kind.item(*published[name]) | {"updated_at": times.to_rfc3339(published[name][0].updated_at)}
        if name in published
        else {**kind.unpublished, "key": name[1], "tenant": name[0] or None, "version": 0}  # a draft only
        for name in named
    ]
    places = [(one["tenant"] or PROJECT, one["key"]) for one in shown]
    versions = {place: version for one, place in zip(shown, places, strict=True) if (version := one.get("version", 1))}
    of = tenants.every(request) if query.tenant == EVERY_TENANT else (tenants.single_tenant(request),)
    managers = await kinds.managers_of(ctx, kind.plural, places)
    added = await kinds.fields_of_read(kind, ctx, named)
    of_list = await kinds.fields_of_list(kind, ctx, versions, of)
    for one, by, name, place in zip(shown, managers, named, places, strict=True):
        one |= {kinds.MANAGED: by} | added[name] | of_list.get(place, {})
        if name in drafted:
            one["draft"] = drafted[name]
    return responses.json({kind.plural: guards.definitions_for(request, shown), "next": following})


async def read(request: ApiRequest, kind: Kind[Any]) -> ASGIApp:
    ctx, key, tenant = context.of(request), key_of(request, kind), tenants.single_tenant(request)
    found = await kinds.find(kind, ctx, tenant, key)
    if found is None:
        near = await Documents(ctx.engines.db).suggestion(kind.plural, tenant, key)
        raise NotFound(f"There is no {kind.name} with this key{near or '.'}")
    if kind.is_versioned and (version := request_body.query(request, VersionQuery).version) is not None:
        document, owner = found
        if (stored := await Versions(ctx.engines.db).find(kind.plural, owner, key, version)) is not None:
            found = kind.at_version(document, stored), owner
        else:  # the only version, if an older server wrote the object
            own = await Documents(ctx.engines.db).get(kind.plural, owner, key)
            if own is None or own.version != version:
                raise NotFound(f"This {kind.name} has no version {version}.")
            found = own, owner
    shown = kind.item(*found)
    added = await kinds.described(kind, ctx, tenant, shown)
    added["updated_at"] = times.to_rfc3339(found[0].updated_at)
    if kind.is_versioned:
        draft = await Documents(ctx.engines.db).get(draft_kind(kind.plural), tenant, key)
        added["draft"] = None if draft is None else kinds.draft_info(draft)
    return responses.json(added, headers=entity_tags.tagged(shown, added))


async def write(request: ApiRequest, kind: Kind[T]) -> ASGIApp:
    ctx, key, plans = context.of(request), key_of(request, kind), request_body.is_dry_run(request)
    tenant, sent, yaml = await read_body(request, read_adds(kind))
    try:
        value = await kind.check(ctx, tenant, key, sent)
    except Invalid as refusal:
        raise with_lines(refusal, yaml) from None
    documents, body = Documents(ctx.engines.db), msgspec.json.encode(value)
    before = await documents.get(kind.plural, tenant, key)
    if not plans:
        await kinds.check_managed(ctx, kind.plural, tenant, key)
    await _check_condition(request, kind, tenant, key)
    await kinds.check_uses(kind, ctx, kinds.overlaid(kind, ctx, tenant, key, body), [(tenant, key)])
    if plans:
        await documents.check_new(kind.plural, tenant, key, ctx.engines.clock.now())
        return responses.json(await kind.plan(ctx, tenant, key, value))
    by, is_conditional = audit.actor(request), entity_tags.is_conditional(request)
    engines, place = ctx.engines, (kind.plural, tenant, key)
    written, is_new = await kind.form.write(
        engines.db, engines.clock, place, value, before, by, is_conditional=is_conditional
    )
    audit.note_changes(request, {} if before is None else kind.item(before, tenant), kind.item(written, tenant))
    await kinds.written(kind, ctx, tenant, key)
    shown = kind.item(written, tenant)
    # An override that is merged is read, and replaced on a condition, with the project's fields.
    applying = None if kind.merge is None else await kinds.find(kind, ctx, tenant, key)
    headers = entity_tags.tagged(shown if applying is None else kind.item(*applying))
    return responses.json(await kinds.described(kind, ctx, tenant, shown), 201 if is_new else 200, headers=headers)


def read_adds(kind: Kind[Any]) -> set[str]:
    """Return the fields that a read adds, and a write ignores."""
    return {*ADDED, *kind.added, *kind.listed, *(("version", "draft", "published_by") if kind.is_versioned else ())}


async def delete(request: ApiRequest, kind: Kind[Any]) -> ASGIApp:
    ctx, key, tenant = context.of(request), key_of(request, kind), tenants.single_tenant(request)
    before = await Documents(ctx.engines.db).get(kind.plural, tenant, key)
    unknown = f"There is no {kind.name} with this key."
    if before is None:
        raise NotFound(unknown)
    await kinds.check_managed(ctx, kind.plural, tenant, key)
    await _check_condition(request, kind, tenant, key)
    await kinds.check_uses(kind, ctx, kinds.overlaid(kind, ctx, tenant, key, None), [(tenant, key)])
    if not await kind.remove(ctx, tenant, key, before, is_conditional=entity_tags.is_conditional(request)):
        raise NotFound(unknown)
    await kinds.written(kind, ctx, tenant, key, is_deleted=True)
    audit.note_change(request, "key", key, None)
    return responses.empty()


async def _check_condition(request: ApiRequest, kind: Kind[Any], tenant: str, key: str) -> None:
    """Raise PreconditionFailed if the object that a read returns is not the one that the request expects."""
    if entity_tags.is_conditional(request):
        found = await kinds.find(kind, context.of(request), tenant, key)
        entity_tags.check(request, None if found is None else entity_tags.tag_of(kind.item(*found)))


async def _applying(
    kind: Kind[Any], ctx: ApiContext, tenant: str, after: str, limit: int, text: str | None
) -> list[tuple[Document, str]]:
    """Return the objects that apply to a tenant, by key, with their owners."""

    async def read_of(owner: str) -> dict[str, Document]:
        wanted = ListQuery(tenants=[owner], after=(owner, after), limit=limit)
        return {one.key: one for _, one in (await _find_page(ctx, kind.plural, wanted, text)).items}

    base = await read_of(PROJECT)
    if tenant == PROJECT:
        return [(one, PROJECT) for one in base.values()]
    own = await read_of(tenant)
    keys = sorted(base | own)[:limit]
    return [one for key in keys if (one := kinds.applied(kind, base.get(key), own.get(key), tenant)) is not None]


async def _find_page(ctx: ApiContext, kind: str, query: ListQuery, text: str | None) -> ListPage[tuple[str, Document]]:
    """Return a page of the objects of a kind; with a text, of those whose key contains it."""
    table, wanted = (
        Documents(ctx.engines.db),
        msgspec.structs.replace(query, filters={"kind": kind, **containing(text)}),
    )
    return await (table.search(wanted) if text else table.owned(wanted))


def declare(
    method: Method,
    path: str,
    function: Callable[[ApiRequest, K], Awaitable[ASGIApp]],
    kind: K,
    doc: str,
    scope: KeyScope,
    **promise: Any,
) -> ApiEndpoint:
    """Declare an operation of a kind. Its name in the OpenAPI document includes the kind."""

    async def respond(request: ApiRequest) -> ASGIApp:
        return await function(request, kind)

    respond.__doc__, respond.__module__ = doc, function.__module__
    respond.__name__ = f"{function.__name__}_{kind.plural.replace('-', '_')}"
    return operation(method, path, tag=kind.tag, required_scope=scope, **promise)(respond)


# --- drafts in lists


async def merge_drafts(
    request: ApiRequest, plural: str, query: DraftsQuery, published: Sequence[Owned], *, is_last: bool
) -> tuple[dict[Owned, DraftInfo | None], str | None]:
    """Return the draft of each object of a page of published ones, and the position of the next page. With `drafts`, the page
    includes drafts of objects that were never published. `is_last` states that there is no further published object."""
    ctx, page = context.of(request), resource.list_query(request, documents.LIST, query, is_counted=False)
    until = max(published, default=("", ""))
    drafted: dict[Owned, DraftInfo] = {}
    following, more = page.after, True
    while more and (query.drafts or following is None or following < until):
        of_drafts = msgspec.structs.replace(page, after=following)
        part = await _find_page(ctx, draft_kind(plural), of_drafts, query.text)
        drafted |= {(owner, one.key): kinds.draft_info(one) for owner, one in part.items}
        following, more = part.next, part.next is not None
        if query.drafts:
            break
    every = sorted({*published, *drafted} if query.drafts else published)
    names = every[: page.limit]
    has_ended = len(names) == len(every) and is_last and not (query.drafts and more)
    position = None if has_ended else resource.cursor(documents.LIST, names[-1], query.tenant)
    return {name: drafted.get(name) for name in names}, position


# --- bodies, in JSON or YAML

BODY_TYPES = ("application/json", "application/yaml")
# Bounds the cost of each use: objects are always loaded as a whole.
MAX_BODY_BYTES = 256 * 1024


async def read_body(request: ApiRequest, added: Collection[str]) -> tuple[str, Any, "YamlText | None"]:
    """Return the tenant of a write, the object in its body without the fields `added` by a read, and the YAML text it
    was read from. Raises Invalid."""
    from bellcast.kernel.yaml_text import YamlText

    text: YamlText | None = None
    if request_body.media_type(request) in request_body.YAML_TYPES:
        limit = min(context.of(request).limits.request or MAX_BODY_BYTES, MAX_BODY_BYTES)
        # In a thread: parsing MAX_BODY_BYTES takes seconds and would block the event loop.
        text = await asyncio.to_thread(YamlText, await request_body.raw(request, limit))
        value = text.value
        validation.check(validation.data("", value, MAX_BODY_BYTES))
    else:
        value = request_body.plain_json(await request_body.json_text(request))
    try:
        tenant, value = split_body(request, value, added)
    except Invalid as refusal:
        raise with_lines(refusal, text) from None
    return tenant, value, text


def split_body(request: ApiRequest, value: Any, added: Collection[str]) -> tuple[str, Any]:
    """Return the tenant of a write, which the query or the body names, and the body without the fields `added` by a
    read. Raises Invalid."""
    tenant = tenants.tenant_of_object(request, value)
    if isinstance(value, dict):
        value = {name: inner for name, inner in value.items() if name not in added}
    return tenant, value


def with_lines(refusal: Invalid, text: "YamlText | None") -> Invalid:
    """Return the error with the line of each field in the YAML text."""
    return refusal if text is None else Invalid.fields(text.with_lines(refusal.errors))
