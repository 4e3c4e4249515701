"""HTTP requests that exceed a limit: header lines, trailers, bodies, pipelined requests, unread responses."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from structlog.testing import capture_logs

from bellcast.kernel.http import ACCEPTED, ASGIApp
from bellcast.kernel.identities import Caller, Principal
from bellcast.live.http import takeover
from bellcast.live.http.fast_path import FastPathFactory
from tests.faults.raw_sockets import HANDSHAKE, WAIT, Raw, RawSocket, eventually, memory, request, upgrade
from tests.servers import ServerProcess
from tests.takeover_protocol import takeover_protocol

CHUNKED = {"Transfer_Encoding": "chunked", "Content_Type": "application/json"}
MEBIBYTE = 1_048_576
PATHS = ["/healthz", "/v1/stream", "/v1/ws", "/app/key", "/socket.io/?EIO=4&transport=websocket"]


def send_in(pieces: int, client: Raw, data: bytes) -> None:
    """Send bytes so that the server reads them in one piece, or in two or more."""
    if pieces == 2:
        client.send(data[:9])
        httpx.get(
            f"http://127.0.0.1:{client.socket.getpeername()[1]}/healthz"
        )  # after this response the first piece has been read
        data = data[9:]
    client.send(data)


# --- header lines


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("path", PATHS)
def test_head_of_more_than_200_lines_is_refused(target: ServerProcess, path: str, pieces: int) -> None:
    lines = {f"X{number}": "x" for number in range(takeover.MAX_HEADER_LINES - len(HANDSHAKE) + 1)}
    with Raw(target) as client:
        send_in(pieces, client, request(path, **HANDSHAKE, **lines))
        assert client.read_head()[0] == 431
        assert client.hangs_up()


def test_head_of_200_lines_is_served(target: ServerProcess) -> None:
    lines = {f"X{number}": "x" for number in range(takeover.MAX_HEADER_LINES - len(HANDSHAKE))}
    with RawSocket(target) as client:
        client.send(upgrade(target, "chatty", **lines))
        assert client.read_head()[0] == 101


def test_endless_header_lines_are_refused_before_the_head_is_complete(target: ServerProcess) -> None:
    with Raw(target) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n", b"a:\r\n" * 201)
        assert client.read_head()[0] == 431


# --- Host (RFC 9112, 3.2)


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("hosts", [b"", b"Host: a\r\nHost: a\r\n", b"Host: a\r\nhost: b\r\n"], ids=["0", "2", "other"])
@pytest.mark.parametrize("path", PATHS)
def test_request_without_exactly_one_host_is_refused(
    target: ServerProcess, path: str, hosts: bytes, pieces: int
) -> None:
    with Raw(target) as client:
        send_in(pieces, client, request(path, **HANDSHAKE).replace(b"Host: bell.example\r\n", hosts))
        status, headers = client.read_head()
        assert status == 400
        assert headers["access-control-allow-origin"] == "*"  # so that a page can read the status
        assert headers["content-type"] == "application/problem+json"
        assert b"Host" in client.read(int(headers["content-length"]))
        assert client.hangs_up()


def test_http_1_0_needs_no_host(target: ServerProcess) -> None:
    with Raw(target) as client:
        client.send(request("/healthz", version="1.0", Host=""))
        assert client.read_head()[0] == 200


# --- trailers


def chunked(body: bytes, trailers: bytes = b"") -> bytes:
    return b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers)


def test_trailer_does_not_authenticate(target: ServerProcess) -> None:
    trailer = f"Authorization: Bearer {target.secret}\r\n".encode()
    with Raw(target) as client:
        client.send(request("/v1/notifications", method="POST", **CHUNKED))
        client.send(chunked(b'{"to": "a", "title": "b"}', trailer))
        assert client.read_head()[0] == 401


def test_trailer_replaces_no_header(target: ServerProcess) -> None:
    with Raw(target) as client:
        head = request("/v1/notifications", method="POST", **CHUNKED, **target.as_app())
        for _ in range(2):  # with one idempotency key the second response would equal the first
            client.send(head, chunked(b'{"to": "a", "title": "b"}', b"Authorization: x\r\nIdempotency-Key: same\r\n"))
        bodies = {client.body() for _ in range(2)}
        assert len(bodies) == 2
        assert all(b'"notifications"' in response for response in bodies)


@pytest.mark.parametrize("endless", [b"a: b\r\n", b"x" * 16], ids=["trailers", "one trailer"])
def test_endless_trailers_are_cut_off(target: ServerProcess, endless: bytes) -> None:
    before = memory(target)
    with Raw(target) as client:
        client.send(request("/v1/notifications", method="POST", **CHUNKED, **target.as_app()), b"2\r\n{}\r\n0\r\n")
        assert client.flood(endless * 1_000, most=64 * MEBIBYTE) < 16 * MEBIBYTE  # discarded bytes and kernel buffers
    assert memory(target) < before + 16


def test_endless_chunk_extensions_are_cut_off(target: ServerProcess) -> None:
    with Raw(target) as client:
        client.send(request("/v1/notifications", method="POST", **CHUNKED, **target.as_app()), b"2;a=")
        assert client.flood(b"x" * 16_384, most=64 * MEBIBYTE) < 16 * MEBIBYTE


# --- refusals


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
@pytest.mark.parametrize("sized", [True, False], ids=["sized", "chunked"])
def test_refusal_reaches_a_client_that_sends_its_whole_body_first(
    target: ServerProcess, connection: str, sized: bool
) -> None:
    size = 12 * MEBIBYTE
    length = {"Content_Length": str(size)} if sized else CHUNKED
    with Raw(target) as client:
        head = request("/v1/notifications", method="POST", Connection=connection, **length, **target.as_app())
        body = b"x" * size if sized else chunked(b"x" * size)
        client.send(head, body)
        assert client.read_head()[0] == 413


def test_refused_handshake_reaches_a_client_that_sends_frames_first(target: ServerProcess) -> None:
    with Raw(target) as client:
        client.send(upgrade(target, "early", Sec_WebSocket_Version="8"), b"x" * 300_000)
        assert client.read_head()[0] == 426


def test_body_after_its_refusal_leaves_the_connection_usable(target: ServerProcess) -> None:
    with Raw(target) as client:
        for _ in range(3):
            client.send(request("/v1/notifications", method="POST", Content_Length="5"))
            status, headers = client.read_head()
            client.read(int(headers["content-length"]))
            assert status == 401
            client.send(b'{"a":'[:5])
        client.send(request("/healthz"))
        assert client.read_head()[0] == 200


def test_connection_closes_after_a_refusal_without_the_continuation_that_its_client_expects(
    target: ServerProcess,
) -> None:
    expecting = {"Expect": "100-continue", "Content_Type": "application/json", **target.as_app()}
    body = b'{"to": "continued", "title": "x"}'
    with Raw(target) as client:
        for _ in range(2):  # a continued request leaves the connection usable
            client.send(request("/v1/notifications", method="POST", Content_Length=str(len(body)), **expecting))
            assert client.read_head()[0] == 100
            client.send(body)
            status, headers = client.read_head()
            assert status == 201
            assert "connection" not in headers
            client.read(int(headers["content-length"]))
        client.send(request("/v1/notifications", method="POST", Content_Length=str(2 * MEBIBYTE), **expecting))
        status, headers = client.read_head()
        assert (status, headers["connection"]) == (413, "close")
        client.read(int(headers["content-length"]))
        # Some clients send their next request instead of the body.
        client.send(request("/v1/notifications", method="POST", body=body, **target.as_app()))
        with pytest.raises(EOFError):
            client.read(1)


@pytest.mark.parametrize("body", [{"ids": [1] * 500_000}, {f"f{number}": 1 for number in range(60_000)}])
def test_refusal_of_a_large_body_is_small(target: ServerProcess, body: Any) -> None:
    refused = httpx.post(f"{target.url}/v1/inbox/read", json=body, headers=target.as_recipient("a"))
    assert refused.status_code == 422
    assert len(refused.json()["errors"]) == 100
    assert len(refused.content) < 32_768


# --- open files


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX:", request("/", method="POST", Content_Length="2") + b"{"]
)
async def test_socket_that_has_waited_for_longest_gives_way_when_files_run_out(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr("bellcast.live.http.fast_path.SAMPLED", 1)

    class Site(App):
        def begins_live(self, _path: str, *, upgrade: bool) -> bool:
            return False

    site = Site()
    factory = FastPathFactory(site.begins_live)
    async with (
        running_app(site, factory) as server,
        AsyncExitStack() as stack,
        connecting(server) as (oldest, its_writer),
    ):
        its_writer.write(sent)
        await until(lambda: len(server.server_state.connections) == 1 and bool(factory.since) is not bool(sent))
        other, its_writer = await stack.enter_async_context(connecting(server))
        its_writer.write(sent)
        await until(lambda: len(server.server_state.connections) == 2 and bool(factory.since) is not bool(sent))
        factory.max_file = 1  # no descriptor is left
        with capture_logs() as logs:
            async with connecting(server) as (reader, writer):
                assert await asyncio.wait_for(oldest.read(), WAIT) == b""
                writer.write(request("/healthz"))
                assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT)
            async with connecting(server):
                assert await asyncio.wait_for(other.read(), WAIT) == b""
        assert [line["event"] for line in logs] == ["open_files_limit_reached"]


# --- pipelining


def test_client_that_hangs_up_on_pipelined_requests_causes_no_errors(target: ServerProcess) -> None:
    """The fixture checks the log."""
    body = b'{"to": "gone", "title": "x"}'
    pipelined = request(
        "/v1/notifications", method="POST", body=body, **target.as_app(), Content_Type="application/json"
    )
    for _ in range(20):
        client = Raw(target)
        client.send(pipelined * 15)
        client.reset()


# --- timeouts, with a separate app and shorter limits

Send = Callable[[Any], Awaitable[None]]
LARGE = b"x" * 16 * MEBIBYTE


class App:
    """Responds to `/large` with LARGE, to `/slow` once `release` is set, and to any other path with its body."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.disconnects = 0

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        body = b""
        is_incomplete = True
        while is_incomplete:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnects += 1
                return
            body += message["body"]
            is_incomplete = message["more_body"]
        if scope["path"] == "/large":
            body = LARGE
        elif scope["path"] == "/slow":
            await self.release.wait()
        size = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": size})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def running_app(app: ASGIApp, protocol_class: Any = None) -> AsyncIterator[uvicorn.Server]:
    """Run a server, by default of TakeoverProtocol; its `config.port` is set."""
    config = uvicorn.Config(app, http=protocol_class or takeover_protocol(), ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config.port = listening.getsockname()[1]
        task = asyncio.get_running_loop().create_task(server.serve([listening]))
        try:
            yield server
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, WAIT)


