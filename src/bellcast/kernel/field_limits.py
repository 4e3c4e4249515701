"""Limits that the fields of a type declare. The check of a value and the OpenAPI document are derived from them."""

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias, get_type_hints

from msgspec import UNSET

from bellcast.kernel import times, validation
from bellcast.kernel.errors import FieldError
from bellcast.kernel.limits import Limits
from bellcast.kernel.validation import FieldErrors

Schema: TypeAlias = dict[str, Any]

KEY_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]+$"
TENANT_PATTERN = r"^(?!\*$)[^\x00-\x1f\x7f-\x9f]+$"
TOPIC_PATTERN = r"^[A-Za-z0-9_=@,.;-]+$"
PLAIN = r"^[^\x00]*$"


def text(most: int, pattern: str = PLAIN) -> Schema:
    """Schema of a text with at most `most` characters (0: no limit)."""
    return {"pattern": pattern} | ({"maxLength": most} if most else {})


def list_of(most: int, each: Schema, least: int = 0) -> Schema:
    """Schema of a list with at most `most` elements (0: no limit)."""
    return {"items": each, "minItems": least} | ({"maxItems": most} if most else {})


class Limit(NamedTuple):
    """Maximum number of characters of a text: a number, or the name of a configured limit. `Annotated[str, Limit(200)]`."""

    most: int | str

    def check(self, field: str, value: object, limits: Limits) -> FieldErrors:
        return validation.text(field, value, self._within(limits))

    def schema(self, limits: Limits) -> Schema:
        return text(self._within(limits))

    def _within(self, limits: Limits) -> int:
        return self.most if isinstance(self.most, int) else int(getattr(limits, self.most))


class ValueRule(NamedTuple):
    """Another rule of a field: its check, which accepts absent values, and the constraint in the OpenAPI document."""

    check: Callable[[str, Any, Limits], FieldErrors]
    schema: Callable[[Limits], Schema] = lambda _: {}


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


def errors(value: object, limits: Limits, within: str = "") -> list[FieldError]:
    """Return the fields of a value that exceed their limits. `within` is the path of the value, with a dot."""
    kind: Any = type(value)
    return [
        error
        for name, limit in of(kind).items()
        for error in limit.check(f"{within}{name}", getattr(value, name), limits)
    ]


def _out_of_calendar(field: str, value: object, _: Limits) -> FieldErrors:
    is_outside = isinstance(value, datetime) and not times.is_storable(value)
    return [FieldError(field, validation.OUT_OF_CALENDAR)] if is_outside else ()


# The fields of the value have limits.
INNER = ValueRule(lambda field, value, limits: errors(value, limits, f"{field}."))
KEY = ValueRule(validation.key, lambda limits: text(limits.key, KEY_PATTERN) | {"minLength": 1})
TENANT = ValueRule(
    lambda field, value, limits: validation.tenant(field, value, limits) if isinstance(value, str) else (),
    lambda limits: text(limits.key, TENANT_PATTERN),
)
LOCALE = ValueRule(
    lambda field, value, _: validation.locale(field, value),
    lambda _: text(validation.MAX_LABEL, f"^({validation.LOCALE.pattern})?$"),
)
TIME_ZONE = ValueRule(lambda field, value, _: validation.timezone(field, value), lambda _: {"format": "time-zone"})
DATA = ValueRule(lambda field, value, limits: () if value is UNSET else validation.data(field, value, limits.data))
STORABLE_TIME = ValueRule(_out_of_calendar)
