"""What many read at one time is asked as one: a question there and back takes a process here and one at PostgreSQL three times
as long as its answer does.

Of each statement a few are under way at a time; whoever asks the same meanwhile waits for one of them to come back and is
then asked for with all others who wait. Who is alone waits for nobody.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from bellcast.errors import DiskFull, Unavailable
from bellcast.storage.engine import Params, Row
from bellcast.storage.postgres_connection import PostgresConnection, PostgresText, translated

# While one is answered, another collects. More of them would only be smaller.
MAX_CONCURRENT_READS = 2
# Each is an index away, some 20 µs: the last of so many waits 2 ms for the others.
MAX_BATCH_READS = 100


class PendingRead(NamedTuple):
    """A statement's parameters, and who waits for the rows."""

    params: Params
    rows: asyncio.Future[list[Row]]


class ReadBatcher:
    """Asks for everybody in this process who reads a statement that is a moment of its own."""

    def __init__(self, pool: asyncpg.Pool, known: dict[str, PostgresText]) -> None:
        self._pool = pool
        self._texts = known
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[PendingRead]] = {}
        self._working: set[asyncio.Task[None]] = set()

    async def read(self, name: str, params: Params) -> list[Row]:
        """The rows of one statement."""
        if self._running[name] >= MAX_CONCURRENT_READS:
            question = PendingRead(params, asyncio.get_running_loop().create_future())
            self._waiting.setdefault(name, deque()).append(question)
            return await question.rows
        self._running[name] += 1
        try:
            (rows,) = await self._query(name, [params])
        finally:
            self._continue(name)
        return rows

    def _continue(self, name: str) -> None:
        """One came back: those who wait are asked for next."""
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
        except Exception as failure:  # noqa: BLE001  whatever it is, those who wait must hear it
            if len(some) > 1 and not isinstance(translated(failure), DiskFull | Unavailable):
                for one in some:  # one that cannot be asked is its own asker's affair
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
