"""Scripts: plain generators that yield statements, receive their rows, and return a result.

A script never awaits and never opens a transaction, so the same script runs on every database; the engine provides both.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct

T = TypeVar("T")

# Rows are accessed by position, in the order of the selected columns: unpacking is the fastest access on every driver.
Row: TypeAlias = tuple[Any, ...]
Params: TypeAlias = Mapping[str, Any]
NO_PARAMS: Params = {}
# Upper bound of keys with a prefix: the prefix followed by the last code point.
AFTER_ALL_KEYS = "\U0010ffff"


class Statement(Struct, frozen=True):
    """A named statement of a `.sql` file with its parameters.

    `many` runs it once for each parameter set and yields no rows. `heavy` marks a statement that may access all rows of
    a large inbox, and must not run on the event loop's thread.
    """

    name: str
    params: Params = NO_PARAMS
    many: Sequence[Params] | None = None
    heavy: bool = False


Script: TypeAlias = Generator[Statement, list[Row], T]


def fetch(statement: Statement) -> Script[list[Row]]:
    """Run a single statement and return its rows."""
    return (yield statement)


def first(statement: Statement, convert: Callable[[Row], T]) -> Script[T | None]:
    """Run a single statement and return its first row, converted; None without rows."""
    found = yield statement
    return convert(found[0]) if found else None


class WriteConflict(Exception):
    """Another process wrote a row that this script expected to be missing: the script must run again."""
