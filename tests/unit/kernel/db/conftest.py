"""A SQLite engine in a new folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bellcast.kernel.db.sqlite import SqliteEngine
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data" / "bellcast.db"


@pytest.fixture
async def engine(database: Path, clock: FakeClock) -> AsyncIterator[SqliteEngine]:
    engine = SqliteEngine(database, clock)
    await engine.open()
    yield engine
    await engine.close()


@pytest.fixture
def app(engine: SqliteEngine, clock: FakeClock) -> App:
    return App(Store(engine), clock)
