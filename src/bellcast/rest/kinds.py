"""Kinds of objects that the app defines by key: what a kind declares, which object applies to a tenant, what uses it, and
whether only a push of files may write it."""

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast.documents.store import AS_JSON, Documents, ObjectForm, OverlaidReads, Versions
from bellcast.documents.types import (
    MAX_OBJECT_KEY,
    PROJECT,
    Document,
    Management,
    StoredDraft,
    StoredVersion,
    draft_kind,
    managed_place,
)
from bellcast.kernel import concurrency, errors, times, validation
from bellcast.kernel.errors import Conflict, FieldError, Invalid, PreconditionFailed
from bellcast.kernel.http import request_body, responses
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import Tag
from bellcast.workflows.types.runs import GENERATED_PREFIX, SCHEDULES

T = TypeVar("T", bound=Struct)

KEY_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
# Maximum uses listed in the error of a refused DELETE, and by a read.
SHOWN_USES = 5
MAX_USES = 100

# Returns the errors of an object's references, given its tenant and key.
CheckReferences = Callable[[T, ApiContext, str, str], Awaitable[list[FieldError]]]
# Returns the fields that a read adds to the objects with these keys.
Describe = Callable[[ApiContext, str, Sequence[str]], Awaitable[dict[str, dict[str, Any]]]]
# Returns the fields that only a list adds to published objects, which are given with their versions by the tenants that
# own them and their keys. The list is of these tenants; None: of all.
DescribeList = Callable[
    [ApiContext, Mapping[tuple[str, str], int], Sequence[str] | None], Awaitable[dict[tuple[str, str], dict[str, Any]]]
]

# Name of the field that a read adds.
MANAGED = "managed"


class FindUses(Protocol):
    """Returns at most `limit` users of each object by its tenant and key, as `types/booking`. A search that is not exact
    may end before it has found all."""

    async def __call__(
        self, ctx: ApiContext, named: Sequence[tuple[str, str]], limit: int, *, is_exact: bool
    ) -> dict[tuple[str, str], list[str]]: ...


class BrokenUses(NamedTuple):
    """A search for the users of an object that a change would break, and the end of an error such as
    `This template is used by templates/booking`, which states how they use it and why the change breaks that use."""

    find: FindUses
    reason: str


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
    cannot be deleted, or changed so that `find_broken` finds some. `complete` returns what is stored of a valid value, in a thread. `describe` returns the fields in `added` for a read. Only lists have the fields `listed`, which `describe_list` returns.
    `written` is called after writes, with the tenants and keys of the objects and whether they were deleted. `merge` combines the project's object with a tenant's override; without it, the
    override replaces the whole object. With `is_open_to_viewers`, operators with the role viewer read the list, without
    content. A dry run returns the effects that `find_effects` finds. A draft with errors of `find_obstacles` is not published.
    `form` is how objects are stored.
    `source` returns a value without what `complete` adds. `object_types` are those of an object that was read, and of one that
    was written, if they are not derived. With `lists_own`, the list of a tenant has only its own objects, and a draft that was never published
    is shown with the fields `unpublished`."""

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
    added: Mapping[str, Any] = {}
    listed: Mapping[str, Any] = {}
    describe: Describe | None = None
    describe_list: DescribeList | None = None
    written: Callable[[ApiContext, Sequence[tuple[str, str, bool]]], Awaitable[None]] | None = None
    merge: Callable[[T, T], T] | None = None
    is_open_to_viewers: bool = False
    form: ObjectForm = AS_JSON
    object_types: tuple[Any, Any] | None = None
    lists_own: bool = False
    unpublished: Mapping[str, Any] = {}

    @property
    def is_versioned(self) -> bool:
        """Whether each write of an object is a version."""
        return self.form.is_versioned

    def item(self, document: Document, tenant: str) -> dict[str, Any]:
        """Return a stored object of a tenant as the API returns it, without the fields in `added`."""
        shown = {**msgspec.json.decode(document.body), "key": document.key, "tenant": tenant or None}
        return shown | ({"version": document.version} if self.is_versioned else {})

    def at_version(self, document: Document, stored: StoredVersion) -> Document:
        """Return an object as it was in an earlier version."""
        body = self.form.restored(document.body, stored)
        return msgspec.structs.replace(document, body=body, version=stored.version, updated_at=stored.created_at)

    async def check(self, ctx: ApiContext, tenant: str, key: str, values: Any) -> T:
        """Return the valid object of a write as it is stored. Raises Invalid."""
        value = await parse(self, ctx, tenant, values)
        if self.check_references is not None:
            validation.check(await self.check_references(value, ctx, tenant, key))
        return value

    async def version(self, ctx: ApiContext, tenant: str, key: str) -> int | None:
        """Return the current version of a tenant's own object. Raises Conflict if it cannot be written."""
        stored = await Documents(ctx.engines.db).get(self.plural, tenant, key)
        if stored is None:
            return None
        self.form.check_writable(stored.body)
        version: int = self.item(stored, tenant)["version"]
        return version

    async def plan(self, ctx: ApiContext, tenant: str, key: str, value: T) -> dict[str, Any]:
        """Return what a write of a checked object would store, and its effects."""
        before, version = await Documents(ctx.engines.db).get(self.plural, tenant, key), 1
        if before is not None:
            self.form.check_writable(before.body)
        body = self.form.body(value, None if before is None else before.body)
        if self.is_versioned:
            last = await Versions(ctx.engines.db).last(self.plural, tenant, key)
            known = (before.version if before else 0, before.body if before else None)
            number, newest = known if last is None else (last.version, last.body)
            version = number + (newest != self.form.content(body))
        find = self.find_effects
        effects = {} if find is None else {"effects": await find(ctx, ctx, tenant, key, value)}
        shown = self.item(Document(key, self.form.numbered(body, version), 0, 0, version), tenant)
        return await described(self, ctx, tenant, shown) | effects

    async def remove(self, ctx: ApiContext, tenant: str, key: str, before: Document, *, is_conditional: bool) -> bool:
        """Delete an object and its draft; return whether there was one. Raises PreconditionFailed if a conditional deletion finds
        another one than `before`."""
        self.form.check_writable(before.body)
        documents = Documents(ctx.engines.db)
        if is_conditional:
            if not await documents.change(self.plural, tenant, key, before.body, None, ctx.engines.clock.now()):
                raise PreconditionFailed
        elif not await documents.delete(self.plural, tenant, key):
            return False
        if self.is_versioned:
            await documents.delete(draft_kind(self.plural), tenant, key)
        return True


