"""The request log: one line per request and per opened or closed live connection, for every transport, without secrets."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.faults.raw_sockets import HANDSHAKE, Raw, eventually, request
from tests.servers import PROJECT, ServerProcess
from tests.wire import socketio_raw
from tests.wire.clients import stream
from tests.wire.test_mounted import HOSTS, MountedServer, page

Line = dict[str, Any]
LOGGED = {"BELLCAST_LOG_REQUESTS": "on", "BELLCAST_LOG_FORMAT": "json"}


class Log:
    """The lines that a server has logged since the test began."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self._before = len(server.log.read_text())

    @property
    def text(self) -> str:
        return self.server.log.read_text()[self._before :]

    @property
    def lines(self) -> list[Line]:
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]

    def line(self, **fields: Any) -> Line:
        """Wait for a line with these fields, which must be the only one."""

        def matching() -> list[Line]:
            return [line for line in self.lines if line.items() >= fields.items()]

        assert eventually(lambda: bool(matching())), (fields, self.text)
        assert len(matching()) == 1, matching()
        return matching()[0]


@pytest.fixture(scope="module")
def logging_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = LOGGED | {"BELLCAST_ORIGINS": "https://shop.example", "BELLCAST_LIMIT_CONNECTIONS_PER_RECIPIENT": "1"}
    with ServerProcess(tmp_path_factory.mktemp("logged"), settings) as server:
        yield server


@pytest.fixture
def log(logging_server: ServerProcess) -> Iterator[Log]:
    log = Log(logging_server)
    yield log
    assert all(part not in log.text for part in (logging_server.secret, "eyJ", "token=", "sid=", "auth_signature"))


def test_request_is_one_line_with_its_status_recipient_and_id(log: Log) -> None:
    server = log.server
    response = httpx.get(f"{server.url}/v1/inbox?limit=5", headers=server.as_recipient("alice", tenant="acme"))
    line = log.line(event="request_served", path="/v1/inbox")
    expected = {"method": "GET", "status": 200, "recipient": "alice", "tenant": "acme", "level": "info"}
    assert line.items() >= expected.items()
    assert line["request_id"] == response.headers["x-request-id"]
    assert line["ms"] >= 0


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("path", ["/u/", "/preferences/", "/mailbox/"])
def test_path_of_a_link_is_logged_without_its_token(log: Log, path: str, method: str) -> None:
    assert httpx.request(method, f"{log.server.url}{path}SECRET").status_code in (404, 405)
    log.line(event="request_served", path=f"{path}hidden", method=method)
    assert "SECRET" not in log.text


@pytest.mark.parametrize("kind", ["secret", "token", "key"])
def test_credential_in_the_place_of_a_pusher_key_is_not_logged(log: Log, kind: str) -> None:
    server = log.server
    created = httpx.post(f"{server.url}/v1/keys", json={"name": "k", "scopes": ["send"]}, headers=server.as_app())
    credential = {"secret": server.secret, "token": server.token("alice"), "key": created.json()["key"]}[kind]
    with connect(f"{server.url.replace('http', 'ws', 1)}/app/{credential}?protocol=7") as socket:
        assert "4001" in socket.recv()
    assert httpx.get(f"{server.url}/apps/{credential}/channels").status_code == 404
    assert httpx.get(f"{server.url}/{credential}").status_code == 404
    log.line(event="request_served", path="/hidden")
    log.line(event="request_served", path="/apps/hidden/channels")
    assert credential not in log.text
    listed = httpx.get(f"{server.url}/v1/requests", headers=server.as_app())
    assert "/apps/hidden/channels" in listed.text
    assert credential not in listed.text


