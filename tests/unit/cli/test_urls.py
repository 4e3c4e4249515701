"""The doctor calls the app's URLs that are set."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bellcast.auth.access_config import AccessConfig
from bellcast.cli import urls
from bellcast.settings.groups import ServerSettings, Settings


class App(BaseHTTPRequestHandler):
    """Answers with the status in the path; `/keys` with a key set."""

    def do_GET(self):
        body = b'{"keys": [{}]}' if self.path == "/keys" else b"{}"
        self.send_response(200 if self.path == "/keys" else int(self.path[1:]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def app():
    with ThreadingHTTPServer(("127.0.0.1", 0), App) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "states"),
    [
        ("/401", ["ok", "problem", "ok"]),
        ("/404", ["warning", "problem", "warning"]),
        ("/500", ["problem", "problem", "problem"]),
        ("/keys", ["ok", "ok", "ok"]),
    ],
)
def test_each_url_is_judged_by_its_answer(app, path, states):
    access = AccessConfig(session_url=app + path, jwks_url=app + path)
    found = list(urls.examined(Settings(access=access, server=ServerSettings(handler_url=app + path))))
    assert [one.state for one in found] == states
    assert all(app + path in one.what for one in found)


def test_an_app_that_is_away_is_a_problem_with_its_setting_named():
    (found,) = urls.examined(Settings(access=AccessConfig(session_url="http://127.0.0.1:1/session")))
    assert found.state == "problem"
    assert "BELLCAST_SESSION_URL" in found.fix


def test_urls_that_are_not_set_are_not_called():
    assert list(urls.examined(Settings())) == []
