"""Trigger: events per second through Pusher's HTTP API, each request signed as its SDKs do."""

import time

import msgspec

from benchmarks import figures, server_under_test
from benchmarks.client_pool import ClientPool
from benchmarks.epoll_loop import EpollLoop
from benchmarks.figures import Figure
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import LoadResult, drive_on_loop
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer
from benchmarks.target import TOPIC, event_data

NAME = "trigger"
GOAL_PER_SECOND = 5_000

IN_FLIGHT = 64
WARM_UP = 500


def measure(run: BenchmarkRun) -> list[Figure]:
    """One client subscribes to the channel, so that each event is delivered."""
    with server_under_test.running(run.folder, run.deadline) as server, EpollLoop(run.deadline) as loop:
        target = server.target()
        pool = target.pool(loop, "pusher")
        pool.connect(iter([target.greeting("pusher", 0)]))
        _send(server, loop, pool, WARM_UP)
        pool.reset_counts()
        run.report(f"{run.scale.triggers:,} signed requests, {IN_FLIGHT} in flight")
        before, busy = server.process.cpu(), time.process_time()
        outcome = _send(server, loop, pool, run.scale.triggers)
        used = server.process.cpu().since(before)
        return [_figure(outcome, used.total, time.process_time() - busy)]


def _send(server: BenchServer, loop: EpollLoop, pool: ClientPool, number: int) -> LoadResult:
    requests = [server.trigger(_body(n)) for n in range(number)]
    outcome = drive_on_loop(loop, server.address, iter(requests), IN_FLIGHT).expect_status(200)
    pool.wait_for_events(number)
    if not pool.has_all_received(number):
        raise HandshakeRefused(f"{number} events were acknowledged, {pool.total} delivered")
    return outcome


def _body(number: int) -> bytes:
    """Return the request body. Pusher's `data` is a string."""
    return msgspec.json.encode({"name": "note", "channels": [TOPIC], "data": event_data(number).decode()})


def _figure(outcome: LoadResult, used: float, busy: float) -> Figure:
    return Figure(
        benchmark=NAME,
        name=f"events through Pusher's HTTP API, signed, {IN_FLIGHT} in flight",
        value=outcome.per_second,
        unit="/s",
        goal=figures.at_least(GOAL_PER_SECOND),
        details={
            "server_cpu_us": 1e6 * used / outcome.number,
            "wait_p50_ms": 1e3 * figures.percentile(outcome.waits, 0.5),
            "wait_p99_ms": 1e3 * figures.percentile(outcome.waits, 0.99),
            "generator_busy": busy / outcome.seconds,
        },
    )
