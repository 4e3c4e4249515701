"""The log of live events on PostgreSQL: tables next to the store's, in the broker's database.

Every change locks the row of its tenant's log until the commit, so offsets and notifications are in commit order. Every
statement has the project and the tenant, the distribution key of all three tables."""

import asyncio
import hashlib
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import asyncpg
from asyncpg import exceptions
from asyncpg.pool import PoolConnectionProxy

from bellcast.kernel.brokers.history import EventId, ids_up_to
from bellcast.kernel.brokers.memory import ENTRY_BYTES, EPOCH_BITS, MAX_FLOORS
from bellcast.kernel.brokers.port import KEPT_PREFIX, LogRead, LogUnsupported, NewEntry, ReadKind, StoredEntry, TopicLog
from bellcast.kernel.brokers.postgres import COMMAND_TIMEOUT, CONNECT_TIMEOUT, MAX_NOTIFY_BYTES, PostgresTransport
from bellcast.kernel.db.postgres_connection import POSTGRES_ERRORS, PooledConnection
from bellcast.kernel.db.postgres_identity import identity_of
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import Stream

# Maximum connections for reads of a burst of reconnecting clients; appends share one transaction each.
MAX_CONNECTIONS = 8
# A log above the limit is cut to this share of it, so that few appends have to compute its size.
TRIM_SHARE = 0.95
# Index entries read per append to trim a stream, on average. A trim reads as many as the stream keeps, so a stream that keeps
# more is trimmed after a random share of its appends, and may hold some more than its number until then. With 64 instead of 16,
# trims took 120 µs of PostgreSQL per event.
TRIM_READS = 16
NO_LIMIT = 2**31 - 1
# "bellcast" in ASCII: processes that start together create the tables one at a time.
CREATE_LOCK = 0x62656C6C63617374

CREATE = f"""
SELECT pg_advisory_xact_lock({CREATE_LOCK});
CREATE SCHEMA IF NOT EXISTS bellcast_live;
CREATE TABLE IF NOT EXISTS bellcast_live.logs (
  project text, tenant text, server text NOT NULL, epoch bigint NOT NULL, last bigint NOT NULL, size bigint NOT NULL,
  forgotten bigint NOT NULL, PRIMARY KEY (project, tenant)
);
CREATE TABLE IF NOT EXISTS bellcast_live.events (
  project text, tenant text, stream text, number bigint, epoch bigint NOT NULL, at bigint NOT NULL,
  expires bigint NOT NULL, size integer NOT NULL, payload bytea NOT NULL,
  PRIMARY KEY (project, tenant, stream, number)
);
CREATE INDEX IF NOT EXISTS events_by_number ON bellcast_live.events (project, tenant, number);
CREATE TABLE IF NOT EXISTS bellcast_live.floors (
  project text, tenant text, stream text, number bigint NOT NULL, PRIMARY KEY (project, tenant, stream)
);
"""
EXISTS = "SELECT to_regclass('bellcast_live.floors') IS NOT NULL"
# A promoted replica, a restored backup or a copied table may lack acknowledged events, so each begins a new log.
SERVER = identity_of("bellcast_live.logs")
RAISE_FLOORS = """, raised AS (
  INSERT INTO bellcast_live.floors AS floor (project, tenant, stream, number)
  SELECT $1, $2, stream, max(number) FROM gone GROUP BY stream
  ON CONFLICT (project, tenant, stream) DO UPDATE SET number = greatest(floor.number, excluded.number)
)
UPDATE bellcast_live.logs SET size = size - (SELECT coalesce(sum(size), 0) FROM gone)
WHERE project = $1 AND tenant = $2
RETURNING size
"""


def _complete(statement: str) -> str:
    return statement.replace("{server}", SERVER).replace("{raise_floors}", RAISE_FLOORS)


