"""Fairness: what one tenant's single sends wait while another tenant sends to hundreds of thousands.

The same client of the quiet tenant sends all the time, one after another with a pause between, so that what is measured is
a wait and not a queue of its own making: before the large send, during it, and after it.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bellcast.bench import figures, ingest, nodes, server_under_test
from bellcast.bench.epoll_loop import EpollLoop
from bellcast.bench.figures import Figure, MissingFigure
from bellcast.bench.frames import Answer
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.http_load import HttpCaller
from bellcast.bench.peers import AbsentError
from bellcast.bench.scales import Run
from bellcast.bench.server_under_test import BenchServer, booking

NAME = "fairness"
GOAL_TIMES = 3.0
WORKERS = 2

LOUD, QUIET = "acme", "globex"
ITEMS = 1_000
BULK_IN_FLIGHT = 12
GUESTS = 50

# Connections of the quiet tenant, used in turn: each worker has some of them.
CALLERS = 8
PAUSE_S = 0.01
WARM_UP_S = 2.0


class Contest(NamedTuple):
    """A server, and on what it works."""

    server: BenchServer
    told: str


def measure(trial: Run) -> Sequence[Figure | MissingFigure]:
    trial.say("on SQLite")
    with server_under_test.running(trial.folder, trial.deadline) as server:
        found: list[Figure | MissingFigure] = [_figure(trial, Contest(server, "one process on SQLite"))]
    told = f"{WORKERS} workers on PostgreSQL"
    trial.say(told)
    try:
        with nodes.workers(trial, WORKERS) as several:
            found.append(_figure(trial, Contest(several.each[0], told)))
    except AbsentError as absent:
        found.append(MissingFigure(NAME, told, str(absent)))
    return found


class Singles:
    """Single sends one after another; how long each waited."""

    def __init__(self, reactor: EpollLoop, server: BenchServer) -> None:
        self.waits: list[float] = []
        self.sent = 0
        self._reactor = reactor
        self._server = server
        self._callers = itertools.cycle([HttpCaller(reactor, server.address, self._note) for _ in range(CALLERS)])
        self._number = 0

    def send_while(self, is_so: Callable[[], bool]) -> list[float]:
        """As long as something is so; the waits."""
        self.waits = []
        while is_so():
            number = self.sent
            request = self._server.send("/v1/notifications", {**booking(f"guest-{number % GUESTS}"), "tenant": QUIET})
            self.sent += 1
            next(self._callers).send(request)
            self._reactor.run(lambda number=number: self._number > number)  # type: ignore[misc]  # mypy: a default in a lambda
            self._pause()
        return self.waits

    def _pause(self) -> None:
        end = time.monotonic() + PAUSE_S
        while (left := end - time.monotonic()) > 0:
            self._reactor.step(left)

    def send_for(self, seconds: float) -> list[float]:
        end = time.monotonic() + seconds
        return self.send_while(lambda: time.monotonic() < end)

    def _note(self, caller: HttpCaller, answer: Answer) -> None:
        self.waits.append(time.perf_counter() - caller.sent_at)
        self._number += 1
        if answer.status != 201:
            raise HandshakeRefused(f"a single send was answered {answer.status}: {answer.body[:300]!r}")


class LargeSend:
    """Everybody of one tenant is told something, by several requests at a time."""

    def __init__(self, reactor: EpollLoop, server: BenchServer, requests: Sequence[bytes]) -> None:
        self.seconds = 0.0
        self._left = iter(requests)
        self._under_way = 0
        self._begun = time.perf_counter()
        self._callers = [HttpCaller(reactor, server.address, self._note) for _ in range(BULK_IN_FLIGHT)]
        for caller in self._callers:
            self._send(caller)

    @property
    def goes_on(self) -> bool:
        return self._under_way > 0

    def close(self) -> None:
        for caller in self._callers:
            caller.close()

    def _send(self, caller: HttpCaller) -> None:
        request = next(self._left, None)
        if request is not None:
            self._under_way += 1
            caller.send(request)

    def _note(self, caller: HttpCaller, answer: Answer) -> None:
        self._under_way -= 1
        if answer.status != 200:
            raise HandshakeRefused(f"a bulk send was answered {answer.status}: {answer.body[:300]!r}")
        self._send(caller)
        self.seconds = time.perf_counter() - self._begun


def _figure(trial: Run, place: Contest) -> Figure:
    number = trial.scale.large_send // ITEMS * ITEMS
    sends = list(requests(place.server, number))
    with EpollLoop(trial.deadline) as reactor:
        singles = Singles(reactor, place.server)
        singles.send_for(WARM_UP_S)
        trial.say(f"{place.told}: quiet")
        before = singles.send_for(trial.scale.quiet_seconds)
        trial.say(f"{place.told}: during a send to {number:,}")
        large = LargeSend(reactor, place.server, sends)
        during = singles.send_while(lambda: large.goes_on)
        large.close()
        trial.say(f"{place.told}: quiet again")
        after = singles.send_for(trial.scale.quiet_seconds)
        sent = singles.sent
    must_all_be_there(trial, place.server, number, sent)
    waits = {"quiet_before": before, "during": during, "quiet_after": after}
    return _told(place, number, waits, number / large.seconds)


def requests(server: BenchServer, number: int) -> Iterator[bytes]:
    for start in range(0, number, ITEMS):
        items = [{**booking(f"member-{at}", at % ITEMS), "tenant": LOUD} for at in range(start, start + ITEMS)]
        yield server.bulk(items)


def must_all_be_there(trial: Run, server: BenchServer, large: int, sent: int) -> None:
    """Every acknowledged single, and of the large send what its first, middle and last thousand had."""
    guests = [server.token(f"guest-{n}", tenant=QUIET) for n in range(GUESTS)]
    if (found := ingest.unread(trial, server, guests)) != sent:
        raise HandshakeRefused(f"{sent} singles were acknowledged, {found} are in the inboxes")
    some = range(0, large, max(1, large // ITEMS))
    members = [server.token(f"member-{n}", tenant=LOUD) for n in some]
    if (found := ingest.unread(trial, server, members)) != len(some):
        raise HandshakeRefused(f"of {len(some)} members {found} have what was acknowledged")


def _told(place: Contest, number: int, waits: Mapping[str, list[float]], bulk_per_second: float) -> Figure:
    quiet = figures.percentile([*waits["quiet_before"], *waits["quiet_after"]], 0.99)
    return Figure(
        benchmark=NAME,
        name=f"{place.told}: p99 of a single send during another's {number:,}, times its quiet value",
        value=figures.percentile(waits["during"], 0.99) / quiet,
        unit="×",
        goal=figures.at_most(GOAL_TIMES),
        details={
            **{
                f"{when}_{name}_ms": 1e3 * figures.percentile(found, share)
                for when, found in waits.items()
                for name, share in {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}.items()
            },
            "singles_during": len(waits["during"]),
            "bulk_per_second": bulk_per_second,
        },
    )
