"""What is asked again under its idempotency key is answered again, and counts once: against the rate, against the day."""

import msgspec
import pytest

from bellcast.brokers.memory import MemoryBroker
from bellcast.errors import BellcastError, IdempotencyMismatch, TooMany
from bellcast.inbox import sending
from bellcast.inbox.quotas import Quotas
from bellcast.model.ids import Ids
from bellcast.model.limits import Limits
from bellcast.model.notifications import Draft
from bellcast.model.token_bucket import TokenBuckets
from bellcast.ports import Context, Store
from tests.contract.app import App

PER_DAY = 3


class Desk:
    """An app's way to send, with three sends a day."""

    def __init__(self, app: App, limits: Limits) -> None:
        self.limits = limits
        rates = TokenBuckets()
        self.quotas = Quotas(app.store, rates, limits, app.clock)
        self.engines = Context(app.store, MemoryBroker(), app.clock, Ids().new, self.quotas, rates)

    async def send(self, key: str | None, to: object = "alice", title: str = "Hello") -> bytes:
        return await sending.send(self.engines, self.limits, draft(key, to, title))

    async def left(self) -> int:
        """How many may still be sent; they are."""
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
async def desk(request: pytest.FixtureRequest, store: Store, app: App) -> Desk:
    made = Desk(app, Limits(**request.param))
    await made.engines.broker.open()
    return made


@pytest.mark.parametrize("to", ["alice", ["alice"], {"all": True}], ids=["one", "list", "announcement"])
async def test_a_send_and_its_repetitions_are_one(desk: Desk, to: object) -> None:
    first = await desk.send("k", to)
    for _ in range(4):
        assert await desk.send("k", to) == first
        await desk.quotas.save()
    assert await desk.left() == PER_DAY - 1


async def test_it_is_answered_when_nothing_more_may_be_sent(desk: Desk) -> None:
    first = await desk.send("k")
    assert await desk.left() == PER_DAY - 1
    assert await desk.send("k") == first
    with pytest.raises(IdempotencyMismatch):
        await desk.send("k", title="Another")
    with pytest.raises(TooMany):
        await desk.send("new")


async def test_so_are_those_of_a_bulk_request(desk: Desk) -> None:
    asked: list[Draft | BellcastError] = [draft("a"), draft("b", {"all": True}), draft("a"), draft("c"), draft("d")]
    first = await sending.send_many(desk.engines, desk.limits, asked)
    assert [isinstance(one, TooMany) for one in first] == [False, False, False, True, True]
    assert first[2] == first[0]
    assert await desk.left() == 1  # the third was no send
    again = await sending.send_many(desk.engines, desk.limits, asked)
    assert again[:3] == first[:3]
    assert [isinstance(one, TooMany) for one in again[3:]] == [True, True]


async def test_what_is_refused_counts_nothing(desk: Desk) -> None:
    await desk.send("k")
    for _ in range(4):
        with pytest.raises(IdempotencyMismatch):
            await desk.send("k", title="Another")
    assert await desk.left() == PER_DAY - 1
