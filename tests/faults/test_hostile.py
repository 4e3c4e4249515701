"""Clients that send malformed HTTP, endless HTTP or no HTTP harm only themselves."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from bellcast.live.http import takeover
from tests.faults.raw_sockets import (
    WAIT,
    Raw,
    RawSocket,
    eventually,
    files,
    live,
    memory,
    raw_stream,
    raw_websocket,
    request,
    upgrade,
)
from tests.servers import ServerProcess
from tests.takeover_protocol import takeover_protocol
from tests.wire.clients import stream, websocket

HEAD_SECONDS = 10
TIMEOUT = 3  # seconds; longer than the pauses of a loaded machine between the pieces that a test sends


# --- slow


@pytest.mark.thorough
def test_incomplete_request_head_ends_the_connection_after_ten_seconds(target: ServerProcess) -> None:
    """Byte by byte, in every place where a client can stall, all concurrently."""
    drips = {
        "sends nothing": b"",
        "a slow request line": b"x",
        "a slow header": b"x",
        "a slow second head": b"x",
        "endless empty lines": b"\r\n",
    }
    started, ended_after = time.monotonic(), dict[str, float]()
    with ExitStack() as stack:
        clients = {name: stack.enter_context(Raw(target)) for name in drips}
        for name in ("a slow second head", "endless empty lines"):
            clients[name].send(request("/healthz"))
            assert b"ok" in clients[name].body()
        clients["a slow request line"].send(b"GET /")
        for name in ("a slow header", "a slow second head"):
            clients[name].send(b"GET / HTTP/1.1\r\nX: ")
        while clients.keys() != ended_after.keys() and time.monotonic() < started + HEAD_SECONDS + WAIT:
            for name in clients.keys() - ended_after.keys():
                if not _still_reads(clients[name].socket, drips[name]):
                    ended_after[name] = time.monotonic() - started
            assert httpx.get(f"{target.url}/healthz").status_code == 200
            time.sleep(0.2)
    assert clients.keys() == ended_after.keys()
    assert ended_after.pop("endless empty lines") > 4  # uvicorn's keep-alive timeout between two requests
    assert all(seconds > HEAD_SECONDS - 1 for seconds in ended_after.values()), ended_after


def _still_reads(client: socket.socket, drip: bytes) -> bool:
    """Return True if the server still reads."""
    client.setblocking(False)
    try:
        client.send(drip)
        while client.recv(65_536):
            pass
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@pytest.mark.thorough
async def test_stalled_body_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow bodies that make progress are read completely, and streams ahead of an incomplete request survive."""
    monkeypatch.setattr(takeover, "BODY_TIMEOUT", TIMEOUT)
    monkeypatch.setattr(takeover, "HEAD_TIMEOUT", TIMEOUT)
    monkeypatch.setattr(takeover, "MIN_BODY_RATE", 1)
    sized = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 6\r\n\r\n"
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    streamed = b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\nGET /half"
    async with _echoing() as port:
        *silent, slow, stream = await asyncio.gather(
            _response_to(port, sized),
            _response_to(port, sized, b"half"),
            _response_to(port, chunked),
            _response_to(port, sized, *(b"%d" % number for number in range(6))),
            _response_to(port, streamed),
        )
    assert silent == [b""] * 3
    assert b"012345" in slow
    assert stream == b"taken over, and still there"


