"""Conditions of steps, branches, sources and waits: JSON in, a decision out.

    {"var": "data.total", "op": "gte", "value": 100}
    {"all": [...]}   {"any": [...]}   {"not": {...}}

A missing variable is null. Values compare as in JSON: `true` is not `1`, `1` is `1.0`. Ordering null or unlike types is
false. A value can be `{"var": "data.limit"}`.
"""

import operator
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from bellcast.kernel.errors import FieldError

ROOTS = frozenset({"data", "recipient", "actor", "tenant", "run", "digest", "event", "steps"})
OPERATORS = ("eq", "ne", "lt", "lte", "gt", "gte", "in", "contains", "exists", "empty")
ORDERINGS = {"lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge}
WITHOUT_VALUE = frozenset({"exists", "empty"})
# Maximum nesting; readable conditions have less.
MAX_DEPTH = 20
MAX_CONDITIONS = 100
# Maximum digits of a list index. No list is longer than nine digits, and Python refuses numbers of more than 4,300.
INDEX = re.compile("[0-9]{1,9}")

Condition = Mapping[str, Any]


def evaluate(condition: Condition, values: Mapping[str, Any]) -> bool:
    """Evaluate a validated condition with root values by name."""
    if "all" in condition:
        return all(evaluate(part, values) for part in condition["all"])
    if "any" in condition:
        return any(evaluate(part, values) for part in condition["any"])
    if "not" in condition:
        return not evaluate(condition["not"], values)
    left = lookup(condition["var"], values)
    right = resolve(condition.get("value"), values)
    match name := condition.get("op", "eq"):
        case "eq":
            return _equals(left, right)
        case "ne":
            return not _equals(left, right)
        case "in":
            return _contains(right, left)
        case "contains":
            return _contains(left, right)
        case "exists":
            return left is not None
        case "empty":
            return left is None or (isinstance(left, str | Sequence | Mapping) and not left)
        case _:
            if not (_is_number(left) and _is_number(right)) and not (isinstance(left, str) and isinstance(right, str)):
                return False
            return bool(ORDERINGS[name](left, right))


def lookup(path: str, values: Any) -> Any:
    """Return the value at a dotted path, or None."""
    for name in path.split("."):
        if isinstance(values, Mapping):
            values = values.get(name)
        elif isinstance(values, Sequence) and not isinstance(values, str) and INDEX.fullmatch(name):
            values = values[int(name)] if int(name) < len(values) else None
        else:
            return None
    return values


def resolve(value: Any, values: Mapping[str, Any]) -> Any:
    """Return a literal, or the value of `{"var": path}`."""
    return lookup(value["var"], values) if _is_reference(value) else value


def _is_reference(value: Any) -> bool:
    return isinstance(value, Mapping) and value.keys() == {"var"} and isinstance(value["var"], str)


def _equals(left: Any, right: Any) -> bool:
    """Compare JSON values for equality."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_equals(left[name], right[name]) for name in left)
    if _is_list(left) and _is_list(right):
        return len(left) == len(right) and all(map(_equals, left, right))
    return bool(left == right)


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(whole, str | Mapping):
        return isinstance(part, str) and part in whole
    return _is_list(whole) and any(_equals(item, part) for item in whole)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def paths_of(condition: Condition) -> list[str]:
    """Return the paths of the variables in a valid condition, in order."""
    for group in ("all", "any"):
        if group in condition:
            return [path for part in condition[group] for path in paths_of(part)]
    if "not" in condition:
        return paths_of(condition["not"])
    value: Any = condition.get("value")
    return [condition["var"], *([value["var"]] if _is_reference(value) else [])]


def errors_of(
    field: str, condition: Any, step_keys: Collection[str], roots: frozenset[str] = ROOTS
) -> Iterator[FieldError]:
    """Return the errors of a condition, with the path of each wrong part. `step_keys` are the steps to which it may refer; its
    variables must begin with one of the roots."""
    parts: list[tuple[str, Any, int]] = [(field, condition, 0)]
    count = 0
    while parts:
        path, part, depth = parts.pop(0)
        count += 1
        if depth > MAX_DEPTH or count > MAX_CONDITIONS:
            yield FieldError(path, f"must have at most {MAX_CONDITIONS} parts, nested at most {MAX_DEPTH} levels")
            return
        if not isinstance(part, Mapping):
            yield FieldError(path, 'must be a condition such as {"var": "data.total", "op": "gte", "value": 100}')
        elif (group := next((one for one in ("all", "any") if one in part), None)) is not None:
            yield from _only(path, part, {group})
            if not _is_list(part[group]):
                yield FieldError(f"{path}.{group}", "must be a list of conditions")
                continue
            parts += [(f"{path}.{group}.{number}", inner, depth + 1) for number, inner in enumerate(part[group])]
        elif "not" in part:
            yield from _only(path, part, {"not"})
            parts.append((f"{path}.not", part["not"], depth + 1))
        else:
            yield from _only(path, part, {"var", "op", "value"})
            yield from variable_errors(f"{path}.var", part.get("var"), step_keys, roots)
            name = part.get("op", "eq")
            if name not in OPERATORS:
                yield FieldError(f"{path}.op", f"must be one of: {', '.join(OPERATORS)}")
            elif name in WITHOUT_VALUE:
                if "value" in part:
                    yield FieldError(f"{path}.value", f"must be absent: {name} takes no value")
            elif "value" not in part:
                yield FieldError(f"{path}.value", "is missing")
            if _is_reference(part.get("value")):
                yield from variable_errors(f"{path}.value.var", part["value"]["var"], step_keys, roots)


def variable_errors(
    path: str, variable: Any, step_keys: Collection[str], roots: frozenset[str] = ROOTS
) -> Iterator[FieldError]:
    """Check a dotted path: it must begin with a known root, and `steps` must be followed by a known step."""
    if not isinstance(variable, str) or not all(variable.split(".")):
        yield FieldError(path, "must be a path such as data.total")
        return
    root, _, rest = variable.partition(".")
    if root not in roots:
        yield FieldError(path, f"must begin with one of: {', '.join(sorted(roots))}")
    elif root == "steps" and (step := rest.partition(".")[0]) not in step_keys:
        yield FieldError(path, f"names an unknown step {step[:100]!r}")


def _only(path: str, part: Condition, names: set[str]) -> Iterator[FieldError]:
    for name in part.keys() - names:
        yield FieldError(f"{path}.{str(name)[:100]}", f"is unknown here: expected {', '.join(sorted(names))}")
