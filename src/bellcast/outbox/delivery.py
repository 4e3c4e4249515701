"""Sends outbox rows: notifications with the row's key as idempotency key, live events, and changes of watched tables.

An unreadable or forbidden row is refused with a reason, without affecting the others. A row whose `send_at` passed while it
waited is sent immediately. If the store is unavailable, the batch stops and its remaining rows stay in the outbox."""

from collections.abc import Awaitable, Sequence
from functools import partial
from itertools import chain, groupby
from typing import Any, TypeVar

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from bellcast.engines import Engines
from bellcast.inbox import sending
from bellcast.inbox.types.notifications import Audience, Draft
from bellcast.kernel.errors import BellcastError, DiskFull, Invalid, TooMany, Unavailable
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.limits import Limits
from bellcast.outbox import table_watch
from bellcast.outbox.table_watch import RowChange
from bellcast.topics import publishing
from bellcast.topics import types as topic_types
from bellcast.topics.types import EventDraft
from bellcast.workflows import triggers
from bellcast.workflows.triggers import TriggerDraft, TriggerWorkflow

log = structlog.get_logger(__name__)
T = TypeVar("T")

# Errors of the store, after which the row is retried.
STORE_FAILURES = (Unavailable, DiskFull)

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


class Delivery(Struct, eq=False):
    """Sends rows in order."""

    engines: Engines
    limits: Limits
    trigger: TriggerWorkflow

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
            results = await sending.BulkSend(self.engines, self.limits, allows_past=True).send(drafts)
            errors += [one if isinstance(one, BellcastError) else None for one in results]
        except BellcastError as refusal:
            errors += [refusal] * len(rows)
        except Exception:
            log.exception("outbox_batch_failed")
            send = partial(sending.send, self.engines, self.limits, allows_past=True)
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
                await self.engines.db.ping()
            except Exception as error:  # noqa: BLE001  any error of the ping means an unavailable store
                return Unavailable(f"The store cannot be used: {error}.")
            return BellcastError(f"unexpected error: {type(failure).__name__}")
        return None

    async def _publish(self, row: OutboxRow) -> None:
        """Publish the row's live events, or trigger its workflow."""
        if row.kind == "trigger":
            trigger = _decoded(row, _trigger)
            wanted = TriggerDraft(to=trigger.to, data=trigger.data, idempotency_key=f"outbox {row.key}")
            triggers.check(wanted, self.limits)
            await self.trigger(trigger.workflow, wanted)
            return
        if row.kind == "change":
            drafts = table_watch.events(_decoded(row, _change), self.limits.event_data)
        else:
            drafts = [_decoded(row, _event)]
        for draft in drafts:
            topic_types.check(draft, self.limits)
        published = [topic_types.events(draft, draft.tenant or DEFAULT_TENANT) for draft in drafts]
        await publishing.publish(self.engines, *chain.from_iterable(published), key=row.key)


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
