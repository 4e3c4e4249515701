"""From rows of the outbox to what they ask for: notifications under their row's key, live events, changes of tables.

What cannot be read or is not allowed is refused alone, with the reason; what the store cannot take now stops the batch,
and the rest of it waits in the outbox."""

from collections.abc import Sequence
from itertools import groupby

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from bellcast.errors import BellcastError, DiskFull, Invalid, TooMany, Unavailable
from bellcast.inbox import events, sending
from bellcast.model import live_event_drafts
from bellcast.model.identities import DEFAULT_TENANT
from bellcast.model.limits import Limits
from bellcast.model.live_event_drafts import EventDraft
from bellcast.model.notifications import Draft
from bellcast.outbox import table_watch
from bellcast.outbox.table_watch import RowChange
from bellcast.ports import Context

log = structlog.get_logger(__name__)

# Nothing is wrong with the row.
UNAVAILABLE_ERRORS = (Unavailable, DiskFull)

_draft = msgspec.json.Decoder(Draft)
_event = msgspec.json.Decoder(EventDraft)
_change = msgspec.json.Decoder(RowChange)


class OutboxRow(Struct, frozen=True):
    """One row of the outbox; the payload is JSON text."""

    id: int
    key: str
    kind: str
    payload: str


class DeliveryResult(Struct):
    """What came of a batch: rows that are done, those refused with the reason, those put off by so many seconds, and why
    it stopped, if it did."""

    done: list[int] = []
    refused: dict[int, str] = {}
    later: dict[int, int] = {}
    stopped: BellcastError | None = None


class Delivery:
    """Does what rows ask for, in their order."""

    def __init__(self, engines: Context, limits: Limits) -> None:
        self._engines = engines
        self._limits = limits

    async def deliver(self, rows: Sequence[OutboxRow]) -> DeliveryResult:
        """Everything of a batch, up to where the store cannot go on."""
        outcome = DeliveryResult()
        for is_notify, run in groupby(rows, key=lambda row: row.kind == "notify"):
            if outcome.stopped is not None:
                break
            await (self._notify if is_notify else self._publish)(list(run), outcome)
        return outcome

    async def _notify(self, rows: list[OutboxRow], outcome: DeliveryResult) -> None:
        asked = [_read(row) for row in rows]
        try:
            answers = await sending.send_many(self._engines, self._limits, asked)
        except BellcastError as refusal:
            answers = [refusal] * len(rows)
        except Exception:
            log.exception("outbox: a batch failed; its rows are tried one by one")
            answers = await self._one_by_one(asked)
        for row, answer in zip(rows, answers, strict=False):
            _note(outcome, row, answer if isinstance(answer, BellcastError) else None)

    async def _one_by_one(self, asked: list[Draft | BellcastError]) -> list[bytes | BellcastError]:
        """Up to the first that the store cannot take: what is behind it must not overtake it."""
        answers: list[bytes | BellcastError] = []
        for one in asked:
            answers.append(await self._alone(one))
            if isinstance(answers[-1], UNAVAILABLE_ERRORS):
                break
        return answers

    async def _alone(self, asked: Draft | BellcastError) -> bytes | BellcastError:
        if isinstance(asked, BellcastError):
            return asked
        try:
            return await sending.send(self._engines, self._limits, asked)
        except BellcastError as refusal:
            return refusal
        except Exception as failure:  # noqa: BLE001  whatever it is, the rows behind it must not wait for ever
            return await self._unforeseen(failure)

    async def _unforeseen(self, failure: Exception) -> BellcastError:
        """Is it the row, or is it the store?"""
        log.error("outbox: a row failed", exc_info=failure)
        try:
            await self._engines.store.ping()
        except Exception as away:  # noqa: BLE001  whatever a store raises that cannot answer, it is away
            return Unavailable(f"The store cannot be used: {away}.")
        return BellcastError(f"unforeseen: {type(failure).__name__}")

    async def _publish(self, rows: list[OutboxRow], outcome: DeliveryResult) -> None:
        for row in rows:
            if outcome.stopped is None:
                _note(outcome, row, await self._publish_row(row))

    async def _publish_row(self, row: OutboxRow) -> BellcastError | None:
        """Tell a live event; why not, if not."""
        try:
            for draft in _events(row, self._limits):
                live_event_drafts.check(draft, self._limits)
                await events.publish(self._engines, *live_event_drafts.events(draft, draft.tenant or DEFAULT_TENANT))
        except BellcastError as refusal:
            return refusal
        except Exception as failure:  # noqa: BLE001  as in _alone: the rows behind it must not wait for ever
            return await self._unforeseen(failure)
        return None


def _note(outcome: DeliveryResult, row: OutboxRow, refusal: BellcastError | None) -> None:
    if isinstance(refusal, UNAVAILABLE_ERRORS):
        outcome.stopped = refusal
    elif isinstance(refusal, TooMany):  # what was committed rings, if not now
        outcome.later[row.id] = refusal.retry_after or 1
    elif refusal is not None:
        outcome.refused[row.id] = refusal.detail
    else:
        outcome.done.append(row.id)


def _read(row: OutboxRow) -> Draft | BellcastError:
    """The notification of a row. Its own idempotency key, if it has one, makes it one with what was sent by other ways."""
    try:
        draft = _draft.decode(row.payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as wrong:
        return Invalid(str(wrong))
    return draft if draft.idempotency_key is not None else replace(draft, idempotency_key=f"outbox {row.key}")


def _events(row: OutboxRow, limits: Limits) -> list[EventDraft]:
    try:
        if row.kind == "change":
            return table_watch.events(_change.decode(row.payload), limits.event_data)
        return [_event.decode(row.payload)]
    except (msgspec.MsgspecError, ValueError, RecursionError) as wrong:
        raise Invalid(str(wrong)) from None
