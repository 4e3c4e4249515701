"""Bellcast behaves the same when mounted in another Starlette app under another server, where it cannot take over
sockets.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.faults.raw_sockets import HANDSHAKE, Raw, RawSocket, eventually, live, memory, request
from tests.law.device import Device
from tests.servers import PROJECT, START_TIMEOUT, ServerProcess
from tests.thoroughness import sampled
from tests.unit.live.framing.client import TEXT, frame
from tests.wire.clients import Stream, websocket

HOST = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import bellcast
from bellcast import server, settings

handlers = bellcast.Handlers()

@handlers.on("echo")
async def echo(call):
    return call.data

bell = server.create_app(settings.load({}), handlers)

async def home(request):
    return PlainTextResponse("the host")

app = Starlette(routes=[Route("/", home), Mount("/bell", bell)])
"""
HOSTS = {
    "uvicorn": ["uvicorn", "--ws", "websockets", "--log-level", "warning"],
    "uvicorn sansio": ["uvicorn", "--ws", "websockets-sansio", "--log-level", "warning"],
    "hypercorn": ["hypercorn", "--log-level", "warning"],
}
LIMITS = {"UNSENT": "65536", "FRAMES_PER_SECOND": "150", "EVENT_DATA": "60000", "CONNECTIONS_PER_RECIPIENT": "3"}
# Shorter than the 30 s that a server waits for a slow reader, longer than any pause of a loaded machine.
STALL_SECONDS = 20
names = (f"guest{number}" for number in itertools.count())


class MountedServer(ServerProcess):
    """The app at /bell of another app, under one of the hosts."""

    def __init__(self, folder: Path, host: list[str]) -> None:
        super().__init__(folder / "data", {f"BELLCAST_LIMIT_{name}": value for name, value in LIMITS.items()})
        (folder / "host_app.py").write_text(HOST)
        self.root = self.url
        self.url += "/bell"
        self._folder = folder
        self._command = [sys.executable, "-m", host[0], "host_app:app", *host[1:]]
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        self._command += address if host[0] == "uvicorn" else ["--bind", f"127.0.0.1:{self.port}"]

    def start(self) -> "MountedServer":
        self.data.mkdir(parents=True, exist_ok=True)
        environ = os.environ | self.environ | {"BELLCAST_PROJECT": ":".join(PROJECT), "BELLCAST_DATA": str(self.data)}
        environ |= {"BELLCAST_HEARTBEAT": "1s"}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        assert eventually(self._is_up, START_TIMEOUT), self.log.read_text()[-4000:]
        return self

    def _end(self, how: signal.Signals) -> int:
        if how is signal.SIGKILL and self.process is not None:
            with suppress(ProcessLookupError):  # it may have exited already
                os.killpg(self.process.pid, how)  # hypercorn works in a child process
        return super()._end(how)

    def _is_up(self) -> bool:
        try:
            return httpx.get(self.root).text == "the host"
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module", params=sampled(HOSTS), ids=lambda name: name.replace(" ", "-"))
def mounted_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MountedServer]:
    with MountedServer(tmp_path_factory.mktemp("host"), HOSTS[request.param]) as server:
        yield server


@pytest.fixture
def mounted(mounted_server: MountedServer) -> Iterator[MountedServer]:
    """The server of one host. After the test it has logged no error and has no connection left."""
    logged = len(mounted_server.log.read_text())
    yield mounted_server
    assert eventually(lambda: live(mounted_server) == 0)
    log = mounted_server.log.read_text()[logged:]
    assert not any(word in log for word in ("Traceback", "Exception", "rror")), log


@pytest.fixture
def app(mounted: MountedServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=mounted.url, headers=mounted.as_app()) as client:
        yield client


