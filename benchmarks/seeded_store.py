"""A store with a million rows, filled through bulk sends and shared by the benchmarks of a run."""

import contextlib
import shutil
from collections.abc import Iterator

from benchmarks import server_under_test
from benchmarks.http_load import drive
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer, booking

PAGE = 20
READERS = [f"reader-{number}" for number in range(5)]
REGULARS = [f"regular-{number}" for number in range(1_000)]

ITEMS = 1_000
IN_FLIGHT = 4


@contextlib.contextmanager
def seeded(run: BenchmarkRun) -> Iterator[BenchServer]:
    """Start a server on the large store: one row for each of a million members, and PAGE rows for each of READERS and
    REGULARS, spread over the whole store."""
    full = run.store_folder / "full"
    if not full.exists():
        shutil.rmtree(run.store_folder, ignore_errors=True)
        run.store_folder.mkdir()
    with server_under_test.running(run.store_folder, run.deadline) as server:
        if not full.exists():
            share = run.scale.rows // PAGE
            for layer in range(PAGE):
                run.report(f"filling the store: {layer * share:,} of {run.scale.rows:,} rows")
                members = [f"member-{number}" for number in range(layer * share, (layer + 1) * share)]
                send_each(run, server, [*members, *READERS, *REGULARS])
            full.touch()
        yield server


def small(run: BenchmarkRun, server: BenchServer) -> None:
    """Fill a store with 100 rows: PAGE for each reader."""
    send_each(run, server, [reader for _ in range(PAGE) for reader in READERS])


def send_each(run: BenchmarkRun, server: BenchServer, recipients: list[str]) -> None:
    loads = (recipients[start : start + ITEMS] for start in range(0, len(recipients), ITEMS))
    requests = (server.bulk([booking(recipient) for recipient in load]) for load in loads)
    drive(run.deadline, server.address, requests, IN_FLIGHT).expect_status(200)
