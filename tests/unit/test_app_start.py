"""Starting and stopping the wired server in this process."""

import asyncio
import gc
from pathlib import Path

import pytest

from bellcast import settings
from bellcast.live.socketio.socket_handoff import SocketHandoff
from bellcast.server.app import App, create_app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the workers of one port meet; it is not there yet."""
    return tmp_path / "workers"


@pytest.fixture
def app(tmp_path: Path, folder: Path) -> App:
    return create_app(settings.load({"data": str(tmp_path / "data")}, {}), neighbours=SocketHandoff(folder))


async def test_a_start_that_failed_late_succeeds_when_it_is_tried_again(app: App, folder: Path) -> None:
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            await app.start()
    await asyncio.to_thread(folder.mkdir)
    await app.start()
    await app.store.ping()
    await app.stop()


async def test_a_start_that_failed_leaves_the_data_folder_to_another_server(app: App, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await app.start()
    other = create_app(settings.load({"data": str(tmp_path / "data")}, {}))
    await other.start()
    await other.stop()


async def test_events_are_heard_after_a_start_that_was_tried_twice(app: App, folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await app.start()
    await asyncio.to_thread(folder.mkdir)
    await app.start()
    assert app.broker._listener is not None
    await app.stop()


async def test_a_server_stopped_at_once_leaves_no_work_behind(tmp_path: Path) -> None:
    app = create_app(settings.load({"data": str(tmp_path / "data")}, {}))
    await app.start()
    await app.stop()  # before its tasks took their first step; a coroutine never awaited fails the test
    gc.collect()
