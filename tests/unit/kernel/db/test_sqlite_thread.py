"""The thread of a SQLite connection: no call waits for one that was not started or has ended."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bellcast.kernel.db.sqlite_connection import SqliteConnection, connect


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[SqliteConnection]:
    connection = SqliteConnection(connect(tmp_path / "bellcast.db"))
    yield connection
    connection.close()


async def test_call_after_a_thread_that_could_not_start_starts_one(
    connection: SqliteConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without_threads:
        without_threads.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            await connection.in_thread(str, 7)
    assert await asyncio.wait_for(connection.in_thread(str, 7), 30) == "7"


async def test_call_after_the_connection_was_closed_is_refused(tmp_path: Path) -> None:
    connection = SqliteConnection(connect(tmp_path / "bellcast.db"))
    await connection.in_thread(str, 7)
    connection.close()
    with pytest.raises(sqlite3.ProgrammingError):
        await asyncio.wait_for(connection.in_thread(str, 7), 30)


async def test_call_that_is_cancelled_while_it_waits_is_not_executed(connection: SqliteConnection) -> None:
    end, executed = threading.Event(), list[int]()
    first = connection.in_thread(end.wait, 30)
    cancelled = connection.in_thread(executed.append, 1)
    cancelled.cancel()
    end.set()
    assert await first
    await connection.in_thread(executed.append, 2)
    assert executed == [2]
