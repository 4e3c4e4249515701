"""Restoring an untrusted SQLite file into PostgreSQL never executes its names as SQL."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from bellcast.kernel.db import postgres_copies
from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.sqlite_connection import connect
from bellcast.kernel.errors import BellcastError, Conflict
from tests import engines

INJECTED = 'CREATE TABLE "tenants; CREATE TABLE public.injected (); --" (a)'


def no_progress(done: int, of: int) -> None:
    assert 0 < done <= of


@pytest.fixture
async def url() -> AsyncIterator[str]:
    yield await engines.postgres().make("hostile")
    await engines.postgres().drop("hostile")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A store with one tenant."""
    with closing(connect(tmp_path / "store.db")) as store:
        migrations.migrate(store)
        store.execute("INSERT INTO tenants (key, created_at) VALUES ('acme', 1)")
        store.execute("PRAGMA journal_mode = DELETE")
    return tmp_path / "store.db"


def change(file: Path, script: str) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.executescript(script)


async def tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname IN ('public', 'bellcast')")
        return {name for (name,) in names}
    finally:
        await connection.close()


async def test_restore_does_not_execute_table_names(file: Path, url: str) -> None:
    assert (await postgres_copies.restore(file, url, no_progress, replace=True))["tenants"] == 1
    before = await tables(url)
    change(file, INJECTED)
    with pytest.raises(Conflict, match="differs from the one that Bellcast creates"):
        await postgres_copies.restore(file, url, no_progress, replace=True)
    assert await tables(url) == before


async def test_migration_does_not_execute_table_names(file: Path, url: str) -> None:
    change(file, INJECTED)
    with pytest.raises(Conflict, match="differs from the one that Bellcast creates"):
        await postgres_copies.transfer(file, url, no_progress)
    assert await tables(url) == set()


async def test_invalid_utf8_is_restored_with_replacement_characters(file: Path, url: str) -> None:
    change(file, "UPDATE tenants SET name = CAST(x'41ff42' AS TEXT)")
    await postgres_copies.restore(file, url, no_progress, replace=True)
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval("SELECT name FROM bellcast.tenants") == "A\ufffdB"
    finally:
        await connection.close()


@pytest.mark.parametrize("number", ["'many'", "-5", "NULL", "9223372036854775807"])
async def test_hostile_sequence_number_does_not_fail_a_restore(file: Path, url: str, number: str) -> None:
    change(file, f"DELETE FROM sqlite_sequence; INSERT INTO sqlite_sequence VALUES ('recipients', {number})")
    assert (await postgres_copies.restore(file, url, no_progress, replace=True))["tenants"] == 1


async def test_value_of_another_type_fails_the_restore_and_changes_nothing(file: Path, url: str) -> None:
    await postgres_copies.restore(file, url, no_progress, replace=True)
    change(
        file,
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, ') STRICT', ')') WHERE name = 'tenants'",
    )
    change(file, "INSERT INTO tenants (key, created_at) VALUES ('globex', 'soon')")
    with pytest.raises(BellcastError):
        await postgres_copies.restore(file, url, no_progress, replace=True)
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM bellcast.tenants") == 1
    finally:
        await connection.close()
