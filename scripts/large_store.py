"""Compare the cost of a page, a send and a resume on PostgreSQL among many notifications with their cost among a few.

`python scripts/large_store.py 50000000` fills a new PostgreSQL database with this many rows, measures, and saves the
result to `benchmarks/results`. A row takes about 470 bytes of disk with its indexes. A second small store, measured in
the same way, shows the noise of the machine."""

import asyncio
import contextlib
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import asyncpg
from benchmarks import engines, figures, handshakes, record, server_under_test, storm
from benchmarks.client_pool import ClientPool
from benchmarks.engines import RunningEngine
from benchmarks.epoll_loop import Deadline, EpollLoop
from benchmarks.figures import Figure, median
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import drive
from benchmarks.processes import Used, cpu_per_item
from benchmarks.scales import FULL, BenchmarkRun
from benchmarks.server_under_test import READY, BenchServer, booking
from benchmarks.suite import BenchmarkResult
from benchmarks.target import is_marked

from bellcast.kernel import times
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.db.migrations.postgres import SCHEMA

NAME = "large"
PAGE = 20
SMALL = 20_000
GOAL_RATIO = 1.2
# Recipients that are read and sent to, drawn from the whole table.
SAMPLE = 1_000
ROUNDS = 5
# Pages and sends of each recipient in a round: the CPU time of a process is known to 10 ms, 2 µs of a request.
REPEATS = 5
IN_FLIGHT = 16
TIME_LIMIT_S = 6 * 3600.0
ROWS_PER_INSERT = 500_000
# Autovacuum would add its CPU time to some of the measured requests; the fill ends with one VACUUM. With `minimal`, the
# transaction that fills the table writes no WAL.
SETTINGS = {**engines.POSTGRES_SETTINGS, "autovacuum": "off", "wal_level": "minimal", "max_wal_senders": "0"}

RECIPIENTS = """
INSERT INTO recipients (tenant, key, epoch, watermark, created_at, opened, revision, unread, unseen)
SELECT '', 'guest-' || n, n + 1, 0, $3, 1, $2, $2, $2 FROM generate_series(0, $1 - 1) n
"""
# Each layer is one notification to each recipient, so that the rows of an inbox are far apart. The layers are two hours
# apart and, with 2.5 million recipients, 42 minutes long. All are younger than the retention, which would delete older
# rows during the measurement.
LAYER_MS = 7_200_000
LAYER = """
INSERT INTO notifications (
  recipient, id, first_revision, revision, type, title, body, priority, action_url, created_at
)
SELECT r, left(t, 8) || '-' || right(t, 4) || '-7' || left(h, 3) || '-8' || substr(h, 4, 3) || '-' || substr(h, 7, 12),
  $1, $1, 'booking', 'New booking', 'marker-000000: Saturday, 14:00, garden', 'normal', '/bookings/' || r, at
FROM (
  SELECT id AS r, $4 + id AS at, lpad(to_hex($4 + id), 12, '0') AS t, md5(id || '.' || $1::bigint) AS h
  FROM recipients WHERE id > $2 AND id <= $3
) one
"""
# The indexes and keys of a table, with the statements that recreate them. A sort is several times faster than inserts.
CONSTRAINTS = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'p'
"""
INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = $1::regclass AND NOT indisprimary
"""


# Rows deleted since the start.
DELETED = f"SELECT pg_stat_get_tuples_deleted('{SCHEMA}.notifications'::regclass)"

# Microseconds of CPU per item of each round, by component, of each store.
Costs = dict[str, list[dict[str, float]]]


