"""The shop suite example as a process, with a Bellcast server."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.example_apps import PASSWORD, Site
from tests.servers import PROJECT


class Suite(Site):
    module = "examples.shop_suite"
    database = "suite.db"

    def settings(self) -> dict[str, str]:
        return {"BELLCAST_ORIGINS": self.url}

    def manage(self, *arguments: str) -> str:
        """Run a command of Django's `manage.py`; return its output."""
        code = f"from pathlib import Path\nfrom {self.module} import project\nproject.manage(Path({str(self.data)!r}), {list(arguments)})"
        command, environment = [sys.executable, "-c", code], os.environ | {"BELLCAST_PROJECT": ":".join(PROJECT)}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    @contextmanager
    def visitor(self, person: str) -> Iterator["Visitor"]:
        with httpx.Client(base_url=self.url, timeout=60, follow_redirects=True) as http:
            visitor = Visitor(http)
            visitor.submit("/login", username=person, password=PASSWORD)
            yield visitor


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

    def texts(self) -> list[str]:
        return [one["message"] for one in self.api("GET", "notifications/").json()["results"]]
