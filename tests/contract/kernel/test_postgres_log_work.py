"""PostgreSQL's work per live event does not grow with the events of a busy topic, nor with those already removed."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from bellcast.kernel.brokers import NewEntry, postgres
from bellcast.kernel.brokers.postgres import TRIM_READS, PostgresLog, PostgresTransport
from bellcast.kernel.events import topic_stream
from tests import engines

KEPT = 150
SEGMENT = 1_000
# Pages and index entries of the inserts, the deletes, their floors, and the reads of a trim.
PAGES_PER_EVENT = 70
ENTRIES_PER_EVENT = TRIM_READS + 30
WORK = """
SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::bigint AS pages,
  (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = 'bellcast_live')::bigint AS entries,
  (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = 'bellcast_live')::bigint AS scanned
FROM pg_statio_user_tables WHERE schemaname = 'bellcast_live'
"""
PLANS = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1"
CLIENTS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


@pytest.fixture
def server() -> Iterator[engines.PostgresServer]:
    """A PostgreSQL of its own, because its counters are read. It does not vacuum, so deleted entries stay in the indexes."""
    server = engines.PostgresServer()
    server.start()
    yield server
    server.end()


@pytest.mark.parametrize("topics", [1, 20])
async def test_work_per_event_stays_constant_in_a_busy_tenant(server: engines.PostgresServer, topics: int) -> None:
    await server.execute("ALTER SYSTEM SET autovacuum = off")
    await server.execute("SELECT pg_reload_conf()")
    work = [await _work(server, topics, start) for start in range(0, 5 * SEGMENT, SEGMENT)]
    spent = [{name: after[name] - before[name] for name in after} for before, after in pairwise(work)]
    for one in spent:
        assert one["pages"] < PAGES_PER_EVENT * SEGMENT, spent
        assert one["entries"] < ENTRIES_PER_EVENT * SEGMENT, spent
        assert one["scanned"] < SEGMENT, spent
    connection = await asyncpg.connect(server.url("postgres"))
    counts = await connection.fetch("SELECT count(*) FROM bellcast_live.events GROUP BY stream")
    await connection.close()
    assert len(counts) == topics
    assert all(KEPT <= count <= 2 * KEPT for (count,) in counts)


async def test_append_is_one_statement_with_a_stored_plan(
    server: engines.PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    begin_session = postgres._begin_session

    async def observe_session(connection: asyncpg.Connection) -> None:
        await begin_session(connection)
        connection.add_query_logger(lambda one: statements.append(one.query))

    monkeypatch.setattr(postgres, "_begin_session", observe_session)
    transport = PostgresTransport(server.url("postgres"), "statements")
    await transport.connect(lambda _: None)
    log = PostgresLog(transport, "statements", lambda: 10**8)
    for size in (1, 1, 20, 1, 20, 1):  # PostgreSQL considers a stored plan from the sixth execution on
        await log.append("", [NewEntry(topic_stream("", "a"), b"x", 10**6, 0)] * size, now=1)
    statements.clear()
    for size in (1, 20):
        await log.append("", [NewEntry(topic_stream("", "a"), b"x", 10**6, 0)] * size, now=1)
    assert statements == [postgres.SQL["append"]] * 2
    async with log._connection() as connection:
        plans = await connection.fetchrow(PLANS, postgres.SQL["append"])
    await log.close()
    await transport.close()
    assert dict(plans or {}) == {"generic_plans": 4, "custom_plans": 5}


async def test_trims_are_planned_once(server: engines.PostgresServer) -> None:
    transport = PostgresTransport(server.url("postgres"), "trims")
    await transport.connect(lambda _: None)
    log = PostgresLog(transport, "trims", lambda: 10**8)
    for _ in range(8):  # each append trims: the topic keeps fewer than a trim may read per append
        await log.append("", [NewEntry(topic_stream("", "a"), b"x", 10**6, TRIM_READS)], now=1)
    async with log._connection() as connection:
        plans = await connection.fetchrow(PLANS, postgres.SQL["trim"])
    await log.close()
    await transport.close()
    assert dict(plans or {}) == {"generic_plans": 3, "custom_plans": 5}


async def _work(server: engines.PostgresServer, topics: int, start: int) -> dict[str, int]:
    """Append a segment, one event at a time, and return the counters once the connections have ended."""
    transport = PostgresTransport(server.url("postgres"), "work")
    await transport.connect(lambda _: None)
    log = PostgresLog(transport, "work", lambda: 10**8)
    for number in range(start, start + SEGMENT):
        await log.append("", [NewEntry(topic_stream("", str(number % topics)), b"x" * 100, 10**6, KEPT)], now=number)
    await transport.close()
    await log.close()
    connection: Any = await asyncpg.connect(server.url("postgres"))
    for _ in range(3_000):
        if not await connection.fetchval(CLIENTS):
            break
        await asyncio.sleep(0.01)
    counters = dict(await connection.fetchrow(WORK))
    await connection.close()
    return counters
