"""Poolers such as PgBouncer between Bellcast and PostgreSQL: a client needs one session for as long as it is connected."""

from typing import Any

import asyncpg

from bellcast.kernel.errors import SettingsError

CONNECT_TIMEOUT = 5.0
READ_PID = "SELECT pg_backend_pid()"


async def check(url: str, variable: str) -> None:
    """Raise SettingsError if a pooler in transaction or statement mode gives the sessions of one client to others."""
    first = await _connect(url)
    try:
        session = await _session(first)
        if session == first.get_server_pid():  # a pooler invents this number
            return
        other = await _connect(url)
        try:
            async with other.transaction():
                # An idle pooler gives the session used last; others change the session of `first`.
                if await other.fetchval(READ_PID) == session or await _session(first) != session:
                    raise SettingsError(
                        f"{variable}: the pooler in front of PostgreSQL shares sessions between transactions. PgBouncer must use"
                        " pool_mode=session for this database, because LISTEN, advisory locks, settings and prepared statements"
                        " need a session of their own; or connect to PostgreSQL directly."
                    )
        finally:
            await other.close()
    finally:
        await first.close()


async def _connect(url: str) -> "asyncpg.Connection[Any]":
    # Without prepared statements, which would fail first.
    return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT, command_timeout=CONNECT_TIMEOUT, statement_cache_size=0)


async def _session(connection: "asyncpg.Connection[Any]") -> int:
    """Return the process of PostgreSQL that serves a connection. In a transaction, which a pooler does not divide."""
    async with connection.transaction():
        return int(await connection.fetchval(READ_PID))
