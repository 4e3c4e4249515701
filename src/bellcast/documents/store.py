"""Objects that the app defines by key, as JSON, and the versions of those that are published."""

import asyncio
import difflib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from bellcast.audit import store as audit
from bellcast.documents import types
from bellcast.documents.types import COUNTED, MAX_OF_KIND, Document, StoredVersion, draft_kind
from bellcast.kernel.clock import Clock, request_time
from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import Engine, StoreTable, on_table, pages, read, read_in_background, write
from bellcast.kernel.db.lists import CreatedRange, KeysetList, ListPage, ListQuery
from bellcast.kernel.db.script import TENANT_LOCK, Params, Row, Script, Statement, WriteConflict, check_tenant, first
from bellcast.kernel.errors import Conflict, PreconditionFailed

# Maximum keys of an owner that are compared with an unknown one: the rows contain the objects, up to 512 KiB each.
MAX_COMPARED = 200
# Objects per read of all.
READ_OBJECTS = 100
# Tenant and key of an object of a kind.
Owned: TypeAlias = tuple[str, str]
# Kind, tenant and key of an object.
Place: TypeAlias = tuple[str, str, str]
# Writes one object, and returns False, and writes nothing, if it has changed; or appends to the audit log.
WriteScript: TypeAlias = Script[bool]
P = ParamSpec("P")
T = TypeVar("T")
FIND, PAGE, OWN_PAGE = "document_find", "documents", "documents_of_tenant"


def lock_of(kind: str, tenant: str, key: str) -> tuple[str, str]:
    """Return the lock of an object. Without it, writes of several callers on PostgreSQL run in step: each compares the object
    before one of them changes it."""
    return tenant, f"\x01{kind} {key}"


def locks_of(kind: str, tenant: str, key: str, before: bytes | None = None) -> list[tuple[str, str]]:
    """Return the locks of the write of an object, which replaces the body `before`, or else may create it: its own, then the tenant's
    if a maximum counts those of its kind, or the tenant can be erased, which the default tenant cannot."""
    locks_tenant = before is None and (kind in COUNTED or tenant != types.PROJECT)
    return [lock_of(kind, tenant, key)] + [(tenant, TENANT_LOCK)] * locks_tenant


def _check_new_object(kind: str, tenant: str, key: str, now: int) -> Script[None]:
    """Raise TenantErased if the tenant of an object that a request of this time creates was erased since, and Conflict if it has
    MAX_OF_KIND others."""
    yield from check_tenant(tenant, now)
    of_kind = {"kind": kind, "tenant": tenant, "key": key, "limit": MAX_OF_KIND}
    if kind in COUNTED and (yield Statement("documents_full", of_kind)):
        raise Conflict(f"There are already {MAX_OF_KIND} {kind.replace('s-', ' ')}: delete one first.")


def _document(key: str, body: str, created_at: int, updated_at: int, version: int) -> Document:
    return Document(key, body.encode(), created_at, updated_at, version)


LIST: KeysetList[tuple[str, Document]] = KeysetList(
    "documents", ("tenant", "key"), lambda row: (row[0], _document(*row[1:]))
)
BY_TEXT: KeysetList[tuple[str, Document]] = KeysetList("documents_by_text", LIST.key, LIST.convert, filters=("text",))


