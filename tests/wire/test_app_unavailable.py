"""New clients of an app that cannot respond because its handler fails or its URL is down: in every dialect, the
session decides.
"""

import json
from collections.abc import Iterator

import httpx
import pytest
from websockets.sync.client import connect

from tests.faults.nodes import send
from tests.servers import ServerProcess, free_port
from tests.wire.clients import stream, websocket

UNAVAILABLE = {
    "a function that fails": lambda: {"BELLCAST_HANDLERS": "tests.wire.broken_app:handlers"},
    "a URL that is away": lambda: {"BELLCAST_HANDLER_URL": f"http://127.0.0.1:{free_port()}/calls"},
}


@pytest.fixture(scope="module", params=UNAVAILABLE.values(), ids=UNAVAILABLE)
def server(request, tmp_path_factory) -> Iterator[ServerProcess]:
    settings = request.param() | {"BELLCAST_ANONYMOUS": "allow"}
    with ServerProcess(tmp_path_factory.mktemp("alone"), settings) as server:
        yield server


def test_client_with_a_session_is_admitted_by_its_session(server):
    with websocket(server, "alice") as bell, stream(server, "alice") as page:
        for connection in (bell, page):
            assert connection.next()["recipient"] == "alice"
        send(server, "alice", "Still ringing")
        for connection in (bell, page):
            assert connection.until("notification")["notification"]["title"] == "Still ringing"
    roles = httpx.get(f"{server.url}/v1/recipients/alice", headers=server.as_app(), timeout=30).json()["roles"]
    assert roles == []


def test_client_without_a_session_is_closed_for_a_later_retry(server):
    with websocket(server, None) as bell:
        close = bell.next()
        assert (close["type"], close["code"], close["reconnect"]) == ("close", 1013, True)
    assert httpx.get(f"{server.url}/v1/recipients/mallory", headers=server.as_app(), timeout=30).status_code == 404


def test_pusher_client_that_signs_in_later_is_admitted(server):
    url = f"{server.url.replace('http', 'ws')}/app/{server.key}?protocol=7"
    with connect(url, open_timeout=60) as socket:
        assert json.loads(socket.recv(60))["event"] == "pusher:connection_established"
        socket.send(json.dumps({"event": "pusher:ping", "data": {}}))
        assert json.loads(socket.recv(60))["event"] == "pusher:pong"


def connect_response(server: ServerProcess, namespace: str, auth: dict) -> str:
    """Return the response to CONNECT, or "" if the transport was closed for a later retry."""
    with httpx.Client(base_url=server.url, params={"EIO": "4", "transport": "polling"}, timeout=60) as client:
        sid = json.loads(client.get("/socket.io/").text[1:])["sid"]
        client.post("/socket.io/", params={"sid": sid}, content=f"40{namespace}{json.dumps(auth)}")
        response = client.get("/socket.io/", params={"sid": sid})
        return "" if response.status_code == 400 or response.text == "1" else response.text


def test_socketio_client_is_admitted_by_its_session_but_not_into_app_namespaces(server):
    session = {"token": server.token("bob")}
    assert connect_response(server, "", session).startswith("40{")
    assert connect_response(server, "", {}) == connect_response(server, "/custom,", session) == ""
