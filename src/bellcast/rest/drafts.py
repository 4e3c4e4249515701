"""Drafts of objects: what editors save while they change an object, publishing it, and its versions. One declaration creates
the five operations of a kind.

A draft belongs to all operators. It may be invalid; sends and runs never read it."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from bellcast.documents.store import AS_JSON, Documents, Versions
from bellcast.documents.types import PROJECT, Document, StoredDraft, StoredVersion, draft_kind
from bellcast.kernel import validation
from bellcast.kernel.errors import Conflict, FieldError, Invalid, NotFound, PreconditionFailed
from bellcast.kernel.http import ASGIApp, entity_tags, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.http.responses import WrongField
from bellcast.rest import audit, context, kinds, objects, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.kinds import Kind
from bellcast.rest.operations import ApiEndpoint
from bellcast.rest.resource import DryRunQuery
from bellcast.rest.tenants import TenantQuery

# Maximum characters of a note: a reason in a few sentences.
MAX_NOTE = 500
# Maximum versions in a list, newest first.
MAX_VERSIONS = 1000


class DraftBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft. `values` is the object without the fields that a read adds; `base` is the version that it changes, null
    for a new object."""

    values: dict[str, Any]
    base: objects.Version | None = None


class DraftObject(Struct, frozen=True, kw_only=True):
    """A draft, who saved it last, and what must be corrected before it can be published."""

    values: dict[str, Any]
    base: int | None
    by: str
    updated_at: datetime
    errors: list[WrongField]


