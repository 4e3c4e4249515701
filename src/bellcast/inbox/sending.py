"""From a draft to durable rows: who is addressed, one commit, then everybody who looks is told."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec
from msgspec import Struct

from bellcast.errors import BellcastError, TooMany
from bellcast.model import patterns, times, validation
from bellcast.model.identities import DEFAULT_TENANT
from bellcast.model.limits import Limits
from bellcast.model.notifications import Audience, Draft, content
from bellcast.ports import AnnounceRequest, Context, SendRequest, Sent

# Rows a commit: the more it has, the less each costs. A thousand take the store some 15 ms, and single sends go first.
SEND_BATCH_ROWS = 1000

_encode = msgspec.json.Encoder().encode

SendOrAnnounce: TypeAlias = SendRequest | AnnounceRequest


class OverQuota(Struct, frozen=True):
    """A send beyond its tenant's rate or budget, which may be one that was made already."""

    request: SendOrAnnounce
    error: TooMany


Prepared: TypeAlias = SendOrAnnounce | OverQuota | BellcastError


class Created(Struct, frozen=True):
    """A notification that was made, as the answer names it."""

    id: str
    recipient: str


async def send(engines: Context, limits: Limits, draft: Draft) -> bytes:
    """Commit one draft and publish it. The JSON answer: `{"notifications":[…]}` or `{"announcement":{…}}`."""
    engines.pace.contention.record()
    now = engines.clock.now()
    asked = _prepare(engines, limits, draft, now, times.to_rfc3339(now))
    if isinstance(asked, OverQuota):
        answer = await _stored_answer(engines, asked)
    elif isinstance(asked, AnnounceRequest):
        answer = await _announce(engines, asked)
    elif isinstance(asked, SendRequest):
        (answer,) = await _commit(engines, [asked])
    else:
        answer = asked
    if isinstance(answer, BellcastError):
        raise answer
    return answer


async def send_many(
    engines: Context, limits: Limits, asked: Sequence[Draft | BellcastError]
) -> list[bytes | BellcastError]:
    """Commit many drafts in order, each whole or refused alone; answers and refusals in the same order."""
    answers: list[bytes | BellcastError] = []
    for batch in _batches(asked):
        answers += await _send_batch(engines, limits, batch)
    return answers


async def _send_batch(
    engines: Context, limits: Limits, batch: Sequence[Draft | BellcastError]
) -> list[bytes | BellcastError]:
    answers: list[bytes | BellcastError] = []
    waiting: list[SendRequest] = []
    for one in await _prepared(engines, limits, batch):
        if isinstance(one, SendRequest):
            waiting.append(one)
            continue
        answers += await _commit(engines, waiting)
        waiting = []
        answers.append(await _send_one(engines, one))
    return answers + await _commit(engines, waiting)


async def _send_one(engines: Context, one: AnnounceRequest | OverQuota | BellcastError) -> bytes | BellcastError:
    if isinstance(one, OverQuota):
        return await _stored_answer(engines, one)
    return await _announce(engines, one) if isinstance(one, AnnounceRequest) else one


async def _stored_answer(engines: Context, over: OverQuota) -> bytes | BellcastError:
    """What is asked again is answered again: nothing is sent for it."""
    if over.request.idempotency_key is None:
        return over.error
    try:
        return await engines.store.sends.stored_response(over.request) or over.error
    except BellcastError as refusal:
        return refusal


async def _commit(engines: Context, sendings: Sequence[SendRequest]) -> list[bytes | BellcastError]:
    if not sendings:
        return []
    outcomes = await engines.store.sends.add(sendings)
    for sending, outcome in zip(sendings, outcomes, strict=True):
        if not isinstance(outcome, Sent) or outcome.answer != sending.answer:
            _give_back(engines, sending)
    if len(outcomes) == 1:
        await _publish(engines, outcomes)
    else:
        async for step in engines.pace.batches(len(outcomes)):
            await _publish(engines, outcomes[step])
    return [_result(outcome) for outcome in outcomes]


async def _publish(engines: Context, outcomes: Sequence[Sent | Exception]) -> None:
    await engines.broker.publish(*(event for sent in outcomes if isinstance(sent, Sent) for event in sent.events))


async def _announce(engines: Context, announcing: AnnounceRequest) -> bytes | BellcastError:
    try:
        sent = await engines.store.sends.announce(announcing)
    except BellcastError as refusal:
        _give_back(engines, announcing)
        return refusal
    if sent.answer != announcing.answer:
        _give_back(engines, announcing)
    await engines.broker.publish(*sent.events)
    return sent.answer


def _result(outcome: Sent | Exception) -> bytes | BellcastError:
    if isinstance(outcome, Sent):
        return outcome.answer
    if isinstance(outcome, BellcastError):
        return outcome
    raise outcome


async def _prepared(engines: Context, limits: Limits, batch: Sequence[Draft | BellcastError]) -> list[Prepared]:
    now = engines.clock.now()
    moment = times.to_rfc3339(now)
    prepared: list[Prepared] = []
    async for step in engines.pace.batches(len(batch)):
        prepared += [_prepare(engines, limits, draft, now, moment) for draft in batch[step]]
    return prepared


def _prepare(engines: Context, limits: Limits, draft: Draft | BellcastError, now: int, moment: datetime) -> Prepared:
    if isinstance(draft, BellcastError):
        return draft
    try:
        validation.check_draft(draft, limits, moment)
    except BellcastError as refusal:
        return refusal
    to = draft.to
    asked = (
        _announce_request(engines, draft, to, now)
        if isinstance(to, Audience)
        else _send_request(engines, draft, to, now)
    )
    try:
        engines.quotas.take(*_charge_quota(asked))
    except TooMany as refusal:
        return OverQuota(asked, refusal)
    return asked


def _charge_quota(asked: SendOrAnnounce) -> tuple[str, int]:
    """A notification to each recipient is one send of its tenant, so is an announcement."""
    return (asked.tenant, len(asked.recipients)) if isinstance(asked, SendRequest) else (asked.asked_tenant, 1)


def _give_back(engines: Context, asked: SendOrAnnounce) -> None:
    """Nothing was sent: it is refused, or was answered before."""
    engines.quotas.give_back(*_charge_quota(asked))


def _send_request(engines: Context, draft: Draft, to: str | list[str], now: int) -> SendRequest:
    # A key twice counts once; the order stays.
    recipients = (to,) if isinstance(to, str) else tuple(dict.fromkeys(to))
    ids = tuple([engines.new_id(now) for _ in recipients])
    return SendRequest(
        tenant=draft.tenant or DEFAULT_TENANT,
        recipients=recipients,
        ids=ids,
        content=content(draft),
        created_at=now,
        idempotency_key=draft.idempotency_key,
        fingerprint=_fingerprint(draft),
        answer=_encode({"notifications": list(map(Created, ids, recipients))}),
    )


def _announce_request(engines: Context, draft: Draft, to: Audience, now: int) -> AnnounceRequest:
    id = engines.new_id(now)
    return AnnounceRequest(
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
        if rows >= SEND_BATCH_ROWS:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch
