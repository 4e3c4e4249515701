"""The lead market example as a process, with a Bellcast server."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import httpx

from tests.app_servers import app_server, configure
from tests.servers import PROJECT, ServerProcess, free_port, wait_until_listening
from tests.wire.pusher_clients import installed

PASSWORD = "bellcast"
SETTINGS = {"BELLCAST_PUBLIC_TOPICS": "admin", "BELLCAST_PUSHER_ALIASES": "private-provider.{recipient}"}


class Market:
    """The site and its Bellcast, each of which can be restarted on its data."""

    def __init__(self, data: Path, *, two_workers: bool = False, server: ServerProcess | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = data / "site"
        self.server = server or app_server(data / "server", two_workers=two_workers)
        configure(self.server, SETTINGS)
        self.process: subprocess.Popen[bytes] | None = None

    def start_site(self) -> None:
        options = ["--bellcast", self.server.url, "--project", ":".join(PROJECT), "--port", str(self.port)]
        options += ["--data", str(self.data), "--libraries", str(installed() / "node_modules")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "examples.lead_market", *options], stderr=subprocess.DEVNULL
        )
        wait_until_listening(self.port, self.process)

    def stop_site(self) -> None:
        if self.process is not None:
            process, self.process = self.process, None
            process.terminate()
            process.wait(timeout=90)

    @contextmanager
    def visitor(self, person: str) -> Iterator[httpx.Client]:
        """A signed-in browser's HTTP client."""
        with httpx.Client(base_url=self.url, timeout=60) as http:
            assert http.post("/login", data={"username": person, "password": PASSWORD}).status_code == 303
            yield http

    def titles(self, person: str) -> list[str]:
        """The inbox of a person."""
        inbox = httpx.get(f"{self.server.url}/v1/inbox", headers=self.server.as_recipient(person), timeout=60)
        return [one["title"] for one in inbox.json()["notifications"]]

    def __enter__(self) -> "Market":
        self.server.start()
        self.start_site()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop_site()
        self.server.kill()
