"""Ingest: how many notifications a second are committed to the disk, one by one and in bulk."""

import random
import time
from collections.abc import Callable, Sequence

import msgspec

from bellcast.bench import bell, figures
from bellcast.bench.bell import Bell, Json, booking
from bellcast.bench.callers import Outcome, drive
from bellcast.bench.figures import Figure
from bellcast.bench.talks import RefusedError
from bellcast.bench.trial import Trial

NAME = "ingest"
SINGLES_PER_SECOND = 4_000
BULK_PER_SECOND = 15_000

IN_FLIGHT = 64
BULK_IN_FLIGHT = 4
ITEMS = 1_000
RECIPIENTS = 1_000
WARM_UP = 500


def measure(trial: Trial) -> list[Figure]:
    with bell.running(trial.folder, trial.deadline) as server:
        _singles(trial, server, WARM_UP)
        found = [_single_figure(trial, server)]
        for form, request in {"JSON array": server.bulk, "NDJSON": server.bulk_lines}.items():
            trial.say(f"{trial.scale.bulk:,} in bulk, {form}")
            found.append(_bulk_figure(trial, server, form, request))
        trial.say("counting what is in the inboxes")
        _must_all_be_there(trial, server, WARM_UP + trial.scale.singles + 2 * _bulk_number(trial))
        return found


def _bulk_number(trial: Trial) -> int:
    return trial.scale.bulk // ITEMS * ITEMS


def _single_figure(trial: Trial, server: Bell) -> Figure:
    trial.say(f"{trial.scale.singles:,} single sends, {IN_FLIGHT} in flight")
    before, busy = server.process.cpu(), time.process_time()
    outcome = _singles(trial, server, trial.scale.singles)
    used = server.process.cpu().since(before)
    return Figure(
        benchmark=NAME,
        name=f"durable sends, single POSTs, {IN_FLIGHT} in flight",
        value=outcome.per_second,
        unit="/s",
        goal=figures.at_least(SINGLES_PER_SECOND),
        details={
            "server_cpu_us": 1e6 * used.total / outcome.number,
            "wait_p50_ms": 1e3 * figures.percentile(outcome.waits, 0.5),
            "wait_p99_ms": 1e3 * figures.percentile(outcome.waits, 0.99),
            "generator_busy": (time.process_time() - busy) / outcome.seconds,
        },
    )


def _singles(trial: Trial, server: Bell, number: int) -> Outcome:
    requests = [server.send("/v1/notifications", booking(_anyone(), n)) for n in range(number)]
    return drive(trial.deadline, server.address, iter(requests), IN_FLIGHT).must_be(201)


def _bulk_figure(trial: Trial, server: Bell, form: str, request: Callable[[Sequence[Json]], bytes]) -> Figure:
    loads = [[booking(_anyone(), n) for n in range(ITEMS)] for _ in range(trial.scale.bulk // ITEMS)]
    requests = [request(load) for load in loads]
    before, busy = server.process.cpu(), time.process_time()
    outcome = drive(trial.deadline, server.address, iter(requests), BULK_IN_FLIGHT).must_be(200)
    used = server.process.cpu().since(before)
    return Figure(
        benchmark=NAME,
        name=f"durable sends in bulk, {ITEMS:,} a request, {form}",
        value=_bulk_number(trial) / outcome.seconds,
        unit="/s",
        goal=figures.at_least(BULK_PER_SECOND),
        details={
            "server_cpu_us": 1e6 * used.total / _bulk_number(trial),
            "request_p50_ms": 1e3 * figures.percentile(outcome.waits, 0.5),
            "generator_busy": (time.process_time() - busy) / outcome.seconds,
        },
    )


def _must_all_be_there(trial: Trial, server: Bell, number: int) -> None:
    """Every acknowledged send is one unread row."""
    unread: list[int] = []

    def look(body: bytes) -> None:
        unread.append(msgspec.json.decode(body)["unread"])

    requests = (server.read("/v1/inbox/counts", server.token(f"reader-{n}")) for n in range(RECIPIENTS))
    drive(trial.deadline, server.address, requests, 16, look).must_be(200)
    if sum(unread) != number:
        raise RefusedError(f"{number} sends were acknowledged, {sum(unread)} are in the inboxes")


_choices = random.Random(1)


def _anyone() -> str:
    return f"reader-{_choices.randrange(RECIPIENTS)}"
