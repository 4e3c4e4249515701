"""Notification types: the channels, the template, the switches and the data of every notification of a type."""

from collections.abc import Mapping, Sequence
from typing import Any

from bellcast.channels.catalog import no_template
from bellcast.inbox.store.sent_items import SentItems
from bellcast.inbox.types import NotificationType
from bellcast.kernel import data_schemas, validation
from bellcast.kernel.errors import FieldError
from bellcast.kernel.http import responses
from bellcast.preferences.types import CHANNELS
from bellcast.rest import kinds, objects, resource
from bellcast.rest.context import ApiContext
from bellcast.rest.kinds import PublishEffect
from bellcast.rest.resource import Recent, Resource, ResourceCall
from bellcast.templates import http as templates
from bellcast.workflows import recent_data, usage
from bellcast.workflows.recent_data import InferredSchema


def _errors(value: NotificationType) -> validation.FieldErrors:
    for number, channel in enumerate(value.required if isinstance(value.required, tuple) else ()):
        if channel not in CHANNELS:
            yield FieldError(f"required.{number}", f"must be one of: {', '.join(CHANNELS)}")
        elif value.defaults.get(channel) is False:
            yield FieldError(f"defaults.{channel}", "must not switch off a required channel")
    if value.data is not None:
        yield from data_schemas.schema_errors(value.data)


async def _effects(
    ctx: ApiContext, planned: ApiContext, tenant: str, key: str, value: NotificationType
) -> list[PublishEffect]:
    if value.data is None or value.data_check == "warn":
        return []
    refused = await recent_data.refused(tenant, recent_data.of_type(ctx.engines.db, tenant, key), value.data, "sends")
    return [] if refused is None else [refused]


async def _reference_errors(value: NotificationType, ctx: ApiContext, tenant: str, key: str) -> list[FieldError]:
    if value.template is None or await templates.exists(ctx, tenant, value.template):
        return []
    return [FieldError("template", await no_template(ctx.engines.db, tenant, value.template))]


async def _find_recent_sends(
    ctx: ApiContext, versions: Mapping[tuple[str, str], int], tenants: Sequence[str] | None
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the recent sends of listed types."""
    sent = SentItems(ctx.engines.db)
    counts, exact = await resource.read_recent(ctx, "sends", None, lambda since, _: sent.recent(since))
    return {
        place: {"recent_sends": responses.item(Recent, resource.recent_of_object(counts, tenants, *place), exact=exact)}
        for place in versions
    }


KIND = kinds.Kind(
    plural="types",
    name="notification type",
    tag="Objects",
    type=NotificationType,
    rules=lambda value, ctx: validation.check(_errors(value)),
    example={"name": "Bookings", "channels": ["inbox", "email"], "required": ["inbox"]},
    any_key=True,
    check_references=_reference_errors,
    find_uses=usage.of_types,
    find_effects=_effects,
    listed={"recent_sends": Recent},
    describe_list=_find_recent_sends,
)

TYPE = Resource(
    "types",
    "/{key:str}",
    lambda request: objects.key_of(request, KIND),
    tag="Objects",
    unknown="No notification of this type is stored yet.",
)


@TYPE.get(InferredSchema, "/inferred-schema")
async def inferred_schema_types(call: ResourceCall[None]) -> InferredSchema | None:
    """Infer the schema of a type's data.

    A JSON Schema that the data of its last sends matches, at most 1,000: their shapes, without their values. 404 if there
    were none."""
    return await recent_data.inferred(recent_data.of_type(call.ctx.engines.db, call.tenant, *call.key))


OPERATIONS = objects.operations(KIND)
