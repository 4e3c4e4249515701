"""The loop in which the server waits for its end, and the socket on which it listens."""

import asyncio
import signal
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvicorn

from bellcast.server import run
from bellcast.server.run import UvicornServer
from bellcast.settings.table import ServerSettings


@pytest.fixture
def server() -> UvicornServer:
    config = uvicorn.Config(cast(Any, None), log_config=None, lifespan="off")
    config.load()
    return UvicornServer(config, cast(Any, None), cast(Any, None), print)


async def test_signal_ends_the_server_without_waiting_for_a_tick(
    server: UvicornServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "TICK_SECONDS", 3_600.0)
    limits = list[float]()
    monkeypatch.setattr(run, "_end_within", limits.append)
    server._app = cast(Any, SimpleNamespace(settings=SimpleNamespace(server=ServerSettings(drain=10.0))))
    waiting = asyncio.ensure_future(server.main_loop())
    await asyncio.sleep(0)
    server.handle_exit(signal.SIGTERM, None)
    await asyncio.wait_for(waiting, 30)
    assert limits == [24.0]  # Kubernetes kills 15 s after the drain


async def test_requests_and_the_drain_end_together(server: UvicornServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes kills 15 s after the drain: the requests may not take as long again."""
    seconds = list[int | None]()

    async def drain() -> None:
        await asyncio.sleep(0.1)

    async def shutdown(one: uvicorn.Server, sockets: Any = None) -> None:
        seconds.append(one.config.timeout_graceful_shutdown)

    monkeypatch.setattr(uvicorn.Server, "shutdown", shutdown)
    for configured in (10.0, 0.0):
        settings = SimpleNamespace(server=ServerSettings(drain=configured))
        server._app = cast(Any, SimpleNamespace(handoff=None, drain=drain, settings=settings))
        server.servers = []
        await server.shutdown()
    assert seconds == [11, 1]


def test_connection_ends_when_its_client_has_acknowledged_nothing_for_a_minute() -> None:
    with run.listen(ServerSettings(port=0)) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
