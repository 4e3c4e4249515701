"""Limits that the fields of a type declare. The check of a value and the OpenAPI document are derived from them."""

import functools
import re
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias, get_type_hints

import msgspec
from msgspec import NODEFAULT

from bellcast.kernel import times, validation
from bellcast.kernel.errors import FieldError
from bellcast.kernel.limits import Limits
from bellcast.kernel.validation import FieldErrors

Schema: TypeAlias = dict[str, Any]

KEY_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]+$"
TENANT_PATTERN = r"^(?!\*$)[^\x00-\x1f\x7f-\x9f]+$"
# Also the empty text, and `*`, which is every tenant.
ANY_TENANT_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*$"
TOPIC_PATTERN = r"^[A-Za-z0-9_=@,.;-]+$"
PLAIN = r"^[^\x00]*$"
NOT_BLANK = r"^[^\x00]*[^\x00\s][^\x00]*$"
# Constraints between the fields of a type, which it declares as `SCHEMA`, consist of these.
NULL: Schema = {"type": "null"}
GIVEN: Schema = {"not": NULL}  # present, and not null
NO: Schema = {"const": False}
YES: Schema = {"const": True}
TEXT: Schema = {"type": "string"}
LIST: Schema = {"type": "array", "items": {}}


def text(most: int, pattern: str = PLAIN) -> Schema:
    """Schema of a text with at most `most` characters (0: no limit)."""
    return {"pattern": pattern} | ({"maxLength": most} if most else {})


def list_of(most: int, each: Schema, least: int = 0) -> Schema:
    """Schema of a list with at most `most` elements (0: no limit)."""
    return {"items": each, "minItems": least} | ({"maxItems": most} if most else {})


def only(field: str, value: Schema, **others: Schema) -> Schema:
    """Return a constraint: if the field is present, the others must match."""
    return {"if": {"properties": {field: value}, "required": [field]}, "then": {"properties": others}}


def one_of(first: Schema, *others: Schema) -> Schema:
    """Return a constraint: the first alternative whose field is present applies, and one of these fields must be
    present. Code generators interpret `oneOf` and `anyOf` as different types and lose the fields."""
    if others:
        return first | {"else": one_of(*others)}
    schema: Schema = first["if"]
    return schema | {"properties": schema["properties"] | first["then"]["properties"]}


def _unchecked(field: str, value: object, limits: Limits) -> FieldErrors:
    return ()


class ValueRule(NamedTuple):
    """A rule of a field: its check, which gets no absent values, and the constraint in the OpenAPI document. Without a check,
    a function of the type has it."""

    check: Callable[[str, Any, Limits], FieldErrors] = _unchecked
    schema: Callable[[Limits], Schema] = lambda _: {}


class Limit(NamedTuple):
    """Minimum and maximum number of characters of a text; the maximum is a number, or the name of a configured limit.
    `Annotated[str, Limit(200)]`."""

    most: int | str
    least: int = 0

    def check(self, field: str, value: object, limits: Limits) -> FieldErrors:
        if self.least and value == "":
            return [FieldError(field, "must not be empty")]
        return validation.text(field, value, _number(self.most, limits))

    @property
    def is_doubtful(self) -> str:
        """An expression of `one` and `limits`: false for most texts that `check` accepts."""
        most = f"(limits.{self.most} or {sys.maxsize})" if isinstance(self.most, str) else self.most
        return f"(one.__class__ is not str or not one.isascii() or len(one) > {most} or '\\0' in one or not one)"

    def schema(self, limits: Limits) -> Schema:
        return text(_number(self.most, limits)) | ({"minLength": self.least} if self.least else {})


def _number(most: int | str, limits: Limits) -> int:
    return most if isinstance(most, int) else int(getattr(limits, most))


def shown(schema: Schema) -> ValueRule:
    """Return a rule that only the OpenAPI document has."""
    return ValueRule(schema=lambda _: schema)


def matching(pattern: re.Pattern[str], expected: str) -> ValueRule:
    """Return the rule of a text that matches a pattern; `expected` is the error message."""
    return ValueRule(
        lambda field, value, _: () if pattern.fullmatch(value) else [FieldError(field, expected)],
        lambda _: {"pattern": f"^{pattern.pattern}$"},
    )


def between(least: float, most: float, expected: str) -> ValueRule:
    """Return the rule of a number; `expected` is the error message."""
    return ValueRule(
        lambda field, value, _: () if least <= value <= most else [FieldError(field, expected)],
        lambda _: {"minimum": least, "maximum": most},
    )


def lasting(shortest: float, longest: float, expected: str, *, is_above: bool = False) -> ValueRule:
    """Return the rule of a duration: a number of seconds, or a text with a unit; `expected` is the error message. With
    `is_above`, the shortest is excluded."""

    def check(field: str, value: Any, _: Limits) -> FieldErrors:
        wrong = list(validation.duration(field, value, shortest, longest, expected))
        is_shortest = is_above and not wrong and times.seconds(value) == shortest
        return [FieldError(field, expected)] if is_shortest else wrong

    bounds = {"minimum": shortest, "maximum": longest} | ({"exclusiveMinimum": shortest} if is_above else {})
    # The format applies to a text.
    return ValueRule(check, lambda _: bounds | {"pattern": f"^{times.DURATION.pattern}$", "format": "seconds-or-unit"})