class Documents(StoreTable):
    """Objects by kind, tenant and key. The tenant `PROJECT` holds the project's own."""

    @read
    def get(self, kind: str, tenant: str, key: str) -> Script[Document | None]:
        params = {"kind": kind, "tenant": tenant, "key": key}
        found = yield Statement("document_find", params)
        return _document(key, *found[0]) if found else None

    @read_in_background
    def several(self, places: Sequence[Place]) -> Script[dict[Place, Document]]:
        """Return the objects with these kinds, tenants and keys that exist."""
        result: dict[Place, Document] = {}
        for kind, tenant, key in places:
            found = yield Statement("document_find", {"kind": kind, "tenant": tenant, "key": key})
            if found:
                result[kind, tenant, key] = _document(key, *found[0])
        return result

    @read_in_background
    def bodies(self, kind: str, places: Collection[Owned]) -> Script[dict[Owned, bytes]]:
        """Return the bodies of the objects of a kind with these tenants and keys that exist."""
        found = yield Statement("documents_find", {"kind": kind, "places": columns.to_json([*places])})
        return {(tenant, key): body.encode() for tenant, key, body in found}

    @write(locks=lambda kind, about, changes, now: {lock for place in changes for lock in locks_of(kind, *place)})
    def combine(
        self, kind: str, about: str, changes: Mapping[Owned, Callable[[bytes | None], bytes]], now: int
    ) -> Script[None]:
        """Replace bodies by what these functions return for them (None: there is none), of those with the tenant and key of an
        object of the kind `about`. One without a key is about no object."""
        params = {"places": columns.to_json([*changes])}
        known = {(tenant, key) for tenant, key, _ in (yield Statement("documents_find", {"kind": about, **params}))}
        stored = yield Statement("documents_find", {"kind": kind, **params})
        before = {(tenant, key): body.encode() for tenant, key, body in stored}
        for place, change in changes.items():
            tenant, key = place
            if place in known or not key:
                yield from put({"kind": kind, "tenant": tenant, "key": key}, change(before.get(place)), now)

    @read
    def page(self, kind: str, tenant: str, after: str, limit: int) -> Script[list[Document]]:
        """Return objects by key, after the key `after`."""
        query = ListQuery(tenants=[tenant], after=(tenant, after), limit=limit, filters={"kind": kind})
        return [document for _, document in (yield from LIST.page(query)).items]

    owned = pages(LIST)
    _search_page = pages(BY_TEXT)

    async def search(self, query: ListQuery) -> ListPage[tuple[str, Document]]:
        """Return a page of the objects that the filter `text` finds. A page that is not full is the last one: the search
        continues where a read has examined as many rows as it may."""
        page = await self._search_page(query)
        items = page.items
        while page.scanned_until is not None and len(items) < query.limit:
            rest = msgspec.structs.replace(query, after=page.scanned_until, limit=query.limit - len(items))
            page = await self._search_page(rest)
            items += page.items
        return ListPage(items, page.next or page.scanned_until)

    async def suggestion(self, kind: str, tenant: str, key: str) -> str:
        """Return the end of a message for an unknown key: the nearest of those that apply to the tenant."""
        found = [await self.page(kind, owner, "", MAX_COMPARED) for owner in dict.fromkeys((tenant, types.PROJECT))]
        keys = {document.key for page in found for document in page}
        near = await asyncio.to_thread(difflib.get_close_matches, key[:100], keys, n=1)  # at most 0.3 s
        return "".join(f"; did you mean {name!r}?" for name in near)

    @read
    def newest(self, kind: str, tenant: str, before: str, created: CreatedRange, limit: int) -> Script[list[Document]]:
        """Return objects by key, the last first, before the key `before`, created in a time range."""
        params = {"kind": kind, "tenant": tenant, "before": before, "limit": limit, **created._asdict()}
        return [_document(*row) for row in (yield Statement("documents_newest", params))]

    async def every(self, kind: str, tenant: str | None = None) -> AsyncIterator[tuple[str, Document]]:
        """Yield the objects of a tenant, or of the project and every tenant, each with its tenant, by tenant and key."""
        owners = None if tenant is None else [tenant]
        page: ListPage[tuple[str, Document]] = ListPage([], next=("", ""))
        while page.next is not None:
            query = ListQuery(tenants=owners, after=page.next, limit=READ_OBJECTS, filters={"kind": kind})
            page = await self._engine.read(LIST.page, query)
            for one in page.items:
                yield one

    check_new = read(on_table(_check_new_object))

    @write(locks=lambda kind, tenant, key, *_, **__: locks_of(kind, tenant, key))
    def put(self, kind: str, tenant: str, key: str, body: bytes, now: int) -> Script[tuple[Document, bool]]:
        """Create or replace an object; return whether it is new."""
        name = {"kind": kind, "tenant": tenant, "key": key}
        is_new = not (yield Statement("document_find", name))
        if is_new:
            yield from _check_new_object(kind, tenant, key, now)
        ((created_at, updated_at),) = yield from put(name, body, now)
        return Document(key, body, created_at, updated_at), is_new

    @write(locks=lambda kind, tenant, key, before, *_, **__: locks_of(kind, tenant, key, before))
    def change(
        self,
        kind: str,
        tenant: str,
        key: str,
        before: bytes | None,
        after: bytes | None,
        now: int,
        *,
        version: int | None = None,
    ) -> Script[bool]:
        """Replace the body `before` by `after`. Without `before`, create the object; without `after`, delete it. Return
        False, and write nothing, if the stored object is not `before`. `version` is the number of the version that becomes
        current, if the kind has versions."""
        name = {"kind": kind, "tenant": tenant, "key": key}
        if not (yield from replace(name, before, after, now)):
            return False
        if version is not None:
            yield Statement("document_current_version", {**name, "version": version})
        return True

    @write(locks=lambda writes, *_: {audit.LOCK}.union(*(locks_of(*one)[1:] for one in writes)), is_exclusive=True)
    def apply(self, writes: Mapping[Place, Callable[[], WriteScript]], *log: Callable[[], WriteScript]) -> Script[None]:
        """Write these objects in a transaction of their own, for example with `audit.append`: writes of the same objects do not
        run in step with them. Raises PreconditionFailed, and writes nothing, if one of the scripts returns False."""
        for script in (*writes.values(), *log):
            if not (yield from script()):
                raise PreconditionFailed

    @write()
    def expire(self, kind: str, before: int, limit: int) -> Script[int]:
        """Delete objects of a kind that were last changed before a time, at most `limit`; return how many."""
        return len((yield Statement("documents_expire", {"kind": kind, "before": before, "limit": limit})))

    @write(locks=lambda kind, tenant, key: (lock_of(kind, tenant, key),))
    def delete(self, kind: str, tenant: str, key: str) -> Script[bool]:
        """Delete an object, and who manages it; return whether there was one."""
        return (kind,) in (yield from delete({"kind": kind, "tenant": tenant, "key": key}))


