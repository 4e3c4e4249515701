"""Inbox: the cost of reading a page or the counts must not depend on the size of the store."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from benchmarks import figures, seeded_store, server_under_test
from benchmarks.figures import Figure, median
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import drive
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer

NAME = "inbox"
GOAL_PER_SECOND = 3_000
GOAL_RATIO = 1.2

PATHS = {"page of 20": "/v1/inbox?limit=20", "counts": "/v1/inbox/counts"}
IN_FLIGHT = 16
WARM_UP = 200

InboxSamples = dict[tuple[str, str], list["InboxSample"]]


class InboxSample(msgspec.Struct, frozen=True):
    """Requests per second, and microseconds of server CPU per request."""

    per_second: float
    cost: float


def measure(run: BenchmarkRun) -> list[Figure]:
    """Serve both stores at the same time and read them alternately."""
    with server_under_test.running(run.folder, run.deadline) as little, seeded_store.seeded(run) as large:
        seeded_store.small(run, little)
        readers_ = {
            "100 rows": _reader(little, seeded_store.READERS),
            "large": _reader(large, seeded_store.READERS),
            "regulars": _reader(large, seeded_store.REGULARS),
        }
        samples = _samples(run, readers_)
    return [figure for what in PATHS for figure in _figures(run, what, samples)]


Reader = Callable[[BenchmarkRun, str, int], InboxSample]


def _samples(run: BenchmarkRun, readers_: dict[str, Reader]) -> InboxSamples:
    samples: InboxSamples = defaultdict(list)
    for number in range(run.scale.rounds):
        for what, (place, read) in itertools.product(PATHS, readers_.items()):
            run.report(f"round {number + 1} of {run.scale.rounds}: {what}, {place}")
            read(run, what, WARM_UP)
            samples[what, place].append(read(run, what, run.scale.requests))
    return samples


def _reader(server: BenchServer, recipients: Sequence[str]) -> Reader:
    tokens = [server.token(recipient) for recipient in recipients]

    def read(run: BenchmarkRun, what: str, number: int) -> InboxSample:
        requests_by_reader = [server.read(PATHS[what], token) for token in tokens]
        before = server.process.cpu()
        requests = itertools.islice(itertools.cycle(requests_by_reader), number)
        outcome = drive(run.deadline, server.address, requests, IN_FLIGHT, _check).expect_status(200)
        used = server.process.cpu().since(before)
        return InboxSample(outcome.per_second, 1e6 * used.total / number)

    return read


def _check(body: bytes) -> None:
    if b'"unread":%d' % seeded_store.PAGE not in body.replace(b" ", b""):
        raise HandshakeRefused(f"unexpected inbox: {body[:300]!r}")


def _figures(run: BenchmarkRun, what: str, samples: InboxSamples) -> list[Figure]:
    cost = {place: median([sample.cost for sample in done]) for (at, place), done in samples.items() if at == what}
    speed = {place: median([s.per_second for s in done]) for (at, place), done in samples.items() if at == what}
    rate = Figure(
        benchmark=NAME,
        name=f"inbox, {what}, {run.scale.rows:,} rows in the store",
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
