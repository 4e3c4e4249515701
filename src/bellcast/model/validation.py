"""Validation of drafts, edits and names. Pure: each rule returns the invalid fields. A rule for one text is not a
generator, because a send applies a dozen."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from bellcast.errors import FieldError, Invalid
from bellcast.model import patterns, times
from bellcast.model.identities import EVERY_TENANT
from bellcast.model.limits import Limits
from bellcast.model.notifications import (
    GENERAL,
    ActionButton,
    Actor,
    Audience,
    ChannelRequest,
    Draft,
    Edit,
    ImportedDraft,
)
from bellcast.model.preferences import CHANNELS

TOPIC_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=@,.;")
# A year. For later times, apps need a schedule instead of a delay.
MAX_DELAY_SECONDS = 366 * 86_400
# A notification snoozed until the recipient is back returns at the latest after this time: a month, longer than most
# absences.
MAX_UNTIL_BACK_SECONDS = 30 * 86_400
UNTIL_BACK = "back"
# Schemes of links in an inbox. Scripts and local files are not allowed.
SCHEMES = frozenset({"", "http", "https", "mailto", "tel"})
OUT_OF_CALENDAR = "must be within the years 1970 to 9999 in UTC"
# The range of integers in MessagePack.
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1
# Deeper data is an attack on the next program that parses it; 100 levels are enough for any legitimate document.
MAX_DEPTH = 100
# Maximum buttons of one notification: more do not fit in a row of the bell.
MAX_ACTIONS = 5
# Maximum characters of one text of a message, also of a stored template. Gmail clips e-mails at 102 KiB, and a send
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
# Maximum characters of a path in an error.
MAX_PATH = 200

_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode

FieldErrors = Iterable[FieldError]


def key(field: str, value: str, limits: Limits) -> FieldErrors:
    """Check a recipient, tenant or idempotency key: 1 to KEY characters without control characters."""
    errors = []
    if not value:
        errors.append(FieldError(field, "must not be empty"))
    elif limits.key and len(value) > limits.key:
        errors.append(FieldError(field, f"must be at most {limits.key} characters, got {len(value)}"))
    if not value.isprintable():  # as control characters and what cannot be encoded
        if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value):
            errors.append(FieldError(field, "must not contain control characters"))
        errors += encodable(field, value)
    return errors


def tenant(field: str, value: str, limits: Limits) -> FieldErrors:
    """Check a tenant's key. `*` is not one, because it means every tenant."""
    if value == EVERY_TENANT:
        yield FieldError(field, 'must not be "*", which means every tenant')
    yield from key(field, value, limits)


def topic(field: str, value: str, limits: Limits) -> FieldErrors:
    """Check a topic: 1 to TOPIC characters of `A-Za-z0-9_-=@,.;`."""
    if not value:
        yield FieldError(field, "must not be empty")
    elif limits.topic and len(value) > limits.topic:
        yield FieldError(field, f"must be at most {limits.topic} characters, got {len(value)}")
    if not TOPIC_CHARACTERS.issuperset(value):
        yield FieldError(field, "may only contain A-Z a-z 0-9 and _ - = @ , . ;")


def role(field: str, value: str, limits: Limits) -> FieldErrors:
    """Check a role: `role.<role>` must be a valid topic."""
    if not value:
        yield FieldError(field, "must not be empty")
    else:
        yield from topic(field, patterns.role_topic(value), limits)


def text(field: str, value: object, limit: int) -> FieldErrors:
    """Check a text of at most `limit` characters (0: any)."""
    if not isinstance(value, str):
        return ()
    if limit and len(value) > limit:
        return [FieldError(field, f"must be at most {limit} characters, got {len(value)}"), *encodable(field, value)]
    return encodable(field, value)


def encodable(field: str, value: str) -> FieldErrors:
    """Check that a text can be encoded in UTF-8 and stored: no lone surrogates, no NUL."""
    if value.isascii() and "\x00" not in value:
        return ()  # fast path: encoding a draft's texts takes as long as all other checks of it
    errors = []
    if "\x00" in value:
        errors.append(FieldError(field, "must not contain the NUL character"))
    try:
        value.encode()
    except UnicodeEncodeError:
        errors.append(FieldError(field, "must be valid Unicode text"))
    return errors


