"""Stored values as clients see them."""

from datetime import UTC, datetime

from msgspec import Struct

from bellcast.kernel.http import responses


class Stored(Struct):
    tenant: str
    key: str
    created_at: int
    ended_at: int | None


class Shown(Struct):
    tenant: str | None
    key: str
    state: str
    created_at: datetime
    ended_at: datetime | None


def test_items_have_the_fields_of_the_stored_value_and_their_own():
    stored = Stored("acme", "ann", 1_000, None)
    found = responses.item(Shown, stored, state="open", key="bob")
    assert found == Shown("acme", "bob", "open", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), None)


def test_items_of_the_default_tenant_have_none():
    assert responses.item(Shown, Stored("", "ann", 0, 5), state="open").tenant is None
