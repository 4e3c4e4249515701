"""Copies of a PostgreSQL store: migrated or filled from a SQLite file before a server uses it, backed up while servers run, and
restored while no server runs.

All rows of all tables are copied in one transaction and counted on both sides. A backup is a SQLite store with a complete
snapshot: it can be restored into either engine, or used directly."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import asyncpg

from bellcast.kernel.db import backup, postgres_connection, statements
from bellcast.kernel.db.backup import Progress
from bellcast.kernel.db.migrations import postgres as postgres_migrations
from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.sqlite_connection import connect, translated, write_identity
from bellcast.kernel.errors import BellcastError, Conflict, NotFound

COPY_BATCH_ROWS = 5_000  # a step: about 100 ms; then `progress` is called
# PostgreSQL texts cannot contain NUL; it is replaced.
NUL, INSTEAD = "\x00", "\N{REPLACEMENT CHARACTER}"
# The highest numbers of recipients, also of deleted ones.
RECIPIENT_NUMBERS = """
SELECT max(seq) FROM sqlite_sequence WHERE name = 'recipients' AND typeof(seq) = 'integer'
UNION SELECT max(id) FROM recipients
"""
CONNECTED_SERVERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'bellcast' AND pid <> pg_backend_pid()
"""


async def version(url: str) -> tuple[int, int]:
    """Return the schema version of the store and of this Bellcast. Raises Conflict if the store is newer."""
    async with _connected(url) as target:
        await postgres_migrations.pending(target)
        return await postgres_migrations.version(target), max(postgres_migrations.steps())


async def bring_up_to_date(url: str) -> tuple[int, int]:
    """Run pending migrations; return the versions before and after."""
    async with _connected(url) as target:
        before = await postgres_migrations.version(target)
        if await postgres_migrations.pending(target):
            await postgres_migrations.migrate(target)
        return before, max(postgres_migrations.steps())


async def transfer(file: Path, url: str, progress: Progress) -> dict[str, int]:
    """Copy a store into an empty database while no server is running; return the number of rows by table.

    Positions stay valid: clients resume on the new store."""
    backup.open_database(file).close()  # the file must exist
    with backup.stopped(file), closing(connect(file)) as source:
        source.text_factory = backup.readable
        migrations.check_schema(source)
        if migrations.pending(source):
            migrations.migrate(source)
        async with _connected(url) as target:
            return await _fill(source, target, progress, replace=False)


async def _fill(
    source: sqlite3.Connection,
    target: asyncpg.Connection,
    progress: Progress,
    *,
    replace: bool,
    after: str | None = None,
) -> dict[str, int]:
    """Copy a file's rows into a database, all or none; `replace` deletes existing rows, `after` is a last statement."""
    await postgres_migrations.migrate(target)
    await target.execute(f"SET search_path = {postgres_migrations.SCHEMA}")
    async with target.transaction():
        if replace:
            await target.execute(f"TRUNCATE {', '.join(migrations.tables())}")
        source.execute("BEGIN")  # one snapshot of all tables
        counts: dict[str, int] = {}
        await target.execute("DELETE FROM counters WHERE value = 0")  # the migration created them
        for table in migrations.tables():
            ((counts[table],),) = source.execute(f"SELECT count(*) FROM {table}")  # noqa: S608  our own tables
            if await target.fetchval(f"SELECT EXISTS (SELECT 1 FROM {table})"):  # noqa: S608  our own tables
                advice = "name an empty one with --store; `bellcast restore --force` replaces the rows of one"
                raise Conflict(f"The database already contains rows (in {table}): {advice}.")
        done, total = 0, sum(counts.values())
        for table, columns in migrations.tables().items():
            cursor = source.execute(f"SELECT {_quoted_names(columns)} FROM {table}")  # noqa: S608  our own tables
            while rows := cursor.fetchmany(COPY_BATCH_ROWS):
                records = [
                    tuple([one.replace(NUL, INSTEAD) if isinstance(one, str) and NUL in one else one for one in row])
                    for row in rows
                ]
                await target.copy_records_to_table(table, records=records, columns=columns)
                done += len(rows)
                progress(done, total)
        # Continue after the highest number ever used.
        last = max(1, *(number or 0 for (number,) in source.execute(RECIPIENT_NUMBERS)))
        await target.execute("SELECT setval(pg_get_serial_sequence('recipients', 'id'), $1)", last)
        for table, expected in counts.items():
            found = await target.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  our own tables
            if found != expected:
                raise BellcastError(f"{table}: expected {expected} rows, found {found}. Nothing was changed.")
        if after is not None:
            await target.execute(after)
        return counts


async def dump(url: str, target: Path, progress: Progress) -> dict[str, int]:
    """Copy a snapshot of a store into a new file; return the number of rows by table. Servers do not wait."""
    try:
        with backup.partial(target) as part:
            async with _connected(url) as source:
                with closing(connect(part)) as copy:
                    migrations.migrate(copy)
                    counts = await _dump_tables(source, copy, progress)
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
            backup.verify_backup(file, copy)
            if migrations.pending(copy):
                raise Conflict(
                    f"{file} was made by an older version: run `bellcast restore {file} --data FOLDER`, then "
                    "`bellcast migrate --from FOLDER`."
                )
            async with _connected(url) as target:
                if await target.fetchval(CONNECTED_SERVERS):
                    raise Conflict("Servers are connected to this database: stop them first.")
                renew = statements.load("postgres")["epochs_renew"]
                return await _fill(copy, target, progress, replace=replace, after=renew)
    except sqlite3.Error as error:
        raise translated(error) from error


async def renew_positions(url: str) -> None:
    """Make all positions unknown, of inboxes and of live events, for a database that was restored by other means. Servers
    may run."""
    async with _connected(url) as target:
        has_store = await postgres_migrations.version(target) > 0
        has_log = await target.fetchval("SELECT to_regclass('bellcast_live.logs') IS NOT NULL")
        if not has_store and not has_log:
            raise NotFound("There is no Bellcast store in this database, and no history of live events.")
        if has_store:
            await target.execute(f"SET search_path = {postgres_migrations.SCHEMA}")
            await postgres_connection.renew_epochs(target)
        if has_log:
            await target.execute("UPDATE bellcast_live.logs SET server = ''")  # not the identity of any database


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
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


async def _dump_tables(source: asyncpg.Connection, copy: sqlite3.Connection, progress: Progress) -> dict[str, int]:
    await source.execute(f"SET search_path = {postgres_migrations.SCHEMA}")
    async with source.transaction(isolation="repeatable_read", readonly=True):
        if await postgres_migrations.version(source) != max(postgres_migrations.steps()):
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
        write_identity(copy)
        copy.execute("COMMIT")
    return counts


def _quoted_names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
