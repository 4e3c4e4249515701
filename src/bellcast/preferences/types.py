"""Preferences of a recipient, a tenant or the project: which types are delivered through which channel, and when."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Struct

from bellcast.documents.types import MAX_OBJECT_KEY
from bellcast.kernel.errors import FieldError
from bellcast.kernel.field_limits import INNER, TIME_OF_DAY, Limit, Schema, ValueRule, shown
from bellcast.kernel.limits import Limits
from bellcast.kernel.validation import FieldErrors
from bellcast.recipients.types import RecipientChange

Priority = Literal["low", "normal", "high", "urgent"]

Channel = Literal["inbox", "email", "sms", "push", "chat"]
CHANNELS: tuple[Channel, ...] = ("inbox", "email", "sms", "push", "chat")
CHANNEL_NAMED: dict[str, Channel] = {channel: channel for channel in CHANNELS}
# The channels in sentences.
CHANNEL_WORDS = dict(zip(CHANNELS, ("the inbox", "e-mail", "SMS", "push", "chat"), strict=True))
Frequency = Literal["instant", "hourly", "daily", "weekly"]
URGENT_ONLY: Literal["urgent"] = "urgent"
# On, off, or on for urgent notifications only.
SwitchValue = bool | Literal["urgent"]
Switches = dict[Channel, SwitchValue]


# Maximum types and workflows in one document; a project has some dozens.
MAX_ENTRIES = 500
# Preferences have a switch per channel.
CHANNEL_SWITCHES: Schema = {"propertyNames": {"enum": [*CHANNELS]}}
CHANNEL_NAMES = shown(CHANNEL_SWITCHES)


def named(most: int | str, entry: Schema) -> ValueRule:
    """Return the rule of entries by the names of types or workflows, which follow the rules of sends. `most` is as in Limit."""

    def check(field: str, value: Mapping[str, Any], limits: Limits) -> FieldErrors:
        for name in value:
            yield from name_errors(f"{field}.{name[:100]}", name, most, limits)

    return ValueRule(
        check,
        lambda limits: {
            "propertyNames": Limit(most, 1).schema(limits),
            "maxProperties": MAX_ENTRIES,
            "additionalProperties": entry,
        },
    )


def name_errors(field: str, name: str, most: int | str, limits: Limits) -> FieldErrors:
    """Yield the errors of the name of a type or a workflow."""
    if not name:
        yield FieldError(field, "must not have an empty name")
    yield from Limit(most).check(field, name, limits)


class QuietHours(Struct, frozen=True, forbid_unknown_fields=True):
    """A time of day as `HH:MM` in the recipient's time zone: `start` is inclusive, `end` exclusive."""

    start: Annotated[str, TIME_OF_DAY]
    end: Annotated[str, TIME_OF_DAY]


class Preferences(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One document of preferences. An absent switch leaves the decision to the next document, in the order
    recipient, tenant, project. `quiet_hours: false` turns off the quiet hours of the next document."""

    channels: Annotated[Switches, CHANNEL_NAMES] = {}
    types: Annotated[dict[str, Switches], named("type", CHANNEL_SWITCHES)] = {}
    workflows: Annotated[dict[str, Switches], named(MAX_OBJECT_KEY, CHANNEL_SWITCHES)] = {}
    digest: Annotated[dict[str, Frequency], named("type", {})] = {}
    digest_at: Annotated[str | None, TIME_OF_DAY] = None
    quiet_hours: Annotated[QuietHours | Literal[False] | None, INNER] = None
    muted: Annotated[dict[str, datetime | Literal[True]], named("type", {"format": "date-time"})] = {}

    @property
    def switches_inbox(self) -> bool:
        """True if the inbox is off, or on only for urgent notifications, in any switch."""
        groups = (self.channels, *self.types.values(), *self.workflows.values())
        return any(switches.get("inbox", True) is not True for switches in groups)


NO_PREFERENCES = Preferences()
# The documents of defaults: one of the project, and one of each tenant.
DEFAULTS_KIND, DEFAULTS_KEY = "preference-defaults", ""


def merge_patch(document: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396): null removes a field, an object changes only its own fields."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def decode(document: bytes | None) -> Preferences:
    """Decode stored preferences; None if none are stored."""
    return NO_PREFERENCES if document is None else msgspec.json.decode(document, type=Preferences)


class PreferencesChanged(RecipientChange, frozen=True, tag_field="kind", tag="preferences"):
    """A recipient's own preferences were replaced."""

    preferences: Preferences