class DraftInfo(Struct, frozen=True, kw_only=True):
    """Who saved a draft last, and when."""

    by: str
    updated_at: datetime


@functools.cache
def shape_of(kind: Kind[T]) -> request_body.Shape[T]:
    """Return the type of a kind's objects with its rules."""
    return request_body.Shape(kind.type, kind.rules)


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
            (MANAGED, ManagedBy | None),
            *([("uses", list[str])] if kind.find_uses else []),
            *kind.added.items(),
        ]
        + (of_version if kind.is_versioned else [])
        + [(name, type | UnsetType, UNSET) for name, type in kind.listed.items()]
        + [("updated_at", datetime | UnsetType, UNSET)],
        bases=(kind.type,),
        namespace={
            "__doc__": f"The {kind.name} with its key. `tenant` is null for the project's own. Reads and lists have `updated_at`, the time of the last write."
            + (
                " `version` is 0 for a draft that was never published; reads and lists have who saved the `draft` of the tenant, or null. Lists have who published the version, or null."
                * kind.is_versioned
            )
            + "".join(f" Only lists have `{name}`." for name in kind.listed)
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
            namespace={"__doc__": f"The {kind.name} as it was written. Only a dry run has `effects`."},
            frozen=True,
            kw_only=True,
        )
    return shown, written


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


async def parse(kind: Kind[T], ctx: ApiContext, tenant: str, sent: object) -> T:
    """Return what is stored of a value, without a check of its references. Raises Invalid."""
    # In a thread: compiling the texts of a template takes seconds and would block the event loop.
    value = await concurrency.in_turn(tenant, request_body.json, msgspec.json.encode(sent), shape_of(kind), ctx)
    return value if kind.complete is None else await concurrency.in_turn(tenant, kind.complete, value)


async def written(kind: Kind[Any], ctx: ApiContext, tenant: str, key: str, *, is_deleted: bool = False) -> None:
    """Drop cached objects after this process wrote one."""
    ctx.engines.router.forget()
    if kind.written is not None:
        await kind.written(ctx, [(tenant, key, is_deleted)])


async def find(kind: Kind[Any], ctx: ApiContext, tenant: str, key: str) -> tuple[Document, str] | None:
    """Return the object that applies to a tenant, and its owner: the tenant, or the project."""
    documents = Documents(ctx.engines.db)
    base = await documents.get(kind.plural, PROJECT, key)
    own = None if tenant == PROJECT else await documents.get(kind.plural, tenant, key)
    return applied(kind, base, own, tenant)


