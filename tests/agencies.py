"""The celebrity booking example as a process, with a Bellcast server."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import httpx

from bellcast.examples.celebrity_booking.tokens import JWT_CLAIMS, kept_secret
from tests.app_servers import app_server, configure
from tests.servers import PROJECT, ServerProcess, free_port, wait_until_listening
from tests.wire.socketio_client import installed

PASSWORD = "bellcast"


class Agency:
    """The site and its Bellcast, each of which can be restarted on its data."""

    def __init__(self, data: Path, *, two_workers: bool = False, server: ServerProcess | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = data / "site"
        environ = {
            "BELLCAST_JWT_SECRET": kept_secret(self.data / "starlight.key"),
            "BELLCAST_JWT_CLAIMS": JWT_CLAIMS,
            "BELLCAST_HANDLER_URL": f"{self.url}/bellcast/calls",
            "BELLCAST_ORIGINS": self.url,
        }
        self.server = server or app_server(data / "server", two_workers=two_workers)
        configure(self.server, environ)
        self.process: subprocess.Popen[bytes] | None = None

    def start_site(self) -> None:
        options = ["--bellcast", self.server.url, "--project", ":".join(PROJECT), "--port", str(self.port)]
        options += ["--data", str(self.data), "--libraries", str(installed())]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "examples.celebrity_booking", *options], stderr=subprocess.DEVNULL
        )
        wait_until_listening(self.port, self.process)

    def stop_site(self) -> None:
        if self.process is not None:
            process, self.process = self.process, None
            process.terminate()
            process.wait(timeout=90)

    @contextmanager
    def visitor(self, person: str) -> Iterator["Visitor"]:
        """A signed-in browser's HTTP client."""
        with httpx.Client(base_url=self.url, timeout=60) as http:
            assert http.post("/login", data={"username": person, "password": PASSWORD}).status_code == 303
            yield Visitor(http, self.server)

    def __enter__(self) -> "Agency":
        self.server.start()
        self.start_site()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop_site()
        self.server.kill()


class Visitor:
    """Calls the site's API with the JWT of its session, and reads the inbox in Bellcast with the same JWT."""

    def __init__(self, http: httpx.Client, server: ServerProcess) -> None:
        self.http = http
        self._server = server

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.http.get('/api/token').json()['token']}"}

    def send(self, method: str, path: str, **fields: object) -> httpx.Response:
        return self.http.request(method, path, json=fields, headers=self.bearer)

    def inbox(self) -> list[dict[str, object]]:
        response = httpx.get(f"{self._server.url}/v1/inbox", headers=self.bearer, timeout=60)
        return list(response.json()["notifications"]) if response.status_code == 200 else []

    def titles(self) -> list[object]:
        return [notification["title"] for notification in self.inbox()]
