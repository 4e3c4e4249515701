"""The real stores on which the contract tests run. A new engine adds a line to ENGINES."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bellcast.kernel.clock import Clock
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import FreshSqliteEngine, Store

ENGINES: dict[str, Callable[[Path, Clock], Store]] = {
    "sqlite": lambda folder, clock: Store(FreshSqliteEngine(folder / "bellcast.db", clock)),
    "postgres": lambda _, clock: Store(engines.FreshPostgresEngine(clock)),
}
# Files whose tests run on PostgreSQL in every run: together they execute each statement that differs between the engines.
# The others run there in `make test-all`.
ON_BOTH_ENGINES = {
    f"test_{name}.py"
    for name in (
        "announcements_on_two_nodes",
        "delivery",
        "digest_jobs",
        "first_writes",
        "live_events",
        "outbox_rows",
        "postgres_concurrent_writers",
        "postgres_read_batching",
        "postgres_single_statement_sends",
        "replay_law",
        "run_stats",
        "store_addresses",
        "store_imports",
        "store_poisoned_times",
        "store_recipients",
        "store_replays",
        "store_sends",
        "store_snoozing",
        "store_subscription_grants",
        "store_tenants",
        "store_webhook_events",
        "versions",
        "workflow_pauses",
    )
}
FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests on PostgreSQL as thorough that execute the statements of both engines only."""
    for item in items:
        if "postgres" in item.nodeid and item.path.is_relative_to(FOLDER) and item.path.name not in ON_BOTH_ENGINES:
            item.add_marker(pytest.mark.thorough)


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
