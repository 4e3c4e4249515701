"""Socket.IO clients of an app with a handler URL, which admits them to namespaces and receives their disconnects."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.faults.raw_sockets import eventually
from tests.servers import ServerProcess
from tests.wire.app_server import AppRequest, running_app
from tests.wire.socketio_client import Agent, agent, open_client


class Site:
    """The app: its namespace /lodge is open to members, and other namespaces do not exist."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, request: AppRequest) -> tuple[int, bytes]:
        call = json.loads(request.body)
        self.calls.append(call)
        data = call["args"][0] if call["args"] else {}
        match call["name"], call["namespace"], data:
            case "connect", "/" | "/lodge", {"login": "mallory"}:
                return respond(refuse={"message": "not you", "data": {"code": 13, "until": "never"}})
            case "connect", "/" | "/lodge", {"login": login}:
                welcome = [{"name": "welcome", "args": [login, call["namespace"]]}]
                return respond(accept={"recipient": login, "roles": ["guest"]}, join=["hall"], emit=welcome)
            case "where", namespace, _:
                return respond(reply=[namespace, call["recipient"], call["roles"]])
            case "leave the hall", _, _:
                return respond(leave=["hall"])
            case "disconnect", _, _:
                return respond()
        return 404, b""


def respond(**fields: Any) -> tuple[int, bytes]:
    return 200, json.dumps(fields).encode()


@pytest.fixture(scope="module")
def site() -> Site:
    return Site()


@pytest.fixture(scope="module")
def server(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with (
        running_app(site) as app,
        ServerProcess(tmp_path_factory.mktemp("url") / "data", {"BELLCAST_HANDLER_URL": app.url}) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def node() -> Iterator[Agent]:
    with agent() as one:
        yield one


def test_app_url_accepts_a_client_or_refuses_with_an_error_object(
    node: Agent, server: ServerProcess, site: Site
) -> None:
    client = open_client(node, server, None, auth={"login": "lea", "more": [1]})
    assert client.until("connect")["pid"]
    received = client.events("ready", "welcome")
    assert (received["ready"][0]["recipient"], received["welcome"][:2]) == ("lea", ["lea", "/"])
    assert client.ask("where") == [["/", "lea", ["guest"]]]
    connect_call = next(
        one for one in site.calls if one["name"] == "connect" and one["args"] == [{"login": "lea", "more": [1]}]
    )
    assert (connect_call["dialect"], connect_call["recipient"]) == ("socketio", None)
    refused = open_client(node, server, None, auth={"login": "mallory"}).until("connect_error")
    assert (refused["message"], refused["data"]) == ("not you", {"code": 13, "until": "never"})
    assert not refused["active"]


def test_client_follows_topics_joined_by_the_app_until_it_leaves(node: Agent, server: ServerProcess) -> None:
    client = open_client(node, server, None, auth={"login": "hal"})
    client.event("welcome")
    publish(server, "first")
    assert client.event("first") is not None
    client.ask("leave the hall")
    publish(server, "second")
    assert client.ask("where")[0][0] == "/"
    assert client.silent(0.3)
    client.do("disconnect")


def publish(server: ServerProcess, name: str) -> None:
    event_data = {"topic": "hall", "name": name, "data": None}
    assert httpx.post(f"{server.url}/v1/events", json=event_data, headers=server.as_app()).status_code == 202


def test_namespace_exists_if_the_app_accepts_its_connect(server: ServerProcess, site: Site) -> None:
    with pipe(server) as one:
        one.send('40/lodge,{"login":"lou"}')
        assert until(one, "40/lodge,")
        assert '"welcome","lou","/lodge"' in until(one, '42/lodge,["welcome"')
        one.send('42/lodge,7["where"]')
        assert until(one, "43/lodge,7") == '43/lodge,7[["/lodge","lou",["guest"]]]'
        for namespace in ("/nowhere", "/nowhere"):
            one.send(f'40{namespace},{{"login":"lou"}}')
            assert until(one, f"44{namespace},") == f'44{namespace},{{"message":"Invalid namespace"}}'
        one.send("41/lodge,")
        disconnect_call = {"name": "disconnect", "namespace": "/lodge", "recipient": "lou"}
        assert eventually(lambda: any(disconnect_call.items() <= call.items() for call in site.calls))


@contextmanager
def pipe(server: ServerProcess) -> Iterator[ClientConnection]:
    with connect(server.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket") as one:
        one.recv()
        yield one


def until(one: ClientConnection, start: str) -> str:
    while not (packet := str(one.recv(timeout=60))).startswith(start):
        pass
    return packet


def test_unavailable_app_blocks_no_session_and_opens_no_namespace(
    start_server: Callable[..., ServerProcess],
) -> None:
    with running_app(lambda _: (500, b"")) as app:
        server = start_server(BELLCAST_HANDLER_URL=app.url)
        with pipe(server) as one:
            one.send("40" + json.dumps({"token": server.token("ann")}))
            assert until(one, '42["ready"')
        with pipe(server) as one:
            one.send('40{"login":"lea"}')
            with pytest.raises(ConnectionClosed) as closed:  # for a later retry: only the app could have admitted her
                until(one, "44")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.reason == "unavailable"
