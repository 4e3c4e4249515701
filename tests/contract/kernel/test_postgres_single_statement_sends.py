"""Sends by one auto-committed statement leave the same rows as a transaction, despite concurrent writers."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import NamedTuple

import asyncpg
import pytest

from bellcast.inbox.types.inboxes import NotificationAdded
from bellcast.inbox.types.sends import SendRequest, SendResult
from bellcast.kernel.db import postgres_connection
from bellcast.kernel.db.postgres import PostgresEngine
from bellcast.kernel.db.writer import POSTGRES
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store

RECIPIENTS = [f"r{number}" for number in range(40)]
# Statements that look recipients up by key.
BY_NAME = ["inboxes_of_names", "inboxes_receiving", "materialize_add", "materialize_behind", "notifications_add"]


class Pair(NamedTuple):
    """Two processes on one database, and an outside connection to inspect it."""

    first: App
    second: App
    inspector: asyncpg.Connection


@pytest.fixture
async def pair(clock: FakeClock) -> AsyncIterator[Pair]:
    first = engines.FreshPostgresEngine(clock, is_new=True)
    await first.open()
    url = first.server.url(first.database)
    second = PostgresEngine(url, clock)
    await second.open()
    inspector = await asyncpg.connect(url, server_settings=postgres_connection.SESSION)
    yield Pair(App(Store(first), clock), App(Store(second), clock), inspector)
    await inspector.close()
    await second.close()
    await first.close()


async def revisions(app: App, requests: list[SendRequest]) -> dict[str, list[int]]:
    """Send; return the revisions of each recipient in event order."""
    revisions_by_recipient: dict[str, list[int]] = {}
    for outcome in await app.add_all(requests):
        assert isinstance(outcome, SendResult), outcome
        for event in outcome.events:
            revisions_by_recipient.setdefault(event.inbox.recipient, []).append(event.inbox.revision)
    return revisions_by_recipient


@pytest.mark.thorough
async def test_concurrent_bulk_sends_to_the_same_recipients_are_complete_and_ordered(pair: Pair) -> None:
    apps = [pair.first, pair.second] * 2
    bulks = [[app.send_request(RECIPIENTS[at % len(RECIPIENTS)]) for at in range(2 * POSTGRES.merged)] for app in apps]
    revisions_by_recipient = await asyncio.gather(*map(revisions, apps, bulks))
    assert all(numbers == sorted(numbers) for result in revisions_by_recipient for numbers in result.values())
    sent = Counter(number for result in revisions_by_recipient for number in result["r0"])
    assert sent == Counter(range(1, 4 * 2 * POSTGRES.merged // len(RECIPIENTS) + 1))
    wrong = await pair.inspector.fetch(
        "SELECT r.key FROM recipients r WHERE (r.unread, r.unseen, r.revision) <> "
        "(SELECT count(*), count(*), max(revision) FROM notifications n WHERE n.recipient = r.id)"
    )
    assert wrong == []
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await pair.inspector.fetchval(deadlocks) == 0


async def test_new_recipients_are_created_among_existing_ones(pair: Pair) -> None:
    await pair.first.send("r0")
    revisions_by_recipient = await asyncio.gather(
        *(
            revisions(app, [app.send_request(*RECIPIENTS), app.send_request("r0"), app.send_request("r1")])
            for app in (pair.first, pair.second)
        )
    )
    assert sorted(number for result in revisions_by_recipient for number in result["r0"]) == [2, 3, 4, 5]
    assert sorted(number for result in revisions_by_recipient for number in result["r1"]) == [1, 2, 3, 4]
    assert await pair.inspector.fetchval("SELECT count(*) FROM recipients") == len(RECIPIENTS)


async def test_erased_recipient_starts_with_a_new_inbox(pair: Pair) -> None:
    await pair.first.send("r0")
    before = await pair.first.inbox("r0")
    await pair.second.store.recipients.delete("", "r0", pair.second.now)
    assert await revisions(pair.first, [pair.first.send_request("r0")]) == {"r0": [1]}
    after = await pair.first.inbox("r0")
    assert (after.number, after.state.epoch) != (before.number, before.state.epoch)


async def test_tags_are_indexed(pair: Pair) -> None:
    await pair.first.send("r0")
    requests = [pair.first.send_request("r0", tags=("red", "round")), pair.first.send_request("r0", tags=("red",))]
    await revisions(pair.first, requests)
    ids = [row.id for row in await pair.second.page("r0", tag="red")]
    assert sorted(ids) == sorted(request.ids[0] for request in requests)
    assert len(await pair.second.page("r0", tag="round")) == 1


@pytest.mark.thorough
async def test_two_processes_add_an_announcement_once_while_others_send(pair: Pair) -> None:
    for key in RECIPIENTS:
        await pair.first.open(key)
    await pair.first.announce()
    sends = [pair.second.send_request(*RECIPIENTS) for _ in range(3)]
    *added, sent = await asyncio.gather(
        pair.first.materialize("", RECIPIENTS, pair.first.now),
        pair.second.materialize("", RECIPIENTS[::-1], pair.second.now),
        revisions(pair.second, sends),
    )
    announced: dict[str, list[int]] = {}
    for events in added:
        for event in events:
            assert isinstance(event, NotificationAdded)
            announced.setdefault(event.inbox.recipient, []).append(event.inbox.revision)
    for key in RECIPIENTS:
        assert len(announced[key]) == 1
        assert sorted(announced[key] + sent[key]) == [1, 2, 3, 4]
        assert (await pair.first.counts(key), len(await pair.first.page(key))) == ((4, 4), 4)


@pytest.mark.parametrize("name", BY_NAME)
async def test_lookups_by_key_use_the_index_on_an_empty_database(pair: Pair, name: str) -> None:
    """Processes plan a statement at its first use; a plan that suits a nearly empty table would be slow later."""
    text = postgres_connection.texts()[name].plain
    statement = await pair.inspector.prepare(text)
    await pair.inspector.execute(f"PREPARE statement AS {text}")
    unknown = ", ".join(["NULL"] * len(statement.get_parameters()))
    plan = "\n".join(step for (step,) in await pair.inspector.fetch(f"EXPLAIN EXECUTE statement({unknown})"))
    assert re.search(r"recipients_tenant_key_key.*\n\s*Index Cond: \(\(tenant = .*\) AND \(key = .*\)\)", plan)
    assert not re.search(r"Join Filter: .*key", plan)
    assert not re.search(r"recipients_tenant_key_key.*\n\s*Index Cond: \(tenant = [^)]*\)$", plan, re.MULTILINE)
