"""What does not return delays neither other work nor the end of the server: the app's functions, and an engine that is paused."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from bellcast.kernel import concurrency
from tests import engines
from tests.servers import ServerProcess, child_processes

# With the default drain of 10 s, the time until Kubernetes kills a server.
GRACE_SECONDS = 25
# All that one tenant can use; asyncio has fewer.
HANGING = concurrency.TENANT_THREADS
HANDLERS = """
import threading
from pathlib import Path
from bellcast.calls import Handlers

handlers = Handlers()

@handlers.on("hang")
def hang(call):
    Path(__file__).with_name(call.recipient).touch()
    threading.Event().wait()
"""


def seconds_to_stop(server: ServerProcess) -> float:
    began = time.monotonic()
    assert server.stop() == 0
    return time.monotonic() - began


@pytest.mark.thorough
def test_handlers_that_hang_keep_no_threads_from_the_server(tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text(HANDLERS)
    server = ServerProcess(tmp_path, {"BELLCAST_HANDLERS": "hanging:handlers", "PYTHONPATH": str(tmp_path)})
    server.prefix = ["env"]  # a process of its own, because PYTHONPATH is read at its start
    with server, ExitStack() as sockets:
        for number in range(HANGING):
            token = server.token(f"r{number}")
            socket = sockets.enter_context(
                connect(f"{server.url.replace('http', 'ws')}/v1/ws?token={token}", close_timeout=0)
            )
            socket.send(json.dumps({"type": "call", "ref": 1, "name": "hang"}))
        while not all((tmp_path / f"r{number}").exists() for number in range(HANGING)):
            time.sleep(0.01)
        # Parsed in a thread of asyncio.
        text, headers = "steps:\n- {key: a, type: inbox, title: Hi}\n", {"content-type": "application/yaml"}
        url = f"{server.url}/v1/workflows/welcome"
        assert httpx.put(url, content=text, headers=server.as_app() | headers, timeout=60).status_code == 201
        assert seconds_to_stop(server) < GRACE_SECONDS


@pytest.mark.thorough
@pytest.mark.parametrize("variable", [pytest.param("BELLCAST_STORE", marks=pytest.mark.thorough), "BELLCAST_BROKER"])
def test_paused_postgres_does_not_delay_the_end_of_the_server(tmp_path: Path, variable: str) -> None:
    database = engines.PostgresServer()
    database.start()
    server = ServerProcess(tmp_path, {variable: database.create("paused")})

    def send() -> None:
        with suppress(httpx.HTTPError):
            httpx.post(f"{server.url}/v1/notifications", json={"to": "alice", "title": "Hi"}, headers=server.as_app())

    with server, ThreadPoolExecutor() as threads:
        send()
        paused = [database.pid, *child_processes(database.pid)]
        for process in paused:
            os.kill(process, signal.SIGSTOP)
        threads.submit(send)
        assert seconds_to_stop(server) < GRACE_SECONDS
    database.end()
