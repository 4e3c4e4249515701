"""The upgrade of a PostgreSQL store while other servers use it: it waits for dumps without stopping the servers, continues
after an interruption, and runs once."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from structlog.testing import capture_logs

from bellcast.kernel.db.migrations import postgres as migrations
from bellcast.kernel.db.postgres import PostgresEngine
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App
from tests.migration.test_rolling import migrate_to
from tests.servers import ServerProcess
from tests.store import Store

TABLES = Path(__file__).parent.parent / "fixtures" / "tables"  # as commit 7ee7e954 created them, in 31 and 33 steps
RELEASED = (33, 37)  # of 7ee7e954, and the step before the newest
OBJECTS = """
SELECT indexdef FROM pg_indexes WHERE schemaname = 'bellcast'
UNION ALL SELECT table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns
WHERE table_schema = 'bellcast' AND table_name <> 'schema_version'
UNION ALL SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v' AND relnamespace = 'bellcast'::regnamespace
UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'bellcast'::regnamespace
ORDER BY 1
"""
NEXT_STEP = """
ALTER TABLE notifications ADD COLUMN next BIGINT;
CREATE INDEX notifications_next ON notifications (next) WHERE next IS NOT NULL;
"""


@pytest.fixture
async def url() -> AsyncIterator[str]:
    server = engines.postgres()
    yield await server.make("upgraded")
    await server.drop("upgraded")


@pytest.fixture
async def raw(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


def with_next(step: str) -> dict[int, str]:
    """Return the steps of the version after this one."""
    steps = migrations.steps()
    return steps | {max(steps) + 1: step}


async def objects(connection: asyncpg.Connection) -> list[str]:
    return [str(row[0]) for row in await connection.fetch(OBJECTS)]


async def is_valid(connection: asyncpg.Connection, index: str) -> bool | None:
    found = await connection.fetchval(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('bellcast.' || $1)", index
    )
    return None if found is None else bool(found)


@pytest.mark.parametrize("version", RELEASED)
async def test_upgraded_store_equals_a_new_one(
    raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    await migrate_to(raw, monkeypatch, version)
    await migrations.migrate(raw)
    upgraded = await objects(raw)
    await raw.execute("DROP SCHEMA bellcast CASCADE")
    await migrations.migrate(raw)
    assert upgraded == await objects(raw)


async def test_first_step_creates_the_tables_of_the_oldest_version(
    raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate_to(raw, monkeypatch, 33)
    assert await objects(raw) == json.loads((TABLES / "postgres-33.json").read_text(encoding="utf-8"))


@pytest.mark.thorough
async def test_servers_keep_working_while_an_upgrade_waits_for_a_dump(
    url: str, raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(PostgresEngine(url, FakeClock()))  # a server of the older version
    await store.open()
    app = App(store, FakeClock())
    await app.send("alice")
    monkeypatch.setattr(migrations, "MIN_PAUSE_SECONDS", 0.1)
    steps = with_next(NEXT_STEP)
    monkeypatch.setattr(migrations, "steps", lambda: steps)
    dump, number = await asyncpg.connect(url), 1
    with capture_logs() as logs:
        async with dump.transaction(isolation="repeatable_read", readonly=True):
            await dump.fetch("SELECT * FROM bellcast.notifications")
            upgrade = asyncio.create_task(migrations.migrate(raw))
            while sum(entry["event"] == "migration_waits" for entry in logs) < 3:
                await app.send("alice")  # fails after 10 s behind a lock that waits for the dump
                await app.page("alice")
                number += 1
            assert not upgrade.done()
        await upgrade
    await app.send("alice")
    assert (await app.counts("alice"))[0] == number + 1
    assert await is_valid(raw, "notifications_next")
    assert await migrations.version(raw) == max(steps)
    await dump.close()
    await store.close()


@pytest.mark.parametrize("limit", ["statement_timeout", "lock_timeout"])
async def test_index_takes_longer_than_the_limits_of_the_database(
    url: str, raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    await migrations.migrate(raw)
    await raw.execute(f"ALTER DATABASE upgraded SET {limit} = '100ms'")
    steps = with_next("CREATE INDEX notifications_next ON notifications (recipient, title);")
    monkeypatch.setattr(migrations, "steps", lambda: steps)
    server, other = await asyncpg.connect(url), await asyncpg.connect(url)
    async with other.transaction(isolation="repeatable_read", readonly=True):
        await other.fetch("SELECT 1")
        upgrade = asyncio.create_task(migrations.migrate(server))
        while await is_valid(raw, "notifications_next") is None:
            assert not upgrade.done()
        await asyncio.wait([upgrade], timeout=0.5)  # longer than the limit
    await upgrade
    assert await is_valid(raw, "notifications_next")
    await server.close()
    await other.close()


async def test_servers_keep_working_while_an_upgrade_builds_an_index(
    url: str, raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(PostgresEngine(url, FakeClock()))
    await store.open()
    app = App(store, FakeClock())
    await app.send("alice")
    steps = with_next("CREATE INDEX notifications_next ON notifications (recipient, title);")
    monkeypatch.setattr(migrations, "steps", lambda: steps)
    other = await asyncpg.connect(url)
    async with other.transaction(isolation="repeatable_read", readonly=True):
        await other.fetch("SELECT 1")  # an index is valid once all earlier transactions have ended
        upgrade = asyncio.create_task(migrations.migrate(raw))
        while await is_valid(other_connection := await asyncpg.connect(url), "notifications_next") is None:
            await other_connection.close()
        await other_connection.close()
        await app.send("alice")
        assert not upgrade.done()
    await upgrade
    assert await is_valid(raw, "notifications_next")
    await other.close()
    await store.close()


@pytest.mark.parametrize("state", ["missing", "invalid", "valid"])
async def test_interrupted_upgrade_continues_at_its_index(
    raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    await migrations.migrate(raw)
    steps = with_next(NEXT_STEP)
    monkeypatch.setattr(migrations, "steps", lambda: steps)

    execute = asyncpg.Connection.execute

    async def fail_to_build(connection: asyncpg.Connection, query: str, *args: Any, **options: Any) -> Any:
        if "CONCURRENTLY" in query:
            raise ConnectionError
        return await execute(connection, query, *args, **options)

    with monkeypatch.context() as killed:
        killed.setattr(asyncpg.Connection, "execute", fail_to_build)
        with pytest.raises(ConnectionError):
            await migrations.migrate(raw)
    assert await migrations.pending(raw)
    if state != "missing":
        await raw.execute("CREATE INDEX notifications_next ON bellcast.notifications (next) WHERE next IS NOT NULL")
    if state == "invalid":  # as after an interrupted build
        await raw.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'bellcast.notifications_next'::regclass"
        )
    await migrations.migrate(raw)  # adding the column again would fail
    assert await is_valid(raw, "notifications_next")
    assert not await migrations.pending(raw)


@pytest.mark.parametrize("version", [0, *RELEASED])
async def test_several_servers_that_start_together_migrate_once(
    url: str, raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    if version:
        await migrate_to(raw, monkeypatch, version)
    stores = [Store(PostgresEngine(url, FakeClock())) for _ in range(4)]
    with capture_logs() as logs:
        await asyncio.gather(*(store.open() for store in stores))
    steps = [entry["step"] for entry in logs if entry["event"] == "migrating"]
    assert steps == (list(range(version + 1, max(migrations.steps()) + 1)) if version else [])
    for at, store in enumerate(stores):
        await App(store, FakeClock()).send(f"r{at}")
        await store.close()


def first_response(node: ServerProcess) -> httpx.Response:
    """Return the response of a server that may not listen yet. A request that comes before the migration waits."""
    while True:
        with suppress(httpx.ConnectError):
            return httpx.get(f"{node.url}/healthz")
        time.sleep(0.02)


@pytest.mark.thorough
def test_server_answers_with_its_progress_during_an_upgrade(tmp_path: Path) -> None:
    database = engines.postgres()
    url = database.create("progress")
    released = RELEASED[-1]

    async def prepare() -> None:
        raw = await asyncpg.connect(url)
        with pytest.MonkeyPatch.context() as patch:
            await migrate_to(raw, patch, released)
        await raw.close()

    async def dump(over: threading.Event) -> None:
        raw = await asyncpg.connect(url)
        async with raw.transaction():
            await raw.fetch("SELECT * FROM bellcast.schema_version")
            reading.set()
            await asyncio.to_thread(over.wait)
        await raw.close()

    asyncio.run(prepare())
    over, reading = threading.Event(), threading.Event()
    nodes = [ServerProcess(tmp_path / f"node{at}", {"BELLCAST_STORE": url}) for at in range(2)]
    with ThreadPoolExecutor() as threads:
        dumping = threads.submit(asyncio.run, dump(over))
        reading.wait()
        starting = [threads.submit(node.start) for node in nodes]
        try:
            for node in nodes:
                health = first_response(node)
                assert (health.status_code, health.json()["status"]) == (200, "migrating")
                migration = {"from": released, "to": max(migrations.steps()), "step": released + 1}
                assert health.json()["migration"] == migration
                ready = httpx.get(f"{node.url}/readyz")
                assert (ready.status_code, ready.json()["code"]) == (503, "unavailable")
                assert f"from version {released} to" in ready.json()["detail"]
                assert httpx.get(f"{node.url}/v1/stream", headers=node.as_recipient("alice")).status_code == 503
        finally:
            over.set()
            dumping.result()
            for one in starting:
                one.result()
        for node in nodes:
            assert httpx.get(f"{node.url}/readyz").json()["status"] == "ready"
        lines = "".join(node.log.read_text() for node in nodes)
        assert lines.count(f"from={released} to={max(migrations.steps())} step={released + 1}") == 1
        for node in nodes:
            node.kill()
    asyncio.run(database.drop("progress"))
