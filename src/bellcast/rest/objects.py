"""Objects that the app defines by key. One declaration creates the four operations of a kind.

A key identifies one object of the project. With `?tenant=`, a write concerns a tenant's override, and a read returns
the object that applies to the tenant. A list with `?tenant=*` has the objects of all tenants as they are stored.
"""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, Protocol, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast.documents import store as documents
from bellcast.documents.store import Documents, OverlaidReads, Versions
from bellcast.documents.types import MAX_OBJECT_KEY, PROJECT, Document, StoredDraft, StoredVersion, draft_kind
from bellcast.kernel import times, validation
from bellcast.kernel.db.lists import ListPage, ListQuery, containing
from bellcast.kernel.errors import Conflict, FieldError, Invalid, NotFound, PreconditionFailed
from bellcast.kernel.field_limits import TENANT_NAME
from bellcast.kernel.http import ASGIApp, entity_tags, list_parameters, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT, KeyScope
from bellcast.operators.types import ROLES
from bellcast.rest import audit, context, definition_body, managed, resource, tenants, viewers
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import ApiEndpoint, Method, Tag, operation
from bellcast.rest.resource import DryRunQuery, ObjectsQuery, SearchedText
from bellcast.rest.tenants import TenantQuery
from bellcast.workflows.types.runs import GENERATED_PREFIX, SCHEDULES

T = TypeVar("T", bound=Struct)
U = TypeVar("U")
K = TypeVar("K", bound=Any)  # a kind, with its plural in paths and the `tag` of its operations

KEY_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
# Maximum uses listed in the error of a refused DELETE, and by a read.
SHOWN_USES = 5
MAX_USES = 100
# Headers of a conditional write, which keep two editors from overwriting each other's changes.
CONDITIONS = ("If-Match", "If-None-Match")
CONDITION_OF_DELETION = ("If-Match",)
# Fields that a read adds. A write ignores them, except for the tenant, so that a client can send back what it read.
ADDED = ("key", "tenant", "created_at", "updated_at", "uses", managed.FIELD)


# Returns the errors of an object's references, given its tenant and key.
CheckReferences = Callable[[T, ApiContext, str, str], Awaitable[list[FieldError]]]
# Returns the fields that a read adds to the objects with these keys.
Describe = Callable[[ApiContext, str, Sequence[str]], Awaitable[dict[str, dict[str, Any]]]]


class FindUses(Protocol):
    """Returns at most `limit` users of each object by its tenant and key, as `types/booking`. A search that is not exact
    may end before it has found all."""

    async def __call__(
        self, ctx: ApiContext, named: Sequence[tuple[str, str]], limit: int, *, is_exact: bool
    ) -> dict[tuple[str, str], list[str]]: ...


class BrokenUses(Struct, frozen=True):
    """A search for the users of an object that a change would break, and the end of an error such as
    `This template is used by templates/booking`, which states how they use it and why the change breaks that use."""

    find: FindUses
    reason: str = ""


# Returns which uses of an object end if another body replaces one; None if none do.
FindBroken = Callable[[ApiContext, bytes, bytes], Awaitable[BrokenUses | None]]


class PublishEffect(Struct, frozen=True, omit_defaults=True):
    """What publishing changes for recipients and apps. `n` counts what is affected."""

    code: str
    text: str
    n: int | None = None


# Returns why a checked object of a tenant and key must not be published, although it could be written.
FindObstacles = Callable[[ApiContext, str, str, T], Awaitable[list[FieldError]]]
# Returns what writing a checked object of a tenant and key changes for recipients and apps. The second context reads other
# objects as they will be then.
FindEffects = Callable[[ApiContext, ApiContext, str, str, T], Awaitable[list[PublishEffect]]]


