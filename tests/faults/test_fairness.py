"""A tenant that sends to thousands does not delay single sends of another tenant.

The documented figure, p99 at most three times its idle value during a send to 600,000, needs an idle machine:
`bellcast bench fairness` measures it. This test checks what holds on any machine: a single send waits for one
batch of the large send. Before large sends were isolated from each other, half of the single sends took six times
their idle value.
"""

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bellcast.bench import fairness, nodes, server_under_test
from bellcast.bench.epoll_loop import Deadline, EpollLoop
from bellcast.bench.fairness import LargeSend, Singles
from bellcast.bench.scales import QUICK, Run
from bellcast.bench.server_under_test import BenchServer

RECIPIENTS = 6_000
QUIET_SECONDS = 1.5
# Of the median, which other load on the machine moves little: three times, and the delay of a loaded scheduler.
TIMES, SLACK = 3, 0.01


@contextmanager
def on_sqlite(run: Run) -> Iterator[BenchServer]:
    with server_under_test.running(run.folder, run.deadline) as server:
        yield server


@contextmanager
def on_postgres(run: Run) -> Iterator[BenchServer]:
    with nodes.workers(run, 2) as several:
        yield several.each[0]


@pytest.fixture
def run() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        yield Run(
            scale=QUICK, deadline=Deadline(120), folder=Path(folder), store_folder=Path(folder), report=lambda _: None
        )


@pytest.mark.parametrize("place", [on_sqlite, on_postgres], ids=["sqlite", "postgres"])
def test_single_send_does_not_wait_for_a_large_send_of_another_tenant(place, run: Run) -> None:
    with place(run) as server, EpollLoop(run.deadline) as loop:
        singles = Singles(loop, server)
        singles.send_for(1.0)  # warm up
        before = statistics.median(singles.send_for(QUIET_SECONDS))
        large = LargeSend(loop, server, list(fairness.requests(server, RECIPIENTS)))
        during = singles.send_while(lambda: large.is_running)
        large.close()
        quiet = max(before, statistics.median(singles.send_for(QUIET_SECONDS)))
        told = f"{1e3 * quiet:.1f} ms quiet, {1e3 * statistics.median(during):.1f} ms during {len(during)} singles"
        fairness.check_delivered(run, server, RECIPIENTS, singles.sent)
    print(told)
    assert len(during) > 20, told
    assert statistics.median(during) <= TIMES * quiet + SLACK, told
