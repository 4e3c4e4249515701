"""Concurrent processes on one PostgreSQL leave the same rows as a single process."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import asyncpg
import pytest

from bellcast.inbox.types import Edit
from bellcast.inbox.types.inboxes import Action, Query, parse_position
from bellcast.inbox.types.sends import SendResult
from bellcast.kernel import times
from bellcast.kernel.concurrency import CallBatcher
from bellcast.kernel.db import postgres_connection
from bellcast.kernel.db.postgres import PostgresEngine
from bellcast.kernel.db.postgres_connection import PostgresConnection, PostgresText
from bellcast.kernel.db.script import Params, Row
from bellcast.kernel.errors import Conflict, IdempotencyMismatch, NotFound
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store
from tests.thoroughness import sampled

RECIPIENTS = [f"r{number}" for number in range(12)]
# Statements that read a whole table: few rows, or no part of a request.
SCANNING = {"key_all", "stats", "snapshot", "epochs_renew", "jobs_count", "setup_codes_end", "setup_codes_expire"}
ACTIONS: list[Action] = ["seen", "read", "unread", "archive", "unarchive", "delete"]


class WaitingClock(FakeClock):
    """A fixed clock with real sleeps, for code that waits for another process."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Pair(NamedTuple):
    first: App
    second: App
    url: str


@pytest.fixture
async def pair(clock: FakeClock) -> AsyncIterator[Pair]:
    first_engine = engines.FreshPostgresEngine(WaitingClock())
    await first_engine.open()
    url = first_engine.server.url(first_engine.database)
    second = PostgresEngine(url, WaitingClock())
    await second.open()
    yield Pair(App(Store(first_engine), clock), App(Store(second), clock), url)
    await second.close()
    await first_engine.close()


