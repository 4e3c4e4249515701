"""JSON Schema for the data of sends and triggers: the part of draft 2020-12 that describes shapes. Pure.

An unknown keyword is an error of the schema, because ignoring it would accept data that the schema forbids. `pattern` is
not supported: a hostile one takes exponential time."""

import operator
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bellcast.kernel.errors import FieldError

MAX_DEPTH = 20
# Maximum schemas in a schema: more than data has fields.
MAX_SCHEMAS = 1_000
# Maximum values of an enum, and names in `required`.
MAX_VALUES = 1_000
# Maximum units of work per value, each at most about 2 µs: `data` of 64 KiB and a schema of 256 KiB could take minutes.
MAX_WORK = 100_000
# Maximum values of an enum in an error.
SHOWN = 100
# Comparisons with values of an enum that are one unit.
COMPARISONS = 16
# Keywords that only describe.
ANNOTATIONS = frozenset(
    {"$schema", "$id", "$comment", "title", "description", "default", "examples", "format", "x-private", "x-label"}
)
# Maximum characters of a label.
MAX_LABEL = 200
TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list | tuple),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
    ),
}
LISTS_OF_SCHEMAS = ("allOf", "anyOf", "oneOf")
# The values of keywords: a check, and what they must be.
VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "required": (
        lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
        "a list of names",
    ),
    "enum": (lambda value: isinstance(value, list), "a list of values"),
    "x-private": (TYPES["boolean"], "true or false"),
    "x-label": (
        lambda value: isinstance(value, str) and len(value) <= MAX_LABEL,
        f"text of at most {MAX_LABEL} characters",
    ),
    "properties": (TYPES["object"], "an object of schemas"),
    **dict.fromkeys(LISTS_OF_SCHEMAS, (lambda value: isinstance(value, list), "a list of schemas")),
}
# The bounds of a number, or of the length of other values: what they exclude, and what a value must be or have instead.
BOUNDS: dict[str, tuple[str, Callable[[Any, Any], bool], str]] = {
    "minimum": ("number", operator.lt, "be at least {}"),
    "maximum": ("number", operator.gt, "be at most {}"),
    "exclusiveMinimum": ("number", operator.le, "be greater than {}"),
    "exclusiveMaximum": ("number", operator.ge, "be less than {}"),
    "minLength": ("string", operator.lt, "have at least {} characters"),
    "maxLength": ("string", operator.gt, "have at most {} characters"),
    "minItems": ("array", operator.lt, "have at least {} items"),
    "maxItems": ("array", operator.gt, "have at most {} items"),
    "minProperties": ("object", operator.lt, "have at least {} fields"),
    "maxProperties": ("object", operator.gt, "have at most {} fields"),
}
KEYWORDS = ANNOTATIONS | {
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items", "not"),
    *(*LISTS_OF_SCHEMAS, *BOUNDS),
}


class TooMuchWork(Exception):
    """Checking a value takes too long."""


class Work:
    """The remaining budget for checking a value."""

    def __init__(self) -> None:
        self._left = MAX_WORK

    def take(self, comparisons: int) -> None:
        """Charge one unit, plus the units of some comparisons. Raises TooMuchWork."""
        self._left -= 1 + comparisons // COMPARISONS
        if self._left < 0:
            raise TooMuchWork


def schema_errors(schema: Any) -> Iterator[FieldError]:
    """Return the errors of a schema of `data`: parts that are wrong or not supported."""
    for number, (path, inner, depth) in enumerate(_nested("data", schema)):
        if number >= MAX_SCHEMAS:
            yield FieldError("data", f"must have at most {MAX_SCHEMAS} schemas")
            return
        if isinstance(inner, bool):
            continue
        if not isinstance(inner, Mapping):
            yield FieldError(path, "must be a JSON Schema: an object, true or false")
        elif depth > MAX_DEPTH:
            yield FieldError(path, f"must not be nested deeper than {MAX_DEPTH} levels")
        else:
            for name in inner.keys() - KEYWORDS:
                yield FieldError(f"{path}.{str(name)[:100]}", "is not a supported keyword of JSON Schema")
            yield from _value_errors(path, inner)


def _nested(path: str, schema: Any) -> Iterator[tuple[str, Any, int]]:
    """Yield a schema and its nested schemas with their paths and depths, outer ones first."""
    # Lazy: a caller that stops early does not create the remaining paths.
    waiting: deque[tuple[Iterator[tuple[str, Any]], int]] = deque([(iter([(path, schema)]), 0)])
    while waiting:
        schemas, depth = waiting.popleft()
        for inner_path, inner in schemas:
            yield inner_path, inner, depth
            if isinstance(inner, Mapping) and depth <= MAX_DEPTH:
                waiting.append((_schemas_in(inner_path, inner), depth + 1))


