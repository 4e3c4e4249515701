"""A SQLite connection that runs scripts, and the translation of its errors."""

import asyncio
import contextlib
import functools
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from operator import itemgetter
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias, TypeVar

from bellcast.kernel.db import statements
from bellcast.kernel.db.script import Params, Row, Script, Statement
from bellcast.kernel.errors import DiskFull, Unavailable

T = TypeVar("T")
R = TypeVar("R")

# After this time on the event loop's thread, statements yield to live connections.
LOOP_SHARE_SECONDS = 0.008
# Primary result codes for faults of the database, not of the statement.
UNAVAILABLE_ERRORS = {
    sqlite3.SQLITE_BUSY: "The database is locked by another program.",
    sqlite3.SQLITE_LOCKED: "The database is locked by another program.",
    sqlite3.SQLITE_IOERR: "The disk of the store cannot be read or written.",
    sqlite3.SQLITE_READONLY: "The database file cannot be written.",
    sqlite3.SQLITE_CANTOPEN: "The database file cannot be opened.",
    sqlite3.SQLITE_CORRUPT: "The database file is damaged: restore a backup.",
    sqlite3.SQLITE_NOTADB: "The database file is not a database.",
    sqlite3.SQLITE_PROTOCOL: "The database is locked by another program.",
}
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # an acknowledged notification survives a power cut
    # pages: hot pages are checkpointed once per 64 MiB of writes instead of once per 4
    "PRAGMA wal_autocheckpoint = 16000",
    "PRAGMA busy_timeout = 0",  # only the writer waits for it, and not on the event loop's thread
    "PRAGMA temp_store = MEMORY",
    "PRAGMA secure_delete = ON",  # deleted content is overwritten with zeros
)

READER_CACHE = 32  # MiB: the hot pages of a million rows
# MiB: all pages that a bulk batch changes must fit. A page that is evicted early is written twice, and the log after it
# is read again at the commit.
WRITER_CACHE = 64


def connect(path: Path, *, cache: int = READER_CACHE) -> sqlite3.Connection:
    """Connect in autocommit mode, so that transactions begin explicitly, with a page cache of `cache` MiB."""
    make_private(path)
    # check_same_thread: the event loop's thread and the commit thread never use the connection concurrently.
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=512)
    for pragma in (*PRAGMAS, f"PRAGMA cache_size = {-1024 * cache}"):
        connection.execute(pragma)
    return connection


def make_private(path: Path) -> None:
    """Create the file if it is missing, readable by its owner only. SQLite copies the mode to its log files."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def translated(error: Exception) -> Exception:
    """Return a database error as a BellcastError. Any other error is a programming error and is returned unchanged."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return DiskFull()
        return Unavailable(UNAVAILABLE_ERRORS[code]) if code in UNAVAILABLE_ERRORS else error
    if isinstance(error, OSError):
        return Unavailable(f"The data folder cannot be used: {error.strerror}.")
    return error


# A statement with positional parameters, because SQLite takes 2 µs per row to bind sixteen by name, and the function that returns
# their values.
SqliteText: TypeAlias = tuple[str, Callable[[Params], tuple[Any, ...]]]


@functools.cache
def texts() -> dict[str, SqliteText]:
    """Load all statements, by name, once per process."""
    return {name: text(written) for name, written in statements.load("sqlite").items()}


def text(written: str) -> SqliteText:
    """Convert a statement with named parameters."""
    body = statements.body(written)
    plain = statements.PARAMETER.sub("?", body)
    match statements.PARAMETER.findall(body):
        case []:
            return plain, lambda _: ()
        case [name]:
            return plain, lambda params: (params[name],)
        case names:
            return plain, itemgetter(*names)


class SqliteConnection:
    """Runs scripts on one SQLite connection. With `off_loop`, no statement runs on the event loop's thread."""

    def __init__(self, raw: sqlite3.Connection, *, off_loop: bool = False) -> None:
        self.raw = raw
        self._cursor = raw.cursor()
        self._texts = texts()
        self._off_loop = off_loop
        self._thread = ThreadPoolExecutor(1, "bellcast-store")
        self._until = inf

    def yield_periodically(self) -> None:
        """Yield to the event loop every LOOP_SHARE_SECONDS from now on. No other task may use the connection until then."""
        self._until = perf_counter() + LOOP_SHARE_SECONDS

    async def run(self, script: Script[T]) -> T:
        """Run a script to its end. It suspends only for a heavy statement, or to yield."""
        rows: list[Row] | None = None
        try:
            while True:
                statement = script.send(rows)  # type: ignore[arg-type]  # a generator's first send is None
                if statement.heavy or self._off_loop:
                    rows = await self.in_thread(self._execute, statement)
                else:
                    rows = self._execute(statement)
                if perf_counter() > self._until:
                    await asyncio.sleep(0)
                    self.yield_periodically()
        except StopIteration as done:
            result: T = done.value
            return result

    def _execute(self, statement: Statement) -> list[Row]:
        plain, values = self._texts[statement.name]
        if statement.many is None:
            return self._cursor.execute(plain, values(statement.params)).fetchall()
        self._cursor.executemany(plain, map(values, statement.many))
        return []

    async def in_thread(self, call: Callable[..., R], *args: object) -> R:
        """Run a call that waits for the disk; SQLite releases the interpreter lock while it waits."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)

    async def checkpoint(self, mode: str) -> bool:
        """Write pages of the log to the file, in a thread; return False if others use the log."""
        ((is_busy, *_),) = await self.in_thread(lambda: self.raw.execute(f"PRAGMA wal_checkpoint({mode})").fetchall())
        return not is_busy

    def end(self) -> None:
        """End the transaction that `snapshot` began."""
        if self.raw.in_transaction:
            self.raw.execute("COMMIT")

    def roll_back(self) -> None:
        """Roll back, unless SQLite has already done so, for example because the disk is full."""
        if self.raw.in_transaction:
            self.raw.execute("ROLLBACK")

    def close(self) -> None:
        self._thread.shutdown()
        self.raw.close()
