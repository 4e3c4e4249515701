"""An example app as a process, with a Bellcast server."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.app_servers import app_server, configure
from tests.faults.raw_sockets import eventually
from tests.servers import PROJECT, ServerProcess, free_port, wait_until_listening

PASSWORD = "bellcast"


class Browsers(dict):
    """The browser of each person, signed in at its first use: the hash of a password takes 70 ms. `sign_in` yields a signed-in one."""

    def __init__(self, sign_in: Callable[[str], AbstractContextManager[httpx.Client]]) -> None:
        super().__init__()
        self._sign_in = sign_in
        self._stack = ExitStack()

    def __missing__(self, person: str) -> httpx.Client:
        self[person] = browser = self._stack.enter_context(self._sign_in(person))
        return browser

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()


class Site:
    """The site and its Bellcast, each of which can be restarted on its data. `with` starts both."""

    module: str  # of the site
    database: str  # file with its outbox

    def __init__(self, data: Path, *, two_workers: bool = False, server: ServerProcess | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = data / "site"
        self.server = server or app_server(data / "server", two_workers=two_workers)
        self.process: subprocess.Popen[bytes] | None = None
        configure(self.server, self.settings())

    def settings(self) -> Mapping[str, str]:
        """Return the settings that the app needs on its Bellcast server."""
        return {}

    def options(self) -> list[str]:
        """Further options of the site."""
        return []

    def start(self) -> None:
        options = ["--bellcast", self.server.url, "--project", ":".join(PROJECT), "--port", str(self.port)]
        command = [sys.executable, "-m", self.module, *options, "--data", str(self.data), *self.options()]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until_listening(self.port, self.process)

    def stop(self) -> None:
        if self.process is not None:
            process, self.process = self.process, None
            process.terminate()
            process.wait(timeout=90)

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Run only the site, next to the test's own server."""
        try:
            self.start()
            yield self
        finally:
            self.stop()

    @contextmanager
    def signed_in(self, person: str) -> Iterator[httpx.Client]:
        """A signed-in browser's HTTP client."""
        with httpx.Client(base_url=self.url, timeout=60) as http:
            assert http.post("/login", data={"username": person, "password": PASSWORD}).status_code == 303
            yield http

    def empty_outbox(self, table: str = "bellcast_outbox") -> None:
        """Wait until the site has sent its notifications, or has worked off another table."""
        with closing(sqlite3.connect(self.data / self.database, timeout=60)) as connection:
            rows = f"SELECT count(*) FROM {table}"
            assert eventually(lambda: connection.execute(rows).fetchone() == (0,))

    def __enter__(self) -> Self:
        self.server.start()
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        self.server.kill()
