"""Socket.IO on several workers of a machine: a request at any worker reaches the worker that owns its session."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests import engines
from tests.faults.nodes import Cluster, cluster, send
from tests.faults.raw_sockets import eventually
from tests.faults.test_postgres_workers import parent
from tests.servers import ServerProcess, child_processes
from tests.wire.socketio_client import Agent, agent, open_client

POLLING = "/socket.io/?EIO=4&transport=polling"
SETTINGS = {"BELLCAST_DRAIN": "1", "BELLCAST_HANDLERS": "tests.wire.socketio_app:handlers"}
# The probability that all of these sessions or requests reach the same of three workers is 1 in 3^11.
MANY = 12


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("nodes"), engines.redis().url, engines.postgres(), "socketio") as nodes:
        nodes.environ |= SETTINGS
        yield nodes


@pytest.fixture(scope="module")
def server(nodes: Cluster) -> ServerProcess:
    return nodes.start("--workers", "3")


@pytest.fixture(scope="module")
def node() -> Iterator[Agent]:
    with agent() as one:
        yield one


class Session:
    """A polling session that opens a connection for each request."""

    _http = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=60)

    def __init__(self, server: ServerProcess, recipient: str) -> None:
        self.sid = json.loads(self._http.get(server.url + POLLING).text[1:])["sid"]
        self.process = int(self.sid.split(".")[1])
        self._url = f"{server.url}{POLLING}&sid={self.sid}"
        assert self.post("40" + json.dumps({"token": server.token(recipient)})) == 200
        self.next_event("ready")

    def get(self) -> httpx.Response:
        return self._http.get(self._url)

    def post(self, packet: str | bytes) -> int:
        return self._http.post(self._url, content=packet).status_code

    def next_event(self, event: str) -> list[Any]:
        """Return the arguments of the next event of that name."""
        while True:
            response = self.get()
            assert response.status_code == 200, response.text
            for packet in response.text.split("\x1e"):
                if packet.startswith(f'42["{event}"'):
                    args: list[Any] = json.loads(packet[2:])[1:]
                    return args


@pytest.mark.thorough
def test_request_at_any_worker_finds_its_session(server: ServerProcess) -> None:
    sessions = [Session(server, "alice") for _ in range(MANY)]
    assert len({session.process for session in sessions}) > 1
    assert {session.process for session in sessions} <= child_processes(parent(server))
    check_served(sessions, server, "alice")


def check_served(sessions: list[Session], server: ServerProcess, recipient: str) -> None:
    assert send(server, recipient, "Hello").status_code == 201
    for session in sessions:
        assert session.next_event("notification")[0]["notification"]["title"] == "Hello"
        for number in range(3):
            assert session.post(f'42["echo",{number}]') == 200
            assert session.next_event("echoed")[0] == number
        assert session.post("1") == 200


@pytest.mark.thorough
def test_request_at_any_worker_finds_its_session_with_postgresql_as_broker(tmp_path: Path) -> None:
    store = engines.postgres()
    with cluster(tmp_path, store.url("all_in_one"), store, "all_in_one") as nodes:
        server = nodes.start("--workers", "2", **SETTINGS)
        check_served([Session(server, "bob") for _ in range(6)], server, "bob")


@pytest.mark.thorough
def test_large_body_is_forwarded_and_an_oversized_one_refused(server: ServerProcess) -> None:
    session, large = Session(server, "bulky"), "x" * 600_000
    for _ in range(4):
        assert session.post(f'42["echo","{large}"]') == 200
        assert session.next_event("echoed")[0] == large
        assert session.post("4" + "x" * 1_000_000) == 413


def test_websocket_at_any_worker_takes_over_a_polling_session(server: ServerProcess) -> None:
    for _ in range(MANY // 2):
        session = Session(server, "mover")
        url = server.url.replace("http", "ws") + f"/socket.io/?EIO=4&transport=websocket&sid={session.sid}"
        with connect(url) as one:
            one.send("2probe")
            assert one.recv(timeout=60) == "3probe"
            one.send("5")
            one.send('42["echo",1]')
            assert str(one.recv(timeout=60)).startswith('42["echoed",1')
        assert eventually(lambda sid=session.sid: httpx.get(f"{server.url}{POLLING}&sid={sid}").status_code == 400)


@pytest.mark.parametrize("transports", [["polling"], ["polling", "websocket"]])
def test_stock_clients_need_no_sticky_sessions(node: Agent, server: ServerProcess, transports: list[str]) -> None:
    recipient = "-".join(transports)
    headers = {"connection": "close"}  # so that each request may reach another worker
    clients = [
        open_client(node, server, recipient, transports=transports, extraHeaders=headers) for _ in range(MANY // 2)
    ]
    for client in clients:
        client.event("ready")
    if len(transports) > 1:
        assert all(client.travels_by("websocket") for client in clients)
    assert send(server, recipient, "Hello").status_code == 201
    for client in clients:
        assert client.event("notification")[0]["notification"]["title"] == "Hello"
        assert client.ask("echo", 1) == [1]
        client.do("disconnect")


@pytest.mark.thorough
def test_session_of_a_killed_worker_is_unknown_and_its_client_starts_a_new_one(
    node: Agent, server: ServerProcess
) -> None:
    client = open_client(node, server, "phoenix", transports=["polling"], extraHeaders={"connection": "close"})
    client.event("ready")
    session = Session(server, "phoenix")
    for pid in child_processes(parent(server)):
        os.kill(pid, signal.SIGKILL)
    client.until("disconnect")
    client.until("connect")
    response = session.get()
    assert (response.status_code, response.json()["code"]) == (400, 1)
    assert "another process" in response.json()["message"]


def test_session_of_another_machine_is_refused_with_a_hint(server: ServerProcess) -> None:
    foreign = re.sub(r"^\w+", "0badcafe", Session(server, "traveller").sid)
    for _ in range(2):
        response = httpx.get(f"{server.url}{POLLING}&sid={foreign}")
        assert (response.status_code, response.json()["code"]) == (400, 1)
        assert "balancer" in response.json()["message"]
    assert "session_on_other_machine" in server.log.read_text()


@pytest.mark.thorough
def test_workers_leave_no_folder_behind(nodes: Cluster) -> None:
    server = nodes.start("--workers", "2")
    command = Path(f"/proc/{next(iter(child_processes(parent(server))))}/cmdline").read_text()
    folder = Path(command.rstrip("\0").rpartition(",")[2])
    sockets = {int(one.name) for one in folder.iterdir() if one.name.isdigit()}  # each also stores its metrics there
    assert sockets == child_processes(parent(server))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert server.stop() == 0
    assert not folder.exists()
