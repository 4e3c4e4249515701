"""Rows as objects."""

from msgspec import Struct

from bellcast.kernel.db import columns


class Item(Struct, kw_only=True):
    key: str
    tags: tuple[str, ...]
    seen_at: int | None = None


def test_readers_decode_columns_by_name():
    assert columns.reader(Item, "tags key", tags=columns.texts)(('["a"]', "x")) == Item(key="x", tags=("a",))


def test_readers_without_names_have_the_fields_in_their_order():
    assert columns.reader(Item, tags=columns.texts)(("x", "[]", 5)) == Item(key="x", tags=(), seen_at=5)
