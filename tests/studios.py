"""The photo studio example as a process."""

import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.faults.raw import eventually
from tests.servers import PROJECT, free_port, wait_until_listening

PASSWORD = "bellcast"


class Studio:
    """The site, which can be restarted on its data."""

    def __init__(self, bellcast: str, data: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = data
        self._bellcast = bellcast
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--bellcast", self._bellcast, "--project", ":".join(PROJECT), "--port", str(self.port)]
        command = [sys.executable, "-m", "examples.photo_studio", *options, "--data", str(self.data)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until_listening(self.port, self._process)

    def stop(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.terminate()
            process.wait(timeout=90)

    def empty_outbox(self) -> None:
        """Wait until the site has sent its notifications."""
        with closing(sqlite3.connect(self.data / "oriel.db")) as connection:
            rows = "SELECT count(*) FROM bellcast_outbox"
            assert eventually(lambda: connection.execute(rows).fetchone() == (0,))


@contextmanager
def photo_studio(bellcast: str) -> Iterator[Studio]:
    """Run a studio for the duration of the block."""
    with tempfile.TemporaryDirectory() as data:
        studio = Studio(bellcast, Path(data))
        try:
            studio.start()
            yield studio
        finally:
            studio.stop()
