"""Batch concurrent reads of the same statement, because a round trip costs this process and PostgreSQL three times as
much as the query itself.

A few queries of each statement run at a time. Further reads wait for one of them to finish and then run together. A
read without competitors never waits.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from bellcast.errors import DiskFull, Unavailable
from bellcast.storage.postgres_connection import PostgresConnection, PostgresText, translated
from bellcast.storage.script import Params, Row

# Concurrent queries per statement. While one runs, reads collect for another; a third would only make batches smaller.
MAX_CONCURRENT_READS = 2
# Maximum reads per batch. Each is an index lookup of about 20 µs: the last of a batch waits 2 ms for the others.
MAX_BATCH_READS = 100


class PendingRead(NamedTuple):
    """A statement's parameters, and the future of its rows."""

    params: Params
    rows: asyncio.Future[list[Row]]


class ReadBatcher:
    """Batches reads of this process that need only one statement."""

    def __init__(self, pool: asyncpg.Pool, texts: dict[str, PostgresText]) -> None:
        self._pool = pool
        self._texts = texts
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[PendingRead]] = {}
        self._working: set[asyncio.Task[None]] = set()

    async def read(self, name: str, params: Params) -> list[Row]:
        if self._running[name] >= MAX_CONCURRENT_READS:
            pending = PendingRead(params, asyncio.get_running_loop().create_future())
            self._waiting.setdefault(name, deque()).append(pending)
            return await pending.rows
        self._running[name] += 1
        try:
            (rows,) = await self._query(name, [params])
        finally:
            self._continue(name)
        return rows

    def _continue(self, name: str) -> None:
        """Run the waiting reads after a query has finished."""
        waiting = self._waiting.pop(name, None)
        if not waiting:
            self._running[name] -= 1
            return
        some = [waiting.popleft() for _ in range(min(len(waiting), MAX_BATCH_READS))]
        if waiting:
            self._waiting[name] = waiting
        task = asyncio.get_running_loop().create_task(self._run_batch(name, some))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _run_batch(self, name: str, some: Sequence[PendingRead]) -> None:
        try:
            await self._run_each(name, [one for one in some if not one.rows.done()])
        finally:
            self._continue(name)

    async def _run_each(self, name: str, some: Sequence[PendingRead]) -> None:
        try:
            found = await self._query(name, [one.params for one in some]) if some else []
        except Exception as failure:  # noqa: BLE001  every reader gets the error
            if len(some) > 1 and not isinstance(translated(failure), DiskFull | Unavailable):
                for one in some:  # so that only the invalid read fails
                    await self._run_each(name, [one])
                return
            for one in some:
                if not one.rows.done():
                    one.rows.set_exception(failure)
            return
        for one, rows in zip(some, found, strict=True):
            if not one.rows.done():
                one.rows.set_result(rows)

    async def _query(self, name: str, sets: Sequence[Params]) -> list[list[Row]]:
        async with self._pool.acquire() as raw:
            return await PostgresConnection(raw, self._texts).query(name, sets)
