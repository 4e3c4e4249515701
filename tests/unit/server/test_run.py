"""The loop in which the server waits for its end."""

import asyncio
import signal
from typing import Any, cast

import pytest
import uvicorn

from bellcast.server import run
from bellcast.server.run import UvicornServer


@pytest.fixture
def server() -> UvicornServer:
    config = uvicorn.Config(cast(Any, None), log_config=None, lifespan="off")
    config.load()
    return UvicornServer(config, cast(Any, None), cast(Any, None), print)


async def test_signal_ends_the_server_without_waiting_for_a_tick(
    server: UvicornServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "TICK_SECONDS", 3_600.0)
    waiting = asyncio.ensure_future(server.main_loop())
    await asyncio.sleep(0)
    server.handle_exit(signal.SIGTERM, None)
    await asyncio.wait_for(waiting, 30)