def storable(text: str) -> str:
    """Replace what no store accepts in a text from elsewhere, such as an error: NUL, and lone surrogates, which stand for bytes
    that are not UTF-8."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def url(field: str, value: object, limits: Limits) -> FieldErrors:
    """Check a link: relative, http, https, mailto or tel."""
    if not isinstance(value, str):
        return ()
    errors = text(field, value, limits.url)
    if value.startswith("/") and not value.startswith("//"):
        return errors  # a path has no scheme, and parsing it is a third of the cost of checking a draft
    try:
        scheme = urlsplit(value.strip()).scheme.lower()
    except ValueError:
        return [*errors, FieldError(field, "must be a URL or a path")]
    if scheme not in SCHEMES:
        return [*errors, FieldError(field, "must be a path or an http, https, mailto or tel URL")]
    return errors


def data(field: str, value: object, limit: int) -> FieldErrors:
    """Check JSON of at most `limit` bytes (0: any) in compact form. Every encoder on its way must accept it, such as
    MessagePack in brokers. NaN and infinities cannot occur, because JSON does not have them."""
    try:
        encoded = _to_json(value)
        if limit and len(encoded) > limit:
            return [FieldError(field, f"must be at most {limit} bytes of JSON, got {len(encoded)}")]
        _to_msgpack(value)
    except (ValueError, OverflowError, TypeError, RecursionError):
        return [next(_unencodable(field, value), FieldError(field, "must be valid JSON with valid Unicode text"))]
    if encoded.count(b"[") + encoded.count(b"{") > MAX_DEPTH:
        return islice(_unencodable(field, value), 1)
    return ()


def _unencodable(field: str, value: object) -> Iterator[FieldError]:
    """Yield the parts of a JSON value that not every encoder accepts."""
    parts: list[tuple[str, object, int]] = [(field, value, 0)]
    while parts:
        path, part, depth = parts.pop()
        match part:
            case dict() | list() | tuple() if depth >= MAX_DEPTH:
                yield FieldError(field, f"must not be nested deeper than {MAX_DEPTH} levels")
            case dict():
                parts += [(path, name, depth) for name in part]
                parts += [(_below(path, name), inner, depth + 1) for name, inner in part.items()]
            case list() | tuple():
                parts += [(_below(path, number), inner, depth + 1) for number, inner in enumerate(part)]
            case str() if part.encode(errors="replace").decode() != part:
                yield FieldError(path, "must be valid Unicode text")
            case int() if not MIN_INTEGER <= part <= MAX_INTEGER:
                yield FieldError(path, "must be between -2^63 and 2^64-1: send larger integers as text")


def _below(path: str, name: object) -> str:
    """Return the path of a part, truncated to limit how much of the input it repeats."""
    return f"{path}.{name}"[:MAX_PATH].encode(errors="replace").decode()


def moment(field: str, value: datetime) -> FieldErrors:
    """Check a time with a UTC offset that can be stored."""
    if value.tzinfo is None:
        yield FieldError(field, "must have a UTC offset, as in 2030-01-31T12:00:00Z")
    elif not times.is_storable(value):
        yield FieldError(field, OUT_OF_CALENDAR)


def expiry(field: str, value: object, now: datetime) -> FieldErrors:
    """Check a future time with a UTC offset."""
    if not isinstance(value, datetime):
        return
    wrong = list(moment(field, value))
    if not wrong and value <= now:
        yield FieldError(field, "must be in the future")
    yield from wrong


def duration(field: str, value: str | float, shortest: float, longest: float, expected: str) -> FieldErrors:
    """Check a duration. `shortest` and `longest` are seconds; `expected` is the error message."""
    try:
        seconds = times.seconds(value)
    except ValueError as error:
        yield FieldError(field, str(error))
        return
    if not shortest <= seconds <= longest:
        yield FieldError(field, expected)


def link_lifetime(value: str | float) -> FieldErrors:
    return duration("ttl", value, 1, MAX_DELAY_SECONDS, "must be from 1 second to 366 days")


def snooze_end(until: str | None, duration: str | float | None, now: datetime) -> datetime:
    """Return the end of a snooze, given as a time, as "back" (then the latest end) or as a duration from now. Raises
    Invalid."""
    if (until is None) == (duration is None):
        raise Invalid.of("until", "must be given, or for, not both")
    if until == UNTIL_BACK:
        return now + timedelta(seconds=MAX_UNTIL_BACK_SECONDS)
    if until is not None:
        field, end = "until", _snooze_time(until)
        check(expiry(field, end, now))
    else:
        field, end = "for", now + timedelta(seconds=_snooze_seconds(duration or 0))
    if end - now > timedelta(seconds=MAX_DELAY_SECONDS):
        raise Invalid.of(field, "must be at most 366 days from now")
    return end


def _snooze_time(until: str) -> datetime:
    try:
        return msgspec.convert(until, datetime)
    except msgspec.ValidationError:
        raise Invalid.of("until", 'must be a time, as in 2030-01-31T12:00:00Z, or "back"') from None


def _snooze_seconds(duration: str | float) -> float:
    try:
        seconds = times.seconds(duration)
    except ValueError as error:
        raise Invalid.of("for", str(error)) from None
    if not 0 < seconds <= MAX_DELAY_SECONDS:
        raise Invalid.of("for", "must be more than 0 and at most 366d")
    return seconds


def actor(field: str, value: Actor | str | None, limits: Limits) -> FieldErrors:
    """Check an actor: a name, or id, name and avatar."""
    if isinstance(value, str):
        yield from text(field, value, limits.title)
    elif value is not None:
        yield from text(f"{field}.id", value.id, limits.key)
        yield from text(f"{field}.name", value.name, limits.title)
        yield from url(f"{field}.avatar", value.avatar, limits)


def tags(field: str, value: list[str], limits: Limits) -> FieldErrors:
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


def content_errors(subject: Draft | Edit, limits: Limits, now: datetime) -> FieldErrors:
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
    errors = [*_audience_errors(draft, limits), *content_errors(draft, limits, now), *_label_errors(draft, limits)]
    if errors:
        raise Invalid.fields(errors)


def check_import(draft: ImportedDraft, limits: Limits, now: datetime) -> None:
    """Raise Invalid with every bad field of an imported notification."""
    shared = chain(_audience_errors(draft, limits), content_errors(draft, limits, now), _label_errors(draft, limits))
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
    if draft.tenant and not (draft.tenant == EVERY_TENANT and _all(draft.to)):
        errors += tenant("tenant", draft.tenant, limits)
    if draft.idempotency_key is not None:
        errors += key("idempotency_key", draft.idempotency_key, limits)
    return errors


def _all(to: str | list[str] | Audience) -> bool:
    return isinstance(to, Audience) and to.all


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
        errors += tags("tags", draft.tags, limits)
    errors += channels("channels", draft.channels)
    errors += text("template", draft.template, MAX_TEMPLATE_KEY)
    for channel, part in (("email", draft.email), ("sms", draft.sms), ("push", draft.push), ("chat", draft.chat)):
        if part is None:
            continue
        for name in part.__struct_fields__:
            limit = MAX_TEMPLATE_KEY if name == "layout" else MAX_MESSAGE_TEXT
            errors += text(f"{channel}.{name}", getattr(part, name), limit)
    return errors


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
    if not 0 <= seconds <= MAX_DELAY_SECONDS:
        yield FieldError(f"{field}.after", "must be between 0 and 366d")
    if entry.channel == "inbox" and (seconds or entry.unless is not None):
        yield FieldError(field, "must not be delayed: the inbox is written with the send")


def check_edit(edit: Edit, limits: Limits, now: datetime) -> None:
    """Raise Invalid with every bad field of an edit."""
    errors = list(content_errors(edit, limits, now))
    if edit.title is None:
        errors.append(FieldError("title", "must be text"))
    if errors:
        raise Invalid.fields(errors)


def check_event(name: str, value: Any, limits: Limits) -> None:
    """Raise Invalid for a live event with a bad name or too much data."""
    errors = list(text("name", name, limits.event_name))
    if not name:
        errors.append(FieldError("name", "must not be empty"))
    errors += data("data", value, limits.event_data)
    if errors:
        raise Invalid.fields(errors)


def check(*rules: FieldErrors) -> None:
    """Raise Invalid with all errors of these rules."""
    errors = [error for rule in rules for error in rule]
    if errors:
        raise Invalid.fields(errors)
