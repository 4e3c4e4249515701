"""A SQLite connection that runs scripts, the translation of its errors, and the check that its file was not replaced by an older
copy, in which positions of clients may name changes that it does not have.

The file and the lock file of its folder contain the same random number. Each server replaces it when it starts and when it
stops, so a copy from before has another one. A copy from the time of a server that was killed has the same; but such a server
leaves a write-ahead log, which belongs to no copy. A copy of the whole folder is not detected."""

import asyncio
import contextlib
import fcntl
import functools
import os
import secrets
import sqlite3
import sys
from collections.abc import Callable
from math import inf
from operator import itemgetter
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Any, TypeAlias, TypeVar

import structlog

from bellcast.kernel.concurrency import call_for, execute_calls
from bellcast.kernel.db import statements
from bellcast.kernel.db.script import Params, Row, Script, Statement
from bellcast.kernel.errors import Conflict, DiskFull, Unavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")
R = TypeVar("R")

# After this time on the event loop's thread, statements yield to live connections.
LOOP_SHARE_SECONDS = 0.008
LOCKED = "The database file is locked by another program: end it, such as a backup or `sqlite3`."
# Primary result codes for faults of the database, not of the statement.
UNAVAILABLE_ERRORS = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_IOERR: "The disk of the store cannot be read or written: read the system's log.",
    sqlite3.SQLITE_READONLY: "The database file cannot be written: check its owner and its permissions.",
    sqlite3.SQLITE_CANTOPEN: "The database file cannot be opened: check its path, its owner and its permissions.",
    sqlite3.SQLITE_CORRUPT: "The database file is damaged: restore a backup.",
    sqlite3.SQLITE_NOTADB: "The file is not a database: correct BELLCAST_DATA or BELLCAST_STORE, or restore a backup.",
    sqlite3.SQLITE_PROTOCOL: LOCKED,
}
FULL_DISK = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}  # the second if it is full before the first connection
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
    make_private(path, as_folder=True)
    # check_same_thread: the event loop's thread and the commit thread never use the connection concurrently.
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=512)
    for pragma in (*PRAGMAS, f"PRAGMA cache_size = {-1024 * cache}"):
        connection.execute(pragma)
    return connection


def make_private(path: Path, *, as_folder: bool = False) -> None:
    """Create the file if it is missing, readable by its owner only. With `as_folder`, root gives it to the owner of the folder,
    who runs the server. SQLite copies the mode and the owner to its log files."""
    with contextlib.suppress(FileExistsError):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        if as_folder:
            give_to_owner(file, path.parent)
        os.close(file)


def give_to_owner(file: int, folder: Path) -> None:
    """As root, give an open file to the owner of its folder, unless the file system or the container refuses it."""
    with contextlib.suppress(OSError):
        if os.geteuid() == 0:
            owner = folder.stat()
            os.fchown(file, owner.st_uid, owner.st_gid)


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def translated(error: Exception) -> Exception:
    """Return a database error as a BellcastError. Any other error is a programming error and is returned unchanged."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        if code in FULL_DISK:
            return DiskFull()
        text = UNAVAILABLE_ERRORS.get(code & 0xFF)
        return error if text is None else Unavailable(text)
    if isinstance(error, OSError):
        return Unavailable(f"The data folder cannot be used: {error}.")
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
            return plain, itemgetter(*map(sys.intern, names))  # shared: otherwise they take 130 KB


class SqliteConnection:
    """Runs scripts on one SQLite connection. With `off_loop`, no statement runs on the event loop's thread."""

    def __init__(self, raw: sqlite3.Connection, *, off_loop: bool = False) -> None:
        self.raw = raw
        self._cursor = raw.cursor()
        self._texts = texts()
        self._off_loop = off_loop
        self._thread: Thread | None = None
        self._calls = SimpleQueue[Callable[[], None] | None]()
        self._is_closed = False
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

    def in_thread(self, call: Callable[..., R], *args: object) -> asyncio.Future[R]:
        """Run a call that waits for the disk; SQLite releases the interpreter lock while it waits."""
        if self._is_closed:
            raise sqlite3.ProgrammingError("The connection is closed.")
        if self._thread is None:
            thread = Thread(target=execute_calls, args=(self._calls,), name="bellcast-store", daemon=True)
            thread.start()  # may fail, such as without memory: the next call tries again
            self._thread = thread
        returned: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._calls.put(functools.partial(call_for, returned, call, *args))
        return returned

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
        self._is_closed = True
        if self._thread is not None:
            self._calls.put(None)
            self._thread.join()
        self._cursor.close()
        self.raw.close()


# --- identity

# Two numbers of 19 digits, a space and a line feed: the identities, and then that of the file and whether a server uses it.
PAIR_BYTES = 40


class FolderLock:
    """The lock of a data folder, which one server has: the system releases it when its process ends. The file contains the
    identities by which the store of the folder is recognized."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._file: int | None = None

    def acquire(self) -> None:
        """Lock the folder. Raises Conflict if another server, or a restore, has locked it."""
        make_private(self._path, as_folder=True)
        file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise Conflict(
                f"Another Bellcast server is using the data folder {self._path.parent}: stop it, or give this one"
                " another folder with --data."
            ) from None
        self._file = file

    def release(self) -> None:
        """Unlock the folder. The file stays: another process may already have opened it to lock it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @property
    def identities(self) -> list[int]:
        """The identities that the store may have; none in a folder of a release that did not write them."""
        return self._numbers()[:2]

    @property
    def in_file(self) -> int:
        """The identity of the file itself, without its write-ahead log; 0 if it is unknown."""
        return [*self._numbers(), 0, 0, 0][2]

    @property
    def is_in_use(self) -> bool:
        """Whether a server has opened the store and not closed it: it runs, or was killed."""
        return bool([*self._numbers(), 0, 0, 0, 0][3])

    def note(self, *, in_file: int | None = None, is_in_use: bool) -> None:
        """Write the identity of the file itself, if it is known, and whether a server uses it. The lock must be held."""
        if self._file is not None:
            pair = f"{self.in_file if in_file is None else in_file:019d} {int(is_in_use):019d}\n"
            os.pwrite(self._file, pair.encode(), PAIR_BYTES)
            os.fsync(self._file)

    def _numbers(self) -> list[int]:
        return [int(word) for word in self._path.read_text(errors="replace").split() if word.isdigit()]

    def write_identities(self, first: int, second: int) -> None:
        """Write both in place, in one sector: a power cut leaves the old pair or the new one. The lock must be held."""
        if self._file is not None:
            os.pwrite(self._file, f"{first:019d} {second:019d}\n".encode(), 0)
            os.fsync(self._file)


IDENTITY_BITS = 62


def renew_identity(connection: sqlite3.Connection, lock: FolderLock, *, replaced: bool = False) -> None:
    """Replace the identity of the locked folder's store. If it is another store (`replaced`: in any case), also renew the
    epochs, so that all positions become unknown."""
    stored = connection.execute("SELECT value FROM counters WHERE name = 'identity'").fetchone()
    known, new = lock.identities, secrets.randbits(IDENTITY_BITS)
    current = new if stored is None else int(stored[0])
    if not replaced and (stored is not None or known) and current not in known:
        log.warning("store_replaced", effect="live clients fetch their inboxes again")
        replaced = True
    lock.write_identities(new if replaced else current, new)
    connection.execute("BEGIN IMMEDIATE")
    if replaced:
        connection.execute(statements.load("sqlite")["epochs_renew"])
    write_identity(connection, new)
    connection.execute("COMMIT")
    lock.write_identities(new, new)


def check_log(database: Path, lock: FolderLock) -> None:
    """Raise Conflict if the file was replaced but the write-ahead log of the earlier file is still beside it: SQLite would
    apply that log to the copy, which restores nothing and can damage it."""
    log_file = log_of(database)
    is_in_file = not lock.identities or lock.in_file in lock.identities
    if not is_in_file or not log_file.exists() or log_file.stat().st_size == 0:
        return
    try:
        with contextlib.closing(
            sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as alone:
            stored = alone.execute("SELECT value FROM counters WHERE name = 'identity'").fetchone()
    except sqlite3.DatabaseError:
        return  # a part of the log may be in the file already, which only the log completes
    if stored is None and not lock.identities:
        return  # a release that wrote no identities was killed, or the upgrade of its store
    if stored is None or int(stored[0]) not in lock.identities:
        raise Conflict(
            f"{database} was replaced by a copy. If {log_file.name} was copied with it, move both to another folder and run"
            f" `bellcast restore` with that file. If not, delete {log_file.name} and {database.name}-shm."
        )


def log_of(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def write_identity(connection: sqlite3.Connection, identity: int | None = None) -> None:
    """Write an identity, by default one that no folder knows."""
    value = secrets.randbits(IDENTITY_BITS) if identity is None else identity
    connection.execute("INSERT OR REPLACE INTO counters (name, value) VALUES ('identity', ?)", (value,))
