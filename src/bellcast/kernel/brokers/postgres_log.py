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
from bellcast.kernel.db import statements
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
# A promoted replica, a restored backup or a copied table may lack acknowledged events, so each begins a new log.
SQL = statements.of_file(
    __package__, "postgres_log.sql", server=identity_of("bellcast_live.logs"), bytes=str(MAX_NOTIFY_BYTES)
)


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
            row = await connection.fetchrow(SQL["append"], self._project, tenant, *counts, *columns, KEPT_PREFIX)
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
                        size = await connection.fetchval(SQL["trim"], self._project, tenant, *trimmed)
                    if size > (limit := self._limit_bytes()):
                        await connection.execute(SQL["shrink"], self._project, tenant, size - round(limit * TRIM_SHARE))
        return ids_up_to(EventId(row["epoch"], row["last"]), len(entries))

    async def read(
        self, kind: ReadKind, tenant: str, streams: Sequence[Stream], after: EventId | None, limit: int, now: int
    ) -> LogRead:
        start = (None, 0) if after is None else (after.epoch, after.offset)
        args = (self._project, tenant, streams, *start, NO_LIMIT if kind == "missed" else limit)
        async with self._connection() as connection:
            rows = await connection.fetch(SQL[f"read_{kind}"], *args)
        if not rows:
            async with self._locked(tenant):
                pass  # a new log
            return await self.read(kind, tenant, streams, after, limit, now)
        if any(row["expires"] is not None and row["expires"] <= now for row in rows):
            async with self._locked(tenant) as (connection, _):
                await connection.execute(SQL["sweep"], self._project, tenant, now, streams)
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
                await connection.execute(SQL["clear_stream"], self._project, tenant, stream)
                return
            for statement in (SQL["clear_events"], SQL["clear_floors"], SQL["delete_log"]):
                await connection.execute(statement, self._project, tenant)

    async def sweep(self, tenant: str, now: int) -> bool:
        async with self._locked(tenant) as (connection, _):
            size: int = await connection.fetchval(SQL["sweep"], self._project, tenant, now, None)
            await connection.execute(SQL["forget_floors"], self._project, tenant, MAX_FLOORS)
        return size > 0

    async def tenants(self) -> Collection[str]:
        async with self._connection() as connection:
            return [tenant for (tenant,) in await connection.fetch(SQL["tenants"], self._project)]

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    @asynccontextmanager
    async def _locked(self, tenant: str) -> AsyncIterator[tuple[LogConnection, int]]:
        """Yield a transaction that has locked the tenant's log, and the log's size."""
        async with self._connection() as connection, connection.transaction():
            key = (self._project, tenant)
            row = await connection.fetchrow(SQL["lock"], *key, secrets.randbits(EPOCH_BITS))
            if row is None:
                raise Unavailable("PostgreSQL returned no log.")
            if row["is_new"]:
                await connection.execute(SQL["clear_events"], *key)
                await connection.execute(SQL["clear_floors"], *key)
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
                        if not await connection.fetchval(SQL["exists"]):
                            await connection.execute(SQL["create"])
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool
            return self._pool


async def _begin_session(connection: LogConnection) -> None:
    # An acknowledged event must not be lost in a crash, because the next one would get its id.
    await connection.execute("SET synchronous_commit = on")
