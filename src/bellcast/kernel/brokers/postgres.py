"""PostgreSQL between processes, for deployments without Redis: LISTEN/NOTIFY as the transport, and the log of live events.

A process listens on a bounded number of channels instead of one per stream: streams share channels, and events of
streams that this process does not follow are skipped. A notification holds 8,000 bytes of text, so longer messages
are split into parts.

The log is in tables next to the store's, in the broker's database. Every change locks the row of its tenant's log until the
commit, so offsets and notifications are in commit order. Every statement has the project and the tenant, the distribution key of
all three tables."""

import asyncio
import base64
import hashlib
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
from asyncpg import exceptions

from bellcast.kernel.brokers import KEPT_PREFIX, LogRead, LogUnsupported, NewEntry, ReadKind, StoredEntry, TopicLog
from bellcast.kernel.brokers.history import ENTRY_BYTES, EPOCH_BITS, MAX_FLOORS, EventId, ids_up_to
from bellcast.kernel.brokers.remote import PubSubMessage
from bellcast.kernel.db import postgres_connection, statements
from bellcast.kernel.db.postgres_connection import CONNECT_TIMEOUT, POSTGRES_ERRORS, PooledConnection, Raw, identity_of
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import Stream

CHANNELS = 64
# Bytes of text per notification: PostgreSQL's limit is 8,000, less the prefix.
MAX_NOTIFY_BYTES = 7_800
COMMAND_TIMEOUT = 5.0
NOTIFY = "SELECT count(pg_notify(channel, part)) FROM unnest($1::text[], $2::text[]) notice (channel, part)"

# Fails on a standby, and where transactions are read-only.
PROBE = "DO $$ BEGIN ASSERT current_setting('transaction_read_only') = 'off', 'the database is read-only'; END $$"


