"""Consumes the outbox: woken by NOTIFY at each commit, and polling in case a notification was lost. It sends notifications with
the row's key as idempotency key, live events, and changes of watched tables.

One node consumes at a time, so that rows are sent in the order they were written. A row is deleted after it was sent:
if a node dies in between, another sends it again, and its idempotency key prevents a second notification.

An unreadable or forbidden row is refused with a reason, without affecting the others. A row whose `send_at` passed while it
waited is sent immediately. If the store is unavailable, the batch stops and its remaining rows stay in the outbox."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from functools import partial
from itertools import chain, groupby
from typing import Any, TypeVar

import asyncpg
import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from bellcast.engines import Engines
from bellcast.inbox import sending
from bellcast.inbox.types import Audience, Draft
from bellcast.kernel import validation
from bellcast.kernel.errors import BellcastError, DiskFull, Invalid, TooMany, Unavailable
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.limits import Limits
from bellcast.outbox import SQL, tables
from bellcast.outbox.tables import RowChange
from bellcast.topics import publishing
from bellcast.topics import types as topic_types
from bellcast.topics.types import EventDraft
from bellcast.workflows.triggers import TriggerWorkflow
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import TriggerDraft

log = structlog.get_logger(__name__)
T = TypeVar("T")

# Errors of the store, after which the row is retried.
STORE_FAILURES = (Unavailable, DiskFull)

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

_draft = msgspec.json.Decoder(Draft)
_event = msgspec.json.Decoder(EventDraft)
_change = msgspec.json.Decoder(RowChange)


class WorkflowTrigger(Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of a trigger."""

    workflow: str
    to: str | list[str] | Audience
    data: dict[str, Any] = {}


_trigger = msgspec.json.Decoder(WorkflowTrigger)


class OutboxRow(Struct, frozen=True):
    """One row of the outbox; the payload is JSON text."""

    id: int
    key: str
    kind: str
    payload: str


class DeliveryResult(Struct):
    """Result of a batch: ids of sent rows, refused rows with reasons, postponed rows with seconds, and the error that
    stopped the batch, if any."""

    sent: list[int] = []
    refused: dict[int, str] = {}
    postponed: dict[int, int] = {}
    stopped: BellcastError | None = None


class OutboxConsumer:
    """Consumes one outbox on one connection."""

    def __init__(self, url: str, engines: Engines, limits: Limits, trigger: TriggerWorkflow) -> None:
        self._url = url
        self._engines = engines
        self._limits = limits
        self._trigger = trigger
        self._clock = engines.clock
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
        if 0 <= self._clock.now() - self._counted_at < COUNT_INTERVAL_MS:
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
            outcome = await self.deliver(rows)
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

    # --- batches

    async def deliver(self, rows: Sequence[OutboxRow]) -> DeliveryResult:
        """Send a batch, up to the row at which the store became unavailable."""
        outcome = DeliveryResult()
        for is_notify, group in groupby(rows, key=lambda row: row.kind == "notify"):
            if outcome.stopped is not None:
                break
            if is_notify:
                await self._notify(list(group), outcome)
                continue
            for row in group:
                if outcome.stopped is None:
                    _record(outcome, row, await self._attempt(self._publish(row)))
        return outcome

    async def _notify(self, rows: list[OutboxRow], outcome: DeliveryResult) -> None:
        drafts: list[Draft | BellcastError] = []
        for row in rows:
            try:
                draft = _decoded(row, _draft)
                # A key in the payload replaces the row's, so that the same notification sent through the API is a duplicate.
                has_key = draft.idempotency_key is not None
                drafts.append(draft if has_key else replace(draft, idempotency_key=f"outbox {row.key}"))
            except Invalid as refusal:
                drafts.append(refusal)
        errors: list[BellcastError | None] = []
        try:
            results = await sending.BulkSend(self._engines, self._limits, allows_past=True).send(drafts)
            errors += [one if isinstance(one, BellcastError) else None for one in results]
        except BellcastError as refusal:
            errors += [refusal] * len(rows)
        except Exception:
            log.exception("outbox_batch_failed")
            send = partial(sending.send, self._engines, self._limits, allows_past=True)
            # Each row alone, up to the first for which the store fails, so that no later row overtakes it.
            for one in drafts:
                errors.append(one if isinstance(one, BellcastError) else await self._attempt(send(one)))
                if isinstance(errors[-1], STORE_FAILURES):
                    break
        for row, error in zip(rows, errors, strict=False):
            _record(outcome, row, error)

    async def _attempt(self, work: Awaitable[object]) -> BellcastError | None:
        """Return the error of a failure; Unavailable if the store does not respond. One row must not block those behind it."""
        try:
            await work
        except BellcastError as refusal:
            return refusal
        except Exception as failure:
            log.exception("outbox_row_failed")
            try:
                await self._engines.db.ping()
            except Exception as error:  # noqa: BLE001  any error of the ping means an unavailable store
                return Unavailable(f"The store cannot be used: {error}.")
            return BellcastError(f"unexpected error: {type(failure).__name__}")
        return None

    async def _publish(self, row: OutboxRow) -> None:
        """Publish the row's live events, or trigger its workflow."""
        if row.kind == "trigger":
            trigger = _decoded(row, _trigger)
            wanted = TriggerDraft(to=trigger.to, data=trigger.data, idempotency_key=f"outbox {row.key}")
            validation.check(runs.draft_errors(wanted, self._limits))
            await self._trigger(trigger.workflow, wanted)
            return
        if row.kind == "change":
            drafts = tables.events(_decoded(row, _change), self._limits.event_data)
        else:
            drafts = [_decoded(row, _event)]
        for draft in drafts:
            topic_types.check(draft, self._limits)
        published = [topic_types.events(draft, draft.tenant or DEFAULT_TENANT) for draft in drafts]
        await publishing.publish(self._engines, *chain.from_iterable(published), key=row.key)


def _record(outcome: DeliveryResult, row: OutboxRow, refusal: BellcastError | None) -> None:
    if isinstance(refusal, STORE_FAILURES):
        outcome.stopped = refusal
    elif isinstance(refusal, TooMany):  # over a rate limit or budget: send later
        outcome.postponed[row.id] = refusal.retry_after or 1
    elif refusal is not None:
        outcome.refused[row.id] = refusal.detail
    else:
        outcome.sent.append(row.id)


def _decoded(row: OutboxRow, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode the payload of a row. Raises Invalid."""
    try:
        return decoder.decode(row.payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Invalid(str(error)) from None


async def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end even when cancelled, within SHUTDOWN_TIMEOUT, then raise the cancellation."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,), timeout=SHUTDOWN_TIMEOUT)
        task.cancel()
        raise
