"""Pages of lists whose filters compare a bounded number of rows."""

from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct

T = TypeVar("T")


class CreatedRange(NamedTuple):
    """Created since one time and before another (UTC milliseconds)."""

    since: int
    until: int


ANY_TIME = CreatedRange(0, 2**62)


class KeyScan(NamedTuple, Generic[T]):
    """A page of rows of several tenants, by tenant and key. `scanned_until` is the tenant and the key of the last compared row,
    if the bound was reached and few matched."""

    rows: list[T]
    scanned_until: tuple[str, str] | None


class ListTotal(Struct, frozen=True):
    """How many items all pages have together. Without `exact`, there are at least `value`."""

    value: int
    exact: bool


class ListScan(NamedTuple, Generic[T]):
    """A page of rows. `scanned_until` is the cursor of the last compared row, if the bound was reached and few matched."""

    rows: list[T]
    scanned_until: str | None
