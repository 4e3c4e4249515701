"""What waits in the outbox, what was refused and why; a refused row is put back or thrown away by hand."""

from datetime import datetime

import asyncpg
from msgspec import Struct

from bellcast.errors import NotFound
from bellcast.outbox import schema, table_watch
from bellcast.outbox.table_watch import Watch

# Refused rows that are shown; a mistake in the app makes thousands that are alike.
SHOWN = 20
STALE_ROWS = """
SELECT count(*) FILTER (WHERE due_at <= now()),
  extract(epoch FROM now() - min(greatest(written_at, due_at)) FILTER (WHERE due_at <= now()))::float8,
  count(*) FILTER (WHERE due_at > now())
FROM bellcast.outbox
"""


class RefusedRow(Struct, frozen=True):
    """A row that was refused."""

    id: int
    kind: str
    payload: str
    written_at: datetime
    error: str


class Backlog(Struct, frozen=True):
    """How full an outbox is. `oldest` is how long the first of those waiting has waited, in seconds; `later` are put off by
    their tenant's rate or budget."""

    waiting: int
    oldest: float | None
    later: int
    refused: int


class Status(Struct, frozen=True):
    """How an outbox is; numbers as in `Level`."""

    version: int
    waiting: int
    oldest: float | None
    later: int
    refused: int
    refusals: list[RefusedRow]
    watched: dict[str, Watch]


async def backlog(connection: asyncpg.Connection) -> Backlog:
    """How full it is now."""
    ((waiting, oldest, later),) = await connection.fetch(STALE_ROWS)
    refused = await connection.fetchval("SELECT count(*) FROM bellcast.refused")
    return Backlog(waiting, oldest, later, refused)


async def read_status(connection: asyncpg.Connection) -> Status:
    """How it is now."""
    await schema.check_installed(connection)
    full = await backlog(connection)
    rows = await connection.fetch(
        "SELECT id, kind, payload::text, written_at, error FROM bellcast.refused ORDER BY id DESC LIMIT $1", SHOWN
    )
    return Status(
        version=await schema.version(connection),
        waiting=full.waiting,
        oldest=full.oldest,
        later=full.later,
        refused=full.refused,
        refusals=[RefusedRow(*row) for row in rows],
        watched=await table_watch.every(connection),
    )


async def retry(connection: asyncpg.Connection, id: int | None) -> int:
    """Put refused rows back under their keys, all or one; how many. They go behind what waits."""
    return await _moved(
        connection,
        "WITH gone AS (DELETE FROM bellcast.refused WHERE id = $1 OR $1 IS NULL RETURNING *), back AS ("
        " INSERT INTO bellcast.outbox (key, kind, payload, written_at)"
        " SELECT key, kind, payload, written_at FROM gone ORDER BY id RETURNING 1"
        ") SELECT count(*) FROM back",
        id,
    )


async def discard(connection: asyncpg.Connection, id: int | None) -> int:
    """Throw refused rows away, all or one; how many."""
    return await _moved(
        connection,
        "WITH gone AS (DELETE FROM bellcast.refused WHERE id = $1 OR $1 IS NULL RETURNING 1) SELECT count(*) FROM gone",
        id,
    )


async def _moved(connection: asyncpg.Connection, statement: str, id: int | None) -> int:
    await schema.check_installed(connection)
    count = int(await connection.fetchval(statement, id))
    if id is not None and count == 0:
        raise NotFound(f"No row {id} was refused.")
    return count
