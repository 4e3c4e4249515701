"""Validation of drafts, imports and edits of notifications. Pure: each rule returns the invalid fields."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain

from msgspec import UNSET, Struct

from bellcast.inbox.types.notifications import (
    GENERAL,
    ActionButton,
    Actor,
    Audience,
    ChannelRequest,
    Draft,
    Edit,
    ImportedDraft,
)
from bellcast.kernel import times
from bellcast.kernel.errors import FieldError, Invalid
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.kernel.limits import Limits
from bellcast.kernel.validation import FieldErrors, check, data, expiry, key, moment, tenant, text, topic, url
from bellcast.preferences.types import CHANNELS

# Maximum buttons of one notification: more do not fit in a row of the bell.
MAX_ACTIONS = 5
# Maximum characters of one text of a message or of a stored template. Gmail clips e-mails at 102 KiB, and a send
# stores its texts for each recipient.
MAX_MESSAGE_TEXT = 256 * 1024
# Maximum characters of a template's key.
MAX_TEMPLATE_KEY = 100
# An action's key is part of a path.
ACTION_KEY = re.compile(r"[A-Za-z0-9_.-]{1,100}")
# Calls that are reserved for connections.
RESERVED_CALLS = frozenset({"connect", "disconnect"})
# Fields of a draft that imports do not support: an import sends no messages and does not wait.
NOT_IMPORTED = ("channels", "template", "email", "sms", "push", "chat", "send_at", "timezone")
IMPORTED_TIMES = ("created_at", "seen_at", "read_at", "archived_at")
NO_PARTS = (None, None, None, None)  # of a draft without texts for single channels, as most are


def actor(field: str, value: Actor | str | None, limits: Limits) -> FieldErrors:
    """Check an actor: a name, or id, name and avatar."""
    if isinstance(value, str):
        yield from text(field, value, limits.title)
    elif value is not None:
        yield from text(f"{field}.id", value.id, limits.key)
        yield from text(f"{field}.name", value.name, limits.title)
        yield from url(f"{field}.avatar", value.avatar, limits)


def _tags(field: str, value: list[str], limits: Limits) -> FieldErrors:
    """Check tags: at most TAGS, each of at most 50 characters."""
    if limits.tags and len(value) > limits.tags:
        yield FieldError(field, f"must have at most {limits.tags} tags, got {len(value)}")
        return
    for number, tag in enumerate(value):
        if not tag:
            yield FieldError(f"{field}.{number}", "must not be empty")
        yield from text(f"{field}.{number}", tag, limits.tag)


def actions(field: str, value: Sequence[ActionButton], limits: Limits) -> FieldErrors:
    """Check action buttons: at most MAX_ACTIONS with different keys, each with either a link or a call."""
    if len(value) > MAX_ACTIONS:
        yield FieldError(field, f"must have at most {MAX_ACTIONS} actions, got {len(value)}")
        return
    for number, action in enumerate(value):
        place = f"{field}.{number}"
        if not ACTION_KEY.fullmatch(action.key):
            yield FieldError(f"{place}.key", "must be 1 to 100 characters of A-Z a-z 0-9 and _ . -")
        elif any(action.key == other.key for other in value[:number]):
            yield FieldError(f"{place}.key", f"must not be {action.key} twice")
        if not action.label.strip():
            yield FieldError(f"{place}.label", "must not be empty")
        yield from text(f"{place}.label", action.label, limits.title)
        if (action.url is None) == (action.call is None):
            yield FieldError(place, "must have either url or call")
        yield from url(f"{place}.url", action.url, limits)
        if action.call is not None:
            if not action.call or action.call in RESERVED_CALLS:
                yield FieldError(f"{place}.call", "must not be empty, connect or disconnect")
            yield from text(f"{place}.call", action.call, limits.event_name)


def audience(value: Audience, limits: Limits) -> FieldErrors:
    """Check that there is exactly one audience. `tenant` may be combined with it, and means every tenant if it is `*`
    with `all`."""
    named = [name for name in ("topic", "role", "all") if getattr(value, name)]
    if len(named) > 1:
        yield FieldError("to", f"must name one audience, not {' and '.join(named)}")
    elif not named and not value.tenant:
        yield FieldError("to", 'must name a recipient, or one of "topic", "role", "tenant" or "all": true')
    if value.topic is not None:
        yield from topic("to.topic", value.topic, limits)
    if value.role is not None:
        yield from topic("to.role", value.role, limits)
    if value.tenant is not None and not (value.tenant == EVERY_TENANT and value.all):
        yield from tenant("to.tenant", value.tenant, limits)


def recipients(to: str | list[str], limits: Limits) -> FieldErrors:
    """Check recipients: one key, or a list of 1 to TO keys."""
    if isinstance(to, str):
        return key("to", to, limits)
    if not to:
        return [FieldError("to", "must name at least one recipient")]
    if limits.to and len(to) > limits.to:
        return [FieldError("to", f"must name at most {limits.to} recipients, got {len(to)}: use a topic, or bulk")]
    return chain.from_iterable(key(f"to.{number}", one, limits) for number, one in enumerate(to))


def _content_errors(subject: Draft | Edit, limits: Limits, now: datetime) -> FieldErrors:
    """Return the errors of the fields that drafts and edits have in common."""
    # Lists instead of generators: most fields have no errors, and checking drafts is a sixth of the time of a bulk
    # send.
    errors: list[FieldError] = []
    if isinstance(subject.title, str) and not subject.title.strip():
        errors.append(FieldError("title", "must not be empty"))
    errors += text("title", subject.title, limits.title)
    errors += text("body", subject.body, limits.body)
    errors += url("action_url", subject.action_url, limits)
    errors += text("action_text", subject.action_text, limits.title)
    errors += text("icon", subject.icon, limits.url)
    if subject.data is not UNSET and subject.data:
        errors += data("data", subject.data, limits.data)
    if subject.expires_at is not UNSET and subject.expires_at is not None:
        errors += expiry("expires_at", subject.expires_at, now)
    if subject.actions is not UNSET and subject.actions:
        errors += actions("actions", subject.actions, limits)
    return errors


def check_draft(draft: Draft, limits: Limits, now: datetime) -> None:
    """Raise Invalid with every bad field of a draft."""
    errors = [*_audience_errors(draft, limits), *_content_errors(draft, limits, now), *_label_errors(draft, limits)]
    if errors:
        raise Invalid.fields(errors)


def check_import(draft: ImportedDraft, limits: Limits, now: datetime) -> None:
    """Raise Invalid with every bad field of an imported notification."""
    shared = chain(_audience_errors(draft, limits), _content_errors(draft, limits, now), _label_errors(draft, limits))
    check(chain(shared, _import_errors(draft, now)))


def _import_errors(draft: ImportedDraft, now: datetime) -> FieldErrors:
    if isinstance(draft.to, Audience):
        yield FieldError("to", "must name recipients: an audience cannot be imported")
    if draft.title is UNSET and draft.type != GENERAL:  # no template supplies it
        yield FieldError("title", "is required")
    for field in NOT_IMPORTED:
        if getattr(draft, field) is not None:
            yield FieldError(field, "must be absent: imported notifications are only for the inbox")
    for field in IMPORTED_TIMES:
        yield from _past_time(field, getattr(draft, field), draft.created_at, now)


def _past_time(field: str, value: datetime | None, created_at: datetime | None, now: datetime) -> FieldErrors:
    """Check a time with a UTC offset that is neither in the future nor before the creation."""
    if value is None:
        return
    wrong = list(moment(field, value))
    if not wrong and value > now:
        yield FieldError(field, "must not be in the future")
    elif not wrong and created_at is not None and not list(moment(field, created_at)) and value < created_at:
        yield FieldError(field, "must not be before created_at")
    yield from wrong


def _audience_errors(draft: Draft, limits: Limits) -> FieldErrors:
    errors: list[FieldError] = []
    if isinstance(draft.to, Audience):
        errors += audience(draft.to, limits)
        if draft.tenant is not None and draft.to.tenant not in (None, draft.tenant):
            errors.append(FieldError("to.tenant", "must be the same as tenant"))
    else:
        errors += recipients(draft.to, limits)
    if draft.tenant and not (draft.tenant == EVERY_TENANT and (isinstance(draft.to, Audience) and draft.to.all)):
        errors += tenant("tenant", draft.tenant, limits)
    if draft.idempotency_key is not None:
        errors += key("idempotency_key", draft.idempotency_key, limits)
    return errors


def _label_errors(draft: Draft, limits: Limits) -> FieldErrors:
    errors: list[FieldError] = []
    # The type may have a template with a title, which routing checks.
    has_own_type = draft.type != GENERAL
    if draft.title is UNSET and draft.template is None and not has_own_type:
        errors.append(FieldError("title", "is required"))
    if not draft.type:
        errors.append(FieldError("type", "must not be empty"))
    errors += text("type", draft.type, limits.type)
    errors += text("group", draft.group, limits.group)
    if draft.actor is not None:
        errors += actor("actor", draft.actor, limits)
    if draft.tags:
        errors += _tags("tags", draft.tags, limits)
    errors += channels("channels", draft.channels)
    errors += text("template", draft.template, MAX_TEMPLATE_KEY)
    parts = (draft.email, draft.sms, draft.push, draft.chat)
    if parts != NO_PARTS:
        errors += _part_errors(zip(("email", "sms", "push", "chat"), parts, strict=True))
    return errors


def _part_errors(parts: Iterable[tuple[str, Struct | None]]) -> FieldErrors:
    """Check the texts for each channel."""
    for channel, part in parts:
        for name in () if part is None else part.__struct_fields__:
            limit = MAX_TEMPLATE_KEY if name == "layout" else MAX_MESSAGE_TEXT
            yield from text(f"{channel}.{name}", getattr(part, name), limit)


def channels(field: str, value: list[str | ChannelRequest] | None) -> FieldErrors:
    """Check channels of a send or a type: each at most once, and `unless` only together with the inbox."""
    return () if value is None else _channel_errors(field, value)


def _channel_errors(field: str, value: list[str | ChannelRequest]) -> FieldErrors:
    if not 1 <= len(value) <= len(CHANNELS):
        yield FieldError(field, f"must have 1 to {len(CHANNELS)} channels, got {len(value)}")
        return
    names = [entry if isinstance(entry, str) else entry.channel for entry in value]
    for number, (name, entry) in enumerate(zip(names, value, strict=True)):
        if name not in CHANNELS:
            yield FieldError(f"{field}.{number}", f"must be one of: {', '.join(CHANNELS)}")
        elif name in names[:number]:
            yield FieldError(f"{field}.{number}", f"must not name {name} twice")
        if isinstance(entry, ChannelRequest):
            yield from _delay_errors(f"{field}.{number}", entry)
            if entry.unless is not None and "inbox" not in names:
                yield FieldError(f"{field}.{number}.unless", "needs the channel inbox")


def _delay_errors(field: str, entry: ChannelRequest) -> FieldErrors:
    try:
        seconds = times.seconds(entry.after)
    except ValueError as error:
        yield FieldError(f"{field}.after", str(error))
        return
    if not 0 <= seconds <= times.MAX_AHEAD_SECONDS:
        yield FieldError(f"{field}.after", "must be between 0 and 366d")
    if entry.channel == "inbox" and (seconds or entry.unless is not None):
        yield FieldError(field, "must not be delayed: the inbox is written with the send")


def check_edit(edit: Edit, limits: Limits, now: datetime) -> None:
    """Raise Invalid with every bad field of an edit."""
    errors = list(_content_errors(edit, limits, now))
    if edit.title is None:
        errors.append(FieldError("title", "must be text"))
    if errors:
        raise Invalid.fields(errors)
