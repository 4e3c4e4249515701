"""Erased content on SQLite: it leaves every file of the store, also the log."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.db.sqlite import CLEAR_DELAY_SECONDS, SqliteEngine
from bellcast.kernel.ids import Ids
from bellcast.recipients.types import RecipientFields
from bellcast.server import maintenance
from bellcast.settings.table import StoreSettings
from tests.clock import FakeClock
from tests.contexts import idle_context
from tests.contract.app import App

NAME, TITLE = "Alice Quetzalcoatl", "Booking of a xylophone"


async def send_and_erase(app: App, database: Path) -> None:
    await app.store.recipients.put("", "alice", RecipientFields(name=NAME), app.now, replace=True)
    await app.send("alice", TITLE)
    assert files_with(database, NAME, TITLE)
    assert await app.store.recipients.delete("", "alice", app.now) is not None


def files_with(database: Path, *texts: str) -> list[str]:
    found = {path.name: path.read_bytes() for path in database.parent.iterdir() if path.is_file()}
    return [name for name, content in found.items() if any(text.encode() in content for text in texts)]


def log_size(database: Path) -> int:
    return database.with_name(f"{database.name}-wal").stat().st_size


async def wait_and_clear(engine: SqliteEngine, clock: FakeClock) -> None:
    """Let the delay of a requested clearing pass, and wait for its end."""
    while engine._clearing is not None:
        clock.advance(CLEAR_DELAY_SECONDS)
        await asyncio.wait([engine._clearing], timeout=0.01)


async def test_erased_content_leaves_every_file(
    app: App, engine: SqliteEngine, database: Path, clock: FakeClock
) -> None:
    await send_and_erase(app, database)
    await wait_and_clear(engine, clock)
    assert files_with(database, NAME, TITLE) == []
    assert log_size(database) == 0
    await app.send("bob", "after")
    assert await app.titles("bob") == ["after"]


async def test_content_of_an_erased_tenant_leaves_every_file(
    app: App, engine: SqliteEngine, database: Path, clock: FakeClock
) -> None:
    await app.store.tenants.put("acme", NAME, {"note": TITLE}, app.now)
    assert files_with(database, NAME, TITLE)
    await app.store.tenants.erase("acme", app.now, app.now, 100)
    await wait_and_clear(engine, clock)
    assert files_with(database, NAME, TITLE) == []


async def test_reader_delays_the_clearing_but_no_writer(
    app: App, engine: SqliteEngine, database: Path, clock: FakeClock
) -> None:
    await app.send("bob", "before")
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM operators").fetchall()
        await send_and_erase(app, database)
        for _ in range(5):
            clock.advance(CLEAR_DELAY_SECONDS)
            await app.send("bob", "meanwhile")
        assert files_with(database, NAME, TITLE)
        assert engine._clearing is not None
        other.execute("COMMIT")
    await wait_and_clear(engine, clock)
    assert files_with(database, NAME, TITLE) == []
    assert len(await app.titles("bob")) == 6


async def test_log_is_emptied_after_a_sweep(app: App, engine: SqliteEngine, database: Path, clock: FakeClock) -> None:
    await asyncio.gather(*(app.send("bob", f"{number}" * 100) for number in range(200)))
    assert log_size(database) > 0
    engines = idle_context(app.store, MemoryBroker(), app.clock, Ids().new)
    await maintenance.sweep(engines, StoreSettings(retention=0, tombstones=0), 0)
    await wait_and_clear(engine, clock)
    assert log_size(database) == 0
    assert (await app.counts("bob"))[0] == 200


async def test_clearing_that_waits_ends_with_the_store(engine: SqliteEngine, app: App, database: Path) -> None:
    await send_and_erase(app, database)
    await engine.close()
    assert files_with(database, NAME, TITLE) == []
