"""The real stores on which every contract test runs. A new engine adds a line to ENGINES."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bellcast.ports import Clock, Store
from bellcast.storage.sqlite import SqliteEngine
from bellcast.storage.store import SQLStore
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App

ENGINES: dict[str, Callable[[Path, Clock], Store]] = {
    "sqlite": lambda folder, clock: SQLStore(SqliteEngine(folder / "bellcast.db", clock)),
    "postgres": lambda _, clock: SQLStore(engines.FreshPostgresEngine(clock)),
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=ENGINES)
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Store]:
    store = ENGINES[request.param](tmp_path, clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def app(store: Store, clock: FakeClock) -> App:
    return App(store, clock)
