"""What only an engine with many writers has to promise: processes that write at one time leave what one would have left."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import asyncpg
import pytest

from bellcast.errors import IdempotencyMismatch, NotFound
from bellcast.model import times
from bellcast.model.notifications import Edit
from bellcast.ports import Action, Query, Sent
from bellcast.storage import postgres_connection
from bellcast.storage.postgres import PostgresEngine
from bellcast.storage.store import SQLStore
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App

PEOPLE = [f"r{number}" for number in range(12)]
# Statements that mean the whole of a table: few rows, or none of a request's business.
WHOLE = {"key_all", "stats", "snapshot", "epochs_renew"}
ACTIONS: list[Action] = ["seen", "read", "unread", "archive", "unarchive", "delete"]


class WaitingClock(FakeClock):
    """Time stands still, but those who wait for another process really wait."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Pair(NamedTuple):
    """Two processes on one database."""

    one: App
    other: App
    url: str


@pytest.fixture
async def pair(clock: FakeClock) -> AsyncIterator[Pair]:
    own = engines.OwnDatabase(WaitingClock())
    await own.open()
    url = own.server.url(own.database)
    second = PostgresEngine(url, WaitingClock())
    await second.open()
    yield Pair(App(SQLStore(own), clock), App(SQLStore(second), clock), url)
    await second.close()
    await own.close()


async def some_writing(app: App, seed: int, sent: list[str]) -> None:
    """A process that does a bit of everything to a few inboxes."""
    chance = random.Random(seed)
    for _ in range(25):
        await chance.choice(DEEDS)(app, chance, sent)


async def send(app: App, chance: random.Random, sent: list[str]) -> None:
    sendings = [
        app.sending(
            *chance.sample(PEOPLE, chance.randint(1, 6)),
            tags=("x",),
            expires_at=chance.choice([None, times.to_rfc3339(app.now + 1)]),
        )
        for _ in range(chance.randint(1, 8))
    ]
    for outcome in await app.add_all(sendings):
        assert isinstance(outcome, Sent), outcome
        sent += outcome.answer.decode().split()


async def mark(app: App, chance: random.Random, sent: list[str]) -> None:
    ids = tuple(chance.sample(sent, min(len(sent), 10)))
    with contextlib.suppress(NotFound):  # erased by the other since it was opened
        await app.mark(chance.choice(PEOPLE), chance.choice(ACTIONS), ids=chance.choice([None, ids]))


async def announce(app: App, chance: random.Random, sent: list[str]) -> None:
    sent.append(await app.announce(topic=chance.choice([None, "room"])))


async def take_in(app: App, chance: random.Random, _: list[str]) -> None:
    await app.materialize("", chance.sample(PEOPLE, 8), app.now)


async def correct(app: App, chance: random.Random, sent: list[str]) -> None:
    if sent:
        await app.store.sends.edit("", chance.choice(sent), Edit(title="Edited"), app.now)


async def recall(app: App, chance: random.Random, sent: list[str]) -> None:
    if sent:
        await app.store.sends.recall("", chance.choice(sent), app.now)


async def follow(app: App, chance: random.Random, _: list[str]) -> None:
    deed = chance.choice([app.store.recipients.subscribe, app.store.recipients.unsubscribe])
    await deed("", "room", chance.choice(PEOPLE), app.now)


async def sweep(app: App, chance: random.Random, _: list[str]) -> None:
    await app.store.upkeep.expire(app.now + chance.choice([0, 5]), 5)


async def erase(app: App, chance: random.Random, _: list[str]) -> None:
    await app.store.recipients.delete("", chance.choice(PEOPLE), app.now)


DEEDS: list[Callable[[App, random.Random, list[str]], Awaitable[None]]] = [
    *[send] * 4,
    *[mark] * 4,
    announce,
    take_in,
    correct,
    recall,
    follow,
    sweep,
    erase,
]


@pytest.mark.parametrize("seed", range(3))
async def test_counters_equal_rows_whoever_wrote_and_nobody_waited_in_a_circle(pair: Pair, seed: int) -> None:
    sent: list[str] = []
    apps = (pair.one, pair.other)
    await asyncio.gather(*(some_writing(apps[at % 2], seed * 100 + at, sent) for at in range(12)))
    assert len(sent) > 100
    for key in PEOPLE:
        inbox = await pair.one.inbox(key)
        listed = await pair.other.store.inboxes.page(inbox.number, Query(limit=1000))
        unread = sum(row.read_at is None for row in listed.notifications)
        unseen = sum(row.seen_at is None for row in listed.notifications)
        assert (listed.state.unread, listed.state.unseen) == (unread, unseen)
        changes = (await pair.one.store.inboxes.changes(inbox.number, 0, 10_000)).rows
        assert max((change.revision for change in changes), default=0) <= listed.state.revision
    connection = await asyncpg.connect(pair.url)
    deadlocks = await connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    await connection.close()
    assert deadlocks == 0


async def test_one_idempotency_key_at_one_time_in_two_processes_sends_once(pair: Pair) -> None:
    sendings = [app.sending("alice", key="k", fingerprint=b"same") for app in (pair.one, pair.other) * 4]
    apps = [pair.one, pair.other] * 4
    answers = await asyncio.gather(*(app.add(one) for app, one in zip(apps, sendings, strict=True)))
    assert len({sent.answer for sent in answers}) == 1
    assert sum(bool(sent.events) for sent in answers) == 1
    assert len(await pair.one.page("alice")) == 1
    with pytest.raises(IdempotencyMismatch):
        await pair.other.add(pair.other.sending("alice", key="k", fingerprint=b"another"))


async def test_a_recipient_first_seen_by_many_at_once_is_one(pair: Pair) -> None:
    sends = [app.send("alice", f"{at}") for at in range(10) for app in (pair.one, pair.other)]
    opens = [app.inbox("alice") for app in (pair.one, pair.other)]
    await asyncio.gather(*sends, *opens)
    assert len({(await app.inbox("alice")).number for app in (pair.one, pair.other)}) == 1
    assert await pair.one.counts("alice") == (20, 20)


async def test_no_statement_scans_a_table(pair: Pair) -> None:
    connection = await asyncpg.connect(pair.url, server_settings=postgres_connection.SESSION)
    scans = {
        name: await _scans(connection, text.plain)
        for name, text in postgres_connection.texts().items()
        if name not in WHOLE
    }
    await connection.close()
    assert {name: steps for name, steps in scans.items() if steps} == {}


async def _scans(connection: asyncpg.Connection, text: str) -> list[str]:
    parameters = (await connection.prepare(text)).get_parameters()
    unknown = ", ".join(["NULL"] * len(parameters))
    await connection.execute(f"PREPARE asked AS {text}")
    plan = await connection.fetch(f"EXPLAIN EXECUTE asked({unknown})" if unknown else "EXPLAIN EXECUTE asked")
    await connection.execute("DEALLOCATE asked")
    return [step for (step,) in plan if "Seq Scan" in step]


async def test_two_corrections_at_one_time_are_both_made(pair: Pair) -> None:
    direct, announced = await pair.one.send("alice"), await pair.one.announce()
    for id in (direct, announced):
        edits = [
            app.store.sends.edit("", id, edit, app.now)
            for app in (pair.one, pair.other)
            for edit in (Edit(title="New"), Edit(body="New too"))
        ]
        await asyncio.gather(*edits)
        found = await pair.other.store.sends.find("", id)
        assert found is not None
        assert (found.notification.title, found.notification.body) == ("New", "New too")