def put(name: Params, body: bytes, now: int) -> Script[list[Row]]:
    """Create or replace an object (kind, tenant, key); return when it was created and updated."""
    return (yield Statement("document_write", {**name, "body": body.decode(), "now": now}))


def delete(name: Params) -> Script[list[Row]]:
    """Delete an object (kind, tenant, key), and who manages it; return the kinds of what there was."""
    return (yield Statement("document_delete", name))


def hold(kind: str, tenant: str, key: str, body: bytes) -> Script[bool]:
    """Lock an object until the transaction ends; return whether it has this body."""
    params = {"kind": kind, "tenant": tenant, "key": key, "body": body.decode()}
    return bool((yield Statement("document_lock", params)))


def replace(name: Params, before: bytes | None, after: bytes | None, now: int) -> Script[bool]:
    """Replace the body of an object (kind, tenant, key) as `change` does."""
    if before is None:
        yield from _check_new_object(name["kind"], name["tenant"], name["key"], now)
        body = "" if after is None else after.decode()
        return bool((yield Statement("document_create", {**name, "body": body, "now": now})))
    if not (yield from hold(**name, body=before)):
        return False
    if after is None:
        yield from delete(name)
    else:
        yield from put(name, after, now)
    return True


class ObjectForm(Struct, frozen=True):
    """How the values of a kind are stored: as JSON. Each write of a kind that `is_versioned` is a version."""

    is_versioned: bool = False

    def body(self, value: Any, before: bytes | None) -> bytes:
        """Return the body of the object that replaces `before`, without the number of its version."""
        return msgspec.json.encode(value)

    def numbered(self, body: bytes, version: int) -> bytes:
        """Return the body of an object with the number of its version."""
        return body

    def content(self, body: bytes) -> bytes:
        """Return what a version has of the body of its object."""
        return body

    def restored(self, body: bytes, version: StoredVersion) -> bytes:
        """Return the body of an object of which an earlier version becomes current."""
        return version.body

    def events(self, owner: str, body: bytes) -> Sequence[Params]:
        """Return the live events that an object waits for, as objects."""
        return ()

    def check_writable(self, body: bytes) -> None:
        """Raise Conflict if an object must not be written."""

    async def write(
        self,
        db: Engine,
        clock: Clock,
        place: Place,
        value: Any,
        before: Document | None,
        by: str | None = None,
        *,
        is_conditional: bool = False,
        draft: Document | None = None,
        note: str | None = None,
    ) -> tuple[Document, bool]:
        """Write a checked value in place of the object `before`, and delete the draft that it was; return the object, and whether
        it is new. If another one is stored, it is replaced, or a write that is conditional or has a draft raises
        PreconditionFailed, as it does if the stored draft is another one."""
        while True:
            replaced = None if before is None else before.body
            if replaced is not None:
                self.check_writable(replaced)
            body, now, version = self.body(value, replaced), request_time(clock, replaced), 1
            if self.is_versioned:
                added = StoredVersion(0, body, now, by, note)
                drafted = None if draft is None else draft.body
                published = await Versions(db).publish(*place, added, replaces=replaced, draft=drafted, form=self)
                is_written, version = published is not None, 0 if published is None else published.version
            else:
                is_written = await Documents(db).change(*place, replaced, body, now)
            if is_written:
                return Document(place[2], self.numbered(body, version), now, now, version), before is None
            if is_conditional or draft is not None:
                raise PreconditionFailed
            before = await Documents(db).get(*place)


