"""Full disks, locked databases and second servers raise a clear error, change no row, and recover."""

import asyncio
import errno
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from bellcast.inbox.types.sends import SendResult
from bellcast.kernel.db import sqlite
from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.sqlite import SqliteEngine
from bellcast.kernel.db.writer import ENTRY_ROWS
from bellcast.kernel.errors import Conflict, DiskFull, NotFound, SettingsError, Unavailable
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store

LARGE = {"text": "x" * 16_000}


@contextmanager
def page_limit(folder: Path) -> Iterator[tuple[Path, Callable[[SqliteEngine], None], Callable[[SqliteEngine], None]]]:
    """A database with a page limit."""

    def fill(engine: SqliteEngine) -> None:
        raw = writing(engine)
        ((pages,),) = raw.execute("PRAGMA page_count").fetchall()
        raw.execute(f"PRAGMA max_page_count = {pages + 20}")

    def make_room(engine: SqliteEngine) -> None:
        writing(engine).execute("PRAGMA max_page_count = 1000000")

    yield folder, fill, make_room


@contextmanager
def small_disk(folder: Path) -> Iterator[tuple[Path, Callable[[SqliteEngine], None], Callable[[SqliteEngine], None]]]:
    """A real file system of 4 MiB."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    ballast = disk / "ballast"

    def fill(_: SqliteEngine) -> None:
        left = shutil.disk_usage(disk).free
        ballast.write_bytes(b"x" * (left - 300_000))

    try:
        yield disk, fill, lambda _: ballast.unlink()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def may_mount() -> bool:
    """Return True if this process may mount a file system, which a small disk requires."""
    if os.geteuid() != 0:
        return False
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=False, capture_output=True
    )
    return tried.returncode == 0


DISKS = {"page limit": page_limit, **({"small disk": small_disk} if may_mount() else {})}


def writing(engine: SqliteEngine) -> sqlite3.Connection:
    assert engine._writer is not None
    return engine._writer._connection.raw


@pytest.mark.parametrize("disk", DISKS)
async def test_full_disk_refuses_sends_and_recovers(disk: str, tmp_path: Path, clock: FakeClock) -> None:
    with DISKS[disk](tmp_path) as (folder, fill, make_room):
        engine = SqliteEngine(folder / "bellcast.db", clock)
        store = Store(engine)
        app = App(store, clock)
        await store.open()
        try:
            await app.send("alice", "before")
            fill(engine)
            outcomes = await asyncio.gather(
                *(app.add(app.send_request("alice", title=f"{at}", data=LARGE)) for at in range(60)),
                return_exceptions=True,
            )
            assert {type(outcome) for outcome in outcomes} <= {SendResult, DiskFull}
            assert any(isinstance(outcome, DiskFull) for outcome in outcomes)
            kept = [f"{at}" for at, outcome in enumerate(outcomes) if isinstance(outcome, SendResult)]
            assert sorted(await app.titles("alice")) == sorted(["before", *kept])
            assert (await app.counts("alice"))[0] == 1 + len(kept)
            make_room(engine)
            await app.send("alice", "after", data=LARGE)
            assert (await app.titles("alice"))[0] == "after"
        finally:
            await store.close()


@pytest.mark.parametrize("left", [0, 20])
async def test_full_disk_leaves_no_gap_in_the_items_of_a_send(app: App, engine: SqliteEngine, left: int) -> None:
    """The first items are too large for the disk; the last ones, in another part of the batch, would fit."""
    await app.send("alice", "before")
    raw = writing(engine)
    ((pages,),) = raw.execute("PRAGMA page_count").fetchall()
    raw.execute(f"PRAGMA max_page_count = {pages + left}")
    requests = [app.send_request("alice", title="large", data=LARGE) for _ in range(ENTRY_ROWS)]
    requests += [app.send_request("alice", title="small") for _ in range(ENTRY_ROWS)]
    assert {type(outcome) for outcome in await app.add_all(requests)} == {DiskFull}
    assert await app.titles("alice") == ["before"]


async def test_lock_held_too_long_raises_unavailable(app: App, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app's clock stands still, as with `--test-clock`."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 300)
    await app.send("alice", "before")
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        sending = asyncio.create_task(app.send("alice", "never"))
        await asyncio.sleep(0)
        assert not sending.done()
        assert await app.titles("alice") == ["before"]
        with pytest.raises(Unavailable, match="locked"):
            await sending
        with pytest.raises(Unavailable):
            await app.store.ping()
        other.execute("ROLLBACK")
    await app.send("alice", "after")
    assert await app.titles("alice") == ["after", "before"]


async def test_writer_waits_for_a_short_lock(app: App, database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        sending = asyncio.create_task(app.send("alice", "late"))
        await asyncio.sleep(5 * sqlite.RETRY_DELAY)
        assert not sending.done()
        other.execute("ROLLBACK")
        await sending
    assert await app.titles("alice") == ["late"]


async def test_second_server_on_a_folder_gets_conflict(engine: SqliteEngine, database: Path, clock: FakeClock) -> None:
    second = SqliteEngine(database, clock)
    with pytest.raises(Conflict, match="Another Bellcast server"):
        await second.open()
    await engine.close()
    await second.open()
    await second.ping()
    await second.close()


async def test_failed_open_releases_the_folder(database: Path, clock: FakeClock) -> None:
    spoil(database)
    with pytest.raises(Unavailable):
        await SqliteEngine(database, clock).open()
    shutil.rmtree(database.parent)
    engine = SqliteEngine(database, clock)
    await engine.open()
    await engine.close()


def spoil(database: Path) -> None:
    database.parent.mkdir()
    database.write_bytes(b"this is no database" * 1000)


async def test_unusable_folder_is_named(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="data folder"):
        await SqliteEngine(tmp_path / "file" / "bellcast.db", clock).open()


async def test_old_sqlite_is_named(database: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(SettingsError, match=r"3\.37"):
        await SqliteEngine(database, clock).open()


async def test_bellcast_error_is_not_translated(app: App) -> None:
    with pytest.raises(NotFound):
        await app.store.inboxes.changes(12345, 0, 1)


@pytest.mark.parametrize("error", [sqlite3.OperationalError, OSError])
async def test_store_that_cannot_be_opened_is_named(
    database: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    failure = error(errno.ENOSPC, "No space left on device")
    failure.sqlite_errorcode = sqlite3.SQLITE_FULL
    monkeypatch.setattr(migrations, "pending", Mock(side_effect=failure))
    with pytest.raises((DiskFull, Unavailable), match=rf"^{database}: The .*(full|No space)"):
        await SqliteEngine(database, FakeClock()).open()
