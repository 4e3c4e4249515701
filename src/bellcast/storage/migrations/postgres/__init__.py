"""Migrations for PostgreSQL. The table `schema_version` of the schema `bellcast` holds the version of a store.

During a rolling update servers of two versions share one store. So migrations add tables, indexes, and columns that are
nullable or have a default. A migration that removes something names the first version that works without it, in a separate
line: `-- not before: 7`. The highest of these is stored with the version; a server of at least that version runs on a
newer store.
"""

import re
from importlib import resources

import asyncpg

from bellcast.errors import Conflict

SCHEMA = "bellcast"
# Advisory lock of the migrating process ("Bell").
LOCK = 0x42656C6C
NOT_BEFORE = re.compile(r"^-- not before: (\d+)$", re.MULTILINE)


def steps() -> list[str]:
    """Load all migrations, oldest first; the n-th leads to version n."""
    files = resources.files(__name__).iterdir()
    return [
        file.read_text(encoding="utf-8")
        for file in sorted(files, key=lambda file: file.name)
        if file.name.endswith(".sql")
    ]


async def version(connection: asyncpg.Connection) -> int:
    """Return the version of a store; 0 for an empty database."""
    if await connection.fetchval("SELECT to_regclass($1)", f"{SCHEMA}.schema_version") is None:
        return 0
    return int(await connection.fetchval(f"SELECT version FROM {SCHEMA}.schema_version"))  # noqa: S608  a constant


async def oldest(connection: asyncpg.Connection) -> int:
    """Return the oldest schema version of a server that can use the store."""
    query = "SELECT to_jsonb(schema_version) ->> 'oldest' FROM bellcast.schema_version"  # a column that may be missing
    return int(await connection.fetchval(query) or 0)


async def pending(connection: asyncpg.Connection) -> bool:
    """Return whether migrations are pending. Raises Conflict if the store is newer than this version of Bellcast."""
    found, known = await version(connection), len(steps())
    if found > known and (await oldest(connection) or found) > known:
        raise Conflict(
            f"This store was written by a newer Bellcast (schema version {found}; this one supports {known}):"
            " run that version, or restore a backup made by this one."
        )
    return found < known


async def migrate(connection: asyncpg.Connection) -> None:
    """Run pending migrations in one transaction, one process at a time."""
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        await connection.execute(f"SET LOCAL search_path = {SCHEMA}")
        done = await version(connection)
        if done > len(steps()):
            return
        for step in steps()[done:]:
            await connection.execute(step)
        await _save_version(connection, done)


async def _save_version(connection: asyncpg.Connection, done: int) -> None:
    if done == 0:
        await connection.execute("CREATE TABLE schema_version (version BIGINT NOT NULL)")
        await connection.execute("INSERT INTO schema_version VALUES (0)")
    await connection.execute("ALTER TABLE schema_version ADD COLUMN IF NOT EXISTS oldest BIGINT NOT NULL DEFAULT 1")
    needed = [int(number) for step in steps() for number in NOT_BEFORE.findall(step)]
    await connection.execute(
        "UPDATE schema_version SET version = $1, oldest = $2", len(steps()), max(needed, default=1)
    )