@contextmanager
def page(server: MountedServer, who: str, *, last: str | None = None, **query: Any) -> Iterator[Stream]:
    """Open an event stream through the host."""
    query["token"] = server.token(who, **query.pop("claims", {}))
    headers = {} if last is None else {"Last-Event-ID": last}
    opened = Stream(server.root, "/bell/v1/stream?" + urlencode(query), headers)
    try:
        yield opened
    finally:
        opened.close()


FOLLOWING = [page, websocket]
TRANSPORTS = ["sse", "websocket"]


def notify(app: httpx.Client, who: str, count: int = 1, size: int = 10) -> None:
    sends = [{"to": who, "title": str(number), "body": "x" * size} for number in range(count)]
    results = app.post("/v1/notifications/bulk", json=sends).json()["results"]
    assert all("id" in one for one in results)


def snapshot(server: MountedServer, who: str) -> dict[str, Any]:
    """Fetch the first page of an inbox, which must be the only one."""
    whole = httpx.get(f"{server.url}/v1/inbox?limit=100", headers=server.as_recipient(who)).json()
    assert whole["next"] is None
    return {name: whole[name] for name in ("notifications", "unread", "unseen", "position")}


# --- REST


def test_rest_works_below_the_mount(mounted: MountedServer, app: httpx.Client) -> None:
    for key in ("a/b", "ü ö", "50%"):
        path = f"/v1/recipients/{urlencode({'': key})[1:].replace('+', '%20')}"
        assert app.put(path, json={"name": key}).status_code in (200, 201)
        assert app.get(path).json()["name"] == key
    missing = app.get("/v1/recipients/nobody")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert app.get("/healthz").status_code == 200
    assert httpx.get(f"{mounted.root}/v1/inbox").status_code == 404  # a path of the host


# --- the contract with every client


@pytest.mark.parametrize("follow", FOLLOWING, ids=TRANSPORTS)
def test_connection_sends_ready_then_events_and_resumes_from_its_position(
    mounted: MountedServer, app: httpx.Client, follow: Callable[..., Any]
) -> None:
    who = next(names)
    device = Device(snapshot(mounted, who))
    with follow(mounted, who) as bell:
        assert bell.next()["type"] == "ready"
        notify(app, who)
        device.apply(bell.next())
        assert device.unread == 1
        assert bell.until("heartbeat")["time"]
    notify(app, who, 30)
    httpx.post(f"{mounted.url}/v1/inbox/read", json={"all": True}, headers=mounted.as_recipient(who))
    notify(app, who, 5)
    with follow(mounted, who, position=device.position) as bell:
        ready = bell.next()
        assert (ready["resumed"], ready["position"]) == (True, device.position)
        fresh = snapshot(mounted, who)
        while device.position != fresh["position"]:
            device.apply(bell.next())
        assert device.snapshot == fresh


def test_event_stream_has_the_headers_for_proxies_and_browsers(mounted: MountedServer, app: httpx.Client) -> None:
    who = next(names)
    with page(mounted, who) as stream:
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
        assert stream.headers["x-accel-buffering"] == "no"
        assert "no-store" in stream.headers["cache-control"]
        assert 1_500 <= int(stream.block()["retry"]) <= 4_500
        notify(app, who)
        last = stream.next()["sse_id"]
    notify(app, who)
    with page(mounted, who, last=last) as stream:
        assert stream.next()["resumed"] is True
        assert stream.next()["unread"] == 2


def test_early_frames_are_answered_in_order_after_ready(mounted: MountedServer) -> None:
    with websocket(mounted, next(names)) as bell:
        for ref in range(100):
            bell.send("call", name="echo", data=ref, ref=ref)
        assert bell.next()["type"] == "ready"
        assert [bell.next()["data"] for _ in range(100)] == list(range(100))
        bell.raw.send(b"binary")
        assert bell.next()["code"] == "bad_request"
        assert bell.ask("nonsense")["code"] == "invalid"


