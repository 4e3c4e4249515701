"""Report all invalid fields of a value. The decoder stops at the first, so a rejected value is validated field by
field."""

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain, islice
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from bellcast.errors import MAX_FIELD_ERRORS, FieldError, Invalid
from bellcast.model.decode_errors import field_error

# Elements of one list that are searched for invalid ones: ten times the default maximum of a list.
MAX_CHECKED_ELEMENTS = 10_000
# Characters of an unknown field's name that are compared with known names and repeated in the response.
MAX_FIELD_NAME = 100


def names(type: Any) -> tuple[str, ...]:
    """Return the encoded field names of a struct type."""
    result: tuple[str, ...] = type.__struct_encode_fields__
    return result


def validation_errors(
    value: Any,
    type: Any,
    rules: Callable[[Any], None] | None = None,
    stand_ins: Mapping[str, Any] | None = None,
    *,
    strict: bool = True,
) -> list[FieldError]:
    """Return the invalid fields of a value, at most MAX_FIELD_ERRORS: type errors first, then errors of `rules` for
    the valid fields, with `stand_ins` in place of the others."""
    if not isinstance(value, dict):
        return [FieldError("", f"must be an object, got {_kind(value)}")]
    errors = list(islice(_in_struct(type, value, "", strict=strict), MAX_FIELD_ERRORS))
    if rules is not None and len(errors) < MAX_FIELD_ERRORS:
        errors += _by_rules(value, type, {_root(error.field) for error in errors}, rules, stand_ins or {})
    return errors


def _by_rules(
    value: dict[str, Any], type: Any, bad: Collection[str], rules: Callable[[Any], None], stand_ins: Mapping[str, Any]
) -> Iterable[FieldError]:
    good = {name: inner for name, inner in value.items() if name in names(type) and name not in bad}
    try:
        rules(msgspec.convert({**stand_ins, **good}, type))
    except Invalid as more:
        return [error for error in more.errors if _root(error.field) in good]
    return ()


def _root(field: str) -> str:
    return field.partition(".")[0]


def _in_struct(type: Any, value: dict[str, Any], prefix: str, *, strict: bool) -> Iterator[FieldError]:
    known = names(type)
    for name in value:
        if name not in known:
            yield FieldError(prefix + shortened(name), unknown(name, known))
    for field in msgspec.structs.fields(type):
        if field.encode_name in value:
            yield from _in_value(field.type, value[field.encode_name], prefix + field.encode_name, strict=strict)
        elif field.required:
            yield FieldError(prefix + field.encode_name, "is required")


def _in_value(type: Any, value: Any, path: str, *, strict: bool) -> Iterator[FieldError]:
    try:
        msgspec.convert(value, type, strict=strict)
    except msgspec.ValidationError as refusal:
        inner = _inside(type, value, path, strict=strict)
        yield from chain([next(inner, FieldError(path, _message(type, refusal)))], inner)


def _inside(type: Any, value: Any, path: str, *, strict: bool) -> Iterator[FieldError]:
    for part in _parts(type):
        if isinstance(value, dict) and hasattr(part, "__struct_fields__"):
            yield from _in_struct(part, value, f"{path}.", strict=strict)
        elif isinstance(value, list) and get_origin(part) is list:
            for number, one in enumerate(value[:MAX_CHECKED_ELEMENTS]):
                yield from _in_value(get_args(part)[0], one, f"{path}.{number}", strict=strict)


def _parts(type: Any) -> Iterator[Any]:
    """Yield the members of a union, without annotations."""
    if get_origin(type) is Annotated:
        yield from _parts(get_args(type)[0])
    elif get_origin(type) in (Union, UnionType):
        for part in get_args(type):
            yield from _parts(part)
    else:
        yield type


def shortened(name: str) -> str:
    """Truncate the name of an unknown field for the response."""
    return name if len(name) <= MAX_FIELD_NAME else f"{name[:MAX_FIELD_NAME]}…"


def unknown(name: str, known: Collection[str], kind: str = "field") -> str:
    """Return the message for an unknown field or query parameter, with the closest known name."""
    if len(name) > MAX_FIELD_NAME:
        return f"is not a known {kind}"
    close = difflib.get_close_matches(name, known, n=1)
    return f"is not a known {kind}" + (f'; did you mean "{close[0]}"?' if close else "")


def _message(type: Any, refusal: Exception) -> str:
    choices = [str(one) for part in _parts(type) if get_origin(part) is Literal for one in get_args(part)]
    if choices:
        return f"must be one of: {', '.join(choices)}"
    return field_error(refusal).message


def _kind(value: Any) -> str:
    kinds = {list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return kinds.get(value.__class__, "null")
