"""Backups are made while a server runs, and restored while none does."""

import errno
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bellcast.kernel.db import backup
from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.sqlite import SqliteEngine
from bellcast.kernel.db.sqlite_connection import connect
from bellcast.kernel.errors import Conflict, NotFound, Unavailable
from bellcast.settings.credentials import write_private
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def no_progress(done: int, of: int) -> None:
    assert 0 < done <= of


async def test_restored_store_equals_the_backup(
    app: App, engine: SqliteEngine, database: Path, tmp_path: Path, clock: FakeClock
) -> None:
    await app.send("alice", "kept", tags=("x",))
    backup.backup(database, tmp_path / "copy", no_progress)
    await app.send("alice", "lost")
    await engine.close()
    backup.restore(tmp_path / "copy", database, no_progress)
    await engine.open()
    assert await app.titles("alice") == await app.titles("alice", tag="x") == ["kept"]
    await app.send("alice", "new")
    assert await app.titles("alice") == ["new", "kept"]


async def test_positions_from_before_a_restore_are_unknown(
    app: App, engine: SqliteEngine, database: Path, tmp_path: Path
) -> None:
    await app.send("alice")
    await app.send("bob")
    before = [(await app.inbox(key)).state.epoch for key in ("alice", "bob")]
    backup.backup(database, tmp_path / "copy", no_progress)
    await engine.close()
    backup.restore(tmp_path / "copy", database, no_progress)
    await engine.open()
    after = [(await app.inbox(key)).state.epoch for key in ("alice", "bob")]
    assert len({*before, *after}) == 4


async def test_backup_is_a_snapshot_and_blocks_no_writer(app: App, database: Path, tmp_path: Path) -> None:
    await app.add_all([app.send_request("alice", data={"text": "x" * 10_000}) for _ in range(1000)])
    with closing(sqlite3.connect(database, isolation_level=None, timeout=0)) as other:
        steps: list[tuple[int, int]] = []

        def write_meanwhile(done: int, of: int) -> None:
            steps.append((done, of))
            other.execute("UPDATE recipients SET name = 'changed meanwhile'")

        backup.backup(database, tmp_path / "copy", write_meanwhile)
    assert len(steps) > 1
    assert steps[-1][0] == steps[-1][1]
    with closing(sqlite3.connect(tmp_path / "copy")) as copy:
        assert copy.execute("SELECT name FROM recipients").fetchall() == [(None,)]
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_backup_is_one_file(app: App, database: Path, tmp_path: Path) -> None:
    backup.backup(database, tmp_path / "backups.db", no_progress)
    assert [name for name in names(tmp_path) if name.startswith("backups")] == ["backups.db"]


