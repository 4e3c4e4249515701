"""What many read at one time is asked as one, and each hears what it would have heard alone."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import asyncpg
import pytest

from bellcast.errors import Invalid, Unavailable
from bellcast.model.inboxes import Position
from bellcast.ports import OpenInbox, ResumeFrom
from bellcast.storage.postgres import PostgresEngine
from bellcast.storage.store import SQLStore
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App

PEOPLE = [f"r{number}" for number in range(200)]


class Asked(NamedTuple):
    """An app on a database, and somebody who looks at that from outside."""

    app: App
    engine: engines.OwnDatabase
    outside: asyncpg.Connection


@pytest.fixture
async def asked(clock: FakeClock) -> AsyncIterator[Asked]:
    engine = engines.OwnDatabase(clock)
    await engine.open()
    outside = await asyncpg.connect(engine.server.url("postgres"))
    yield Asked(App(SQLStore(engine), clock), engine, outside)
    await outside.close()
    await engine.close()


async def places(app: App) -> list[ResumeFrom]:
    """Where everybody's inbox is now."""
    states = [(await app.inbox(key)).state for key in PEOPLE]
    return [ResumeFrom(Position(state.epoch, state.revision), 100) for state in states]


async def all_return(app: App, places: list[ResumeFrom]) -> list[OpenInbox | BaseException]:
    """Everybody at one time."""
    looks = [app.open(key, since=place) for key, place in zip(PEOPLE, places, strict=True)]
    return await asyncio.gather(*looks, return_exceptions=True)


async def test_each_of_many_who_return_at_one_time_hears_what_it_missed_itself(asked: Asked) -> None:
    app = asked.app
    before = await places(app)
    for number, key in enumerate(PEOPLE):
        for at in range(number % 3):
            await app.send(key, f"{key} {at}")
    for number, (key, opened) in enumerate(zip(PEOPLE, await all_return(app, before), strict=True)):
        assert isinstance(opened, OpenInbox), opened
        assert opened.inbox.state.recipient == key
        assert opened.missed is not None
        titles = [change.notification.title for change in opened.missed.rows if change.notification]
        assert titles == [f"{key} {at}" for at in range(number % 3)]


async def test_many_who_return_at_one_time_are_a_few_questions(asked: Asked) -> None:
    app = asked.app
    before = await places(app)
    done = await transactions(asked)
    for _ in range(5):
        await all_return(app, before)
    assert await transactions(asked) - done < len(PEOPLE)


async def transactions(asked: Asked) -> int:
    """How many there were in the app's database. A question is one; they are all counted once a connection has ended."""
    await PostgresEngine.close(asked.engine)
    await PostgresEngine.open(asked.engine)
    found = await asked.outside.fetchval(
        "SELECT xact_commit FROM pg_stat_database WHERE datname = $1", asked.engine.database
    )
    assert isinstance(found, int)
    return found


async def test_one_that_cannot_be_asked_for_harms_no_other(asked: Asked) -> None:
    app = asked.app
    keys = [*PEOPLE[:20], "a\x00", *PEOPLE[20:]]
    found = await asyncio.gather(*map(app.open, keys), return_exceptions=True)
    assert [key for key, opened in zip(keys, found, strict=True) if not isinstance(opened, OpenInbox)] == ["a\x00"]
    assert isinstance(found[20], Invalid)


async def test_when_the_connections_are_cut_in_the_midst_nobody_waits_for_ever(asked: Asked) -> None:
    app = asked.app
    before = await places(app)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
    for _ in range(5):
        looking = asyncio.ensure_future(all_return(app, before))
        await asked.outside.execute(cut, asked.engine.database)
        for outcome in await asyncio.wait_for(looking, 60):
            assert isinstance(outcome, OpenInbox | Unavailable), outcome
    async with asyncio.timeout(60):  # a cut may be felt a moment after it was made
        while not all(isinstance(opened, OpenInbox) for opened in await all_return(app, before)):
            pass
