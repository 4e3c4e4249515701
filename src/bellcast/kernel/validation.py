"""Validation of names, texts, times and data. Pure: each rule returns the invalid fields. A rule for one text is not a
generator, because a send applies a dozen."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import msgspec

from bellcast.kernel import times
from bellcast.kernel.errors import FieldError, Invalid
from bellcast.kernel.events import role_topic
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.kernel.ip_addresses import is_server
from bellcast.kernel.limits import Limits
from bellcast.kernel.times import is_zone

TOPIC_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=@,.;")
# Schemes of links in an inbox. Scripts and local files are not allowed.
SCHEMES = frozenset({"", "http", "https", "mailto", "tel"})
OUT_OF_CALENDAR = "must be within the years 1970 to 9999 in UTC"
# The range of integers in MessagePack.
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1
# Deeper data is an attack on the next program that parses it; 100 levels are enough for any legitimate document.
MAX_DEPTH = 100
# Maximum characters of a path in an error.
MAX_PATH = 200

# Characters of a locale or of a time zone's name, which are far shorter.
MAX_LABEL = 100
# RFC 5646: language, script, region, variants and extensions; also with the underscores of many libraries.
LOCALE = re.compile(
    r"[A-Za-z]{2,3}([-_][A-Za-z]{3})?([-_][A-Za-z]{4})?([-_]([A-Za-z]{2}|[0-9]{3}))?"
    r"([-_]([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*([-_][A-Za-z0-9]([-_][A-Za-z0-9]{2,8})+)*"
)

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
    errors = []
    if not value:
        errors.append(FieldError(field, "must not be empty"))
    elif limits.topic and len(value) > limits.topic:
        errors.append(FieldError(field, f"must be at most {limits.topic} characters, got {len(value)}"))
    if not TOPIC_CHARACTERS.issuperset(value):
        errors.append(FieldError(field, "may only contain A-Z a-z 0-9 and _ - = @ , . ;"))
    return errors


def role(field: str, value: str, limits: Limits) -> FieldErrors:
    """Check a role: `role.<role>` must be a valid topic."""
    if not value:
        yield FieldError(field, "must not be empty")
    else:
        yield from topic(field, role_topic(value), limits)


def text(field: str, value: object, limit: int) -> FieldErrors:
    """Check a text of at most `limit` characters (0: any)."""
    if not isinstance(value, str):
        return ()
    if limit and len(value) > limit:
        return [FieldError(field, f"must be at most {limit} characters, got {len(value)}"), *encodable(field, value)]
    # Encoding a draft's texts takes as long as all other checks of it.
    return () if value.isascii() and "\x00" not in value else encodable(field, value)


def encodable(field: str, value: str) -> FieldErrors:
    """Check that a text can be encoded in UTF-8 and stored: no lone surrogates, no NUL."""
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
        parts = urlsplit(value.strip())
    except ValueError:
        return [*errors, FieldError(field, "must be a URL or a path")]
    if parts.scheme not in SCHEMES:
        return [*errors, FieldError(field, "must be a path or an http, https, mailto or tel URL")]
    if parts.scheme in ("http", "https") and not is_server(parts.netloc.rpartition("@")[2]):
        return [
            *errors,
            FieldError(field, "must be a path, or a URL with a host name and a port of 1 to 65535 or none"),
        ]
    return errors


def timezone(field: str, value: object) -> FieldErrors:
    """Check the name of a time zone. An empty text is none."""
    if isinstance(value, str) and value and (len(value) > MAX_LABEL or not is_zone(value)):
        return [FieldError(field, "must be an IANA time zone such as Europe/Vienna")]
    return ()


def locale(field: str, value: object) -> FieldErrors:
    """Check the form of a language tag. An empty text is none."""
    if isinstance(value, str) and value and (len(value) > MAX_LABEL or LOCALE.fullmatch(value) is None):
        return [FieldError(field, "must be a language tag such as de or de-AT")]
    return ()


def data(field: str, value: object, limit: int) -> FieldErrors:
    """Check JSON of at most `limit` bytes (0: any) in compact form. Every encoder that it passes through must accept
    it, such as MessagePack in brokers. NaN and infinities cannot occur, because JSON does not have them."""
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
