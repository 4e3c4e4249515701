"""Resumes and sends find recipients by index, regardless of the table sizes and of PostgreSQL's statistics.

The tests check the executed plans, with the rows that each of their steps processed."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bellcast.inbox.types.inboxes import OpenInbox, Position, ResumeFrom
from bellcast.kernel.db.postgres import PostgresEngine
from bellcast.recipients.types import SubscriptionGrant
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store

RECIPIENTS = [f"r{number}" for number in range(4_000)]
SAMPLE = RECIPIENTS[::80]
# Each of the 50 has some rows. Scanning all recipients once, or the 50 for each, exceeds this.
MAX_STEP_ROWS = 1_000

# PostgreSQL's statistics at planning: none, of empty tables, or of the actual rows.
STATISTICS = ["none", "empty", "actual"]
AUTO_EXPLAIN = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
}
PLAN = re.compile(r"duration: [\d.]+ ms  plan:\n((?:\t.*\n)+)")


class Step(NamedTuple):
    """One step of an executed plan: its operation, and the rows it processed."""

    operation: str
    rows: int
    query: str


class LoadedStore(NamedTuple):
    """A store with thousands of recipients."""

    app: App
    log: Path
    log_offset: int

    def steps(self) -> list[Step]:
        """Return the steps of all plans executed since the rows were created."""
        with self.log.open(encoding="utf-8") as log:
            log.seek(self.log_offset)
            plans = [json.loads(text) for text in PLAN.findall(log.read())]
        assert plans
        return [step for plan in plans for step in steps(plan["Plan"], plan["Query Text"])]


def steps(node: dict[str, Any], query: str) -> Iterator[Step]:
    removed = sum(node.get(f"Rows Removed by {reason}", 0) for reason in ("Filter", "Join Filter", "Index Recheck"))
    operation = " ".join(node[name] for name in ("Node Type", "Relation Name", "Index Name") if name in node)
    yield Step(operation, round((node["Actual Rows"] + removed) * node["Actual Loops"]), query)
    for inner in node.get("Plans", ()):
        yield from steps(inner, query)


@pytest.fixture(params=STATISTICS)
async def loaded_store(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[LoadedStore]:
    server, name = engines.postgres(), f"loaded_{request.param}"
    url = await server.make(name)
    for setting, value in AUTO_EXPLAIN.items():
        await server.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    engine, second = PostgresEngine(url, clock), PostgresEngine(url, clock)
    await engine.open()
    app = App(Store(engine), clock)
    if request.param == "empty":
        await server.execute("ANALYZE", name)
        await run_all_operations(app, ["empty"])
    await second.open()
    await populate(App(Store(second), clock), RECIPIENTS)
    await second.close()
    if request.param == "actual":
        await server.execute("ANALYZE", name)
    log = server.folder / "log"
    yield LoadedStore(app, log, log.stat().st_size)
    await engine.close()
    await server.drop(name)


async def populate(app: App, keys: list[str]) -> None:
    """Create inboxes: two notifications each, some deleted, some recipients on a topic."""
    for _ in range(2):
        await app.add(app.send_request(*keys, tags=("x",)))
    for key in keys[::100]:
        await app.store.subscriptions.subscribe("", "room", key, app.now)
        await app.mark(key, "delete")
        await app.send(key)
    for _ in range(3):
        await app.announce()


async def run_all_operations(app: App, keys: list[str]) -> None:
    """Every operation under test, once."""
    await send_to(app, keys)
    await resume(app, keys)
    await open_new(app, [f"new {key}" for key in keys])
    await materialize_announcement(app, keys)


async def resume(app: App, keys: list[str]) -> None:
    states = [(await app.inbox(key)).state for key in keys]
    positions = [ResumeFrom(Position(state.epoch, state.revision), 100) for state in states]
    for key in keys[::2]:
        await app.send(key)
        await app.mark(key, "archive")
    resumed = await asyncio.gather(*map(resume_one, [app] * len(keys), keys, positions))
    assert all(opened.missed is not None for opened in resumed)
    numbers = [opened.inbox.number for opened in resumed]
    for number, position in zip(numbers, positions, strict=True):
        await app.store.inboxes.changes(number, position.position.revision, 100)
        await app.store.inboxes.changes(number, 2**62, 1)
    assert len(await app.store.inboxes.statuses(numbers)) == len(keys)
    await app.store.subscriptions.grants_in_force([SubscriptionGrant("", key, "room") for key in keys])
    for key in keys:
        await app.store.subscriptions.among("", key, ["room", "garden"])


async def resume_one(app: App, key: str, since: ResumeFrom) -> OpenInbox:
    return await app.open(key, since=since)


async def open_new(app: App, keys: list[str]) -> None:
    await asyncio.gather(*map(app.open, keys))


async def materialize_announcement(app: App, keys: list[str]) -> None:
    await app.announce()
    events = await app.materialize("", keys, app.now)
    assert len(events) >= len(keys)


async def send_to(app: App, keys: list[str]) -> None:
    await app.add(app.send_request(*keys, tags=("x",)))


def expensive_steps(steps: list[Step]) -> list[Step]:
    """The steps that scanned a table or processed too many rows."""
    return [step for step in steps if step.operation.startswith("Seq Scan") or step.rows > MAX_STEP_ROWS]


async def test_resumed_inboxes_are_found_by_index(loaded_store: LoadedStore) -> None:
    await resume(loaded_store.app, SAMPLE)
    assert expensive_steps(loaded_store.steps()) == []


async def test_new_recipients_are_looked_up_by_index(loaded_store: LoadedStore) -> None:
    await open_new(loaded_store.app, [f"new {key}" for key in SAMPLE])
    assert expensive_steps(loaded_store.steps()) == []


async def test_announced_recipients_are_found_by_index(loaded_store: LoadedStore) -> None:
    await materialize_announcement(loaded_store.app, SAMPLE)
    assert expensive_steps(loaded_store.steps()) == []


async def test_named_recipients_are_found_by_index(loaded_store: LoadedStore) -> None:
    await send_to(loaded_store.app, SAMPLE)
    assert expensive_steps(loaded_store.steps()) == []
