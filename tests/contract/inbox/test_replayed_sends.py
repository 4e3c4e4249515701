"""A repeated idempotency key returns the stored response and counts once against rate and daily budget."""

import msgspec
import pytest

from bellcast.inbox import sending
from bellcast.inbox.quotas import Quotas
from bellcast.inbox.types import Draft
from bellcast.inbox.types.sends import SendRequest
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.errors import BellcastError, IdempotencyMismatch, Invalid, TooMany, Unavailable
from bellcast.kernel.ids import Ids
from bellcast.kernel.limits import Limits
from bellcast.live.cluster.members import SharedRates
from tests.contexts import InboxOnly, idle_context
from tests.contract.app import App
from tests.store import Store

PER_DAY = 3


class Sender:
    """An app with three sends a day."""

    def __init__(self, app: App, limits: Limits) -> None:
        self.limits = limits
        broker = MemoryBroker()
        rates = SharedRates(app.clock)
        self.quotas = Quotas(app.store, rates, limits, app.clock)
        self.engines = idle_context(app.store, broker, app.clock, Ids().new, quotas=self.quotas, rates=rates)

    async def send(self, key: str | None, to: object = "alice", title: str = "Hello") -> bytes:
        return await sending.send(self.engines, self.limits, draft(key, to, title))

    async def send_until_refused(self) -> int:
        """Send until refused; return the number of accepted sends."""
        sent = 0
        while True:
            try:
                await self.send(None)
            except TooMany:
                return sent
            sent += 1


def draft(key: str | None, to: object = "alice", title: str = "Hello") -> Draft:
    return msgspec.convert({"to": to, "title": title, "idempotency_key": key}, Draft)


@pytest.fixture(params=[{"sends_per_day": PER_DAY}, {"sends_per_second": PER_DAY}], ids=["a day", "a second"])
async def sender(request: pytest.FixtureRequest, store: Store, app: App) -> Sender:
    sender = Sender(app, Limits(**request.param))
    await sender.engines.broker.open()
    return sender


@pytest.mark.parametrize("to", ["alice", ["alice"], {"all": True}], ids=["one", "list", "announcement"])
async def test_send_and_its_repetitions_count_once(sender: Sender, to: object) -> None:
    first = await sender.send("k", to)
    for _ in range(4):
        assert await sender.send("k", to) == first
        await sender.quotas.save()
    assert await sender.send_until_refused() == PER_DAY - 1


async def test_repetition_is_answered_when_the_quota_is_used_up(sender: Sender) -> None:
    first = await sender.send("k")
    assert await sender.send_until_refused() == PER_DAY - 1
    assert await sender.send("k") == first
    with pytest.raises(IdempotencyMismatch):
        await sender.send("k", title="Another")
    with pytest.raises(TooMany):
        await sender.send("new")


async def test_repetitions_in_a_bulk_request_count_once(sender: Sender) -> None:
    drafts: list[Draft | BellcastError] = [draft("a"), draft("b", {"all": True}), draft("a"), draft("c"), draft("d")]
    first = await sending.BulkSend(sender.engines, sender.limits).send(drafts)
    assert [isinstance(outcome, TooMany) for outcome in first] == [False, False, False, True, True]
    assert first[2] == first[0]
    assert await sender.send_until_refused() == 1  # the third send was a repetition
    again = await sending.BulkSend(sender.engines, sender.limits).send(drafts)
    assert again[:3] == first[:3]
    assert [isinstance(outcome, TooMany) for outcome in again[3:]] == [True, True]


async def test_refused_repetition_does_not_count(sender: Sender) -> None:
    await sender.send("k")
    for _ in range(4):
        with pytest.raises(IdempotencyMismatch):
            await sender.send("k", title="Another")
    assert await sender.send_until_refused() == PER_DAY - 1


class RouterAfterOutage(InboxOnly):
    """Cannot reach the store for the draft "down"; the others are routed."""

    def is_inbox_only(self, draft: Draft, tenant: str) -> bool:
        """Never called: each draft is routed."""
        return False

    async def route(self, draft: Draft, request: SendRequest) -> SendRequest:
        """Raise Unavailable for the draft "down"."""
        if draft.idempotency_key == "down":
            raise Unavailable("The store cannot be reached.")
        return request


async def test_drafts_behind_one_that_met_an_outage_do_not_overtake_it(sender: Sender) -> None:
    sender.engines = msgspec.structs.replace(sender.engines, router=RouterAfterOutage())
    drafts: list[Draft | BellcastError] = [draft("a"), draft("down"), draft("b"), Invalid("no title")]
    outcome = await sending.BulkSend(sender.engines, sender.limits).send(drafts)
    assert isinstance(outcome[0], bytes)
    assert [type(one) for one in outcome[1:]] == [Unavailable, Unavailable, Invalid]
    sender.engines = msgspec.structs.replace(sender.engines, router=InboxOnly())
    assert await sender.send_until_refused() == PER_DAY - 1  # only the first was charged


async def test_drafts_of_a_tenant_behind_one_that_exceeds_its_quota_are_refused(sender: Sender) -> None:
    many = [
        draft(None, title="One"),
        draft(None, [f"r{number}" for number in range(4)], "Many"),
        draft(None, title="Two"),
    ]
    other = msgspec.structs.replace(many[0], tenant="globex")
    responses = await sending.BulkSend(sender.engines, sender.limits).send([*many, other])
    assert [type(response) for response in responses] == [bytes, TooMany, TooMany, bytes]