async def test_backup_overwrites_no_file(app: App, database: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("precious")
    for there in (tmp_path / "copy", database):
        with pytest.raises(Conflict, match="already exists"):
            backup.backup(database, there, no_progress)
    assert (tmp_path / "copy").read_text() == "precious"


async def test_error_of_the_target_names_the_target(
    app: App, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFound, match=r"There is no folder .*/nowhere: create it"):
        backup.backup(database, tmp_path / "nowhere" / "copy", no_progress)

    def fail(error: Exception) -> None:
        raise error

    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    for error in (full, OSError(errno.ENOSPC, "No space left on device")):
        monkeypatch.setattr(backup, "sync", lambda _, error=error: fail(error))
        with pytest.raises(Unavailable, match=r"/copy cannot be written: its disk is full\."):
            backup.backup(database, tmp_path / "copy", no_progress)
    assert names(tmp_path) == {"data"}


async def test_restore_under_a_running_server_is_refused(app: App, database: Path, tmp_path: Path) -> None:
    backup.backup(database, tmp_path / "copy", no_progress)
    await app.send("alice")
    with pytest.raises(Conflict, match="Another Bellcast server"):
        backup.restore(tmp_path / "copy", database, no_progress)
    assert len(await app.page("alice")) == 1


async def test_damaged_backup_is_refused_and_the_store_stays(
    app: App, engine: SqliteEngine, database: Path, tmp_path: Path
) -> None:
    await app.add_all([app.send_request("alice", data={"text": "x" * 10_000}) for _ in range(100)])
    copy = tmp_path / "copy"
    backup.backup(database, copy, no_progress)
    whole = copy.read_bytes()
    copy.write_bytes(whole[:200_000] + b"\x00" * 50_000 + whole[250_000:])
    await engine.close()
    with pytest.raises(Unavailable, match=f"^{copy}: The database file is damaged"):
        backup.restore(copy, database, no_progress)
    copy.write_bytes(b"no database at all, just text" * 100)
    with pytest.raises(Unavailable):
        backup.restore(copy, database, no_progress)
    with pytest.raises(NotFound):
        backup.restore(tmp_path / "nowhere", database, no_progress)
    await engine.open()
    assert (await app.counts("alice"))[0] == 100


async def test_restore_after_an_interrupted_one_discards_its_log(
    app: App, engine: SqliteEngine, database: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    await app.send("alice", "first")
    backup.backup(database, first, no_progress)
    await app.add_all([app.send_request("alice", f"title {number}", data={"n": number}) for number in range(300)])
    backup.backup(database, second, no_progress)
    await engine.close()

    ready, killed = database.with_name(f"{database.name}.restored"), tmp_path / "killed"
    shutil.copy(first, ready)
    killed.mkdir()
    with closing(connect(ready)) as interrupted:
        interrupted.execute("UPDATE recipients SET name = 'interrupted'")
        for file in database.parent.glob(f"{ready.name}*"):
            shutil.copy(file, killed)
    shutil.copytree(killed, database.parent, dirs_exist_ok=True)
    assert names(killed) == {f"{ready.name}{suffix}" for suffix in ("", "-wal", "-shm")}

    backup.restore(second, database, no_progress)
    assert names(database.parent) == {database.name, f"{database.name}.lock"}
    with closing(sqlite3.connect(database)) as restored:
        assert restored.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    await engine.open()
    assert (await app.counts("alice"))[0] == 301


async def test_next_start_deletes_the_file_of_a_killed_restore(engine: SqliteEngine, database: Path) -> None:
    await engine.close()
    for suffix in ("", "-wal"):
        database.with_name(f"{database.name}.restored{suffix}").write_text("half")
    await engine.open()
    assert not [name for name in names(database.parent) if ".restored" in name]


async def test_next_backup_deletes_the_files_of_killed_ones_only(app: App, database: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    started: list[set[str]] = []

    def in_the_middle(done: int, of: int) -> None:
        if not started:
            started.append(names(folder))
            backup.backup(database, folder / "other.db", no_progress)
            with pytest.raises(Conflict, match=r"Another backup is writing .*/first\.db"):
                backup.backup(database, folder / "first.db", no_progress)

    for name in ("killed.db.bellcast-part", "killed.db.bellcast-part-wal", "film.part"):
        (folder / name).write_text("half")
    backup.backup(database, folder / "first.db", in_the_middle)
    assert started == [{"first.db.bellcast-part", "film.part"}]
    assert names(folder) == {"first.db", "other.db", "film.part"}


async def test_restored_file_is_verified_before_it_replaces_the_store(
    app: App, engine: SqliteEngine, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.send("alice", "kept")
    backup.backup(database, tmp_path / "copy", no_progress)
    await engine.close()

    def connect_and_damage(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("DROP INDEX notifications_expiry")
        return connection

    monkeypatch.setattr(backup, "connect", connect_and_damage)
    with pytest.raises(Conflict, match="differs from the one that Bellcast creates"):
        backup.restore(tmp_path / "copy", database, no_progress)
    assert names(database.parent) == {database.name, f"{database.name}.lock"}
    await engine.open()
    assert await app.titles("alice") == ["kept"]


async def test_another_programs_database_is_refused(tmp_path: Path, database: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other")) as other:
        other.execute("CREATE TABLE notes (text)")
    with pytest.raises(Conflict, match=f"^{tmp_path / 'other'}: .* not created by Bellcast"):
        backup.restore(tmp_path / "other", database, no_progress)
    with pytest.raises(Conflict, match="not created by Bellcast"):
        backup.backup(tmp_path / "other", tmp_path / "copy", no_progress)
    assert names(tmp_path) == {"other", "data"}
    assert names(database.parent) == {"bellcast.db.lock"}


async def test_restore_creates_a_missing_store(app: App, database: Path, tmp_path: Path, clock: FakeClock) -> None:
    await app.send("alice")
    backup.backup(database, tmp_path / "copy", no_progress)
    elsewhere = tmp_path / "new" / "folder" / "bellcast.db"
    backup.restore(tmp_path / "copy", elsewhere, no_progress)
    store = Store(SqliteEngine(elsewhere, clock))
    await store.open()
    assert await App(store, clock).counts("alice") == (1, 1)
    await store.close()


async def test_store_and_backups_are_readable_by_their_owner_only(
    app: App, engine: SqliteEngine, database: Path, tmp_path: Path
) -> None:
    backup.backup(database, tmp_path / "copy", no_progress)
    beside = {path for path in database.parent.iterdir() if path.suffix != ".lock"}
    assert len(beside) == 3  # the file, its log and the log's index
    await engine.close()
    backup.restore(tmp_path / "copy", tmp_path / "restored.db", no_progress)
    for path in (*database.parent.glob("*.db*"), tmp_path / "copy", tmp_path / "restored.db"):
        assert path.suffix == ".lock" or path.stat().st_mode & 0o777 == 0o600, path


HOSTILE = {
    "table": 'CREATE TABLE "counters; DROP SCHEMA bellcast CASCADE; --" (a)',
    "virtual table": "CREATE VIRTUAL TABLE searched USING fts5(text)",
    "trigger": "CREATE TRIGGER shadow AFTER INSERT ON recipients BEGIN DELETE FROM recipients; END",
    "view": "CREATE VIEW recipients_of_all AS SELECT * FROM recipients",
    "another view": "DROP VIEW entries; CREATE VIEW entries AS SELECT * FROM notifications",
    "column": "ALTER TABLE recipients ADD COLUMN note TEXT",
    "type": "DROP TABLE budgets; CREATE TABLE budgets (tenant TEXT NOT NULL, day, sends, PRIMARY KEY (tenant, day))",
    "index": "CREATE INDEX slow ON recipients (email) WHERE email LIKE '%'",
    "nothing": "DROP TABLE budgets",
    "sqlite's name": "PRAGMA writable_schema = ON; INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) "
    "VALUES ('trigger', 'sqlite_t', 'jobs', 0, 'CREATE TRIGGER sqlite_t AFTER INSERT ON jobs BEGIN SELECT 1; END')",
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
async def test_backup_with_a_foreign_schema_is_refused(
    app: App, engine: SqliteEngine, database: Path, tmp_path: Path, change: str
) -> None:
    await app.send("alice", "kept")
    copy = tmp_path / "copy"
    backup.backup(database, copy, no_progress)
    with closing(sqlite3.connect(copy)) as changed:
        changed.executescript(change)
    await engine.close()
    with pytest.raises(Conflict, match="differs from the one that Bellcast creates"):
        backup.restore(copy, database, no_progress)
    await engine.open()
    assert await app.titles("alice") == ["kept"]


@pytest.mark.parametrize("number", migrations.steps())
def test_store_of_every_version_passes_the_schema_check(tmp_path: Path, number: int) -> None:
    with closing(migrations._new_store(number)) as made:
        made.execute(f"PRAGMA application_id = {migrations.APPLICATION_ID}")
        made.execute(f"PRAGMA user_version = {number}")
        made.execute("VACUUM INTO ?", (str(tmp_path / "copy"),))
    with closing(backup.open_database(tmp_path / "copy")) as copy:
        backup.verify(copy)


async def test_store_of_the_oldest_version_is_verified_and_upgraded(
    engine: SqliteEngine, database: Path, tmp_path: Path
) -> None:
    """Commit 7ee7e954 created its tables in 31 steps, so SQLite wrote their texts in another form."""
    tables = Path(__file__).parents[3] / "fixtures" / "tables" / "sqlite-31.json"
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as old:
        for text in json.loads(tables.read_text(encoding="utf-8")):
            old.execute(text)
        old.execute("ANALYZE sqlite_schema")
        old.execute("INSERT INTO counters (name, value) VALUES ('announcements', 0)")
        old.execute("INSERT INTO tenants (key, name, created_at) VALUES ('acme', 'Acme', 1)")
        old.execute(f"PRAGMA application_id = {migrations.APPLICATION_ID}")
        old.execute("PRAGMA user_version = 31")
    await engine.close()
    backup.restore(tmp_path / "old.db", database, no_progress)
    await engine.open()
    tenant = await Store(engine).tenants.get("acme")
    assert (tenant and tenant.name) == "Acme"


def test_failed_backup_names_the_file_that_cannot_be_read(tmp_path: Path) -> None:
    unreadable = PermissionError(errno.EACCES, "Permission denied", "/var/lib/bellcast/bellcast.db")
    failure = backup.target_error(tmp_path / "copy", unreadable)
    assert str(failure) == "/var/lib/bellcast/bellcast.db cannot be used: Permission denied."


def test_file_of_the_folder_is_written_where_root_may_not_change_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container without CAP_CHOWN, and some file systems."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", refuse)
    connect(tmp_path / "bellcast.db").close()
    assert write_private(tmp_path / "project.json", {})
    assert {(path.name, path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {
        ("bellcast.db", 0o600),
        ("project.json", 0o600),
    }
