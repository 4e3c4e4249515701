"""One server per data folder: a lock file that the system releases when its process ends."""

import fcntl
from pathlib import Path
from typing import IO

from bellcast.errors import Conflict


class FolderLock:
    """The lock of a data folder."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """Lock the folder. Raises Conflict if another server, or a restore, has locked it."""
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise Conflict(
                f"Another Bellcast server is using the data folder {self._path.parent}: stop it, or give this one"
                " another folder with --data."
            ) from None
        self._file = file

    def release(self) -> None:
        """Unlock the folder. The file stays: another process may already have opened it to lock it."""
        if self._file is not None:
            self._file.close()
            self._file = None
