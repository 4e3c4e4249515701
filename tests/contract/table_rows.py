"""The tables of a store: their columns, and their rows as text."""

import sqlite3
from contextlib import closing
from pathlib import Path

import asyncpg

from bellcast.kernel.db.migrations.postgres import SCHEMA
from tests.contract.app import engine_of
from tests.engines import FreshPostgresEngine
from tests.store import Store


async def columns(store: Store, folder: Path) -> dict[str, set[str]]:
    """Return the names of the columns of every table."""
    engine = engine_of(store)
    found: dict[str, set[str]] = {}
    if isinstance(engine, FreshPostgresEngine):
        connection = await asyncpg.connect(engine.server.url(engine.database))
        query = """
            SELECT c.table_name, c.column_name FROM information_schema.columns c
            JOIN information_schema.tables t USING (table_schema, table_name)
            WHERE c.table_schema = $1 AND t.table_type = 'BASE TABLE'
        """
        try:
            pairs = [tuple(row) for row in await connection.fetch(query, SCHEMA)]
        finally:
            await connection.close()
    else:
        with closing(sqlite3.connect(folder / "bellcast.db")) as database:
            query = (
                "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c"
                " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'"
            )
            pairs = database.execute(query).fetchall()
    for table, column in pairs:
        found.setdefault(table, set()).add(column)
    return found


async def all_rows(store: Store, folder: Path) -> dict[str, list[str]]:
    """Return every row of every table as text."""
    engine = engine_of(store)
    if isinstance(engine, FreshPostgresEngine):
        return await _postgres_rows(engine.server.url(engine.database))
    with closing(sqlite3.connect(folder / "bellcast.db")) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        names = [name for name in names if not name.startswith("sqlite_")]
        return {name: [str(row) for row in database.execute(f'SELECT * FROM "{name}"')] for name in names}


async def _postgres_rows(url: str) -> dict[str, list[str]]:
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", SCHEMA)
        return {
            name: [str(tuple(row)) for row in await connection.fetch(f'SELECT * FROM {SCHEMA}."{name}"')]
            for (name,) in names
        }
    finally:
        await connection.close()


def rows_containing(tables: dict[str, list[str]], text: str) -> dict[str, int]:
    """Return the number of rows that contain the text, by table."""
    counts = {name: sum(text in row for row in rows) for name, rows in tables.items()}
    return {name: count for name, count in counts.items() if count}