class Kind(Struct, Generic[T], frozen=True, kw_only=True, eq=False):
    """A kind of object: its plural in the path, the type of its body, and rules beyond the limits of its fields. An object with uses
    cannot be deleted, or changed so that `find_broken` finds some. `complete` returns what is stored of a valid value, in a thread. `describe` returns the fields in `added` for a read.
    `changed` is called after a write. `merge` combines the project's object with a tenant's override; without it, the
    override replaces the whole object. With `is_open_to_viewers`, operators with the role viewer read the list, without
    content. A dry run returns the effects that `find_effects` finds. A draft with errors of `find_obstacles` is not published. Each write of a kind that `is_versioned` is a version.
    `source` returns a value without what `complete` adds. `object_types` are those of an object that was read, and of one that
    was written, if they are not derived. With `lists_own`, the list of a tenant has only its own objects, and a draft that was never published
    is shown with the fields `unpublished`. What depends on the form that is stored are methods."""

    plural: str
    name: str
    tag: Tag
    type: type[T]
    rules: Callable[[T, ApiContext], None] | None = None
    complete: Callable[[T], T] | None = None
    source: Callable[[T], T] | None = None
    example: dict[str, Any]
    any_key: bool = False
    check_references: CheckReferences[T] | None = None
    find_uses: FindUses | None = None
    find_broken: FindBroken | None = None
    find_effects: FindEffects[T] | None = None
    find_obstacles: FindObstacles[T] | None = None
    stand_ins: Mapping[str, Any] = {}  # valid values of the fields without a default
    added: Mapping[str, Any] = {}
    describe: Describe | None = None
    changed: Callable[[ApiContext], None] | None = None
    merge: Callable[[T, T], T] | None = None
    is_open_to_viewers: bool = False
    is_versioned: bool = False
    object_types: tuple[Any, Any] | None = None
    lists_own: bool = False
    unpublished: Mapping[str, Any] = {}

    def item(self, document: Document, tenant: str) -> dict[str, Any]:
        """Return a stored object of a tenant as the API returns it, without the fields in `added`."""
        shown = {**msgspec.json.decode(document.body), "key": document.key, "tenant": tenant or None}
        return shown | ({"version": document.version} if self.is_versioned else {})

    def at_version(self, document: Document, stored: StoredVersion) -> Document:
        """Return an object as it was in an earlier version."""
        return msgspec.structs.replace(document, body=stored.body, version=stored.version, updated_at=stored.created_at)

    async def describe_list(
        self, ctx: ApiContext, versions: Mapping[tuple[str, str], int], *, is_of_all: bool
    ) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the fields that only a list adds to published objects, which are given with their versions by the tenants that own
        them and their keys. `is_of_all` states that the list has the objects of all tenants."""
        if not self.is_versioned:
            return {}
        authors = await Versions(ctx.engines.db).authors(self.plural, versions)
        return {place: {"published_by": authors.get(place)} for place in versions}

    async def check(self, ctx: ApiContext, tenant: str, key: str, values: Any) -> T:
        """Return the valid object of a write as it is stored. Raises Invalid."""
        value = await parse(self, ctx, values)
        if self.check_references is not None:
            validation.check(await self.check_references(value, ctx, tenant, key))
        return value

    async def version(self, ctx: ApiContext, tenant: str, key: str) -> int | None:
        """Return the current version of a tenant's own object. Raises Conflict if it cannot be written."""
        stored = await Documents(ctx.engines.db).get(self.plural, tenant, key)
        return None if stored is None else stored.version

    async def plan(self, ctx: ApiContext, tenant: str, key: str, value: T) -> dict[str, Any]:
        """Return what a write of a checked object would store, and its effects."""
        body, version = msgspec.json.encode(value), 1
        if self.is_versioned:
            last = await Versions(ctx.engines.db).last(self.plural, tenant, key)
            before = await Documents(ctx.engines.db).get(self.plural, tenant, key)
            known = (before.version if before else 0, before.body if before else None)
            number, newest = known if last is None else (last.version, last.body)
            version = number + (newest != body)
        find = self.find_effects
        effects = {} if find is None else {"effects": await find(ctx, ctx, tenant, key, value)}
        shown = self.item(Document(key, body, 0, 0, version), tenant)
        return await described(self, ctx, tenant, shown) | effects

    async def put(
        self,
        ctx: ApiContext,
        tenant: str,
        key: str,
        value: T,
        before: Document | None,
        by: str,
        *,
        is_conditional: bool,
        draft: Document | None = None,
        note: str | None = None,
    ) -> tuple[Document, bool]:
        """Write a checked object, and delete the draft that it was; return it, and whether it is new. Raises PreconditionFailed
        if a conditional write finds another one than `before`, or the stored draft is another one."""
        if self.is_versioned and before is None and not is_conditional:
            with contextlib.suppress(PreconditionFailed):  # another request created it after the read
                return await self.put(ctx, tenant, key, value, None, by, is_conditional=True, draft=draft, note=note)
        body, now = msgspec.json.encode(value), ctx.engines.clock.now()
        replaced = None if before is None else before.body
        written = Document(key, body, now, now)
        if self.is_versioned:
            stored = await Versions(ctx.engines.db).publish(
                self.plural,
                tenant,
                key,
                StoredVersion(0, body, now, by, note),
                replaces=replaced if is_conditional else UNSET,
                draft=None if draft is None else draft.body,
            )
            if stored is None:
                raise PreconditionFailed
            return msgspec.structs.replace(written, version=stored.version), is_conditional and before is None
        if not is_conditional:
            return await Documents(ctx.engines.db).put(self.plural, tenant, key, body, now)
        if not await Documents(ctx.engines.db).change(self.plural, tenant, key, replaced, body, now):
            raise PreconditionFailed
        return written, before is None

    async def remove(self, ctx: ApiContext, tenant: str, key: str, before: Document, *, is_conditional: bool) -> bool:
        """Delete an object and its draft; return whether there was one. Raises PreconditionFailed if a conditional deletion finds
        another one than `before`."""
        documents = Documents(ctx.engines.db)
        if is_conditional:
            if not await documents.change(self.plural, tenant, key, before.body, None, ctx.engines.clock.now()):
                raise PreconditionFailed
        elif not await documents.delete(self.plural, tenant, key):
            return False
        if self.is_versioned:
            await documents.delete(draft_kind(self.plural), tenant, key)
        return True


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


