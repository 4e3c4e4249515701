"""Ingest: durable notifications per second, in single and bulk requests."""

import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from benchmarks import figures, nodes, server_under_test
from benchmarks.figures import Figure, MissingFigure
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import LoadResult, drive
from benchmarks.peers import AbsentError
from benchmarks.processes import Used, cpu_per_item
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer, JsonObject, booking

NAME = "ingest"
WORKERS_NAME = "workers"
WORKERS = 2

IN_FLIGHT = 64
BULK_IN_FLIGHT = 4
ITEMS = 1_000
RECIPIENTS = 1_000
WARM_UP = 500


class Goals(NamedTuple):
    """Goals in sends per second."""

    singles: float
    bulk: float


EMBEDDED = Goals(4_000, 15_000)
SCALED_OUT = Goals(5_000, 20_000)


class Measured(Protocol):
    """A server or cluster that reports its CPU time, engines included."""

    def used(self) -> Used: ...


def measure(run: BenchmarkRun) -> list[Figure]:
    """Measure one process on SQLite."""
    with server_under_test.running(run.folder, run.deadline) as server:
        return Ingest(run, NAME, server, server, EMBEDDED).figures("durable sends")


def measure_workers(run: BenchmarkRun) -> Sequence[Figure | MissingFigure]:
    """Measure cluster processes on one port, on PostgreSQL."""
    what = f"durable sends, {WORKERS} workers on PostgreSQL"
    try:
        with nodes.workers(run, WORKERS) as cluster:
            return Ingest(run, WORKERS_NAME, cluster.each[0], cluster, SCALED_OUT).figures(what)
    except AbsentError as absent:
        return [MissingFigure(WORKERS_NAME, what, str(absent))]


class Ingest:
    """Single and bulk sends to one address, and the CPU time that the server and its engines use for them."""

    def __init__(
        self, run: BenchmarkRun, benchmark: str, server: BenchServer, measured: Measured, goals: Goals
    ) -> None:
        self._run = run
        self._benchmark = benchmark
        self._server = server
        self._measured = measured
        self._goals = goals

    def figures(self, what: str) -> list[Figure]:
        """Run all kinds of sends, then check that the inboxes hold exactly the acknowledged ones."""
        run, server = self._run, self._server
        self._send(_singles(server, WARM_UP), IN_FLIGHT, 201)
        results = [self.single_figure(f"{what}, single POSTs, {IN_FLIGHT} in flight")]
        for form, request in {"JSON array": server.bulk, "NDJSON": server.bulk_lines}.items():
            results.append(self.bulk_figure(f"{what} in bulk, {ITEMS:,} a request, {form}", request))
        run.report("counting the stored notifications")
        # Every acknowledged send must be one unread notification.
        number = WARM_UP + run.scale.singles + 2 * _bulk_number(run)
        readers = [server.token(f"reader-{n}") for n in range(RECIPIENTS)]
        stored = unread(run, server, readers)
        if stored != number:
            raise HandshakeRefused(f"{number} sends were acknowledged, {stored} are in the inboxes")
        return results

    def single_figure(self, name: str) -> Figure:
        """Send single notifications."""
        number = self._run.scale.singles
        requests = _singles(self._server, number)
        return self._figure(name, self._goals.singles, number, lambda: self._send(requests, IN_FLIGHT, 201))

    def bulk_figure(self, name: str, request: Callable[[Sequence[JsonObject]], bytes]) -> Figure:
        """Send bulk requests, which `request` builds from their items."""
        number = _bulk_number(self._run)
        loads = [[booking(_random_reader(), n) for n in range(ITEMS)] for _ in range(number // ITEMS)]
        requests = [request(load) for load in loads]
        return self._figure(name, self._goals.bulk, number, lambda: self._send(requests, BULK_IN_FLIGHT, 200))

    def _send(self, requests: Sequence[bytes], in_flight: int, status: int) -> LoadResult:
        return drive(self._run.deadline, self._server.address, iter(requests), in_flight).expect_status(status)

    def _figure(self, name: str, goal: float, number: int, send: Callable[[], LoadResult]) -> Figure:
        self._run.report(f"{number:,}: {name}")
        before, busy = self._measured.used(), time.process_time()
        outcome = send()
        busy, after = time.process_time() - busy, self._measured.used()
        return Figure(
            benchmark=self._benchmark,
            name=name,
            value=number / outcome.seconds,
            unit="/s",
            goal=figures.at_least(goal),
            details={
                **cpu_per_item(before, after, number),
                "request_p50_ms": 1e3 * figures.percentile(outcome.waits, 0.5),
                "request_p99_ms": 1e3 * figures.percentile(outcome.waits, 0.99),
                "generator_busy": busy / outcome.seconds,
            },
        )


def _bulk_number(run: BenchmarkRun) -> int:
    return run.scale.bulk // ITEMS * ITEMS


def _singles(server: BenchServer, number: int) -> list[bytes]:
    return [server.send("/v1/notifications", booking(_random_reader(), n)) for n in range(number)]


def unread(run: BenchmarkRun, server: BenchServer, tokens: Sequence[str]) -> int:
    """Sum of the recipients' unread counts."""
    counts: list[int] = []

    def on_body(body: bytes) -> None:
        counts.append(msgspec.json.decode(body)["unread"])

    requests = (server.read("/v1/inbox/counts", token) for token in tokens)
    drive(run.deadline, server.address, requests, 16, on_body).expect_status(200)
    return sum(counts)


_choices = random.Random(1)


def _random_reader() -> str:
    return f"reader-{_choices.randrange(RECIPIENTS)}"
