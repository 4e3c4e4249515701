"""One SQLite connection: opened the same way everywhere, driven by scripts, its errors translated once."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import inf
from operator import itemgetter
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

from bellcast.errors import DiskFull, Unavailable
from bellcast.storage import statements
from bellcast.storage.engine import Params, Row, Script, Statement

T = TypeVar("T")
R = TypeVar("R")

# Statements run on the loop's thread for so long at a stretch; then live connections get their turn.
LOOP_SHARE_SECONDS = 0.008
# Primary result codes that say the database, not the statement, is at fault.
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
    "PRAGMA wal_autocheckpoint = 16000",  # pages: hot ones are copied home once in 64 MiB of writing, not once in 4
    "PRAGMA busy_timeout = 0",  # waiting is the writer's, and never on the loop's thread
    "PRAGMA temp_store = MEMORY",
    "PRAGMA secure_delete = ON",  # what is deleted is overwritten with zeros
)

READER_CACHE = 32  # MiB: the hot pages of a million rows
# What a large group changes must have room: a page that is put out early is written twice, and what follows it in the
# log read again at the commit.
WRITER_CACHE = 64


def connect(path: Path, *, cache: int = READER_CACHE) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions are begun where they are meant. It keeps `cache` MiB of pages."""
    make_private(path)
    # check_same_thread: the loop's thread and the commit thread take turns, never both at once.
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=512)
    for pragma in (*PRAGMAS, f"PRAGMA cache_size = {-1024 * cache}"):
        connection.execute(pragma)
    return connection


def make_private(path: Path) -> None:
    """Make the file if it is missing, readable by its owner only. SQLite gives the files beside it the same rights."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def translated(error: Exception) -> Exception:
    """The error of a database as callers know it; one that is our own mistake stays as it is."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return DiskFull()
        return Unavailable(UNAVAILABLE_ERRORS[code]) if code in UNAVAILABLE_ERRORS else error
    if isinstance(error, OSError):
        return Unavailable(f"The data folder cannot be used: {error.strerror}.")
    return error


class SqliteText(NamedTuple):
    """A statement as SQLite takes it fastest, its parameters by place: finding sixteen by name takes 2 µs a row."""

    plain: str
    values: Callable[[Params], tuple[Any, ...]]


def texts() -> dict[str, SqliteText]:
    """Every statement, by name."""
    return {name: text(written) for name, written in statements.load("sqlite").items()}


def text(written: str) -> SqliteText:
    """A statement as it is written, with parameters by name."""
    body = statements.body(written)
    return SqliteText(statements.PARAMETER.sub("?", body), _values(statements.PARAMETER.findall(body)))


def _values(names: list[str]) -> Callable[[Params], tuple[Any, ...]]:
    match names:
        case []:
            return lambda _: ()
        case [name]:
            return lambda params: (params[name],)
        case _:
            return itemgetter(*names)


class SqliteConnection:
    """Runs scripts on one SQLite connection. With `aside` no statement runs on the loop's thread."""

    def __init__(self, raw: sqlite3.Connection, texts: Mapping[str, SqliteText], *, aside: bool = False) -> None:
        self.raw = raw
        self._cursor = raw.cursor()
        self._texts = texts
        self._off_loop = aside
        self._thread = ThreadPoolExecutor(1, "bellcast-store")
        self._until = inf

    def yield_periodically(self) -> None:
        """From now on let others run every SLICE_SECONDS: for a connection that nobody else uses meanwhile."""
        self._until = perf_counter() + LOOP_SHARE_SECONDS

    async def run(self, script: Script[T]) -> T:
        """Drive a script to its end. Unless a statement is heavy or the loop is shared, this never suspends."""
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
        """Call something that waits for the disk; SQLite lets go of the interpreter while it does."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)

    def end(self) -> None:
        """End what `snapshot` began."""
        if self.raw.in_transaction:
            self.raw.execute("COMMIT")

    def roll_back(self) -> None:
        """Undo the transaction, unless SQLite already did (as it does when the disk is full)."""
        if self.raw.in_transaction:
            self.raw.execute("ROLLBACK")

    def close(self) -> None:
        """Let the file go."""
        self._thread.shutdown()
        self.raw.close()
