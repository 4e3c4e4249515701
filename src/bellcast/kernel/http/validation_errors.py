"""Report all invalid fields of a value, with messages for readers, because those of the decoder are meant for Python
programmers. The decoder stops at the first, so a rejected value is validated field by field."""

import difflib
import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from itertools import chain, islice
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from bellcast.kernel.errors import MAX_FIELD_ERRORS, FieldError, Invalid

_PLACE = re.compile(r"(.*?)(?: - at (?:`key` in )?`\$([^`]*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected `([^`]+)`(.*?)(?:, got `([^`]+)`)?", re.DOTALL)
_NAMED = re.compile(r"Object (missing required|contains unknown) field `([^`]*)`", re.DOTALL)
_VALUE = re.compile(r"Invalid (?:enum )?value (.*)", re.DOTALL)
_STEP = re.compile(r"\[(\.\.\.|\d+)\]")
_WORDS = {
    "str": "text",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "datetime": "a time",
}
# Maximum length of client input repeated in a message.
_LONGEST = 100


def field_error(refusal: Exception) -> FieldError:
    """Return the field (`""` for the whole value) and its error."""
    parts = _PLACE.fullmatch(str(refusal))
    message, place = parts.groups() if parts is not None else (str(refusal), None)
    path = _STEP.sub(lambda step: "" if step[1] == "..." else f".{step[1]}", place or "").strip(".")
    if (named := _NAMED.fullmatch(message)) is not None:
        field = ".".join(filter(None, (path, named[2][:_LONGEST])))
        return FieldError(field, "is required" if named[1] == "missing required" else "is not a known field")
    if message.endswith("with a timezone component"):
        return FieldError(path, "must have a UTC offset, as in 2030-01-31T12:00:00Z")
    if (expected := _EXPECTED.fullmatch(message)) is not None:
        types, bound, got = expected.groups()
        return FieldError(path, f"must be {_in_words(types)}{bound}" + (f", got {_in_words(got)}" if got else ""))
    if (value := _VALUE.fullmatch(message)) is not None:
        return FieldError(path, f"is an unknown value: {value[1][:_LONGEST]}")
    if "RFC3339" in message:
        return FieldError(path, "must be a time such as 2030-01-31T12:00:00Z")
    if message.endswith("out of range"):
        return FieldError(path, "is out of range")
    return FieldError(path, "cannot be read")


def sentence(refusal: Exception, whole: str) -> str:
    """Return the error as one sentence. `whole` names the decoded value."""
    if not isinstance(refusal, msgspec.ValidationError):
        return f"{whole} is not JSON."
    bad = field_error(refusal)
    return f"{whole}: {bad.field} {bad.message}." if bad.field else f"{whole} {bad.message}."


def _in_words(types: str) -> str:
    return " or ".join(_WORDS.get(one, one) for one in types.split(" | "))


# Maximum elements of a list or dict that are searched for errors: ten times the default maximum of a list.
MAX_CHECKED_ELEMENTS = 10_000
# Maximum characters of an unknown field's name that are compared with known names and included in the response.
MAX_FIELD_NAME = 100
# Maximum unknown names per request for which the closest known name is searched, at 0.2 ms each.
MAX_SUGGESTIONS = 10


class Suggestions:
    """Finds the closest known name for the first MAX_SUGGESTIONS unknown names of a request, and lists the known names for
    the first that has no close one."""

    def __init__(self) -> None:
        self._remaining = MAX_SUGGESTIONS
        self._has_listed = False

    def hint(self, name: str, known: Collection[str]) -> str:
        """Return the end of the message for an unknown name."""
        if self._remaining and len(name) <= MAX_FIELD_NAME:
            self._remaining -= 1
            if close := difflib.get_close_matches(name, known, n=1):
                return f'; did you mean "{close[0]}"?'
        if self._has_listed or not known:
            return ""
        self._has_listed = True
        return f"; expected one of: {', '.join(sorted(known))}"