AS_JSON = ObjectForm()


def put_version(plural: str, owner: str, key: str, added: StoredVersion) -> Script[StoredVersion]:
    """Add a version with the next number, unless it equals the last one; return it."""
    name = _name(plural, owner, key)
    last = [_version(row) for row in (yield Statement("version_last", name))]
    if last and last[0].body == added.body:
        return last[0]
    version = last[0].version + 1 if last else 1
    about = {"body": added.body.decode(), "now": added.created_at, "by": added.by, "note": added.note}
    if not (yield Statement("version_add", {**name, "version": version, **about})):
        raise WriteConflict
    return msgspec.structs.replace(added, version=version)


def publish(
    plural: str,
    owner: str,
    key: str,
    added: StoredVersion,
    *,
    replaces: bytes | None,
    draft: bytes | None = None,
    form: ObjectForm = AS_JSON,
) -> Script[StoredVersion | None]:
    """Add a version, which has the body of its object, make it current, and delete its draft, all in one transaction. `replaces`
    is the body of the stored object (None: there is none), `draft` that of the draft. Return None, and write nothing, if a
    stored body is another one."""
    name = {"kind": plural, "tenant": owner, "key": key}
    drafted = {**name, "kind": draft_kind(plural)}
    if draft is not None and not (yield from hold(**drafted, body=draft)):
        return None
    if replaces is None and not (yield from replace(name, None, b"{}", added.created_at)):
        return None
    if replaces is not None:
        if not (yield from hold(**name, body=replaces)):
            return None
        if not (yield Statement("version_last", _name(plural, owner, key))):
            # Of a server that had no versions of these objects
            ((_, _, updated_at, _),) = yield Statement("document_find", name)
            yield from put_version(plural, owner, key, StoredVersion(1, form.content(replaces), updated_at))
    for event in form.events(owner, added.body):
        yield from put(event, b"{}", added.created_at)
    version = yield from put_version(plural, owner, key, msgspec.structs.replace(added, body=form.content(added.body)))
    yield from put(name, form.numbered(added.body, version.version), added.created_at)
    yield Statement("document_current_version", {**name, "version": version.version})
    if draft is not None:
        yield from replace(drafted, draft, None, added.created_at)
    return version


class Versions(StoreTable):
    """The versions of objects by the plural of their kind, the tenant that owns them, and their key."""

    publish = write(locks=lambda *of, **_: locks_of(of[0], of[1], of[2]))(on_table(publish))

    @read
    def find(self, plural: str, owner: str, key: str, version: int) -> Script[StoredVersion | None]:
        return first(Statement("version_find", {**_name(plural, owner, key), "version": version}), _version)

    @read
    def last(self, plural: str, owner: str, key: str) -> Script[StoredVersion | None]:
        return first(Statement("version_last", _name(plural, owner, key)), _version)

    @read_in_background
    def authors(
        self, plural: str, versions: Mapping[tuple[str, str], int]
    ) -> Script[dict[tuple[str, str], str | None]]:
        """Return who wrote versions of objects, which are given by the tenants that own the objects and by their keys; None of an
        older server."""
        named = {(owner, _name(plural, owner, key)["name"]): (owner, key) for owner, key in versions}
        places = [(*name, versions[place]) for name, place in named.items()]
        found = yield Statement("version_authors", {"places": columns.to_json(places)})
        return {named[owner, name]: by for owner, name, by in found}

    @read
    def infos(self, plural: str, owner: str, key: str, limit: int) -> Script[list[StoredVersion]]:
        """Return versions without their bodies, newest first."""
        return [
            _version(row) for row in (yield Statement("versions_infos", {**_name(plural, owner, key), "limit": limit}))
        ]


