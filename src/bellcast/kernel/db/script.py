"""Scripts: plain generators that yield statements, receive their rows, and return a result.

A script never awaits and never opens a transaction, so the same script runs on every database; the engine provides both. A script
that writes is run by a command, which has its locks and its rules for merging: a `ScriptCommand`, or a `ListCommand` if the items
of many callers can share statements.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Self, TypeAlias, TypeVar

from msgspec import Struct

from bellcast.kernel.errors import TenantErased

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


# Instead of a recipient's key, which has no control character: in the lock of what creates objects of a tenant or erases it,
# and in the digest under which the end of its erasure is stored.
TENANT_LOCK, ERASURE = "\x01tenant", "\x1f"
# No request takes longer. An erasure further ahead was made before the clock was set back.
REQUEST_MS = 300_000


def digest(tenant: str, key: str) -> str:
    """Return the digest that is stored for an erased recipient, so that its earlier sessions stay refused."""
    return hashlib.sha256(f"{tenant}\x1f{key}".encode()).hexdigest()


def check_tenant(tenant: str, since: int) -> Script[None]:
    """Raise TenantErased if a tenant is being erased, or was since a request began: it must not create the tenant again, nor leave
    rows without one."""
    times = {"now": since, "until": since + REQUEST_MS}
    if (yield Statement("tenant_erased", {"tenant": tenant, "digest": digest(tenant, ERASURE), **times})):
        raise TenantErased


class WriteConflict(Exception):
    """Another process wrote a row that this script expected to be missing: the script must run again."""


# --- commands

Item = TypeVar("Item")

RecipientKey: TypeAlias = tuple[str, str]  # tenant and key of a recipient
# The number of an inbox, or its recipient if it may not exist yet.
LockKey: TypeAlias = int | RecipientKey
# The tenant of commands without names in their lock keys: actions of recipients, and maintenance.
NO_TENANT = "\x00"


class WriteCommand(ABC, Generic[T]):
    """An atomic write. It `is_exclusive` if its script needs its own transaction, and is retried after a conflict; `is_bulk` as a part
    of bulk work, even if it has few rows; `is_housekeeping` as maintenance of bulk work: other bulk work is not slowed down
    for it."""

    items: Sequence[Any] = ()
    is_exclusive: bool = False
    is_bulk: bool = False
    is_housekeeping: bool = False

    @abstractmethod
    def script(self) -> Script[T]:
        """Return a new run of the script. A writer may call this more than once."""

    @abstractmethod
    def lock_keys(self) -> frozenset[LockKey] | None:
        """Return the inboxes that the script writes to. An engine with many writers locks them before the script
        begins, in the same order in all writers, so that the script runs in isolation and writers do not deadlock. None
        if they are unknown: the command is then exclusive."""

    @property
    def tenant(self) -> str:
        """The tenant that is charged for the writer's time."""
        keys = (key[0] for key in self.lock_keys() or () if isinstance(key, tuple))
        return next(keys, NO_TENANT)

    @property
    def rows(self) -> int:
        """The number of rows that it writes."""
        return 1

    @property
    def is_mergeable(self) -> bool:
        """Whether it can be merged with other commands of its class."""
        return False


class ScriptCommand(WriteCommand[T]):
    """A write of about one row. Without lock keys (None) it is exclusive."""

    def __init__(
        self,
        script: Callable[[], Script[T]],
        lock_keys: Iterable[LockKey] | None,
        *,
        is_exclusive: bool = False,
        is_housekeeping: bool = False,
    ) -> None:
        self._script = script
        self._lock_keys = None if lock_keys is None else frozenset(lock_keys)
        self.is_exclusive = is_exclusive or lock_keys is None
        self.is_housekeeping = is_housekeeping

    def script(self) -> Script[T]:
        return self._script()

    def lock_keys(self) -> frozenset[LockKey] | None:
        return self._lock_keys


class PageCommand(ScriptCommand[T]):
    """A write of one page of bulk work, which has this many rows of a tenant."""

    tenant, rows, is_bulk = NO_TENANT, 1, True

    def __init__(self, script: Callable[[], Script[T]], lock_keys: Iterable[LockKey], tenant: str, rows: int) -> None:
        super().__init__(script, lock_keys)
        self.tenant, self.rows = tenant, max(1, rows)


class ListCommand(WriteCommand[list[T]], Generic[Item, T]):
    """A write with one result per item. Two consecutive runs are equivalent to one run with both lists of items, so
    batches can split and merge it freely."""

    items: Sequence[Item]

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items

    def with_items(self, items: Sequence[Item]) -> Self:
        """Return the same write for other items."""
        return type(self)(items)

    @abstractmethod
    def rows_of(self, item: Item) -> int:
        """Return the number of rows that an item adds."""

    def is_separate(self, item: Item) -> bool:
        """Return whether the item needs its own script."""
        return False

    def single_statement(self) -> WriteCommand[list[T] | None] | None:
        """Return the same write as one statement that is its own transaction, if the engine has one. It writes
        no row and returns None if `prerequisite` must run first."""
        return None

    def prerequisite(self) -> WriteCommand[None] | None:
        """Return the command that must run before `single_statement` can."""
        return None

    @property
    def rows(self) -> int:
        return sum([self.rows_of(item) for item in self.items])

    @property
    def is_mergeable(self) -> bool:
        return not self.is_separate(self.items[0])


# It fails if the database cannot be written: a read-only transaction of PostgreSQL begins nevertheless.
PROBE = ScriptCommand(lambda: fetch(Statement("probe")), None)


# --- sizes of statements

# Rows per executemany or lookup by name, about 1 ms on the event loop (SQLite) or of PostgreSQL's time.
STATEMENT_ROWS = 100
# Inboxes per transaction that materializes announcements: 5 to 8 ms, so that sends run in between.
MATERIALIZE_INBOXES = 500


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Split a list into slices of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
