"""Back up a SQLite store while a server runs, and restore it while no server runs."""

import errno
import fcntl
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.sqlite_connection import FolderLock, connect, make_private, renew_identity, sync, translated
from bellcast.kernel.errors import Conflict, DiskFull, NotFound, Unavailable

COPY_BATCH_PAGES = 2_000  # a step: 8 MiB, a few milliseconds; then `progress` is called
# SQLite would apply the log that an interrupted process left behind to a new file of the same name.
LOG_SUFFIXES = ("-wal", "-shm", "-journal")

# Temporary files of a backup, and of a restore.
PART, RESTORED = ".bellcast-part", ".restored"

# Called after each step with the number of pages or rows copied and the total.
Progress = Callable[[int, int], None]


def backup(database: Path, target: Path, progress: Progress) -> None:
    """Copy a snapshot of a store into a new file. Readers and writers of the store do not wait."""
    try:
        with partial(target) as part, closing(open_database(database)) as source:
            # One read transaction for all steps, so that they copy one snapshot, and writers do not restart the copy.
            source.execute("BEGIN")
            migrations.version(source)
            _copy(source, part, progress)
            publish(part, target)
    except (sqlite3.Error, OSError) as error:
        raise target_error(target, error) from error


def restore(source: Path, database: Path, progress: Progress) -> None:
    """Replace a store with a backup. Positions of earlier connections become unknown, so clients reload."""
    with stopped(database) as lock, closing(open_database(source)) as backup_:
        verify_backup(source, backup_)
        ready = discard_restore(database)
        try:
            make_private(ready, as_folder=True)
            _copy(backup_, ready, progress)
            with closing(connect(ready)) as restored:
                if migrations.pending(restored):
                    migrations.migrate(restored)
                renew_identity(restored, lock, replaced=True)
                restored.execute("PRAGMA journal_mode = DELETE")
            with closing(open_database(ready)) as restored:
                verify(restored)
            sync(ready)
            for suffix in LOG_SUFFIXES:
                database.with_name(database.name + suffix).unlink(missing_ok=True)
            ready.replace(database)
            lock.note(is_in_use=False)
        finally:
            discard(ready)
        sync(database.parent)


def renew_positions(database: Path) -> None:
    """Make all positions unknown, for a store that was restored by other means while no server runs."""
    open_database(database).close()  # the file must exist
    with stopped(database) as lock:
        with closing(connect(database)) as store:
            migrations.pending(store)  # not another program's, and not newer
            renew_identity(store, lock, replaced=True)
        lock.note(is_in_use=False)


@contextmanager
def stopped(database: Path) -> Iterator[FolderLock]:
    """Lock the folder of a store while no server runs. Errors of the block are raised as BellcastErrors."""
    lock = FolderLock(database)
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        yield lock
    except (sqlite3.Error, OSError) as error:
        raise translated(error) from error
    finally:
        lock.release()


def verify(connection: sqlite3.Connection) -> None:
    """Raise unless this is an intact store that this version of Bellcast can read."""
    migrations.pending(connection)
    migrations.check_schema(connection)
    ((first, *_), *_) = connection.execute("PRAGMA integrity_check(1)").fetchall()
    if first != "ok":
        raise Unavailable(f"The database file is damaged: {first}.")


def verify_backup(file: Path, connection: sqlite3.Connection) -> None:
    """Verify a file that is to be restored; errors name it."""
    try:
        verify(connection)
    except (Conflict, Unavailable) as refusal:
        raise type(refusal)(f"{file}: {refusal.detail}") from None


def open_database(path: Path) -> sqlite3.Connection:
    """Open a store's file read-only. Raises NotFound if it does not exist."""
    if not path.is_file():
        raise NotFound(f"There is no file {path}: name the data folder of a server, or a backup.")
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA trusted_schema = OFF")  # the file may be hostile
    connection.text_factory = readable
    return connection


def readable(text: bytes) -> str:
    """Decode a stored text; bytes that are not UTF-8 are replaced."""
    return text.decode(errors="replace")


def _copy(source: sqlite3.Connection, target: Path, progress: Progress) -> None:
    """Copy into an empty file."""
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        source.backup(copy, pages=COPY_BATCH_PAGES, progress=lambda _, left, total: progress(total - left, total))
        copy.execute("PRAGMA journal_mode = DELETE")  # a single file that can be read from read-only media


def target_error(target: Path, error: Exception) -> Exception:
    """Translate an error of copying a store into a new file: the store is only read, so only the target can be full.
    An error of a file names it: the store may be unreadable."""
    failure = translated(error)
    if isinstance(failure, DiskFull) or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
        return Unavailable(f"{target} cannot be written: its disk is full.")
    if isinstance(error, OSError):
        return Unavailable(f"{error.filename or target} cannot be used: {error.strerror}.")
    return failure


@contextmanager
def partial(target: Path) -> Iterator[Path]:
    """Create the temporary file of a new file, locked while this process runs, and delete it and those that killed processes
    left in the folder. Raises Conflict if the target exists, NotFound if its folder does not."""
    if not target.parent.is_dir():
        raise NotFound(f"There is no folder {target.parent}: create it.")
    if target.exists():
        raise Conflict(f"{target} already exists: name a new file.")
    for left in target.parent.glob(f"*{PART}"):
        with suppress(Conflict, OSError), _locked(left):  # of a running process, or of another user
            discard(left)
    part = target.with_name(target.name + PART)
    make_private(part)
    with _locked(part):
        try:
            yield part
        finally:
            discard(part)


@contextmanager
def _locked(part: Path) -> Iterator[None]:
    """Lock a temporary file. Raises Conflict if another process writes it."""
    with part.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"Another backup is writing {part}: name another file.") from None
        yield


def discard(part: Path) -> None:
    """Delete a temporary file and its logs, if they exist."""
    for suffix in ("", *LOG_SUFFIXES):
        part.with_name(part.name + suffix).unlink(missing_ok=True)


def publish(part: Path, target: Path) -> None:
    """Sync a file to the disk, then rename it to its target."""
    sync(part)
    part.rename(target)
    sync(target.parent)


def discard_restore(database: Path) -> Path:
    """Delete the file of a restore that was killed, in a locked folder; return its path."""
    ready = database.with_name(database.name + RESTORED)
    discard(ready)
    return ready
