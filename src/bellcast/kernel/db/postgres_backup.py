"""Back up a PostgreSQL store while servers run, and restore it while no server runs.

A backup is a SQLite store with a complete snapshot: it can be restored into either engine, or used directly."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import asyncpg

from bellcast.kernel.db import backup, copy_to_postgres, postgres_identity, sqlite_identity, statements
from bellcast.kernel.db.backup import Progress
from bellcast.kernel.db.copy_to_postgres import COPY_BATCH_ROWS
from bellcast.kernel.db.migrations import postgres as source_migrations
from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.sqlite_connection import connect, translated
from bellcast.kernel.errors import BellcastError, Conflict, NotFound

NON_TABLE_ENTRIES = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'bellcast' AND pid <> pg_backend_pid()
"""


async def dump(url: str, target: Path, progress: Progress) -> dict[str, int]:
    """Copy a snapshot of a store into a new file; return the number of rows by table. Servers do not wait."""
    try:
        with backup.partial(target) as part:
            async with copy_to_postgres.connected(url) as source:
                with closing(connect(part)) as copy:
                    migrations.migrate(copy)
                    counts = await _copy(source, copy, progress)
                    copy.execute("PRAGMA journal_mode = DELETE")  # a single file that can be read from read-only media
            backup.publish(part, target)
    except (sqlite3.Error, OSError) as error:
        raise backup.target_error(target, error) from error
    return counts


async def restore(file: Path, url: str, progress: Progress, *, replace: bool) -> dict[str, int]:
    """Replace a store with a backup in one transaction. Positions of earlier connections become unknown, so clients
    reload."""
    try:
        with closing(backup.open_database(file)) as copy:
            backup.verify(copy)
            if migrations.pending(copy):
                raise Conflict(
                    f"{file} was made by an older version: run `bellcast restore {file} --data FOLDER`, then "
                    "`bellcast migrate --from FOLDER`."
                )
            async with copy_to_postgres.connected(url) as target:
                if await target.fetchval(NON_TABLE_ENTRIES):
                    raise Conflict("Servers are connected to this database: stop them first.")
                renew = statements.load("postgres")["epochs_renew"]
                return await copy_to_postgres.fill(copy, target, progress, replace=replace, after=renew)
    except sqlite3.Error as error:
        raise translated(error) from error


async def renew_positions(url: str) -> None:
    """Make all positions unknown, of inboxes and of live events, for a database that was restored by other means. Servers
    may run."""
    async with copy_to_postgres.connected(url) as target:
        has_store = await source_migrations.version(target) > 0
        has_log = await target.fetchval("SELECT to_regclass('bellcast_live.logs') IS NOT NULL")
        if not has_store and not has_log:
            raise NotFound("There is no Bellcast store in this database, and no history of live events.")
        if has_store:
            await target.execute(f"SET search_path = {source_migrations.SCHEMA}")
            await postgres_identity.renew(target)
        if has_log:
            await target.execute("UPDATE bellcast_live.logs SET server = ''")  # not the identity of any database


async def _copy(source: asyncpg.Connection, copy: sqlite3.Connection, progress: Progress) -> dict[str, int]:
    await source.execute(f"SET search_path = {source_migrations.SCHEMA}")
    async with source.transaction(isolation="repeatable_read", readonly=True):
        if await source_migrations.version(source) != max(source_migrations.steps()):
            raise Conflict("This store has another version: run `bellcast migrate` of that version first.")
        tables = migrations.tables()
        counts = {table: await source.fetchval(f"SELECT count(*) FROM {table}") for table in tables}  # noqa: S608  our own tables
        copy.execute("BEGIN")
        copy.execute("DELETE FROM counters")
        done, total = 0, sum(counts.values())
        for table, columns in tables.items():
            places = ", ".join("?" * len(columns))
            insert = f"INSERT INTO {table} ({_quoted_names(columns)}) VALUES ({places})"  # noqa: S608  our own tables
            cursor = await source.cursor(f"SELECT {_quoted_names(columns)} FROM {table}")  # noqa: S608  our own tables
            while rows := await cursor.fetch(COPY_BATCH_ROWS):
                copy.executemany(insert, [tuple(row) for row in rows])
                done += len(rows)
                progress(done, total)
        # Continue recipients' numbers after the highest one ever used.
        sequence = await source.fetchval("SELECT pg_get_serial_sequence('recipients', 'id')")
        last = await source.fetchval(f"SELECT last_value FROM {sequence}")  # noqa: S608  our own sequence
        copy.execute("DELETE FROM sqlite_sequence WHERE name = 'recipients'")
        copy.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('recipients', ?)", (last,))
        for table, expected in counts.items():
            ((found,),) = copy.execute(f"SELECT count(*) FROM {table}")  # noqa: S608  our own tables
            if found != expected:
                raise BellcastError(f"{table}: expected {expected} rows, found {found}.")
        sqlite_identity.write(copy)
        copy.execute("COMMIT")
    return counts


def _quoted_names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
