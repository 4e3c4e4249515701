"""Sending: to named recipients one row each, to many by one name one row for all."""

from collections.abc import Iterator, Sequence

from bellcast.errors import BellcastError, IdempotencyMismatch
from bellcast.model.events import AnnouncementChanged, Event
from bellcast.model.identities import EVERY_TENANT
from bellcast.model.notifications import Edit
from bellcast.ports import AnnounceRequest, SendRequest, Sent, SentItem
from bellcast.storage import announcements, insert, insert_postgres, rows, sent, tenants
from bellcast.storage.engine import Engine, Script, Statement, WriteConflict
from bellcast.storage.locks import locks
from bellcast.storage.merging import mergeable

# Rows a script: what a single send waits for in company. Where nobody waits, many scripts are run as one.
SCRIPT_ROWS = 25
IDEMPOTENCY_MS = 24 * 60 * 60 * 1000  # ms an idempotency key is kept


class Sends:
    """ports.Sends on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, sendings: Sequence[SendRequest]) -> list[Sent | Exception]:
        """Commit each sending whole or not at all."""
        slices = list(_scripts(sendings))
        outcomes = await self._engine.write_each(_add, slices)
        return [one for pair in zip(slices, outcomes, strict=True) for one in await self._each(*pair)]

    async def _each(self, slice: Sequence[SendRequest], outcome: list[Sent] | Exception) -> Sequence[Sent | Exception]:
        """What became of each sending of a slice. One that breaks is its own affair, so the others are sent alone."""
        if not isinstance(outcome, Exception):
            return outcome
        if len(slice) == 1 or isinstance(outcome, BellcastError):  # the database is away, or full, for all
            return [outcome] * len(slice)
        alone = await self._engine.write_each(_add, [[sending] for sending in slice])
        return [one if isinstance(one, Exception) else one[0] for one in alone]

    async def announce(self, announcing: AnnounceRequest) -> Sent:
        """Commit one row, whatever the size of its audience."""
        return await self._engine.write(_announce, announcing)

    async def stored_response(self, asked: SendRequest | AnnounceRequest) -> bytes | None:
        """The answer already given under the same key."""
        return await self._engine.read(_stored_response, _tenant(asked), asked)

    async def find(self, tenant: str, id: str) -> SentItem | None:
        """A notification or announcement of that tenant."""
        return await self._engine.read(sent.find, tenant, id)

    async def edit(self, tenant: str, id: str, edit: Edit, now: int) -> tuple[SentItem, tuple[Event, ...]] | None:
        """Correct it in every inbox that has it."""
        inbox = await self._engine.read(sent.inbox_of, tenant, id)
        return await self._engine.write(sent.edit, tenant, id, edit, now, inbox)

    async def recall(self, tenant: str, id: str, now: int) -> tuple[Event, ...] | None:
        """Take it out of every inbox that has it."""
        inbox = await self._engine.read(sent.inbox_of, tenant, id)
        return await self._engine.write(sent.recall, tenant, id, now, inbox)

    async def materialize(self, tenant: str, recipients: Sequence[str], now: int) -> list[Event]:
        """Take pending announcements into these existing inboxes, slice by slice."""
        events: list[Event] = []
        for start in range(0, len(recipients), announcements.MATERIALIZE_BATCH_INBOXES):
            events += await self._engine.write(
                announcements.materialize,
                tenant,
                recipients[start : start + announcements.MATERIALIZE_BATCH_INBOXES],
                now,
            )
        return events


def _scripts(sendings: Sequence[SendRequest]) -> Iterator[list[SendRequest]]:
    """Cut into what one script takes: about SLICE rows, or one sending that has an idempotency key."""
    slice: list[SendRequest] = []
    count = 0
    for sending in sendings:
        if slice and (count >= SCRIPT_ROWS or sending.idempotency_key is not None):
            yield slice
            slice, count = [], 0
        slice.append(sending)
        count += len(sending.recipients) if sending.idempotency_key is None else SCRIPT_ROWS
    if slice:
        yield slice


def _rows(sendings: Sequence[SendRequest]) -> int:
    return sum([len(sending.recipients) for sending in sendings])


def _names(sendings: Sequence[SendRequest]) -> set[tuple[str, str]]:
    return {(sending.tenant, key) for sending in sendings for key in sending.recipients}


@locks(_names)
@mergeable(
    may=lambda sendings: sendings[0].idempotency_key is None,
    rows=_rows,
    outright=insert_postgres.add,
    before=insert_postgres.ensure_recipients,
)
def _add(sendings: Sequence[SendRequest]) -> Script[list[Sent]]:
    """Sendings without idempotency keys, or one that may have one."""
    first = sendings[0]
    given = yield from _stored_response(first.tenant, first)
    if given is not None:
        return [Sent(given)]
    sent = yield from insert.add(sendings)
    yield from _store_response(first.tenant, first)
    return sent


def _stored_response(tenant: str, asked: SendRequest | AnnounceRequest) -> Script[bytes | None]:
    """The answer already given under the same key."""
    if asked.idempotency_key is None:
        return None
    params = {"tenant": tenant, "key": asked.idempotency_key, "since": asked.created_at - IDEMPOTENCY_MS}
    kept = yield Statement("idempotency_find", params)
    if not kept:
        return None
    fingerprint, answer = kept[0]
    if fingerprint != asked.fingerprint:
        raise IdempotencyMismatch
    return bytes(answer)


def _tenant(asked: SendRequest | AnnounceRequest) -> str:
    """Whose idempotency keys."""
    return asked.tenant if isinstance(asked, SendRequest) else asked.asked_tenant


def _store_response(tenant: str, asked: SendRequest | AnnounceRequest) -> Script[None]:
    if asked.idempotency_key is None:
        return
    kept = yield Statement(
        "idempotency_keep",
        {
            "tenant": tenant,
            "key": asked.idempotency_key,
            "fingerprint": asked.fingerprint,
            "answer": asked.answer,
            "created_at": asked.created_at,
            "since": asked.created_at - IDEMPOTENCY_MS,
        },
    )
    if not kept:
        raise WriteConflict


@locks(lambda announcing: [])
def _announce(announcing: AnnounceRequest) -> Script[Sent]:
    given = yield from _stored_response(announcing.asked_tenant, announcing)
    if given is not None:
        return Sent(given)
    if announcing.tenant != EVERY_TENANT:
        yield from tenants.ensure_tenant(announcing.tenant, announcing.created_at)
    seq = yield from sent.next_number()
    columns = rows.content_params(announcing.content, announcing.created_at)
    where = {"seq": seq, "id": announcing.id, "tenant": announcing.tenant, "topic": announcing.topic}
    yield Statement("announcement_insert", {**columns, **where})
    yield from _store_response(announcing.asked_tenant, announcing)
    return Sent(announcing.answer, (AnnouncementChanged(announcing.tenant, announcing.topic),))
