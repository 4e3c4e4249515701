"""Sends by one statement leave what a transaction would have left, whoever else writes at the time."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import NamedTuple

import asyncpg
import pytest

from bellcast.ports import SendRequest, Sent
from bellcast.storage import postgres_connection
from bellcast.storage.commit.limits import POSTGRES
from bellcast.storage.postgres import PostgresEngine
from bellcast.storage.store import SQLStore
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App

PEOPLE = [f"r{number}" for number in range(40)]
# Statements that look for people by their names.
BY_NAME = ["inboxes_of_names", "inboxes_receiving", "intake_behind", "notifications_add"]


class Pair(NamedTuple):
    """Two processes on one database, and somebody who looks at that from outside."""

    one: App
    other: App
    outside: asyncpg.Connection


@pytest.fixture
async def pair(clock: FakeClock) -> AsyncIterator[Pair]:
    own = engines.OwnDatabase(clock)
    await own.open()
    url = own.server.url(own.database)
    second = PostgresEngine(url, clock)
    await second.open()
    outside = await asyncpg.connect(url, server_settings=postgres_connection.SESSION)
    yield Pair(App(SQLStore(own), clock), App(SQLStore(second), clock), outside)
    await outside.close()
    await second.close()
    await own.close()


async def revisions(app: App, sendings: list[SendRequest]) -> dict[str, list[int]]:
    """Of each recipient, as they were told in order."""
    told: dict[str, list[int]] = {}
    for outcome in await app.add_all(sendings):
        assert isinstance(outcome, Sent), outcome
        for event in outcome.events:
            told.setdefault(event.inbox.recipient, []).append(event.inbox.revision)
    return told


async def test_bulk_of_two_processes_to_the_same_people_is_whole_and_in_order(pair: Pair) -> None:
    apps = [pair.one, pair.other] * 2
    bulks = [[app.sending(PEOPLE[at % len(PEOPLE)]) for at in range(2 * POSTGRES.merged)] for app in apps]
    told = await asyncio.gather(*map(revisions, apps, bulks))
    assert all(numbers == sorted(numbers) for one in told for numbers in one.values())
    sent = Counter(number for one in told for number in one["r0"])
    assert sent == Counter(range(1, 4 * 2 * POSTGRES.merged // len(PEOPLE) + 1))
    wrong = await pair.outside.fetch(
        "SELECT r.key FROM recipients r WHERE (r.unread, r.unseen, r.revision) <> "
        "(SELECT count(*), count(*), max(revision) FROM notifications n WHERE n.recipient = r.id)"
    )
    assert wrong == []
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await pair.outside.fetchval(deadlocks) == 0


async def test_those_nobody_heard_of_are_made_among_those_who_are_there(pair: Pair) -> None:
    await pair.one.send("r0")
    told = await asyncio.gather(
        *(
            revisions(app, [app.sending(*PEOPLE), app.sending("r0"), app.sending("r1")])
            for app in (pair.one, pair.other)
        )
    )
    assert sorted(number for one in told for number in one["r0"]) == [2, 3, 4, 5]
    assert sorted(number for one in told for number in one["r1"]) == [1, 2, 3, 4]
    assert await pair.outside.fetchval("SELECT count(*) FROM recipients") == len(PEOPLE)


async def test_who_was_erased_begins_anew(pair: Pair) -> None:
    await pair.one.send("r0")
    before = await pair.one.inbox("r0")
    await pair.other.store.recipients.delete("", "r0", pair.other.now)
    assert await revisions(pair.one, [pair.one.sending("r0")]) == {"r0": [1]}
    after = await pair.one.inbox("r0")
    assert (after.number, after.state.epoch) != (before.number, before.state.epoch)


async def test_tags_are_found(pair: Pair) -> None:
    await pair.one.send("r0")
    sendings = [pair.one.sending("r0", tags=("red", "round")), pair.one.sending("r0", tags=("red",))]
    await revisions(pair.one, sendings)
    found = [one.id for one in await pair.other.page("r0", tag="red")]
    assert sorted(found) == sorted(sending.ids[0] for sending in sendings)
    assert len(await pair.other.page("r0", tag="round")) == 1


@pytest.mark.parametrize("name", BY_NAME)
async def test_people_are_found_by_their_whole_name_though_the_database_is_empty(pair: Pair, name: str) -> None:
    """A plan is made when a process first needs it. It must not be one that is good for the three people there are then."""
    text = postgres_connection.texts()[name].plain
    statement = await pair.outside.prepare(text)
    await pair.outside.execute(f"PREPARE asked AS {text}")
    unknown = ", ".join(["NULL"] * len(statement.get_parameters()))
    plan = "\n".join(step for (step,) in await pair.outside.fetch(f"EXPLAIN EXECUTE asked({unknown})"))
    assert re.search(r"recipients_tenant_key_key.*\n\s*Index Cond: \(\(tenant = .*\) AND \(key = .*\)\)", plan)
    assert not re.search(r"Join Filter: .*key", plan)
    assert not re.search(r"recipients_tenant_key_key.*\n\s*Index Cond: \(tenant = [^)]*\)$", plan, re.MULTILINE)
