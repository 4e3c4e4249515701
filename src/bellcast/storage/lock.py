"""One server a data folder: a lock file that the system lets go of when its process ends, however it ends."""

import fcntl
from pathlib import Path
from typing import IO

from bellcast.errors import Conflict


class FolderLock:
    """Held from `take` to `release`."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """Conflict if another server, or a restore, has it."""
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
        """Let it go; the file stays, since removing it could take it from under the next one."""
        if self._file is not None:
            self._file.close()
            self._file = None
