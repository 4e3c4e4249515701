"""The user's app as a real HTTP server that records the requests it receives."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class AppRequest(NamedTuple):
    """A request; header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


# Maps a request to a status and a body.
Respond = Callable[[AppRequest], tuple[int, bytes]]


class AppServer:
    """Responds with `respond`, which a test may replace while the server runs."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.requests: list[AppRequest] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}/app"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()


def _handler(app: AppServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            request = AppRequest(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            app.requests.append(request)
            status, content = app.respond(request)
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.send_header("content-type", "application/json")
            # Kept-open connections would outlive `stop`.
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: tests read the recorded requests."""

    return Handler


@contextmanager
def running_app(respond: Respond) -> Iterator[AppServer]:
    """Run an app until the block ends."""
    app = AppServer(respond)
    app.start()
    try:
        yield app
    finally:
        app.stop()