def test_request_of_the_app_is_logged_with_its_tenant(log: Log) -> None:
    def post(path: str, **body: Any) -> None:
        httpx.post(f"{log.server.url}{path}", json=body, headers=log.server.as_app()).raise_for_status()

    post("/v1/notifications", to="bob", title="Hi", tenant="of-the-body")
    post("/v1/notifications?tenant=of-the-query", to="bob", title="Hi")
    httpx.put(f"{log.server.url}/v1/tenants/of-the-path", json={}, headers=log.server.as_app())
    items = [{"to": "bob", "title": "Hi", "tenant": "of-the-items"}] * 2
    httpx.post(f"{log.server.url}/v1/notifications/bulk", json=items, headers=log.server.as_app())
    for tenant in ("of-the-body", "of-the-query", "of-the-path", "of-the-items"):
        assert log.line(event="request_served", tenant=tenant)["key"] == "project secret"


def test_request_of_the_app_names_no_secret(log: Log) -> None:
    httpx.get(f"{log.server.url}/v1/recipients/bob", headers=log.server.as_app())
    line = log.line(event="request_served", path="/v1/recipients/bob")
    assert (line["key"], line["status"], line["reason"]) == ("project secret", 404, "not_found")


@pytest.mark.parametrize("path", ["/v1/inbox", "/v1/stream"])
def test_refused_request_is_logged_with_its_reason(log: Log, path: str) -> None:
    httpx.get(f"{log.server.url}{path}?token=eyJ.forged.token")
    assert log.line(event="request_served", path=path)["reason"] == "unauthenticated"
    other = {"origin": "https://evil.example"}
    httpx.get(f"{log.server.url}{path}/", params={"token": log.server.token("x")}, headers=other)
    line = log.line(event="request_served", path=f"{path}/", status=403)
    assert line["reason"] == "forbidden"


def test_request_that_cannot_be_read_is_logged(log: Log) -> None:
    for broken, status in ((b"GET\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nA: " + b"b" * 70_000, 431)):
        with Raw(log.server) as client:
            client.send(broken)
            client.read_to_end()
        assert log.line(event="request_refused", status=status)["address"] == "127.0.0.1"


