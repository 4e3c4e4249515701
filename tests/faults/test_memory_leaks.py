"""Ended sessions are freed without the garbage collector, which a server of long-lived connections runs rarely:
cycles of thousands of ended sessions would pile up for minutes.
"""

import json
from collections.abc import Callable, Iterator

import httpx
import pytest
from websockets.sync.client import connect

from tests.faults.raw_sockets import RawSocket, eventually, live, raw_stream, raw_websocket
from tests.servers import ServerProcess
from tests.wire.clients import websocket
from tests.wire.pusher_clients import sign

VISITS = 25
SOCKETIO = "/socket.io/?EIO=4&transport="


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    environ = {"BELLCAST_HANDLERS": "tests.faults.garbage_app:handlers", "BELLCAST_ANONYMOUS": "allow"}
    with ServerProcess(tmp_path_factory.mktemp("tidy") / "data", environ) as server:
        yield server


def collect_garbage(server: ServerProcess) -> int:
    """Run the garbage collector of the server and return the number of objects it freed."""
    with websocket(server, "inspector") as bell:
        freed: int = bell.ask("call", name="unreachable")["data"]
    assert eventually(lambda: live(server) == 0)
    return freed


def socket_url(server: ServerProcess, path: str) -> str:
    return server.url.replace("http", "ws") + path


def follow_a_stream(server: ServerProcess) -> None:
    with raw_stream(server, "alice") as page:
        page.read(10)


def use_websocket(server: ServerProcess) -> None:
    with websocket(server, "alice") as bell:
        bell.ask("seen", all=True)


def reset_a_websocket(server: ServerProcess) -> None:
    with raw_websocket(server, "alice") as bell:
        bell.send_frame("ping")
        bell.reset()


def violate_the_websocket_protocol(server: ServerProcess) -> None:
    with raw_websocket(server, "alice") as bell:
        bell.send(b"\xff\xff\xff\xff")
        assert bell.finish_close() == 1002


def use_pusher(server: ServerProcess) -> None:
    with connect(socket_url(server, f"/app/{server.key}?protocol=7")) as socket:
        id = json.loads(json.loads(socket.recv(timeout=60))["data"])["socket_id"]
        user = '{"id":"alice"}'
        sign_in = {"auth": sign(server, f"{id}::user::{user}"), "user_data": user}
        socket.send(json.dumps({"event": "pusher:signin", "data": sign_in}))
        while "signin_success" not in str(socket.recv(timeout=60)):
            pass


def use_socketio(server: ServerProcess) -> None:
    with connect(socket_url(server, SOCKETIO + "websocket")) as socket:
        socket.recv(timeout=60)
        socket.send("40" + json.dumps({"token": server.token("alice")}))
        while "ready" not in str(socket.recv(timeout=60)):
            pass


def send_nonsense_to_socketio(server: ServerProcess) -> None:
    with connect(socket_url(server, SOCKETIO + "websocket")) as socket:
        socket.recv(timeout=60)
        socket.send("4nonsense")


def poll(server: ServerProcess, http: httpx.Client) -> str:
    """Open a session over polling, join its namespace, and return its path."""
    sid = json.loads(http.get(SOCKETIO + "polling").text[1:])["sid"]
    path = f"{SOCKETIO}polling&sid={sid}"
    assert http.post(path, content="40" + json.dumps({"token": server.token("alice")})).status_code == 200
    assert http.get(path).status_code == 200
    return path


def use_polling(server: ServerProcess) -> None:
    with httpx.Client(base_url=server.url) as http:
        http.post(poll(server, http), content="1")


def send_nonsense_by_polling(server: ServerProcess) -> None:
    with httpx.Client(base_url=server.url) as http:
        assert http.post(poll(server, http), content="nonsense").status_code == 400


def abort_a_poll(server: ServerProcess) -> None:
    with httpx.Client(base_url=server.url) as http:
        path = poll(server, http)
    with RawSocket(server) as socket:
        socket.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert eventually(lambda: httpx.get(server.url + path).status_code == 400)


def upgrade_from_polling(server: ServerProcess) -> None:
    with httpx.Client(base_url=server.url) as http:
        path = poll(server, http)
    with connect(socket_url(server, path.replace("polling", "websocket"))) as socket:
        socket.send("2probe")
        assert socket.recv(timeout=60) == "3probe"
        socket.send("5")
        socket.send('42["ping"]')
        assert "pong" in str(socket.recv(timeout=60))


def abort_an_upgrade_from_polling(server: ServerProcess) -> None:
    with httpx.Client(base_url=server.url) as http:
        path = poll(server, http)
        with connect(socket_url(server, path.replace("polling", "websocket"))) as socket:
            socket.send("2probe")
            assert socket.recv(timeout=60) == "3probe"
        http.post(path, content="1")


def use_rest(server: ServerProcess) -> None:
    with httpx.Client(base_url=server.url, headers=server.as_recipient("alice")) as http:
        assert http.get("/v1/inbox").status_code == 200
        assert http.get("/v1/inbox").status_code == 200


@pytest.mark.parametrize(
    "visit",
    [
        follow_a_stream,
        use_websocket,
        reset_a_websocket,
        violate_the_websocket_protocol,
        use_pusher,
        use_socketio,
        send_nonsense_to_socketio,
        use_polling,
        send_nonsense_by_polling,
        abort_a_poll,
        upgrade_from_polling,
        abort_an_upgrade_from_polling,
        use_rest,
    ],
)
def test_ended_session_leaves_nothing_for_the_garbage_collector(
    server: ServerProcess, visit: Callable[[ServerProcess], None]
) -> None:
    visit(server)
    collect_garbage(server)
    for _ in range(VISITS):
        visit(server)
    assert eventually(lambda: live(server) == 0)
    # The call itself creates a few objects; a leaked session costs a dozen.
    assert collect_garbage(server) < VISITS
