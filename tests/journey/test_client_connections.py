"""The connections of the Python client in forked processes and in several event loops."""

import asyncio
import gc
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from bellcast.client import AsyncBellcast, Bellcast
from bellcast.client.http_senders import loop_connections


class Server(ThreadingHTTPServer):
    """Responds to every request, and records the client's port of each."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.ports.append(self.client_address[1])
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: object) -> None:
        """No-op."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_forked_process_does_not_use_the_connections_of_its_parent(server: Server) -> None:
    with Bellcast(server.url, "secret") as bell:
        bell.stats()
        child = os.fork()
        if child == 0:
            try:
                bell.stats()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        bell.stats()
    parents, childs, again = server.ports
    assert parents == again != childs


def test_async_client_works_in_one_event_loop_after_another(server: Server) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # nothing closes the connections of the loops
        _use_in_three_loops(AsyncBellcast(server.url, "secret"))
        gc.collect()
    assert len(set(server.ports)) == 3


def _use_in_three_loops(bell: AsyncBellcast) -> None:
    async def read() -> None:
        assert await bell.stats() == {}

    for _ in range(3):
        asyncio.run(read())


class ClosedLoop:
    """A closed event loop. `meanwhile` is what another thread does while this one learns that it is closed."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile = meanwhile

    def is_closed(self) -> bool:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return True


def test_two_threads_may_forget_the_same_closed_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    find = loop_connections(httpx.AsyncClient)
    loops = iter((ClosedLoop(find), "of this thread", "of the other thread"))
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: next(loops))
    find()
    assert isinstance(find(), httpx.AsyncClient)
