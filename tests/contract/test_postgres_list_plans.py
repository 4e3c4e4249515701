"""PostgreSQL reads the console's lists in order from an index, and counts no large table."""

import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from bellcast.storage import postgres_connection, statements
from bellcast.storage.maintenance import LARGE_COUNT
from bellcast.storage.migrations.postgres import SCHEMA
from tests import engines
from tests.clock import FakeClock

# Lists that are read from the newest row on, until the page is full.
ORDERED = (
    "sent_last",
    "messages_page",
    "messages_of_all",
    "messages_in_state",
    "messages_of_recipient",
    "runs_page",
    "runs_of_all",
    "runs_in_state",
    "runs_of_workflow",
    "runs_of_recipient",
    "runs_of_trigger",
    "runs_page_last",
    "runs_in_state_last",
    "runs_of_workflow_last",
    "runs_of_recipient_last",
    "runs_of_trigger_last",
    "jobs_dead_of_all",
    "suppressions_of_all",
    "failed_messages",
    "failed_messages_of_all",
    "failed_runs",
    "failed_runs_of_all",
    "dead_jobs",
    "dead_jobs_of_all",
    "replays_of_tenant",
    "replays_of_all",
    "recipients_of_all",
    "topics_of_all",
    "tenants_page",
    "audit_page",
    "audit_page_of_tenant",
)
# Lists filtered by rows of another table, and the index that finds those rows.
COMPARED = {
    **dict.fromkeys(("messages_page", "messages_of_all", "messages_in_state", "messages_of_recipient"), "runs_pkey"),
    **dict.fromkeys(("runs_page", "runs_of_all", "runs_in_state"), "messages_run"),
    **dict.fromkeys(("runs_of_workflow", "runs_of_recipient", "runs_of_trigger"), "messages_run"),
}
# At most :limit rows are sorted by their group.
GROUPED = (
    "message_causes",
    "message_causes_of_all",
    "run_causes",
    "run_causes_of_all",
    "job_causes",
    "job_causes_of_all",
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


@pytest.mark.parametrize("name", ["page_all", "page_part"])
async def test_page_of_an_inbox_that_is_larger_than_others_reads_its_rows_only(name: str, clock: FakeClock) -> None:
    engine = engines.FreshPostgresEngine(clock)
    await engine.open()
    url = engine.server.url(engine.database)
    connection = await asyncpg.connect(url, server_settings=postgres_connection.SESSION)
    await connection.execute(
        """INSERT INTO notifications (recipient, id, first_revision, revision, type, title, priority, created_at)
        SELECT greatest(n - 5000, 1), to_char(n, 'FM000000'), n, n, 'general', 'Hello', 'normal', n
        FROM generate_series(1, 10000) n;
        ANALYZE"""
    )
    text = postgres_connection.texts()[name]
    values = {"inbox": "1", "before": "'~'", "limit": "21", "type": "NULL", "part": "0"}
    await connection.execute(f"PREPARE listed AS {text.plain}")
    executed = (
        f"EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) EXECUTE listed({', '.join(values[one] for one in text.names)})"
    )
    plan = json.loads(await connection.fetchval(executed))[0]["Plan"]
    await connection.close()
    await engine.close()
    assert plan["Actual Rows"] == 21
    assert max(node["Actual Rows"] for node in nodes(plan)) == 21
