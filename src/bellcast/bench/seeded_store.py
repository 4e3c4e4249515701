"""The stock: a store with a million rows, made through bulk sends and kept for the next benchmark of the run."""

import contextlib
import shutil
from collections.abc import Iterator

from bellcast.bench import server_under_test
from bellcast.bench.http_load import drive
from bellcast.bench.scales import Run
from bellcast.bench.server_under_test import BenchServer, booking

PAGE = 20
READERS = [f"reader-{number}" for number in range(5)]
REGULARS = [f"regular-{number}" for number in range(1_000)]

ITEMS = 1_000
IN_FLIGHT = 4


@contextlib.contextmanager
def seeded(trial: Run) -> Iterator[BenchServer]:
    """A server on the large store: one row for each of a million members, and between them, far apart, the
    pages of twenty of the readers and the regulars."""
    full = trial.stock / "full"
    if not full.exists():
        shutil.rmtree(trial.stock, ignore_errors=True)
        trial.stock.mkdir()
    with server_under_test.running(trial.stock, trial.deadline) as server:
        if not full.exists():
            _fill(trial, server)
            full.touch()
        yield server


def small(trial: Run, server: BenchServer) -> None:
    """100 rows: the readers' pages and nothing else."""
    send_each(trial, server, [reader for _ in range(PAGE) for reader in READERS])


def _fill(trial: Run, server: BenchServer) -> None:
    share = trial.scale.rows // PAGE
    for layer in range(PAGE):
        trial.say(f"filling the store: {layer * share:,} of {trial.scale.rows:,} rows")
        members = [f"member-{number}" for number in range(layer * share, (layer + 1) * share)]
        send_each(trial, server, [*members, *READERS, *REGULARS])


def send_each(trial: Run, server: BenchServer, recipients: list[str]) -> None:
    loads = (recipients[start : start + ITEMS] for start in range(0, len(recipients), ITEMS))
    requests = (server.bulk([booking(recipient) for recipient in load]) for load in loads)
    drive(trial.deadline, server.address, requests, IN_FLIGHT).must_be(200)
