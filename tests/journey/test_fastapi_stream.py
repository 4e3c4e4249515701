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

from bellcast.client import AsyncBellcast, Retries
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
        def server(url: str) -> httpx.AsyncClient:
            return httpx.AsyncClient(transport=httpx.MockTransport(respond), base_url=url)

        monkeypatch.setattr(fastapi, "_stream_client", server)
        return app_with_stream(AsyncBellcast("http://bell", "s" * 40))

    return make


def expect_retry(response: httpx.Response) -> None:
    assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert response.content == b"retry: 5000\n\n"


@pytest.mark.parametrize("secret", ["s" * 40, "bc_" + "k" * 40])  # with an API key, the server signs the token
def test_stream_in_an_outage_is_tried_again_and_logs_the_reason(caplog, secret):
    nowhere = AsyncBellcast(f"http://127.0.0.1:{free_port()}", secret, retries=Retries(tries=1))
    with TestClient(app_with_stream(nowhere)) as page:
        expect_retry(page.get("/stream"))
    assert "stream_failed server=127.0.0.1 error=" in caplog.text


@pytest.mark.parametrize("status", [429, 500, 503])
def test_failed_stream_is_tried_again_and_the_log_names_the_status(app_of, caplog, status):
    with TestClient(app_of(lambda _: httpx.Response(status))) as page:
        expect_retry(page.get("/stream"))
    assert f"error=status {status}" in caplog.text


@pytest.mark.parametrize("user", [None, "", {"recipient": ""}, {"recipient": None}, {"tenant": "acme"}, {}])
def test_visitor_who_is_not_signed_in_gets_neither_token_nor_stream(user):
    app = FastAPI()
    fastapi.install(app, lambda: user, bell=AsyncBellcast("http://bell", "s" * 40), stream="/stream")
    with TestClient(app) as page:
        assert [page.get(path).status_code for path in ("/bellcast/token", "/stream")] == [401, 401]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_refused_stream_is_not_tried_again(app_of, status):
    with TestClient(app_of(lambda _: httpx.Response(status))) as page:
        assert page.get("/stream").status_code == status


def test_stream_does_not_need_a_lifespan(app_of):
    page = TestClient(app_of(lambda _: httpx.Response(200, stream=httpx.ByteStream(EVENT))))
    assert [page.get("/stream").content for _ in range(2)] == [EVENT, EVENT]


def test_app_without_open_streams_has_no_client_for_them(monkeypatch):
    opened = []
    monkeypatch.setattr(fastapi, "_stream_client", opened.append)
    with TestClient(app_with_stream(AsyncBellcast("http://bell", "s" * 40))) as page:
        assert page.get("/bellcast/token").status_code == 200
    assert opened == []


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
