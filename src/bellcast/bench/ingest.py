"""Ingest: how many notifications a second are committed to the disk, one by one and in bulk."""

import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from bellcast.bench import figures, nodes, server_under_test
from bellcast.bench.figures import Figure, MissingFigure
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.http_load import LoadResult, drive
from bellcast.bench.peers import AbsentError
from bellcast.bench.processes import Used, each_used
from bellcast.bench.scales import Run
from bellcast.bench.server_under_test import BenchServer, Json, booking

NAME = "ingest"
WORKERS_NAME = "workers"
WORKERS = 2

IN_FLIGHT = 64
BULK_IN_FLIGHT = 4
ITEMS = 1_000
RECIPIENTS = 1_000
WARM_UP = 500


class Goals(NamedTuple):
    """Sends a second that are to be reached."""

    singles: float
    bulk: float


EMBEDDED = Goals(4_000, 15_000)
SCALED_OUT = Goals(5_000, 20_000)


class Measured(Protocol):
    """What tells how much processor time it has used, and its engines with it."""

    def used(self) -> Used: ...


def measure(trial: Run) -> list[Figure]:
    """One process on SQLite."""
    with server_under_test.running(trial.folder, trial.deadline) as server:
        return Ingest(trial, NAME, server, server, EMBEDDED).figures("durable sends")


def measure_workers(trial: Run) -> Sequence[Figure | MissingFigure]:
    """Several processes on one port, on PostgreSQL."""
    what = f"durable sends, {WORKERS} workers on PostgreSQL"
    try:
        with nodes.workers(trial, WORKERS) as several:
            return Ingest(trial, WORKERS_NAME, several.each[0], several, SCALED_OUT).figures(what)
    except AbsentError as absent:
        return [MissingFigure(WORKERS_NAME, what, str(absent))]


class Ingest:
    """What comes in at one address, singly and in bulk, and what that costs everything behind it."""

    def __init__(self, trial: Run, benchmark: str, server: BenchServer, measured: Measured, goals: Goals) -> None:
        self._trial = trial
        self._benchmark = benchmark
        self._server = server
        self._measured = measured
        self._goals = goals

    def figures(self, what: str) -> list[Figure]:
        """Sends of all kinds; then the inboxes hold exactly what was acknowledged."""
        trial, server = self._trial, self._server
        self._send(_singles(server, WARM_UP), IN_FLIGHT, 201)
        found = [self._figure_of_singles(f"{what}, single POSTs, {IN_FLIGHT} in flight")]
        for form, request in {"JSON array": server.bulk, "NDJSON": server.bulk_lines}.items():
            found.append(self._figure_of_bulk(f"{what} in bulk, {ITEMS:,} a request, {form}", request))
        trial.say("counting what is in the inboxes")
        _must_all_be_there(trial, server, WARM_UP + trial.scale.singles + 2 * _bulk_number(trial))
        return found

    def _figure_of_singles(self, name: str) -> Figure:
        number = self._trial.scale.singles
        requests = _singles(self._server, number)
        return self._figure(name, self._goals.singles, number, lambda: self._send(requests, IN_FLIGHT, 201))

    def _figure_of_bulk(self, name: str, request: Callable[[Sequence[Json]], bytes]) -> Figure:
        number = _bulk_number(self._trial)
        loads = [[booking(_anyone(), n) for n in range(ITEMS)] for _ in range(number // ITEMS)]
        requests = [request(load) for load in loads]
        return self._figure(name, self._goals.bulk, number, lambda: self._send(requests, BULK_IN_FLIGHT, 200))

    def _send(self, requests: Sequence[bytes], in_flight: int, status: int) -> LoadResult:
        return drive(self._trial.deadline, self._server.address, iter(requests), in_flight).must_be(status)

    def _figure(self, name: str, goal: float, number: int, send: Callable[[], LoadResult]) -> Figure:
        self._trial.say(f"{number:,}: {name}")
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
                **each_used(before, after, number),
                "request_p50_ms": 1e3 * figures.percentile(outcome.waits, 0.5),
                "request_p99_ms": 1e3 * figures.percentile(outcome.waits, 0.99),
                "generator_busy": busy / outcome.seconds,
            },
        )


def _bulk_number(trial: Run) -> int:
    return trial.scale.bulk // ITEMS * ITEMS


def _singles(server: BenchServer, number: int) -> list[bytes]:
    return [server.send("/v1/notifications", booking(_anyone(), n)) for n in range(number)]


def _must_all_be_there(trial: Run, server: BenchServer, number: int) -> None:
    """Every acknowledged send is one unread row."""
    readers = [server.token(f"reader-{n}") for n in range(RECIPIENTS)]
    found = unread(trial, server, readers)
    if found != number:
        raise HandshakeRefused(f"{number} sends were acknowledged, {found} are in the inboxes")


def unread(trial: Run, server: BenchServer, tokens: Sequence[str]) -> int:
    """Of all these recipients together."""
    found: list[int] = []

    def look(body: bytes) -> None:
        found.append(msgspec.json.decode(body)["unread"])

    requests = (server.read("/v1/inbox/counts", token) for token in tokens)
    drive(trial.deadline, server.address, requests, 16, look).must_be(200)
    return sum(found)


_choices = random.Random(1)


def _anyone() -> str:
    return f"reader-{_choices.randrange(RECIPIENTS)}"
