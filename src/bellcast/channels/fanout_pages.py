"""Pages of fan-outs, each one commit: their size, and the overlap of commits and preparations."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import TypeVar

from bellcast.channels.store.fanouts import Fanouts
from bellcast.kernel.clock import Clock
from bellcast.kernel.contention import ContentionDetector
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.jobs.types import Job
from bellcast.workflows.types.runs import NewFanout

P = TypeVar("P")

# Recipients per commit. 100: 9 ms to prepare their runs, in parts, and 4 ms of statements; with 50, a run took 9 % more
# CPU time. While single sends arrive, each of them may wait for one such commit, so pages are smaller. 12: runs take 1
# ms to prepare, in two parts 2.5 ms apart, 0.4 ms of statements, and 75 pages of log (100 with 25 runs); preparation
# still takes longest.
PAGE, SMALL_PAGE = 125, 12


def cut(keys: Sequence[str], contention: ContentionDetector) -> Iterator[Sequence[str]]:
    """Yield the recipients of each next page; its size depends on the contention at that time."""
    start = 0
    while start < len(keys):
        end = start + (SMALL_PAGE if contention else PAGE)
        yield keys[start:end]
        start = end


async def run(
    db: Engine,
    clock: Clock,
    job: Job,
    prepare: Callable[[NewFanout], AsyncGenerator[P]],
    add: Callable[[P], Awaitable[bool]],
) -> int | None:
    """Prepare and commit the next pages of a job's fan-out. Return when the rest is due, or None. If a process that has
    lost the job moved the fan-out in the meantime, the rest begins there."""
    id = job.payload.decode()
    fanout = await _running(db, id)
    if fanout is not None and (await _commit(prepare(fanout), add) or await _running(db, id) is not None):
        return clock.now()
    return None


async def _running(db: Engine, id: str) -> NewFanout | None:
    fanout = await Fanouts(db).get(id)
    return None if fanout is None or fanout.state != "running" else fanout


async def _commit(pages: AsyncGenerator[P], add: Callable[[P], Awaitable[bool]]) -> bool:
    """Commit each page with `add` while the next one is prepared. Return False if `add` did."""
    async with aclosing(pages):
        page = await anext(pages, None)
        while page is not None:
            preparing = asyncio.ensure_future(anext(pages, None))
            try:
                is_running = await add(page)
            finally:
                await asyncio.wait((preparing,))
            page = preparing.result()
            if not is_running:
                return False
    return True
