"""The service marketplace example as a process, with a Bellcast server; each is configured with the other's URL."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.servers import ServerProcess, free_port, wait_until_listening


class Marketplace:
    """The site, and `server`, which requests the owner of a session cookie from it."""

    def __init__(self, data: Path, environ: Mapping[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        session_settings = {"BELLCAST_SESSION_URL": f"{self.url}/api/bellcast-session", "BELLCAST_ORIGINS": self.url}
        self.server = ServerProcess(data, {**session_settings, **environ})

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

    @contextmanager
    def visitor(self, person: str) -> Iterator[httpx.Client]:
        """A signed-in browser's HTTP client."""
        with httpx.Client(base_url=self.url, timeout=60) as browser:
            assert browser.post(f"/login/{person}").headers["location"] == "/bookings"
            yield browser


@contextmanager
def marketplace(data: Path, *, session: float = 3600, **environ: str) -> Iterator[Marketplace]:
    """Run both for the duration of the block; `session` is the lifetime of a sign-in in seconds."""
    site = Marketplace(data, environ)
    with site.server as server:
        options = ["--bellcast", server.url, "--secret", server.secret, "--port", site.port, "--session", session]
        command = [sys.executable, "-m", "examples.service_marketplace", *map(str, options)]
        process = site.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_until_listening(site.port, process)
            yield site
        finally:
            process.terminate()
            process.wait(timeout=90)
