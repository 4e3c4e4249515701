"""Concurrent reads are batched into few queries, and each caller gets its own rows."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import asyncpg
import pytest

from bellcast.inbox.types.inboxes import OpenInbox, Position, ResumeFrom
from bellcast.kernel.db.postgres import PostgresEngine
from bellcast.kernel.errors import Invalid, Unavailable
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store

RECIPIENTS = [f"r{number}" for number in range(200)]


class AppDatabase(NamedTuple):
    """An app on a database, and an outside connection to inspect it."""

    app: App
    engine: engines.FreshPostgresEngine
    inspector: asyncpg.Connection


@pytest.fixture
async def database(clock: FakeClock) -> AsyncIterator[AppDatabase]:
    engine = engines.FreshPostgresEngine(clock)
    await engine.open()
    inspector = await asyncpg.connect(engine.server.url("postgres"))
    yield AppDatabase(App(Store(engine), clock), engine, inspector)
    await inspector.close()
    await engine.close()


async def positions(app: App) -> list[ResumeFrom]:
    """Return the current position of every inbox."""
    states = [(await app.inbox(key)).state for key in RECIPIENTS]
    return [ResumeFrom(Position(state.epoch, state.revision), 100) for state in states]


async def resume_all(app: App, positions: list[ResumeFrom]) -> list[OpenInbox | BaseException]:
    """Open every inbox at the same time."""
    opens = [app.open(key, since=position) for key, position in zip(RECIPIENTS, positions, strict=True)]
    return await asyncio.gather(*opens, return_exceptions=True)


@pytest.mark.thorough
async def test_concurrent_resumes_return_each_inboxs_own_changes(database: AppDatabase) -> None:
    app = database.app
    before = await positions(app)
    for number, key in enumerate(RECIPIENTS):
        for at in range(number % 3):
            await app.send(key, f"{key} {at}")
    for number, (key, opened) in enumerate(zip(RECIPIENTS, await resume_all(app, before), strict=True)):
        assert isinstance(opened, OpenInbox), opened
        assert opened.inbox.state.recipient == key
        assert opened.missed is not None
        titles = [change.notification.title for change in opened.missed.rows if change.notification]
        assert titles == [f"{key} {at}" for at in range(number % 3)]


@pytest.mark.thorough
async def test_concurrent_resumes_use_few_queries(database: AppDatabase) -> None:
    app = database.app
    before = await positions(app)
    count_before = await transactions(database)
    for _ in range(5):
        await resume_all(app, before)
    assert await transactions(database) - count_before < len(RECIPIENTS)


async def transactions(database: AppDatabase) -> int:
    """Return the number of transactions in the app's database: one per query, counted when a connection closes."""
    await PostgresEngine.close(database.engine)
    open_connections = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1"
    while await database.inspector.fetchval(open_connections, database.engine.database):  # noqa: ASYNC110 - they end after `close`
        await asyncio.sleep(0.01)
    await PostgresEngine.open(database.engine)
    count = await database.inspector.fetchval(
        "SELECT xact_commit FROM pg_stat_database WHERE datname = $1", database.engine.database
    )
    assert isinstance(count, int)
    return count


async def test_invalid_key_fails_no_other_open(database: AppDatabase) -> None:
    app = database.app
    keys = [*RECIPIENTS[:20], "a\x00", *RECIPIENTS[20:]]
    outcomes = await asyncio.gather(*map(app.open, keys), return_exceptions=True)
    assert [key for key, opened in zip(keys, outcomes, strict=True) if not isinstance(opened, OpenInbox)] == ["a\x00"]
    assert isinstance(outcomes[20], Invalid)


@pytest.mark.thorough
async def test_concurrent_resumes_survive_terminated_connections(database: AppDatabase) -> None:
    app = database.app
    before = await positions(app)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
    for _ in range(5):
        opening = asyncio.ensure_future(resume_all(app, before))
        await database.inspector.execute(cut, database.engine.database)
        for outcome in await asyncio.wait_for(opening, 60):
            assert isinstance(outcome, OpenInbox | Unavailable), outcome
    async with asyncio.timeout(60):  # a connection may notice its termination later
        while not all(isinstance(opened, OpenInbox) for opened in await resume_all(app, before)):
            pass