def test_topics_can_be_followed_and_published_to(mounted: MountedServer, app: httpx.Client) -> None:
    claims = {"topics": ["*"], "publish": ["*"]}
    with (
        page(mounted, next(names), topics="room", claims=claims) as ann,
        websocket(mounted, next(names), topics="room", claims=claims) as ben,
    ):
        ann.next(), ben.next()
        assert ben.ask("publish", topic="room", name="said", data="hi")["type"] == "ack"
        assert ann.next()["data"] == "hi"
        app.post("/v1/events", json={"topic": "room", "name": "moved"})
        assert ann.next()["name"] == ben.next()["name"] == "moved"


# --- closing


@pytest.mark.parametrize("follow", FOLLOWING, ids=TRANSPORTS)
def test_revoked_session_is_closed_with_its_reason(
    mounted: MountedServer, app: httpx.Client, follow: Callable[..., Any]
) -> None:
    who = next(names)
    with follow(mounted, who) as bell:
        bell.next()
        app.delete(f"/v1/recipients/{who}/sessions")
        close = bell.until("close")
        assert (close["code"], close["reason"], close["reconnect"]) == (4401, "revoked", False)
        if isinstance(bell, Stream):
            assert bell.ends()
        else:
            assert _close_code(bell) == 4401


def _close_code(bell: Any) -> int:
    """Return the code of the close frame that follows."""
    with pytest.raises(ConnectionClosed) as closed:
        bell.next()
    assert closed.value.rcvd is not None
    return int(closed.value.rcvd.code)


def test_bad_credentials_close_with_a_reason(mounted: MountedServer) -> None:
    with websocket(mounted, None, token="forged") as bell:
        assert bell.next()["code"] == 4401
        assert _close_code(bell) == 4401
    refused = httpx.get(f"{mounted.url}/v1/stream", params={"token": "forged"})
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


def test_limits_of_size_rate_and_count_close_with_their_codes(mounted: MountedServer) -> None:
    who = next(names)
    with websocket(mounted, who) as bell:
        bell.next()
        bell.send("call", name="echo", data="é" * 40_000)  # 80,000 bytes
        assert bell.until("close")["code"] == 4413
        assert _close_code(bell) == 4413
    with RawSocket(mounted) as flooding:
        flooding.send(handshake(mounted))
        assert flooding.read_head()[0] == 101
        flooding.send(frame(TEXT, b'{"type":"ping"}') * 400)
        assert flooding.until("close")["code"] == 4429
        assert flooding.finish_close() == 4429
    assert eventually(lambda: live(mounted) == 0)
    with websocket(mounted, who) as first, websocket(mounted, who) as second, page(mounted, who) as third:
        for admitted in (first, second, third):
            admitted.next()
        with websocket(mounted, who) as more:
            assert more.next()["code"] == 4409


@pytest.mark.parametrize("follow", FOLLOWING, ids=TRANSPORTS)
def test_disconnected_client_leaves_no_connection(mounted: MountedServer, follow: Callable[..., Any]) -> None:
    for _ in range(5):
        with follow(mounted, next(names)) as bell:
            bell.next()
            assert live(mounted) >= 1
    assert eventually(lambda: live(mounted) == 0)


@pytest.mark.thorough
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_uvicorn_exits_without_waiting_for_its_clients(tmp_path: Path, how: signal.Signals) -> None:
    """uvicorn waits for open responses: an event stream and this poll do not end."""
    host = MountedServer(tmp_path, HOSTS["uvicorn"])
    host.environ["BELLCAST_SOCKETIO_PING_INTERVAL"] = "10m"
    with (
        host as server,
        page(server, next(names)) as stream,
        websocket(server, next(names)) as bell,
        Raw(server) as poll,
    ):
        assert stream.next()["type"] == bell.next()["type"] == "ready"
        opened = httpx.get(f"{server.url}/socket.io/?EIO=4&transport=polling")
        sid = json.loads(opened.text[1:])["sid"]
        poll.send(request(f"/bell/socket.io/?EIO=4&transport=polling&sid={sid}"))
        for _ in range(2):  # connections that are opened later are read later: the server holds the poll now
            httpx.get(server.root)
        assert server.process is not None
        server.process.send_signal(how)
        close = stream.until("close")
        assert (close["code"], close["reconnect"]) == (1012, True)
        assert stream.ends()
        assert poll.read_head()[0] == 200
        server.process.wait(timeout=60)  # half a second on an idle machine
    assert "Traceback" not in server.log.read_text()