class DraftInfo(Struct, frozen=True, kw_only=True):
    """Who saved a draft last, and when."""

    by: str
    updated_at: datetime


class VersionQuery(TenantQuery, frozen=True, kw_only=True):
    """`version` reads an earlier version."""

    version: Version | None = None


class VersionChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The version to make current."""

    version: Version
    tenant: Annotated[str | None, TENANT_NAME] = None


VERSION_CHANGE = request_body.Shape(VersionChange, None, {"version": 1})


@functools.cache
def shape_of(kind: Kind[T]) -> request_body.Shape[T]:
    """Return the type of a kind's objects with its rules."""
    return request_body.Shape(kind.type, kind.rules, dict(kind.stand_ins))


@functools.cache
def types_of(kind: Kind[Any]) -> tuple[Any, Any]:
    """Return the types of an object that was read, and of one that was written."""
    if kind.object_types is not None:
        return kind.object_types
    of_version: list[Any] = [
        ("version", int),
        ("draft", DraftInfo | UnsetType | None, UNSET),
        ("published_by", str | UnsetType | None, UNSET),
    ]
    shown = msgspec.defstruct(
        f"{kind.type.__name__}Object",
        [
            ("key", str),
            ("tenant", str | None),
            (managed.FIELD, managed.ManagedBy | None),
            *([("uses", list[str])] if kind.find_uses else []),
            *kind.added.items(),
        ]
        + (of_version if kind.is_versioned else [])
        + [("updated_at", datetime | UnsetType, UNSET)],
        bases=(kind.type,),
        namespace={
            "__doc__": f"A {kind.name} with its key. `tenant` is null for the project's own. Reads and lists have `updated_at`, the time of the last write."
            + (
                " `version` is 0 for a draft that was never published; reads and lists have who saved the `draft` of the tenant, or null. Lists have who published the version, or null."
                * kind.is_versioned
            )
        },
        frozen=True,
        kw_only=True,
    )
    written = shown
    if kind.find_effects is not None:
        written = msgspec.defstruct(
            f"Written{kind.type.__name__}",
            [("effects", list[PublishEffect] | UnsetType, UNSET)],
            bases=(shown,),
            namespace={"__doc__": f"A {kind.name} as it was written. Only a dry run has `effects`."},
            frozen=True,
            kw_only=True,
        )
    return shown, written


def key_of(request: ApiRequest, kind: Kind[Any]) -> str:
    """Return the object's key in the path."""
    key = request_body.path(request, "key")
    check_key(context.of(request), kind, key)
    return key


def check_key(ctx: ApiContext, kind: Kind[Any], key: str) -> None:
    """Raise Invalid for a key that no object of this kind can have."""
    if not kind.any_key:
        checked_key(key)
    elif not key or (ctx.limits.type and len(key) > ctx.limits.type):
        raise Invalid.of("key", f"must have 1 to {ctx.limits.type} characters, got {len(key)}")


