"""`make audit` with the real tools and a local advisory service."""

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
    "summary": "A vulnerability",
    "affected": [
        {
            "package": {"name": "msgspec", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999.0"}]}],
        }
    ],
}
NODE_ADVISORY = {
    "id": 1,
    "title": "A vulnerability",
    "severity": "high",
    "vulnerable_versions": "<999",
    "url": "http://x.test",
}


class AdvisoryService(BaseHTTPRequestHandler):
    """Responds like OSV and npm's registry; the server's `vulnerable` flag makes one package of each vulnerable."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        vulnerable: bool = self.server.vulnerable
        response: object = {}
        if self.path == "/osv":
            is_msgspec = json.loads(body)["package"]["name"] == "msgspec"
            response = {"vulns": [PYTHON_ADVISORY]} if vulnerable and is_msgspec else {}
        elif vulnerable:
            response = {"typescript": [NODE_ADVISORY]}
        raw = json.dumps(response).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def advisories() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), AdvisoryService)
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


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "finding"),
    [("requirements.lock", "TEST-1, fixed in 999.0"), (NODE, "typescript: high, A vulnerability (http://x.test)")],
)
def test_audit_fails_on_a_finding_and_names_it(
    advisories: ThreadingHTTPServer, tmp_path: Path, name: str, finding: str
) -> None:
    advisories.vulnerable = True
    result = audit(name, advisories.server_port, tmp_path)
    assert (result.returncode, finding in result.stdout) == (1, True), result


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["requirements.lock", NODE])
def test_audit_without_findings_passes(advisories: ThreadingHTTPServer, tmp_path: Path, name: str) -> None:
    advisories.vulnerable = False
    result = audit(name, advisories.server_port, tmp_path)
    assert (result.returncode, result.stdout) == (0, f"{name}: no known vulnerabilities\n"), result


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["requirements.lock", NODE])
def test_audit_reports_an_unreachable_service_and_passes(tmp_path: Path, name: str) -> None:
    result = audit(name, free_port(), tmp_path)
    assert (result.returncode, result.stdout) == (0, ""), result
    assert result.stderr.startswith(f"{name}: NOT CHECKED, the advisory service cannot be reached: "), result
