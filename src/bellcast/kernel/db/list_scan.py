"""Pages of lists whose filters examine a bounded number of rows."""

from typing import NamedTuple, TypeVar

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