def checked_key(key: str) -> str:
    """Return the key if it has the restricted form. Raises Invalid."""
    if not 1 <= len(key) <= MAX_OBJECT_KEY:
        raise Invalid.of("key", f"must have 1 to {MAX_OBJECT_KEY} characters, got {len(key)}")
    if not KEY_CHARACTERS.issuperset(key):
        raise Invalid.of("key", "may only contain A-Z a-z 0-9 and _ . -")
    return key


def restricted_key(request: ApiRequest) -> str:
    """Return the object's key in the path if it has the restricted form. Raises Invalid."""
    return checked_key(request_body.path(request, "key"))


def operations(kind: Kind[T]) -> list[ApiEndpoint]:
    """Return the operations that list, read, write and delete objects."""
    path, item = f"/v1/{kind.plural}", f"/v1/{kind.plural}/{{key:str}}"
    shown, written = types_of(kind)
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
                   query=DryRunQuery, body=kind.type, body_types=definition_body.MEDIA_TYPES, headers=CONDITIONS,
                   response_types={200: written, 201: written}, response_headers=("ETag",),
                   refusals=(Conflict, PreconditionFailed), example=kind.example),
        declare("DELETE", item, delete, kind, f"Delete a {kind.name}.\n\n" + ("Unless other objects use it (409). " * bool(kind.find_uses)) + f"With `?tenant=`, {override}", "manage",
                   query=TenantQuery, headers=CONDITION_OF_DELETION, response_types={204: None},
                   refusals=(NotFound, *([Conflict] if kind.find_uses else []), PreconditionFailed)),
    ]  # fmt: skip


async def page(request: ApiRequest, kind: Kind[Any]) -> ASGIApp:
    query, ctx = (
        request_body.query(request, DraftsQuery if kind.is_versioned else ObjectSearchQuery),
        context.of(request),
    )
    if query.tenant == EVERY_TENANT or kind.lists_own:
        wanted = resource.list_query(request, documents.LIST, query, is_counted=False)
        listed = await _find_page(ctx, kind.plural, wanted, query.text)
        following = resource.cursor(documents.LIST, listed.next, query.tenant)
        found = [(document, owner) for owner, document in listed.items]
        named = [(owner, document.key) for document, owner in found]
    else:
        tenant = tenants.single_tenant(request)
        applied = await _applying(kind, ctx, tenant, query.after or "", query.limit + 1, query.text)
        found, following = list_parameters.split(applied, query.limit, lambda one: one[0].key)
        named = [(tenant, document.key) for document, _ in found]
    drafted: dict[tuple[str, str], DraftInfo | None] = {}
    published = dict(zip(named, found, strict=True))
    if isinstance(query, DraftsQuery):
        merged, following = await merge_drafts(request, kind.plural, query, published, is_last=following is None)
        drafted = {(owner, key): draft for owner, key, _, draft in merged}
        named = list(drafted)
    added = await _added(kind, ctx, named)
    shown: list[dict[str, Any]] = [
        kind.item(*published[name]) | _written_at(published[name][0])
        if name in published
        else {**kind.unpublished, "key": name[1], "tenant": name[0] or None, "version": 0}  # a draft only
        for name in named
    ]
    places = [(one["tenant"] or PROJECT, one["key"]) for one in shown]
    managers = await managed.of(ctx, kind.plural, places)
    is_of_all = query.tenant == EVERY_TENANT and tenants.every(request) is None
    versions = {place: one["version"] for one, place in zip(shown, places, strict=True) if one.get("version")}
    of_list = await kind.describe_list(ctx, versions, is_of_all=is_of_all)
    items = [
        one
        | {managed.FIELD: by}
        | added[name]
        | of_list.get(place, {})
        | ({"draft": drafted[name]} if name in drafted else {})
        for one, by, name, place in zip(shown, managers, named, places, strict=True)
    ]
    return responses.json({kind.plural: viewers.definitions_for(request, items), "next": following})


