"""The port between the store's SQL and a database, and scripts as methods that callers await."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from msgspec import Struct

from bellcast.kernel.db.lists import KeysetList, ListPage, ListQuery
from bellcast.kernel.db.script import PROBE, ListCommand, LockKey, Script, ScriptCommand, WriteCommand
from bellcast.kernel.db.writer import QueuedCommand, ScriptOutcome, Writer, cut, is_unavailable
from bellcast.kernel.errors import Unavailable


class StoreMigration(Struct, frozen=True, rename={"before": "from"}):
    """The schema version before, the one after, and the one to which the current step leads."""

    before: int
    to: int
    step: int


class StoreSchema(Struct):
    """The schema version that this release writes, and the migration to it that runs now, maybe in another process."""

    version: int
    migration: StoreMigration | None = None


P = ParamSpec("P")
T = TypeVar("T")


class Engine(ABC):
    """One database. It receives functions and commands that start a script, so that it can run a script again. Commands enter the
    writer's queue, and callers wait for their results.

    Raises Unavailable when the database cannot be reached and DiskFull when it is full; then nothing was written.
    """

    def __init__(self, schema_version: int) -> None:
        self.schema = StoreSchema(schema_version)
        self.span: Callable[[WriteCommand[Any]], AbstractContextManager[object]] = nullcontext  # of a trace
        self._writer: Writer | None = None

    @abstractmethod
    async def open(self) -> None:
        """Connect and migrate under a lock."""

    @abstractmethod
    async def read(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a script that writes nothing. Only after the statement `snapshot` do several statements see the same
        state."""

    @abstractmethod
    async def read_in_background(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `read`, for long scripts: other reads do not wait for them."""

    async def write(self, command: WriteCommand[T]) -> T:
        """Run a command in a transaction and return after its commit. If it raises, it wrote nothing."""
        with self.span(command):
            return await self._run(command)

    async def _run(self, command: WriteCommand[T]) -> T:
        (entry,) = self._enqueue([command], command.tenant)
        result = await entry.result
        if isinstance(result, Exception):
            raise result
        written: T = result
        return written

    def write_without_waiting(self, command: WriteCommand[Any]) -> None:
        """Queue a command whose result does not matter, and which may fail."""
        self._enqueue([command], command.tenant)

    async def write_items(self, command: ListCommand[Any, T]) -> AsyncIterator[list[T | Exception]]:
        """Write the items in order, each atomically. Yield their results in order, after each commit; an exception is
        the result of the item that raised it."""
        if not command.items:
            return
        ready: list[T | Exception] = []
        with self.span(command):
            for entry in self._enqueue(list(cut(command)), command.tenant):
                if ready and not entry.result.done():
                    yield ready
                    ready = []
                ready += await self._results_of(entry)
            yield ready

    async def _results_of(self, entry: QueuedCommand) -> list[ScriptOutcome]:
        result, command = await entry.result, entry.command
        if not isinstance(result, Exception):
            return list(result)
        if not isinstance(command, ListCommand):
            return [result]
        # An error that the database is unavailable or full is one of all items, any other is caused by one item.
        if len(command.items) == 1 or is_unavailable(result):
            return [result] * len(command.items)
        alone = self._enqueue([command.with_items([item]) for item in command.items], entry.tenant)
        return [one for each in alone for one in await self._results_of(each)]

    @property
    def _enqueue(self) -> Callable[[Sequence[WriteCommand[Any]], str], list[QueuedCommand]]:
        if self._writer is None:
            raise Unavailable("The store is closed.")
        return self._writer.enqueue

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Set the shares of tenants that compete."""
        if self._writer is not None:
            self._writer.set_weights(weights)

    def clear_log(self) -> None:
        """Soon delete content from the database's log that is no longer in its tables, if the log is this process's."""
        return

    async def ping(self) -> None:
        """Raise Unavailable unless the database can be written. SQLite takes the write lock; PostgreSQL runs a writable
        transaction. Without a span: probes would fill a trace."""
        await self._run(PROBE)

    @abstractmethod
    async def close(self) -> None:
        """Finish running scripts, then disconnect."""

    async def _close_writer(self) -> None:
        """Commit all queued commands, and refuse further ones."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()


# --- tables: a method with one of these decorators is a script, which yields statements and returns its result. Called on a table,
# it runs on the table's engine.


class StoreTable:
    """Scripts on one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine


S = TypeVar("S", bound=StoreTable)
Awaited: TypeAlias = Coroutine[Any, Any, T]


def read(script: Callable[Concatenate[S, P], Script[T]]) -> Callable[Concatenate[S, P], Awaited[T]]:
    """Run a script that writes nothing (`Engine.read`)."""

    @wraps(script)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Awaited[T]:
        return self._engine.read(script, self, *args, **kwargs)

    return run


def read_in_background(script: Callable[Concatenate[S, P], Script[T]]) -> Callable[Concatenate[S, P], Awaited[T]]:
    """Run a long script that writes nothing (`Engine.read_in_background`)."""

    @wraps(script)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Awaited[T]:
        return self._engine.read_in_background(script, self, *args, **kwargs)

    return run


def on_table(script: Callable[P, Script[T]]) -> Callable[Concatenate[StoreTable, P], Script[T]]:
    """Return a method of a script that other scripts run as well."""

    @wraps(script)
    def run(_: StoreTable, /, *args: P.args, **kwargs: P.kwargs) -> Script[T]:
        return script(*args, **kwargs)

    return run


def pages(listed: KeysetList[T]) -> Callable[[StoreTable, ListQuery], Awaited[ListPage[T]]]:
    """Return a method that reads a page of a list (`Engine.read_in_background`)."""

    def page(self: StoreTable, query: ListQuery) -> Awaited[ListPage[T]]:
        return self._engine.read_in_background(listed.page, query)

    return page


def write(
    *fixed: LockKey, locks: Callable[..., Iterable[LockKey]] | None = None, **options: bool
) -> Callable[[Callable[Concatenate[S, P], Script[T]]], Callable[Concatenate[S, P], Awaited[T]]]:
    """Run a script in a transaction. It takes the fixed locks, or those that `locks` returns for the script's arguments;
    without either it must not change an inbox. The options are those of ScriptCommand."""

    def decorated(script: Callable[Concatenate[S, P], Script[T]]) -> Callable[Concatenate[S, P], Awaited[T]]:
        @wraps(script)
        def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Awaited[T]:
            keys = fixed if locks is None else locks(*args, **kwargs)
            command = ScriptCommand(lambda: script(self, *args, **kwargs), keys, **options)
            return self._engine.write(command)

        return run

    return decorated


# Run a script that changes the inbox whose number is its first argument.
write_to_inbox = write(locks=lambda inbox, *_, **__: (inbox,))
# Run a script that changes the inbox of the recipient of its first two arguments, tenant and key, or creates it.
write_to_recipient = write(locks=lambda tenant, key, *_, **__: ((tenant, key),))
