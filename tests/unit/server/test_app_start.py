"""The wired server starts and stops in this process."""

import asyncio
import gc
from pathlib import Path

import pytest

from bellcast import settings
from bellcast.kernel.jobs import Job
from bellcast.kernel.jobs.runner import LEASE_MS
from bellcast.live.http.socket_handoff import SocketHandoff
from bellcast.server import maintenance
from bellcast.server.app import App, create_app
from tests.store import Store


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
    await app.db.ping()
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


async def test_what_is_due_expires_during_a_long_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeping, expired = asyncio.Event(), asyncio.Event()

    async def sweep(*_: object) -> None:
        sweeping.set()
        await asyncio.Event().wait()

    async def expire(*_: object) -> None:
        if sweeping.is_set():
            expired.set()

    monkeypatch.setattr(maintenance, "sweep", sweep)
    monkeypatch.setattr(maintenance, "expire", expire)
    app = create_app(settings.load({"data": str(tmp_path / "data")}, {}))
    await app.start()
    try:
        async with asyncio.timeout(20):
            await expired.wait()
    finally:
        await app.stop()


async def test_jobs_of_a_killed_server_are_due_at_the_start(tmp_path: Path) -> None:
    def server() -> App:
        return create_app(settings.load({"data": str(tmp_path / "data"), "no_jobs": "1"}, {}))

    killed = server()
    await killed.start()
    jobs, now = Store(killed.db).jobs, killed.engines.clock.now()
    await jobs.add([Job(id="a", kind="k", payload=b"", run_at=now, created_at=now)])
    shares = dict.fromkeys(await jobs.due(now), 1)
    assert len(await jobs.lease(shares, now, now + LEASE_MS)) == 1
    await killed.stop()  # it does not run jobs, so it does not know of this lease, as after a kill
    restarted = server()
    await restarted.start()
    assert [group.kind for group in await Store(restarted.db).jobs.due(restarted.engines.clock.now())] == ["k"]
    await restarted.stop()