async def read(request: ApiRequest, kind: Kind[Any]) -> ASGIApp:
    ctx, key, tenant = context.of(request), key_of(request, kind), tenants.single_tenant(request)
    found = await find(kind, ctx, tenant, key)
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
    added = await described(kind, ctx, tenant, shown) | _written_at(found[0])
    if kind.is_versioned:
        added["draft"] = await draft_of(ctx, kind.plural, tenant, key)
    return responses.json(added, headers=tagged(shown, added))


async def parse(kind: Kind[T], ctx: ApiContext, sent: object) -> T:
    """Return what is stored of a value, without a check of its references. Raises Invalid."""
    # In a thread: compiling the texts of a template takes seconds and would block the event loop.
    value = await asyncio.to_thread(request_body.json, msgspec.json.encode(sent), shape_of(kind), ctx)
    return value if kind.complete is None else await asyncio.to_thread(kind.complete, value)


async def write(request: ApiRequest, kind: Kind[T]) -> ASGIApp:
    ctx, key, plans = context.of(request), key_of(request, kind), request_body.is_dry_run(request)
    tenant, sent, yaml = await definition_body.read(request, read_adds(kind))
    try:
        value = await kind.check(ctx, tenant, key, sent)
    except Invalid as refusal:
        raise definition_body.with_lines(refusal, yaml) from None
    documents, body = Documents(ctx.engines.db), msgspec.json.encode(value)
    before = await documents.get(kind.plural, tenant, key)
    if not plans:
        await managed.check(ctx, kind.plural, tenant, key)
    await _check_condition(request, kind, tenant, key)
    await check_uses(kind, ctx, overlaid(ctx, kind.plural, tenant, key, body), [(tenant, key)])
    await documents.check_count(kind.plural, tenant, key)
    if plans:
        return responses.json(await kind.plan(ctx, tenant, key, value))
    by, is_conditional = audit.actor(request), entity_tags.is_conditional(request)
    written, is_new = await kind.put(ctx, tenant, key, value, before, by, is_conditional=is_conditional)
    audit.note_changes(request, {} if before is None else kind.item(before, tenant), kind.item(written, tenant))
    changed(kind, ctx)
    shown = kind.item(written, tenant)
    # An override that is merged is read, and replaced on a condition, with the project's fields.
    applying = None if kind.merge is None else await find(kind, ctx, tenant, key)
    headers = tagged(shown if applying is None else kind.item(*applying))
    return responses.json(await described(kind, ctx, tenant, shown), 201 if is_new else 200, headers=headers)


def read_adds(kind: Kind[Any]) -> set[str]:
    """Return the fields that a read adds, and a write ignores."""
    return {*ADDED, *kind.added, *(("version", "draft", "published_by") if kind.is_versioned else ())}


async def change(request: ApiRequest, kind: Kind[T]) -> ASGIApp:
    ctx, key, body = context.of(request), key_of(request, kind), await request_body.body(request, VERSION_CHANGE)
    tenant, db = tenants.single_tenant(request, body.tenant), ctx.engines.db
    before = await Documents(db).get(kind.plural, tenant, key)
    if before is None:
        raise NotFound(f"There is no {kind.name} with this key.")
    await managed.check(ctx, kind.plural, tenant, key)
    stored = await Versions(db).find(kind.plural, tenant, key, body.version)
    if stored is None and before.version != body.version:
        raise Invalid.of("version", f"names an unknown version {body.version}")
    if stored is not None:
        value = request_body.decoder(kind.type).decode(stored.body)
        # What was stored is valid; the objects that it names may have been deleted since.
        if kind.check_references is not None and (errors := await kind.check_references(value, ctx, tenant, key)):
            raise Conflict(f"Version {body.version} cannot be used any more: {errors[0].field} {errors[0].message}")
        await check_uses(kind, ctx, overlaid(ctx, kind.plural, tenant, key, stored.body), [(tenant, key)])
        if not await Versions(db).restore(kind.plural, tenant, key, stored, before.body, ctx.engines.clock.now()):
            raise Conflict(f"The {kind.name} has changed at the same time: try again.")
        after = kind.at_version(before, stored)
        audit.note_changes(request, kind.item(before, tenant), kind.item(after, tenant))
        changed(kind, ctx)
        before = after
    return responses.json(await described(kind, ctx, tenant, kind.item(before, tenant)))