async def _response_to(port: int, *pieces: bytes) -> bytes:
    """Return the response to pieces sent a quarter of TIMEOUT apart."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(TIMEOUT / 4)
    response = await asyncio.wait_for(reader.read(), WAIT)
    writer.close()
    await writer.wait_closed()
    return response


@asynccontextmanager
async def _echoing() -> AsyncIterator[int]:
    """Run a server that echoes bodies and takes over `/stream`; yield its port."""

    class Owner(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None: ...

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/stream":
            transport, _ = scope["extensions"][takeover.EXTENSION](Owner())
            transport.write(b"taken over, ")
            asyncio.get_running_loop().call_later(TIMEOUT + 0.5, transport.write, b"and still there")
            asyncio.get_running_loop().call_later(TIMEOUT + 0.6, transport.close)
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": body})
                return

    config = uvicorn.Config(app, port=0, http=takeover_protocol(), ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running_app = asyncio.get_running_loop().create_task(server.serve([listening]))
        yield listening.getsockname()[1]
        server.should_exit = True
        await running_app


# --- large


LARGE = {
    "many headers": request("/healthz", **{f"X-{number}": "x" * 1_000 for number in range(100)}),
    "one large header": request("/healthz", X="x" * 100_000),
    "a large path": request("/" + "x" * 100_000),
    "a large token": request("/v1/stream?token=" + "x" * 100_000),
}


@pytest.mark.parametrize("head", LARGE.values(), ids=LARGE.keys())
def test_head_beyond_64_kib_is_refused_and_closed(target: ServerProcess, head: bytes) -> None:
    with Raw(target) as client:
        client.send(head)
        assert client.read_head()[0] == 431
        assert client.hangs_up()


@pytest.mark.parametrize(
    "beginning", [b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\nX", request("/healthz") + b"GET /?"]
)
def test_endless_head_is_cut_off_before_it_fills_the_memory(target: ServerProcess, beginning: bytes) -> None:
    with Raw(target) as client:
        client.send(beginning)
        # What the kernel's buffers of both ends take: up to 8.3 MB on a loaded machine
        assert client.flood(b"x" * 16_384, most=32_000_000) < 16_000_000


def test_head_in_small_pieces_below_the_limit_is_served(target: ServerProcess) -> None:
    head = request("/healthz", **{f"X-{number}": "x" * 900 for number in range(60)})
    with Raw(target) as client:
        client.send(request("/healthz"), head[:10])
        assert b"ok" in client.body()
        for start in range(10, len(head), 5_000):
            client.send(head[start : start + 5_000])
        assert b"ok" in client.body()


# --- malformed


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),  # TLS on the plain port
    b"\0" * 1_000,
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
    b"G\x00T / HTTP/1.1\r\n\r\n",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_malformed_request_is_refused_and_closed(target: ServerProcess, garbage: bytes) -> None:
    with Raw(target) as client:
        client.send(garbage)
        assert client.read_head()[0] in (400, 401, 404)
        assert client.hangs_up()


def test_random_bytes_are_closed(target: ServerProcess) -> None:
    chance = random.Random(7)
    for _ in range(200):
        with Raw(target) as client:
            client.send(chance.randbytes(chance.randint(1, 300)), b"\r\n\r\n")
            client.half_close()
            assert client.hangs_up()


# --- pipelining


def test_pipelined_requests_are_answered_in_order(target: ServerProcess) -> None:
    with Raw(target) as client:
        client.send(*(request(path) for path in ("/healthz", "/nowhere", "/healthz", "/readyz")))
        assert b"ok" in client.body()
        assert b"not_found" in client.body()
        assert b"ok" in client.body()
        assert client.read_head()[0] == 200


def test_requests_behind_a_stream_are_not_answered_into_it(target: ServerProcess, http: httpx.Client) -> None:
    path = f"/v1/stream?token={target.token('piped')}"
    with Raw(target) as page:
        page.send(request("/healthz"), request(path), request("/healthz"), request(path))
        assert b"ok" in page.body()
        assert page.read_head()[1]["content-type"] == "text/event-stream"
        http.post("/v1/events", json={"recipient": "piped", "name": "heard"})
        received = b""
        while b"heard" not in received:
            received += page.line()
        assert b"HTTP/1.1" not in received
        assert received.count(b"event: ready") == 1


def test_flood_of_pipelined_requests_is_cut_off(target: ServerProcess) -> None:
    before = memory(target)
    with Raw(target) as client:
        assert client.flood(request("/healthz") * 2_000, most=32_000_000) < 8_000_000
    assert memory(target) < before + 32


# --- incomplete upgrades


def test_http_2_upgrade_is_ignored(target: ServerProcess) -> None:
    """As sent by Java's HTTP client with its first request, including a body."""
    upgrade_headers = {
        "Connection": "Upgrade, HTTP2-Settings",
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA",
    }
    send = request(
        "/v1/notifications",
        method="POST",
        body=b'{"to": "java", "title": "Hello"}',
        **upgrade_headers,
        **target.as_app(),
        Content_Type="application/json",
    )
    with Raw(target) as client:
        for first_size in (len(send), len(send) - 10, 20):
            client.send(request("/healthz", **upgrade_headers))
            assert b"ok" in client.body()
            client.send(send[:first_size])
            client.send(send[first_size:])
            assert b"notifications" in client.body()


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"version": "1.0"}, 400),
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"Sec_WebSocket_Key": ""}, 400),
        ({"Sec_WebSocket_Key": "c2hvcnQ="}, 400),
        ({"Host": ""}, 400),
        ({"Upgrade": "h2c"}, 426),
        ({"Connection": "keep-alive"}, 400),
        ({"Content_Length": "5"}, 400),
    ],
)
def test_invalid_handshake_is_refused(target: ServerProcess, changed: dict[str, str], status: int) -> None:
    with Raw(target) as client:
        client.send(upgrade(target, "alice", **changed))
        assert client.read_head()[0] == status


