"""Backlog and refused rows of the outbox. Operators retry or discard refused rows."""

from datetime import datetime

import asyncpg
import msgspec
from msgspec import Struct

from bellcast.kernel.errors import NotFound
from bellcast.outbox import schema, table_watch
from bellcast.outbox.table_watch import TableWatch

# Maximum of refused rows shown: one bug in the app may cause thousands of similar rows.
MAX_REFUSALS = 20
BACKLOG = """
SELECT count(*) FILTER (WHERE due_at <= now()),
  extract(epoch FROM now() - min(greatest(written_at, due_at)) FILTER (WHERE due_at <= now()))::float8,
  count(*) FILTER (WHERE due_at > now())
FROM bellcast.outbox
"""


class RefusedRow(Struct, frozen=True):
    """A refused row and the reason."""

    id: int
    kind: str
    payload: str
    written_at: datetime
    error: str


class Backlog(Struct, frozen=True):
    """Counts of an outbox. `oldest` is the age of the oldest pending row in seconds; `later` are postponed by their
    tenant's rate or budget."""

    waiting: int
    oldest: float | None
    later: int
    refused: int


class Status(Backlog, frozen=True, kw_only=True):
    """Version, backlog, refused rows and watched tables of an outbox."""

    version: int
    refusals: list[RefusedRow]
    watched: dict[str, TableWatch]


async def backlog(connection: asyncpg.Connection) -> Backlog:
    """Count the rows, in about 100 ms with a million of them."""
    ((waiting, oldest, later),) = await connection.fetch(BACKLOG)
    refused = await connection.fetchval("SELECT count(*) FROM bellcast.refused")
    return Backlog(waiting, oldest, later, refused)


async def read_status(connection: asyncpg.Connection) -> Status:
    """Raises NotFound without an installed outbox."""
    await schema.check_installed(connection)
    counts = await backlog(connection)
    rows = await connection.fetch(
        "SELECT id, kind, payload::text, written_at, error FROM bellcast.refused ORDER BY id DESC LIMIT $1",
        MAX_REFUSALS,
    )
    return Status(
        **msgspec.structs.asdict(counts),
        version=await schema.version(connection),
        refusals=[RefusedRow(*row) for row in rows],
        watched=await table_watch.find_all(connection),
    )


async def retry(connection: asyncpg.Connection, id: int | None) -> int:
    """Put one or all refused rows back at the end of the outbox with their keys, and return their number."""
    return await _count_moved(
        connection,
        "WITH deleted AS (DELETE FROM bellcast.refused WHERE id = $1 OR $1 IS NULL RETURNING *), restored AS ("
        " INSERT INTO bellcast.outbox (key, kind, payload, written_at)"
        " SELECT key, kind, payload, written_at FROM deleted ORDER BY id RETURNING 1"
        ") SELECT count(*) FROM restored",
        id,
    )


async def discard(connection: asyncpg.Connection, id: int | None) -> int:
    """Delete one or all refused rows and return their number."""
    return await _count_moved(
        connection,
        "WITH deleted AS (DELETE FROM bellcast.refused WHERE id = $1 OR $1 IS NULL RETURNING 1)"
        " SELECT count(*) FROM deleted",
        id,
    )


async def _count_moved(connection: asyncpg.Connection, statement: str, id: int | None) -> int:
    await schema.check_installed(connection)
    count = int(await connection.fetchval(statement, id))
    if id is not None and count == 0:
        raise NotFound(f"There is no refused row {id}.")
    return count
