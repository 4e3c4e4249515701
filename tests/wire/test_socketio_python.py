"""python-socketio's own client against a running server."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import socketio

from tests.servers import ServerProcess

HANDLERS = {"BELLCAST_HANDLERS": "tests.wire.socketio_app:handlers"}
recipients = (f"pythonist{number}" for number in itertools.count())
TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("python") / "data", HANDLERS) as server:
        yield server


@pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)
async def test_python_client_receives_calls_and_disconnects(server: ServerProcess, transports: list[str]) -> None:
    alice = next(recipients)
    received: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
    client = socketio.AsyncClient()
    client.on("*", lambda name, *args: received.put_nowait((name, *args)))
    client.on("*", lambda name, *args: received.put_nowait((name, *args)), namespace="/custom")
    auth = {"token": server.token(alice)}
    await client.connect(server.url, auth=auth, transports=transports, namespaces=["/", "/custom"], wait_timeout=60)
    assert {(await received.get())[0] for _ in range(2)} == {"ready"}
    async with httpx.AsyncClient(base_url=server.url, headers=server.as_app()) as http:
        await http.post("/v1/notifications", json={"to": alice, "title": "Hello"})
    for _ in range(2):  # once per namespace
        name, payload, offset = await asyncio.wait_for(received.get(), 60)
        assert (name, payload["notification"]["title"]) == ("notification", "Hello")
        assert payload["position"] == offset.partition("~")[0]
    assert await client.call("add", (1, 2, 3)) == 6
    assert await client.call("echo", {"blob": b"\x00\x01"}, namespace="/custom") == {"blob": b"\x00\x01"}
    await client.disconnect()


async def test_python_client_receives_the_reason_of_a_refusal(server: ServerProcess) -> None:
    client = socketio.AsyncClient(reconnection=False)
    errors: list[Any] = []
    client.on("connect_error", errors.append)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(server.url, auth={"login": "mallory"}, wait_timeout=60)
    assert errors[0] == {"message": "not you", "data": {"code": 13, "until": "never"}}
    await client.disconnect()