async def test_objects_that_two_processes_create_do_not_exceed_the_maximum(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bellcast.documents.store.MAX_OF_KIND", 5)
    writes = [
        app.store.documents.change("types", "acme", f"{number} of {app is pair.first}", None, b"{}", 1)
        for number in range(10)
        for app in pair[:2]
    ]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert (results.count(True), sum(isinstance(one, Conflict) for one in results)) == (5, 15)
    assert len(await pair.first.store.documents.page("types", "acme", "", 20)) == 5


async def write_randomly(app: App, seed: int, sent: list[str]) -> None:
    """Perform random operations on a few inboxes."""
    rng = random.Random(seed)
    for _ in range(25):
        await rng.choice(OPERATIONS)(app, rng, sent)


async def send(app: App, rng: random.Random, sent: list[str]) -> None:
    requests = [
        app.send_request(
            *rng.sample(RECIPIENTS, rng.randint(1, 6)),
            tags=("x",),
            expires_at=rng.choice([None, times.to_rfc3339(app.now + 1)]),
        )
        for _ in range(rng.randint(1, 8))
    ]
    for outcome in await app.add_all(requests):
        assert isinstance(outcome, SendResult), outcome
        sent += outcome.response.decode().split()


async def mark(app: App, rng: random.Random, sent: list[str]) -> None:
    ids = tuple(rng.sample(sent, min(len(sent), 10)))
    with contextlib.suppress(NotFound):  # erased by the other process since it was opened
        await app.mark(rng.choice(RECIPIENTS), rng.choice(ACTIONS), ids=rng.choice([None, ids]))


async def announce(app: App, rng: random.Random, sent: list[str]) -> None:
    sent.append(await app.announce(topic=rng.choice([None, "room"])))


async def materialize(app: App, rng: random.Random, _: list[str]) -> None:
    await app.materialize("", rng.sample(RECIPIENTS, 8), app.now)


async def edit(app: App, rng: random.Random, sent: list[str]) -> None:
    if sent:
        with contextlib.suppress(NotFound):  # removed by another process since it was found
            await app.store.sent.edit("", rng.choice(sent), Edit(title="Edited"), app.now)


async def recall(app: App, rng: random.Random, sent: list[str]) -> None:
    if sent:
        with contextlib.suppress(NotFound):
            await app.store.sent.recall("", rng.choice(sent), app.now)


async def follow(app: App, rng: random.Random, _: list[str]) -> None:
    operation = rng.choice([app.store.subscriptions.subscribe, app.store.subscriptions.unsubscribe])
    await operation("", "room", rng.choice(RECIPIENTS), app.now)


async def sweep(app: App, rng: random.Random, _: list[str]) -> None:
    await app.store.maintenance.expire(app.now + rng.choice([0, 5]), 5)


async def erase(app: App, rng: random.Random, _: list[str]) -> None:
    await app.store.recipients.delete("", rng.choice(RECIPIENTS), app.now)


OPERATIONS: list[Callable[[App, random.Random, list[str]], Awaitable[None]]] = [
    *[send] * 4,
    *[mark] * 4,
    announce,
    materialize,
    edit,
    recall,
    follow,
    sweep,
    erase,
]


@pytest.mark.thorough
@pytest.mark.parametrize("seed", sampled(range(3)))
async def test_counters_equal_rows_and_no_deadlock_occurs_under_concurrent_writes(pair: Pair, seed: int) -> None:
    sent: list[str] = []
    apps = (pair.first, pair.second)
    await asyncio.gather(*(write_randomly(apps[at % 2], seed * 100 + at, sent) for at in range(12)))
    assert len(sent) > 100
    for key in RECIPIENTS:
        inbox = await pair.first.inbox(key)
        listed = await pair.second.store.inboxes.page(inbox.number, Query(limit=1000))
        unread = sum(row.read_at is None for row in listed.notifications)
        unseen = sum(row.seen_at is None for row in listed.notifications)
        assert (listed.unread, listed.unseen) == (unread, unseen)
        changes = (await pair.first.store.inboxes.changes(inbox.number, 0, 10_000)).rows
        position = parse_position(listed.position)
        assert position is not None
        assert max((change.revision for change in changes), default=0) <= position.revision
    connection = await asyncpg.connect(pair.url)
    deadlocks = await connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    await connection.close()
    assert deadlocks == 0


async def test_idempotency_key_sends_once_across_processes(pair: Pair) -> None:
    requests = [app.send_request("alice", key="k", fingerprint=b"same") for app in (pair.first, pair.second) * 4]
    apps = [pair.first, pair.second] * 4
    responses = await asyncio.gather(*(app.add(request) for app, request in zip(apps, requests, strict=True)))
    assert len({sent.response for sent in responses}) == 1
    assert sum(bool(sent.events) for sent in responses) == 1
    assert len(await pair.first.page("alice")) == 1
    with pytest.raises(IdempotencyMismatch):
        await pair.second.add(pair.second.send_request("alice", key="k", fingerprint=b"another"))


async def test_recipient_created_concurrently_is_one_row(pair: Pair) -> None:
    sends = [app.send("alice", f"{at}") for at in range(10) for app in (pair.first, pair.second)]
    opens = [app.inbox("alice") for app in (pair.first, pair.second)]
    await asyncio.gather(*sends, *opens)
    assert len({(await app.inbox("alice")).number for app in (pair.first, pair.second)}) == 1
    assert await pair.first.counts("alice") == (20, 20)


async def test_inbox_erased_while_it_is_opened_is_opened_or_created(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.first.send("alice")
    read = CallBatcher.call

    async def erased_after(batcher: CallBatcher[Any, Any], name: str, params: Params) -> list[Any]:
        found = await read(batcher, name, params)
        if name == "inbox_open":
            await pair.second.store.recipients.delete("", "alice", pair.second.now)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(CallBatcher, "call", erased_after)
        opened = await pair.first.open("alice")
    assert opened.inbox.state.unread == 1
    assert await pair.first.counts("alice") == (0, 0)


@pytest.mark.thorough
async def test_no_statement_scans_a_table(pair: Pair) -> None:
    connection = await asyncpg.connect(pair.url, server_settings=postgres_connection.SESSION)
    scans, batched = {}, 0
    for name, text in postgres_connection.texts().items():
        types = await _types(connection, text.plain)
        joined = None if text.writes else postgres_connection.joined(text.plain, text.names, types)
        batched += joined is not None
        if name not in SCANNING:
            steps = await _scans(connection, text.plain) + (await _scans(connection, joined) if joined else [])
            scans.update({name: steps} if steps else {})
    await connection.close()
    assert scans == {}
    assert batched > 100


async def _types(connection: asyncpg.Connection, text: str) -> tuple[str, ...]:
    return tuple([parameter.name for parameter in (await connection.prepare(text)).get_parameters()])


async def _scans(connection: asyncpg.Connection, text: str) -> list[str]:
    unknown = ", ".join(["NULL"] * len(await _types(connection, text)))
    await connection.execute(f"PREPARE statement AS {text}")
    plan = await connection.fetch(f"EXPLAIN EXECUTE statement({unknown})" if unknown else "EXPLAIN EXECUTE statement")
    await connection.execute("DEALLOCATE statement")
    return [step for (step,) in plan if "Seq Scan" in step]


async def test_counts_of_a_trigger_are_read_from_an_index_alone(pair: Pair) -> None:
    connection = await asyncpg.connect(pair.url, server_settings=postgres_connection.SESSION)
    await connection.execute(
        """INSERT INTO runs (id, "trigger", tenant, workflow, owner, version, recipient, state, created_at, body)
        SELECT 'run-' || n, 'trigger-' || n % 20, '', 'booking', '', 1, 'r' || n, 'completed', 0, '{}'
        FROM generate_series(1, 5000) n"""
    )
    await connection.execute("VACUUM ANALYZE runs")
    await connection.execute(f"PREPARE statement AS {postgres_connection.texts()['runs_count'].plain}")
    plan = [step for (step,) in await connection.fetch("EXPLAIN EXECUTE statement('', 'trigger-1')")]
    await connection.close()
    assert any("Index Only Scan using runs_trigger on runs" in step for step in plan), plan


async def test_concurrent_edits_are_both_applied(pair: Pair) -> None:
    direct, announced = await pair.first.send("alice"), await pair.first.announce()
    for id in (direct, announced):
        edits = [
            app.store.sent.edit("", id, edit, app.now)
            for app in (pair.first, pair.second)
            for edit in (Edit(title="New"), Edit(body="New too"))
        ]
        await asyncio.gather(*edits)
        found = await pair.second.store.sent.find("", id)
        assert found is not None
        assert (found.notification.title, found.notification.body) == ("New", "New too")


@contextlib.contextmanager
def edited_after(pair: Pair, statement: str, id: str, edit: Edit) -> Iterator[None]:
    """Edit an announcement in the second process, once after the statement of a transaction of the first process."""
    run, text_of_statement = PostgresConnection._one, postgres_connection.texts()[statement].plain
    edits = [edit]

    async def run_and_edit(connection: PostgresConnection, text: PostgresText, params: Params) -> list[Row]:
        found = await run(connection, text, params)
        if text.plain == text_of_statement and edits:
            await pair.second.store.sent.edit("", id, edits.pop(), pair.second.now)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PostgresConnection, "_one", run_and_edit)
        yield
    assert edits == []


async def test_announcement_edited_while_an_inbox_adds_it_is_not_lost(pair: Pair) -> None:
    await pair.first.open("alice")
    id = await pair.first.announce("Old")
    with edited_after(pair, "materialize_behind", id, Edit(title="New")):
        await pair.first.open("alice")
    assert await pair.first.titles("alice") == ["New"]
    assert await pair.first.counts("alice") == (1, 1)


async def test_announcement_extended_while_it_expires_stays(pair: Pair) -> None:
    await pair.first.open("alice")
    id = await pair.first.announce("Extended", expires_at=times.to_rfc3339(pair.first.now + 1))
    await pair.first.announce("Expired", expires_at=times.to_rfc3339(pair.first.now + 1))
    await pair.first.open("alice")
    with edited_after(pair, "due_announcements", id, Edit(expires_at=None)):
        await pair.first.store.maintenance.expire(pair.first.now + 5, 10)
    assert await pair.first.titles("alice") == ["Extended"]
