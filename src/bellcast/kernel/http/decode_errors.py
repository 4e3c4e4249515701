"""Translates decoder errors into a field and a readable message, because the decoder's messages are meant for Python
programmers."""

import re

import msgspec

from bellcast.kernel.errors import FieldError

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
    message, path = _split(str(refusal))
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


def _split(refusal: str) -> tuple[str, str]:
    """Split a decoder error into its message and the field's path."""
    parts = _PLACE.fullmatch(refusal)
    message, path = parts.groups() if parts is not None else (refusal, None)
    return message, _STEP.sub(lambda step: "" if step[1] == "..." else f".{step[1]}", path or "").strip(".")


def _in_words(types: str) -> str:
    return " or ".join(_WORDS.get(one, one) for one in types.split(" | "))