@asynccontextmanager
async def connecting(server: uvicorn.Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.config.port)
    yield reader, writer
    writer.transport.abort()


async def until(holds: Callable[[], bool]) -> None:
    assert await asyncio.to_thread(eventually, holds)


async def pour(writer: asyncio.StreamWriter, limit: int) -> int:
    """Send until the server hangs up; return the number of bytes sent, at most `most`."""
    sent = 0
    try:
        while sent < limit:
            writer.write(b"x" * 16_384)
            await writer.drain()
            sent += 16_384
    except ConnectionError:
        pass
    return sent


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_client_that_does_not_read_its_response_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, connection: str
) -> None:
    monkeypatch.setattr(takeover, "READ_TIMEOUT", 0.2)
    async with running_app(App()) as server, connecting(server) as (reader, writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined] # by default a reader buffers 128 KiB
        writer.write(request("/large", Connection=connection) * 3)
        while not server.server_state.connections:  # noqa: ASYNC110 - a poll in a thread may miss it
            await asyncio.sleep(0)
        await until(lambda: not server.server_state.connections and not server.server_state.tasks)


@pytest.mark.thorough
async def test_client_that_reads_slowly_gets_its_whole_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        takeover, "READ_TIMEOUT", 2
    )  # longer than a pause of a loaded machine, shorter than reading takes
    async with running_app(App()) as server, connecting(server) as (reader, writer):
        writer.write(request("/large", Connection="close"))
        received = 0
        while data := await reader.read(65_536):
            received += len(data)
            await asyncio.sleep(0.01)
        assert received > len(LARGE)


