"""A node takes rows out of the outbox: woken by PostgreSQL at a commit, and looking by itself in case it was not.

One node works at a time, so that rows ring in the order they were written. A row is removed after it was sent: a node
that dies in between leaves it to another, and its key lets it ring once."""

import asyncio
import random
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import asyncpg
import structlog

from bellcast.errors import Unavailable
from bellcast.outbox import schema, status
from bellcast.outbox.delivery import Delivery, DeliveryResult, OutboxRow
from bellcast.ports import Clock

log = structlog.get_logger(__name__)
T = TypeVar("T")

CHANNEL = "bellcast_outbox"
# As many as one commit of the store takes.
BATCH = 250
# Between two looks that nobody asked for; one is 0.1 ms. Behind a pool that carries no notices they are the only ones.
POLL_INTERVAL_SECONDS = 1.0
# Between two counts of what lies in it: some 100 ms where a million rows wait.
COUNT_MS = 5_000
# Whoever has no outbox yet is asked again.
MISSING_SECONDS = 2.0
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0
# A node that stops gives the batch in its hands so long; one batch takes some 20 ms.
SHUTDOWN_TIMEOUT = 3.0
# A node that is paused with rows in its hands has them taken away after this.
HELD = "20s"
# Within a transaction, so that nothing is left behind on a connection that a pool gives to others.
TAKE = f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = '{HELD}'"
ROWS = """
SELECT id, key::text, kind, payload::text FROM bellcast.outbox
WHERE due_at <= now() ORDER BY due_at, id LIMIT $1 FOR UPDATE SKIP LOCKED
"""
REFUSE = """
WITH refusal AS (SELECT * FROM unnest($1::bigint[], $2::text[]) r (id, error)), gone AS (
  DELETE FROM bellcast.outbox o USING refusal r WHERE o.id = r.id RETURNING o.*, r.error
)
INSERT INTO bellcast.refused (id, key, kind, payload, written_at, error)
SELECT id, key, kind, payload, written_at, error FROM gone
"""
PUT_OFF = """
UPDATE bellcast.outbox o SET due_at = now() + make_interval(secs => r.seconds)
FROM unnest($1::bigint[], $2::int[]) r (id, seconds) WHERE o.id = r.id
"""


class OutboxConsumer:
    """Of one outbox, on one connection."""

    def __init__(self, url: str, delivery: Delivery, clock: Clock) -> None:
        self._url = url
        self._delivery = delivery
        self._clock = clock
        self._written = asyncio.Event()
        self._wait = FIRST_WAIT
        self._counted_at = 0
        self._numbers: dict[str, float] = {}

    def numbers(self) -> Mapping[str, float]:
        """What lies in it, as of the last look; nothing where there is none. It does not flow while its database or the
        store is away."""
        return self._numbers

    async def run(self) -> None:
        """Keep at it until cancelled; a database or a store that is away is tried again."""
        while True:
            try:
                async with schema.connected(self._url) as connection:
                    await self._wait_until_there(connection)
                    await connection.add_listener(CHANNEL, lambda *_: self._written.set())
                    await self._follow(connection)
            except Unavailable as failure:
                log.warning("outbox waits; what is in it is not lost", why=failure.detail)
            except asyncpg.PostgresError as failure:
                log.error("outbox cannot be read", why=str(failure))  # noqa: TRY400  its words say it all
            except Exception:  # whatever it is, what was committed must ring
                log.exception("outbox broke off; it is begun again")
            self._numbers = {**self._numbers, "outbox_flows": 0}
            await self._clock.sleep(random.uniform(self._wait / 2, self._wait))
            self._wait = min(self._wait * 2, LONGEST_WAIT)

    async def _wait_until_there(self, connection: asyncpg.Connection) -> None:
        while await schema.version(connection) == 0:
            self._numbers = {}
            await self._clock.sleep(MISSING_SECONDS)

    async def _follow(self, connection: asyncpg.Connection) -> None:
        while True:
            self._written.clear()
            await self._count(connection)
            while await _to_its_end(self._take(connection)):
                await self._count(connection)
            self._wait = FIRST_WAIT
            self._numbers["outbox_flows"] = 1
            await self._poll()

    async def _count(self, connection: asyncpg.Connection) -> None:
        """What lies in it, every so often."""
        if self._clock.now() - self._counted_at < COUNT_MS:
            return
        self._counted_at = self._clock.now()
        level = await status.backlog(connection)
        self._numbers |= {
            "outbox_waiting": level.waiting,
            "outbox_oldest_seconds": level.oldest or 0,
            "outbox_put_off": level.later,
            "outbox_refused": level.refused,
        }

    async def _poll(self) -> None:
        """Until there is a reason to look."""
        waiting = asyncio.ensure_future(self._written.wait())
        try:
            await asyncio.wait((waiting,), timeout=random.uniform(POLL_INTERVAL_SECONDS / 2, POLL_INTERVAL_SECONDS))
        finally:
            waiting.cancel()

    async def _take(self, connection: asyncpg.Connection) -> bool:
        """One batch; whether there may be more. Unavailable once the store cannot go on."""
        if not await connection.fetchval("SELECT EXISTS (SELECT 1 FROM bellcast.outbox WHERE due_at <= now())"):
            return False
        await connection.execute(TAKE)
        try:
            if not await connection.fetchval(f"SELECT pg_try_advisory_xact_lock({schema.LOCK})"):
                return False  # another node is at it, and will look again before it rests
            rows = [OutboxRow(*row) for row in await connection.fetch(ROWS, BATCH)]
            outcome = await self._delivery.deliver(rows)
            await _remove(connection, outcome)
        finally:
            if connection.is_in_transaction():
                await connection.execute("COMMIT")
        if outcome.stopped is not None:
            raise Unavailable(outcome.stopped.detail)
        return len(rows) == BATCH


async def _remove(connection: asyncpg.Connection, outcome: DeliveryResult) -> None:
    if outcome.done:
        await connection.execute("DELETE FROM bellcast.outbox WHERE id = ANY($1::bigint[])", outcome.done)
    if outcome.later:
        await connection.execute(PUT_OFF, list(outcome.later), list(outcome.later.values()))
    if outcome.refused:
        await connection.execute(REFUSE, list(outcome.refused), list(outcome.refused.values()))
        for number, why in outcome.refused.items():
            log.warning("outbox: a row was refused; see `bellcast sql status`", row=number, why=why)


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Whoever is told to stop finishes what it has in its hands."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,), timeout=SHUTDOWN_TIMEOUT)
        task.cancel()
        raise