async def delete(request: ApiRequest, kind: Kind[Any]) -> ASGIApp:
    ctx, key, tenant = context.of(request), key_of(request, kind), tenants.single_tenant(request)
    before = await Documents(ctx.engines.db).get(kind.plural, tenant, key)
    unknown = f"There is no {kind.name} with this key."
    if before is None:
        raise NotFound(unknown)
    await managed.check(ctx, kind.plural, tenant, key)
    await _check_condition(request, kind, tenant, key)
    await check_uses(kind, ctx, overlaid(ctx, kind.plural, tenant, key, None), [(tenant, key)])
    if not await kind.remove(ctx, tenant, key, before, is_conditional=entity_tags.is_conditional(request)):
        raise NotFound(unknown)
    changed(kind, ctx)
    audit.note_change(request, "key", key, None)
    return responses.empty()


async def _check_condition(request: ApiRequest, kind: Kind[Any], tenant: str, key: str) -> None:
    """Raise PreconditionFailed if the object that a read returns is not the one that the request expects."""
    if entity_tags.is_conditional(request):
        found = await find(kind, context.of(request), tenant, key)
        entity_tags.check(request, None if found is None else entity_tags.tag_of(kind.item(*found)))


def changed(kind: Kind[Any], ctx: ApiContext) -> None:
    """Drop cached objects after this process changed one."""
    ctx.engines.router.forget()
    if kind.changed is not None:
        kind.changed(ctx)


async def find(kind: Kind[Any], ctx: ApiContext, tenant: str, key: str) -> tuple[Document, str] | None:
    """Return the object that applies to a tenant, and its owner: the tenant, or the project."""
    documents = Documents(ctx.engines.db)
    base = await documents.get(kind.plural, PROJECT, key)
    own = None if tenant == PROJECT else await documents.get(kind.plural, tenant, key)
    return _applied(kind, base, own, tenant)


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
    return [one for key in keys if (one := _applied(kind, base.get(key), own.get(key), tenant)) is not None]


async def _find_page(ctx: ApiContext, kind: str, query: ListQuery, text: str | None) -> ListPage[tuple[str, Document]]:
    """Return a page of the objects of a kind; with a text, of those whose key contains it."""
    table, wanted = (
        Documents(ctx.engines.db),
        msgspec.structs.replace(query, filters={"kind": kind, **containing(text)}),
    )
    return await (table.search(wanted) if text else table.owned(wanted))


def tagged(*values: object) -> dict[str, str]:
    """Return the headers of a response with an object: what a write replaces, and what is shown of it. With both, its ETag also
    changes with fields that a write ignores."""
    return {"etag": entity_tags.tag_of(*values), "cache-control": "no-store"}


def _applied(kind: Kind[Any], base: Document | None, own: Document | None, tenant: str) -> tuple[Document, str] | None:
    if own is None:
        return None if base is None else (base, PROJECT)
    if base is None or kind.merge is None:
        return own, tenant
    decode = request_body.decoder(kind.type).decode
    merged = kind.merge(decode(base.body), decode(own.body))
    return msgspec.structs.replace(own, body=msgspec.json.encode(merged)), tenant


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


def overlaid(ctx: ApiContext, plural: str, tenant: str, key: str, body: bytes | None) -> ApiContext:
    """Return the context in which this object is written; None deletes it."""
    reads: Any = OverlaidReads(ctx.engines.db, {(plural, tenant, key): body})
    return msgspec.structs.replace(ctx, engines=msgspec.structs.replace(ctx.engines, db=reads))


async def check_uses(kind: Kind[Any], ctx: ApiContext, after: ApiContext, names: Sequence[tuple[str, str]]) -> None:
    """Raise Conflict if writes or deletions of these objects would break objects that use them. The context `after` reads
    the objects as they will be."""
    if kind.find_uses is None:
        return
    deleted: list[tuple[str, str]] = []
    for tenant, key in names:
        before, found = await find(kind, ctx, tenant, key), await find(kind, after, tenant, key)
        if before is None:
            continue
        if found is None:
            deleted.append((tenant, key))
        elif kind.find_broken is not None and before[0].body != found[0].body:
            broken = await kind.find_broken(ctx, before[0].body, found[0].body)
            if broken is not None:
                await check_unused(kind.name, after, [(tenant, key)], broken)
    if deleted:
        await check_unused(kind.name, after, deleted, BrokenUses(kind.find_uses))


