"""A server killed at any moment: what it acknowledged is there, once."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.clock import FakeClock
from tests.contract.app import App

from bellcast.storage.sqlite import SqliteEngine
from bellcast.storage.store import SQLStore

SENDER = """
import asyncio, sys
from pathlib import Path
from bellcast.storage.sqlite import SqliteEngine
from bellcast.storage.store import SQLStore
from tests.clock import FakeClock
from tests.contract.app import App

async def send_for_ever(app, who):
    while True:
        id = await app.send(who, tags=("x",))
        sys.stdout.write(id + "\\n")
        sys.stdout.flush()

async def main():
    clock = FakeClock()
    store = SQLStore(SqliteEngine(Path(sys.argv[1]), clock))
    await store.open()
    async with asyncio.TaskGroup() as tasks:
        for at in range(16):
            tasks.create_task(send_for_ever(App(store, clock), f"r{at % 4}"))

asyncio.run(main())
"""


def sent_until_killed(database: Path, number: int) -> list[str]:
    """The ids a sender was told of before it was killed, at least so many."""
    with subprocess.Popen([sys.executable, "-c", SENDER, str(database)], stdout=subprocess.PIPE, text=True) as sender:
        assert sender.stdout is not None
        told = [sender.stdout.readline() for _ in range(number)]
        sender.send_signal(signal.SIGKILL)
        told += sender.stdout.readlines()
    return [line.strip() for line in told if line.endswith("\n")]


@pytest.mark.parametrize("acknowledged", [1, 50, 1000])
async def test_every_acknowledged_notification_is_there_once(
    database: Path, clock: FakeClock, acknowledged: int
) -> None:
    told = sent_until_killed(database, acknowledged)
    assert len(told) >= acknowledged
    store = SQLStore(SqliteEngine(database, clock))
    await store.open()
    try:
        app = App(store, clock)
        kept = []
        for at in range(4):
            rows = await app.page(f"r{at}", limit=1_000_000)
            assert await app.counts(f"r{at}") == (len(rows), len(rows))
            assert len(await app.page(f"r{at}", tag="x", limit=1_000_000)) == len(rows)
            kept += [row.id for row in rows]
        assert len(kept) == len(set(kept))
        assert set(told) <= set(kept)
    finally:
        await store.close()
