"""The shop suite example as a process, with a Bellcast server."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import httpx

from tests.app_servers import app_server, configure
from tests.servers import PROJECT, ServerProcess, free_port, wait_until_listening

PASSWORD = "bellcast"


class Suite:
    """The site and its Bellcast, each of which can be restarted on its data."""

    def __init__(self, data: Path, *, two_workers: bool = False, server: ServerProcess | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = data / "site"
        self.server = server or app_server(data / "server", two_workers=two_workers)
        configure(self.server, {"BELLCAST_ORIGINS": self.url})
        self.process: subprocess.Popen[bytes] | None = None

    def start_site(self) -> None:
        options = ["--bellcast", self.server.url, "--project", ":".join(PROJECT), "--port", str(self.port)]
        command = [sys.executable, "-m", "examples.shop_suite", *options, "--data", str(self.data)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until_listening(self.port, self.process)

    def stop_site(self) -> None:
        if self.process is not None:
            process, self.process = self.process, None
            process.terminate()
            process.wait(timeout=90)

    @contextmanager
    def visitor(self, person: str) -> Iterator["Visitor"]:
        """A signed-in browser's HTTP client."""
        with httpx.Client(base_url=self.url, timeout=60, follow_redirects=True) as http:
            visitor = Visitor(http)
            visitor.submit("/login", username=person, password=PASSWORD)
            yield visitor

    def __enter__(self) -> "Suite":
        self.server.start()
        self.start_site()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop_site()
        self.server.kill()


class Visitor:
    """Reads pages and submits their forms."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def submit(self, page: str, action: str | None = None, **fields: object) -> httpx.Response:
        """Submit the form of a page with its hidden fields."""
        text = self.http.get(page).text
        hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text)
        return self.http.post(
            action or page, data={**dict(hidden), **fields}, headers={"referer": str(self.http.base_url)}
        )

    def api(self, method: str, path: str, **options: object) -> httpx.Response:
        """Call the REST API of notifications with the session and its CSRF token."""
        headers = {"x-csrftoken": self.http.cookies.get("suite_csrf", "")}
        return self.http.request(method, f"/api/notifications/{path}", headers=headers, **options)

    def titles(self) -> list[str]:
        return [one["title"] for one in self.api("GET", "notifications/").json()["results"]]
