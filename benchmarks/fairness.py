"""Fairness: latency of one tenant's single sends while another tenant sends to hundreds of thousands.

The quiet tenant sends one notification at a time with a pause in between, so that its own requests never queue: before,
during and after the large send.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from benchmarks import figures, ingest, nodes, server_under_test
from benchmarks.epoll_loop import EpollLoop
from benchmarks.figures import Figure, MissingFigure
from benchmarks.frames import HttpReply
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import HttpCaller
from benchmarks.peers import AbsentError
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer, booking

NAME = "fairness"
GOAL_TIMES = 3.0
WORKERS = 2

LOUD, QUIET = "acme", "globex"
ITEMS = 1_000
BULK_IN_FLIGHT = 12
GUESTS = 50

# Connections of the quiet tenant, used round-robin, so that every worker serves some.
CALLERS = 8
PAUSE_S = 0.01
WARM_UP_S = 2.0


class Contest(NamedTuple):
    """A server and the label of its configuration."""

    server: BenchServer
    label: str


def measure(run: BenchmarkRun) -> Sequence[Figure | MissingFigure]:
    run.report("on SQLite")
    with server_under_test.running(run.folder, run.deadline) as server:
        results: list[Figure | MissingFigure] = [_figure(run, Contest(server, "one process on SQLite"))]
    label = f"{WORKERS} workers on PostgreSQL"
    run.report(label)
    try:
        with nodes.workers(run, WORKERS) as several:
            results.append(_figure(run, Contest(several.each[0], label)))
    except AbsentError as absent:
        results.append(MissingFigure(NAME, label, str(absent)))
    return results


class Singles:
    """Sequential single sends and their latencies in seconds."""

    def __init__(self, loop: EpollLoop, server: BenchServer) -> None:
        self.waits: list[float] = []
        self.sent = 0
        self._loop = loop
        self._server = server
        self._callers = itertools.cycle([HttpCaller(loop, server.address, self._on_response) for _ in range(CALLERS)])
        self._number = 0

    def send_while(self, condition: Callable[[], bool]) -> list[float]:
        """Send while the condition holds and return the latencies."""
        self.waits = []
        while condition():
            number = self.sent
            request = self._server.send("/v1/notifications", {**booking(f"guest-{number % GUESTS}"), "tenant": QUIET})
            self.sent += 1
            next(self._callers).send(request)
            self._loop.run(lambda number=number: self._number > number)  # type: ignore[misc]  # mypy: a default in a lambda
            end = time.monotonic() + PAUSE_S
            while (left := end - time.monotonic()) > 0:
                self._loop.step(left)
        return self.waits

    def send_for(self, seconds: float) -> list[float]:
        end = time.monotonic() + seconds
        return self.send_while(lambda: time.monotonic() < end)

    def _on_response(self, caller: HttpCaller, response: HttpReply) -> None:
        self.waits.append(time.perf_counter() - caller.sent_at)
        self._number += 1
        if response.status != 201:
            raise HandshakeRefused(f"a single send returned {response.status}, expected 201: {response.body[:300]!r}")


class LargeSend:
    """A bulk send to all recipients of one tenant, several requests in flight."""

    def __init__(self, loop: EpollLoop, server: BenchServer, requests: Sequence[bytes]) -> None:
        self.seconds = 0.0
        self._requests = iter(requests)
        self._in_flight = 0
        self._started_at = time.perf_counter()
        self._callers = [HttpCaller(loop, server.address, self._on_response) for _ in range(BULK_IN_FLIGHT)]
        for caller in self._callers:
            self._send(caller)

    @property
    def is_running(self) -> bool:
        return self._in_flight > 0

    def close(self) -> None:
        for caller in self._callers:
            caller.close()

    def _send(self, caller: HttpCaller) -> None:
        request = next(self._requests, None)
        if request is not None:
            self._in_flight += 1
            caller.send(request)

    def _on_response(self, caller: HttpCaller, response: HttpReply) -> None:
        self._in_flight -= 1
        if response.status != 200:
            raise HandshakeRefused(f"a bulk send returned {response.status}, expected 200: {response.body[:300]!r}")
        self._send(caller)
        self.seconds = time.perf_counter() - self._started_at


def _figure(run: BenchmarkRun, contest: Contest) -> Figure:
    number = run.scale.large_send // ITEMS * ITEMS
    sends = list(requests(contest.server, number))
    with EpollLoop(run.deadline) as loop:
        singles = Singles(loop, contest.server)
        singles.send_for(WARM_UP_S)
        run.report(f"{contest.label}: quiet")
        before = singles.send_for(run.scale.quiet_seconds)
        run.report(f"{contest.label}: during a send to {number:,}")
        large = LargeSend(loop, contest.server, sends)
        during = singles.send_while(lambda: large.is_running)
        large.close()
        run.report(f"{contest.label}: quiet again")
        after = singles.send_for(run.scale.quiet_seconds)
        sent = singles.sent
    check_delivered(run, contest.server, number, sent)
    waits = {"quiet_before": before, "during": during, "quiet_after": after}
    bulk_per_second = number / large.seconds
    quiet = figures.percentile([*waits["quiet_before"], *waits["quiet_after"]], 0.99)
    return Figure(
        benchmark=NAME,
        name=f"{contest.label}: p99 of a single send during another tenant's {number:,}, relative to idle",
        value=figures.percentile(waits["during"], 0.99) / quiet,
        unit="×",
        goal=figures.at_most(GOAL_TIMES),
        details={
            **{
                f"{when}_{name}_ms": 1e3 * figures.percentile(latencies, share)
                for when, latencies in waits.items()
                for name, share in {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}.items()
            },
            "singles_during": len(waits["during"]),
            "bulk_per_second": bulk_per_second,
        },
    )


def requests(server: BenchServer, number: int) -> Iterator[bytes]:
    for start in range(0, number, ITEMS):
        items = [{**booking(f"member-{at}", at % ITEMS), "tenant": LOUD} for at in range(start, start + ITEMS)]
        yield server.bulk(items)


def check_delivered(run: BenchmarkRun, server: BenchServer, large: int, sent: int) -> None:
    """Check that every acknowledged single send is stored, and a sample of about ITEMS recipients of the large send."""
    guests = [server.token(f"guest-{n}", tenant=QUIET) for n in range(GUESTS)]
    if (stored := ingest.unread(run, server, guests)) != sent:
        raise HandshakeRefused(f"{sent} singles were acknowledged, {stored} are in the inboxes")
    sample = range(0, large, max(1, large // ITEMS))
    members = [server.token(f"member-{n}", tenant=LOUD) for n in sample]
    if (stored := ingest.unread(run, server, members)) != len(sample):
        raise HandshakeRefused(f"{stored} of {len(sample)} sampled members have their acknowledged notification")
