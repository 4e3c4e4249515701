"""Infer a JSON Schema from data: its shapes, without its values. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

# Maximum names that become properties: an object with more is a map, whose names are values.
MAX_PROPERTIES = 100
MAX_DEPTH = 10
# Maximum items of a list that are compared: a long list repeats its shapes.
MAX_ITEMS = 100
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
# A name with as many digits identifies something, such as an order.
IDENTIFIER = re.compile(r"\d{3,}|[0-9a-f]{8,}")


def infer(values: Sequence[Any], depth: int = 0) -> dict[str, Any]:
    """Return the schema that all these values match."""
    schema: dict[str, Any] = {}
    types = sorted({_type_of(value) for value in values})
    if "number" in types and "integer" in types:
        types.remove("integer")
    if types and depth <= MAX_DEPTH:
        schema["type"] = types[0] if len(types) == 1 else types
    if depth >= MAX_DEPTH:
        return schema
    objects = [value for value in values if isinstance(value, Mapping)]
    names = list(dict.fromkeys(name for value in objects for name in value))
    if len(names) > MAX_PROPERTIES or any(not NAME.fullmatch(name) or IDENTIFIER.search(name) for name in names):
        schema["additionalProperties"] = infer([one for value in objects for one in value.values()], depth + 1)
    elif names:
        schema["properties"] = {
            name: infer([value[name] for value in objects if name in value], depth + 1) for name in names
        }
        if required := [name for name in names if all(name in value for value in objects)]:
            schema["required"] = required
    items = [item for value in values if isinstance(value, list | tuple) for item in value[:MAX_ITEMS]]
    if items:
        schema["items"] = infer(items, depth + 1)
    return schema


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) else "number"
    return "string" if isinstance(value, str) else "object" if isinstance(value, Mapping) else "array"
