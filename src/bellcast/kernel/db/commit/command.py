"""Write commands: a script, its locks, and its rules for merging.

A new kind of write needs a command in the module of its scripts: a `ScriptCommand`, or a `ListCommand` if the items of
many callers can share statements.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Self, TypeAlias, TypeVar

from bellcast.kernel.db.script import Script, Statement, fetch

T = TypeVar("T")
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