class Publication(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a draft is published, for the list of versions."""

    note: Annotated[str, Meta(max_length=MAX_NOTE)] | None = None


class VersionInfo(Struct, frozen=True):
    """A version, when and by whom it was written, and why."""

    version: int
    created_at: datetime
    by: str | None
    note: str | None


class ObjectVersions(Struct, frozen=True):
    """The versions of an object, newest first."""

    versions: list[VersionInfo]


def operations(kind: Kind[Any]) -> list[ApiEndpoint]:
    """Return the operations that read, save, discard and publish drafts, and list versions."""
    item = f"/v1/{kind.plural}/{{key:str}}"
    path = f"{item}/draft"

    own = "With `?tenant=`, that of the tenant's override."
    return [
        objects.declare(
            "GET", path, read_draft, kind,
            f"Read the draft of a {kind.name}.\n\nWith what must be corrected before it can be published. {own}", "read",
            query=TenantQuery, response_types={200: DraftObject},
            response_headers=("ETag",), refusals=(NotFound,)),
        objects.declare(
            "PUT", path, save_draft, kind,
            f"Save the draft of a {kind.name}.\n\nAs JSON or YAML; it may be invalid. All operators share it, and nothing is sent "
            f"from it. It is kept for 90 days after its last change. {own}", "manage",
            query=TenantQuery, body=DraftBody, body_types=objects.BODY_TYPES, headers=objects.CONDITIONS,
            response_types={200: DraftObject, 201: DraftObject}, response_headers=("ETag",),
            refusals=(Conflict, PreconditionFailed), example={"values": kind.example}, is_recorded=False),
        objects.declare(
            "DELETE", path, discard_draft, kind, f"Discard the draft of a {kind.name}.\n\nThe {kind.name} does not change.", "manage",
            query=TenantQuery, headers=objects.CONDITION_OF_CHANGE, response_types={204: None},
            refusals=(NotFound, PreconditionFailed)),
        objects.declare(
            "POST", f"{item}/publish", publish, kind,
            f"Publish the draft of a {kind.name}.\n\nIt becomes the next version, and the draft is deleted. `If-Match` has the ETag "
            f"of the draft. If the {kind.name} was written since the draft was begun, the response is 409. With `dry_run`, `effects` are "
            "what would change for recipients and apps.", "manage",
            query=DryRunQuery, body=Publication, is_body_optional=True, required_headers=("If-Match",),
            response_types={200: kinds.types_of(kind)[1]}, refusals=(NotFound, Conflict, PreconditionFailed),
            example={"note": "Shorter texts"}),
        objects.declare(
            "GET", f"{item}/versions", versions, kind, f"List the versions of a {kind.name}.\n\nNewest first.", "read",
            query=TenantQuery, response_types={200: ObjectVersions}, refusals=(NotFound,)),
    ]  # fmt: skip


async def _find(request: ApiRequest, kind: Kind[Any]) -> tuple[ApiContext, str, str, Document | None]:
    ctx, key, tenant = context.of(request), objects.restricted_key(request), tenants.single_tenant(request)
    return ctx, key, tenant, await Documents(ctx.engines.db).get(draft_kind(kind.plural), tenant, key)


async def _shown(
    kind: Kind[Any], ctx: ApiContext, tenant: str, key: str, document: Document, status: int = 200
) -> ASGIApp:
    draft = kinds.decode_draft(document)
    errors: tuple[FieldError, ...] = ()
    try:
        await kind.check(ctx, tenant, key, draft.values)
    except Invalid as refusal:
        errors = tuple(refusal.errors)
    wrong = [WrongField(error.field, error.message) for error in errors]
    found = responses.item(DraftObject, draft, updated_at=document.updated_at, errors=wrong)
    return responses.json(found, status, headers={"etag": _tag(document), "cache-control": "no-store"})


async def read_draft(request: ApiRequest, kind: Kind[Any]) -> ASGIApp:
    ctx, key, tenant, document = await _find(request, kind)
    if document is None:
        raise NotFound(f"There is no draft of this {kind.name}.")
    return await _shown(kind, ctx, tenant, key, document)


async def save_draft(request: ApiRequest, kind: Kind[Any]) -> ASGIApp:
    ctx, key, tenant, before = await _find(request, kind)
    _, sent, yaml = await objects.read_body(request, ())
    try:
        validation.check(validation.data("", sent, 0))
        body = request_body.json(msgspec.json.encode(sent), DraftBody, ctx)
        validation.check(validation.data("values", body.values, objects.MAX_BODY_BYTES))
    except Invalid as refusal:
        raise objects.with_lines(refusal, yaml) from None
    base, current = body.base or 0, await kind.version(ctx, tenant, key) or 0
    if base > current:  # an older version may have been made current since, or the object deleted
        last = await Versions(ctx.engines.db).last(kind.plural, tenant, key)
        if last is None or last.version < base:
            raise Invalid.of("base", "must be a version that exists, or null for a new object")
    entity_tags.check(request, None if before is None else _tag(before))
    db, clock, added = ctx.engines.db, ctx.engines.clock, objects.read_adds(kind)
    values = {name: one for name, one in body.values.items() if name not in added}
    draft = StoredDraft(values=values, base=body.base, by=audit.actor(request), saved_at=clock.now())
    place, is_conditional = (draft_kind(kind.plural), tenant, key), entity_tags.is_conditional(request)
    document, is_new = await AS_JSON.write(db, clock, place, draft, before, is_conditional=is_conditional)
    return await _shown(kind, ctx, tenant, key, document, 201 if is_new else 200)


async def discard_draft(request: ApiRequest, kind: Kind[Any]) -> ASGIApp:
    ctx, key, tenant, document = await _find(request, kind)
    if document is None:
        raise NotFound(f"There is no draft of this {kind.name}.")
    entity_tags.check(request, _tag(document))
    documents, now = Documents(ctx.engines.db), ctx.engines.clock.now()
    if not await documents.change(draft_kind(kind.plural), tenant, key, document.body, None, now):
        raise PreconditionFailed
    audit.note_change(request, "draft", kinds.decode_draft(document).by, None)
    return responses.empty()


async def publish(request: ApiRequest, kind: Kind[Any]) -> ASGIApp:
    ctx, key, tenant, document = await _find(request, kind)
    body = await request_body.body(request, Publication, is_optional=True)
    if request_body.header(request, entity_tags.IF_MATCH) is None:
        raise Invalid.of("If-Match", "is missing: send the ETag of the draft that you have reviewed")
    validation.check(validation.encodable("note", body.note or ""))
    if document is None:
        raise NotFound(f"There is no draft of this {kind.name}.")
    entity_tags.check(request, _tag(document))
    draft = kinds.decode_draft(document)
    if await kind.version(ctx, tenant, key) != draft.base:
        raise Conflict(
            f"The {kind.name} has changed since this draft was begun: compare them, and save the draft again."
        )
    value = await kind.check(ctx, tenant, key, draft.values)
    if kind.find_obstacles is not None:
        validation.check(await kind.find_obstacles(ctx, tenant, key, value))
    if request_body.is_dry_run(request):
        await Documents(ctx.engines.db).check_new(kind.plural, tenant, key, ctx.engines.clock.now())
        return responses.json(await kind.plan(ctx, tenant, key, value))
    await kinds.check_managed(ctx, kind.plural, tenant, key)
    planned = kinds.overlaid(kind, ctx, tenant, key, msgspec.json.encode(value))
    await kinds.check_uses(kind, ctx, planned, [(tenant, key)])
    before, by = await Documents(ctx.engines.db).get(kind.plural, tenant, key), audit.actor(request)
    if (None if before is None else kind.item(before, tenant)["version"]) != draft.base:
        raise PreconditionFailed
    engines, place = ctx.engines, (kind.plural, tenant, key)
    written, _ = await kind.form.write(
        engines.db, engines.clock, place, value, before, by, is_conditional=True, draft=document, note=body.note
    )
    shown = kind.item(written, tenant)
    audit.note_changes(request, {} if before is None else kind.item(before, tenant), shown)
    await kinds.written(kind, ctx, tenant, key)
    (manager,) = await kinds.managers_of(ctx, kind.plural, [(tenant, key)])
    return responses.json(shown | {kinds.MANAGED: manager})


async def versions(request: ApiRequest, kind: Kind[Any]) -> ASGIApp:
    ctx, key, tenant = context.of(request), objects.restricted_key(request), tenants.single_tenant(request)
    for owner in dict.fromkeys((tenant, PROJECT)):
        if (document := await Documents(ctx.engines.db).get(kind.plural, owner, key)) is None:
            continue
        stored = await Versions(ctx.engines.db).infos(kind.plural, owner, key, MAX_VERSIONS)
        # A server of an older version wrote the only one.
        stored = stored or [StoredVersion(document.version, b"", document.updated_at)]
        return responses.json(ObjectVersions([responses.item(VersionInfo, one) for one in stored]))
    raise NotFound(f"There is no {kind.name} with this key.")


def _tag(document: Document) -> str:
    return entity_tags.tag_of([document.key, document.body.decode()])
