"""Positions become unknown when an older copy replaces the file of a SQLite store, and stay valid at every other start."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bellcast.kernel.db import backup
from bellcast.kernel.db.sqlite import SqliteEngine
from bellcast.kernel.errors import Conflict, NotFound
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store


async def epoch(app: App) -> int:
    return (await app.inbox("alice")).state.epoch


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


async def test_positions_stay_valid_after_a_restart(app: App, engine: SqliteEngine) -> None:
    await app.send("alice")
    before = await epoch(app)
    for _ in range(3):
        await engine.close()
        await engine.open()
    assert await epoch(app) == before


async def test_positions_stay_valid_after_a_kill(app: App, engine: SqliteEngine, database: Path) -> None:
    await app.send("alice")
    before = await epoch(app)
    killed = database.parent.with_name(
        "killed"
    )  # what a kill leaves: a second server could not lock the first's folder
    shutil.copytree(database.parent, killed)
    after = SqliteEngine(killed / database.name, FakeClock())
    await after.open()
    app_after = App(Store(after), FakeClock())
    assert await epoch(app_after) == before
    await after.close()


async def test_positions_stay_valid_after_an_interrupted_renewal(
    app: App, engine: SqliteEngine, database: Path, copy: Path
) -> None:
    await app.send("alice")
    before = await epoch(app)
    await engine.close()
    lock = database.with_name(f"{database.name}.lock")
    known = lock.read_text().split()
    lock.write_text(f"{known[0]} {int(known[1]) + 1:019d}\n")  # the next identity was written, and not committed
    await engine.open()
    assert await epoch(app) == before


async def test_positions_stay_valid_at_the_first_start_of_this_release(
    app: App, engine: SqliteEngine, database: Path
) -> None:
    await app.send("alice")
    before = await epoch(app)
    await engine.close()
    forget_identity(database)
    database.with_name(f"{database.name}.lock").write_text("")
    await engine.open()
    assert await epoch(app) == before


def forget_identity(database: Path) -> None:
    """Make the file like one of a release without identities."""
    with backup.closing(backup.connect(database)) as raw:
        raw.execute("DELETE FROM counters WHERE name = 'identity'")


@pytest.mark.parametrize("when", ["stopped", "running", "without identity"])
async def test_positions_are_unknown_after_the_file_was_replaced_by_a_copy(
    app: App, engine: SqliteEngine, database: Path, copy: Path, when: str
) -> None:
    await app.send("alice")
    before = await epoch(app)
    if when == "running":
        backup.backup(database, copy, lambda *_: None)
    await engine.close()
    if when != "running":
        shutil.copy(database, copy)
    if when == "without identity":
        forget_identity(copy)
    await engine.open()
    await app.send("alice")
    await engine.close()
    shutil.copy(copy, database)
    await engine.open()
    assert await epoch(app) != before
    after = await epoch(app)
    await engine.close()
    await engine.open()
    assert await epoch(app) == after


async def test_log_of_a_killed_server_is_not_applied_to_a_copy(
    app: App, engine: SqliteEngine, database: Path, copy: Path
) -> None:
    await app.send("alice")
    await engine.close()
    shutil.copy(database, copy)
    await engine.open()
    for _ in range(3):
        await app.send("alice")
    killed = database.parent.with_name("killed")
    shutil.copytree(database.parent, killed)
    shutil.copy(copy, killed / database.name)
    with pytest.raises(Conflict, match="-wal and "):
        await SqliteEngine(killed / database.name, FakeClock()).open()
    for suffix in ("-wal", "-shm"):
        (killed / f"{database.name}{suffix}").unlink()
    after = SqliteEngine(killed / database.name, FakeClock())
    await after.open()
    restored = App(Store(after), FakeClock())
    assert (await restored.inbox("alice")).state.unread == 1
    await after.close()


async def test_positions_are_unknown_after_a_copy_from_the_time_of_a_killed_server(
    app: App, engine: SqliteEngine, database: Path, copy: Path
) -> None:
    await app.send("alice")
    before = await epoch(app)
    backup.backup(database, copy, lambda *_: None)
    await app.send("alice")
    killed = database.parent.with_name("killed")
    shutil.copytree(database.parent, killed)
    shutil.copy(copy, killed / database.name)
    for suffix in ("-wal", "-shm"):
        (killed / f"{database.name}{suffix}").unlink()
    after = SqliteEngine(killed / database.name, FakeClock())
    restored = App(Store(after), FakeClock())
    epochs: list[int] = []
    for _ in range(3):
        await after.open()
        epochs.append(await epoch(restored))
        await after.close()
    assert before != epochs[0] == epochs[1] == epochs[2]


async def test_copy_with_the_log_of_a_killed_server_is_refused_until_both_are_restored(
    app: App, engine: SqliteEngine, database: Path, tmp_path: Path
) -> None:
    for _ in range(3):
        await app.send("alice")
    copied, replaced = tmp_path / "copied", tmp_path / "replaced"
    copied.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{database}{suffix}", copied)
    await engine.close()
    await engine.open()  # the copies are from before this start
    shutil.copytree(database.parent, replaced)
    for suffix in ("", "-wal"):
        shutil.copy(copied / f"{database.name}{suffix}", replaced)
    after = SqliteEngine(replaced / database.name, FakeClock())
    with pytest.raises(Conflict, match="move both to another folder and run `bellcast restore`"):
        await after.open()
    backup.restore(copied / database.name, replaced / database.name, lambda *_: None)
    await after.open()
    await after.close()
    with closing(sqlite3.connect(replaced / database.name)) as restored:
        assert restored.execute("SELECT count(*) FROM notifications").fetchone() == (3,)


async def test_log_of_a_killed_release_without_identities_is_applied(
    app: App, engine: SqliteEngine, database: Path, tmp_path: Path
) -> None:
    await app.send("alice")
    before = await epoch(app)
    await engine.close()
    with closing(sqlite3.connect(database)) as old:
        old.execute("DELETE FROM counters WHERE name = 'identity'")
        old.commit()
    killed = tmp_path / "killed"
    with closing(sqlite3.connect(database)) as old:
        old.execute("UPDATE notifications SET title = 'In the log'")
        old.commit()
        shutil.copytree(database.parent, killed, ignore=shutil.ignore_patterns("*.lock"))
    after_file = killed / database.name
    assert after_file.with_name(f"{database.name}-wal").stat().st_size > 0
    after = SqliteEngine(after_file, FakeClock())
    await after.open()
    restored = App(Store(after), FakeClock())
    assert await epoch(restored) == before
    await after.close()
    with closing(sqlite3.connect(after_file)) as file:
        assert file.execute("SELECT title FROM notifications").fetchall() == [("In the log",)]


async def test_positions_are_unknown_in_another_folder(app: App, engine: SqliteEngine, database: Path) -> None:
    await app.send("alice")
    before = await epoch(app)
    await engine.close()
    elsewhere = database.parent.with_name("elsewhere") / database.name
    elsewhere.parent.mkdir()
    shutil.copy(database, elsewhere)
    other = SqliteEngine(elsewhere, FakeClock())
    await other.open()
    app_elsewhere = App(Store(other), FakeClock())
    assert await epoch(app_elsewhere) != before
    await other.close()


async def test_positions_are_unknown_on_request(app: App, engine: SqliteEngine, database: Path) -> None:
    await app.send("alice")
    before = await epoch(app)
    with pytest.raises(Conflict, match="Another Bellcast server"):
        backup.renew_positions(database)
    await engine.close()
    backup.renew_positions(database)
    await engine.open()
    assert await epoch(app) != before
    with pytest.raises(NotFound):
        backup.renew_positions(database.with_name("other.db"))
