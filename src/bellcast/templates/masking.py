"""Data of sends without what identifies a person, for authors of templates and for agents."""

import re
from collections.abc import Mapping
from typing import Any

# Names of fields about a person, and of secrets.
PRIVATE_FIELD = re.compile(
    r"name$|^(client|customer|guest|host|user|person|contact|owner|author|sender|recipient)$|mail|phone|mobile|address|"
    r"street|birth|iban|passport|ssn|password|secret|token|otp|card|authorization|cookie|session|api_?key|pin$",
    re.IGNORECASE,
)
# A word, which is an e-mail address if it has the group. A search for addresses only would begin at each character of a word.
WORD = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]++(@[\w-]+(?:\.[\w-]+)+)?")
# Seven digits or more, in groups: shorter numbers are those of orders. A date or a time is none.
PHONE = re.compile(r"(?<![\w:.-])\+?\(?\d(?:[ ()/.-]{0,2}\d){6,}(?![\w:])")
TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.]+(?:Z|[+-]\d\d:\d\d)?)?")
# The user and the password of a URL, which may have `@`, `?` and `#` that are not encoded, and its query.
URL_SECRETS = re.compile(r"(?<=://)(?:[^/?#\s]*+[?#][^/@\s]*+@[^/\s]*+|[^/?#\s]+(?=@))|(?<=\?)[^\s\"'<>]+")
HIDDEN = "•••"
# Maximum depth of data that is shown.
MAX_DEPTH = 20


def masked_text(text: str) -> str:
    """Return a text without e-mail addresses and phone numbers."""
    text = WORD.sub(lambda word: _address(word[0]) if word[1] else word[0], URL_SECRETS.sub(HIDDEN, text))
    if TIME.fullmatch(text):
        return text
    return PHONE.sub(lambda match: match[0] if TIME.fullmatch(match[0]) else HIDDEN + match[0][-2:], text)


def masked(value: Any, private: Mapping[str, Any] | None = None, depth: int = 0) -> Any:
    """Return data without addresses, phone numbers, names, and values of fields that are named like secrets or that their
    JSON Schema `private` marks as `x-private`."""
    schema = private or {}
    if schema.get("x-private") or depth > MAX_DEPTH:
        return _hidden(value)
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        return {
            masked_text(name): _hidden(one)
            if PRIVATE_FIELD.search(name) and not isinstance(one, dict | list)
            else masked(one, properties.get(name), depth + 1)
            for name, one in value.items()
        }
    if isinstance(value, list):
        items = schema.get("items")
        return [masked(one, items if isinstance(items, dict) else None, depth + 1) for one in value]
    return masked_text(value) if isinstance(value, str) else value


def _hidden(value: Any) -> Any:
    """Return a value of the same type that tells nothing but its first character."""
    if isinstance(value, str):
        if (word := WORD.fullmatch(value)) is not None and word[1]:
            return _address(value)
        return value[:1] + HIDDEN if value and value[0].isalpha() else HIDDEN
    if isinstance(value, dict):
        return {masked_text(name): _hidden(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_hidden(one) for one in value]
    return value if isinstance(value, bool) or value is None else 0


def _address(text: str) -> str:
    local, _, domain = text.partition("@")
    return f"{local[:1]}{HIDDEN}@{domain[:1]}{HIDDEN}.{domain.rpartition('.')[2]}"
