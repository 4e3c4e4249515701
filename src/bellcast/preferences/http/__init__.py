"""Preferences of recipients, tenants and the project."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from bellcast.channels.catalog import Catalog
from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT, Document
from bellcast.inbox import http as inbox
from bellcast.inbox.types import NotificationType
from bellcast.kernel import times, validation
from bellcast.kernel.errors import FieldError, Invalid, NotFound, PreconditionFailed
from bellcast.kernel.http import entity_tags, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest, DryRunFlag
from bellcast.preferences import changes
from bellcast.preferences.decision import EffectiveType, Layers, effective
from bellcast.preferences.store import OwnPreferencesTable
from bellcast.preferences.types import DEFAULTS_KEY, DEFAULTS_KIND, NO_PREFERENCES, Preferences, decode, merge_patch
from bellcast.providers.directory import ProviderDirectory
from bellcast.recipients import http as recipients
from bellcast.recipients.types import RecipientOfLink
from bellcast.rest import bundles, kinds, objects, tenants
from bellcast.rest.bundles import BundleKind
from bellcast.rest.context import ApiContext
from bellcast.rest.kinds import ManagedBy
from bellcast.rest.resource import DryRunQuery, Resource, ResourceCall, Written
from bellcast.workflows.workflow_catalog import WorkflowCatalog

EXAMPLE = {
    "channels": {"sms": False},
    "types": {"booking": {"email": False}},
    "quiet_hours": {"start": "22:00", "end": "07:00"},
}
# Fields that a read adds. A write ignores them, so that a client can send back what it read.
ADDED = ("updated_at", "effective", "inherited", kinds.MANAGED)


class StoredPreferences(Preferences, frozen=True, kw_only=True):
    """Preferences, and when they were last changed: null if never, or before Bellcast recorded it."""

    updated_at: datetime | None = None


class EffectivePreferences(StoredPreferences, frozen=True, kw_only=True):
    """Preferences, and for each type the switches that result from all levels: recipient, tenant and project.
    `inherited` are the defaults that apply where these preferences set nothing."""

    effective: tuple[EffectiveType, ...] = ()
    inherited: Preferences = NO_PREFERENCES


class PreferenceDefaults(EffectivePreferences, frozen=True, kw_only=True):
    """Preferences of a tenant, or of the project if `tenant` is null."""

    tenant: str | None = None
    managed: ManagedBy | None = None


async def read_document(request: ApiRequest) -> dict[str, Any]:
    """Return the preferences, or the merge patch, that a request sends."""
    patch = request_body.plain_json(await request_body.json_text(request))
    if not isinstance(patch, dict):
        raise Invalid.of("", "must be an object")
    for name in ADDED:
        patch.pop(name, None)
    return patch


WRITTEN: dict[str, Any] = {"reads": read_document, "response_types": {200: EffectivePreferences}}
CONDITIONAL: dict[str, Any] = {"reads": read_document, "headers": objects.CONDITION_OF_CHANGE}
CONDITIONAL |= {"refusals": (PreconditionFailed,)}
OWN = Resource("preferences", tag="Preferences", session=inbox.recipient, refusals=())
OF_RECIPIENT = Resource("recipients", "/{key:str}/preferences", recipients.key, tag="Preferences", refusals=())
DEFAULTS = Resource(
    "preference-defaults", tag="Preferences", unknown="No preference defaults are stored here.", refusals=()
)


async def read(call: ResourceCall[None]) -> Any:
    """Read the recipient's preferences.

    `effective` is the result of all levels, `inherited` are the defaults of the tenant and the project."""
    ctx, tenant, (key,) = call.ctx, call.tenant, call.key
    own = await OwnPreferencesTable(ctx.engines.db).get(tenant, key)
    return await with_effective(ctx, tenant, key, decode(own.document), own.updated_at)


async def replace(call: ResourceCall[dict[str, Any]]) -> tuple[Any, bool]:
    """Replace the recipient's preferences."""
    return await change(call, merge=False), False


async def change(call: ResourceCall[dict[str, Any]], *, merge: bool = True) -> Any:
    """Change the recipient's preferences.

    A merge patch (RFC 7396): null removes a field, so that the default of the tenant or project applies."""
    (key,) = call.key
    is_own = inbox.is_own(call.request)
    return await write(call.ctx, call.tenant, key, call.body, merge=merge, is_dry_run=call.is_dry_run, is_own=is_own)


