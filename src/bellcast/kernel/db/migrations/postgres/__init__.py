"""Migrations for PostgreSQL. The table `schema_version` of the schema `bellcast` holds the version of a store, and in
`started` the step whose transaction was committed, before its indexes are built.

During a rolling update servers of two versions share one store. So migrations add tables, indexes, and columns that are
nullable or have a default. A migration that removes something names the first version that works without it, in a separate
line: `-- not before: 7`. The highest of these is stored with the version; a server of at least that version runs on a
newer store.
"""

import asyncio
import re
from functools import partial
from pathlib import Path

import asyncpg
import structlog

from bellcast.kernel.db.engine import StoreMigration, StoreSchema
from bellcast.kernel.db.migrations import begin_step, check_version, load

log = structlog.get_logger(__name__)

SCHEMA = "bellcast"
# Advisory lock of the migrating process ("Bell").
LOCK = 0x42656C6C
LOCK_POLL_SECONDS = 0.2
# Longest that servers wait behind a migration that waits for a dump, and the pauses in between.
LOCK_TIMEOUT = "500ms"
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 10.0
# PostgreSQL notices only at the end of a statement that its client was killed, and keeps its locks until then. Not on Windows.
DETECT_LOST_CLIENT = """
DO $$ BEGIN PERFORM set_config('client_connection_check_interval', '1s', false);
EXCEPTION WHEN invalid_parameter_value THEN NULL; END $$;
"""
# An index of a large table takes minutes, and waits for all earlier transactions, whatever limits the role or the database has. The
# lock of a machine that has disappeared ends with its connection.
SESSION = f"""
SET statement_timeout = 0; SET lock_timeout = 0; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3; {DETECT_LOST_CLIENT}
"""
COLUMNS = """
ALTER TABLE schema_version ADD COLUMN IF NOT EXISTS oldest BIGINT NOT NULL DEFAULT 1;
ALTER TABLE schema_version ADD COLUMN IF NOT EXISTS started BIGINT NOT NULL DEFAULT 0;
"""
NEW_TABLE = re.compile(r"^CREATE TABLE (\w+)", re.MULTILINE)
# A unique index is built in the transaction of its step: the step may have removed rows that it refuses.
INDEX = re.compile(r"^CREATE INDEX (?P<name>\w+) ON (?P<table>\w+)[^;]*;", re.MULTILINE)
NOT_BEFORE = re.compile(r"^-- not before: (\d+)$", re.MULTILINE)
steps = partial(load, Path(__file__).parent)


async def version(connection: asyncpg.Connection) -> int:
    """Return the version of a store; 0 for an empty database."""
    if await connection.fetchval("SELECT to_regclass($1)", f"{SCHEMA}.schema_version") is None:
        return 0
    return int(await connection.fetchval(f"SELECT version FROM {SCHEMA}.schema_version"))  # noqa: S608  a constant


async def pending(connection: asyncpg.Connection) -> bool:
    """Return whether migrations are pending. Raises Conflict if the store is newer than this version of Bellcast can use,
    or too old for it."""
    found, known = await version(connection), steps()
    newest = max(known)
    if found <= newest or await connection.fetchval("SELECT oldest FROM bellcast.schema_version") > newest:
        check_version(found, known)
    return found < newest


async def migrate(connection: asyncpg.Connection, schema: StoreSchema | None = None) -> None:
    """Run pending migrations, one process at a time; others wait. An interrupted migration continues at its step."""
    schema = schema or StoreSchema(max(steps()))
    await connection.execute(SESSION)
    # Polls, because building an index waits for every transaction that began before it, and so for a waiting process.
    while True:
        if found := await version(connection):
            schema.migration = StoreMigration(found, schema.version, found + 1)
        if await connection.fetchval(f"SELECT pg_try_advisory_lock({LOCK})"):
            break
        await asyncio.sleep(LOCK_POLL_SECONDS)
    try:
        done = await version(connection)
        if done == 0:
            async with connection.transaction():
                await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
                await connection.execute(f"SET LOCAL search_path = {SCHEMA}")
                await connection.execute(
                    "CREATE TABLE schema_version (version BIGINT NOT NULL, oldest BIGINT NOT NULL, started BIGINT NOT NULL)"
                )
                await connection.execute(
                    "INSERT INTO schema_version VALUES ($1, $2, $1)", max(steps()), _oldest(max(steps()))
                )
                for step in steps().values():
                    await connection.execute(step)
        elif done < schema.version:
            await connection.execute(f"SET search_path = {SCHEMA}")
            await _execute_between_reads(connection, COLUMNS)
            for number, step in steps().items():
                if number > done:
                    begin_step(schema, done, number)
                    await _run(connection, number, step)
    finally:
        schema.migration = None
        await connection.execute(f"SELECT pg_advisory_unlock({LOCK})")


def _oldest(number: int) -> int:
    """Return the oldest version that can use a store of that version."""
    texts = [step for version, step in steps().items() if version <= number]
    return max((int(needed) for text in texts for needed in NOT_BEFORE.findall(text)), default=1)


async def _run(connection: asyncpg.Connection, number: int, step: str) -> None:
    """Run one step: its transaction, then the indexes of existing tables, which servers of older versions write to."""
    created = NEW_TABLE.findall(step)
    indexes = [found for found in INDEX.finditer(step) if found["table"] not in created]
    rest = step
    for index in indexes:
        rest = rest.replace(index[0], "")
    if await connection.fetchval("SELECT started FROM schema_version") < number:
        mark = f"UPDATE schema_version SET started = {number}, oldest = {_oldest(number)};\n"  # noqa: S608  both values are integers of this module
        await _execute_between_reads(connection, mark + rest)
    for index in indexes:
        # While others write, unless it exists. An interrupted build leaves an invalid one.
        name = index["name"]
        valid = await connection.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", name)
        if valid is False:
            await connection.execute(f"DROP INDEX CONCURRENTLY {name}")
        if not valid:
            await connection.execute(index[0].replace("CREATE INDEX", "CREATE INDEX CONCURRENTLY", 1))
    await connection.execute("UPDATE schema_version SET version = $1", number)


async def _execute_between_reads(connection: asyncpg.Connection, statements: str) -> None:
    """Execute statements in one transaction that waits at most LOCK_TIMEOUT for each lock: every other statement on the
    table waits behind it. A dump that reads all tables delays the migration, not the servers."""
    pause = MIN_PAUSE_SECONDS
    while True:
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                await connection.execute(statements)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            log.info("migration_waits", reason="a dump or another transaction reads the tables", seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)
        else:
            return
