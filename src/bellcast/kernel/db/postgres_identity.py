"""Detects that a PostgreSQL database may have lost rows: a loaded dump, a recovery to a point in time, a promoted standby.

Each connection compares the database's identity with the stored one before its first use, so a failover under a running
server is detected too. A restored disk snapshot keeps the identity."""

import functools

import asyncpg
import structlog

from bellcast.kernel.db import statements
from bellcast.kernel.db.migrations.postgres import DETECT_LOST_CLIENT
from bellcast.kernel.db.postgres_connection import Raw


def identity_of(table: str) -> str:
    """Return the SQL expression: the server's system identifier, its timeline, and the numbers of a table and the database.

    A dump that is loaded elsewhere has another system identifier or table, a promoted standby or a recovery to a point in
    time has another timeline, and a copy by CREATE DATABASE … TEMPLATE is another database with the same tables."""
    return f"""(SELECT system_identifier || '.' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '.'
  || '{table}'::regclass::oid || '.' || oid FROM pg_control_system(), pg_database
  WHERE datname = current_database())"""  # noqa: S608  the name is a constant of the caller


# "Bell", and 1: the migrations have the lock "Bell".
LOCK = 0x42656C6C01
# Seconds: new epochs for ten million inboxes take some minutes.
RENEWAL_TIMEOUT = 3600.0
READ = f"""
SELECT {identity_of("bellcast.recipients")} AS current, (SELECT identity FROM bellcast.schema_version) AS stored
"""  # noqa: S608  made of constants of this package only
WRITE = "UPDATE bellcast.schema_version SET identity = $1"

log = structlog.get_logger(__name__)


async def check(connection: Raw) -> None:
    """Renew the epochs, so that all positions become unknown, if this is another database than the one that wrote the
    identity. One connection does it, and others wait."""
    try:
        ((current, stored),) = await connection.fetch(READ)
    except asyncpg.InsufficientPrivilegeError as error:
        _warn_once(str(error))
        return
    if current == stored:
        return
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; {DETECT_LOST_CLIENT}")
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})", timeout=RENEWAL_TIMEOUT)
        ((current, stored),) = await connection.fetch(READ)
        if current == stored:
            return
        if stored is not None:
            log.warning("store_replaced", effect="live clients fetch their inboxes again")
            await renew(connection)
        await connection.execute(WRITE, current)


@functools.cache
def _warn_once(reason: str) -> None:
    log.warning("store_identity_unknown", reason=reason, fix="run `bellcast restore --positions` after each restore")


async def renew(connection: Raw) -> None:
    """Give every inbox a new epoch."""
    await connection.execute(statements.load("postgres")["epochs_renew"], timeout=RENEWAL_TIMEOUT)
