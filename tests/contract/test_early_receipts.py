"""Receipts that arrive before the commit of what they are about."""

import msgspec

from bellcast.channels.receipts import Receipts
from bellcast.jobs import JobRunner
from bellcast.model.ids import Ids
from bellcast.ports import NewMessage, Store
from bellcast.ports.messages import MessageUpdate
from bellcast.ports.providers import Receipt
from bellcast.ports.webhooks import NoWebhooks
from tests.clock import FakeClock


async def test_early_receipt_is_applied_once_its_message_is_known(store: Store, clock: FakeClock) -> None:
    ids = Ids()
    jobs = JobRunner(store.jobs, clock, ids.new)
    receipts = Receipts(store, clock, NoWebhooks(), jobs)
    await receipts.take_receipt("sms", "", Receipt("SM1", "delivered"))
    await receipts.take_receipt("sms", "", Receipt("unknown", "delivered"))
    clock.advance(1)
    assert await jobs.run_due() == 2
    id = ids.new(clock.now())
    message = NewMessage(
        id=id,
        tenant="",
        recipient="alice",
        notification=None,
        channel="sms",
        type="general",
        priority="normal",
        address="+431",
        due_at=2**52,
        created_at=clock.now(),
        content=b"{}",
    )
    await store.messages.add([message])
    (stored,) = await store.messages.find([id])
    accepted = msgspec.structs.replace(stored, state="sent", provider="sms", reference="SM1")
    await store.messages.finish([MessageUpdate(message=accepted)], clock.now())
    for seconds in (5, 30, 120, 600):
        clock.advance(seconds)
        await jobs.run_due()
    (stored,) = await store.messages.find([id])
    assert stored.state == "delivered"
    assert [group.kind for group in await store.jobs.due(2**51)] == []
