"""A server killed at any moment keeps each acknowledged notification once."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bellcast.kernel.db.sqlite import SqliteEngine
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store

SENDER = """
import asyncio, sys
from pathlib import Path
from bellcast.kernel.db.sqlite import SqliteEngine
from tests.store import Store
from tests.clock import FakeClock
from tests.contract.app import App

async def send_until_killed(app, who):
    while True:
        id = await app.send(who, tags=("x",))
        sys.stdout.write(id + "\\n")
        sys.stdout.flush()

async def main():
    clock = FakeClock()
    store = Store(SqliteEngine(Path(sys.argv[1]), clock))
    await store.open()
    async with asyncio.TaskGroup() as tasks:
        for at in range(16):
            tasks.create_task(send_until_killed(App(store, clock), f"r{at % 4}"))

asyncio.run(main())
"""


def sent_until_killed(database: Path, number: int) -> list[str]:
    """Return the acknowledged ids, at least `number`, of a sender that is then killed."""
    with subprocess.Popen([sys.executable, "-c", SENDER, str(database)], stdout=subprocess.PIPE, text=True) as sender:
        assert sender.stdout is not None
        acknowledged = [sender.stdout.readline() for _ in range(number)]
        sender.send_signal(signal.SIGKILL)
        acknowledged += sender.stdout.readlines()
    return [line.strip() for line in acknowledged if line.endswith("\n")]


@pytest.mark.parametrize("acknowledged", [1, 50, 1000])
async def test_killed_server_keeps_each_acknowledged_notification_once(
    database: Path, clock: FakeClock, acknowledged: int
) -> None:
    ids = sent_until_killed(database, acknowledged)
    assert len(ids) >= acknowledged
    store = Store(SqliteEngine(database, clock))
    await store.open()
    try:
        app = App(store, clock)
        stored = []
        for at in range(4):
            rows = await app.page(f"r{at}", limit=1_000_000)
            assert await app.counts(f"r{at}") == (len(rows), len(rows))
            assert len(await app.page(f"r{at}", tag="x", limit=1_000_000)) == len(rows)
            stored += [row.id for row in rows]
        assert len(stored) == len(set(stored))
        assert set(ids) <= set(stored)
    finally:
        await store.close()
