"""SQLite engine: reads run directly on the event loop, and writes share a transaction with all waiting writers.

A statement takes 3 to 10 µs; running it in another thread adds 60 µs. So statements run inline. Only the commit, which
waits for the disk, and heavy statements run outside the event loop's thread.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any

import structlog

from bellcast.kernel.clock import Clock
from bellcast.kernel.concurrency import MAX_BACKOFF_SECONDS, start_thread
from bellcast.kernel.db import backup
from bellcast.kernel.db.engine import Engine, P, T
from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.script import Script, WriteCommand
from bellcast.kernel.db.sqlite_connection import (
    WRITER_CACHE,
    FolderLock,
    SqliteConnection,
    check_log,
    connect,
    log_of,
    renew_identity,
    translated,
)
from bellcast.kernel.db.writer import (
    SMALL_BATCH_SECONDS,
    SQLITE,
    BatchFailed,
    QueuedCommand,
    ScriptOutcome,
    Writer,
    can_merge,
    is_unavailable,
    merge,
    run_in_order,
    split_results,
)
from bellcast.kernel.errors import BellcastError, SettingsError, Unavailable

log = structlog.get_logger(__name__)

# Erasures within this time share one clearing of the log. It makes writers wait until the file system has shortened the
# log: about 10 ms, 60 ms for 64 MiB on a slow disk.
CLEAR_DELAY_SECONDS = 1.0
MIN_VERSION = (3, 37)  # STRICT tables; RETURNING needs 3.35
# Lock timeout, in milliseconds of real time: a test clock may stand still. Other programs, such as backups, hold the
# write lock for milliseconds.
BUSY_TIMEOUT = 5_000
RETRY_DELAY = 0.01


class SqliteBatch:
    """The entries of one transaction, which accepts more while it runs. With `small_only`, it accepts no bulk
    entries."""

    def __init__(self, *, contended: bool, small_only: bool) -> None:
        self.entries: list[QueuedCommand] = []
        self.small_only = small_only
        self._bulk_limit = SQLITE.contended_bulk if contended else SQLITE.bulk
        self._merged_limit = SQLITE.contended_merged if contended else SQLITE.merged
        self._small_rows = self.bulk_rows = 0
        self._closes_at = inf

    def accepts(self, entry: QueuedCommand) -> bool:
        """Return whether the batch accepts the entry. A small command waits for at most one bulk entry."""
        if perf_counter() >= self._closes_at:
            return False
        if entry.is_small:
            return self._small_rows < SQLITE.small
        limit = SQLITE.contended_bulk if self._small_rows else self._bulk_limit
        return not self.bulk_rows or self.bulk_rows + entry.rows <= limit

    def merges(self, run: Sequence[QueuedCommand], rows: int, entry: QueuedCommand) -> bool:
        """Return whether an entry can be merged with the preceding run, which has `rows` rows."""
        return (
            entry.is_small == run[-1].is_small
            and rows + entry.rows <= (SQLITE.small if entry.is_small else self._merged_limit)
            and can_merge([run[-1].command, entry.command])
        )

    def add(self, entry: QueuedCommand) -> None:
        self.entries.append(entry)
        if not entry.is_small:
            self.bulk_rows += entry.rows
            return
        if not self._small_rows:
            self._closes_at = perf_counter() + SMALL_BATCH_SECONDS
        self._small_rows += entry.rows


class SqliteWriter(Writer):
    """The only writer of the database."""

    def __init__(self, connection: SqliteConnection) -> None:
        super().__init__()
        self._connection = connection
        self._turn = asyncio.Lock()  # of a batch or a checkpoint
        self._work: asyncio.Task[None] | None = None
        self._small_arrived = asyncio.Event()
        self._backoff_until = 0.0

    async def close(self) -> None:
        if self._work is not None:
            await self._work
        self._connection.close()

    def _start(self, *, small: bool) -> None:
        if small:
            self._small_arrived.set()
        if self._work is None:
            self._work = asyncio.get_running_loop().create_task(self._work_off())

    async def _work_off(self) -> None:
        try:
            while self._queue:
                # While small commands arrive, pause after a bulk batch for its duration, unless small work is waiting. Live
                # connections and other processes get the disk and the processor.
                self._small_arrived.clear()
                if self._is_backing_off and self._queue.next(bulk=False) is None:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._small_arrived.wait(), self._backoff_until - perf_counter())
                began = perf_counter()
                async with self._turn:
                    has_bulk = await self._commit_batch()
                if has_bulk and self._contention:
                    self._backoff_until = perf_counter() + min(perf_counter() - began, MAX_BACKOFF_SECONDS)
        finally:
            self._work = None

    async def clear_log(self) -> bool:
        """Empty the log between two batches; return False if a reader still uses it."""
        async with self._turn:
            return await self._connection.checkpoint("TRUNCATE")

    @property
    def _is_backing_off(self) -> bool:
        return perf_counter() < self._backoff_until

    async def _commit_batch(self) -> bool:
        """Run and commit one batch; return whether it had bulk entries."""
        current = SqliteBatch(contended=bool(self._contention), small_only=self._is_backing_off)
        results: list[ScriptOutcome] = []
        alone: list[list[QueuedCommand]] = []  # entries of a merged script that failed
        try:
            await self._begin()
            self._connection.yield_periodically()
            while run := alone.pop(0) if alone else self._next_run(current):
                commands, written = [entry.command for entry in run], self._connection.raw.total_changes
                try:
                    result = await self._connection.run(merge(commands).script())
                except Exception as error:
                    result, is_over = translated(error), not self._connection.raw.in_transaction
                    if is_over or self._connection.raw.total_changes != written or is_unavailable(result):
                        raise BatchFailed from error
                    if len(run) > 1:
                        alone = [[entry] for entry in run]
                        continue
                results += split_results(commands, result)
            await self._connection.in_thread(self._connection.raw.execute, "COMMIT")
        except BatchFailed:
            self._connection.roll_back()
            results = await run_in_order([entry.command for entry in current.entries], self._run_alone)
        except Exception as error:  # noqa: BLE001  every caller gets the error
            self._connection.roll_back()
            current.entries = current.entries or self._queue.clear()
            results = [translated(error)] * len(current.entries)
        for entry, result in zip(current.entries, results, strict=True):
            entry.settle(result)
        return current.bulk_rows > 0

    async def _begin(self) -> None:
        """Take the write lock. Waits for other programs without blocking the event loop."""
        deadline = perf_counter() + BUSY_TIMEOUT / 1000
        while True:
            try:
                self._connection.raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or perf_counter() >= deadline:
                    raise
            else:
                return
            await asyncio.sleep(RETRY_DELAY)

    def _next_run(self, current: SqliteBatch) -> list[QueuedCommand]:
        """Dequeue the next entry and the following ones that can be merged with it. Cancelled entries are dropped."""
        run: list[QueuedCommand] = []
        rows = 0
        while (entry := self._queue.next(bulk=not current.small_only)) is not None and current.accepts(entry):
            if run and not current.merges(run, rows, entry):
                break
            self._queue.dequeue(entry)
            if entry.is_pending:
                current.add(entry)
                run.append(entry)
                rows += entry.rows
        return run

    async def _run_alone(self, command: WriteCommand[Any]) -> ScriptOutcome:
        """Run one command in its own transaction."""
        try:
            await self._begin()
            result = await self._connection.run(command.script())
            await self._connection.in_thread(self._connection.raw.execute, "COMMIT")
        except Exception as error:  # noqa: BLE001  the command's own caller gets the error
            self._connection.roll_back()
            return translated(error)
        return result


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
            check_log(self._path, self._lock)
            # A server was killed, but the log that it left is not there. Checked before a connection creates one.
            is_replaced = self._lock.is_in_use and not log_of(self._path).exists()
            # In a thread of its own: after all migrations it leaves 1 MB, which is free for others once it has ended.
            await start_thread("migration", partial(self._migrate, is_replaced=is_replaced))
            self._reader = SqliteConnection(connect(self._path))
            self._background = SqliteConnection(connect(self._path), off_loop=True)
            self._writer = SqliteWriter(SqliteConnection(connect(self._path, cache=WRITER_CACHE)))
            self._lock.note(is_in_use=log_of(self._path).exists())
        except BaseException as error:
            await self.close()
            if not isinstance(error, sqlite3.Error | OSError):
                raise
            failure = translated(error)
            is_known = isinstance(failure, BellcastError)
            raise type(failure)(f"{self._path.absolute()}: {failure}") if is_known else failure from error

    def _migrate(self, *, is_replaced: bool) -> None:
        if is_replaced:
            log.warning("store_replaced", effect="live clients fetch their inboxes again")
        first = connect(self._path)
        try:
            if migrations.pending(first):
                migrations.migrate(first, self.schema)
            renew_identity(first, self._lock, replaced=is_replaced)
        finally:
            first.close()
            self.schema.migration = None
        log_file = log_of(self._path)
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
                    await self._reader.in_thread(renew_identity, self._reader.raw, self._lock)
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
