"""Consumes the outbox: woken by NOTIFY at each commit, and polling in case a notification was lost.

One node consumes at a time, so that rows are sent in the order they were written. A row is deleted after it was sent:
if a node dies in between, another sends it again, and its idempotency key prevents a second notification."""

import asyncio
import contextlib
import random
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import asyncpg
import structlog

from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import Unavailable
from bellcast.outbox import SQL, tables
from bellcast.outbox.delivery import Delivery, OutboxRow

log = structlog.get_logger(__name__)
T = TypeVar("T")

CHANNEL = "bellcast_outbox"
# Rows per batch: the capacity of one commit of the store.
BATCH_ROWS = 250
# Interval of polls without a notification; one takes 0.1 ms. Behind a connection pool that drops LISTEN, polls are the
# only trigger.
POLL_INTERVAL_SECONDS = 1.0
# Interval of counts of the backlog, each about 100 ms with a million rows.
COUNT_INTERVAL_MS = 5_000
# Interval of checks for an outbox that is not installed yet.
INSTALL_POLL_SECONDS = 2.0
# Seconds between attempts while the database or the store is unavailable, doubled after each.
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0
# How long a stopping node waits for the current batch, in seconds; one takes about 20 ms.
SHUTDOWN_TIMEOUT = 3.0
# PostgreSQL releases the locked rows of a paused node after this time.
LOCK_TIMEOUT = "20s"
# SET LOCAL, so that the setting does not leak to other users of a pooled connection.
BEGIN_BATCH = f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = '{LOCK_TIMEOUT}'"


class OutboxConsumer:
    """Consumes one outbox on one connection."""

    def __init__(self, url: str, delivery: Delivery, clock: Clock) -> None:
        self._url = url
        self._delivery = delivery
        self._clock = clock
        self._written = asyncio.Event()
        self._wait = FIRST_WAIT
        self._counted_at = 0
        self._gauges: dict[str, float] = {}

    def numbers(self) -> Mapping[str, float]:
        """Gauges of the last count; empty without an outbox. `outbox_flows` is 0 while the database or the store is
        unavailable."""
        return self._gauges

    async def run(self) -> None:
        """Consume until cancelled. Retries when the database or the store is unavailable."""
        while True:
            try:
                async with tables.connected(self._url) as connection:
                    while await tables.version(connection) == 0:
                        self._gauges = {}
                        await self._clock.sleep(INSTALL_POLL_SECONDS)
                    await connection.add_listener(CHANNEL, lambda *_: self._written.set())
                    while True:
                        self._written.clear()
                        await self._count(connection)
                        while await _finish(self._consume_batch(connection)):
                            await self._count(connection)
                        self._wait = FIRST_WAIT
                        self._gauges["outbox_flows"] = 1
                        # Wait for a notification or the poll interval
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(
                                random.uniform(POLL_INTERVAL_SECONDS / 2, POLL_INTERVAL_SECONDS)
                            ):
                                await self._written.wait()
            except Unavailable as failure:
                log.warning("outbox_paused", reason=failure.detail, retry_in=self._wait)
            except asyncpg.PostgresError as failure:
                log.error("outbox_unreadable", reason=str(failure))  # noqa: TRY400  the message is enough
            except Exception:  # a committed row must be sent, so no error may end the consumer
                log.exception("outbox_consumer_failed")
            self._gauges = {**self._gauges, "outbox_flows": 0}
            await self._clock.sleep(random.uniform(self._wait / 2, self._wait))
            self._wait = min(self._wait * 2, LONGEST_WAIT)

    async def _count(self, connection: asyncpg.Connection) -> None:
        """Update the gauges, at most once per COUNT_INTERVAL_MS."""
        if self._clock.now() - self._counted_at < COUNT_INTERVAL_MS:
            return
        self._counted_at = self._clock.now()
        backlog = await tables.backlog(connection)
        self._gauges |= {
            "outbox_waiting": backlog.waiting,
            "outbox_oldest_seconds": backlog.oldest or 0,
            "outbox_put_off": backlog.later,
            "outbox_refused": backlog.refused,
        }

    async def _consume_batch(self, connection: asyncpg.Connection) -> bool:
        """Send one batch and return True if there may be more. Raises Unavailable if the store is unavailable."""
        if not await connection.fetchval("SELECT EXISTS (SELECT 1 FROM bellcast.outbox WHERE due_at <= now())"):
            return False
        await connection.execute(BEGIN_BATCH)
        try:
            if not await connection.fetchval(f"SELECT pg_try_advisory_xact_lock({tables.LOCK})"):
                return False  # another node is consuming, and polls again before it waits
            rows = [OutboxRow(*row) for row in await connection.fetch(SQL["rows"], BATCH_ROWS)]
            outcome = await self._delivery.deliver(rows)
            if outcome.sent:
                await connection.execute("DELETE FROM bellcast.outbox WHERE id = ANY($1::bigint[])", outcome.sent)
            if outcome.postponed:
                await connection.execute(SQL["postpone"], list(outcome.postponed), list(outcome.postponed.values()))
            if outcome.refused:
                await connection.execute(SQL["refuse"], list(outcome.refused), list(outcome.refused.values()))
                for number, reason in outcome.refused.items():
                    log.warning("outbox_row_refused", row=number, reason=reason)
        finally:
            if connection.is_in_transaction():
                await connection.execute("COMMIT")
        if outcome.stopped is not None:
            raise Unavailable(outcome.stopped.detail)
        return len(rows) == BATCH_ROWS


async def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end even when cancelled, within SHUTDOWN_TIMEOUT, then raise the cancellation."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,), timeout=SHUTDOWN_TIMEOUT)
        task.cancel()
        raise
