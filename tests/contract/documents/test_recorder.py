"""What objects did is stored in the background, on every engine, and by several nodes."""

import asyncio
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from bellcast.documents import recorder
from bellcast.documents.recorder import Recorder
from bellcast.documents.store import Documents
from bellcast.kernel.errors import Unavailable
from bellcast.webhooks.types import ATTEMPTS, MAX_ATTEMPTS, Attempts, StoredAttempt
from bellcast.webhooks.webhooks import KIND
from bellcast.workflows.event_sources import SourceUse
from tests.clock import FakeClock
from tests.store import Store

PLACE = ("acme", "w1")


def attempts(*at: int) -> Attempts:
    return Attempts(tuple(StoredAttempt(event=f"e{one}", type="message.sent", at=one, ms=1, number=1) for one in at))


def node(store: Store, clock: FakeClock) -> Recorder[Attempts]:
    return Recorder(store.engine, clock, ATTEMPTS, KIND, Attempts)


async def make(store: Store, *places: tuple[str, str]) -> None:
    for place in places:
        await store.documents.put(KIND, *place, b"{}", 1)


async def last(one: Recorder[Attempts]) -> list[int]:
    found, _ = await one.find([PLACE])
    return [attempt.at for attempt in found.get(PLACE, Attempts()).last]


async def test_records_of_nodes_are_combined_and_bounded(store: Store, clock: FakeClock) -> None:
    await make(store, PLACE)
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


async def test_record_that_is_being_stored_is_counted_once(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(store, PLACE)
    one, combine = Recorder(store.engine, clock, ATTEMPTS, KIND, SourceUse), Documents.combine
    is_stored, may_end = asyncio.Event(), asyncio.Event()

    async def held(*given: Any) -> None:
        await combine(*given)
        is_stored.set()
        await may_end.wait()

    monkeypatch.setattr(Documents, "combine", held)
    one.add(*PLACE, SourceUse({0: 1}, 1))
    flushing = asyncio.create_task(one.flush())
    await is_stored.wait()
    reading = asyncio.create_task(one.find([PLACE]))
    await asyncio.sleep(0)
    may_end.set()
    assert await reading == ({PLACE: SourceUse({0: 1}, 1)}, 0)
    await flushing


async def test_nodes_store_records_of_the_same_objects_at_the_same_time(store: Store, clock: FakeClock) -> None:
    nodes, places = [node(store, clock) for _ in range(4)], [PLACE, ("acme", "w2")]
    await make(store, *places)
    for number, one in enumerate(nodes):
        for place in places:
            one.add(*place, attempts(number))
    await asyncio.gather(*(one.flush() for one in nodes))
    assert await node(store, clock).find(places) == (dict.fromkeys(places, attempts(*range(4))), 0)


async def test_flush_stores_all_and_what_is_beyond_the_limit_is_dropped(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FLUSHED_OBJECTS", 2)
    monkeypatch.setattr(recorder, "MAX_WAITING_OBJECTS", 3)
    here, places = node(store, clock), [("", f"w{number}") for number in range(5)]
    await make(store, *places)
    for number, place in enumerate(places):
        here.add(*place, attempts(number))
    assert [*(await here.find(places))[0]] == places[:3]
    with capture_logs() as logged:
        await here.flush()
    assert [line["event"] for line in logged] == ["records_dropped"]
    reads, read = [], Documents.bodies

    async def count(*args: Any) -> Any:
        reads.append(args)
        return await read(*args)

    monkeypatch.setattr(Documents, "bodies", count)
    found, dropped_at = await node(store, clock).find(places)
    assert (sorted(found), dropped_at, len(reads)) == (places[:3], clock.now(), 1)


async def test_of_dropped_records_only_the_time_is_stored(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MAX_WAITING_OBJECTS", 0)
    here = node(store, clock)
    assert await here.find([]) == ({}, 0)
    here.add(*PLACE, attempts(2))
    assert await here.find([]) == ({}, clock.now())  # also before it is stored
    await here.flush()
    stored = await store.documents.get(ATTEMPTS, *recorder.DROPPED)
    assert stored is not None
    assert msgspec.json.decode(stored.body) == {"last_at": clock.now()}
    dropped_at = clock.now()
    clock.advance(60)
    await here.flush()
    assert await node(store, clock).find([]) == ({}, dropped_at)


async def test_record_that_cannot_be_stored_waits(store: Store, clock: FakeClock) -> None:
    await make(store, PLACE)
    here, write = node(store, clock), store.engine.write

    async def fail(*_: object) -> None:
        here.add(*PLACE, attempts(2))
        raise Unavailable

    here.add(*PLACE, attempts(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.engine, "write", fail)
        await here.flush()
    assert store.engine.write == write
    assert await last(here) == [1, 2]
    await here.flush()
    assert await last(node(store, clock)) == [1, 2]


async def test_record_of_an_interrupted_flush_is_stored(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is stopped in the moment of a flush."""
    await make(store, PLACE)
    here, combine = node(store, clock), Documents.combine
    has_begun, may_end, is_stored = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def held(*given: Any) -> None:
        has_begun.set()
        await may_end.wait()
        await combine(*given)
        is_stored.set()

    monkeypatch.setattr(Documents, "combine", held)
    here.add(*PLACE, attempts(1))
    flushing = asyncio.create_task(here.flush())
    await has_begun.wait()
    flushing.cancel()
    await asyncio.wait([flushing])
    may_end.set()
    async with asyncio.timeout(10):
        await is_stored.wait()
    assert await last(node(store, clock)) == [1]


async def test_record_of_an_object_that_was_deleted_is_not_stored(store: Store, clock: FakeClock) -> None:
    here = node(store, clock)
    here.add(*PLACE, attempts(1))
    await here.flush()
    await make(store, PLACE)
    assert await last(here) == []