def _value_errors(path: str, schema: Mapping[str, Any]) -> Iterator[FieldError]:
    types = schema.get("type", [])
    for name in types if isinstance(types, list) else [types]:
        if not isinstance(name, str) or name not in TYPES:
            yield FieldError(f"{path}.type", f"must be one of: {', '.join(TYPES)}")
    for name, (is_allowed, expected) in VALUES.items():
        if name in schema and not is_allowed(schema[name]):
            yield FieldError(f"{path}.{name}", f"must be {expected}")
    for name in ("enum", "required"):
        if isinstance(schema.get(name), list) and len(schema[name]) > MAX_VALUES:
            yield FieldError(f"{path}.{name}", f"must have at most {MAX_VALUES} values, got {len(schema[name])}")
    for name, (kind, *_) in BOUNDS.items():
        if name not in schema:
            continue
        if kind == "number" and not TYPES["number"](schema[name]):
            yield FieldError(f"{path}.{name}", "must be a number")
        elif kind != "number" and not (TYPES["integer"](schema[name]) and schema[name] >= 0):
            yield FieldError(f"{path}.{name}", "must be a whole number, 0 or more")


def _schemas_in(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        yield from ((f"{path}.properties.{str(name)[:100]}", inner) for name, inner in properties.items())
    for name in ("items", "additionalProperties", "not"):
        if name in schema:
            yield f"{path}.{name}", schema[name]
    for name in LISTS_OF_SCHEMAS:
        if isinstance(schema.get(name), list):
            yield from ((f"{path}.{name}.{number}", inner) for number, inner in enumerate(schema[name]))


def errors_of(path: str, value: Any, schema: Any) -> Iterator[FieldError]:
    """Return the errors of a value that does not match a validated schema."""
    try:
        yield from _errors(path, value, schema, Work())
    except TooMuchWork:
        yield FieldError(path, "has too many values to check them against its schema")


def _errors(path: str, value: Any, schema: Any, work: Work) -> Iterator[FieldError]:
    work.take(0)
    if isinstance(schema, bool):
        if not schema:
            yield FieldError(path, "is not allowed here")
        return
    types = schema.get("type")
    allowed = types if isinstance(types, list) else [types] if types is not None else []
    if allowed and not any(TYPES[name](value) for name in allowed):
        yield FieldError(path, f"must be of type {' or '.join(allowed)}")
        return
    choices = schema.get("enum", ())
    if "enum" in schema:
        work.take(len(choices) * _size(value))
        if not any(_same(value, one) for one in choices):
            yield FieldError(path, f"must be one of: {', '.join(map(_shown, choices[:SHOWN]))[:200]}")
    if "const" in schema:
        work.take(_size(value))
        if not _same(value, schema["const"]):
            yield FieldError(path, f"must be {_shown(schema['const'])}")
    for keyword, (kind, is_excluded, expected) in BOUNDS.items():
        if keyword in schema and TYPES[kind](value):
            measured = value if kind == "number" else len(value)
            if is_excluded(measured, schema[keyword]):
                yield FieldError(path, f"must {expected.format(schema[keyword])}")
    yield from _object_errors(path, value, schema, work)
    if TYPES["array"](value) and "items" in schema:
        for number, item in enumerate(value):
            yield from _errors(f"{path}.{number}", item, schema["items"], work)
    yield from _combined_errors(path, value, schema, work)


def _size(value: Any) -> int:
    """Return the number of values in a value, including itself: the cost of comparing it."""
    parts, size = [value], 0
    while parts:
        part = parts.pop()
        size += 1
        if isinstance(part, Mapping):
            parts += part.values()
        elif isinstance(part, list | tuple):
            parts += part
    return size


def _shown(value: Any) -> str:
    """Format a value for an error. Lists and objects may be long."""
    if isinstance(value, Mapping | list):
        return "the object of the schema" if isinstance(value, Mapping) else "the list of the schema"
    return str(value)[:100]


def _same(left: Any, right: Any) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _object_errors(path: str, value: Any, schema: Mapping[str, Any], work: Work) -> Iterator[FieldError]:
    if not isinstance(value, Mapping):
        return
    properties = schema.get("properties", {})
    required = schema.get("required", ())
    work.take(len(required))
    for name in required:
        if name not in value:
            yield FieldError(f"{path}.{name[:100]}", "is missing")
    for name, inner in value.items():
        if name in properties:
            yield from _errors(f"{path}.{name[:100]}", inner, properties[name], work)
        elif "additionalProperties" in schema:
            yield from _errors(f"{path}.{name[:100]}", inner, schema["additionalProperties"], work)


def _combined_errors(path: str, value: Any, schema: Mapping[str, Any], work: Work) -> Iterator[FieldError]:
    for part in schema.get("allOf", ()):
        yield from _errors(path, value, part, work)
    if "anyOf" in schema and not any(_is_valid(value, part, work) for part in schema["anyOf"]):
        yield FieldError(path, "must match one of the schemas of anyOf")
    if "oneOf" in schema and sum(_is_valid(value, part, work) for part in schema["oneOf"]) != 1:
        yield FieldError(path, "must match exactly one of the schemas of oneOf")
    if "not" in schema and _is_valid(value, schema["not"], work):
        yield FieldError(path, "must not match the schema of not")


def _is_valid(value: Any, schema: Any, work: Work) -> bool:
    return next(_errors("", value, schema, work), None) is None
