"""Columns as values and back: compact JSON texts."""

from typing import Any

import msgspec

_texts = msgspec.json.Decoder(tuple[str, ...])
_object = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode


def to_json(value: Any) -> str:
    """Encode a value as compact JSON text."""
    return _encode(value).decode()


def to_json_or_null(value: Any) -> str | None:
    """Like `to_json`, but an empty value becomes None."""
    return _encode(value).decode() if value else None


def texts(json: str) -> tuple[str, ...]:
    """Decode a JSON list of texts."""
    return () if json == "[]" else _texts.decode(json)


def texts_or_null(json: str | None) -> tuple[str, ...] | None:
    """Like `texts`, but null stays None."""
    return None if json is None else texts(json)


def json_object(json: str) -> dict[str, Any]:
    """Decode a JSON object."""
    return _object.decode(json)
