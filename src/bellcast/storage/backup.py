"""Copies of a SQLite store: made while a server runs on it, put back while none does."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bellcast.errors import Conflict, NotFound, Unavailable
from bellcast.storage import statements
from bellcast.storage.lock import FolderLock
from bellcast.storage.migrations import sqlite as migrations
from bellcast.storage.sqlite_connection import connect, make_private, translated

COPY_BATCH_PAGES = 2_000  # a step: 8 MiB, a few milliseconds; then the caller hears how far it is

# Told pages done and pages in all after each step.
Progress = Callable[[int, int], None]


def backup(database: Path, target: Path, progress: Progress) -> None:
    """Copy a store as it is at one moment into a new file. Neither readers nor writers of the store wait."""
    partial_path(target)
    try:
        with closing(open_database(database)) as source:
            # One read transaction for all steps: they copy one moment, and no writer makes them begin again.
            source.execute("BEGIN")
            migrations.version(source)
            _copy(source, target, progress)
    except (sqlite3.Error, OSError) as error:
        raise translated(error) from error


def restore(source: Path, database: Path, progress: Progress) -> None:
    """Put a backup in the place of a store. Whoever was connected before finds its position unknown and looks anew."""
    lock = FolderLock(database)
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        with closing(open_database(source)) as backup_:
            verify(backup_)
            _replace(backup_, database, progress)
    except (sqlite3.Error, OSError) as error:
        raise translated(error) from error
    finally:
        lock.release()


def verify(connection: sqlite3.Connection) -> None:
    """Raise unless this is a whole store that this version of Bellcast can read."""
    migrations.pending(connection)
    migrations.check_schema(connection)
    ((first, *_), *_) = connection.execute("PRAGMA integrity_check(1)").fetchall()
    if first != "ok":
        raise Unavailable(f"The database file is damaged: {first}.")


def open_database(path: Path) -> sqlite3.Connection:
    """A store's file, to be read only. NotFound if it is not there."""
    if not path.is_file():
        raise NotFound(f"There is no file {path}.")
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA trusted_schema = OFF")  # it may be somebody else's file
    connection.text_factory = readable
    return connection


def readable(text: bytes) -> str:
    """A stored text; bytes that are not UTF-8 are replaced."""
    return text.decode(errors="replace")


def _copy(source: sqlite3.Connection, target: Path, progress: Progress) -> None:
    """Copy into a new file that has its name only once it is whole."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        make_private(part)
        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            source.backup(copy, pages=COPY_BATCH_PAGES, progress=lambda _, left, total: progress(total - left, total))
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, readable where nothing can be written
        publish(part, target)
    finally:
        part.unlink(missing_ok=True)


def partial_path(target: Path) -> Path:
    """Where a file is made before it has its name. Conflict if it is there already."""
    if target.exists():
        raise Conflict(f"{target} is already there: name a file that is not.")
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    return part


def discard(part: Path) -> None:
    """It was kept, or is not to be."""
    for suffix in ("", "-wal", "-shm"):
        part.with_name(part.name + suffix).unlink(missing_ok=True)


def publish(part: Path, target: Path) -> None:
    """Give a file its name once it is on the disk."""
    _sync(part)
    part.rename(target)
    _sync(target.parent)


def _replace(source: sqlite3.Connection, database: Path, progress: Progress) -> None:
    ready = database.with_name(database.name + ".restored")
    ready.unlink(missing_ok=True)
    _copy(source, ready, progress)
    with closing(connect(ready)) as restored:
        if migrations.pending(restored):
            migrations.migrate(restored)
        restored.execute(statements.load("sqlite")["epochs_renew"])
        restored.execute("PRAGMA journal_mode = DELETE")
    _sync(ready)
    # A log left beside the file would be taken for the restored store's own.
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    ready.replace(database)
    _sync(database.parent)


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