# --- slow readers


def handshake(server: MountedServer) -> bytes:
    """Open a WebSocket that follows the topic news."""
    return request(f"/bell/v1/ws?token={server.token(next(names), topics=['*'])}&topics=news", **HANDSHAKE)


@contextmanager
def unread_connection(server: MountedServer, transport: str) -> Iterator[Raw]:
    """Follow the topic news without reading."""
    stream = request(f"/bell/v1/stream?token={server.token(next(names), topics=['*'])}&topics=news")
    with Raw(server, window=4_096) as client:
        client.send(handshake(server) if transport == "ws" else stream)
        assert client.read_head()[0] == (101 if transport == "ws" else 200)
        yield client


@pytest.mark.thorough
@pytest.mark.parametrize("transport", ["ws", "stream"])
def test_reader_that_does_not_read_is_closed_and_delays_no_other(
    mounted: MountedServer, app: httpx.Client, transport: str
) -> None:
    with (
        unread_connection(mounted, transport),
        websocket(mounted, next(names), topics="news", claims={"topics": ["*"]}) as quick,
    ):
        quick.next()
        before, sent = memory(mounted), 0
        while live(mounted) > 1 and sent < 400:  # 20 MB, part of which the kernel and the host buffer
            started = time.monotonic()
            assert app.post("/v1/events", json={"topic": "news", "name": str(sent), "data": "x" * 50_000}).is_success
            assert quick.until("event")["name"] == str(sent)
            assert time.monotonic() - started < STALL_SECONDS
            sent += 1
        assert live(mounted) == 1
        assert memory(mounted) < before + 30


@pytest.mark.parametrize("follow", FOLLOWING, ids=TRANSPORTS)
def test_long_replay_arrives_complete(mounted: MountedServer, app: httpx.Client, follow: Callable[..., Any]) -> None:
    who = next(names)
    position = snapshot(mounted, who)["position"]
    notify(app, who, 1_000, 5_000)
    with follow(mounted, who, position=position) as bell:
        assert bell.next()["resumed"] is True
        notify(app, who)
        ids = [bell.until("notification")["notification"]["id"] for _ in range(1_001)]
        assert sorted(set(ids)) == ids


def test_flood_is_read_no_faster_than_it_is_handled(mounted: MountedServer) -> None:
    """The rate limit closes the connection before it fills the memory."""
    before = memory(mounted)
    large = frame(TEXT, json.dumps({"type": "call", "name": "echo", "data": "x" * 50_000}).encode())
    with Raw(mounted) as client:
        client.send(handshake(mounted))
        assert client.read_head()[0] == 101
        client.flood(large, most=60_000_000)
    assert memory(mounted) < before + 40


def test_feed_is_a_websocket_too(mounted: MountedServer) -> None:
    url = f"{mounted.url.replace('http', 'ws', 1)}/v1/feed?recipient=feed-guest&kind=send"
    with connect(url, additional_headers=mounted.as_app(), open_timeout=60, max_queue=None) as socket:
        body = {"to": "feed-guest", "title": "Hello"}
        httpx.post(f"{mounted.url}/v1/notifications", json=body, headers=mounted.as_app())
        assert json.loads(socket.recv(timeout=60))["detail"]["title"] == "Hello"
    with pytest.raises(InvalidStatus) as refused, connect(url, open_timeout=60):
        pass
    assert refused.value.response.status_code == 403