LOCK = _complete("""
INSERT INTO bellcast_live.logs AS log (project, tenant, server, epoch, last, size, forgotten)
VALUES ($1, $2, {server}, $3, 0, 0, 0)
ON CONFLICT (project, tenant) DO UPDATE SET
  server = excluded.server,
  epoch = CASE WHEN log.server = excluded.server THEN log.epoch ELSE excluded.epoch END,
  last = CASE WHEN log.server = excluded.server THEN log.last ELSE 0 END,
  size = CASE WHEN log.server = excluded.server THEN log.size ELSE 0 END,
  forgotten = CASE WHEN log.server = excluded.server THEN log.forgotten ELSE 0 END
RETURNING size, epoch = $3 AS is_new
""")
CLEAR_EVENTS = "DELETE FROM bellcast_live.events WHERE project = $1 AND tenant = $2"
CLEAR_FLOORS = "DELETE FROM bellcast_live.floors WHERE project = $1 AND tenant = $2"
DELETE_LOG = "DELETE FROM bellcast_live.logs WHERE project = $1 AND tenant = $2"
# One statement, so one round trip. It returns no row if the log does not exist or belongs to another server. Each event is
# notified as `PostgresTransport.cut` does it, with its offset as the number. The arrays are selected to hide their lengths from
# the planner: otherwise it plans each execution, which takes a third of PostgreSQL's time for one event.
APPEND = _complete("""
WITH log AS (
  UPDATE bellcast_live.logs SET last = last + $3, size = size + $4
  WHERE project = $1 AND tenant = $2 AND server = {server} RETURNING epoch, last, size
), entry AS (
  SELECT log.epoch, log.last - $3 + one.ordinal AS number, one.*
  FROM log, unnest((SELECT $6::text[]), (SELECT $7::text[]), (SELECT $8::bigint[]), (SELECT $9::integer[]),
    (SELECT $10::bytea[])) WITH ORDINALITY one (stream, channel, duration, size, payload, ordinal)
), stored AS (
  INSERT INTO bellcast_live.events (project, tenant, stream, number, epoch, at, expires, size, payload)
  SELECT $1, $2, stream, number, epoch, $5, $5 + duration, size, payload FROM entry
)
SELECT epoch, last, size, (
  SELECT count(pg_notify(channel, number || ' ' || left_parts || ' ' || part)) FROM (
    SELECT channel, number, last_part - at AS left_parts, substr(text, 1 + at * {bytes}, {bytes}) AS part
    FROM entry, LATERAL (SELECT translate(encode(
      $11::bytea || convert_to(to_hex(epoch) || '.' || to_hex(number), 'UTF8') || '\\x00'::bytea || payload, 'base64'), E'\\n', '') AS text) message,
    LATERAL (SELECT (length(text) - 1) / {bytes} AS last_part) cut, generate_series(0, last_part) at
    ORDER BY number, at) notice)
FROM log
""").replace("{bytes}", str(MAX_NOTIFY_BYTES))
# Removes the events of streams ($3) beyond the number kept of each ($4). It reads a stream from its floor on, because index
# entries of deleted events stay until a vacuum. Comparing and ordering by (stream, number) permits the primary key only: for
# `stream = …`, a planner without statistics may choose `events_by_number` and read the events of all streams. The lock on the
# log keeps a `ctid` valid. The arrays are selected as in APPEND: planning took 0.9 ms, more than the execution.
TRIM = _complete("""
WITH gone AS (
  DELETE FROM bellcast_live.events WHERE ctid = ANY(ARRAY(
    SELECT held.place FROM unnest((SELECT $3::text[]), (SELECT $4::integer[])) rule (name, most)
    CROSS JOIN LATERAL (
      SELECT ctid AS place, row_number() OVER (ORDER BY stream, number) AS ordinal, count(*) OVER () AS total
      FROM bellcast_live.events
      WHERE project = $1 AND tenant = $2 AND stream <= rule.name AND (stream, number) > (rule.name, coalesce((
        SELECT floor.number FROM bellcast_live.floors floor
        WHERE floor.project = $1 AND floor.tenant = $2 AND floor.stream = rule.name), 0))) held
    WHERE held.ordinal <= held.total - rule.most))
  RETURNING stream, number, size
){raise_floors}""")
# Removes the oldest events with a total size of more than $3.
SHRINK = _complete("""
WITH gone AS (
  DELETE FROM bellcast_live.events WHERE project = $1 AND tenant = $2 AND number <= (
    SELECT number FROM (
      SELECT number, sum(size) OVER (ORDER BY number) AS total FROM bellcast_live.events
      WHERE project = $1 AND tenant = $2) oldest
    WHERE total >= $3 ORDER BY number LIMIT 1)
  RETURNING stream, number, size
){raise_floors}""")
CLEAR_STREAM = _complete("""
WITH gone AS (
  DELETE FROM bellcast_live.events WHERE project = $1 AND tenant = $2 AND stream = $3 RETURNING stream, number, size
){raise_floors}""")
# Removes the expired events of streams ($4; NULL: of all).
SWEEP = _complete("""
WITH gone AS (
  DELETE FROM bellcast_live.events WHERE project = $1 AND tenant = $2 AND expires <= $3
    AND ($4::text[] IS NULL OR stream = ANY($4)) RETURNING stream, number, size
){raise_floors}""")
TENANTS = "SELECT tenant FROM bellcast_live.logs WHERE project = $1 AND size > 0"
FORGET_FLOORS = """
WITH old AS (
  SELECT stream, number FROM bellcast_live.floors WHERE project = $1 AND tenant = $2 ORDER BY number DESC OFFSET $3
), gone AS (
  DELETE FROM bellcast_live.floors floor USING old
  WHERE floor.project = $1 AND floor.tenant = $2 AND floor.stream = old.stream
)
UPDATE bellcast_live.logs SET forgotten = greatest(forgotten, (SELECT max(number) FROM old))
WHERE project = $1 AND tenant = $2 AND EXISTS (SELECT FROM old)
"""
# One statement, so one snapshot. $3: streams, $4 and $5: epoch and number of an id, $6: limit.
_READ = _complete("""
SELECT log.epoch, log.last, stream.ordinal, state.is_complete, event.number, event.at, event.expires, event.payload
FROM bellcast_live.logs log
LEFT JOIN unnest($3::text[]) WITH ORDINALITY stream (name, ordinal) ON true
LEFT JOIN LATERAL (
  SELECT log.epoch = $4 AND $5 <= log.last AND $5 >= coalesce((
    SELECT floor.number FROM bellcast_live.floors floor
    WHERE floor.project = $1 AND floor.tenant = $2 AND floor.stream = stream.name), log.forgotten) AS is_complete
) state ON true
LEFT JOIN LATERAL (
  SELECT number, at, expires, payload FROM bellcast_live.events
  WHERE project = $1 AND tenant = $2 AND stream = stream.name AND {condition}
  ORDER BY number {order} LIMIT $6
) event ON true
WHERE log.project = $1 AND log.tenant = $2 AND log.server = {server}
""")
READ: dict[ReadKind, str] = {
    "missed": _READ.format(condition="state.is_complete AND number > $5", order="ASC"),
    "newest": _READ.format(condition="true", order="DESC"),
    "page": _READ.format(condition="(number > $5 OR NOT state.is_complete)", order="ASC"),
}


