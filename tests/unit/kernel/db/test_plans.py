"""The cost of a statement does not grow with the store: no scans, and steps that are independent of other inboxes."""

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bellcast.inbox.types import Edit
from bellcast.inbox.types.inboxes import Marking, Position, Query, ResumeFrom
from bellcast.kernel.db import statements
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.db.sqlite import SqliteEngine
from bellcast.kernel.db.sqlite_connection import connect
from bellcast.kernel.jobs import Job
from bellcast.kernel.jobs.store import FEW_DUE
from bellcast.live.resume import NO_REVISION
from tests.clock import FakeClock
from tests.contract.app import App

# Statements that read a whole table: a small table, or outside of requests.
WHOLE = {"key_all", "stats", "epochs_renew", "snapshot", "tenant_settings", "jobs_count", "tenants_of_address"}
# Operators of the console: a handful.
WHOLE |= {"operator_all", "operator_sessions_count", "setup_codes_end", "setup_codes_expire"}
# Intermediate results of a statement: SQLite reports reading them as a scan too.
OWN = re.compile(r"SCAN (CONSTANT ROW|\w+ VIRTUAL TABLE .*|p|lag|held|n|a|w|few|same|names|owners)$")

TEXTS = statements.load("sqlite")  # 5 ms
MESSAGES_OF_RUN = "m USING INDEX messages_run (tenant=? AND run=?)"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A new store, which plans do not change."""
    path = tmp_path_factory.mktemp("plans") / "bellcast.db"
    asyncio.run(_create(path))
    with closing(connect(path)) as connection:
        yield connection


async def _create(path: Path) -> None:
    engine = SqliteEngine(path, FakeClock())
    await engine.open()
    await engine.close()


def of_the_engine(empty: sqlite3.Connection, text: str) -> list[str]:
    params = dict.fromkeys(re.findall(r":(\w+)", text))
    return [row[3] for row in empty.execute(f"EXPLAIN QUERY PLAN {text}", params)]


def test_no_statement_scans_a_table(empty: sqlite3.Connection) -> None:
    names = set(TEXTS) - WHOLE
    assert names
    assert {name: found for name in names if (found := scans(empty, TEXTS[name]))} == {}


def scans(empty: sqlite3.Connection, text: str) -> list[str]:
    """Return the steps that read a whole table, or the error of a statement without a plan."""
    try:
        plan = of_the_engine(empty, text)
    except sqlite3.Error as error:
        return [str(error)]
    return [step for step in plan if step.startswith("SCAN") and not OWN.match(step)]


@pytest.mark.parametrize(
    ("name", "indexes"),
    [
        ("page_all", ["INDEX notifications_part", "INDEX notifications_part", "INDEX notifications_woken"]),
        ("page_part", ["INDEX notifications_part", "INDEX notifications_woken"]),
        ("unread_by_type", ["COVERING INDEX notifications_part"]),
        ("sent_last", ["COVERING INDEX notifications_direct"]),
        ("sent_of_recipient_last", ["PRIMARY KEY"]),
    ],
)
def test_views_and_their_counts_are_read_in_order_from_an_index(
    empty: sqlite3.Connection, name: str, indexes: list[str]
) -> None:
    plan = of_the_engine(empty, TEXTS[name])
    searched = [step for step in plan if step.startswith("SEARCH notifications")]
    assert [index in step for index, step in zip(indexes, searched, strict=True)] == [True] * len(indexes)
    assert not any("ORDER BY" in step for step in plan)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("recipients", "INDEX sqlite_autoindex_recipients_1 ((tenant,key)>(?,?) AND (tenant,key)<(?,?))"),
        ("recipients_last", "COVERING INDEX sqlite_autoindex_recipients_1 ((tenant,key)>(?,?) AND (tenant,key)<(?,?))"),
        ("recipients_of_tenant", "INDEX sqlite_autoindex_recipients_1 (tenant=? AND key>? AND key<?)"),
        ("topics_of_all", "COVERING INDEX subscriptions_topic ((tenant,topic)>(?,?))"),
        ("failed_messages", "INDEX messages_failed (state=? AND id>? AND id<?)"),
        ("failed_messages_total", "INDEX messages_failed (state=? AND id>? AND id<?)"),
        ("failed_runs", "INDEX runs_failed (id>? AND id<?)"),
        ("failed_runs_total", "INDEX runs_failed (id>? AND id<?)"),
        ("dead_jobs", "INDEX jobs_dead_of_all (id>? AND id<?)"),
        ("jobs_dead", "INDEX jobs_dead_of_all (id>? AND id<?)"),
        ("suppressions", "PRIMARY KEY ((tenant,channel,address)>(?,?,?) AND (tenant,channel,address)<(?,?,?))"),
        ("suppressions_of_tenant", "PRIMARY KEY (tenant=? AND (channel,address)>(?,?) AND (channel,address)<(?,?))"),
        ("documents", "PRIMARY KEY (kind=? AND (tenant,key)>(?,?) AND (tenant,key)<(?,?))"),
        ("documents_of_tenant", "PRIMARY KEY (kind=? AND tenant=? AND key>? AND key<?)"),
        ("replays_of_tenant", "PRIMARY KEY (kind=? AND tenant=? AND key>? AND key<?)"),
        ("replays", "INDEX documents_replays (kind=? AND key>? AND key<?)"),
        ("sent_total", "SEARCH n USING COVERING INDEX notifications_direct (id>? AND id<?)"),
        ("sent_of_tenant_size", "SEARCH n USING COVERING INDEX notifications_revision (recipient=?)"),
        ("sent_of_tenant_total", "SEARCH n USING PRIMARY KEY (recipient=? AND id>? AND id<?)"),
        ("audit_of_tenant_total", "COVERING INDEX audit_entries_tenant (tenant=? AND id>? AND id<?)"),
    ],
)
def test_lists_of_all_tenants_and_totals_are_read_in_order_from_an_index(
    empty: sqlite3.Connection, name: str, index: str
) -> None:
    plan = of_the_engine(empty, TEXTS[name])
    assert any(index in step for step in plan), plan
    assert not any("ORDER BY" in step for step in plan)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("message_causes_of_tenant", "INDEX messages_state (tenant=? AND state=? AND id>? AND id<?)"),
        ("message_causes", "INDEX messages_failed (state=? AND id>? AND id<?)"),
        ("run_causes_of_tenant", "INDEX runs_state (tenant=? AND state=? AND id>? AND id<?)"),
        ("run_causes", "INDEX runs_failed (id>? AND id<?)"),
        ("job_causes_of_tenant", "INDEX jobs_dead (tenant=? AND id>? AND id<?)"),
        ("job_causes", "INDEX jobs_dead_of_all (id>? AND id<?)"),
    ],
)
def test_causes_are_grouped_from_an_index_and_joined_by_id(empty: sqlite3.Connection, name: str, index: str) -> None:
    plan = of_the_engine(empty, TEXTS[name])
    assert any(index in step for step in plan), plan
    assert any(re.match(r"SEARCH one USING .*\(id=\?\)", step) for step in plan), plan
    # Only the groups are sorted, at most :limit rows.
    assert [step for step in plan if "ORDER BY" in step] == []


@pytest.mark.parametrize(
    ("name", "index", "compared"),
    [
        ("messages_of_tenant", "INDEX messages_tenant (tenant=? AND id>? AND id<?)", "r USING PRIMARY KEY (id=?)"),
        ("messages", "PRIMARY KEY (id>? AND id<?)", "r USING PRIMARY KEY (id=?)"),
        ("messages_of_state", "INDEX messages_state (tenant=? AND state=? AND id>?", "r USING PRIMARY KEY (id=?)"),
        ("messages_of_recipient", "INDEX messages_recipient (tenant=? AND recipient=?", "r USING PRIMARY KEY (id=?)"),
        ("runs_of_tenant", "INDEX runs_tenant (tenant=? AND id>? AND id<?)", MESSAGES_OF_RUN),
        ("runs", "PRIMARY KEY (id>? AND id<?)", MESSAGES_OF_RUN),
        ("runs_of_state", "INDEX runs_state (tenant=? AND state=? AND id>? AND id<?)", MESSAGES_OF_RUN),
        ("runs_of_workflow", "INDEX runs_workflow (tenant=? AND workflow=? AND id>? AND id<?)", MESSAGES_OF_RUN),
        ("runs_of_recipient", "INDEX runs_recipient (tenant=? AND recipient=? AND id>?", MESSAGES_OF_RUN),
        ("runs_of_trigger", "INDEX runs_trigger (tenant=? AND trigger=? AND id>? AND id<?)", MESSAGES_OF_RUN),
    ],
)
def test_lists_of_messages_and_runs_compare_each_other_by_an_index(
    empty: sqlite3.Connection, name: str, index: str, compared: str
) -> None:
    plan = of_the_engine(empty, TEXTS[name])
    assert index in plan[0]
    assert [step for step in plan if step.startswith("SEARCH")][1:] == [f"SEARCH {compared}"]
    assert not any("ORDER BY" in step for step in plan)


def test_counts_of_a_trigger_are_read_from_an_index_alone(empty: sqlite3.Connection) -> None:
    plan = of_the_engine(empty, TEXTS["runs_count"])
    assert plan[0] == "SEARCH runs USING COVERING INDEX runs_trigger (tenant=? AND trigger=?)"


async def returned(app: App, number: int) -> None:
    """Resume after three missed changes."""
    state = (await app.store.inboxes.changes(number, NO_REVISION, 1)).state
    for _ in range(3):
        await app.send("alice")
    missed = (await app.open("alice", since=ResumeFrom(Position(state.epoch, state.revision), 100))).missed
    assert missed is not None
    assert len(missed.rows) == 3


DEEDS: dict[str, Callable[[App, int, str], Awaitable[Any]]] = {
    "open": lambda app, number, id: app.open("alice"),
    "return": lambda app, number, id: returned(app, number),
    "stand": lambda app, number, id: app.store.inboxes.statuses([number]),
    "page": lambda app, number, id: app.store.inboxes.page(number, Query()),
    "page of a type": lambda app, number, id: app.store.inboxes.page(number, Query(type=["general"], view="unread")),
    "page of a tag": lambda app, number, id: app.store.inboxes.page(number, Query(tag=["x"])),
    "counts": lambda app, number, id: app.store.inboxes.unread_by_type(number),
    "get": lambda app, number, id: app.store.inboxes.get(number, id),
    "changes": lambda app, number, id: app.store.inboxes.changes(number, 3, 100),
    "read": lambda app, number, id: app.store.inboxes.mark(number, Marking(actions=("read",), ids=(id,)), 1),
    "send": lambda app, number, id: app.send("alice", key="k"),
    "find": lambda app, number, id: app.store.sent.find("", id),
    "edit": lambda app, number, id: app.store.sent.edit("", id, Edit(title="Edited"), 1),
    "recall": lambda app, number, id: app.store.sent.recall("", id, 1),
    "announce": lambda app, number, id: app.announce(),
    "take in": lambda app, number, id: app.materialize("", ["alice"], 1),
    "subscribed": lambda app, number, id: app.store.subscriptions.among("", "alice", ["room"]),
    "next expiry": lambda app, number, id: app.store.maintenance.next_expiry(),
    "expire": lambda app, number, id: app.store.maintenance.expire(1, 10),
    "wake": lambda app, number, id: app.store.maintenance.wake(1, 10),
}


async def test_rows_of_other_inboxes_cost_no_steps(app: App, engine: SqliteEngine) -> None:
    sendings = [app.send_request("alice", tags=("x",)) for _ in range(100)]
    await app.add_all(sendings)
    number = (await app.inbox("alice")).number
    alone = [await steps(engine, DEEDS[name](app, number, sendings[at].ids[0])) for at, name in enumerate(DEEDS)]
    for _ in range(40):
        await app.add_all([app.send_request(f"r{at}", tags=("x",)) for at in range(250)])
    among_many = [
        await steps(engine, DEEDS[name](app, number, sendings[50 + at].ids[0])) for at, name in enumerate(DEEDS)
    ]
    for name, before, after in zip(DEEDS, alone, among_many, strict=True):
        assert after <= before * 1.2 + 20, f"{name}: {before} steps alone, {after} among 10,000 rows of others"


async def test_waiting_jobs_of_one_tenant_cost_no_steps(app: App, engine: SqliteEngine) -> None:
    jobs = app.store.jobs

    async def lease() -> None:
        (group,) = [group for group in await jobs.due(1) if group.tenant == "zoo"]
        assert len(await jobs.lease({group: 2}, 1, 10)) == 2

    def some(tenant: str, number: int) -> list[Job]:
        ids = [f"{tenant}{n}" for n in range(number)]
        return [Job(id=id, kind="k", payload=b"", run_at=1, created_at=1, tenant=tenant) for id in ids]

    await jobs.add(some("acme", FEW_DUE) + some("zoo", 10))
    among_few = await steps(engine, lease())
    await jobs.add(some("acme", 10_000))
    assert await steps(engine, lease()) <= among_few * 1.2 + 20


async def test_groups_of_waiting_jobs_cost_no_steps(app: App, engine: SqliteEngine) -> None:
    """Each tenant with a run that waits has a group."""
    jobs = app.store.jobs
    await jobs.add([Job(id="due", kind="k", payload=b"", run_at=1, created_at=1, tenant="zoo")])
    alone = await steps(engine, jobs.due(1))
    waiting = [
        Job(id=f"job{n}", kind="k", payload=b"", run_at=2, created_at=1, tenant=f"tenant{n}") for n in range(10_000)
    ]
    await jobs.add(waiting)
    assert await steps(engine, jobs.due(1)) <= alone * 1.2 + 20
    assert [group.tenant for group in await jobs.due(1)] == ["zoo"]


async def test_waiting_jobs_cost_no_steps_at_the_start(app: App, engine: SqliteEngine) -> None:
    """A start makes the jobs due that a killed process had leased."""
    jobs = app.store.jobs
    await jobs.add([Job(id="leased", kind="k", payload=b"", run_at=1, created_at=1)])
    await app.lease(1, 30_000, 1)
    alone = await steps(engine, jobs.release(2, 40_000))
    await app.lease(2, 30_000, 1)
    await jobs.add([Job(id=f"job{n}", kind="k", payload=b"", run_at=50_000, created_at=1) for n in range(10_000)])
    assert await steps(engine, jobs.release(3, 40_000)) <= alone * 1.2 + 20
    assert [one.id for one in await app.lease(3, 30_000, 1)] == ["leased"]


async def steps(engine: SqliteEngine, deed: Awaitable[Any]) -> int:
    """Count the steps of SQLite's virtual machine."""
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    reader, writer = engine._reader, engine._writer
    assert reader is not None
    assert writer is not None
    raws = (reader.raw, writer._connection.raw)
    for raw in raws:
        raw.set_progress_handler(step, 1)
    try:
        await deed
    finally:
        for raw in raws:
            raw.set_progress_handler(None, 1)
    return taken


async def test_search_for_old_rows_leaves_the_event_loop_and_the_writer(app: App, engine: SqliteEngine) -> None:
    statements_run: list[str] = []
    assert engine._reader is not None
    assert engine._writer is not None
    for raw in (engine._reader.raw, engine._writer._connection.raw):
        raw.set_trace_callback(statements_run.append)
    assert await app.retire(app.now, tenant="acme") == await app.retire(app.now, but=["acme"]) == []
    assert [text for text in statements_run if "notifications" in text] == []


async def test_long_reads_leave_the_connection_of_short_reads_to_the_event_loop(app: App, engine: SqliteEngine) -> None:
    statements_run: list[str] = []
    assert engine._reader is not None
    engine._reader.raw.set_trace_callback(statements_run.append)
    query = ListQuery(limit=1)
    await app.store.sent.notifications(query)
    await app.store.sent.announcements(query)
    assert statements_run == []
