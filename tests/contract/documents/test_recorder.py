"""What objects did is stored in the background, on every engine, and by several nodes."""

import pytest

from bellcast.documents import recorder
from bellcast.documents.recorder import Recorder
from bellcast.webhooks.types import ATTEMPTS, MAX_ATTEMPTS, Attempts, StoredAttempt
from tests.clock import FakeClock
from tests.store import Store

PLACE = ("acme", "w1")


def attempts(*at: int) -> Attempts:
    return Attempts(tuple(StoredAttempt(event=f"e{one}", type="message.sent", at=one, ms=1, number=1) for one in at))


def node(store: Store, clock: FakeClock) -> Recorder[Attempts]:
    return Recorder(store, clock, ATTEMPTS, Attempts)


async def last(one: Recorder[Attempts]) -> list[int]:
    found = await one.find([PLACE])
    return [attempt.at for attempt in found.get(PLACE, Attempts()).last]


async def test_records_of_nodes_are_combined_and_bounded(store: Store, clock: FakeClock) -> None:
    here, there = node(store, clock), node(store, clock)
    assert await last(here) == []
    here.add(*PLACE, attempts(1))
    here.add(*PLACE, attempts(3))
    there.add(*PLACE, attempts(2))
    assert (await last(here), await last(there)) == ([1, 3], [2])  # what the node itself has not stored yet
    await here.flush()
    await there.flush()
    assert await last(node(store, clock)) == [1, 2, 3]  # also after a restart
    here.add(*PLACE, attempts(*range(4, 30)))
    await here.flush()
    assert await last(there) == [*range(30 - MAX_ATTEMPTS, 30)]
    await there.forget(*PLACE)
    assert await last(here) == []


async def test_write_is_repeated_if_another_node_writes_first(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there, change = node(store, clock), node(store, clock), store.documents.change
    here.add(*PLACE, attempts(1))
    there.add(*PLACE, attempts(2))

    async def change_later(*args: object) -> bool:
        monkeypatch.setattr(type(store.documents), "change", staticmethod(change))
        await there.flush()
        return await change(*args)

    monkeypatch.setattr(type(store.documents), "change", staticmethod(change_later))
    await here.flush()
    assert await last(here) == [1, 2]


async def test_flush_is_bounded_and_the_others_wait(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FLUSHED_OBJECTS", 2)
    monkeypatch.setattr(recorder, "MAX_WAITING_OBJECTS", 3)
    here, places = node(store, clock), [("", f"w{number}") for number in range(4)]
    for place in places:
        here.add(*place, attempts(1))
    await here.flush()
    assert [*await node(store, clock).find(places)] == places[:2]
    assert [*await here.find(places)] == places[:3]  # the fourth had no room
    await here.flush()
    assert [*await node(store, clock).find(places)] == places[:3]