class LargeStore:
    """A server on its own PostgreSQL with `rows` notifications, and the recipients that are measured."""

    def __init__(self, server: BenchServer, postgres: RunningEngine, rows: int) -> None:
        self.server, self.postgres, self.rows = server, postgres, rows
        choice = random.Random(1)
        self.guests = [f"guest-{number}" for number in choice.sample(range(rows // PAGE), SAMPLE)]
        self.tokens = [server.token(guest) for guest in self.guests]

    def used(self) -> Used:
        return {"server": self.server.process.cpu(), "postgres": self.postgres.process.cpu()}


def main(rows: int) -> None:
    raised = Deadline(TIME_LIMIT_S)
    with tempfile.TemporaryDirectory(prefix="bellcast-bench-") as folder:
        run = BenchmarkRun(scale=FULL, deadline=raised, folder=Path(folder), store_folder=Path(folder), report=report)
        started, load = times.to_rfc3339(SystemClock().now()).isoformat(), os.getloadavg()[0]
        found = measure(run, rows)
    result = BenchmarkResult(name=NAME, started=started, load=load, scale=FULL, figures=found, absent=[])
    report(f"saved {record.save(record.build([result]))}")
    for figure in found:
        report(f"{figure.name}: {figure.value:.3g} {figure.unit} {dict(figure.details)}")


def report(text: str) -> None:
    sys.stdout.write(f"{times.to_rfc3339(SystemClock().now())} {text}\n")
    sys.stdout.flush()


def measure(run: BenchmarkRun, rows: int) -> list[Figure]:
    """Measure the stores alternately, so that changes in the machine's load affect all of them."""
    with store(run, "small", SMALL) as small, store(run, "again", SMALL) as again, store(run, "large", rows) as large:
        size = asyncio.run(_query(large.postgres, "SELECT pg_database_size(current_database())"))
        costs: dict[str, Costs] = {name: {} for name in OPERATIONS}
        for number in range(ROUNDS):
            for name, cost in OPERATIONS.items():
                for place, at in (("small", small), ("again", again), ("large", large)):
                    run.report(f"round {number + 1} of {ROUNDS}: {name}, {at.rows:,} rows")
                    if number == 0:  # warm up
                        cost(run, at)
                    costs[name].setdefault(place, []).append(cost(run, at))
        for at in (small, again, large):
            if asyncio.run(_query(at.postgres, DELETED)):
                raise HandshakeRefused("the server deleted rows during the measurement")
    return [_figure(name, rows, size, costs[name]) for name in OPERATIONS]


@contextlib.contextmanager
def store(run: BenchmarkRun, name: str, rows: int) -> Iterator[LargeStore]:
    with engines.postgres(run.deadline, SETTINGS) as postgres:
        settings = {"BELLCAST_STORE": postgres.url}
        with server_under_test.running(run.folder, run.deadline, settings, name):
            run.report(f"{name}: tables created")
        asyncio.run(_fill(run, postgres, rows))
        with server_under_test.running(run.folder, run.deadline, settings, name) as server:
            yield LargeStore(server, postgres, rows)


async def _fill(run: BenchmarkRun, postgres: RunningEngine, rows: int) -> None:
    connection = await asyncpg.connect(postgres.url)
    recipients = rows // PAGE
    await connection.execute(f"SET search_path = {SCHEMA}")
    await connection.execute("SET maintenance_work_mem = '1GB'")
    # Triggers would add each row to its inbox, as for rows of other programs; the fill writes the counters itself.
    await connection.execute("SET session_replication_role = replica")
    begin = SystemClock().now() - (PAGE + 1) * LAYER_MS
    await connection.execute(RECIPIENTS, recipients, PAGE, begin, timeout=TIME_LIMIT_S)
    async with connection.transaction():
        await _fill_notifications(run, connection, rows, begin)
    run.report("vacuuming")
    await connection.execute("VACUUM ANALYZE", timeout=TIME_LIMIT_S)
    await connection.execute("CHECKPOINT", timeout=TIME_LIMIT_S)
    if await connection.fetchval("SELECT count(*) FROM notifications", timeout=TIME_LIMIT_S) != recipients * PAGE:
        raise HandshakeRefused("the store does not have all rows")
    await connection.close()


async def _fill_notifications(run: BenchmarkRun, connection: asyncpg.Connection, rows: int, begin: int) -> None:
    """Fill the empty table and build its indexes afterwards. The table gets a new file, to which WAL is not written."""
    recipients = rows // PAGE
    await connection.execute("TRUNCATE notifications CASCADE")
    keys = await connection.fetch(CONSTRAINTS, "notifications")
    indexes = await connection.fetch(INDEXES, "notifications")
    for name, _ in keys:
        await connection.execute(f"ALTER TABLE notifications DROP CONSTRAINT {name}")
    for name, _ in indexes:
        await connection.execute(f"DROP INDEX {name}")
    for layer in range(1, PAGE + 1):
        run.report(f"filling: {(layer - 1) * recipients:,} of {rows:,} rows")
        for start in range(0, recipients, ROWS_PER_INSERT):
            run.deadline.check()
            end, at = start + ROWS_PER_INSERT, begin + layer * LAYER_MS
            await connection.execute(LAYER, layer, start, end, at, timeout=TIME_LIMIT_S)
    run.report("building the indexes")
    for name, definition in keys:
        await connection.execute(f"ALTER TABLE notifications ADD CONSTRAINT {name} {definition}", timeout=TIME_LIMIT_S)
    for _, definition in indexes:
        await connection.execute(definition, timeout=TIME_LIMIT_S)


async def _query(postgres: RunningEngine, text: str) -> int:
    connection = await asyncpg.connect(postgres.url)
    number: int = await connection.fetchval(text)
    await connection.close()
    return number


# --- operations: each returns the microseconds of CPU per item


def read_pages(run: BenchmarkRun, at: LargeStore) -> dict[str, float]:
    before = at.used()
    requests = (at.server.read("/v1/inbox?limit=20", token) for _ in range(REPEATS) for token in at.tokens)
    drive(run.deadline, at.server.address, requests, IN_FLIGHT).expect_status(200)
    return cpu_per_item(before, at.used(), SAMPLE * REPEATS)


def send(run: BenchmarkRun, at: LargeStore) -> dict[str, float]:
    before = at.used()
    for _ in range(REPEATS):
        send_to_each(run, at)
    return cpu_per_item(before, at.used(), SAMPLE * REPEATS)


def send_to_each(run: BenchmarkRun, at: LargeStore) -> None:
    requests = (at.server.send("/v1/notifications", booking(guest, n)) for n, guest in enumerate(at.guests))
    drive(run.deadline, at.server.address, requests, IN_FLIGHT).expect_status(201)


def resume(run: BenchmarkRun, at: LargeStore) -> dict[str, float]:
    """Connect every client with the position before its last notification, which it must receive once."""
    send_to_each(run, at)
    positions = storm.fetch_positions(run, at.server, at.tokens)
    send_to_each(run, at)
    greetings = [at.server.greeting("websocket", token, position=positions[n]) for n, token in enumerate(at.tokens)]
    before = at.used()
    with EpollLoop(run.deadline) as loop:
        pool = ClientPool(loop, at.server.address, "websocket", is_marked, handshakes.until(READY), is_uniform=False)
        pool.connect(iter(greetings))
        pool.wait_for_events(SAMPLE, tick=0)
        if not pool.has_all_received(1):
            raise HandshakeRefused("not every client received its missed notification once")
        cost = cpu_per_item(before, at.used(), SAMPLE)
    storm.wait_until_empty(run, at.server)
    return cost


OPERATIONS: dict[str, Callable[[BenchmarkRun, LargeStore], dict[str, float]]] = {
    "page of 20": read_pages,
    "send": send,
    "resume with one missed notification": resume,
}


def _figure(name: str, rows: int, size: int, costs: Costs) -> Figure:
    def total(samples: Sequence[dict[str, float]]) -> float:
        return median([sum(sample.values()) for sample in samples])

    def each(place: str, samples: Sequence[dict[str, float]]) -> dict[str, float]:
        return {f"{place}_{part}": median([sample[part] for sample in samples]) for part in samples[0]}

    return Figure(
        benchmark=NAME,
        name=f"PostgreSQL, {rows:,} rows, {name}: CPU of server and PostgreSQL, against {SMALL:,} rows",
        value=total(costs["large"]) / total(costs["small"]),
        unit="times",
        goal=figures.at_most(GOAL_RATIO),
        details={
            "small_against_itself": total(costs["again"]) / total(costs["small"]),
            **each("small", costs["small"]),
            **each("large", costs["large"]),
            "rows": rows,
            "database_bytes": size,
        },
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
