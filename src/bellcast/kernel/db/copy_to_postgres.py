"""Prepare a PostgreSQL store before a server uses it: migrate it, or fill it from a SQLite file.

All rows of all tables are copied in one transaction and counted on both sides."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import asyncpg

from bellcast.kernel.db import backup, postgres_connection
from bellcast.kernel.db.backup import Progress
from bellcast.kernel.db.migrations import postgres as target_migrations
from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.sqlite_connection import connect
from bellcast.kernel.errors import BellcastError, Conflict

COPY_BATCH_ROWS = 5_000  # a step: about 100 ms; then `progress` is called
# PostgreSQL texts cannot contain NUL; it is replaced.
NUL, INSTEAD = "\x00", "\N{REPLACEMENT CHARACTER}"


async def version(url: str) -> tuple[int, int]:
    """Return the schema version of the store and of this Bellcast. Raises Conflict if the store is newer."""
    async with connected(url) as target:
        await target_migrations.pending(target)
        return await target_migrations.version(target), max(target_migrations.steps())


async def bring_up_to_date(url: str) -> tuple[int, int]:
    """Run pending migrations; return the versions before and after."""
    async with connected(url) as target:
        before = await target_migrations.version(target)
        if await target_migrations.pending(target):
            await target_migrations.migrate(target)
        return before, max(target_migrations.steps())


async def transfer(file: Path, url: str, progress: Progress) -> dict[str, int]:
    """Copy a store into an empty database while no server is running; return the number of rows by table.

    Positions stay valid: clients resume on the new store."""
    backup.open_database(file).close()  # the file must exist
    with backup.stopped(file), closing(connect(file)) as source:
        source.text_factory = backup.readable
        migrations.check_schema(source)
        if migrations.pending(source):
            migrations.migrate(source)
        async with connected(url) as target:
            return await fill(source, target, progress, replace=False)


async def fill(
    source: sqlite3.Connection,
    target: asyncpg.Connection,
    progress: Progress,
    *,
    replace: bool,
    after: str | None = None,
) -> dict[str, int]:
    """Copy a file's rows into a database, all or none; `replace` deletes existing rows, `after` is a last statement."""
    await target_migrations.migrate(target)
    await target.execute(f"SET search_path = {target_migrations.SCHEMA}")
    async with target.transaction():
        if replace:
            await target.execute(f"TRUNCATE {', '.join(migrations.tables())}")
        counts = await _copy(source, target, progress)
        if after is not None:
            await target.execute(after)
        return counts


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect; errors are raised as BellcastErrors."""
    target: asyncpg.Connection | None = None
    try:
        await postgres_connection.check_pooler(url, "BELLCAST_STORE")
        target = await asyncpg.connect(
            url, timeout=postgres_connection.CONNECT_TIMEOUT, server_settings={"application_name": "bellcast"}
        )
        yield target
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise postgres_connection.translated(error) from error
    finally:
        if target is not None:
            await target.close()


async def _copy(source: sqlite3.Connection, target: asyncpg.Connection, progress: Progress) -> dict[str, int]:
    source.execute("BEGIN")  # one snapshot of all tables
    counts: dict[str, int] = {}
    await target.execute("DELETE FROM counters WHERE value = 0")  # the migration created them
    for table in migrations.tables():
        ((counts[table],),) = source.execute(f"SELECT count(*) FROM {table}")  # noqa: S608  our own tables
        if await target.fetchval(f"SELECT EXISTS (SELECT 1 FROM {table})"):  # noqa: S608  our own tables
            raise Conflict(f"The database already contains rows (in {table}): use an empty database.")
    done, total = 0, sum(counts.values())
    for table, columns in migrations.tables().items():
        named = ", ".join(f'"{column}"' for column in columns)
        cursor = source.execute(f"SELECT {named} FROM {table}")  # noqa: S608  our own tables
        while rows := cursor.fetchmany(COPY_BATCH_ROWS):
            records = [
                tuple([one.replace(NUL, INSTEAD) if isinstance(one, str) and NUL in one else one for one in row])
                for row in rows
            ]
            await target.copy_records_to_table(table, records=records, columns=columns)
            done += len(rows)
            progress(done, total)
    # Continue after the highest number ever used.
    numbers = """
    SELECT max(seq) FROM sqlite_sequence WHERE name = 'recipients' AND typeof(seq) = 'integer'
    UNION SELECT max(id) FROM recipients
    """
    last = max(1, *(number or 0 for (number,) in source.execute(numbers)))
    await target.execute("SELECT setval(pg_get_serial_sequence('recipients', 'id'), $1)", last)
    for table, expected in counts.items():
        found = await target.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  our own tables
        if found != expected:
            raise BellcastError(f"{table}: expected {expected} rows, found {found}. Nothing was changed.")
    return counts
