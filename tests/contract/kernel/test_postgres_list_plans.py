"""PostgreSQL reads the console's lists in order from an index, and counts no large table."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from bellcast.inbox.store.maintenance import LARGE_COUNT
from bellcast.kernel.db import postgres_connection, statements
from bellcast.kernel.db.migrations.postgres import SCHEMA
from tests import engines
from tests.clock import FakeClock

# Lists that are read from the newest row on, until the page is full.
ORDERED = (
    "sent_last",
    "messages_of_tenant",
    "messages",
    "messages_of_state",
    "messages_of_recipient",
    "runs_of_tenant",
    "runs",
    "runs_of_state",
    "runs_of_workflow",
    "runs_of_recipient",
    "runs_of_trigger",
    "runs_of_tenant_last",
    "runs_of_state_last",
    "runs_of_workflow_last",
    "runs_of_recipient_last",
    "runs_of_trigger_last",
    "jobs_dead",
    "documents",
    "documents_of_tenant",
    "suppressions",
    "suppressions_of_tenant",
    "failed_messages",
    "failed_messages_of_tenant",
    "failed_runs",
    "failed_runs_of_tenant",
    "dead_jobs",
    "dead_jobs_of_tenant",
    "replays_of_tenant",
    "replays",
    "recipients",
    "recipients_of_tenant",
    "topics_of_all",
    "tenants",
    "audit",
    "audit_of_tenant",
)
# Lists filtered by rows of another table, and the index that finds those rows.
COMPARED = {
    **dict.fromkeys(("messages_of_tenant", "messages", "messages_of_state", "messages_of_recipient"), "runs_pkey"),
    **dict.fromkeys(("runs_of_tenant", "runs", "runs_of_state"), "messages_run"),
    **dict.fromkeys(("runs_of_workflow", "runs_of_recipient", "runs_of_trigger"), "messages_run"),
}
# At most :limit rows are sorted by their group.
GROUPED = (
    "message_causes",
    "message_causes_of_tenant",
    "run_causes",
    "run_causes_of_tenant",
    "job_causes",
    "job_causes_of_tenant",
)
# Without rows, every plan costs the same: with the alternatives disabled, a statement uses its index if it has one.
PLANNER = (
    "SET plan_cache_mode = force_generic_plan",
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SET enable_sort = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
)


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a node of a plan and all below it."""
    yield node
    for inner in node.get("Plans", ()):
        yield from nodes(inner)


async def explained(connection: asyncpg.Connection, name: str) -> dict[str, Any]:
    """Return the plan of a statement for values that are not known."""
    body = statements.body(statements.load("postgres")[name])
    names = list(dict.fromkeys(statements.PARAMETER.findall(body)))
    numbered = statements.PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", body)
    await connection.execute(f"PREPARE listed AS {numbered}")
    values = ", ".join(["NULL"] * len(names))
    ((text,),) = await connection.fetch(f"EXPLAIN (FORMAT JSON) EXECUTE listed{f'({values})' if names else ''}")
    await connection.execute("DEALLOCATE listed")
    plan: dict[str, Any] = json.loads(text)[0]["Plan"]
    return plan


async def plan_of(connection: asyncpg.Connection, name: str) -> set[str]:
    return {node["Node Type"] for node in nodes(await explained(connection, name))}


@pytest.fixture
async def inspector(clock: FakeClock) -> Any:
    engine = engines.FreshPostgresEngine(clock, is_new=True)
    await engine.open()
    connection = await asyncpg.connect(engine.server.url(engine.database), server_settings={"search_path": SCHEMA})
    for setting in PLANNER:
        await connection.execute(setting)
    yield connection
    await connection.close()
    await engine.close()


async def test_lists_are_read_in_order_from_an_index(inspector: asyncpg.Connection) -> None:
    plans = {name: await plan_of(inspector, name) for name in ORDERED}
    assert {name: plan for name, plan in plans.items() if plan & {"Seq Scan", "Sort", "Incremental Sort"}} == {}


async def test_rows_of_other_tables_are_compared_one_by_one(inspector: asyncpg.Connection) -> None:
    for name, index in COMPARED.items():
        plan = await explained(inspector, name)
        assert "hashed SubPlan" not in json.dumps(plan), name
        compared = [node for node in nodes(plan) if node.get("Parent Relationship") == "SubPlan"]
        assert index in {inner.get("Index Name") for node in compared for inner in nodes(node)}, name


async def test_causes_are_grouped_from_an_index(inspector: asyncpg.Connection) -> None:
    plans = {name: await plan_of(inspector, name) for name in GROUPED}
    assert {name: plan for name, plan in plans.items() if "Seq Scan" in plan} == {}


