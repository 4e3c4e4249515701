"""From a draft to durable rows: who is addressed, one commit, then everybody who looks is told."""

import hashlib
from collections.abc import Iterator, Sequence

import msgspec

from bellcast.errors import BellcastError
from bellcast.model import drafts, patterns, times
from bellcast.model.limits import Limits
from bellcast.model.notifications import Audience, Draft, content
from bellcast.model.people import DEFAULT_TENANT
from bellcast.ports import Announcing, Engines, Sending, Sent

# One commit of many rows holds up the others behind it; 250 rows take about 6 ms.
BATCH = 250


async def send(engines: Engines, limits: Limits, draft: Draft) -> bytes:
    """Commit one draft and publish it. The JSON answer: `{"notifications":[…]}` or `{"announcement":{…}}`."""
    now = engines.clock.now()
    drafts.check_draft(draft, limits, times.moment(now))
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
    now = engines.clock.now()
    prepared = [_prepared(engines, limits, draft, now) for draft in batch]
    answers: list[bytes | BellcastError] = []
    waiting: list[Sending] = []
    for one in prepared:
        if isinstance(one, Sending):
            waiting.append(one)
            continue
        answers += await _commit(engines, waiting)
        waiting = []
        answers.append(one if isinstance(one, BellcastError) else await _announce(engines, one))
    return answers + await _commit(engines, waiting)


async def _commit(engines: Engines, sendings: list[Sending]) -> list[bytes | BellcastError]:
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


def _prepared(
    engines: Engines, limits: Limits, draft: Draft | BellcastError, now: int
) -> Sending | Announcing | BellcastError:
    if isinstance(draft, BellcastError):
        return draft
    try:
        drafts.check_draft(draft, limits, times.moment(now))
    except BellcastError as refusal:
        return refusal
    if isinstance(draft.to, Audience):
        return _announcing(engines, draft, draft.to, now)
    return _sending(engines, draft, draft.to, now)


def _sending(engines: Engines, draft: Draft, to: str | list[str], now: int) -> Sending:
    # A key twice counts once; the order stays.
    recipients = (to,) if isinstance(to, str) else tuple(dict.fromkeys(to))
    ids = tuple(engines.new_id(now) for _ in recipients)
    made = [{"id": id, "recipient": recipient} for id, recipient in zip(ids, recipients, strict=True)]
    return Sending(
        tenant=draft.tenant or DEFAULT_TENANT,
        recipients=recipients,
        ids=ids,
        content=content(draft),
        created_at=now,
        idempotency_key=draft.idempotency_key,
        fingerprint=_fingerprint(draft),
        answer=msgspec.json.encode({"notifications": made}),
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
