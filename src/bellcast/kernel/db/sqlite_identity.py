"""Detects that a SQLite file was replaced by an older copy, in which positions of clients may name changes that it does not
have.

The file and the lock file of its folder contain the same random number. Each server replaces it when it starts and when it
stops, so a copy from before has another one. A copy from the time of a server that was killed has the same; but such a server
leaves a write-ahead log, which belongs to no copy. A copy of the whole folder is not detected."""

import fcntl
import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

import structlog

from bellcast.kernel.db import statements
from bellcast.kernel.errors import Conflict

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
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
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

log = structlog.get_logger(__name__)


def renew(connection: sqlite3.Connection, lock: FolderLock, *, replaced: bool = False) -> None:
    """Replace the identity of the locked folder's store. If it is another store (`replaced`: in any case), also renew the
    epochs, so that all positions become unknown."""
    stored = connection.execute("SELECT value FROM counters WHERE name = 'identity'").fetchone()
    known, new = lock.identities, secrets.randbits(IDENTITY_BITS)
    current = new if stored is None else int(stored[0])
    if not replaced and (stored is not None or known) and current not in known:
        warn_replaced()
        replaced = True
    lock.write_identities(new if replaced else current, new)
    connection.execute("BEGIN IMMEDIATE")
    if replaced:
        connection.execute(statements.load("sqlite")["epochs_renew"])
    write(connection, new)
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
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as alone:
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


def warn_replaced() -> None:
    log.warning("store_replaced", effect="live clients fetch their inboxes again")


def log_of(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def write(connection: sqlite3.Connection, identity: int | None = None) -> None:
    """Write an identity, by default one that no folder knows."""
    value = secrets.randbits(IDENTITY_BITS) if identity is None else identity
    connection.execute("INSERT OR REPLACE INTO counters (name, value) VALUES ('identity', ?)", (value,))
