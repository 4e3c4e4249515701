"""Pages of lists whose filters examine a bounded number of rows."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct

T = TypeVar("T")

# Maximum rows that one request examines. SQLite takes about 80 ms; causes of failures 0.5 s of CPU time if all reasons
# differ, in pages between which other requests run.
MAX_SCANNED_ROWS = 20_000


class CreatedRange(NamedTuple):
    """A range of creation times (UTC milliseconds): from `since` to before `until`."""

    since: int
    until: int


ANY_TIME = CreatedRange(0, 2**62)


class ListTotal(Struct, frozen=True):
    """The total number of items of all pages. Without `exact`, `value` is a lower bound."""

    value: int
    exact: bool


class ListScan(NamedTuple, Generic[T]):
    """A page of rows. If the bound was reached before the page was full, `scanned_until` is the cursor of the last
    examined row."""

    rows: list[T]
    scanned_until: str | None


def newest(pages: Sequence[ListScan[T]], limit: int, id_of: Callable[[T], str]) -> ListScan[T]:
    """Merge pages by descending id."""
    # Below the end of one search, its rows may be missing.
    end = max((one.scanned_until for one in pages if one.scanned_until is not None), default="")
    rows = sorted((row for page in pages for row in page.rows if id_of(row) >= end), key=id_of, reverse=True)
    return ListScan(rows[:limit], None if len(rows) >= limit else end or None)