def each(most: int | str, rule: "Limit | ValueRule", noun: str, least: int = 0) -> ValueRule:
    """Return the rule of a list: the number of its elements, and the rule of each."""

    def check(field: str, value: Any, limits: Limits) -> FieldErrors:
        if len(value) < least:
            return [FieldError(field, f"must name at least one of the {noun}")]
        if (limit := _number(most, limits)) and len(value) > limit:
            return [FieldError(field, f"must have at most {limit} {noun}, got {len(value)}")]
        return [error for number, one in enumerate(value) for error in rule.check(f"{field}.{number}", one, limits)]

    return ValueRule(check, lambda limits: list_of(_number(most, limits), rule.schema(limits), least))


def json_data(most: int | str) -> ValueRule:
    """Return the rule of JSON; `most` is the number of bytes in compact form, or the name of a configured limit."""

    def check(field: str, value: object, limits: Limits) -> FieldErrors:
        return validation.data(field, value, _number(most, limits)) if value else ()

    return ValueRule(check)


@functools.cache
def of(type: Any) -> dict[str, Limit | ValueRule]:
    """Return the limits of a struct type, by the names of its fields; none of other types."""
    if not hasattr(type, "__struct_fields__"):
        return {}
    hints = get_type_hints(type, include_extras=True)
    found = {
        name: [one for one in getattr(hint, "__metadata__", ()) if isinstance(one, Limit | ValueRule)]
        for name, hint in hints.items()
    }
    return {name: declared[0] for name, declared in found.items() if declared}


@functools.cache
def _checker(type: Any) -> Callable[[Any, Limits, str], list[FieldError]]:
    """Return a function that checks the fields of a type, except those with their default values. It is straight-line code: a
    loop would take three times as long, and checking drafts is a part of a bulk send's time."""
    names: dict[str, Any] = {}
    lines = ["def check(value, limits, within):", " found = []"]
    rules = {
        name: rule for name, rule in of(type).items() if not isinstance(rule, ValueRule) or rule.check != _unchecked
    }
    for field in msgspec.structs.fields(type) if rules else ():
        if (rule := rules.get(field.name)) is None:
            continue
        names |= {f"default_{field.name}": field.default, f"check_{field.name}": rule.check}
        is_set = "one" if field.default_factory is not NODEFAULT else f"one is not default_{field.name}"
        # Most texts are short and ASCII.
        is_doubtful = f" and {rule.is_doubtful}" if isinstance(rule, Limit) else ""
        lines += [
            f" one = value.{field.name}",
            f" if one is not None and {is_set}{is_doubtful}:",
            f"  found += check_{field.name}(within + {field.encode_name!r}, one, limits)",
        ]
    exec("\n".join([*lines, " return found"]), names)  # noqa: S102  consists of names of fields
    checker: Callable[[Any, Limits, str], list[FieldError]] = names["check"]
    return checker


def errors(value: object, limits: Limits, within: str = "") -> list[FieldError]:
    """Return the fields of a value that exceed their limits. `within` is the path of the value, with a dot."""
    of_value: Any = type(value)
    return _checker(of_value)(value, limits, within)


LINK_LIFETIME = lasting(1, times.MAX_AHEAD_SECONDS, "must be from 1 second to 366 days")
# The fields of the value have limits.
INNER = ValueRule(lambda field, value, limits: errors(value, limits, f"{field}."))
KEY = ValueRule(validation.key, lambda limits: text(limits.key, KEY_PATTERN) | {"minLength": 1})
TENANT = ValueRule(validation.tenant, lambda limits: text(limits.key, TENANT_PATTERN))
# The tenant of a request, which reads it together with the query.
TENANT_NAME = ValueRule(schema=TENANT.schema)
ANY_TENANT = ValueRule(schema=lambda limits: text(limits.key, ANY_TENANT_PATTERN))
TOPIC = ValueRule(validation.topic, lambda limits: text(limits.topic, TOPIC_PATTERN))
ROLE = ValueRule(validation.role, lambda limits: text(limits.topic - len("role."), TOPIC_PATTERN))
URL = ValueRule(validation.url, lambda limits: text(limits.url))
TITLE = ValueRule(
    lambda field, value, limits: [
        *([] if value.strip() else [FieldError(field, "must not be empty")]),
        *validation.text(field, value, limits.title),
    ],
    lambda limits: text(limits.title, NOT_BLANK),
)
LOCALE = ValueRule(
    lambda field, value, _: validation.locale(field, value),
    lambda _: text(validation.MAX_LABEL, f"^({validation.LOCALE.pattern})?$"),
)
TIME_ZONE = ValueRule(lambda field, value, _: validation.timezone(field, value), lambda _: {"format": "time-zone"})
TIME_OF_DAY = matching(times.TIME_OF_DAY, "must be a time of day such as 08:00")
DATA = json_data("data")
STORABLE_TIME = ValueRule(
    lambda field, value, _: (
        [FieldError(field, validation.OUT_OF_CALENDAR)]
        if isinstance(value, datetime) and not times.is_storable(value)
        else []
    )
)
