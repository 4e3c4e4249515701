"""Group commit on SQLite: all waiting commands share one transaction and one disk sync.

While a commit waits for the disk, commands queue up, so a slower disk makes larger batches.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from math import inf
from time import perf_counter
from typing import Any

from bellcast.kernel.contention import MAX_BACKOFF_SECONDS
from bellcast.kernel.db.commit import batch
from bellcast.kernel.db.commit.batch import SMALL_BATCH_SECONDS, SQLITE, BatchFailed, QueuedCommand, ScriptOutcome
from bellcast.kernel.db.commit.command import WriteCommand
from bellcast.kernel.db.commit.writer import Writer
from bellcast.kernel.db.sqlite_connection import SqliteConnection, translated

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
        self._small_rows = self._bulk_rows = 0
        self._closes_at = inf

    def accepts(self, entry: QueuedCommand) -> bool:
        """Return whether the batch accepts the entry. A small command waits for at most one bulk entry."""
        if perf_counter() >= self._closes_at:
            return False
        if entry.is_small:
            return self._small_rows < SQLITE.small
        limit = SQLITE.contended_bulk if self._small_rows else self._bulk_limit
        return not self._bulk_rows or self._bulk_rows + entry.rows <= limit

    def merges(self, run: Sequence[QueuedCommand], rows: int, entry: QueuedCommand) -> bool:
        """Return whether an entry can be merged with the preceding run, which has `rows` rows."""
        return (
            entry.is_small == run[-1].is_small
            and rows + entry.rows <= (SQLITE.small if entry.is_small else self._merged_limit)
            and batch.can_merge([run[-1].command, entry.command])
        )

    def add(self, entry: QueuedCommand) -> None:
        self.entries.append(entry)
        if not entry.is_small:
            self._bulk_rows += entry.rows
            return
        if not self._small_rows:
            self._closes_at = perf_counter() + SMALL_BATCH_SECONDS
        self._small_rows += entry.rows

    @property
    def has_bulk(self) -> bool:
        return self._bulk_rows > 0


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
                    result = await self._connection.run(batch.merge(commands).script())
                except Exception as error:
                    result, is_over = translated(error), not self._connection.raw.in_transaction
                    if is_over or self._connection.raw.total_changes != written or batch.is_unavailable(result):
                        raise BatchFailed from error
                    if len(run) > 1:
                        alone = [[entry] for entry in run]
                        continue
                results += batch.split_results(commands, result)
            await self._connection.in_thread(self._connection.raw.execute, "COMMIT")
        except BatchFailed:
            self._connection.roll_back()
            results = await batch.run_in_order([entry.command for entry in current.entries], self._run_alone)
        except Exception as error:  # noqa: BLE001  every caller gets the error
            self._connection.roll_back()
            current.entries = current.entries or self._queue.clear()
            results = [translated(error)] * len(current.entries)
        for entry, result in zip(current.entries, results, strict=True):
            entry.settle(result)
        return current.has_bulk

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