def validation_errors(
    value: Any,
    type: Any,
    rules: Callable[[Any], None] | None = None,
    *,
    strict: bool = True,
    suggestions: Suggestions | None = None,
) -> list[FieldError]:
    """Return the invalid fields of a value, at most MAX_FIELD_ERRORS: type errors first, then errors of `rules` for the
    valid fields. `suggestions` are shared by the items of a request."""
    if not isinstance(value, dict):
        kinds = {list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
        return [FieldError("", f"must be an object, got {kinds.get(value.__class__, 'null')}")]
    search = _Search(strict, suggestions or Suggestions())
    errors = list(islice(search.in_struct(type, value, ""), MAX_FIELD_ERRORS))
    if rules is not None and len(errors) < MAX_FIELD_ERRORS:
        bad = {error.field.partition(".")[0] for error in errors}
        good = {name: value[name] for name in type.__struct_encode_fields__ if name in value and name not in bad}
        try:
            rules(msgspec.convert(good | _stand_ins(type, good), type))
        except Invalid as more:
            errors += [error for error in more.errors if error.field.partition(".")[0] in good]
        except msgspec.ValidationError:
            pass  # a required field is absent, and no value of its type is known
    return errors


def _stand_ins(type: Any, good: Mapping[str, Any]) -> dict[str, Any]:
    """Return values for the required fields that are not among the good ones, with which the rules can check the others."""
    found: dict[str, Any] = {}
    for field in _fields(type):
        if field.required and field.encode_name not in good:
            types = list(parts(field.type))
            types += [one for part in types if get_origin(part) is list for one in parts(get_args(part)[0])]
            # Of choices the last: it is usually the one with the fewest rules, such as the role viewer.
            choices = [one for part in types if get_origin(part) is Literal for one in reversed(get_args(part))]
            for value in ("x", [], {}, 1, *choices, *([one] for one in ("x", *choices))):  # a list may need an element
                with suppress(msgspec.ValidationError):
                    msgspec.convert(value, field.type)
                    found[field.encode_name] = value
                    break
    return found


# The fields of a struct, which take 0.2 ms to resolve.
_fields = functools.cache(msgspec.structs.fields)


class _Search(NamedTuple):
    """The search for invalid fields in one value."""

    strict: bool
    suggestions: Suggestions

    def in_struct(self, type: Any, value: dict[str, Any], prefix: str) -> Iterator[FieldError]:
        known, tag = type.__struct_encode_fields__, type.__struct_config__.tag_field
        for name in value:
            if name not in known and name != tag:
                yield FieldError(prefix + shortened(name), unknown(name, known, self.suggestions))
        for field in _fields(type):
            if field.encode_name in value:
                yield from self._in_value(field.type, value[field.encode_name], prefix + field.encode_name)
            elif field.required:
                yield FieldError(prefix + field.encode_name, "is required")

    def _in_value(self, type: Any, value: Any, path: str) -> Iterator[FieldError]:
        try:
            msgspec.convert(value, type, strict=self.strict)
        except msgspec.ValidationError as refusal:
            inner = self._inside(type, value, path)
            own = field_error(refusal).field if isinstance(value, dict) else ""  # a union's tag
            place = ".".join(filter(None, (path, own)))
            members = list(parts(type))
            if choices := [str(one) for part in members if get_origin(part) is Literal for one in get_args(part)]:
                message = f"must be one of: {', '.join(choices)}"
            else:
                message = field_error(refusal).message
                if value.__class__ is int and str in members and len(members) > 2:
                    message += f'; write "{value}"'  # the id of a user, which many databases number
            yield from chain([next(inner, FieldError(place, message))], inner)

    def _inside(self, type: Any, value: Any, path: str) -> Iterator[FieldError]:
        for part in parts(type):
            if isinstance(value, dict) and hasattr(part, "__struct_fields__"):
                config = part.__struct_config__
                if config.tag is None or config.tag == value.get(config.tag_field):  # of a union, the wanted struct
                    yield from self.in_struct(part, value, f"{path}.")
            elif isinstance(value, list) and get_origin(part) in (list, tuple):
                for number, one in enumerate(value[:MAX_CHECKED_ELEMENTS]):
                    yield from self._in_value(get_args(part)[0], one, f"{path}.{number}")
            elif isinstance(value, dict) and get_origin(part) is dict:
                key_type, value_type = get_args(part)
                for name, one in islice(value.items(), MAX_CHECKED_ELEMENTS):
                    place = f"{path}.{shortened(name)}"
                    yield from chain(self._in_value(key_type, name, place), self._in_value(value_type, one, place))


def parts(type: Any) -> Iterator[Any]:
    """Yield the members of a union, without annotations."""
    if get_origin(type) is Annotated:
        yield from parts(get_args(type)[0])
    elif get_origin(type) in (Union, UnionType):
        for part in get_args(type):
            yield from parts(part)
    else:
        yield type


def shortened(name: str) -> str:
    """Truncate the name of an unknown field for the response."""
    return name if len(name) <= MAX_FIELD_NAME else f"{name[:MAX_FIELD_NAME]}…"


def unknown(name: str, known: Collection[str], suggestions: Suggestions, kind: str = "field") -> str:
    """Return the message for an unknown field, query parameter or other name, with the closest known name or all."""
    return f"is not a known {kind}{suggestions.hint(name, known)}"
