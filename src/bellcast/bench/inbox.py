"""Inbox: looking at a page and at the counts must not cost more because the store is large."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from bellcast.bench import figures, seeded_store, server_under_test
from bellcast.bench.figures import Figure, median
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.http_load import drive
from bellcast.bench.scales import Run
from bellcast.bench.server_under_test import BenchServer

NAME = "inbox"
GOAL_PER_SECOND = 3_000
GOAL_RATIO = 1.2

PATHS = {"page of 20": "/v1/inbox?limit=20", "counts": "/v1/inbox/counts"}
IN_FLIGHT = 16
WARM_UP = 200

Samples = dict[tuple[str, str], list["Sample"]]


class Sample(msgspec.Struct, frozen=True):
    """Requests a second, and microseconds of server processor time for each."""

    per_second: float
    cost: float


def measure(trial: Run) -> list[Figure]:
    """Both stores are served at the same time and looked at in turn."""
    with server_under_test.running(trial.folder, trial.deadline) as little, seeded_store.seeded(trial) as large:
        seeded_store.small(trial, little)
        places = {
            "100 rows": _looks(little, seeded_store.READERS),
            "large": _looks(large, seeded_store.READERS),
            "regulars": _looks(large, seeded_store.REGULARS),
        }
        samples = _samples(trial, places)
    return [figure for what in PATHS for figure in _figures(trial, what, samples)]


Look = Callable[[Run, str, int], Sample]


def _samples(trial: Run, places: dict[str, Look]) -> Samples:
    samples: Samples = defaultdict(list)
    for number in range(trial.scale.rounds):
        for what, (place, look) in itertools.product(PATHS, places.items()):
            trial.say(f"round {number + 1} of {trial.scale.rounds}: {what}, {place}")
            look(trial, what, WARM_UP)
            samples[what, place].append(look(trial, what, trial.scale.requests))
    return samples


def _looks(server: BenchServer, recipients: Sequence[str]) -> Look:
    tokens = [server.token(recipient) for recipient in recipients]

    def look(trial: Run, what: str, number: int) -> Sample:
        known = [server.read(PATHS[what], token) for token in tokens]
        before = server.process.cpu()
        requests = itertools.islice(itertools.cycle(known), number)
        outcome = drive(trial.deadline, server.address, requests, IN_FLIGHT, _check).must_be(200)
        used = server.process.cpu().since(before)
        return Sample(outcome.per_second, 1e6 * used.total / number)

    return look


def _check(body: bytes) -> None:
    if b'"unread":%d' % seeded_store.PAGE not in body.replace(b" ", b""):
        raise HandshakeRefused(f"not the inbox that was sent: {body[:300]!r}")


def _figures(trial: Run, what: str, samples: Samples) -> list[Figure]:
    cost = {place: median([sample.cost for sample in done]) for (at, place), done in samples.items() if at == what}
    speed = {place: median([s.per_second for s in done]) for (at, place), done in samples.items() if at == what}
    rate = Figure(
        benchmark=NAME,
        name=f"inbox, {what}, {trial.scale.rows:,} rows in the store",
        value=speed["large"],
        unit="/s",
        goal=figures.at_least(GOAL_PER_SECOND),
        details={"with_100_rows": speed["100 rows"], "1000_inboxes_in_turn": speed["regulars"]},
    )
    ratio = Figure(
        benchmark=NAME,
        name=f"inbox, {what}: server CPU per request, against 100 rows",
        value=cost["large"] / cost["100 rows"],
        unit="times",
        goal=figures.at_most(GOAL_RATIO),
        details={
            "large_us": cost["large"],
            "with_100_rows_us": cost["100 rows"],
            "1000_inboxes_in_turn_us": cost["regulars"],
        },
    )
    return [rate, ratio]