async def test_body_slower_than_the_minimum_rate_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is not silent for long, but slower than MIN_BODY_RATE."""
    monkeypatch.setattr(takeover, "BODY_TIMEOUT", 0.5)
    app = App()
    async with running_app(app) as server, connecting(server) as (_, writer):
        writer.write(request("/", method="POST", Content_Length="1000"))
        sent = 0
        while not app.disconnects and sent < 999:
            writer.write(b"x")
            await asyncio.sleep(0.05)
            sent += 1
        assert sent < 999


async def test_requests_of_many_connections_begin_a_few_in_each_turn_of_the_event_loop() -> None:
    """Also requests that never wait: each of them would run in the same turn."""
    turn = 0
    turns: list[int] = []

    async def app(_scope: Any, _receive: Any, send: Send) -> None:
        turns.append(turn)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def count_turns() -> None:
        nonlocal turn
        while True:
            await asyncio.sleep(0)
            turn += 1

    connections = 5 * takeover.MAX_BEGUN
    async with running_app(app) as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connecting(server)) for _ in range(connections)]
        counter = asyncio.create_task(count_turns())
        for _, writer in clients:
            writer.write(request("/first") + request("/second"))
        for reader, _ in clients:
            for _ in range(2):
                assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT)
        counter.cancel()
    assert len(turns) == 2 * connections
    assert max(turns.count(one) for one in turns) <= 2 * takeover.MAX_BEGUN  # counted once in two turns


SERVER, OTHER_SERVER = Caller(("send",), key="a1"), Caller(("send",), key="b2")
GUEST = Principal(tenant="acme", recipient="alice")
MANY = takeover.MAX_BEGUN_AT_ONCE + 10 * takeover.MAX_BEGUN


async def begin(turns: takeover.Turns, requests: Iterable[tuple[bytes | None, str]]) -> list[bytes | None]:
    """Return the credentials of requests (credentials, address) that arrive together, in the order in which they begin."""
    begun: list[bytes | None] = []

    async def wait(credentials: bytes | None, address: str) -> None:
        await turns.wait(credentials, address)
        begun.append(credentials)

    await asyncio.gather(*(wait(*one) for one in requests))
    return begun


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param([(b"many", "::1")] * MANY, id="a key"),
        pytest.param([(b"wrong %d" % number, "::1") for number in range(MANY)], id="many wrong tokens"),
        pytest.param([(b"guest %d" % number, "::1") for number in range(MANY)], id="the sessions of a tenant"),
        pytest.param([(b"author %d" % number, "::1") for number in range(MANY)], id="the editor tokens of a tenant"),
        pytest.param([(None, "::1")] * MANY, id="requests without credentials"),
    ],
)
async def test_caller_with_many_requests_delays_no_other_caller(flood: list[tuple[bytes | None, str]]) -> None:
    turns = takeover.Turns()
    for credentials, server in ((b"many", SERVER), (b"one", OTHER_SERVER)):
        turns.remember(credentials, server)
    for number in range(MANY):
        turns.remember(b"guest %d" % number, GUEST)
        author = Caller((), operator=f"author {number}", role="editor", tenants=("acme",))
        turns.remember(b"author %d" % number, author)
    begun = await begin(turns, [*flood, (b"one", "::1"), (b"new", "::2")])
    assert len(begun) == MANY + 2
    assert max(begun.index(b"one"), begun.index(b"new")) < takeover.MAX_BEGUN_AT_ONCE + 2 * takeover.MAX_BEGUN


async def test_recipient_with_many_requests_delays_no_other_recipient_of_its_tenant() -> None:
    turns = takeover.Turns()
    for token in (b"alice 1", b"alice 2"):
        turns.remember(token, GUEST)
    turns.remember(b"bob", Principal(tenant="acme", recipient="bob"))
    begun = await begin(turns, [*[(b"alice 1", "::1"), (b"alice 2", "::1")] * MANY, (b"bob", "::1")])
    assert begun.index(b"bob") < 2 * takeover.MAX_BEGUN


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [(b"server", takeover.MAX_BEGUN_AT_ONCE), (b"guest", takeover.MAX_BEGUN), (b"wrong", takeover.MAX_BEGUN)],
)
async def test_burst_begins_at_once_only_with_credentials_of_a_server(credentials: bytes, expected: int) -> None:
    turns = takeover.Turns()
    turns.remember(b"server", SERVER)
    turns.remember(b"guest", GUEST)
    requests = [asyncio.ensure_future(turns.wait(credentials, "::1")) for _ in range(MANY)]
    await asyncio.sleep(0)  # one iteration of the event loop
    assert sum(one.done() for one in requests) == expected
    await asyncio.gather(*requests)


async def test_credentials_that_the_application_accepted_are_remembered() -> None:
    turns = takeover.Turns()

    async def app(scope: Any, _receive: Any, send: Send) -> None:
        if scope["path"] == "/accepted":
            scope["extensions"][ACCEPTED] = SERVER
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with running_app(app, takeover_protocol(turns)) as server:
        for path, authorization in (("/accepted", "one"), ("/refused", "wrong")):
            async with connecting(server) as (reader, writer):
                writer.write(request(path, Authorization=authorization))
                await reader.readuntil(b"\r\n\r\n")
    flood: list[tuple[bytes | None, str]] = [(b"wrong", "::1")] * MANY
    assert (await begin(turns, [*flood, (b"one", "::1")])).index(b"one") < 2 * takeover.MAX_BEGUN


async def test_credentials_that_are_refused_begin_no_burst() -> None:
    """A key that was revoked: 100 refusals in each iteration of the event loop delay the sends of others."""
    turns, accepted = takeover.Turns(), [SERVER, None]

    async def app(scope: Any, _receive: Any, send: Send) -> None:
        scope["extensions"][ACCEPTED] = accepted.pop(0)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with running_app(app, takeover_protocol(turns)) as server:
        for _ in range(2):
            async with connecting(server) as (reader, writer):
                writer.write(request("/any", Authorization="revoked"))
                await reader.readuntil(b"\r\n\r\n")
    requests = [asyncio.ensure_future(turns.wait(b"revoked", "::1")) for _ in range(MANY)]
    await asyncio.sleep(0)
    assert sum(one.done() for one in requests) == takeover.MAX_BEGUN
    await asyncio.gather(*requests)


async def test_credentials_that_were_used_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover, "MAX_KNOWN", 2)
    turns = takeover.Turns()
    turns.remember(b"used", SERVER)
    turns.remember(b"unused", SERVER)
    await turns.wait(b"used", "::1")
    turns.remember(b"third", SERVER)
    flood: list[tuple[bytes | None, str]] = [(b"unused", "::1")] * MANY
    assert (await begin(turns, [*flood, (b"used", "::1")])).index(b"used") < 2 * takeover.MAX_BEGUN


async def test_bodies_of_one_caller_hold_limited_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body may be as large as its operation allows; other callers, and the caller itself later, are not refused."""
    monkeypatch.setattr(takeover, "MAX_HELD_BYTES", MEBIBYTE)
    app, turns = App(), takeover.Turns()
    for credentials, caller in ((b"one", SERVER), (b"other", OTHER_SERVER)):
        turns.remember(credentials, caller)

    def upload(credentials: str, path: str = "/slow") -> bytes:
        return request(path, method="POST", Authorization=credentials, Content_Length=str(3 * MEBIBYTE))

    async with running_app(app, takeover_protocol(turns)) as server, AsyncExitStack() as stack:

        async def connect(data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await stack.enter_async_context(connecting(server))
            writer.write(data)
            return reader, writer

        unfinished, large = await connect(upload("one")), bytes(2 * MEBIBYTE)
        unfinished[1].write(large)
        await until(lambda: turns.held.total() > MEBIBYTE)
        refused, _ = await connect(upload("one") + large)
        head = await asyncio.wait_for(refused.readuntil(b"\r\n\r\n"), WAIT)
        assert head.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nretry-after: 5\r\n" in head
        small, _ = await connect(request("/echo", method="POST", Authorization="one", Content_Length="1") + b"x")
        other, _ = await connect(upload("other", "/echo") + bytes(3 * MEBIBYTE))
        for reader in (small, other):
            assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT)
        unfinished[1].transport.abort()
        await until(lambda: not turns.held)
        again, _ = await connect(upload("one", "/echo") + bytes(3 * MEBIBYTE))
        assert b" 200 " in await asyncio.wait_for(again.readuntil(b"\r\n\r\n"), WAIT)


