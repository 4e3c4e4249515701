"""Notification types: the channels, the template and the switches of every notification of a type."""

from bellcast.api import objects
from bellcast.api.context import ApiContext
from bellcast.channels.catalog import NotificationType
from bellcast.errors import FieldError, Invalid
from bellcast.model import validation
from bellcast.model.preferences import CHANNELS


def _check(value: NotificationType, ctx: ApiContext) -> None:
    errors = [
        *validation.text("name", value.name, ctx.limits.title),
        *validation.channels("channels", value.channels),
        *_required_errors(value),
    ]
    if errors:
        raise Invalid.fields(errors)


def _required_errors(value: NotificationType) -> validation.FieldErrors:
    for number, channel in enumerate(value.required if isinstance(value.required, tuple) else ()):
        if channel not in CHANNELS:
            yield FieldError(f"required.{number}", f"must be one of: {', '.join(CHANNELS)}")
        elif value.defaults.get(channel) is False:
            yield FieldError(f"defaults.{channel}", "must not switch off a required channel")


KIND = objects.Kind(
    plural="types",
    name="notification type",
    tag="Objects",
    type=NotificationType,
    rules=_check,
    example={"name": "Bookings", "channels": ["inbox", "email"], "required": ["inbox"]},
    any_key=True,
)
HANDLERS = objects.operations(KIND)
