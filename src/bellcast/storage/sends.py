"""Sending: to named recipients one row each, to many by one name one row for all."""

from collections.abc import Sequence

from bellcast.errors import IdempotencyMismatch
from bellcast.model.events import AnnouncementChanged, Event, NotificationAdded
from bellcast.model.inboxes import InboxState
from bellcast.model.notifications import Edit
from bellcast.model.people import EVERY_TENANT
from bellcast.ports import Announcing, Found, Sending, Sent
from bellcast.storage import arrivals, corrections, intake, rows, tenants
from bellcast.storage.engine import Engine, OvertakenError, Row, Script, Statement
from bellcast.storage.touching import touches

REMEMBERED = 24 * 60 * 60 * 1000  # ms an idempotency key is kept


class Sends:
    """ports.Sends on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, sendings: Sequence[Sending]) -> list[Sent | Exception]:
        """Commit each sending whole or not at all."""
        return await self._engine.write_each(_add, sendings)

    async def announce(self, announcing: Announcing) -> Sent:
        """Commit one row, whatever the size of its audience."""
        return await self._engine.write(_announce, announcing)

    async def find(self, tenant: str, id: str) -> Found | None:
        """A notification or announcement of that tenant."""
        return await self._engine.read(corrections.find, tenant, id)

    async def edit(self, tenant: str, id: str, edit: Edit, now: int) -> tuple[Found, tuple[Event, ...]] | None:
        """Correct it in every inbox that has it."""
        inbox = await self._engine.read(corrections.inbox_of, tenant, id)
        return await self._engine.write(corrections.edit, tenant, id, edit, now, inbox)

    async def recall(self, tenant: str, id: str, now: int) -> tuple[Event, ...] | None:
        """Take it out of every inbox that has it."""
        inbox = await self._engine.read(corrections.inbox_of, tenant, id)
        return await self._engine.write(corrections.recall, tenant, id, now, inbox)

    async def take_in(self, tenant: str, recipients: Sequence[str], now: int) -> list[Event]:
        """Take pending announcements into these existing inboxes, slice by slice."""
        events: list[Event] = []
        for start in range(0, len(recipients), intake.SLICE):
            events += await self._engine.write(intake.take_in, tenant, recipients[start : start + intake.SLICE], now)
        return events


@touches(lambda sending: [(sending.tenant, key) for key in sending.recipients])
def _add(sending: Sending) -> Script[Sent]:
    given = yield from _given(sending.tenant, sending)
    if given is not None:
        return Sent(given)
    columns = rows.content_params(sending.content, sending.created_at)
    events = []
    for id, key in zip(sending.ids, sending.recipients, strict=True):
        number, *state = yield from _received(sending.tenant, key, sending.created_at)
        params = {**columns, "inbox": number, "id": id, "revision": state[1]}
        yield Statement("notification_insert", params)
        if sending.content.tags:
            yield Statement("tag_row", many=[{"inbox": number, "id": id, "tag": tag} for tag in sending.content.tags])
        added = rows.fresh(id, sending.content, sending.created_at)
        events.append(NotificationAdded(InboxState(sending.tenant, key, *state), added))
    yield from _keep(sending.tenant, sending)
    return Sent(sending.answer, tuple(events))


def _received(tenant: str, key: str, now: int) -> Script[Row]:
    received = yield Statement("inbox_receive", {"tenant": tenant, "key": key})
    if not received:
        yield from arrivals.arrive(tenant, key, now)
        received = yield Statement("inbox_receive", {"tenant": tenant, "key": key})
    return received[0]


def _given(tenant: str, asked: Sending | Announcing) -> Script[bytes | None]:
    """The answer already given under the same key."""
    if asked.idempotency_key is None:
        return None
    params = {"tenant": tenant, "key": asked.idempotency_key, "since": asked.created_at - REMEMBERED}
    kept = yield Statement("idempotency_find", params)
    if not kept:
        return None
    fingerprint, answer = kept[0]
    if fingerprint != asked.fingerprint:
        raise IdempotencyMismatch
    return bytes(answer)


def _keep(tenant: str, asked: Sending | Announcing) -> Script[None]:
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
            "since": asked.created_at - REMEMBERED,
        },
    )
    if not kept:
        raise OvertakenError


@touches(lambda announcing: [])
def _announce(announcing: Announcing) -> Script[Sent]:
    given = yield from _given(announcing.asked_tenant, announcing)
    if given is not None:
        return Sent(given)
    if announcing.tenant != EVERY_TENANT:
        yield from tenants.arrive(announcing.tenant, announcing.created_at)
    seq = yield from corrections.next_number()
    columns = rows.content_params(announcing.content, announcing.created_at)
    where = {"seq": seq, "id": announcing.id, "tenant": announcing.tenant, "topic": announcing.topic}
    yield Statement("announcement_insert", {**columns, **where})
    yield from _keep(announcing.asked_tenant, announcing)
    return Sent(announcing.answer, (AnnouncementChanged(announcing.tenant, announcing.topic),))