LogConnection: TypeAlias = "asyncpg.Connection[Any] | PoolConnectionProxy[Any]"


class PostgresLog(TopicLog):
    """A log in the database of a transport. It survives a restart of PostgreSQL."""

    def __init__(self, transport: PostgresTransport, project: str, limit_bytes: Callable[[], int]) -> None:
        self._transport = transport
        # A database may serve several projects, whose names need not be printable.
        self._project = hashlib.sha256(project.encode()).hexdigest()[:16]
        self._limit_bytes = limit_bytes
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()

    async def append(self, tenant: str, entries: Sequence[NewEntry], now: int) -> Sequence[EventId]:
        sizes = [len(one.payload) + len(one.stream.encode()) + ENTRY_BYTES for one in entries]
        channels = [self._transport.channel(one.stream) for one in entries]
        streams, durations = [one.stream for one in entries], [one.duration_ms for one in entries]
        columns = (streams, channels, durations, sizes, [one.payload for one in entries])
        counts = (len(entries), sum(sizes), now)
        async with self._connection() as connection:
            row = await connection.fetchrow(APPEND, self._project, tenant, *counts, *columns, KEPT_PREFIX)
        self._transport.is_full = False
        if row is None:
            async with self._locked(tenant):
                pass  # a new log
            return await self.append(tenant, entries, now)
        # The streams to trim after an append, with the number of events kept of each
        added = Counter(one.stream for one in entries if one.max_events)
        most = {one.stream: one.max_events for one in entries}
        surplus = {
            stream: most[stream]
            for stream, number in added.items()
            if random.random() * most[stream] < TRIM_READS * number
        }
        if surplus or row["size"] > self._limit_bytes():
            with suppress(Unavailable):  # the entries are appended; a later append trims
                async with self._locked(tenant) as (connection, size):
                    if surplus:
                        trimmed = (list(surplus), list(surplus.values()))
                        size = await connection.fetchval(TRIM, self._project, tenant, *trimmed)
                    if size > (limit := self._limit_bytes()):
                        await connection.execute(SHRINK, self._project, tenant, size - round(limit * TRIM_SHARE))
        return ids_up_to(EventId(row["epoch"], row["last"]), len(entries))

    async def read(
        self, kind: ReadKind, tenant: str, streams: Sequence[Stream], after: EventId | None, limit: int, now: int
    ) -> LogRead:
        start = (None, 0) if after is None else (after.epoch, after.offset)
        args = (self._project, tenant, streams, *start, NO_LIMIT if kind == "missed" else limit)
        async with self._connection() as connection:
            rows = await connection.fetch(READ[kind], *args)
        if not rows:
            async with self._locked(tenant):
                pass  # a new log
            return await self.read(kind, tenant, streams, after, limit, now)
        if any(row["expires"] is not None and row["expires"] <= now for row in rows):
            async with self._locked(tenant) as (connection, _):
                await connection.execute(SWEEP, self._project, tenant, now, streams)
            return await self.read(kind, tenant, streams, after, limit, now)
        incomplete = {row["ordinal"]: None for row in rows if row["ordinal"] is not None and not row["is_complete"]}
        entries = [StoredEntry(row["number"], row["at"], row["payload"]) for row in rows if row["number"] is not None]
        entries.sort(key=lambda entry: entry.offset)
        return LogRead(
            EventId(rows[0]["epoch"], rows[0]["last"]), entries, [streams[ordinal - 1] for ordinal in incomplete]
        )

    async def clear(self, tenant: str, stream: Stream | None, now: int) -> None:
        async with self._locked(tenant) as (connection, _):
            if stream is not None:
                await connection.execute(CLEAR_STREAM, self._project, tenant, stream)
                return
            for statement in (CLEAR_EVENTS, CLEAR_FLOORS, DELETE_LOG):
                await connection.execute(statement, self._project, tenant)

    async def sweep(self, tenant: str, now: int) -> bool:
        async with self._locked(tenant) as (connection, _):
            size: int = await connection.fetchval(SWEEP, self._project, tenant, now, None)
            await connection.execute(FORGET_FLOORS, self._project, tenant, MAX_FLOORS)
        return size > 0

    async def tenants(self) -> Collection[str]:
        async with self._connection() as connection:
            return [tenant for (tenant,) in await connection.fetch(TENANTS, self._project)]

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    @asynccontextmanager
    async def _locked(self, tenant: str) -> AsyncIterator[tuple[LogConnection, int]]:
        """Yield a transaction that has locked the tenant's log, and the log's size."""
        async with self._connection() as connection, connection.transaction():
            key = (self._project, tenant)
            row = await connection.fetchrow(LOCK, *key, secrets.randbits(EPOCH_BITS))
            if row is None:
                raise Unavailable("PostgreSQL returned no log.")
            if row["is_new"]:
                await connection.execute(CLEAR_EVENTS, *key)
                await connection.execute(CLEAR_FLOORS, *key)
            yield connection, row["size"]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[LogConnection]:
        try:
            pool = self._pool or await self._open()
            async with pool.acquire(timeout=COMMAND_TIMEOUT) as connection:
                try:
                    yield connection
                except exceptions.ReadOnlySQLTransactionError:  # another host of the URL may be the primary now
                    await pool.expire_connections()
                    self._transport.reconnect()
                    raise
        except exceptions.InsufficientPrivilegeError as failure:
            raise LogUnsupported(str(failure)) from failure
        except POSTGRES_ERRORS as failure:
            self._transport.is_full |= isinstance(failure, exceptions.DiskFullError)
            raise Unavailable.of("PostgreSQL", failure) from failure

    async def _open(self) -> "asyncpg.Pool[Any]":
        async with self._opening:
            if not self._transport.is_open:
                raise Unavailable("The connection to PostgreSQL was lost.")
            if self._pool is None:
                pool = await asyncpg.create_pool(
                    self._transport.url,
                    min_size=0,
                    max_size=MAX_CONNECTIONS,
                    timeout=CONNECT_TIMEOUT,
                    command_timeout=COMMAND_TIMEOUT,
                    init=_begin_session,
                    connection_class=PooledConnection,  # a reset would undo `_begin_session`
                    server_settings={"application_name": "bellcast"},
                )
                try:
                    async with pool.acquire() as connection:
                        if not await connection.fetchval(EXISTS):
                            await connection.execute(CREATE)
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool
            return self._pool


async def _begin_session(connection: LogConnection) -> None:
    # An acknowledged event must not be lost in a crash, because the next one would get its id.
    await connection.execute("SET synchronous_commit = on")