OPERATIONS = [
    operation
    for resource, suffix, query in ((OWN, "_own", DryRunFlag), (OF_RECIPIENT, "", DryRunQuery))
    for operation in (
        resource.get(EffectivePreferences, id=f"preferences.read{suffix}")(read),
        resource.put(
            Preferences,
            EffectivePreferences,
            **WRITTEN,
            query=query,
            example=EXAMPLE,
            id=f"preferences.replace{suffix}",
        )(replace),
        resource.patch(
            Preferences,
            EffectivePreferences,
            **WRITTEN,
            query=query,
            example={"types": {"booking": {"email": False}}},
            id=f"preferences.change{suffix}",
        )(change),
    )
]


@DEFAULTS.get(PreferenceDefaults, response_headers=("ETag",))
async def read_defaults(call: ResourceCall[None]) -> Any:
    """Read the preference defaults.

    Without `?tenant=`, those of the project. With it, those that apply there: the tenant's, else the project's."""
    stored = await Documents(call.ctx.engines.db).get(DEFAULTS_KIND, call.tenant, DEFAULTS_KEY)
    shown = await _shown_defaults(call.ctx, call.tenant)
    return responses.json(shown, headers=entity_tags.tagged(decode(None if stored is None else stored.body), shown))


@DEFAULTS.put(Preferences, PreferenceDefaults, **CONDITIONAL, response_types={200: PreferenceDefaults}, example=EXAMPLE)
async def replace_defaults(call: ResourceCall[dict[str, Any]]) -> Written[Any]:
    """Replace the preference defaults.

    They apply to every recipient without its own settings. With `?tenant=`, to the tenant's recipients."""
    shown, changed = await _write_defaults(call, merge=False)
    return (shown, False) if changed is None else (shown, False, changed)


@DEFAULTS.patch(
    Preferences, PreferenceDefaults, **CONDITIONAL, query=DryRunQuery, example={"digest": {"news": "weekly"}}
)
async def change_defaults(call: ResourceCall[dict[str, Any]]) -> Any:
    """Change the preference defaults.

    A merge patch (RFC 7396)."""
    shown, changed = await _write_defaults(call, merge=True)
    return responses.json(shown, headers=None if changed is None else entity_tags.tagged(changed))


@DEFAULTS.delete(headers=objects.CONDITION_OF_CHANGE, refusals=(NotFound, PreconditionFailed))
async def delete_defaults(call: ResourceCall[None]) -> bool:
    """Delete the preference defaults.

    Without `?tenant=`, those of the project. With it, those of the tenant, whose recipients then get the project's
    defaults."""
    await kinds.check_managed(call.ctx, DEFAULTS_KIND, call.tenant, DEFAULTS_KEY)
    return await changes.delete_defaults(
        call.ctx.engines, call.tenant, lambda stored: entity_tags.check(call.request, entity_tags.tag_of(stored))
    )


async def with_effective(
    ctx: ApiContext, tenant: str, key: str, own: Preferences, updated_at: int | None
) -> dict[str, Any]:
    """Return a recipient's own preferences with their effect, as EffectivePreferences. Times are UTC milliseconds."""
    defaults, project = await ctx[Catalog].preferences(tenant)
    layers = Layers(recipient=own, tenant=defaults, project=project)
    inherited = merge_patch(msgspec.to_builtins(project), msgspec.to_builtins(defaults))
    types = await ctx[Catalog].types(tenant)
    offered = await ctx[ProviderDirectory].offered_channels(tenant, key, types.values())
    switches = effective(layers, types, offered)
    return _stored(own, updated_at) | {"effective": switches, "inherited": inherited}


def _stored(preferences: Preferences, updated_at: int | None) -> dict[str, Any]:
    return {**msgspec.to_builtins(preferences), "updated_at": times.to_rfc3339_or_null(updated_at)}


async def write(
    ctx: ApiContext,
    tenant: str,
    key: str,
    document: dict[str, Any],
    *,
    merge: bool,
    is_dry_run: bool,
    link: RecipientOfLink | None = None,
    is_own: bool = False,
) -> dict[str, Any]:
    """Write a recipient's own preferences: a document, or a merge patch. Return them as EffectivePreferences. Raises Invalid."""
    stored = (await OwnPreferencesTable(ctx.engines.db).get(tenant, key)).document
    await _check_workflows(ctx, tenant, document, stored)
    types = await ctx[Catalog].types(tenant)

    def apply(before: bytes | None) -> Preferences:
        return _apply_document(ctx, document, before, types, merge=merge)

    if is_dry_run:
        preferences, now = apply(stored), ctx.engines.clock.now()
    else:
        preferences, now = await changes.change_preferences(ctx.engines, tenant, key, apply, link, is_own=is_own)
    return await with_effective(ctx, tenant, key, preferences, now)