def applied(kind: Kind[Any], base: Document | None, own: Document | None, tenant: str) -> tuple[Document, str] | None:
    if own is None:
        return None if base is None else (base, PROJECT)
    if base is None or kind.merge is None:
        return own, tenant
    decode = request_body.decoder(kind.type).decode
    merged = kind.merge(decode(base.body), decode(own.body))
    return msgspec.structs.replace(own, body=msgspec.json.encode(merged)), tenant


def overlaid(kind: Kind[Any], ctx: ApiContext, tenant: str, key: str, body: bytes | None) -> ApiContext:
    """Return the context in which this object is written; None deletes it."""
    reads: Any = OverlaidReads(ctx.engines.db, {(kind.plural, tenant, key): body})
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
                await _check_unused(kind, after, [(tenant, key)], broken.find, broken.reason)
    if deleted:
        await _check_unused(kind, after, deleted, kind.find_uses)


async def _check_unused(
    kind: Kind[Any], ctx: ApiContext, names: Sequence[tuple[str, str]], find: FindUses, reason: str = ""
) -> None:
    """Raise Conflict, with a reason, if one of these objects has users that this search finds."""
    found = await find(ctx, names, SHOWN_USES + 1, is_exact=True)
    used = next((one for one in names if found[one]), None)
    if used is None:
        return
    users = found[used]
    hint = ""
    if any(user.startswith(f"{SCHEDULES}/{GENERATED_PREFIX}") for user in users):
        hint = " A schedule whose key begins with send- is a send or trigger with send_at: delete it, or wait for its time."
    which = f"This {kind.name}" if len(names) == 1 else f"The {kind.name} {used[1]}"
    raise Conflict(f"{which} is used by {listed(users)}{reason}: change or delete these first.{hint}")


def listed(names: Sequence[str]) -> str:
    """Return names for a message, of many the first ones."""
    return ", ".join(names[:SHOWN_USES]) + (" and others" if len(names) > SHOWN_USES else "")


async def described(kind: Kind[Any], ctx: ApiContext, tenant: str, shown: dict[str, Any]) -> dict[str, Any]:
    """Return the object that applies to a tenant with the fields that a read adds."""
    (by,) = await managers_of(ctx, kind.plural, [(shown["tenant"] or PROJECT, shown["key"])])
    added = await fields_of_read(kind, ctx, [(tenant, shown["key"])])
    return shown | {MANAGED: by} | added[tenant, shown["key"]]


async def fields_of_read(
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


async def fields_of_list(
    kind: Kind[Any], ctx: ApiContext, versions: Mapping[tuple[str, str], int], tenants: Sequence[str] | None
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the fields that only a list adds to published objects, by tenant and key."""
    added = {} if kind.describe_list is None else await kind.describe_list(ctx, versions, tenants)
    if not kind.is_versioned:
        return added
    authors = await Versions(ctx.engines.db).authors(kind.plural, versions)
    return {place: {"published_by": authors.get(place)} | added.get(place, {}) for place in versions}


def decode_draft(document: Document) -> StoredDraft:
    """Return a stored draft."""
    return msgspec.json.decode(document.body, type=StoredDraft)


def draft_info(document: Document) -> DraftInfo:
    return DraftInfo(by=decode_draft(document).by, updated_at=times.to_rfc3339(document.updated_at))


class ManagedBy(Struct, frozen=True, kw_only=True):
    """The files that an object was pushed from: their source and commit, the object's `etag` then, and when. With `lock`,
    other writes are refused until an owner unlocks the object."""

    source: str
    commit: str | None
    etag: str
    at: datetime
    lock: bool
    unlocked_at: datetime | None


def decode_management(document: Document) -> Management:
    """Return the stored management of an object."""
    return msgspec.json.decode(document.body, type=Management)


async def managers_of(ctx: ApiContext, plural: str, named: Sequence[tuple[str, str]]) -> list[ManagedBy | None]:
    """Return the management of objects by their tenants and keys."""
    places = [managed_place(plural, tenant, key) for tenant, key in named]
    found = await Documents(ctx.engines.db).several(places)
    return [responses.item(ManagedBy, decode_management(found[place])) if place in found else None for place in places]


async def check_managed(ctx: ApiContext, plural: str, tenant: str, key: str) -> None:
    """Raise Managed if only a push may write the object."""
    found = await Documents(ctx.engines.db).get(*managed_place(plural, tenant, key))
    one = None if found is None else decode_management(found)
    if one is not None and one.lock and one.unlocked_at is None:
        raise errors.Managed.by(one.source, one.commit)
