"""An erasure on PostgreSQL waits for transactions of other processes that add rows of its tenant, and finds what they
added."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from bellcast.documents.store import ObjectForm, Versions
from bellcast.documents.types import StoredVersion
from bellcast.kernel.db.postgres import PostgresEngine
from bellcast.kernel.db.script import Params
from bellcast.kernel.jobs import Job
from bellcast.tenants.store import Tenants
from bellcast.workflows.types.runs import NewSchedule, TriggerRequest
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store

WAITING = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
TABLES = ("recipients", "notifications", "announcements", "documents", "workflow_versions", "tenants")
JOB = Job(id="erasure", kind="tenant_erasure", payload=b"acme", run_at=0, created_at=0)


class WithEvent(ObjectForm, frozen=True):
    def events(self, owner: str, body: bytes) -> list[Params]:
        return [{"kind": "awaited-events", "tenant": owner, "key": "moved"}]


@pytest.fixture
async def engine() -> AsyncIterator[engines.FreshPostgresEngine]:
    engine = engines.FreshPostgresEngine(FakeClock())
    await engine.open()
    yield engine
    await engine.close()


async def publish(app: App) -> None:
    added = StoredVersion(0, b"[]", app.now)
    await Versions(app.store.engine).publish("workflows", "acme", "a", added, replaces=b"{}", form=WithEvent())


async def record_use(app: App) -> None:
    await app.store.documents.combine("source-uses", "workflows", {("acme", "a"): lambda before: b"{}"}, app.now)


async def replace_schedule(app: App) -> None:
    new = NewSchedule("later", b"{}", b"{}", None, cancel_name="new", replaces=b"{}")
    await app.store.runs.start(TriggerRequest(tenant="acme", created_at=app.now, schedules=(new,)))


async def send(app: App) -> None:
    await app.send("alice", tenant="acme", key="once")


async def announce(app: App) -> None:
    await app.announce(tenant="acme")


DOCUMENT = (
    "INSERT INTO bellcast.documents (kind, tenant, key, body, created_at, updated_at) "
    "VALUES ('{}', 'acme', '{}', '', 0, 0)"
)
# Each write, and what another transaction has done: the write waits for its end after it has read what it depends on.
WRITES: list[tuple[Callable[[App], Awaitable[None]], str]] = [
    (send, "LOCK TABLE bellcast.notifications IN EXCLUSIVE MODE"),
    (announce, "LOCK TABLE bellcast.announcements IN EXCLUSIVE MODE"),
    (publish, DOCUMENT.format("awaited-events", "moved")),
    (record_use, DOCUMENT.format("source-uses", "a")),
    (replace_schedule, DOCUMENT.format("schedule-cancel", "new")),
]


async def are_waiting(blocker: asyncpg.Connection, *tasks: asyncio.Task[None]) -> bool:
    """Return True once all wait for a lock, False if one ends."""
    while not any(task.done() for task in tasks):
        if await blocker.fetchval(WAITING) == len(tasks):
            return not any(task.done() for task in tasks)
        await asyncio.sleep(0.01)
    return False


@pytest.mark.parametrize(("write", "blocking"), WRITES, ids=[write.__name__ for write, _ in WRITES])
async def test_write_that_is_open_when_its_tenant_is_erased_leaves_no_rows(
    engine: engines.FreshPostgresEngine, clock: FakeClock, write: Callable[[App], Awaitable[None]], blocking: str
) -> None:
    app = App(Store(engine), clock)
    other = PostgresEngine(engine.server.url(engine.database), clock)
    await other.open()
    tenants = Tenants(other)
    await app.store.tenants.put("acme", "Acme", {}, app.now)
    for kind, key in (("workflows", "a"), ("schedules", "later")):
        await app.store.documents.put(kind, "acme", key, b"{}", app.now)

    async def erase() -> None:
        await tenants.begin_erasure("acme", app.now + 1, JOB, lambda tenant: None)
        while (await tenants.erase("acme", app.now + 1, app.now + 1, 10))[0]:
            pass

    blocker = await asyncpg.connect(engine.server.url(engine.database))
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute(blocking)
    writing = asyncio.create_task(write(app))
    is_write_open = await are_waiting(blocker, writing)
    erasing = asyncio.create_task(erase())
    is_erasure_waiting = await are_waiting(blocker, writing, erasing)
    await transaction.rollback()
    await asyncio.gather(writing, erasing)
    left = {table: await blocker.fetchval(f"SELECT count(*) FROM bellcast.{table}") for table in TABLES}
    await blocker.close()
    await other.close()
    assert (is_write_open, is_erasure_waiting) == (True, True)
    assert left == dict.fromkeys(TABLES, 0)


async def test_record_of_a_tenant_is_written_beside_open_writes(
    engine: engines.FreshPostgresEngine, clock: FakeClock
) -> None:
    """Those of several processes that import new recipients would hold it off without end."""
    app = App(Store(engine), clock)
    other = PostgresEngine(engine.server.url(engine.database), clock)
    await other.open()
    blocker = await asyncpg.connect(engine.server.url(engine.database))
    await Tenants(other).put("acme", "Acme", {}, app.now)
    async with blocker.transaction():
        await blocker.execute("LOCK TABLE bellcast.notifications IN EXCLUSIVE MODE")
        writing = asyncio.create_task(send(app))
        assert await are_waiting(blocker, writing)
        async with asyncio.timeout(5):
            await Tenants(other).put("acme", "Acme Ltd", {}, app.now)
        assert not writing.done()
    await writing
    await blocker.close()
    await other.close()
