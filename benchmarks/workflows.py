"""Workflows: triggers accepted and runs completed per second, and one trigger to a topic of many recipients."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks import figures, nodes, recipients, server_under_test, target
from benchmarks.figures import Figure, MissingFigure
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import drive
from benchmarks.ingest import Measured
from benchmarks.peers import AbsentError
from benchmarks.processes import cpu_per_item
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer

NAME = "workflows"
WORKERS_NAME = "workflow-workers"
TOPIC_NAME = "workflow-topic"

WORKERS = 2

IN_FLIGHT = 64
RECIPIENTS = 1_000
WARM_UP = 200
POLL_SECONDS = 0.05
COUNT_SECONDS = 0.5
GOAL_TRIGGERS, GOAL_RUNS = 2_000, 700
# Two workers.
GOAL_WORKERS_TRIGGERS = 4_000
GOAL_ACCEPT_MS, GOAL_FANOUT = 50, 3_000
STEPS = [
    {"key": "bell", "type": "inbox", "title": "Booking {{ data.n }}"},
    {"key": "mail", "type": "email", "subject": "Booking {{ data.n }}", "text": "Saturday, 14:00, garden"},
    {"key": "again", "type": "inbox", "title": "Booked by {{ data.client }}"},
]


def measure(run: BenchmarkRun) -> list[Figure]:
    """Measure one process on SQLite."""
    with server_under_test.running(run.folder, run.deadline) as server:
        triggers, runs = _measure_runs(run, server, server)
    return [
        triggers.figure(NAME, "triggers of a 3-step workflow", GOAL_TRIGGERS),
        runs.figure(NAME, "3-step runs completed, one process, triggers included", GOAL_RUNS),
    ]


def measure_workers(run: BenchmarkRun) -> Sequence[Figure | MissingFigure]:
    """Measure two processes on PostgreSQL."""
    what = f"triggers of a 3-step workflow, {WORKERS} workers on PostgreSQL"
    try:
        with nodes.workers(run, WORKERS) as cluster:
            triggers, runs = _measure_runs(run, cluster.each[0], cluster)
    except AbsentError as absent:
        return [MissingFigure(WORKERS_NAME, what, str(absent))]
    return [
        triggers.figure(WORKERS_NAME, what, GOAL_WORKERS_TRIGGERS),
        runs.figure(WORKERS_NAME, f"3-step runs completed, {WORKERS} workers on PostgreSQL", None),
    ]


class Rate(NamedTuple):
    """Items per second, with the CPU time of one."""

    value: float
    details: dict[str, float]

    def figure(self, benchmark: str, name: str, goal: float | None) -> Figure:
        bound = None if goal is None else figures.at_least(goal)
        return Figure(benchmark=benchmark, name=name, value=self.value, unit="/s", goal=bound, details=self.details)


def _measure_runs(run: BenchmarkRun, server: BenchServer, measured: Measured) -> tuple[Rate, Rate]:
    """Trigger a workflow of three steps for single recipients, and wait for the end of all runs. Returns the rates of
    triggers accepted while runs are executed, and of runs completed."""
    _prepare(run, server, STEPS, RECIPIENTS)
    _trigger(run, server, WARM_UP)
    _wait_until_ended(run, server)
    number = run.scale.runs
    run.report(f"{number:,} triggers of a workflow of three steps, {IN_FLIGHT} in flight")
    before, started = measured.used(), time.perf_counter()
    accepted = _trigger(run, server, number)
    _wait_until_ended(run, server)
    seconds = time.perf_counter() - started
    return Rate(number / accepted, {}), Rate(number / seconds, cpu_per_item(before, measured.used(), number))


def measure_topic(run: BenchmarkRun) -> list[Figure]:
    """Trigger a workflow with an inbox item and an e-mail once, for all subscribers of a topic."""
    number = run.scale.followers
    with server_under_test.running(run.folder, run.deadline) as server:
        _prepare(run, server, STEPS[:2], number)
        run.report(f"one trigger to {number:,} subscribers of a topic")
        before, started = server.used(), time.perf_counter()
        body = {"to": {"topic": recipients.TOPIC}, "data": {"n": 1, "client": "Ann"}}
        response = server.send_request(run.deadline, server.send("/v1/workflows/booking/trigger", body), 202)
        accepted = time.perf_counter() - started
        _wait_for_fanout(run, server, response["trigger"], number)
        seconds = time.perf_counter() - started
        used = cpu_per_item(before, server.used(), number)
    return [
        Figure(
            benchmark=TOPIC_NAME,
            name=f"one trigger to a topic of {number:,} accepted",
            value=accepted * 1e3,
            unit="ms",
            goal=figures.at_most(GOAL_ACCEPT_MS),
            details={},
        ),
        Figure(
            benchmark=TOPIC_NAME,
            name="recipients of that trigger with inbox item and e-mail",
            value=number / seconds,
            unit="/s",
            goal=figures.at_least(GOAL_FANOUT),
            details=used,
        ),
    ]


def _prepare(run: BenchmarkRun, server: BenchServer, steps: Sequence[dict[str, Any]], number: int) -> None:
    server.send_request(run.deadline, server.put("/v1/workflows/booking", {"steps": steps}), 201)
    recipients.add(run, server, number)


def _trigger(run: BenchmarkRun, server: BenchServer, number: int) -> float:
    """Trigger runs; return the seconds until the last was accepted."""
    bodies = ({"to": f"r{n % RECIPIENTS}", "data": {"n": n, "client": "Ann"}} for n in range(number))
    requests = (server.send("/v1/workflows/booking/trigger", body) for body in bodies)
    return drive(run.deadline, server.address, requests, IN_FLIGHT).expect_status(202).seconds


def _wait_until_ended(run: BenchmarkRun, server: BenchServer) -> None:
    while any(_get(run, server, f"/v1/runs?state={state}&limit=1")["runs"] for state in ("running", "waiting")):
        run.deadline.check()
        time.sleep(POLL_SECONDS)


def _wait_for_fanout(run: BenchmarkRun, server: BenchServer, trigger: str, number: int) -> None:
    """Wait until all runs have completed. Polls rarely, because counting reads an index entry per run."""
    while True:
        run.deadline.check()
        time.sleep(COUNT_SECONDS)
        found = _get(run, server, f"/v1/runs?trigger={trigger}&limit=1")
        if found["fanout"] == "done" and found["counts"].get("completed", 0) == number:
            return
        if sum(found["counts"].values()) > number:
            raise HandshakeRefused(f"more runs than recipients: {found['counts']}")


def _get(run: BenchmarkRun, server: BenchServer, path: str) -> Any:
    return server.send_request(run.deadline, target.get(path, server.authorization))
