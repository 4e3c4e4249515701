"""A real marketplace process for tests, and the server it tells people things by, each knowing where the other is."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.servers import ServerProcess, free_port

STARTS_WITHIN = 90  # seconds; a loaded machine needs ten


class Marketplace:
    """The site, and `server`, which asks it whose session a cookie is."""

    def __init__(self, data: Path, environ: Mapping[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        asks = {"BELLCAST_SESSION_URL": f"{self.url}/api/bellcast-session", "BELLCAST_ORIGINS": self.url}
        self.server = ServerProcess(data, {**asks, **environ})

        self.process: subprocess.Popen[bytes] | None = None

    @property
    def processes(self) -> dict[str, int]:
        """Who serves, by process id."""
        assert self.process is not None
        assert self.server.process is not None
        return {"site": self.process.pid, "server": self.server.process.pid}

    @property
    def live(self) -> str:
        """Where WebSockets go."""
        return f"{self.server.url.replace('http', 'ws', 1)}/v1/ws"

    @contextmanager
    def visitor(self, person: str) -> Iterator[httpx.Client]:
        """Somebody's browser, signed in."""
        with httpx.Client(base_url=self.url, timeout=60) as browser:
            assert browser.post(f"/login/{person}").headers["location"] == "/bookings"
            yield browser


@contextmanager
def marketplace(data: Path, *, session: float = 3600, **environ: str) -> Iterator[Marketplace]:
    """Both of them, until the end of the block; `session` is the seconds a sign-in lasts."""
    place = Marketplace(data, environ)
    with place.server as server:
        options = ["--bellcast", server.url, "--secret", server.secret, "--port", place.port, "--session", session]
        command = [sys.executable, "-m", "examples.service_marketplace", *map(str, options)]
        process = place.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_for(place.port, process)
            yield place
        finally:
            process.terminate()
            process.wait(timeout=90)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    raise AssertionError("the marketplace did not start")