def test_half_closed_socket_is_closed(target: ServerProcess) -> None:
    with Raw(target) as halved, raw_stream(target, "half") as page, raw_websocket(target, "half") as bell:
        halved.send(b"GET /healthz HT")
        assert eventually(lambda: live(target) == 2)
        for connection in (halved, page, bell):
            connection.half_close()
            assert connection.hangs_up()


# --- many


@pytest.mark.thorough
def test_aborted_connections_leave_nothing_behind(target: ServerProcess) -> None:
    beginnings = [
        b"",
        b"GET /v1/str",
        request(f"/v1/stream?token={target.token('ghost')}"),
        upgrade(target, "ghost"),
        upgrade(target, "ghost") + b"\x81",
    ]
    before = files(target)

    def open_and_abort(number: int) -> None:
        client = Raw(target)
        client.send(beginnings[number % len(beginnings)])
        if number % 3 and number % len(beginnings) > 1:
            client.socket.recv(1)
        client.reset() if number % 2 else client.socket.close()

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(open_and_abort, range(2_000)))
    assert eventually(lambda: live(target) == 0)
    assert eventually(lambda: files(target) <= before + 2), (files(target), before)


@pytest.mark.parametrize("setting", ["BELLCAST_LIMIT_CONNECTIONS_PER_ADDRESS", "BELLCAST_LIMIT_CONNECTIONS"])
def test_connection_beyond_a_limit_is_closed_for_a_retry(
    start_server: Callable[..., ServerProcess], setting: str
) -> None:
    server = start_server(**{setting: "3"})
    with raw_websocket(server, "a"), raw_websocket(server, "b"), raw_stream(server, "c") as last:
        with stream(server, "d") as page:
            assert page.status == 200  # with any other status EventSource would not reconnect
            close = page.next()
            assert (close["type"], close["reconnect"], close["after"]) == ("close", True, 5_000)
        with RawSocket(server) as client:
            client.send(upgrade(server, "d"))
            _check_retry(client, before_the_handshake="ADDRESS" in setting)
        last.socket.close()
        assert eventually(lambda: live(server) == 2)
        with websocket(server, "d") as bell:
            assert bell.next()["type"] == "ready"


def _check_retry(client: RawSocket, before_the_handshake: bool) -> None:
    status, headers = client.read_head()
    if before_the_handshake:
        assert (status, headers["retry-after"]) == (429, "5")
    else:
        assert status == 101
        assert client.finish_close() == 1013


def test_tokens_in_urls_are_not_logged(target: ServerProcess) -> None:
    token = target.token("quiet")
    with websocket(target, None, token=token) as bell, stream(target, None, token=token) as page:
        bell.next(), page.next()
    httpx.get(f"{target.url}/v1/inbox", params={"token": token})
    assert token not in target.log.read_text()
