"""Objects of many kinds as one state, which files in git describe: read as a whole, planned, and written in one transaction.

A kind joins with a `BundleKind`; it checks an object as its own write does. References between objects of a bundle are
checked against the state after it, in any order."""

import functools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bellcast.documents import store as documents
from bellcast.documents.store import AS_JSON, Documents, ObjectForm, OverlaidReads, Place, WriteScript
from bellcast.documents.types import MANAGED, MAX_OBJECT_KEY, PROJECT, Document, Management, managed_place
from bellcast.engines import Engines
from bellcast.kernel import errors, validation
from bellcast.kernel.clock import request_time
from bellcast.kernel.errors import Conflict, FieldError, Invalid, NotFound, PreconditionFailed
from bellcast.kernel.field_limits import TENANT_NAME, Limit
from bellcast.kernel.http import ASGIApp, entity_tags, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.rest import audit, context, guards, kinds, objects, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.kinds import ManagedBy, PublishEffect, decode_management
from bellcast.rest.operations import ApiEndpoint, operation
from bellcast.rest.resource import DryRunQuery
from bellcast.rest.tenants import TenantQuery

# A bundle is one transaction, which other writes wait for: 1,000 objects take half a second.
MAX_OBJECTS = 1_000
MAX_BYTES = 8 * 1024 * 1024
# Maximum fields in the difference of an object, and bytes of a value in it.
MAX_DIFF = 100
MAX_DIFF_VALUE = 2_000
# Objects of a dry run whose effects are searched: each takes up to 20 ms.
MAX_EFFECTS = 100

Action = Literal["create", "update", "delete", "adopt", "drift", "none"]
JsonObject = dict[str, Any]


class BundleKind(Struct, frozen=True, kw_only=True):
    """A kind of object in bundles. `values` returns a stored object as its file has it, None for one that no file may define;
    `hidden` what its ETag depends on besides. `parse` returns what is stored of values, and `check` raises Invalid for wrong
    references. `check_uses` raises Conflict if the state after a bundle, the second context, breaks uses of objects. `form` is
    how objects are stored, `written` is called after a change, and `services` are those that read the state after the bundle."""

    plural: str
    check_key: Callable[[ApiContext, str], object]
    values: Callable[[ApiContext, str, Document], JsonObject | None]
    parse: Callable[[ApiContext, str, str, JsonObject, Document | None], Awaitable[bytes]]
    check: Callable[[ApiContext, str, str, JsonObject, Document | None], Awaitable[object]] | None = None
    check_uses: Callable[[ApiContext, ApiContext, Sequence[tuple[str, str]]], Awaitable[None]] | None = None
    find_effects: kinds.FindEffects[Any] | None = None
    hidden: Callable[[ApiContext, str, Document], object] = lambda ctx, tenant, document: None
    form: ObjectForm = AS_JSON
    written: Callable[[ApiContext, Sequence[tuple[str, str, bool]]], Awaitable[None]] | None = None
    services: Callable[[Engines], Mapping[type[Any], Any]] = lambda engines: {}


class BundleQuery(TenantQuery, frozen=True, kw_only=True):
    """`kinds` are separated by commas; absent are all. With the tenant `*`, the objects of the project and of all tenants."""

    kinds: str | None = None


class BundleItem(Struct, frozen=True, kw_only=True):
    """An object with its values, as its file has them, and who manages it."""

    kind: str
    key: str
    tenant: str | None
    values: JsonObject
    etag: str
    managed: ManagedBy | None


class Bundle(Struct, frozen=True):
    """The objects of a state, by kind, tenant and key."""

    objects: list[BundleItem]


