"""The app's data in one SQLite file, with the outbox of its notifications.

A change and its notifications commit in one transaction. The outbox thread sends each of them once, even after an
outage of Bellcast or a restart of the app."""

import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bellcast.client import Bellcast, BellcastError
from bellcast.contrib import outbox
from bellcast.contrib.outbox import OutboxRows
from bellcast.contrib.relay import LONGEST_BACKOFF, Relay, RelayThread, Round

log = logging.getLogger(__name__)

# Seconds that a transaction waits for the transaction of another request, which takes milliseconds.
LOCK_TIMEOUT = 20.0
RETRY_SECONDS = 1.0
# The longest pause between two rounds: some work depends on the time of day.
IDLE_SECONDS = 900.0
STOP_TIMEOUT = 2.0

Work = Callable[[Bellcast], None]


class Database:
    """One SQLite file. Each transaction has its own connection, so requests may use it from any thread."""

    def __init__(self, file: Path, schema: str, added: Mapping[str, str] = MappingProxyType({})) -> None:
        """`added` are columns that later versions of the app have added, as `{"table.column": definition}`."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file
        self._committed: list[Callable[[], None]] = []
        with closing(self.connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [outbox.TABLE]).fetchone():
                connection.executescript(outbox.table_sql("sqlite"))
            connection.executescript(schema)
            for name, definition in added.items():
                table, column = name.split(".")
                if not connection.execute(
                    "SELECT 1 FROM pragma_table_info(?) WHERE name = ?", [table, column]
                ).fetchone():
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {definition}")

    def connect(self) -> sqlite3.Connection:
        """Open a connection in autocommit mode."""
        connection = sqlite3.connect(self._file, timeout=LOCK_TIMEOUT, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit at the end of the block, or roll back if it raises."""
        with closing(self.connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        for callback in self._committed:
            callback()

    def rows(self, sql: str, *params: Any) -> list[sqlite3.Row]:
        with closing(self.connect()) as connection:
            return connection.execute(sql, params).fetchall()

    def row(self, sql: str, *params: Any) -> sqlite3.Row | None:
        found = self.rows(sql, *params)
        return found[0] if found else None

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Run a function after each commit."""
        self._committed.append(callback)


class Outbox:
    """A thread that sends the rows of the outbox.

    `configure` writes recipients, templates and schedules to Bellcast. It runs once, before the first row.
    `reconcile` functions run after the rows, and must be safe to repeat."""

    def __init__(self, database: Database, bell: Bellcast, configure: Work, *reconcile: Work) -> None:
        self._database = database
        self._bell = bell
        self._configure = configure
        self._reconcile = reconcile
        self._is_configured = False
        self._thread: RelayThread | None = None
        database.on_commit(self._wake)

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        """Send while the app runs, and close the client at its end."""
        with self._bell:
            self.start()
            yield
            self.stop()

    def start(self) -> None:
        self._thread = RelayThread(self._run)
        self._thread.wake()

    def stop(self) -> None:
        """Stop after the current round. Unsent rows stay in the file."""
        if self._thread is not None:
            self._thread.stop(STOP_TIMEOUT)

    def _wake(self) -> None:
        if self._thread is not None:
            self._thread.wake()

    def _run(self) -> Round:
        """Do one round. Never raises: the thread must not end."""
        try:
            if not self._is_configured:
                self._configure(self._bell)
                self._is_configured = True
            with closing(OutboxRows(self._rows_connection(), "sqlite")) as rows:
                done = Relay(rows, self._bell).run()
            if done.failure is None:
                for work in self._reconcile:
                    work(self._bell)
                done.wait = IDLE_SECONDS if done.wait is None else min(done.wait, IDLE_SECONDS)
        except BellcastError as failure:
            return Round(failure=failure, wait=RETRY_SECONDS)
        except Exception:  # a full disk, a locked file, a defect of the app
            log.exception("outbox_round_failed")
            return Round(wait=LONGEST_BACKOFF)
        return done

    def _rows_connection(self) -> sqlite3.Connection:
        connection = self._database.connect()
        connection.row_factory = None
        return connection
