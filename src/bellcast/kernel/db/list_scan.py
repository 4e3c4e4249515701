"""Pages of lists whose filters examine a bounded number of rows."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from msgspec import Struct

from bellcast.kernel.db.script import Params, Row, Script, Statement

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


# Rows examined at first, which take 2 ms; for most filters, they contain a full page.
FIRST_SCANNED_ROWS = 1_000


def by_id(last_row: str, page: str, params: Params) -> Script[tuple[Sequence[Row], str | None]]:
    """Run the statement `page`, bounded by the id that the statement `last_row` finds. Return its rows, newest first,
    and the last examined id if more may follow."""
    first = yield from newest(last_row, page, params, FIRST_SCANNED_ROWS)
    if first[1] is None:
        return first
    return (yield from newest(last_row, page, params, MAX_SCANNED_ROWS))


def newest(last_row: str, page: str, params: Params, scanned: int) -> Script[tuple[Sequence[Row], str | None]]:
    """Like `by_id`, with one bound."""
    skipped = min(scanned, MAX_SCANNED_ROWS) - 1
    last = yield Statement(last_row, {**params, "skipped": skipped}, heavy=True)
    bound = last[0][0] if last else params["since"]
    found = yield Statement(page, {**params, "since": bound}, heavy=True)
    return found, bound if last and len(found) < params["limit"] else None


def count_by_id(last_row: str, total: str, params: Params) -> Script[ListTotal]:
    """Count with the statement `total`, bounded by the id that the statement `last_row` finds. The count is exact if
    there is no older row."""
    last = yield Statement(last_row, {**params, "skipped": MAX_SCANNED_ROWS - 1}, heavy=True)
    ((number,),) = yield Statement(total, {**params, "since": last[0][0] if last else params["since"]}, heavy=True)
    return ListTotal(int(number), exact=not last)