class PushedObject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object as it shall be; `values` is null to delete it. With `if_match`, it must have this ETag now; null: it must not
    exist."""

    kind: str
    key: str
    values: JsonObject | None
    tenant: Annotated[str | None, TENANT_NAME] = None
    if_match: str | UnsetType | None = UNSET

    @property
    def place(self) -> Place:
        """Its kind, tenant and key."""
        return self.kind, self.tenant or PROJECT, self.key


class Push(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The objects of a source, such as the name of a repository, at a commit. With `lock`, other writes of them are refused."""

    source: Annotated[str, Limit(MAX_OBJECT_KEY, 1)]
    objects: Annotated[list[PushedObject], Meta(max_length=MAX_OBJECTS)]
    commit: Annotated[str | None, Limit(MAX_OBJECT_KEY)] = None
    lock: bool = False


class FieldDifference(Struct, frozen=True):
    """A field that changes, such as `steps.mail.subject`; null is an absent one."""

    field: str
    before: Any
    after: Any


class BundleChange(Struct, frozen=True, kw_only=True):
    """What a push does with an object. `adopt` is one that no source manages yet; `drift` is one that was changed since this source
    last pushed it."""

    kind: str
    key: str
    tenant: str | None
    action: Action
    diff: list[FieldDifference]
    effects: list[PublishEffect]


class BundleChanges(Struct, frozen=True):
    """What a push does, or would do, in the order of its objects."""

    changes: list[BundleChange]


