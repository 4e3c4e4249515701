"""From a draft to durable rows: who is addressed, one commit, then everybody who looks is told."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec
from msgspec import Struct

from bellcast.errors import BellcastError
from bellcast.model import drafts, patterns, times
from bellcast.model.limits import Limits
from bellcast.model.notifications import Audience, Draft, content
from bellcast.model.people import DEFAULT_TENANT
from bellcast.ports import Announcing, Engines, Sending, Sent

# Rows a commit: the more it has, the less each costs. A thousand take the store some 15 ms, and single sends go first.
BATCH = 1000
# Drafts are checked so many at a stretch, about 2 ms; then live connections get their turn.
SLICE = 250

_encode = msgspec.json.Encoder().encode

Prepared: TypeAlias = Sending | Announcing | BellcastError


class Made(Struct, frozen=True):
    """A notification that was made, as the answer names it."""

    id: str
    recipient: str


async def send(engines: Engines, limits: Limits, draft: Draft) -> bytes:
    """Commit one draft and publish it. The JSON answer: `{"notifications":[…]}` or `{"announcement":{…}}`."""
    now = engines.clock.now()
    drafts.check_draft(draft, limits, times.moment(now))
    _count(engines, draft)
    if isinstance(draft.to, Audience):
        sent = await engines.store.sends.announce(_announcing(engines, draft, draft.to, now))
    else:
        (outcome,) = await engines.store.sends.add([_sending(engines, draft, draft.to, now)])
        if isinstance(outcome, Exception):
            raise outcome
        sent = outcome
    await engines.broker.publish(*sent.events)
    return sent.answer


async def send_many(
    engines: Engines, limits: Limits, asked: Sequence[Draft | BellcastError]
) -> list[bytes | BellcastError]:
    """Commit many drafts in order, each whole or refused alone; answers and refusals in the same order."""
    answers: list[bytes | BellcastError] = []
    for batch in _batches(asked):
        answers += await _send_batch(engines, limits, batch)
    return answers


async def _send_batch(
    engines: Engines, limits: Limits, batch: Sequence[Draft | BellcastError]
) -> list[bytes | BellcastError]:
    answers: list[bytes | BellcastError] = []
    waiting: list[Sending] = []
    for one in await _prepared(engines, limits, batch):
        if isinstance(one, Sending):
            waiting.append(one)
            continue
        answers += await _commit(engines, waiting)
        waiting = []
        answers.append(one if isinstance(one, BellcastError) else await _announce(engines, one))
    return answers + await _commit(engines, waiting)


async def _commit(engines: Engines, sendings: Sequence[Sending]) -> list[bytes | BellcastError]:
    if not sendings:
        return []
    outcomes = await engines.store.sends.add(sendings)
    await engines.broker.publish(*(event for sent in outcomes if isinstance(sent, Sent) for event in sent.events))
    return [_answer(outcome) for outcome in outcomes]


async def _announce(engines: Engines, announcing: Announcing) -> bytes | BellcastError:
    try:
        sent = await engines.store.sends.announce(announcing)
    except BellcastError as refusal:
        return refusal
    await engines.broker.publish(*sent.events)
    return sent.answer


def _answer(outcome: Sent | Exception) -> bytes | BellcastError:
    if isinstance(outcome, Sent):
        return outcome.answer
    if isinstance(outcome, BellcastError):
        return outcome
    raise outcome


async def _prepared(engines: Engines, limits: Limits, batch: Sequence[Draft | BellcastError]) -> list[Prepared]:
    now = engines.clock.now()
    moment = times.moment(now)
    prepared: list[Prepared] = []
    for start in range(0, len(batch), SLICE):
        prepared += [_prepare(engines, limits, draft, now, moment) for draft in batch[start : start + SLICE]]
        await asyncio.sleep(0)
    return prepared


def _prepare(engines: Engines, limits: Limits, draft: Draft | BellcastError, now: int, moment: datetime) -> Prepared:
    if isinstance(draft, BellcastError):
        return draft
    try:
        drafts.check_draft(draft, limits, moment)
        _count(engines, draft)
    except BellcastError as refusal:
        return refusal
    if isinstance(draft.to, Audience):
        return _announcing(engines, draft, draft.to, now)
    return _sending(engines, draft, draft.to, now)


def _count(engines: Engines, draft: Draft) -> None:
    """A notification to each recipient is one send, so is an announcement."""
    if isinstance(draft.to, Audience):
        engines.quotas.take(draft.tenant or draft.to.tenant or DEFAULT_TENANT, 1)
    else:
        engines.quotas.take(draft.tenant or DEFAULT_TENANT, 1 if isinstance(draft.to, str) else len(draft.to))


def _sending(engines: Engines, draft: Draft, to: str | list[str], now: int) -> Sending:
    # A key twice counts once; the order stays.
    recipients = (to,) if isinstance(to, str) else tuple(dict.fromkeys(to))
    ids = tuple([engines.new_id(now) for _ in recipients])
    return Sending(
        tenant=draft.tenant or DEFAULT_TENANT,
        recipients=recipients,
        ids=ids,
        content=content(draft),
        created_at=now,
        idempotency_key=draft.idempotency_key,
        fingerprint=_fingerprint(draft),
        answer=_encode({"notifications": list(map(Made, ids, recipients))}),
    )


def _announcing(engines: Engines, draft: Draft, to: Audience, now: int) -> Announcing:
    id = engines.new_id(now)
    return Announcing(
        id=id,
        tenant=to.tenant or draft.tenant or DEFAULT_TENANT,
        topic=patterns.role_topic(to.role) if to.role is not None else to.topic,
        content=content(draft),
        created_at=now,
        asked_tenant=draft.tenant or to.tenant or DEFAULT_TENANT,
        idempotency_key=draft.idempotency_key,
        fingerprint=_fingerprint(draft),
        answer=msgspec.json.encode({"announcement": {"id": id}}),
    )


def _fingerprint(draft: Draft) -> bytes:
    """What makes two bodies the same: every field as read, not the bytes it was written with."""
    if draft.idempotency_key is None:
        return b""
    return hashlib.sha256(msgspec.json.encode(draft, order="deterministic")).digest()


def _batches(asked: Sequence[Draft | BellcastError]) -> Iterator[list[Draft | BellcastError]]:
    """Cut into runs of about BATCH rows."""
    batch: list[Draft | BellcastError] = []
    rows = 0
    for one in asked:
        batch.append(one)
        rows += len(one.to) if isinstance(one, Draft) and isinstance(one.to, list) else 1
        if rows >= BATCH:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch
