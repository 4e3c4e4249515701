"""Connections of a process to PostgreSQL: at most its limit, however many requests wait, and idle ones are closed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from bellcast.kernel.db import postgres
from bellcast.kernel.db.migrations.postgres import SCHEMA
from bellcast.server.checks import OTHER_CONNECTIONS
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App
from tests.journey.channels_app import eventually
from tests.servers import ServerProcess
from tests.store import Store

LIMIT = 4
# Without the workers of autovacuum, which appear in the same view.
COUNT = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'"
WAITING = f"{COUNT} AND wait_event_type = 'Lock'"


@pytest.fixture
async def inspector() -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(engines.postgres().url("postgres"))
    yield connection
    await connection.close()


async def wait_until_equal(inspector: asyncpg.Connection, query: str, database: str, expected: int) -> None:
    await eventually(lambda: inspector.fetchval(query, database), lambda number: number == expected)


@asynccontextmanager
async def recipients_locked(url: str) -> AsyncIterator[None]:
    """Let whatever uses the recipients wait until the end of the context."""
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {SCHEMA}.recipients IN ACCESS EXCLUSIVE MODE")
        yield
    await connection.close()


async def test_process_opens_the_connections_of_the_setting_and_no_more(
    tmp_path: Path, inspector: asyncpg.Connection
) -> None:
    await engines.postgres().drop("limited")
    url = await engines.postgres().make("limited")
    environ = {"BELLCAST_STORE": url, "BELLCAST_STORE_CONNECTIONS": str(LIMIT)}
    with ServerProcess(tmp_path / "data", environ) as server:
        async with httpx.AsyncClient(base_url=server.url, headers=server.as_app(), timeout=60) as client:
            async with recipients_locked(url):
                lists = [client.get("/v1/recipients", params={"text": f"r{number}"}) for number in range(5 * LIMIT)]
                calls = asyncio.gather(*lists)
                await wait_until_equal(inspector, WAITING, "limited", LIMIT)
            assert {response.status_code for response in await calls} == {200}
        # The process keeps its own open for a minute; the one that held the lock leaves the view within moments.
        allowed = range(LIMIT, LIMIT + OTHER_CONNECTIONS + 1)
        await eventually(lambda: inspector.fetchval(COUNT, "limited"), lambda number: number in allowed)


async def test_connections_that_are_not_used_are_closed(
    inspector: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "IDLE_SECONDS", 0.2)
    engine = engines.FreshPostgresEngine(FakeClock())
    await engine.open()
    app = App(Store(engine), FakeClock())
    async with recipients_locked(engine.server.url(engine.database)):
        calls = asyncio.gather(app.open("alice"), app.send("bob", "Hello"))
        await wait_until_equal(inspector, WAITING, engine.database, 2)
    await calls
    await wait_until_equal(inspector, COUNT, engine.database, 1)  # the pool's last one
    assert (await app.inbox("bob")).state.unread == 1
    await engine.close()