async def test_requests_that_never_end_delay_no_others() -> None:
    app = App()
    async with running_app(app) as server, AsyncExitStack() as stack:
        for _ in range(takeover.MAX_BEGUN_AT_ONCE + 1):
            reader, writer = await stack.enter_async_context(connecting(server))
            writer.write(request("/first") + request("/slow"))
            await reader.readuntil(b"\r\n\r\n")
        reader, writer = await stack.enter_async_context(connecting(server))
        writer.write(request("/first") + request("/second"))
        for _ in range(2):
            assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT)
        app.release.set()


async def test_request_of_a_client_that_hangs_up_before_its_turn_does_not_run() -> None:
    release, paths = asyncio.Event(), list[str]()

    class LateTurns(takeover.Turns):
        async def wait(self, _credentials: bytes | None, _address: str) -> None:
            await release.wait()

    async def app(scope: Any, _receive: Any, _send: Send) -> None:
        paths.append(scope["path"])

    async with running_app(app, takeover_protocol(LateTurns())) as server:
        async with connecting(server) as (_, writer):
            writer.write(request("/unread"))
            await until(lambda: bool(server.server_state.tasks))
        await until(lambda: not server.server_state.connections)
        release.set()
        await until(lambda: not server.server_state.tasks)
    assert paths == []


