"""Notification types: the channels, the template and the switches of every notification of a type."""

from bellcast.channels.catalog import NotificationType, no_template
from bellcast.kernel import validation
from bellcast.kernel.errors import FieldError
from bellcast.preferences.types import CHANNELS
from bellcast.rest import objects
from bellcast.rest.context import ApiContext
from bellcast.templates.http import templates


def _check(value: NotificationType, ctx: ApiContext) -> None:
    validation.check(_required_errors(value))


def _required_errors(value: NotificationType) -> validation.FieldErrors:
    for number, channel in enumerate(value.required if isinstance(value.required, tuple) else ()):
        if channel not in CHANNELS:
            yield FieldError(f"required.{number}", f"must be one of: {', '.join(CHANNELS)}")
        elif value.defaults.get(channel) is False:
            yield FieldError(f"defaults.{channel}", "must not switch off a required channel")


async def _reference_errors(value: NotificationType, ctx: ApiContext, tenant: str, key: str) -> list[FieldError]:
    if value.template is None or await templates.exists(ctx, tenant, value.template):
        return []
    return [FieldError("template", await no_template(ctx.engines.db, tenant, value.template))]


KIND = objects.Kind(
    plural="types",
    name="notification type",
    tag="Objects",
    type=NotificationType,
    rules=_check,
    example={"name": "Bookings", "channels": ["inbox", "email"], "required": ["inbox"]},
    any_key=True,
    check_references=_reference_errors,
)
HANDLERS = objects.operations(KIND)
