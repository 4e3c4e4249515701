"""The wired server starts and stops in this process."""

import asyncio
import gc
from pathlib import Path

import pytest

from bellcast import settings
from bellcast.live.socketio.socket_handoff import SocketHandoff
from bellcast.server.app import App, create_app


@pytest.fixture
def missing_folder(tmp_path: Path) -> Path:
    """The socket folder of the workers of one port, not created yet."""
    return tmp_path / "workers"


@pytest.fixture
def app(tmp_path: Path, missing_folder: Path) -> App:
    return create_app(settings.load({"data": str(tmp_path / "data")}, {}), handoff=SocketHandoff(missing_folder))


async def test_start_succeeds_on_retry_after_a_late_failure(app: App, missing_folder: Path) -> None:
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            await app.start()
    await asyncio.to_thread(missing_folder.mkdir)
    await app.start()
    await app.store.ping()
    await app.stop()


async def test_failed_start_releases_the_data_folder_to_another_server(app: App, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await app.start()
    other = create_app(settings.load({"data": str(tmp_path / "data")}, {}))
    await other.start()
    await other.stop()


async def test_broker_delivers_events_after_a_retried_start(app: App, missing_folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await app.start()
    await asyncio.to_thread(missing_folder.mkdir)
    await app.start()
    assert app.broker._listener is not None
    await app.stop()


async def test_server_stopped_right_after_its_start_leaves_no_pending_work(tmp_path: Path) -> None:
    app = create_app(settings.load({"data": str(tmp_path / "data")}, {}))
    await app.start()
    await app.stop()  # before its tasks took their first step; a coroutine never awaited fails the test
    gc.collect()
