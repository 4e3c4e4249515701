"""Audiences: their recipients page by page, and the fan-outs of sends and triggers to them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TypeAlias

from bellcast.channels.store.fanouts import Fanouts
from bellcast.channels.types import Fanout
from bellcast.inbox.types import Audience
from bellcast.kernel import times
from bellcast.kernel.clock import Clock
from bellcast.kernel.concurrency import ContentionDetector
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.events import role_topic
from bellcast.kernel.jobs import Job
from bellcast.recipients.store import Recipients, StoredSubscriptions

# Recipients per read.
READ_PAGE = 250
# Reads per lease, after which other jobs of the same priority can run.
READS_PER_LEASE = 4
# Maximum members of an audience that a dry run counts.
MAX_COUNTED_MEMBERS = 10_000


async def first(db: Engine, tenant: str, audience: Audience, limit: int) -> tuple[int | None, Sequence[str]]:
    """Return the number of members, None above MAX_COUNTED_MEMBERS, and the first keys."""
    if _is_everyone(audience):
        found = await Recipients(db).page(ListQuery(tenants=[tenant], limit=limit, is_counted=True))
        number, keys = found.total.value if found.total else 0, [one.key for one in found.items]
    else:
        keys = [key for key, _ in await _page(db, tenant, audience, None, MAX_COUNTED_MEMBERS + 1)]
        number = len(keys)
    return None if number > MAX_COUNTED_MEMBERS else number, keys[:limit]


async def page(
    db: Engine, tenant: str, audience: Audience, position: str, moment: int, seq: int | None = None
) -> Sequence[str]:
    """Return the next keys after `position`, of members who had joined by a moment (UTC milliseconds); empty at the end.
    With the number of a fan-out, subscribers are those whom the inbox counts: the order of commits decides, no clock."""
    joined_before, is_numbered = times.to_rfc3339(moment), seq is not None and not _is_everyone(audience)
    while True:
        found = await _page(db, tenant, audience, position or None, READ_PAGE, seq)
        keys = [key for key, since in found if is_numbered or since <= joined_before]
        if keys or not found:
            return keys
        position = found[-1][0]


def _is_everyone(audience: Audience) -> bool:
    return audience.topic is None and audience.role is None


async def _page(
    db: Engine, tenant: str, audience: Audience, after: str | None, limit: int, seq: int | None = None
) -> list[tuple[str, datetime]]:
    """Return keys with the times at which they joined."""
    if _is_everyone(audience):
        return [(one.key, one.created_at) for one in await Recipients(db).after(tenant, after, limit)]
    topic = audience.topic if audience.role is None else role_topic(audience.role)
    subscribed = await StoredSubscriptions(db).page(tenant, topic or "", after, limit, seq)
    return [(one.recipient, one.created_at) for one in subscribed]


# Commits a page of a fan-out. Returns False, and writes nothing, if the fan-out has ended or moved.
PageCommit: TypeAlias = Callable[[], Awaitable[bool]]

# Recipients per commit. 100: 9 ms to prepare their runs, in parts, and 4 ms of statements; with 50, a run took 9 % more
# CPU time. While single sends arrive, each of them may wait for one such commit, so pages are smaller. 12: runs take 1
# ms to prepare, in two parts 2.5 ms apart, 0.4 ms of statements, and 75 pages of log (100 with 25 runs); preparation
# still takes longest.
COMMIT_PAGE, SMALL_COMMIT_PAGE = 125, 12


def cut(keys: Sequence[str], contention: ContentionDetector) -> Iterator[Sequence[str]]:
    """Yield the recipients of each next page; its size depends on the contention at that time."""
    start = 0
    while start < len(keys):
        end = start + (SMALL_COMMIT_PAGE if contention else COMMIT_PAGE)
        yield keys[start:end]
        start = end


async def run(
    db: Engine, clock: Clock, job: Job, prepare: Callable[[Fanout], AsyncGenerator[PageCommit]]
) -> int | None:
    """Prepare and commit the next pages of a job's fan-out. Return when the rest is due, or None. If a process that has
    lost the job moved the fan-out in the meantime, the rest begins there."""
    id = job.payload.decode()
    fanout = await _running(db, id)
    if fanout is None:
        return None
    async with aclosing(prepare(fanout)) as pages:
        commit = await anext(pages, None)
        while commit is not None:
            preparing = asyncio.ensure_future(anext(pages, None))  # while this page is committed
            try:
                is_running = await commit()
            finally:
                await asyncio.wait((preparing,))
            commit = preparing.result()
            if not is_running:
                return None if await _running(db, id) is None else clock.now()
    return clock.now()


async def _running(db: Engine, id: str) -> Fanout | None:
    fanout = await Fanouts(db).get(id)
    return None if fanout is None or fanout.state != "running" else fanout
