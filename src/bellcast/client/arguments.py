"""Conversion and validation of arguments before anything is sent, and the server's rules, which are checked before a token is
signed or an outbox written. Every error names the argument.

A text or an id may be a `str` or an instance of a subclass (Django's SafeString, markupsafe's Markup, a StrEnum
member), an `int`, a `uuid.UUID`, or a lazy string of the classes in `LAZY`. Other types are refused, because their `str()` is
rarely intended."""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import (
    Annotated,
    Any,
    Literal,
    Required,
    TypeAlias,
    TypedDict,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

import msgspec

from bellcast.client.errors import InvalidArgument, UnknownArgument
from bellcast.inbox import types as notification_types
from bellcast.inbox.types import Draft
from bellcast.kernel import times, validation
from bellcast.kernel.errors import FieldError, Invalid
from bellcast.kernel.limits import Limits
from bellcast.topics.types import EventDraft, check

T = TypeVar("T")

Text: TypeAlias = str | int | UUID
"""A text or an id. Lazy strings are accepted too; their classes have no common type."""
Duration: TypeAlias = int | float | str | timedelta
"""Seconds, a text such as "90", "15m", "2h" or "7d", or a timedelta."""
# Converts the value of an argument. Raises InvalidArgument.
Convert: TypeAlias = Callable[[str, object], Any]

# Lazily translated strings, by the full names of their classes, so that these packages need not be imported.
LAZY = frozenset(
    {
        "django.utils.functional.Promise",  # gettext_lazy, format_lazy, reverse_lazy
        "babel.support.LazyProxy",
        "flask_babel.speaklater.LazyString",
    }
)
# The last second of the year 9999.
LATEST_SECONDS = 253_402_300_799
DURATION_EXPECTED = 'a duration such as 90, "15m", "2h", "7d" or a timedelta'
AUDIENCES = ("topic", "role", "tenant", "all")


def text(argument: str, value: object) -> str:
    """Return the value as a plain string that can be encoded in UTF-8."""
    if isinstance(value, str):
        return _encodable(argument, value if type(value) is str else str.__str__(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__repr__(value)
    if isinstance(value, UUID) or _is_lazy(value):
        return _encodable(argument, str.__str__(str(value)))
    raise InvalidArgument(argument, f"expected a string, an int or a UUID, got {_kind(value)}")


def _encodable(argument: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(argument, "must be valid Unicode text") from None
    return value


def name(argument: str, value: object) -> str:
    """Return an id or a title as a plain string that is not blank."""
    found = text(argument, value)
    if not found.strip():
        raise InvalidArgument(argument, "must not be empty")
    return found


def names(argument: str, value: object) -> list[str]:
    """Return several ids as plain strings. A single string is refused, because each of its characters would become an
    id."""
    return [name(f"{argument}[{number}]", one) for number, one in enumerate(several(argument, value, "strings"))]


def several(argument: str, value: object, what: str) -> Iterable[Any]:
    """Return an iterable unchanged that is neither a text nor a mapping. `what` are its items."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable) or _is_lazy(value):
        raise InvalidArgument(argument, f"expected a list of {what}, got {_kind(value)}")
    return value


def mapping(argument: str, value: object) -> dict[str, Any]:
    """Return a mapping as a dict."""
    if not isinstance(value, Mapping):
        raise InvalidArgument(argument, f"expected a mapping, got {_kind(value)}")
    return dict(value)


def whole(argument: str, value: object) -> int:
    """Return a whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidArgument(argument, f"expected a whole number, got {_kind(value)}")
    return int(value)


def flag(argument: str, value: object) -> bool:
    """Return True or False."""
    if not isinstance(value, bool):
        raise InvalidArgument(argument, f"expected True or False, got {_kind(value)}")
    return value


def one_of(*allowed: str) -> Callable[[str, object], str]:
    """Return a converter for one of these words."""

    def convert(argument: str, value: object) -> str:
        found = text(argument, value)
        if found not in allowed:
            raise InvalidArgument(argument, f"expected one of {', '.join(allowed)}, got {found!r}")
        return found

    return convert


def seconds(argument: str, value: object) -> float:
    """Return a duration in seconds."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        with suppress(ValueError):
            return times.seconds(value)
    raise InvalidArgument(argument, f"expected {DURATION_EXPECTED}, got {_shown(value)}")


def moment(argument: str, value: object) -> datetime | str:
    """Return a point in time: an aware datetime, an RFC 3339 text, or a duration from now."""
    if isinstance(value, datetime):
        return _aware(argument, value)
    if isinstance(value, str) and not times.DURATION.fullmatch(value.strip()):
        found = text(argument, value)
        try:
            datetime.fromisoformat(found)
        except ValueError:
            expected = 'an RFC 3339 time or a duration such as "2h"'
            raise InvalidArgument(argument, f"expected {expected}, got {found!r}") from None
        return found
    if not isinstance(value, str | timedelta):
        expected = 'an aware datetime, an RFC 3339 text, a timedelta or a duration such as "2h"'
        raise InvalidArgument(argument, f"expected {expected}, got {_kind(value)}")
    try:
        return now() + timedelta(seconds=seconds(argument, value))
    except (OverflowError, InvalidArgument):  # it is a duration, so it is too long
        raise InvalidArgument(argument, f"must be before the year 10000, got {_shown(value)}") from None


def past_moment(argument: str, value: object) -> datetime | str:
    """Return a point in time in the past. A duration is refused: `moment` counts it from now."""
    return moment(argument, value) if isinstance(value, datetime) else name(argument, value)


def target(argument: str, value: object) -> str | list[str] | dict[str, Any]:
    """Return the target: one recipient, several, or one audience."""
    if isinstance(value, Mapping):
        convert: dict[str, Convert] = dict.fromkeys(AUDIENCES, name) | {"all": flag}
        audience = fields_without_none(f"{argument}.", value, convert)
        if not any(audience.values()):
            raise InvalidArgument(argument, f"must name a recipient or one of {', '.join(AUDIENCES)}")
        return audience
    if isinstance(value, Iterable) and not isinstance(value, str | bytes) and not _is_lazy(value):
        found = names(argument, value)
        if not found:
            raise InvalidArgument(argument, "must name at least one recipient")
        return found
    return name(argument, value)


def actor(argument: str, value: object) -> str | dict[str, Any]:
    """Return the actor of a notification: a name, or a mapping of id, name and avatar."""
    if isinstance(value, Mapping):
        return fields(f"{argument}.", value, ACTOR)
    return text(argument, value)


def channels(argument: str, value: object) -> list[str | dict[str, Any]]:
    """Return channels: names, or mappings of channel, after and unless."""
    return [
        fields(f"{argument}[{number}].", one, CHANNEL)
        if isinstance(one, Mapping)
        else name(f"{argument}[{number}]", one)
        for number, one in enumerate(several(argument, value, "channels"))
    ]


def actions(argument: str, value: object) -> list[dict[str, Any]]:
    """Return action buttons: mappings of key, label, url or call, and style."""
    return [
        fields(f"{argument}[{number}].", mapping(f"{argument}[{number}]", one), ACTION)
        for number, one in enumerate(several(argument, value, "actions"))
    ]


def texts(*known: str) -> Convert:
    """Return a converter for a mapping of texts under these names."""

    def convert(argument: str, value: object) -> dict[str, Any]:
        return fields(f"{argument}.", mapping(argument, value), dict.fromkeys(known, text))

    return convert


def fields(prefix: str, values: Mapping[str, object], known: Mapping[str, Convert]) -> dict[str, Any]:
    """Return the given fields, converted. None stays None: it removes a field or means its default."""
    found = {}
    for key, value in values.items():
        convert = _converter(prefix, key, known)
        found[key] = None if value is None else convert(f"{prefix}{key}", value)
    return found


def fields_without_none(prefix: str, values: Mapping[str, object], known: Mapping[str, Convert]) -> dict[str, Any]:
    """Return the given fields, converted. None is refused, because without this field a filter would select more than
    intended."""
    return {key: _converter(prefix, key, known)(f"{prefix}{key}", value) for key, value in values.items()}


def _converter(prefix: str, key: str, known: Mapping[str, Convert]) -> Convert:
    if key in known:
        return known[key]
    near = difflib.get_close_matches(str(key), known, n=1)
    hint = f"did you mean {prefix}{near[0]}?" if near else f"expected one of {', '.join(known)}"
    raise UnknownArgument(f"{prefix}{key}", f"is not known; {hint}")


def json(value: Any) -> bytes:
    """Return a body as JSON. Subclasses of str, int and float and lazy strings within it become plain values."""
    return msgspec.json.encode(value, enc_hook=_plain)


def encoded(argument: str, value: Any) -> msgspec.Raw:
    """Return an app's own data as JSON, or raise InvalidArgument naming the argument."""
    try:
        _check_numbers(argument, value)
        return msgspec.Raw(json(value))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidArgument(argument, f"cannot be written as JSON: {error}") from None


def document(argument: str, value: object) -> msgspec.Raw:
    """Return the body of an object, or data of the app, as JSON."""
    return encoded(argument, mapping(argument, value))


def _check_numbers(argument: str, value: object) -> None:
    """Refuse NaN and infinities. They would become null, which removes a field in a patch."""
    match value:
        case float() if not math.isfinite(value):
            raise InvalidArgument(argument, f"must not contain {float(value)}: JSON has no such number")
        case Mapping():
            for part in value.values():
                _check_numbers(argument, part)
        case list() | tuple() | set() | frozenset():
            for part in value:
                _check_numbers(argument, part)


def _plain(value: Any) -> Any:
    for kind in (str, int, float):
        if isinstance(value, kind):
            return str.__str__(value) if kind is str else kind(value)
    if _is_lazy(value):
        return text("", value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{_kind(value)} cannot be represented in JSON")


def _aware(argument: str, value: datetime) -> datetime:
    if value.tzinfo is None:
        raise InvalidArgument(argument, "must have a time zone, as datetime.now(UTC) has")
    return value


def epoch_seconds(argument: str, value: object) -> float:
    """Return a point in time as seconds since 1970, from a number of them or an aware datetime."""
    found = _aware(argument, value).timestamp() if isinstance(value, datetime) else value
    if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found <= LATEST_SECONDS:
        return found
    raise InvalidArgument(argument, f"expected seconds since 1970 or an aware datetime, got {_kind(value)}")


def now() -> datetime:
    """Return the time of this machine, in UTC."""
    return datetime.now(UTC)  # noqa: TID251  outside the server there is no Clock port


def _is_lazy(value: object) -> bool:
    return any(f"{kind.__module__}.{kind.__qualname__}" in LAZY for kind in type(value).__mro__)


def _shown(value: object) -> str:
    return repr(str.__str__(value)) if isinstance(value, str) else _kind(value)


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


# --- the fields of mappings and of keyword arguments: each with its type and its converter, which is `text` if none is named

Name: TypeAlias = Annotated[Text, name]
Names: TypeAlias = Annotated[Sequence[Text], names]
Document: TypeAlias = Annotated[Mapping[str, Any], document]
PastMoment: TypeAlias = Annotated[datetime | str, past_moment]


class ActorFields(TypedDict, total=False):
    id: Text
    name: Text
    avatar: Text


class ActionFields(TypedDict, total=False):
    """A button: a link (`url`), or a call of the app's handler (`call`)."""

    key: Required[Text]
    label: Required[Text]
    url: Text
    call: Text
    style: Annotated[Literal["primary", "default", "danger"], text]


class ChannelFields(TypedDict, total=False):
    """A channel with a delay `after`. `unless` skips it if the inbox item was seen or read during the delay."""

    channel: Required[Name]
    after: Annotated[Duration, seconds]
    unless: Text


def converters(kind: Any) -> dict[str, Convert]:
    """Return the converters of the fields of a TypedDict."""
    found: dict[str, Convert] = {}
    for field, annotation in get_type_hints(kind, include_extras=True).items():
        hint = get_args(annotation)[0] if get_origin(annotation) is Required else annotation
        if get_origin(hint) is Literal:
            found[field] = one_of(*get_args(hint))
        else:
            found[field] = hint.__metadata__[0] if get_origin(hint) is Annotated else text
    return found


ACTOR, ACTION, CHANNEL = converters(ActorFields), converters(ActionFields), converters(ChannelFields)


# --- the server's rules, with its default limits

LIMITS = Limits()
# The longest session token that the server reads.
MAX_TOKEN = 8_192
# PostgreSQL's jsonb cannot contain this character. After an escaped backslash, it is plain text.
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_draft = msgspec.json.Decoder(Draft)
_event = msgspec.json.Decoder(EventDraft)


def check_session(recipient: str, claims: Mapping[str, Any]) -> None:
    """Raise InvalidArgument for names that the server refuses in a session token."""
    errors = [*validation.key("recipient", recipient, LIMITS)]
    if "tenant" in claims:
        errors += validation.tenant("tenant", claims["tenant"], LIMITS)
    errors += validation.text("name", claims.get("name"), LIMITS.title)
    for argument, rule in (("topics", validation.key), ("publish", validation.key), ("roles", validation.role)):
        for number, value in enumerate(claims.get(argument, ())):
            errors += rule(f"{argument}.{number}", value, LIMITS)
    _refuse(errors)


def check_notification(body: bytes) -> None:
    """Raise InvalidArgument if the outbox would refuse the body of a notification."""
    _check(_draft, body, lambda draft: notification_types.check_draft(draft, LIMITS, now()))


def check_event(body: bytes) -> None:
    """Raise InvalidArgument if the outbox would refuse the body of a live event."""
    _check(_event, body, lambda draft: check(draft, LIMITS))


def _check(decoder: msgspec.json.Decoder[T], body: bytes, rule: Callable[[T], None]) -> None:
    try:
        rule(decoder.decode(body))
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise InvalidArgument(path.rstrip("`") or "to", message[:1].lower() + message[1:]) from None
    except Invalid as invalid:
        _refuse(invalid.errors)
    if NUL.search(body):
        for name, value in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items():
            if NUL.search(value):
                raise InvalidArgument(name, "must not contain the NUL character")


def _refuse(errors: Iterable[FieldError]) -> None:
    """Raise the first error. Positions are written as in Python: `to[1]`, not `to.1`."""
    for error in errors:
        raise InvalidArgument(re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", error.field), error.message)
