"""Migrations of a SQLite store."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from importlib import resources
from pathlib import Path
from types import ModuleType

import pytest
from structlog.testing import capture_logs

from bellcast.kernel.db.engine import StoreMigration, StoreSchema
from bellcast.kernel.db.migrations import postgres as postgres_migrations
from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.sqlite import SqliteEngine
from bellcast.kernel.db.sqlite_connection import connect
from bellcast.kernel.errors import Conflict
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store


@pytest.mark.parametrize("package", [migrations, postgres_migrations])
def test_migrations_are_numbered_without_gaps(package: ModuleType) -> None:
    """Two migrations with one number would run in a different order in a store that already has one of them."""
    names = sorted(file.name for file in resources.files(package).iterdir() if file.name.endswith(".sql"))
    first = int(names[0][:4])
    assert [int(name[:4]) for name in names] == list(range(first, first + len(names)))
    assert list(package.steps()) == [int(name[:4]) for name in names]


async def test_new_store_has_all_migrations(engine: SqliteEngine, database: Path) -> None:
    with closing(connect(database)) as raw:
        assert migrations.version(raw) == max(migrations.steps())
        assert not migrations.pending(raw)


async def test_opening_again_runs_no_migration(engine: SqliteEngine, database: Path) -> None:
    await engine.close()
    before = schema(database)
    await engine.open()
    assert schema(database) == before


async def test_tables_without_rowid_begin_with_their_key(engine: SqliteEngine, database: Path) -> None:
    """In other tables, the integrity check of SQLite 3.40 (Debian 12) reports an optional column as a broken required
    one, and a backup could not be restored."""
    with closing(connect(database)) as raw:
        tables = raw.execute("SELECT name FROM sqlite_schema WHERE sql LIKE '%WITHOUT ROWID%'").fetchall()
        for (table,) in tables:
            columns = raw.execute(f"SELECT name, pk, \"notnull\" FROM pragma_table_info('{table}')").fetchall()
            keys = sorted(pk for _, pk, _ in columns if pk)
            begins_with_key = [pk for _, pk, _ in columns][: len(keys)] == keys
            assert begins_with_key or all(required for _, _, required in columns), table


async def test_newer_store_is_refused(engine: SqliteEngine, database: Path) -> None:
    await engine.close()
    with closing(connect(database)) as raw:
        raw.execute(f"PRAGMA user_version = {max(migrations.steps()) + 1}")
    with pytest.raises(Conflict, match="newer Bellcast"):
        await engine.open()


async def test_store_older_than_the_first_step_is_refused(engine: SqliteEngine, database: Path) -> None:
    await engine.close()
    before = schema(database)
    with closing(connect(database)) as raw:
        raw.execute(f"PRAGMA user_version = {min(migrations.steps()) - 1}")
    with pytest.raises(Conflict, match=r"development version .* start commit 7ee7e954 with it first"):
        await engine.open()
    assert schema(database) == before


async def test_database_of_another_program_is_refused(database: Path, clock: FakeClock) -> None:
    database.parent.mkdir()
    with closing(sqlite3.connect(database)) as other:
        other.execute("CREATE TABLE notes (text)")
    with pytest.raises(Conflict, match="not created by Bellcast"):
        await SqliteEngine(database, clock).open()


def test_failed_migration_is_rolled_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations.steps()
    monkeypatch.setattr(
        migrations, "steps", lambda: known | {max(known) + 1: "CREATE TABLE more (a);\nCREATE NONSENSE;\n"}
    )
    with closing(connect(tmp_path / "x.db")) as raw:
        with pytest.raises(sqlite3.OperationalError):
            migrations.migrate(raw)
        assert raw.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        assert migrations.version(raw) == 0


def test_older_store_gets_only_missing_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations.steps()
    with closing(connect(tmp_path / "x.db")) as raw:
        migrations.migrate(raw)
        raw.execute("INSERT INTO tenants (key, created_at) VALUES ('acme', 1)")
        monkeypatch.setattr(migrations, "steps", lambda: known | {max(known) + 1: "CREATE TABLE more (a);\n"})
        assert migrations.pending(raw)
        migrations.migrate(raw)
        assert migrations.version(raw) == max(known) + 1
        assert raw.execute("SELECT key FROM tenants").fetchall() == [("acme",)]


async def test_preferences_of_the_previous_release_have_no_time_of_change(
    database: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.parent.mkdir()
    with closing(connect(database)) as raw:
        with monkeypatch.context() as patch:
            oldest = dict([*migrations.steps().items()][:1])
            patch.setattr(migrations, "steps", lambda: oldest)
            migrations.migrate(raw)
        raw.execute(
            "INSERT INTO recipients (tenant, key, epoch, watermark, created_at, preferences)"
            " VALUES ('acme', 'alice', 1, 0, 1, '{}')"
        )
    engine = SqliteEngine(database, clock)
    await engine.open()
    app = App(Store(engine), clock)
    assert await app.store.preferences.get("acme", "alice") == (b"{}", None)
    await app.store.preferences.put("acme", "alice", b"{}", app.now, switches_inbox=False, before=b"{}")
    assert await app.store.preferences.get("acme", "alice") == (b"{}", app.now)
    await engine.close()


async def test_parts_follow_marks(engine: SqliteEngine, database: Path) -> None:
    with closing(connect(database)) as raw, pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        raw.execute(
            "INSERT INTO notifications (recipient, id, first_revision, revision, type, created_at, read_at)"
            " VALUES (1, 'a', 1, 1, 'general', 1, 1)"
        )


def schema(database: Path) -> list[tuple[str, str]]:
    with closing(connect(database)) as raw:
        return raw.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


async def test_progress_is_reported_while_an_older_store_is_migrated(
    engine: SqliteEngine, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.close()
    known, begin = migrations.steps(), migrations.begin_step
    newest = max(known)
    monkeypatch.setattr(migrations, "steps", lambda: known | {newest + 1: "CREATE TABLE more (a);"})
    begun, resumed = threading.Event(), threading.Event()

    def begin_and_wait(schema: StoreSchema, before: int, step: int) -> None:
        begin(schema, before, step)
        begun.set()
        resumed.wait()

    monkeypatch.setattr(migrations, "begin_step", begin_and_wait)
    newer = SqliteEngine(database, FakeClock())
    with capture_logs() as logs:
        opening = asyncio.create_task(newer.open())
        await asyncio.to_thread(begun.wait)
        assert newer.schema.migration == StoreMigration(newest, newest + 1, newest + 1)
        resumed.set()
        await opening
    assert newer.schema.migration is None
    steps = [(entry["from"], entry["to"], entry["step"]) for entry in logs if entry["event"] == "migrating"]
    assert steps == [(newest, newest + 1, newest + 1)]
    await newer.close()
