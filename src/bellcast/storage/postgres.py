"""PostgreSQL behind the scripts: reads on any of a few connections, together where many ask at one time (see
questions.py), writes in groups (see lanes.py)."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import asyncpg

from bellcast import ports
from bellcast.errors import SettingsError, Unavailable
from bellcast.storage.engine import I, P, Script, Statement, T
from bellcast.storage.locks import ScriptCall
from bellcast.storage.migrations import postgres as migrations
from bellcast.storage.postgres_connection import (
    COMMAND_TIMEOUT,
    CONNECT_TIMEOUT,
    SESSION,
    PooledConnection,
    PostgresConnection,
    PostgresText,
    Raw,
    texts,
    translated,
)
from bellcast.storage.postgres_writer import PostgresWriter
from bellcast.storage.read_batching import ReadBatcher

MIN_VERSION = 15
# Two of them write; a process whose loop is busy has no use for more.
CONNECTIONS = 10
# A plan is made for the tables as large as they are then. One made for an empty database is made anew soon after it no
# longer is one: 60 statements in 60 s on each connection cost nothing.
PLAN_CACHE_SECONDS = 60


class PostgresEngine:
    """An Engine on one database; any number of processes share it."""

    def __init__(self, url: str, clock: ports.Clock) -> None:
        self._url = url
        self._clock = clock
        self._texts: dict[str, PostgresText] = {}
        self._pool: asyncpg.Pool | None = None
        self._writer: PostgresWriter | None = None
        self._read_batcher: ReadBatcher | None = None

    async def open(self) -> None:
        """Connect, and bring the tables up to date if nobody else does."""
        try:
            await self._migrate()
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=CONNECTIONS,
                connection_class=PooledConnection,
                statement_cache_size=512,
                max_cached_statement_lifetime=PLAN_CACHE_SECONDS,
                command_timeout=COMMAND_TIMEOUT,
                timeout=CONNECT_TIMEOUT,
                server_settings=SESSION,
            )
        except Exception as error:
            failure = translated(error)
            if failure is error:
                raise
            raise failure from error
        self._texts = texts()
        self._writer = PostgresWriter(self._pool, self._texts, self._clock)
        self._read_batcher = ReadBatcher(self._pool, self._texts)

    async def _migrate(self) -> None:
        first = await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT)
        try:
            if first.get_server_version().major < MIN_VERSION:
                raise SettingsError(f"BELLCAST_STORE: PostgreSQL {MIN_VERSION} or newer is needed.")
            if await migrations.pending(first):
                await migrations.migrate(first)
        finally:
            await first.close()

    async def read(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it on any connections; from where it wants a moment that stays, on one of its own."""
        if self._pool is None or self._read_batcher is None:
            raise Unavailable("The store is closed.")
        running = script(*args, **kwargs)
        try:
            asked = next(running)
            while self._is_batchable(asked):
                asked = running.send(await self._read_batcher.read(asked.name, asked.params))
            async with self._pool.acquire() as raw:
                return await _read(raw, PostgresConnection(raw, self._texts), running, asked)
        except StopIteration as done:
            return cast(T, done.value)
        except Exception as error:
            failure = translated(error)
            if failure is error:
                raise
            raise failure from error

    def _is_batchable(self, asked: Statement) -> bool:
        """Whether it may be asked together with others: it begins nothing, and is soon answered."""
        return self._texts[asked.name].answers and not asked.heavy

    async def read_in_background(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `read`: nobody waits for another's connection."""
        return await self.read(script, *args, **kwargs)

    async def write(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it in the next shared transaction; return after its commit."""
        (outcome,) = await self._submit([ScriptCall(script, args, kwargs)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def write_each(self, script: Callable[[I], Script[T]], items: Sequence[I], /) -> list[T | Exception]:
        """Run it for each item in one shared transaction."""
        return await self._submit([ScriptCall(script, (item,)) for item in items]) if items else []

    async def _submit(self, starts: list[ScriptCall]) -> list[T | Exception]:
        if self._writer is None:
            raise Unavailable("The store is closed.")
        return await self._writer.submit(starts)

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Shares of tenants that wait for each other."""
        if self._writer is not None:
            self._writer.set_weights(weights)

    async def ping(self) -> None:
        """Take part in a transaction that could write."""
        await self.write(_could_write)

    async def close(self) -> None:
        """Commit what waits, then let the connections go."""
        lanes, self._writer = self._writer, None
        pool, self._pool = self._pool, None
        if lanes is not None:
            await lanes.close()
        if pool is not None:
            await pool.close()


async def _read(raw: Raw, link: PostgresConnection, script: Script[T], asked: Statement) -> T:
    try:
        return await link.run(script, asked)
    finally:
        if raw.is_in_transaction():
            await raw.execute("COMMIT")


def _could_write() -> Script[None]:
    return
    yield
