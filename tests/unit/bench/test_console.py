"""An operator opens one view after another."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from threading import Thread
from types import SimpleNamespace

import pytest
from benchmarks import console
from benchmarks.epoll_loop import Deadline
from benchmarks.handshakes import HandshakeRefused

from tests.faults.raw_sockets import eventually


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_) -> None:
        pass


@contextmanager
def browsing_to(path: str) -> Iterator[console.Browsing]:
    requests = repeat(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            with console.Browsing(Deadline(60), SimpleNamespace(address=server.server_address), requests) as browsing:
                yield browsing
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "BROWSE_INTERVAL_S", 0.001)


def test_views_are_opened_while_active() -> None:
    with browsing_to("/") as browsing:
        assert browsing.opened == 0
        browsing.is_active = True
        assert eventually(lambda: browsing.opened > 2)


def test_view_that_is_refused_fails_the_benchmark() -> None:
    def browse() -> None:
        with browsing_to("/missing") as browsing:
            browsing.is_active = True
            eventually(browsing._work.done)

    with pytest.raises(HandshakeRefused, match="404"):
        browse()
