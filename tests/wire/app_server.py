"""The user's own app, as far as Bellcast asks it something: a real HTTP server that remembers what it was asked."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Asked(NamedTuple):
    """One request; header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


# From what was asked to a status and a body.
Answer = Callable[[Asked], tuple[int, bytes]]


class AppServer:
    """Answers with `answer`, which a test may change while it runs."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}/app"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Be away from now on."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()


def _handler(app: AppServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            app.asked.append(asked)
            status, answer = app.answer(asked)
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.send_header("content-type", "application/json")
            # Kept-open connections would outlive `stop`.
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Tests read `asked`."""

    return Handler


@contextmanager
def serving(answer: Answer) -> Iterator[AppServer]:
    """An app that runs until the test is over."""
    app = AppServer(answer)
    app.start()
    try:
        yield app
    finally:
        app.stop()