def _name(plural: str, owner: str, key: str) -> dict[str, str]:
    """Return the name of an object's versions. Those of workflows have only the key, as an older server wrote them; no key
    contains a slash."""
    return {"owner": owner, "name": key if plural == "workflows" else f"{plural}/{key}"}


def push(
    form: ObjectForm, place: Place, before: bytes | None, after: bytes | None, now: int, note: str, by: str
) -> WriteScript:
    """Replace the body of an object, for a source that pushes it. Without `after`, delete the object and its draft. Return False, and
    write nothing, if the stored body is not `before`."""
    name = dict(zip(("kind", "tenant", "key"), place, strict=True))
    if after is not None and form.is_versioned:
        added = StoredVersion(0, after, now, by, note)
        return (yield from publish(*place, added, replaces=before, form=form)) is not None
    if not (yield from replace(name, before, after, now)):
        return False
    if form.is_versioned:
        yield from delete({**name, "kind": draft_kind(place[0])})
    return True


_version = columns.reader(StoredVersion, "version body created_at by note", body=str.encode)


class OverlaidReads(Struct, eq=False):
    """An engine for reads. They see `bodies` instead of the stored objects; None is one that is deleted. It writes nothing."""

    engine: Engine
    bodies: Mapping[Place, bytes | None]

    async def read(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a script that writes nothing."""
        return await self.engine.read(self._overlaid(script), *args, **kwargs)

    async def read_in_background(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a long script that writes nothing."""
        return await self.engine.read_in_background(self._overlaid(script), *args, **kwargs)

    def _overlaid(self, script: Callable[P, Script[T]]) -> Callable[P, Script[T]]:
        def run(*args: P.args, **kwargs: P.kwargs) -> Script[T]:
            statements = script(*args, **kwargs)
            rows: list[Row] | None = None
            while True:
                try:
                    statement = next(statements) if rows is None else statements.send(rows)
                except StopIteration as end:
                    result: T = end.value
                    return result
                rows = yield from self._answer(statement)

        return run

    def _answer(self, statement: Statement) -> Script[list[Row]]:
        params = statement.params
        if statement.name == FIND:
            place = (params["kind"], params["tenant"], params["key"])
            if place not in self.bodies:
                return (yield statement)
            body = self.bodies[place]
            return [] if body is None else [(body.decode(), 0, 0, 0)]
        if statement.name not in (PAGE, OWN_PAGE):
            return (yield statement)
        changed = {place[1:]: body for place, body in self.bodies.items() if place[0] == params["kind"]}
        # A page with deleted objects would be too short.
        stored = yield Statement(statement.name, {**params, "limit": params["limit"] + len(changed)})
        rows = [row for row in stored if row[:2] not in changed]
        for name, body in changed.items():
            is_next = (
                name > (params["after_tenant"], params["after_key"])
                if params["tenant"] is None
                else name[0] == params["tenant"] and name[1] > params["after_key"]
            )
            if is_next and body is not None:
                rows.append((*name, body.decode(), 0, 0, 0))
        return sorted(rows)[: params["limit"]]


K = TypeVar("K")
V = TypeVar("V")


class ShortCache(Generic[K, V]):
    """Results of reads by key, which are used for some seconds: a change takes effect on every node within that time."""

    def __init__(self, clock: Clock, size: int = types.MAX_CACHED, seconds: float = types.CACHE_SECONDS) -> None:
        self._clock = clock
        self._size = size
        self._seconds = seconds
        self._cached: dict[K, tuple[int, V]] = {}

    async def get(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """Return the cached result for a key, else read it."""
        cached = self._cached.get(key)
        if cached is not None and types.is_cached(cached[0], self._clock.now(), self._seconds):
            return cached[1]
        return await self.read(key, read)

    async def read(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """Read the result for a key, and cache it."""
        kept_in, until = self._cached, self._clock.now() + int(self._seconds * 1000)
        result = await read()
        if len(kept_in) >= self._size:
            kept_in.clear()
        kept_in[key] = until, result
        return result

    def forget(self) -> None:
        """Drop the results after this process changed an object."""
        self._cached = {}  # a new one: a read that has begun keeps its result in the old one
