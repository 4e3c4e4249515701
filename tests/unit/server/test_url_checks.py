"""`bellcast doctor` probes the app's configured URLs."""

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bellcast.auth.permissions import AccessConfig
from bellcast.server import checks
from bellcast.settings.table import ServerSettings, Settings

BODIES = {"/keys": b'{"keys": [{}]}', "/latin-1": b'{"keys": ["\xfc"]}', "/nested": b"[" * 100_000}


class App(BaseHTTPRequestHandler):
    """Responds with one of BODIES, or the status in the path. `/drip` and `/flood` do not end."""

    def do_GET(self):
        if self.path in ("/drip", "/flood"):
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):  # the client has closed the connection
                while self.path == "/flood" or not self.server.is_over.wait(0.05):
                    self.wfile.write(b" " * (65_536 if self.path == "/flood" else 1))
            return
        body = BODIES.get(self.path, b"{}")
        self.send_response(200 if self.path in BODIES else int(self.path[1:]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def app():
    with ThreadingHTTPServer(("127.0.0.1", 0), App) as server:
        server.is_over = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.is_over.set()
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "states"),
    [
        ("/401", ["ok", "problem", "ok"]),
        ("/404", ["warning", "problem", "warning"]),
        ("/500", ["problem", "problem", "problem"]),
        ("/keys", ["ok", "ok", "ok"]),
        ("/latin-1", ["ok", "problem", "ok"]),
        ("/nested", ["ok", "problem", "ok"]),
    ],
)
def test_each_url_is_judged_by_its_response(app, path, states):
    access = AccessConfig(session_url=app + path, jwks_url=app + path)
    findings = list(checks.check_urls(Settings(access=access, server=ServerSettings(handler_url=app + path))))
    assert [finding.state for finding in findings] == states
    assert all(app + path in finding.what for finding in findings)
    assert all("as expected" in finding.what for finding in findings if path == "/401" and finding.state == "ok")


def test_unreachable_url_is_a_problem_that_names_its_setting():
    (finding,) = checks.check_urls(Settings(access=AccessConfig(session_url="http://127.0.0.1:1/session")))
    assert finding.state == "problem"
    assert "BELLCAST_SESSION_URL" in finding.fix


@pytest.mark.parametrize(("path", "reason"), [("/drip", "did not respond within 0.3 s"), ("/flood", "sent more than")])
def test_endless_response_ends_its_check(app, path, reason, monkeypatch):
    monkeypatch.setattr(checks, "URL_SECONDS", 0.3 if path == "/drip" else 60)
    found = []
    access = AccessConfig(session_url=app + path, jwks_url=app + path)
    check = threading.Thread(target=lambda: found.extend(checks.check_urls(Settings(access=access))), daemon=True)
    check.start()
    check.join(60)  # without a limit in total, it would never end
    assert [finding.state for finding in found] == ["problem", "problem"]
    assert all(reason in finding.what for finding in found)


def test_unset_urls_are_not_probed():
    assert list(checks.check_urls(Settings())) == []


def test_findings_contain_no_credentials_and_no_query():
    url = "http://bell:hunter2@127.0.0.1:1/session?key=hunter2#hunter2"
    settings = Settings(access=AccessConfig(session_url=url, jwks_url=url), server=ServerSettings(handler_url=url))
    findings = list(checks.check_urls(settings))
    assert len(findings) == 3
    for finding in findings:
        assert "http://127.0.0.1:1/session cannot" in finding.what
        assert "hunter2" not in str(finding)
