"""SQLite engine: reads run directly on the event loop, and writes share a transaction with all waiting writers.

A statement takes 3 to 10 µs; running it in another thread adds 60 µs. So statements run inline. Only the commit, which
waits for the disk, and heavy statements run outside the event loop's thread.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog

from bellcast.kernel.clock import Clock
from bellcast.kernel.db import backup, sqlite_identity
from bellcast.kernel.db.commit.sqlite_writer import SqliteWriter
from bellcast.kernel.db.engine import Engine, P, T
from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.script import Script
from bellcast.kernel.db.sqlite_connection import WRITER_CACHE, SqliteConnection, connect, translated
from bellcast.kernel.db.sqlite_identity import FolderLock
from bellcast.kernel.errors import BellcastError, SettingsError, Unavailable

log = structlog.get_logger(__name__)

# Erasures within this time share one clearing of the log. It makes writers wait until the file system has shortened the
# log: about 10 ms, 60 ms for 64 MiB on a slow disk.
CLEAR_DELAY_SECONDS = 1.0
MIN_VERSION = (3, 37)  # STRICT tables; RETURNING needs 3.35


class SqliteEngine(Engine):
    """An Engine on one file, which only one server can open."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(max(migrations.steps()))
        self._path = path
        self._clock = clock
        self._lock = FolderLock(path)
        self._reader: SqliteConnection | None = None
        self._background: SqliteConnection | None = None
        self._background_lock = asyncio.Lock()
        self._is_log_due = False
        self._clearing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Lock the folder, migrate and connect. Raises Conflict if another server uses the folder."""
        if sqlite3.sqlite_version_info < MIN_VERSION:
            raise SettingsError(f"SQLite {sqlite3.sqlite_version} is too old: Bellcast needs 3.37 (2021) or newer.")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # notifications are private
            self._lock.acquire()
            backup.discard_restore(self._path)
            sqlite_identity.check_log(self._path, self._lock)
            # A server was killed, but the log that it left is not there. Checked before a connection creates one.
            is_replaced = self._lock.is_in_use and not sqlite_identity.log_of(self._path).exists()
            await asyncio.to_thread(self._migrate, is_replaced=is_replaced)
            self._reader = SqliteConnection(connect(self._path))
            self._background = SqliteConnection(connect(self._path), off_loop=True)
            self._writer = SqliteWriter(SqliteConnection(connect(self._path, cache=WRITER_CACHE)))
            self._lock.note(is_in_use=sqlite_identity.log_of(self._path).exists())
        except BaseException as error:
            await self.close()
            if not isinstance(error, sqlite3.Error | OSError):
                raise
            failure = translated(error)
            is_known = isinstance(failure, BellcastError)
            raise type(failure)(f"{self._path.absolute()}: {failure}") if is_known else failure from error

    def _migrate(self, *, is_replaced: bool) -> None:
        if is_replaced:
            sqlite_identity.warn_replaced()
        first = connect(self._path)
        try:
            if migrations.pending(first):
                migrations.migrate(first, self.schema)
            sqlite_identity.renew(first, self._lock, replaced=is_replaced)
        finally:
            first.close()
            self.schema.migration = None
        log_file = sqlite_identity.log_of(self._path)
        if not log_file.exists() or log_file.stat().st_size == 0:  # closing the last connection has emptied it
            self._lock.note(in_file=self._lock.identities[0], is_in_use=False)

    def read(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """Run a script inline."""
        return _read(self._reader, script(*args, **kwargs))

    async def read_in_background(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a script in a thread, on a separate connection."""
        async with self._background_lock:
            return await _read(self._background, script(*args, **kwargs))

    def clear_log(self) -> None:
        self._is_log_due = True
        if self._clearing is None and self._background is not None and isinstance(self._writer, SqliteWriter):
            clearing = self._clear_log(self._background, self._writer)
            self._clearing = asyncio.get_running_loop().create_task(clearing)

    async def _clear_log(self, background: SqliteConnection, writer: SqliteWriter) -> None:
        """Write the log's pages to the file and empty it, which overwrites deleted content. Again if something was
        erased in the meantime, or while a reader uses the log."""
        try:
            while self._is_log_due:
                await self._clock.sleep(CLEAR_DELAY_SECONDS)
                self._is_log_due = False
                # Writers go on while nearly all pages are copied, so that they wait for few.
                async with self._background_lock:
                    await background.checkpoint("PASSIVE")
                self._is_log_due |= not await writer.clear_log()
        except sqlite3.Error as error:
            log.warning("log_clear_failed", reason=str(error))
        finally:
            self._clearing = None

    async def close(self) -> None:
        """Commit all queued commands, close the file and release the folder."""
        if self._clearing is not None:
            self._clearing.cancel()
            await asyncio.gather(self._clearing, return_exceptions=True)
        await self._close_writer()
        async with self._background_lock:
            if self._reader is not None:
                with contextlib.suppress(sqlite3.Error, OSError):  # a full disk; the next start knows both identities
                    await self._reader.in_thread(sqlite_identity.renew, self._reader.raw, self._lock)
            for connection in (self._background, self._reader):
                if connection is not None:
                    connection.close()
            if self._reader is not None:
                self._lock.note(is_in_use=False)
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
