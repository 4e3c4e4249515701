"""The service marketplace example as a process, with a Bellcast server; each is configured with the other's URL."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from tests.app_servers import app_server, configure
from tests.faults.raw import eventually
from tests.servers import PROJECT, ServerProcess, free_port, wait_until_listening

PASSWORD = "bellcast"


class Marketplace:
    """The site, and `server`, which requests the owner of a session cookie from it."""

    def __init__(self, data: Path, server: ServerProcess) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        session_settings = {"BELLCAST_SESSION_URL": f"{self.url}/api/bellcast-session", "BELLCAST_ORIGINS": self.url}
        self.server = server
        configure(server, session_settings)
        self.data = data / "site"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def processes(self) -> dict[str, int]:
        """Process ids by name."""
        assert self.process is not None
        assert self.server.process is not None
        return {"site": self.process.pid, "server": self.server.process.pid}

    @property
    def live(self) -> str:
        """The URL of WebSocket connections."""
        return f"{self.server.url.replace('http', 'ws', 1)}/v1/ws"

    def start(self, session: float = 3600) -> None:
        options = ["--bellcast", self.server.url, "--project", ":".join(PROJECT), "--port", self.port]
        options += ["--data", self.data, "--session", session]
        command = [sys.executable, "-m", "examples.service_marketplace", *map(str, options)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until_listening(self.port, self.process)

    def stop(self) -> None:
        if self.process is not None:
            process, self.process = self.process, None
            process.terminate()
            process.wait(timeout=90)

    def empty_outbox(self) -> None:
        """Wait until the site has sent its notifications."""
        with closing(sqlite3.connect(self.data / "gable.db")) as connection:
            rows = "SELECT count(*) FROM bellcast_outbox"
            assert eventually(lambda: connection.execute(rows).fetchone() == (0,))

    @contextmanager
    def visitor(self, person: str) -> Iterator[httpx.Client]:
        """A signed-in browser's HTTP client."""
        with httpx.Client(base_url=self.url, timeout=60) as browser:
            signed_in = browser.post("/login", data={"username": person, "password": PASSWORD})
            assert signed_in.headers["location"] == "/bookings"
            yield browser


@contextmanager
def marketplace(data: Path, *, two_workers: bool, session: float = 3600, **environ: str) -> Iterator[Marketplace]:
    """Run both for the duration of the block; `session` is the lifetime of a sign-in in seconds."""
    site = Marketplace(data, app_server(data, environ, two_workers=two_workers))
    with site.server:
        try:
            site.start(session)
            yield site
        finally:
            site.stop()