async def _write_defaults(
    call: ResourceCall[dict[str, Any]], *, merge: bool
) -> tuple[dict[str, Any], Preferences | None]:
    """Return the defaults that apply, and what the next write replaces; None of a dry run."""
    ctx, document = call.ctx, call.body
    tenant = tenants.tenant_of_object(call.request, document)
    document.pop("tenant", None)
    if not call.is_dry_run:
        await kinds.check_managed(ctx, DEFAULTS_KIND, tenant, DEFAULTS_KEY)
    types = await ctx[Catalog].types(tenant)

    async def change(before: bytes | None) -> Preferences:
        await _check_workflows(ctx, tenant, document, before)
        preferences = _apply_document(ctx, document, before, types, merge=merge, is_default=True)
        entity_tags.check(call.request, entity_tags.tag_of(decode(before)))
        return preferences

    changed = await changes.change_defaults(ctx.engines, tenant, change, is_dry_run=call.is_dry_run)
    if call.is_dry_run:
        return await _defaults_with_effective(ctx, tenant, tenant, changed, ctx.engines.clock.now()), None
    return await _shown_defaults(ctx, tenant), changed


async def _shown_defaults(ctx: ApiContext, tenant: str) -> dict[str, Any]:
    for owner in dict.fromkeys((tenant, PROJECT)):
        stored = await Documents(ctx.engines.db).get(DEFAULTS_KIND, owner, DEFAULTS_KEY)
        if stored is not None:
            return await _defaults_with_effective(ctx, tenant, owner, decode(stored.body), stored.updated_at)
    return await _defaults_with_effective(ctx, tenant, PROJECT, NO_PREFERENCES, None)


async def _defaults_with_effective(
    ctx: ApiContext, tenant: str, owner: str, own: Preferences, updated_at: int | None
) -> dict[str, Any]:
    """Return the defaults that apply to the tenant, with the effective switches. Their owner is the tenant or the
    project."""
    _, project = await ctx[Catalog].preferences(tenant)
    layers = Layers(project=own) if owner == PROJECT else Layers(tenant=own, project=project)
    switches = effective(layers, await ctx[Catalog].types(tenant))
    (by,) = await kinds.managers_of(ctx, DEFAULTS_KIND, [(owner, DEFAULTS_KEY)])
    added = {
        "tenant": owner or None,
        kinds.MANAGED: by,
        "effective": switches,
        "inherited": NO_PREFERENCES if owner == PROJECT else project,
    }
    return _stored(own, updated_at) | added


def _apply_document(
    ctx: ApiContext,
    document: dict[str, Any],
    before: bytes | None,
    types: Mapping[str, NotificationType],
    *,
    merge: bool,
    is_default: bool = False,
) -> Preferences:
    """Decode and check the preferences that a request writes: its document, or a merge patch of the previous document."""

    def check(value: Preferences, _: ApiContext) -> None:
        validation.check(changes.errors(value, decode(before), types))

    patched = merge_patch(msgspec.json.decode(before), document) if merge and before is not None else document
    text = msgspec.json.encode(merge_patch({}, patched))  # in a complete document, null means absent
    preferences = request_body.json(text, request_body.Shape(Preferences, check), ctx)
    if is_default and preferences.muted:
        raise Invalid.of("muted", "is for recipients only")
    return preferences


async def _check_workflows(ctx: ApiContext, tenant: str, document: dict[str, Any], before: bytes | None) -> None:
    find = partial(ctx[WorkflowCatalog].find, tenant)
    await changes.check_workflows(document.get("workflows"), before, ctx.limits, find)


# --- bundles


ONE_OBJECT = "must be empty: there is one object for the project, and one for each tenant"


async def _parse(ctx: ApiContext, tenant: str, key: str, values: dict[str, Any], before: Document | None) -> bytes:
    stored, types = None if before is None else before.body, await ctx[Catalog].types(tenant)
    return msgspec.json.encode(_apply_document(ctx, values, stored, types, merge=False, is_default=True))


BUNDLE = BundleKind(
    plural=DEFAULTS_KIND,
    check_key=lambda _, key: validation.check([FieldError("key", ONE_OBJECT)] if key != DEFAULTS_KEY else ()),
    values=lambda ctx, tenant, document: bundles.portable(decode(document.body)),
    parse=_parse,
    check=lambda ctx, tenant, key, values, before: _check_workflows(
        ctx, tenant, values, None if before is None else before.body
    ),
)