async def check_unused(name: str, ctx: ApiContext, names: Sequence[tuple[str, str]], broken: BrokenUses) -> None:
    """Raise Conflict if one of these objects, such as a `workflow`, has users that this search finds."""
    found = await broken.find(ctx, names, SHOWN_USES + 1, is_exact=True)
    used = next((one for one in names if found[one]), None)
    if used is None:
        return
    users = found[used]
    hint = ""
    if any(user.startswith(f"{SCHEDULES}/{GENERATED_PREFIX}") for user in users):
        hint = " A schedule whose key begins with send- is a send or trigger with send_at: delete it, or wait for its time."
    which = f"This {name}" if len(names) == 1 else f"The {name} {used[1]}"
    raise Conflict(f"{which} is used by {listed(users)}{broken.reason}: change or delete these first.{hint}")


def listed(names: Sequence[str]) -> str:
    """Return names for a message, of many the first ones."""
    return ", ".join(names[:SHOWN_USES]) + (" and others" if len(names) > SHOWN_USES else "")


def _written_at(document: Document) -> dict[str, datetime]:
    return {"updated_at": times.to_rfc3339(document.updated_at)}


async def described(kind: Kind[Any], ctx: ApiContext, tenant: str, shown: dict[str, Any]) -> dict[str, Any]:
    """Return the object that applies to a tenant with the fields that a read adds."""
    (by,) = await managed.of(ctx, kind.plural, [(shown["tenant"] or PROJECT, shown["key"])])
    added = await _added(kind, ctx, [(tenant, shown["key"])])
    return shown | {managed.FIELD: by} | added[tenant, shown["key"]]


async def _added(
    kind: Kind[Any], ctx: ApiContext, named: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the fields that a read adds to objects, by tenant and key."""
    if kind.describe is not None:
        added: dict[tuple[str, str], dict[str, Any]] = {}
        for tenant in dict.fromkeys(tenant for tenant, _ in named):
            keys = [key for owner, key in named if owner == tenant]
            added |= {(tenant, key): fields for key, fields in (await kind.describe(ctx, tenant, keys)).items()}
        return added
    if kind.find_uses is None:
        return {name: {} for name in named}
    uses = await kind.find_uses(ctx, named, MAX_USES, is_exact=False)
    return {name: {"uses": users} for name, users in uses.items()}


# --- drafts in lists


def decode_draft(document: Document) -> StoredDraft:
    """Return a stored draft."""
    return msgspec.json.decode(document.body, type=StoredDraft)


async def merge_drafts(
    request: ApiRequest, plural: str, query: DraftsQuery, published: dict[tuple[str, str], U], *, is_last: bool
) -> tuple[list[tuple[str, str, U | None, DraftInfo | None]], str | None]:
    """Return a page of published objects by tenant and key, each with its draft, and the position of the next page. With
    `drafts`, it includes drafts of objects that were never published. `is_last` states that there is no further published object."""
    ctx, page = context.of(request), resource.list_query(request, documents.LIST, query, is_counted=False)
    until = max(published, default=("", ""))
    drafted: dict[tuple[str, str], DraftInfo] = {}
    following, more = page.after, True
    while more and (query.drafts or following is None or following < until):
        of_drafts = msgspec.structs.replace(page, after=following)
        part = await _find_page(ctx, draft_kind(plural), of_drafts, query.text)
        drafted |= {(owner, one.key): _draft_info(one) for owner, one in part.items}
        following, more = part.next, part.next is not None
        if query.drafts:
            break
    every = sorted(published.keys() | drafted.keys() if query.drafts else published)
    names = every[: page.limit]
    has_ended = len(names) == len(every) and is_last and not (query.drafts and more)
    position = None if has_ended else resource.cursor(documents.LIST, names[-1], query.tenant)
    return [(*name, published.get(name), drafted.get(name)) for name in names], position


async def draft_of(ctx: ApiContext, plural: str, tenant: str, key: str) -> DraftInfo | None:
    """Return who saved the draft of a tenant's object, or None without a draft."""
    document = await Documents(ctx.engines.db).get(draft_kind(plural), tenant, key)
    return None if document is None else _draft_info(document)


def _draft_info(document: Document) -> DraftInfo:
    return DraftInfo(by=decode_draft(document).by, updated_at=times.to_rfc3339(document.updated_at))
