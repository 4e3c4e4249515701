"""`make audit` with the real tools against an advisory service of the test's own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
NODE = "tests/wire/openapi_node"
PYTHON_ADVISORY = {
    "id": "TEST-1",
    "summary": "A hole",
    "affected": [
        {
            "package": {"name": "msgspec", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999.0"}]}],
        }
    ],
}
NODE_ADVISORY = {"id": 1, "title": "A hole", "severity": "high", "vulnerable_versions": "<999", "url": "http://x.test"}


class Advisories(BaseHTTPRequestHandler):
    """What OSV and npm's registry answer. One package of each is vulnerable if the server says so."""

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["content-length"]))
        vulnerable: bool = self.server.vulnerable  # type: ignore[attr-defined]
        answer: object = {}
        if self.path == "/osv":
            named = json.loads(asked)["package"]["name"] == "msgspec"
            answer = {"vulns": [PYTHON_ADVISORY]} if vulnerable and named else {}
        elif vulnerable:
            answer = {"typescript": [NODE_ADVISORY]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def audit(name: str, port: int, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the check on one lock file, with the services on that port."""
    environ = os.environ | {
        "PIP_AUDIT_VULNERABILITY_SERVICE": "osv",
        "PIP_AUDIT_OSV_URL": f"http://127.0.0.1:{port}/osv",
        "npm_config_registry": f"http://127.0.0.1:{port}",
        "npm_config_cache": str(folder),
        "npm_config_fetch_retries": "0",
    }
    return subprocess.run(
        [sys.executable, "scripts/audit.py", name], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=100
    )


@pytest.mark.parametrize(
    ("name", "finding"),
    [("requirements.lock", "TEST-1, fixed in 999.0"), (NODE, "typescript: high, A hole (http://x.test)")],
)
def test_an_audit_fails_on_a_finding_and_names_it(
    service: ThreadingHTTPServer, tmp_path: Path, name: str, finding: str
) -> None:
    service.vulnerable = True  # type: ignore[attr-defined]
    ran = audit(name, service.server_port, tmp_path)
    assert (ran.returncode, finding in ran.stdout) == (1, True), ran


@pytest.mark.parametrize("name", ["requirements.lock", NODE])
def test_an_audit_without_findings_passes(service: ThreadingHTTPServer, tmp_path: Path, name: str) -> None:
    service.vulnerable = False  # type: ignore[attr-defined]
    ran = audit(name, service.server_port, tmp_path)
    assert (ran.returncode, ran.stdout) == (0, f"{name}: no known vulnerabilities\n"), ran


@pytest.mark.parametrize("name", ["requirements.lock", NODE])
def test_an_audit_says_that_the_service_cannot_be_reached_and_passes(tmp_path: Path, name: str) -> None:
    ran = audit(name, free_port(), tmp_path)
    assert (ran.returncode, ran.stdout) == (0, ""), ran
    assert ran.stderr.startswith(f"{name}: NOT CHECKED, the advisory service cannot be reached: "), ran
