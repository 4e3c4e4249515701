"""Who comes back, or is sent something, is looked for by index, however many others there are and whatever PostgreSQL knows
of its tables: seen in the plans it really carried out, with the rows that each of their steps had in hand."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bellcast.model.inboxes import Position
from bellcast.ports import OpenInbox, ResumeFrom, SubscriptionGrant
from bellcast.storage.postgres import PostgresEngine
from bellcast.storage.store import SQLStore
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App

PEOPLE = [f"r{number}" for number in range(4_000)]
SOME = PEOPLE[::80]
# Each of the 50 has some rows. To look through all people for one of them, or through the 50 for each, is more.
MOST = 1_000

# How PostgreSQL came to its plans: with nothing in its statistics, early, when the tables were empty, or knowing what is there.
PLANNED = ["guessing", "early", "knowing"]
EXPLAINED = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
}
PLAN = re.compile(r"duration: [\d.]+ ms  plan:\n((?:\t.*\n)+)")


class Step(NamedTuple):
    """One step of one plan: what it does, and how many rows it had in hand."""

    what: str
    rows: int
    query: str


class Town(NamedTuple):
    """Many people with inboxes."""

    app: App
    log: Path
    read_to: int

    def steps(self) -> list[Step]:
        """Of all plans since they live here."""
        with self.log.open(encoding="utf-8") as log:
            log.seek(self.read_to)
            plans = [json.loads(text) for text in PLAN.findall(log.read())]
        assert plans
        return [step for plan in plans for step in steps(plan["Plan"], plan["Query Text"])]


def steps(node: dict[str, Any], query: str) -> Iterator[Step]:
    removed = sum(node.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Join Filter", "Index Recheck"))
    what = " ".join(node[name] for name in ("Node Type", "Relation Name", "Index Name") if name in node)
    yield Step(what, round((node["Actual Rows"] + removed) * node["Actual Loops"]), query)
    for inner in node.get("Plans", ()):
        yield from steps(inner, query)


@pytest.fixture(params=PLANNED)
async def town(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[Town]:
    server, name = engines.postgres(), f"town_{request.param}"
    url = await server.make(name)
    for setting, value in EXPLAINED.items():
        await server.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    engine, other = PostgresEngine(url, clock), PostgresEngine(url, clock)
    await engine.open()
    app = App(SQLStore(engine), clock)
    if request.param == "early":
        await server.execute("ANALYZE", name)
        await everything(app, ["early"])
    await other.open()
    await live(App(SQLStore(other), clock), PEOPLE)
    await other.close()
    if request.param == "knowing":
        await server.execute("ANALYZE", name)
    log = server.folder / "log"
    yield Town(app, log, log.stat().st_size)
    await engine.close()
    await server.drop(name)


async def live(app: App, keys: list[str]) -> None:
    """Things happen to these people: each is told something twice, some put it away, some are on a topic."""
    for _ in range(2):
        await app.add(app.sending(*keys, tags=("x",)))
    for key in keys[::100]:
        await app.store.recipients.subscribe("", "room", key, app.now)
        await app.mark(key, "delete")
        await app.send(key)
    for _ in range(3):
        await app.announce()


async def everything(app: App, keys: list[str]) -> None:
    """What happens to those who come, or are there."""
    await are_told(app, keys)
    await come_back(app, keys)
    await come(app, [f"new {key}" for key in keys])
    await hear_what_is_announced(app, keys)


async def come_back(app: App, keys: list[str]) -> None:
    states = [(await app.inbox(key)).state for key in keys]
    places = [ResumeFrom(Position(state.epoch, state.revision), 100) for state in states]
    for key in keys[::2]:
        await app.send(key)
        await app.mark(key, "archive")
    found = await asyncio.gather(*map(returned, [app] * len(keys), keys, places))
    assert all(opened.missed is not None for opened in found)
    numbers = [opened.inbox.number for opened in found]
    for number, place in zip(numbers, places, strict=True):
        await app.store.inboxes.changes(number, place.position.revision, 100)
        await app.store.inboxes.changes(number, 2**62, 1)
    assert len(await app.store.inboxes.statuses(numbers)) == len(keys)
    await app.store.recipients.grants_in_force([SubscriptionGrant("", key, "room") for key in keys])
    for key in keys:
        await app.store.recipients.subscribed("", key, ["room", "garden"])


async def returned(app: App, key: str, since: ResumeFrom) -> OpenInbox:
    return await app.open(key, since=since)


async def come(app: App, keys: list[str]) -> None:
    await asyncio.gather(*map(app.open, keys))


async def hear_what_is_announced(app: App, keys: list[str]) -> None:
    await app.announce()
    events = await app.materialize("", keys, app.now)
    assert len(events) >= len(keys)


async def are_told(app: App, keys: list[str]) -> None:
    await app.add(app.sending(*keys, tags=("x",)))


def wrong(steps: list[Step]) -> list[Step]:
    """Those that read a table from end to end, or had as much in hand."""
    return [step for step in steps if step.what.startswith("Seq Scan") or step.rows > MOST]


async def test_those_who_come_back_are_looked_for_by_index(town: Town) -> None:
    await come_back(town.app, SOME)
    assert wrong(town.steps()) == []


async def test_newcomers_are_looked_for_by_index(town: Town) -> None:
    await come(town.app, [f"new {key}" for key in SOME])
    assert wrong(town.steps()) == []


async def test_those_whom_an_announcement_finds_are_looked_for_by_index(town: Town) -> None:
    await hear_what_is_announced(town.app, SOME)
    assert wrong(town.steps()) == []


async def test_those_whom_a_send_names_are_looked_for_by_index(town: Town) -> None:
    await are_told(town.app, SOME)
    assert wrong(town.steps()) == []