async def test_unreadable_pipelined_request_does_not_corrupt_the_response_before_it() -> None:
    app = App()
    async with running_app(app) as server, connecting(server) as (reader, writer):
        writer.write(request("/slow", body=b"the first response") + b"nonsense\r\n\r\n" + request("/third"))
        await until(lambda: bool(server.server_state.tasks))
        app.release.set()
        response = await asyncio.wait_for(reader.read(), WAIT)
        assert response.endswith(b"the first response")
        assert response.count(b"HTTP/1.1") == 1


async def test_client_that_hangs_up_ends_its_running_request() -> None:
    """Even if the client has pipelined another request."""
    reached = asyncio.Event()
    messages = list[str]()

    async def app(scope: Any, receive: Any, send: Send) -> None:
        await receive()
        reached.set()
        messages.append((await receive())["type"])

    async with running_app(app) as server:  # type: ignore[arg-type] # a valid ASGI app
        async with connecting(server) as (_, writer):
            writer.write(request("/first") + request("/second"))
            await reached.wait()
        await until(lambda: not server.server_state.tasks)
    assert messages == ["http.disconnect"]


async def test_refused_body_is_discarded_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover, "MAX_DISCARDED_BYTES", 100_000)

    async def app(scope: Any, receive: Any, send: Send) -> None:
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with running_app(app) as server, connecting(server) as (reader, writer):
        writer.write(request("/", method="POST", Content_Length="1000000000"))
        assert b"413" in await reader.readuntil(b"\r\n\r\n")
        assert await pour(writer, limit=100 * MEBIBYTE) < 100 * MEBIBYTE
