"""One server per data folder: a lock file that the system releases when its process ends. It contains the identities
by which `sqlite_identity` recognizes the store of the folder."""

import fcntl
import os
from pathlib import Path

from bellcast.kernel.errors import Conflict

PAIR_BYTES = 40  # two identities of 19 digits, a space and a line feed


class FolderLock:
    """The lock of a data folder."""

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
    def is_in_file(self) -> bool:
        """Whether the file itself, without its write-ahead log, has one of the identities."""
        first, second, in_file = [*self._numbers(), -1, -1, -1][:3]
        return in_file in (first, second)

    def note_in_file(self) -> None:
        """Write that the file itself has the identity. The lock must be held, and both identities be the same."""
        if self._file is not None:
            os.pwrite(self._file, f"{self.identities[0]:019d}\n".encode(), PAIR_BYTES)
            os.fsync(self._file)

    def _numbers(self) -> list[int]:
        return [int(word) for word in self._path.read_text(errors="replace").split() if word.isdigit()]

    def write_identities(self, first: int, second: int) -> None:
        """Write both in place, in one sector: a power cut leaves the old pair or the new one. The lock must be held."""
        if self._file is not None:
            os.pwrite(self._file, f"{first:019d} {second:019d}\n".encode(), 0)
            os.fsync(self._file)
