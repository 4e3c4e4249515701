"""The event stream of an app with `bellcast.contrib.fastapi`."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from bellcast.client import AsyncBellcast
from bellcast.contrib import fastapi
from tests.servers import free_port

EVENT = b"event: heartbeat\ndata: {}\n\n"


def app_with_stream(bell: AsyncBellcast) -> FastAPI:
    app = FastAPI()
    fastapi.install(app, lambda: "theo", bell=bell, stream="/stream")
    return app


@pytest.fixture
def app_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[httpx.Request], httpx.Response]], FastAPI]:
    """Return an app whose Bellcast server responds with this function."""

    def make(respond: Callable[[httpx.Request], httpx.Response]) -> FastAPI:
        server = httpx.AsyncClient(transport=httpx.MockTransport(respond), base_url="http://bell")
        monkeypatch.setattr(fastapi, "_stream_client", lambda _: server)
        return app_with_stream(AsyncBellcast("http://bell", "s" * 40))

    return make


def test_stream_in_an_outage_says_so_and_logs_the_reason(caplog):
    nowhere = AsyncBellcast(f"http://127.0.0.1:{free_port()}", "s" * 40)
    with TestClient(app_with_stream(nowhere)) as page:
        refused = page.get("/stream")
    assert (refused.status_code, refused.json()["detail"]) == (503, "The notification server cannot be reached.")
    assert "stream_failed server=127.0.0.1 error=" in caplog.text


def test_refused_stream_names_the_status(app_of):
    with TestClient(app_of(lambda _: httpx.Response(429))) as page:
        refused = page.get("/stream")
    assert (refused.status_code, refused.json()["detail"]) == (502, "The notification server returned status 429.")


def test_stream_is_readable_if_the_server_can_compress_it(app_of):
    def respond(request: httpx.Request) -> httpx.Response:
        if "gzip" in request.headers["accept-encoding"]:
            compressed = httpx.ByteStream(gzip.compress(EVENT))
            return httpx.Response(200, stream=compressed, headers={"content-encoding": "gzip"})
        return httpx.Response(200, stream=httpx.ByteStream(EVENT))

    with TestClient(app_of(respond)) as page:
        assert page.get("/stream").content == EVENT


class EndlessStream(httpx.AsyncByteStream):
    is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield EVENT
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.is_closed = True


async def test_app_ends_within_the_graceful_timeout_while_a_page_has_a_stream(app_of):
    events = EndlessStream()
    app = app_of(lambda _: httpx.Response(200, stream=events))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/stream"
    serving = asyncio.create_task(server.serve([listening]))
    async with httpx.AsyncClient() as http, http.stream("GET", url) as page:
        assert await anext(page.aiter_raw()) == EVENT
        server.should_exit = True
        await asyncio.wait_for(serving, 30)
    assert events.is_closed
