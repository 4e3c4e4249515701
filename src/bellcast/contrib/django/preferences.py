"""A user's preferences as flat fields, mapped to Bellcast's switches by type and channel."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone

from bellcast.client import NotFound, Recipient
from bellcast.contrib.django import conf, identity

# Fields of the two channels by the notification type that they switch.
TYPES = {"sales": "sale", "inventory": "inventory", "customer": "customer", "system": "system", "security": "security"}
CHANNELS = {"email": "email", "in_app": "inbox"}
MAIN = {"email_enabled": "email", "in_app_enabled": "inbox", "push_enabled": "push"}
TIMES = {"quiet_hours_start": "start", "quiet_hours_end": "end"}
URGENT = "urgent"
FIELDS = (
    *(f"{channel}_{name}" for channel in CHANNELS for name in ("enabled", *TYPES)),
    "sms_enabled",
    "sms_urgent_only",
    "push_enabled",
    *TIMES,
)


def read(user: Any) -> dict[str, Any]:
    """Return all fields with their values in effect."""
    record, document = _record(user), _document(user)
    created_at = conf.time_text(record.created_at if record else None)
    return {**_fields(document), "updated_at": document.get("updated_at"), "created_at": created_at}


def _record(user: Any) -> Recipient | None:
    with suppress(NotFound):
        return conf.client().recipients.get(identity.recipient_of(user), tenant=identity.tenant_of(user))
    return None


def _document(user: Any) -> Mapping[str, Any]:
    recipient, tenant = identity.recipient_of(user), identity.tenant_of(user)
    document: Mapping[str, Any] = conf.client().preferences.get(recipient, tenant=tenant)
    return document


def _fields(document: Mapping[str, Any]) -> dict[str, Any]:
    inherited = document["inherited"]
    # The switches of each type: the user's, else those of the tenant or project. The user's own document has what the user
    # switched off, by channel or by type.
    types: dict[str, dict[str, Any]] = {}
    for one in document.get("effective", ()):
        types[one["type"]] = {
            channel: status["on"] or status.get("by") == "recipient" for channel, status in one["channels"].items()
        }
    for type, switches in document.get("types", {}).items():
        types.setdefault(type, {}).update(switches)
    channels = {**inherited.get("channels", {}), **document.get("channels", {})}
    fields: dict[str, Any] = {name: channels.get(channel, True) is not False for name, channel in MAIN.items()}
    for prefix, channel in CHANNELS.items():
        for name, type in TYPES.items():
            fields[f"{prefix}_{name}"] = types.get(type, {}).get(channel, True) is not False
    sms = channels.get("sms", True)
    fields |= {"sms_enabled": sms is not False, "sms_urgent_only": sms == URGENT}
    hours = document.get("quiet_hours", inherited.get("quiet_hours")) or {}
    fields |= {name: f"{hours[key]}:00" if hours.get(key) else None for name, key in TIMES.items()}
    return {name: fields[name] for name in FIELDS}


def write(user: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change the given fields; unknown ones are ignored. Raises ValidationError by field, and BellcastError."""
    known = {name: value for name, value in changes.items() if name in FIELDS}
    errors = {}
    for name, value in known.items():
        if name in TIMES:
            if value not in (None, "") and _time(value) is None:
                errors[name] = ["Expected a time such as 22:00:00."]
        elif not isinstance(value, bool):
            errors[name] = ["Must be a valid boolean."]
    if errors:
        raise ValidationError(errors)
    if known:
        patch = _patch(_document(user), known)
        bell, recipient, tenant = conf.client(), identity.recipient_of(user), identity.tenant_of(user)
        # Quiet hours are in the recipient's time zone. Unless the record has one, it is Django's current one; with UTC or
        # a fixed offset, which has no name, the tenant's applies.
        zone = getattr(timezone.get_current_timezone(), "key", "UTC")
        record = _record(user) if patch.get("quiet_hours") and zone != "UTC" else Recipient(key="", timezone=zone)
        if record is None or record.timezone is None:
            (bell.recipients.patch if record else bell.recipients.put)(recipient, tenant=tenant, timezone=zone)
        bell.preferences.change(recipient, patch, tenant=tenant)
    return read(user)


def _time(value: Any) -> str | None:
    """Return `HH:MM` for a time with or without seconds; None for any other text."""
    parts = value.split(":") if isinstance(value, str) else []
    if len(parts) not in (2, 3) or not all(part.isdecimal() and len(part) == 2 for part in parts):
        return None
    hours, minutes = int(parts[0]), int(parts[1])
    return f"{parts[0]}:{parts[1]}" if hours < 24 and minutes < 60 else None


def _patch(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch of Bellcast's document."""
    current = {**_fields(document), **changes}
    channels: dict[str, Any] = {MAIN[name]: value for name, value in changes.items() if name in MAIN}
    types: dict[str, dict[str, Any]] = {}
    for prefix, channel in CHANNELS.items():
        for name, type in TYPES.items():
            if (value := changes.get(f"{prefix}_{name}")) is not None:
                types.setdefault(type, {})[channel] = value
    if changes.keys() & {"sms_enabled", "sms_urgent_only"}:
        channels["sms"] = (URGENT if current["sms_urgent_only"] else True) if current["sms_enabled"] else False
    patch: dict[str, Any] = {name: part for name, part in (("channels", channels), ("types", types)) if part}
    if changes.keys() & TIMES.keys():
        start, end = (_time(current[name]) for name in TIMES)
        if (start is None) != (end is None):
            missing = "quiet_hours_start" if start is None else "quiet_hours_end"
            raise ValidationError({missing: ["Required with the other time."]})
        # False in place of inherited ones
        without = False if document["inherited"].get("quiet_hours") else None
        patch["quiet_hours"] = without if start is None else {"start": start, "end": end}
    return patch