class PostgresTransport:
    """A PubSubTransport on two connections: one listens, the other sends."""

    def __init__(self, url: str, project: str) -> None:
        self.url = url
        self._name = "bellcast_" + hashlib.sha256(project.encode()).hexdigest()[:16]
        self._numbers = count(1)
        self._listening: asyncpg.Connection | None = None
        self._sending: asyncpg.Connection | None = None
        self._on_message: Callable[[bytes], None] = lambda _: None
        self._channels: dict[str, set[Stream]] = {}
        self._parts: dict[int, tuple[str, list[str]]] = {}  # by sender: the message's number and its parts so far
        self._lost = asyncio.Event()
        self._fence_channel = f"{self._name}_{secrets.token_hex(8)}"
        self._fences: dict[str, asyncio.Future[None]] = {}
        self._query_lock = asyncio.Lock()  # a connection runs one query at a time
        self._send_lock = asyncio.Lock()
        self.is_full = False  # the last event could not be stored, because the disk was full

    async def connect(self, on_message: Callable[[bytes], None]) -> None:
        self._on_message = on_message
        self._channels.clear()
        self._parts.clear()
        self._lost = asyncio.Event()
        try:
            await postgres_connection.check_pooler(self.url, "BELLCAST_BROKER")
            self._listening = await self._connection()
            self._sending = await self._connection()
        except postgres_connection.POSTGRES_ERRORS as failure:
            raise Unavailable.of("PostgreSQL", failure) from failure
        self._listening.add_termination_listener(lambda _: self._lost.set())
        await self._query(self._listening.add_listener, self._fence_channel, self._on_fence)

    async def _connection(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self.url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            server_settings={"application_name": "bellcast"},
        )

    async def follow(self, streams: Sequence[Stream]) -> None:
        for stream in streams:
            channel = self.channel(stream)
            followed = self._channels.setdefault(channel, set())
            is_first = not followed
            followed.add(stream)
            if is_first:
                await self._query(self._open(self._listening).add_listener, channel, self._on_notify)

    async def unfollow(self, streams: Sequence[Stream]) -> None:
        for stream in streams:  # also streams that were unfollowed before they were subscribed
            channel = self.channel(stream)
            followed = self._channels.get(channel, set())
            followed.discard(stream)
            if not followed and self._channels.pop(channel, None) is not None:
                await self._query(self._open(self._listening).remove_listener, channel, self._on_notify)

    async def send(self, messages: Sequence[PubSubMessage]) -> None:
        """Send in one round trip and one transaction."""
        notices = [(self.channel(stream), part) for stream, data in messages for part in self.cut(data)]
        await self._notify([channel for channel, _ in notices], [part for _, part in notices])

    async def _notify(self, channels: Sequence[str], parts: Sequence[str]) -> None:
        def execute() -> Awaitable[str]:  # on the connection that is open when it is this message's turn
            return self._open(self._sending).execute(NOTIFY, channels, parts)

        await self._query(execute, lock=self._send_lock)

    def cut(self, message: bytes) -> Iterator[str]:
        """Split a message into notifications. Sequence numbers keep equal ones distinct, since PostgreSQL drops
        duplicates."""
        text = base64.b64encode(message).decode()
        number, last = next(self._numbers), (len(text) - 1) // MAX_NOTIFY_BYTES
        for at in range(last + 1):
            yield f"{number} {last - at} {text[at * MAX_NOTIFY_BYTES : (at + 1) * MAX_NOTIFY_BYTES]}"

    def _on_notify(self, _: object, sender: int, __: str, notice: object) -> None:
        """Join the parts of a message. PostgreSQL keeps the order per sender; messages of different senders may
        interleave. If the channel is unfollowed between two parts, the rest of the message does not arrive."""
        number, left, text = str(notice).split(" ", 2)
        begun, parts = self._parts.pop(sender, (number, []))
        if begun != number:
            parts = []
        parts.append(text)
        if left == "0":
            self._on_message(base64.b64decode("".join(parts)))
        else:
            self._parts[sender] = (number, parts)

    async def fence(self) -> None:
        """Return once every message before this call has been received: notifications keep the order of commits."""
        number = str(next(self._numbers))
        self._fences[number] = passed = asyncio.get_running_loop().create_future()
        try:
            await self._notify([self._fence_channel], [number])
            await asyncio.wait_for(passed, COMMAND_TIMEOUT)
        except TimeoutError:
            raise Unavailable("PostgreSQL does not respond.") from None
        finally:
            self._fences.pop(number, None)

    def _on_fence(self, _: object, __: int, ___: str, number: object) -> None:
        passed = self._fences.pop(str(number), None)
        if passed is not None and not passed.done():
            passed.set_result(None)

    async def wait_lost(self) -> None:
        """Raise when the listening connection is lost or does not respond."""
        while True:
            try:
                await asyncio.wait_for(self._lost.wait(), COMMAND_TIMEOUT)
            except TimeoutError:
                await self.ping()
            else:
                raise Unavailable("The connection to PostgreSQL was lost.")

    def reconnect(self) -> None:
        """End the connection; `wait_lost` raises."""
        self._lost.set()

    async def ping(self, *, writes: bool = False) -> None:
        """Raise unless PostgreSQL responds on the listening connection and, with `writes`, can be written."""
        await self._query(self._open(self._listening).execute, PROBE if writes else "SELECT 1")
        if writes and self.is_full:
            raise Unavailable("The disk of PostgreSQL is full: live events are not stored. Free space.")

    async def close(self) -> None:
        for passed in self._fences.values():
            if not passed.done():
                passed.set_exception(Unavailable("The connection to PostgreSQL was lost."))
        for connection in (self._listening, self._sending):
            if connection is not None:
                connection.terminate()
        self._listening = self._sending = None

    @property
    def is_open(self) -> bool:
        return self._listening is not None

    async def _query(
        self, method: Callable[..., Awaitable[object]], *args: object, lock: asyncio.Lock | None = None
    ) -> None:
        """Run a query of the listening connection, or of the one with this lock. Raises Unavailable if PostgreSQL is unreachable."""
        try:
            async with lock or self._query_lock:
                await method(*args)
        except postgres_connection.POSTGRES_ERRORS as failure:
            reason = str(failure) or type(failure).__name__
            raise Unavailable(f"The connection to PostgreSQL was lost: {reason}.") from failure

    def _open(self, connection: asyncpg.Connection | None) -> asyncpg.Connection:
        if connection is None or connection.is_closed():
            raise Unavailable("The connection to PostgreSQL was lost.")
        return connection

    def channel(self, stream: Stream) -> str:
        return f"{self._name}_{hashlib.blake2b(stream.encode(), digest_size=1).digest()[0] % CHANNELS}"


# --- log

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
    Path(__file__).with_name("postgres_log.sql"), server=identity_of("bellcast_live.logs"), bytes=str(MAX_NOTIFY_BYTES)
)


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
    async def _locked(self, tenant: str) -> AsyncIterator[tuple[Raw, int]]:
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
    async def _connection(self) -> AsyncIterator[Raw]:
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


async def _begin_session(connection: Raw) -> None:
    # An acknowledged event must not be lost in a crash, because the next one would get its id.
    await connection.execute("SET synchronous_commit = on")