async def test_large_tables_are_estimated_and_not_counted(inspector: asyncpg.Connection) -> None:
    await inspector.execute("SET session_replication_role = replica")
    await inspector.execute(
        "INSERT INTO notifications (recipient, id, first_revision, revision, type, created_at) VALUES (1, 'x', 1, 1, 't', 0)"
    )
    large = "UPDATE pg_class SET relpages = 1, reltuples = 5e7 WHERE oid = 'notifications'::regclass"
    await inspector.execute(large)
    text = statements.body(statements.load("postgres")["stats"]).replace(":large", str(LARGE_COUNT))
    counts = dict(await inspector.fetch(text))
    ((explained,),) = await inspector.fetch(f"EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) {text}")
    await inspector.execute("ANALYZE notifications")
    assert (counts["notifications"], counts["tombstones"]) == (50_000_000, 0)
    scans = {
        node["Relation Name"]: node["Actual Loops"]
        for node in nodes(json.loads(explained)[0]["Plan"])
        if "Relation Name" in node
    }
    counted = {"tenants", "recipients", "announcements", "subscriptions", "tombstones"}
    assert scans.pop("notifications") == 0
    assert {table for table, loops in scans.items() if loops} == {*counted, "pg_class"}


# Statements that need few rows of an inbox, and the maximum number of rows that a step of their plan reads.
FEW_ROWS = {
    "page_all": 21,
    "page_part": 21,
    "page_tag": 9,
    "entry": 1,
    "mark_row": 1,
    "delete_row": 1,
    "marks_of_ids": 3,
    "changed_entries": 21,
    "export_notifications": 21,
    "items_find": 3,
    "messages_find": 1,
    "announced_page": 1,
    "sent_of_recipient_page": 21,
    "materialize_pending": 1,
    "materialize_concerned": 1,
}
VALUES = {
    **dict.fromkeys(("tenant", "since"), "''"),
    **dict.fromkeys(("type", "template", "read_at", "archived_at", "snoozed_until", "return_by"), "NULL"),
    **dict.fromkeys(("part", "first"), "0"),
    **dict.fromkeys(("recipient", "key"), "'alice'"),
    **dict.fromkeys(("inbox", "last", "seen_at", "now"), "1"),
    "inboxes": "'[1]'",
    "before": "'~'",
    "limit": "21",
    "far": "100",
    "tag": "NULL",
    "snoozed": "0",
    "id": "'000100'",
    "ids": """'["000100", "000200", "000300"]'""",
    "after": "100",
    "revision": "2000",
    "until": "1000",
}
SPECIAL_VALUES = {
    "page_tag": {"tag": "'rare'"},
    "messages_find": {"ids": """'["m"]'"""},
    "export_notifications": {"after": "'000100'"},
    "announced_page": {"since": "'1000'"},
}


@pytest.fixture
async def large_inbox(clock: FakeClock) -> AsyncIterator[asyncpg.Connection]:
    """A store with an inbox of 1,000 notifications; 10,000 others have one each. All have read 999 announcements of 1,000."""
    engine = engines.FreshPostgresEngine(clock, is_new=True)
    await engine.open()
    url = engine.server.url(engine.database)
    connection = await asyncpg.connect(url, server_settings=postgres_connection.SESSION)
    await connection.execute(
        """INSERT INTO recipients (id, tenant, key, epoch, watermark, created_at)
        SELECT n, '', CASE n WHEN 1 THEN 'alice' ELSE 'r' || n END, 1, 999, 1 FROM generate_series(1, 10000) n;
        INSERT INTO notifications (recipient, id, first_revision, revision, type, title, priority, created_at)
        SELECT greatest(n - 1000, 1), to_char(n, 'FM000000'), n, n, 'general', 'Hello', 'normal', n
        FROM generate_series(1, 11000) n;
        INSERT INTO notification_tags SELECT 1, 'rare', to_char(n, 'FM000000') FROM generate_series(1, 9) n;
        INSERT INTO announcements (seq, changed, id, tenant, type, title, priority, created_at)
        SELECT n, n, to_char(n, 'FM0000'), '', 'general', 'Hello', 'normal', 1 FROM generate_series(1, 1000) n;
        INSERT INTO messages (id, tenant, recipient, notification, channel, type, priority, address, state, due_at, created_at,
          content) VALUES ('m', '', 'alice', '000100', 'email', 'general', 'normal', 'a', 'queued', 1, 1, '{}');
        ANALYZE"""
    )
    yield connection
    await connection.close()
    await engine.close()


async def executed(connection: asyncpg.Connection, name: str, values: dict[str, str]) -> dict[str, Any]:
    """Return the plan of a statement with the rows that its steps read; undo what it writes."""
    text = postgres_connection.texts()[name]
    await connection.execute(f"PREPARE listed AS {text.plain}")
    given = ", ".join(values[one] for one in text.names)
    transaction = connection.transaction()
    await transaction.start()
    explained = await connection.fetchval(f"EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) EXECUTE listed({given})")
    await transaction.rollback()
    await connection.execute("DEALLOCATE listed")
    plan: dict[str, Any] = json.loads(explained)[0]["Plan"]
    return plan


def rows_read(plan: dict[str, Any]) -> int:
    """Return the maximum number of rows that one execution of a step read."""
    return max(int(node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) for node in nodes(plan))


async def test_statements_read_only_their_rows_of_an_inbox_that_is_larger_than_others(
    large_inbox: asyncpg.Connection,
) -> None:
    plans = {name: await executed(large_inbox, name, VALUES | SPECIAL_VALUES.get(name, {})) for name in FEW_ROWS}
    assert {name: rows_read(plan) for name, plan in plans.items() if rows_read(plan) > FEW_ROWS[name]} == {}