def test_request_path_cannot_act_on_the_terminal(log: Log) -> None:
    with Raw(log.server) as client:
        client.send(b"GET /\x9b31m\xc2\x85x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        client.read_to_end()
    assert all(one["path"].isprintable() for one in log.lines if "path" in one)


def test_event_stream_is_logged_from_its_start_to_its_end(log: Log) -> None:
    with stream(log.server, "carol") as opened:
        ready = opened.next()
        line = log.line(event="connection_opened", connection=ready["connection"])
        expected = {"method": "GET", "path": "/v1/stream", "status": 200, "recipient": "carol", "transport": "sse"}
        assert line.items() >= expected.items()
        with stream(log.server, "carol") as second:
            assert second.next()["type"] == "close"
        refused = log.line(event="request_served", path="/v1/stream")
        assert refused["reason"] == "too_many_connections"
        httpx.delete(f"{log.server.url}/v1/recipients/carol/sessions", headers=log.server.as_app())
        end = log.line(event="connection_closed", connection=ready["connection"])
        assert (end["code"], end["reason"], end["recipient"]) == (4401, "revoked", "carol")
        assert end["ms"] >= 0


def test_event_stream_whose_client_vanishes_is_logged(log: Log) -> None:
    with stream(log.server, "dora") as opened:
        id = opened.next()["connection"]
    assert log.line(event="connection_closed", connection=id)["reason"] == "connection lost"


def test_websocket_is_logged_from_its_handshake_to_its_close_frame(log: Log) -> None:
    socket_url = log.server.url.replace("http", "ws")
    with connect(f"{socket_url}/v1/ws?token={log.server.token('erin')}") as socket:
        id = json.loads(socket.recv())["connection"]
        line = log.line(event="connection_opened", connection=id)
        assert line.items() >= {"path": "/v1/ws", "status": 101, "recipient": "erin", "transport": "websocket"}.items()
        socket.close(4999)
    end = log.line(event="connection_closed", connection=id)
    assert (end["code"], end["reason"]) == (4999, "closed by the client")


def test_websocket_that_is_refused_is_logged(log: Log) -> None:
    socket_url = log.server.url.replace("http", "ws")
    with connect(f"{socket_url}/v1/ws?token=eyJ.no.token") as socket:
        assert json.loads(socket.recv())["type"] == "close"
        with pytest.raises(ConnectionClosed):
            socket.recv()
    line = log.line(event="connection_refused", path="/v1/ws")
    assert (line["status"], line["code"], line["reason"]) == (101, 4401, "unauthenticated")
    with pytest.raises(InvalidStatus):
        connect(f"{socket_url}/v1/ws?token={log.server.token('x')}", origin="https://evil.example")
    assert log.line(event="request_served", path="/v1/ws")["status"] == 403


def test_pusher_connection_is_logged(log: Log) -> None:
    socket_url = log.server.url.replace("http", "ws")
    with connect(f"{socket_url}/app/{log.server.key}?protocol=7") as socket:
        id = json.loads(json.loads(socket.recv())["data"])["socket_id"]
        line = log.line(event="connection_opened", connection=id)
        assert (line["protocol"], line["path"]) == ("pusher", f"/app/{log.server.key}")
    assert log.line(event="connection_closed", connection=id)["code"] == 1000
    with connect(f"{socket_url}/app/unknown?protocol=7") as socket:
        assert json.loads(socket.recv())["event"] == "pusher:error"
        with pytest.raises(ConnectionClosed):
            socket.recv()
    assert log.line(event="connection_refused", path="/app/unknown")["code"] == 4001


def test_pusher_request_with_a_wrong_signature_is_logged(log: Log) -> None:
    path = f"/apps/{log.server.project}/events"
    httpx.post(log.server.url + path, params={"auth_key": log.server.key, "auth_signature": "0" * 64}, json={})
    line = log.line(event="request_served", path=path)
    assert (line["status"], line["reason"]) == (401, "unauthenticated")


def test_socketio_session_and_namespace_are_logged(log: Log) -> None:
    client = socketio_raw.Raw(log.server, {"token": log.server.token("fay")}, keep_open=True)
    try:
        session = log.line(event="session_opened", transport="websocket")
        assert (session["status"], session["path"]) == (101, "/socket.io/")
        member = log.line(event="connection_opened", recipient="fay")
        assert (member["namespace"], member["session"]) == ("/", session["session"])
    finally:
        client.close()
    for event in ("connection_closed", "session_closed"):
        end = log.line(event=event, session=session["session"])
        assert (end["code"], end["reason"]) == (1000, "closed by the client")
    assert client.opened["sid"] not in log.text


def test_socketio_polling_is_logged(log: Log) -> None:
    url = f"{log.server.url}/socket.io/"
    opened = httpx.get(url, params={"EIO": "4", "transport": "polling"})
    sid = json.loads(opened.text[1:])["sid"]
    session = log.line(event="session_opened", transport="polling")
    assert session["status"] == 200
    httpx.post(url, params={"EIO": "4", "transport": "polling", "sid": sid}, content="40/unknown,{}")
    assert log.line(event="connection_refused", session=session["session"])["reason"] == "Invalid namespace"
    assert log.line(event="request_served", method="POST")["status"] == 200
    httpx.post(url, params={"EIO": "4", "transport": "polling", "sid": sid}, content="1")
    assert log.line(event="session_closed", session=session["session"])["reason"] == "closed by the client"
    httpx.get(url, params={"EIO": "4", "transport": "polling", "sid": sid})
    assert log.line(event="request_served", status=400)["reason"] == "Session ID unknown"
    assert sid not in log.text


LIVE_REQUESTS = {
    "stream": ("/v1/stream?token=TOKEN", {}, 200),
    "stream-refused": ("/v1/stream", {}, 401),
    "websocket": ("/v1/ws?token=TOKEN", HANDSHAKE, 101),
    "websocket-refused": ("/v1/ws?token=TOKEN", HANDSHAKE | {"Origin": "https://elsewhere.example"}, 403),
    "pusher": (f"/app/{PROJECT[1]}?protocol=7", HANDSHAKE, 101),
    "engineio-websocket": ("/socket.io/?EIO=4&transport=websocket", HANDSHAKE, 101),
    "engineio-polling": ("/socket.io/?EIO=4&transport=polling", {}, 200),
    "engineio-refused": ("/socket.io/?EIO=4&transport=polling&sid=unknown", {}, 400),
    "pusher-http-refused": (f"/apps/{PROJECT[0]}/channels", {}, 401),
}


@pytest.mark.parametrize("name", LIVE_REQUESTS)
def test_request_id_of_a_live_request_is_in_its_response_and_its_line(log: Log, name: str) -> None:
    target, headers, status = LIVE_REQUESTS[name]
    id, token = f"live-{name}", log.server.token(name)
    with Raw(log.server) as client:
        client.send(request(target.replace("TOKEN", token), **headers, **{"X-Request-Id": id}))
        response, received = client.read_head()
        assert (response, received["x-request-id"]) == (status, id)
        log.line(request_id=id)


def test_request_id_of_a_proxy_is_kept_and_a_wild_one_replaced(log: Log) -> None:
    def id_of(request_id: str) -> str:
        returned: str = httpx.get(f"{log.server.url}/healthz", headers={"x-request-id": request_id}).headers[
            "x-request-id"
        ]
        return returned

    request_id = "b2f3c5a0-6f0e-4f4e-9a7e-1f2f3f4f5f6f"
    assert id_of(request_id) == request_id
    assert log.line(request_id=request_id)["path"] == "/healthz"
    for invalid in ("a" * 129, "two words", 'a"b', "<script>"):
        assert id_of(invalid) != invalid


def test_server_logs_no_request_by_default(start_server: Callable[..., ServerProcess]) -> None:
    default_server = start_server(BELLCAST_LOG_FORMAT="json")
    httpx.get(f"{default_server.url}/healthz")
    assert "request_served" not in default_server.log.read_text()
    debugging = start_server("--log-level", "debug", BELLCAST_LOG_FORMAT="json")
    httpx.get(f"{debugging.url}/healthz")
    assert eventually(lambda: "request_served" in debugging.log.read_text())


# --- mounted in another server


@pytest.fixture(scope="module", params=HOSTS)
def mounted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MountedServer]:
    """The app at /bell of another server, which writes its own access log."""
    host = [word for word in HOSTS[request.param] if word not in ("--log-level", "warning")]
    host += ["--access-logfile", "-"] if host[0] == "hypercorn" else []
    server = MountedServer(tmp_path_factory.mktemp("host"), host)
    server.environ |= {"BELLCAST_LOG_REQUESTS": "on"}
    with server:
        yield server


@pytest.mark.thorough
def test_mounted_server_logs_requests_and_connections_without_credentials(mounted: MountedServer) -> None:
    log = Log(mounted)
    token = mounted.token("gus")
    httpx.get(f"{mounted.url}/v1/inbox", params={"token": token, "limit": 5})
    httpx.get(f"{mounted.url}/u/{token}")
    with connect(f"{mounted.url.replace('http', 'ws')}/v1/ws?token={token}&topics=a") as socket:
        socket.recv()
    with page(mounted, "gus") as opened:
        opened.next()
    poll = {"EIO": "4", "transport": "polling"}
    sid = json.loads(httpx.get(f"{mounted.url}/socket.io/", params=poll).text[1:])["sid"]
    httpx.post(f"{mounted.url}/socket.io/", params=poll | {"sid": sid}, content="1")
    for event in ("request_served", "connection_opened", "connection_closed", "session_closed"):
        assert eventually(lambda event=event: event in log.text), (event, log.text)
    assert "/bell/v1/inbox" in log.text  # the access log of the host
    assert "/bell/u/hidden" in log.text
    assert token not in log.text
    assert sid not in log.text
