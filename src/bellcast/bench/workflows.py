"""Workflows: triggers accepted and runs completed per second, and one trigger to a topic of many recipients."""

import time
from collections.abc import Sequence
from typing import Any

from bellcast.bench import figures, server_under_test, target
from bellcast.bench.figures import Figure
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.http_load import drive
from bellcast.bench.processes import cpu_per_item
from bellcast.bench.scales import Run
from bellcast.bench.server_under_test import BenchServer

NAME = "workflows"
TOPIC_NAME = "workflow-topic"

IN_FLIGHT = 64
RECIPIENTS = 1_000
# Recipients of one bulk request.
BULK = 10_000
WARM_UP = 200
POLL_SECONDS = 0.05
# The topic of a role, which one bulk request subscribes to.
ROLE = "follower"
TOPIC = f"role.{ROLE}"
GOAL_TRIGGERS, GOAL_RUNS = 2_000, 700
GOAL_ACCEPT_MS, GOAL_FANOUT = 50, 3_000
STEPS = [
    {"key": "bell", "type": "inbox", "title": "Booking {{ data.n }}"},
    {"key": "mail", "type": "email", "subject": "Booking {{ data.n }}", "text": "Saturday, 14:00, garden"},
    {"key": "again", "type": "inbox", "title": "Booked by {{ data.client }}"},
]


def measure(run: Run) -> list[Figure]:
    """Trigger a workflow of three steps for single recipients, and wait for the end of all runs."""
    with server_under_test.running(run.folder, run.deadline) as server:
        _prepare(run, server, STEPS, RECIPIENTS)
        _trigger(run, server, WARM_UP)
        _wait_until_ended(run, server)
        number = run.scale.runs
        run.report(f"{number:,} triggers of a workflow of three steps")
        before, started = server.used(), time.perf_counter()
        accepted = _trigger(run, server, number)
        _wait_until_ended(run, server)
        seconds = time.perf_counter() - started
        used = cpu_per_item(before, server.used(), number)
    triggers = Figure(
        benchmark=NAME,
        name=f"triggers of a 3-step workflow accepted while runs are executed, {IN_FLIGHT} in flight",
        value=number / accepted,
        unit="/s",
        goal=figures.at_least(GOAL_TRIGGERS),
        details={},
    )
    runs = Figure(
        benchmark=NAME,
        name="3-step runs completed, one process, triggers included",
        value=number / seconds,
        unit="/s",
        goal=figures.at_least(GOAL_RUNS),
        details=used,
    )
    return [triggers, runs]


def measure_topic(run: Run) -> list[Figure]:
    """Trigger a workflow with an inbox item and an e-mail once, for all subscribers of a topic."""
    number = run.scale.followers
    with server_under_test.running(run.folder, run.deadline) as server:
        _prepare(run, server, STEPS[:2], number)
        run.report(f"one trigger to {number:,} subscribers of a topic")
        before, started = server.used(), time.perf_counter()
        body = {"to": {"topic": TOPIC}, "data": {"n": 1, "client": "Ann"}}
        answer = server.send_request(run.deadline, server.send("/v1/workflows/booking/trigger", body), 202)
        accepted = time.perf_counter() - started
        _wait_for_fanout(run, server, answer["trigger"], number)
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


def _prepare(run: Run, server: BenchServer, steps: Sequence[dict[str, Any]], number: int) -> None:
    server.send_request(run.deadline, server.put("/v1/workflows/booking", {"steps": steps}), 201)
    for first in range(0, number, BULK):
        numbers = range(first, min(first + BULK, number))
        people = [{"key": f"r{n}", "email": f"r{n}@example.com", "roles": [ROLE]} for n in numbers]
        server.send_request(run.deadline, server.send("/v1/recipients/bulk", people))


def _trigger(run: Run, server: BenchServer, number: int) -> float:
    """Trigger runs; return the seconds until the last was accepted."""
    bodies = ({"to": f"r{n % RECIPIENTS}", "data": {"n": n, "client": "Ann"}} for n in range(number))
    requests = (server.send("/v1/workflows/booking/trigger", body) for body in bodies)
    return drive(run.deadline, server.address, requests, IN_FLIGHT).expect_status(202).seconds


def _wait_until_ended(run: Run, server: BenchServer) -> None:
    while any(_get(run, server, f"/v1/runs?state={state}&limit=1")["runs"] for state in ("running", "waiting")):
        run.deadline.check()
        time.sleep(POLL_SECONDS)


def _wait_for_fanout(run: Run, server: BenchServer, trigger: str, number: int) -> None:
    while True:
        found = _get(run, server, f"/v1/runs?trigger={trigger}&limit=1")
        if found["fanout"] == "done" and found["counts"].get("completed", 0) == number:
            return
        if sum(found["counts"].values()) > number:
            raise HandshakeRefused(f"more runs than recipients: {found['counts']}")
        run.deadline.check()
        time.sleep(POLL_SECONDS)


def _get(run: Run, server: BenchServer, path: str) -> Any:
    return server.send_request(run.deadline, target.get(path, server.authorization))