class ManagedObject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The name of an object."""

    kind: str
    key: str
    tenant: Annotated[str | None, TENANT_NAME] = None


class _State(Struct, frozen=True):
    """A stored object: its values and its ETag."""

    document: Document
    values: JsonObject
    etag: str


class _Planned(Struct, frozen=True, kw_only=True):
    """One object of a push: what is stored now, and what will be."""

    place: Place
    action: Action
    before: _State | None
    body: bytes | None
    after: _State | None
    diff: list[FieldDifference]


def operations(kinds: Sequence[BundleKind]) -> list[ApiEndpoint]:
    """Return the operations that read, write and unlock objects of these kinds. Objects of earlier kinds are parsed first."""
    by_plural = {kind.plural: kind for kind in kinds}

    @operation("GET", "/v1/bundle", tag="Objects", required_scope="read", other_scope="manage", bound_by="list", query=BundleQuery,
               response_types={200: Bundle}, refusals=(Conflict,))  # fmt: skip
    async def read_bundle(request: ApiRequest) -> ASGIApp:
        """Read the state of the objects.

        All objects of some kinds, as files have them, for `bellcast pull`. URLs of providers are replaced by the names of
        variables. With `?tenant=`, those of the tenant; with `?tenant=*`, those of the project and of all tenants. At most
        1,000 (409). Keys with the scope `manage`, which pushes files, may read it too."""
        query, ctx = request_body.query(request, BundleQuery), context.of(request)
        named = list(by_plural) if query.kinds is None else query.kinds.split(",")
        if unknown := [name for name in named if name not in by_plural]:
            raise Invalid.of("kinds", f"must be some of {', '.join(by_plural)}, got {unknown[0][:MAX_OBJECT_KEY]!r}")
        owners: Sequence[str | None] = tenants.tenants_of(request, query.tenant)
        if list(owners) == [EVERY_TENANT]:
            owners = [None]
        found: list[BundleItem] = []
        managers = dict([one async for one in _stored(ctx, MANAGED, owners)])
        for plural in dict.fromkeys(named):
            async for (tenant, key), document in _stored(ctx, plural, owners):
                state = _state(ctx, by_plural[plural], tenant, document)
                if state is None:
                    continue
                if len(found) == MAX_OBJECTS:
                    raise Conflict(
                        f"There are more than {MAX_OBJECTS} objects: name kinds or tenants, in bellcast.yaml or the query."
                    )
                manager = managers.get((tenant, f"{plural}/{key}"))
                by = None if manager is None else responses.item(ManagedBy, decode_management(manager))
                item = BundleItem(
                    kind=plural, key=key, tenant=tenant or None, values=state.values, etag=state.etag, managed=by
                )
                found.append(item)
        return responses.json(Bundle(found), headers={"cache-control": "no-store"})

    @operation("POST", "/v1/bundle", tag="Objects", required_scope="manage", bound_by="handler", query=DryRunQuery, body=Push,
               is_audited=True, is_sensitive=True, response_types={200: BundleChanges},
               refusals=(Conflict, errors.Managed, PreconditionFailed, NotFound),
               example={"source": "shop", "commit": "1a2b3c4", "objects": [
                   {"kind": "types", "key": "booking", "tenant": None, "values": {"name": "Bookings"}}]})  # fmt: skip
    async def write_bundle(request: ApiRequest) -> ASGIApp:
        """Write objects from files.

        At most 1,000 and 8 MiB, all of them or none. `values: null` deletes an object, unless others use it. An object that is not
        the one of `if_match` refuses all (412), as does one of another source (409). Without `if_match`, an object is replaced
        even if it was changed since (drift), or belongs to no source. With `dry_run`, the response is what would change."""
        ctx = context.of(request)
        if not request_body.JSON_TYPE.fullmatch(request_body.media_type(request)):
            raise errors.UnsupportedMediaType
        push = request_body.json(await request_body.raw(request, MAX_BYTES), Push, ctx)
        _check_names(request, ctx, by_plural, push)
        places = [one.place for one in push.objects]
        managed_places = {place: managed_place(*place) for place in places}
        found = await Documents(ctx.engines.db).several([*places, *managed_places.values()])
        managers = {place: decode_management(found[by]) for place, by in managed_places.items() if by in found}
        planned = await _plan(ctx, by_plural, push, found, managers)
        effects: dict[Place, list[PublishEffect]] = {}
        if request_body.is_dry_run(request):
            # Of at most MAX_EFFECTS objects: those that change, then those that are created
            after = _overlaid(ctx, {one.place: one.body for one in planned}, kinds)
            written = [one for one in planned if one.diff or one.action == "create"]
            for one in sorted(written, key=lambda one: one.action == "create"):
                find = by_plural[one.place[0]].find_effects
                if find is not None and one.after is not None and len(effects) < MAX_EFFECTS:
                    effects[one.place] = await find(ctx, after, *one.place[1:], one.after.values)
        else:
            await _apply(request, by_plural, push, planned, managers)
        return responses.json(
            BundleChanges(
                [
                    BundleChange(
                        kind=one.place[0],
                        key=one.place[2],
                        tenant=one.place[1] or None,
                        action=one.action,
                        diff=one.diff,
                        effects=effects.get(one.place, []),
                    )
                    for one in planned
                ]
            )
        )

    return [read_bundle, write_bundle, unlock]


def of(kind: kinds.Kind[Any]) -> BundleKind:
    """Return a kind that is stored as JSON, for bundles."""

    def values(ctx: ApiContext, tenant: str, document: Document) -> JsonObject:
        value = request_body.decoder(kind.type).decode(document.body)
        return portable(value if kind.source is None else kind.source(value))

    async def parse(ctx: ApiContext, tenant: str, key: str, sent: JsonObject, before: Document | None) -> bytes:
        return msgspec.json.encode(await kinds.parse(kind, ctx, tenant, sent))

    async def check(ctx: ApiContext, tenant: str, key: str, sent: JsonObject, before: Document | None) -> None:
        if kind.check_references is not None:
            validation.check(await kind.check_references(msgspec.convert(sent, kind.type), ctx, tenant, key))

    async def find_effects(
        ctx: ApiContext, after: ApiContext, tenant: str, key: str, sent: JsonObject
    ) -> list[PublishEffect]:
        find: Any = kind.find_effects
        found: list[PublishEffect] = await find(ctx, after, tenant, key, msgspec.convert(sent, kind.type))
        return found

    return BundleKind(
        plural=kind.plural,
        check_key=lambda ctx, key: kinds.check_key(ctx, kind, key),
        values=values,
        parse=parse,
        check=check,
        check_uses=functools.partial(kinds.check_uses, kind),
        find_effects=None if kind.find_effects is None else find_effects,
        form=kind.form,
        written=kind.written,
    )


def portable(value: Struct) -> JsonObject:
    """Return the fields of a value that are not the default, as JSON."""
    fields = {
        field.encode_name: getattr(value, field.name)
        for field in msgspec.structs.fields(value)
        if getattr(value, field.name)
        != (field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory())
    }
    found: JsonObject = msgspec.to_builtins(fields)
    return found


# --- read


async def _stored(ctx: ApiContext, plural: str, owners: Sequence[str | None]) -> Any:
    """Yield the objects of a kind that these tenants own, None for all, with their tenants and keys."""
    table = Documents(ctx.engines.db)
    for owner in owners:
        place = (owner or PROJECT, "")
        single = await table.get(plural, *place)  # preference defaults have no key, after which all others are
        if single is not None:
            yield place, single
        async for tenant, document in table.every(plural, owner):
            yield (tenant, document.key), document


def _state(ctx: ApiContext, kind: BundleKind, tenant: str, document: Document) -> _State | None:
    values = kind.values(ctx, tenant, document)
    if values is None:
        return None
    return _State(document, values, entity_tags.tag_of([_sorted(values), kind.hidden(ctx, tenant, document)]))


def _sorted(value: Any) -> Any:
    """Return a JSON value with its names in order: files have them in any order."""
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list | tuple) else value


# --- plan


def _check_names(request: ApiRequest, ctx: ApiContext, kinds: Mapping[str, BundleKind], push: Push) -> None:
    """Raise Invalid for names that no object can have, and Forbidden for tenants that the caller may not use."""
    bound, wrong, seen = guards.caller(request).tenants, list[FieldError](), set[Place]()
    for number, one in enumerate(push.objects):
        if bound is not None:
            tenants.check(bound, one.tenant)
            tenants.check_value(str(one.tenant), one.values)
        field = f"objects.{number}"
        if one.tenant is not None:
            wrong += validation.tenant(f"{field}.tenant", one.tenant, ctx.limits)
        if one.kind not in kinds:
            wrong.append(FieldError(f"{field}.kind", f"must be one of: {', '.join(kinds)}"))
            continue
        try:
            kinds[one.kind].check_key(ctx, one.key)
        except Invalid as refusal:
            wrong += [FieldError(f"{field}.{error.field}", error.message) for error in refusal.errors]
        if one.place in seen:
            wrong.append(FieldError(f"{field}.key", "is repeated"))
        seen.add(one.place)
    validation.check(wrong)


async def _plan(
    ctx: ApiContext,
    kinds: Mapping[str, BundleKind],
    push: Push,
    stored: Mapping[Place, Document],
    managers: Mapping[Place, Management],
) -> list[_Planned]:
    """Return what a push does with each object. Raises Conflict, Invalid and PreconditionFailed."""
    before = {
        one.place: _current(ctx, kinds[one.kind], push, one, stored.get(one.place), managers.get(one.place))
        for one in push.objects
    }
    bodies: dict[Place, bytes | None] = {}
    after = _overlaid(ctx, bodies, kinds.values())
    order, wrong = {name: number for number, name in enumerate(kinds)}, list[FieldError]()
    numbers = {one.place: number for number, one in enumerate(push.objects)}
    changed: list[PushedObject] = []
    for one in sorted(push.objects, key=lambda one: order[one.kind]):
        current = before[one.place]
        if one.values is None:
            bodies[one.place] = None
        elif current is None or one.values != current.values:
            changed.append(one)
            try:
                validation.check(validation.data("", one.values, objects.MAX_BODY_BYTES))
                document = None if current is None else current.document
                await Documents(ctx.engines.db).check_new(*one.place, ctx.engines.clock.now())
                bodies[one.place] = await kinds[one.kind].parse(
                    after, one.place[1], one.key, dict(one.values), document
                )
            except Invalid as refusal:
                wrong += _within(numbers[one.place], refusal.errors)
    validation.check(wrong)
    for one in changed:
        current, check = before[one.place], kinds[one.kind].check
        if one.values is not None and check is not None:
            try:
                await check(after, one.place[1], one.key, one.values, None if current is None else current.document)
            except Invalid as refusal:
                wrong += _within(numbers[one.place], refusal.errors)
    validation.check(wrong)
    for kind in kinds.values():
        names = [place[1:] for place in bodies if place[0] == kind.plural and (before[place] or place[1])]
        if kind.check_uses is not None and names:
            await kind.check_uses(ctx, after, names)
    return [
        _planned(ctx, kinds[one.kind], one, before[one.place], bodies, managers.get(one.place)) for one in push.objects
    ]


def _current(
    ctx: ApiContext,
    kind: BundleKind,
    push: Push,
    one: PushedObject,
    document: Document | None,
    by: Management | None,
) -> _State | None:
    """Return the stored object, None without one. Raises Conflict and PreconditionFailed if it must not be written."""
    state = None if document is None else _state(ctx, kind, one.place[1], document)
    if document is not None and state is None:
        raise Conflict(f"{_name(one.place)} is defined in code: change it there.")
    if by is not None and by.unlocked_at is None and by.source != push.source and state is not None:
        raise Conflict(f"{_name(one.place)} is managed by another source: {by.source}.")
    if one.if_match is not UNSET and one.if_match != (None if state is None else state.etag):
        raise PreconditionFailed(f"{_name(one.place)} has changed since it was read: plan again.")
    return state


def _within(number: int, wrong: Sequence[FieldError]) -> list[FieldError]:
    return [error._replace(field=f"objects.{number}.values.{error.field}".rstrip(".")) for error in wrong]


def _planned(
    ctx: ApiContext,
    kind: BundleKind,
    one: PushedObject,
    before: _State | None,
    bodies: Mapping[Place, bytes | None],
    by: Management | None,
) -> _Planned:
    body = bodies.get(one.place, None if before is None else before.document.body)
    state = None if body is None else _state(ctx, kind, one.place[1], Document(one.key, body, 0, 0))
    is_changed = before is not None and (state is None or before.etag != state.etag)
    action: Action = "none"
    if before is None:
        action = "none" if state is None else "create"
    elif state is not None and by is None:
        action = "adopt"
    elif is_changed:
        action = "drift" if by is not None and by.etag != before.etag else "update" if state is not None else "delete"
    diff: list[FieldDifference] = []
    if action != "none" and before is not None and state is not None:
        diff = list(differences("", before.values, state.values))[:MAX_DIFF]
        if not diff and is_changed:
            diff = [FieldDifference("url", None, "changed")]  # a secret, which no response has
    return _Planned(
        place=one.place,
        action=action,
        before=before,
        body=body if before is None or is_changed else before.document.body,
        after=state,
        diff=diff,
    )


def differences(path: str, before: Any, after: Any) -> Iterator[FieldDifference]:
    """Yield the fields that differ. Items of lists are named by their keys if they have one."""
    one, other = _parts(before), _parts(after)
    if before == after and (one is None or other is None or list(one) == list(other)):
        return
    if one is None or other is None or (not path and type(before) is not type(after)):
        yield FieldDifference(path, audit.bounded(before, MAX_DIFF_VALUE), audit.bounded(after, MAX_DIFF_VALUE))
        return
    for name in dict.fromkeys([*one, *other]):
        inner = f"{path}.{name}" if path else name
        if name in one and name in other:
            yield from differences(inner, one[name], other[name])
        else:
            yield FieldDifference(
                inner, audit.bounded(one.get(name), MAX_DIFF_VALUE), audit.bounded(other.get(name), MAX_DIFF_VALUE)
            )
    both = [name for name in one if name in other]
    if isinstance(before, list) and both != [name for name in other if name in one]:
        yield FieldDifference(path, list(one), list(other))  # the order


def _parts(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(one, dict) and "key" in one for one in value):
        return {str(one["key"]): one for one in value}
    return None


def _overlaid(ctx: ApiContext, bodies: Mapping[Place, bytes | None], kinds: Iterable[BundleKind]) -> ApiContext:
    """Return the context in which these objects are written."""
    reads: Any = OverlaidReads(ctx.engines.db, bodies)
    engines = msgspec.structs.replace(ctx.engines, db=reads)
    services = dict(ctx.services)
    for kind in kinds:
        services |= kind.services(engines)
    return msgspec.structs.replace(ctx, engines=engines, services=services)


def _name(place: Place) -> str:
    kind, tenant, key = place
    return "/".join(filter(None, (kind, key))) + (f"?tenant={tenant}" if tenant else "")


# --- write


async def _apply(
    request: ApiRequest,
    kinds: Mapping[str, BundleKind],
    push: Push,
    planned: Sequence[_Planned],
    managers: Mapping[Place, Management],
) -> None:
    ctx, by = context.of(request), audit.actor(request)
    note = push.source
    if push.commit is not None:
        note += f" @ {push.commit[: errors.SHORT_COMMIT]}"
    writes: dict[Place, Callable[[], WriteScript]] = {}
    for one in planned:
        kind, tenant, key = one.place
        stored = None if one.before is None else one.before.document.body
        if stored is None and one.body is None:
            continue
        now = request_time(ctx.engines.clock, stored)
        if stored == one.body:
            writes[one.place] = functools.partial(documents.hold, kind, tenant, key, stored or b"")
        else:
            form = kinds[kind].form
            writes[one.place] = functools.partial(documents.push, form, one.place, stored, one.body, now, note, by)
            audit.note_change(request, _name(one.place), None, one.action)
        if one.after is not None:
            by_now = managers.get(one.place)
            by_then = Management(source=push.source, commit=push.commit, etag=one.after.etag, at=now, lock=push.lock)
            place = managed_place(*one.place)
            before, after = None if by_now is None else msgspec.json.encode(by_now), msgspec.json.encode(by_then)
            writes[place] = functools.partial(documents.push, AS_JSON, place, before, after, now, note, by)
    audit.note_changes(request, {}, {"source": push.source, "commit": push.commit})
    await Documents(ctx.engines.db).apply(writes, audit.committed(request))
    ctx.engines.router.forget()
    for plural, pushed in kinds.items():
        changed = [
            (*one.place[1:], one.body is None)
            for one in planned
            if one.place[0] == plural and one.body != (None if one.before is None else one.before.document.body)
        ]
        if changed and pushed.written is not None:
            await pushed.written(ctx, changed)


@operation(
    "POST",
    "/v1/bundle/unlock",
    tag="Objects",
    required_scope="admin",
    roles=("owner",),
    query=TenantQuery,
    body=ManagedObject,
    is_audited=True,
    is_sensitive=True,
    response_types={200: ManagedBy},
    refusals=(NotFound, Conflict),
    example={"kind": "workflows", "key": "booking"},
)
async def unlock(request: ApiRequest) -> ASGIApp:
    """Unlock an object that is managed by git.

    It can then be written until the next push of its source, whose plan shows the changes as drift."""
    engines, body = context.of(request).engines, await request_body.body(request, ManagedObject)
    tenant = tenants.single_tenant(request, body.tenant)
    table, now, place = Documents(engines.db), engines.clock.now(), managed_place(body.kind, tenant, body.key)
    found = await table.get(*place)
    if found is None:
        raise NotFound("No source manages this object.")
    after = msgspec.structs.replace(decode_management(found), unlocked_at=now)
    if not await table.change(*place, found.body, msgspec.json.encode(after), now):
        raise Conflict("The object is being pushed: try again.")
    audit.note_change(request, f"{_name((body.kind, tenant, body.key))}.lock", after.source, None)
    return responses.json(responses.item(ManagedBy, after))
