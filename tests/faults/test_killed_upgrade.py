"""`kill -9` of a server while it upgrades its store: a second start continues within seconds."""

import asyncio
import re
import sqlite3
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import asyncpg
import pytest

from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.sqlite_connection import connect
from tests import engines
from tests.faults.nodes import send, titles
from tests.faults.raw_sockets import eventually
from tests.migration.test_rolling import migrate_to
from tests.servers import START_TIMEOUT, ServerProcess

# The next step builds an index of an existing table.
POSTGRES_VERSION = 36
MAX_SECONDS = 20  # on a machine that is ten times slower
INDEX_BUILDS = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), $1)
AND state = 'active' AND query LIKE '%INDEX CONCURRENTLY%'
"""
IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'bellcast.runs_cancel'::regclass"
# The last step writes pages for many seconds, and not without end should the test be killed.
SLOW_STEP = """
import bellcast.kernel.db.migrations.sqlite as migrations
from bellcast.cli import main
steps = migrations.steps()
steps[max(steps)] += '''CREATE TABLE slow AS
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000000) SELECT i FROM n;
'''
migrations.steps = lambda: steps
main()
"""


ADDED = re.compile(r'ALTER TABLE (\w+) ADD COLUMN ("?\w+"?)')


def indexes(store: sqlite3.Connection) -> dict[str, str]:
    return dict(store.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))


def start(server: ServerProcess) -> threading.Thread:
    """Start a server in a thread, which also ends if the server is killed."""

    def run() -> None:
        with suppress(AssertionError):
            server.start()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def kill(server: ServerProcess, starting: threading.Thread) -> None:
    """Kill a server that is not ready."""
    assert server.process is not None
    server.process.kill()
    starting.join()
    server.process.wait()


@pytest.mark.thorough
async def test_start_continues_a_killed_upgrade_on_postgresql(tmp_path: Path) -> None:
    database = engines.postgres()
    raw = await asyncpg.connect(await database.make("killed_upgrade"))
    with pytest.MonkeyPatch.context() as patch:
        await migrate_to(raw, patch, POSTGRES_VERSION)
    server = ServerProcess(tmp_path / "data", {"BELLCAST_STORE": database.url("killed_upgrade")})

    async def builder(other_than: int, within: float) -> int:
        """Wait for a connection that builds an index; return its id."""
        async with asyncio.timeout(within):
            while True:
                if found := await raw.fetchval(INDEX_BUILDS, other_than):
                    return int(found)
                await asyncio.sleep(0.02)

    other = await asyncpg.connect(database.url("killed_upgrade"))
    async with other.transaction(isolation="repeatable_read", readonly=True):
        await other.fetch("SELECT 1")  # an index is built once all earlier transactions have ended
        starting = start(server)
        killed = await builder(0, START_TIMEOUT)
        kill(server, starting)
        starting = start(server)
        await builder(killed, MAX_SECONDS)
    await asyncio.to_thread(starting.join)
    assert await raw.fetchval(IS_VALID)
    assert send(server, "alice", "Hello").status_code == 201
    server.kill()
    await other.close()
    await raw.close()
    await database.drop("killed_upgrade")


@pytest.mark.thorough
def test_start_continues_a_killed_upgrade_on_sqlite(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    with server:
        assert send(server, "alice", "Hello").status_code == 201
    newest = max(migrations.steps())
    with closing(connect(server.data / "bellcast.db")) as store, closing(sqlite3.connect(":memory:")) as older:
        for step in sorted(migrations.steps())[:-1]:
            older.executescript(migrations.steps()[step])
        undone = [
            *(f"DROP INDEX {name}" for name in indexes(store).keys() - indexes(older).keys()),
            *(sql for name, sql in indexes(older).items() if name not in indexes(store)),
            *(
                f"ALTER TABLE {table} DROP COLUMN {column}"
                for table, column in ADDED.findall(migrations.steps()[newest])
            ),
        ]
        assert undone
        for statement in undone:
            store.execute(statement)
        store.execute(f"PRAGMA user_version = {newest - 1}")
    server.program = [sys.executable, "-c", SLOW_STEP]
    log = server.data / "bellcast.db-wal"
    starting = start(server)
    assert eventually(lambda: log.exists() and log.stat().st_size > 2**24)
    kill(server, starting)
    server.program = []
    starting = start(server)
    starting.join(MAX_SECONDS)
    assert not starting.is_alive()
    assert titles(server, "alice") == ["Hello"]
    server.kill()
    with closing(connect(server.data / "bellcast.db")) as store:
        assert migrations.version(store) == newest
        migrations.check_schema(store)
