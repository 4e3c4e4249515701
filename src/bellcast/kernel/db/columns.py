"""Columns as values and back: compact JSON texts, and rows as objects."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from bellcast.kernel.db.script import Row

T = TypeVar("T", bound=Struct)
_texts = msgspec.json.Decoder(tuple[str, ...])
json_object = msgspec.json.Decoder(dict[str, Any]).decode
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


def reader(item_type: type[T], names: str = "", **decoded: Callable[[Any], Any]) -> Callable[[Row], T]:
    """Return the function that makes an object of a row. `names` are those of its columns, by default the fields of the object in
    their order; `decoded` has the functions that decode some of them."""
    fields = names.split() or item_type.__struct_fields__

    def read(row: Row) -> T:
        values = dict(zip(fields, row, strict=False))  # the last fields may have defaults
        for name, decode in decoded.items():
            values[name] = decode(values[name])
        return item_type(**values)

    return read
