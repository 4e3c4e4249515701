"""The port between the store's SQL and a database."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, ParamSpec, Protocol, TypeVar

from msgspec import Struct

from bellcast.kernel.db.commit.command import PROBE, ListCommand, WriteCommand
from bellcast.kernel.db.commit.writer import Writer
from bellcast.kernel.db.script import Script
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


class Engine(Protocol):
    """One database. It receives functions and commands that start a script, so that it can run a script again.

    Raises Unavailable when the database cannot be reached and DiskFull when it is full; then nothing was written.
    """

    schema: StoreSchema

    async def open(self) -> None:
        """Connect and migrate under a lock."""
        ...

    async def read(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a script that writes nothing. Only after the statement `snapshot` do several statements see the same
        state."""
        ...

    async def read_in_background(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `read`, for long scripts: other reads do not wait for them."""
        ...

    async def write(self, command: WriteCommand[T]) -> T:
        """Run a command in a transaction and return after its commit. If it raises, it wrote nothing."""
        ...

    def write_without_waiting(self, command: WriteCommand[Any]) -> None:
        """Queue a command whose result does not matter, and which may fail."""
        ...

    def write_items(self, command: ListCommand[Any, T]) -> AsyncIterator[list[T | Exception]]:
        """Write the items in order, each atomically. Yield their results in order, after each commit; an exception is
        the result of the item that raised it."""
        ...

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Set the shares of tenants that compete."""
        ...

    async def ping(self) -> None:
        """Raise Unavailable unless the database can be read and written."""
        ...

    def clear_log(self) -> None:
        """Soon delete content from the database's log that is no longer in its tables, if the engine can."""
        ...

    async def close(self) -> None:
        """Finish running scripts, then disconnect."""
        ...


class WritingEngine:
    """The part of an Engine that writes, for both databases."""

    def __init__(self, schema_version: int) -> None:
        self.schema = StoreSchema(schema_version)
        self._writer: Writer | None = None

    async def write(self, command: WriteCommand[T]) -> T:
        return await self._open_writer().write(command)

    def write_without_waiting(self, command: WriteCommand[Any]) -> None:
        self._open_writer().write_without_waiting(command)

    def write_items(self, command: ListCommand[Any, T]) -> AsyncIterator[list[T | Exception]]:
        return self._open_writer().write_items(command)

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise Unavailable("The store is closed.")
        return self._writer

    def set_weights(self, weights: Mapping[str, float]) -> None:
        if self._writer is not None:
            self._writer.set_weights(weights)

    def clear_log(self) -> None:
        """Do nothing: the log is the database server's."""

    async def ping(self) -> None:
        """Raise Unavailable unless the database can be written. SQLite takes the write lock; PostgreSQL runs a writable
        transaction."""
        await self.write(PROBE)

    async def _close_writer(self) -> None:
        """Commit all queued commands, and refuse further ones."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()
