"""Server CPU per publish with watchers of the live feed, compared with none."""

import time

import msgspec

from benchmarks import figures, server_under_test, target
from benchmarks.client_pool import ClientPool
from benchmarks.epoll_loop import EpollLoop
from benchmarks.figures import Figure, median
from benchmarks.frames import HttpReply
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import HttpCaller
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer
from benchmarks.target import TOPIC, event_data

GOAL_PERCENT = 5.0
WATCHERS = 10
PER_SECOND = 5_000
CALLERS = 64
WARM_UP = 2_000

# Maximum events per watcher and second. Seconds of the server's clock and of a period can overlap by one.
MAX_PASSED = 200
SKIPPED = b"event: skipped\n"


class WatcherCounts:
    """Counts of the events that the watchers received."""

    def __init__(self) -> None:
        self.passed = self.skipped = 0

    def count(self, block: bytes) -> int:
        if block.startswith(SKIPPED):
            self.skipped += int(msgspec.json.decode(block.partition(b"\ndata: ")[2])["count"])
            return 0
        self.passed += 1
        return 1


def measure(run: BenchmarkRun, benchmark: str) -> Figure:
    """Publish at a steady rate, alternately with and without watchers."""
    costs: dict[bool, list[float]] = {False: [], True: []}
    counts, seconds = WatcherCounts(), 0.0
    number = PER_SECOND * run.scale.feed_seconds
    with server_under_test.running(run.folder, run.deadline, name="feed") as server:
        _period(run, server, WatcherCounts(), 0, WARM_UP)
        for place in range(2 * run.scale.periods):
            watchers = WATCHERS if place % 2 else 0
            run.report(f"{PER_SECOND:,} publishes a second, {watchers} watchers")
            cost, took = _period(run, server, counts, watchers, number)
            costs[watchers > 0].append(cost)
            seconds += took if watchers else 0
    if counts.skipped == 0 or counts.passed > WATCHERS * MAX_PASSED * (seconds + run.scale.periods):
        raise HandshakeRefused(f"{counts.passed} events passed in {seconds:.0f} s and {counts.skipped} were skipped")
    alone, watched = (1e6 * median(costs[key]) for key in (False, True))
    return Figure(
        benchmark=benchmark,
        name=f"{WATCHERS} watchers of the live feed at {PER_SECOND:,} publishes a second: share of the server's CPU",
        value=100 * (watched - alone) / watched,
        unit="%",
        goal=figures.at_most(GOAL_PERCENT),
        details={
            "alone_cpu_us": alone,
            "watched_cpu_us": watched,
            "publishes_per_second": number * run.scale.periods / seconds,
            "passed_per_watcher_and_second": counts.passed / WATCHERS / seconds,
            "skipped_per_watcher_and_second": counts.skipped / WATCHERS / seconds,
        },
    )


def _period(
    run: BenchmarkRun, server: BenchServer, counts: WatcherCounts, watchers: int, number: int
) -> tuple[float, float]:
    """Publish events, and return the server's CPU seconds per event and the period in seconds."""
    with EpollLoop(run.deadline) as loop:
        pool = ClientPool(loop, server.address, "sse", counts.count, None, is_uniform=False)
        watch = target.get("/v1/feed", f"{server.authorization}Accept: text/event-stream\r\n")
        pool.connect(iter([watch] * watchers))
        publisher = SteadyPublisher(loop, server)
        before, began = server.process.cpu(), time.perf_counter()
        publisher.publish(number)
        return server.process.cpu().since(before).total / number, time.perf_counter() - began


class SteadyPublisher:
    """Publishes PER_SECOND events a second on connections with one request in flight each."""

    def __init__(self, loop: EpollLoop, server: BenchServer) -> None:
        self._loop = loop
        self._server = server
        self._free = [HttpCaller(loop, server.address, self._on_response) for _ in range(CALLERS)]
        self._completed = 0

    def publish(self, number: int) -> None:
        """Return when all have a response."""
        body = {"topic": TOPIC, "name": "note", "data": msgspec.Raw(event_data(0))}
        request = self._server.send("/v1/events", body)
        begin, sent = time.perf_counter(), 0
        while self._completed < number:
            due = min(number, int((time.perf_counter() - begin) * PER_SECOND))
            while sent < due and self._free:
                self._free.pop().send(request)
                sent += 1
            self._loop.step_after(0.001)

    def _on_response(self, caller: HttpCaller, response: HttpReply) -> None:
        if response.status != 202:
            raise HandshakeRefused(f"a publish returned {response.status}, expected 202: {response.body[:300]!r}")
        self._completed += 1
        self._free.append(caller)
