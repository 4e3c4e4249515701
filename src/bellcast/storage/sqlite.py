"""SQLite behind the scripts: reads run at once on the loop, writes share a transaction with everyone who waits.

A statement takes 3 to 10 µs; handing it to a thread and back takes 60 µs more. So statements run inline, and only the
commit, which waits for the disk, and what calls itself heavy leave the loop's thread.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from bellcast import ports
from bellcast.errors import SettingsError, Unavailable
from bellcast.storage.engine import I, P, Script, T
from bellcast.storage.lock import FolderLock
from bellcast.storage.locks import NO_TENANT, ScriptCall, tenant_of
from bellcast.storage.migrations import sqlite as migrations
from bellcast.storage.sqlite_connection import WRITER_CACHE, SqliteConnection, connect, texts, translated
from bellcast.storage.sqlite_writer import SqliteWriter

MIN_VERSION = (3, 37)  # STRICT tables; RETURNING came with 3.35


class SqliteEngine:
    """An Engine on one file. `exclusive` is a server's way to open it: one at a time; tools look in beside it."""

    def __init__(self, path: Path, clock: ports.Clock, *, exclusive: bool = True) -> None:
        self._path = path
        self._clock = clock
        self._exclusive = exclusive
        self._lock = FolderLock(path)
        self._reader: SqliteConnection | None = None
        self._background: SqliteConnection | None = None
        self._aside_free = asyncio.Lock()
        self._writer: SqliteWriter | None = None

    async def open(self) -> None:
        """Take the folder, bring the tables up to date, connect. Conflict if another server is there."""
        if sqlite3.sqlite_version_info < MIN_VERSION:
            raise SettingsError(f"SQLite {sqlite3.sqlite_version} is too old: Bellcast needs 3.37 (2021) or newer.")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # what people are told is theirs
            if self._exclusive:
                self._lock.acquire()
            self._migrate()
            self._connect()
        except BaseException as error:
            await self.close()
            if isinstance(error, sqlite3.Error | OSError):
                raise translated(error) from error
            raise

    def _migrate(self) -> None:
        first = connect(self._path)
        try:
            if migrations.pending(first):
                if not self._exclusive:
                    self._lock.acquire()
                migrations.migrate(first)
        finally:
            first.close()
            if not self._exclusive:
                self._lock.release()

    def _connect(self) -> None:
        known = texts()
        self._reader = SqliteConnection(connect(self._path), known)
        self._background = SqliteConnection(connect(self._path), known, aside=True)
        self._writer = SqliteWriter(SqliteConnection(connect(self._path, cache=WRITER_CACHE), known), self._clock)

    def read(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """Run it now, inline."""
        return _read(self._reader, script(*args, **kwargs))

    async def read_in_background(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it in a thread, on a connection of its own."""
        async with self._aside_free:
            return await _read(self._background, script(*args, **kwargs))

    async def write(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it in the next shared transaction; return when that is on the disk."""
        (outcome,) = await self._submit([ScriptCall(script, args, kwargs)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def write_each(self, script: Callable[[I], Script[T]], items: Sequence[I], /) -> list[T | Exception]:
        """Run it for each item in one shared transaction."""
        return await self._submit([ScriptCall(script, (item,)) for item in items])

    async def _submit(self, starts: list[ScriptCall]) -> list[T | Exception]:
        if self._writer is None:
            raise Unavailable("The store is closed.")
        # Whoever is named first, names the tenant: looking at all would cost each row of a large send 1 µs.
        tenant = tenant_of([starts[0].inboxes]) if starts else NO_TENANT
        return await self._writer.submit([*starts], tenant)

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Shares of tenants that wait for each other."""
        if self._writer is not None:
            self._writer.set_weights(weights)

    async def ping(self) -> None:
        """Read one page and take the write lock once."""
        await self.write(_nothing)

    async def close(self) -> None:
        """Commit what waits, then close the file and let the folder go."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()
        async with self._aside_free:
            for connection in (self._background, self._reader):
                if connection is not None:
                    connection.close()
            self._background = self._reader = None
        self._lock.release()


async def _read(connection: SqliteConnection | None, script: Script[T]) -> T:
    if connection is None:
        raise Unavailable("The store is closed.")
    try:
        return await connection.run(script)
    except sqlite3.Error as error:
        raise translated(error) from error
    finally:
        connection.end()


def _nothing() -> Script[None]:
    return
    yield
