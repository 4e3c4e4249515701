"""The stock client against Bellcast mounted in another app under another server, which cannot hand over its sockets."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import PROJECT, ServerProcess, wait_until_listening
from tests.thoroughness import sampled
from tests.wire.socketio_client import Agent, agent, open_client

HOST = """
from starlette.applications import Starlette
from starlette.routing import Mount

from bellcast import server, settings
from tests.wire.socketio_app import handlers

app = Starlette(routes=[Mount("/bell", server.create_app(settings.load({}), handlers))])
"""
HOSTS = {"uvicorn": ["uvicorn", "--ws", "websockets", "--log-level", "warning"], "hypercorn": ["hypercorn"]}


@pytest.fixture(scope="module")
def node() -> Iterator[Agent]:
    with agent() as one:
        yield one


@pytest.fixture(params=sampled(HOSTS))
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path / "data")
    (tmp_path / "socketio_host.py").write_text(HOST)
    bind = {"uvicorn": ["--port", str(server.port)], "hypercorn": ["--bind", f"127.0.0.1:{server.port}"]}

    root = str(Path(__file__).parent.parent.parent)
    environ = os.environ | {
        "BELLCAST_PROJECT": ":".join(PROJECT), "BELLCAST_DATA": str(tmp_path / "data"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), root]),
    }  # fmt: skip
    command = [sys.executable, "-m", *HOSTS[request.param], "socketio_host:app", *bind[request.param]]
    process = subprocess.Popen(command, env=environ, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until_listening(server.port, process)
        yield server
    finally:
        # On SIGTERM uvicorn waits up to 25 seconds for the last poll, and hypercorn works in a child process.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=90)


@pytest.mark.parametrize("transports", sampled([["websocket"], ["polling"], ["polling", "websocket"]]), ids="+".join)
def test_client_works_through_the_send_of_another_server(
    node: Agent, mounted: ServerProcess, transports: list[str]
) -> None:
    client = open_client(node, mounted, "alice", transports=transports, path="/bell/socket.io/")
    client.until("connect")
    assert client.event("ready")[0]["recipient"] == "alice"
    assert client.travels_by(transports[-1])
    response = httpx.post(
        f"{mounted.url}/bell/v1/notifications", json={"to": "alice", "title": "Hello"}, headers=mounted.as_app()
    )
    assert response.status_code == 201
    assert client.event("notification")[0]["unread"] == 1
    assert client.ask("echo", {"$bytes": "0001"}, "text") == [{"$bytes": "0001"}, "text"]
    client.do("disconnect")
