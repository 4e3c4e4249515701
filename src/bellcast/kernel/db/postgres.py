"""PostgreSQL engine: reads use any of a few connections, and are batched if many run at the same time
(`CallBatcher`). Writes run in batches (`commit.postgres_writer`)."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast
from urllib.parse import urlsplit

import asyncpg
import structlog

from bellcast.kernel.clock import Clock
from bellcast.kernel.concurrency import CallBatcher
from bellcast.kernel.db import postgres_connection
from bellcast.kernel.db.engine import Engine, P, T
from bellcast.kernel.db.migrations import postgres as migrations
from bellcast.kernel.db.postgres_connection import (
    COMMAND_TIMEOUT,
    CONNECT_TIMEOUT,
    WRITE_PAGES,
    PooledConnection,
    PostgresConnection,
    begin_session,
    texts,
    translated,
)
from bellcast.kernel.db.postgres_writer import PostgresWriter
from bellcast.kernel.db.script import Params, Row, Script
from bellcast.kernel.errors import DiskFull, SettingsError, Unavailable

log = structlog.get_logger(__name__)

MIN_VERSION = 15
# What is queued at the end takes milliseconds: requests have ended before.
CLOSE_SECONDS = 2.0
# Three of them write. A process with a busy event loop cannot use more.
CONNECTIONS = 10
# PostgreSQL has a process of about 10 MB for each.
IDLE_SECONDS = 60.0
# Lifetime of cached plans. A plan is made for the current table sizes; one made for an empty database must be replaced
# soon after the tables grow. 60 statements in 60 s on each connection cost nothing.
PLAN_CACHE_SECONDS = 60
# Maximum reads per batch. Each is an index lookup of about 20 µs: the last of a batch waits 2 ms for the others.
MAX_BATCH_READS = 100


class PostgresEngine(Engine):
    """An Engine on one database; any number of processes share it."""

    def __init__(self, url: str, clock: Clock, connections: int = CONNECTIONS) -> None:
        super().__init__(max(migrations.steps()))
        self._url = url
        self._connections = connections
        self._clock = clock
        self._pool: asyncpg.Pool | None = None
        self._reads: CallBatcher[Params, list[Row]]  # by statement

    async def open(self) -> None:
        """Migrate unless another process does, and connect."""
        try:
            await postgres_connection.check_pooler(self._url, "BELLCAST_STORE")
            first = await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT)
            try:
                if first.get_server_version().major < MIN_VERSION:
                    raise SettingsError(f"BELLCAST_STORE: PostgreSQL {MIN_VERSION} or newer is needed.")
                if await migrations.pending(first):
                    await migrations.migrate(first, self.schema)
            finally:
                await first.close()
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=self._connections,
                max_inactive_connection_lifetime=IDLE_SECONDS,
                connection_class=PooledConnection,
                statement_cache_size=512,
                max_cached_statement_lifetime=PLAN_CACHE_SECONDS,
                command_timeout=COMMAND_TIMEOUT,
                timeout=CONNECT_TIMEOUT,
                init=begin_session,
            )
        except Exception as error:
            failure = translated(error)
            if isinstance(failure, Unavailable):
                where = urlsplit(self._url).netloc.rpartition("@")[2] or "the default address"
                failure = Unavailable(f"BELLCAST_STORE at {where}: {failure.detail}")
            raise failure from error
        self._writer = PostgresWriter(self._pool, self._clock)
        self._reads = CallBatcher(partial(self._read_each, self._pool), MAX_BATCH_READS)

    async def read(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a script on any connections. From the first statement that cannot be batched, all statements use one
        connection."""
        pool = self._pool
        if pool is None:
            raise Unavailable("The store is closed.")
        running = script(*args, **kwargs)
        try:
            pending = next(running)
            # Reads that begin no transaction and are fast run together with others.
            known = texts()
            while known[pending.name].returns_rows and not pending.heavy:
                pending = running.send(await self._reads.call(pending.name, pending.params))
            async with pool.acquire() as raw:
                try:
                    return await PostgresConnection(raw).run(running, pending)
                finally:
                    if raw.is_in_transaction():
                        await raw.execute("COMMIT")
        except StopIteration as done:
            return cast(T, done.value)
        except Exception as error:
            raise translated(error) from error

    async def _read_each(
        self, pool: asyncpg.Pool, name: str, sets: Sequence[Params]
    ) -> Sequence[list[Row] | Exception]:
        """Run a statement for each parameter set; return the rows or the exception of each. Also during `close`, which waits for
        running scripts."""
        try:
            async with pool.acquire() as raw:
                return await PostgresConnection(raw).query(name, sets)
        except Exception as failure:
            if len(sets) == 1 or isinstance(translated(failure), DiskFull | Unavailable):
                raise
        found: list[list[Row] | Exception] = []
        for one in sets:  # so that only the invalid read fails
            try:
                found += await self._read_each(pool, name, [one])
            except Exception as failure:  # noqa: BLE001  the reader gets the error
                found.append(failure)
        return found

    read_in_background = read  # reads do not wait for each other's connections

    async def ping(self) -> None:
        if self._pool is not None and self._writer is not None and self._writer.is_full:
            try:
                await self._pool.execute(WRITE_PAGES)
            except Exception as error:
                raise translated(error) from error
            self._writer.is_full = False
        await super().ping()

    async def close(self) -> None:
        """Commit all queued commands, then close the connections. A PostgreSQL that does not respond is not waited for."""
        pool, self._pool = self._pool, None
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._close_writer()
                if pool is not None:
                    await pool.close()
        except TimeoutError:
            log.warning("store_not_closed", reason=f"PostgreSQL did not respond within {CLOSE_SECONDS:.0f} s")
            if pool is not None:
                pool.terminate()
