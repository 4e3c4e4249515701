"""Topic history: live events per second with a history of live events, compared with none, for each broker."""

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks import engines, figures, server_under_test
from benchmarks.client_pool import ClientPool
from benchmarks.engines import RunningEngine
from benchmarks.epoll_loop import Deadline, EpollLoop
from benchmarks.figures import Figure, MissingFigure, median
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import LoadResult, drive_on_loop
from benchmarks.peers import AbsentError
from benchmarks.processes import Used, cpu_per_item
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer
from benchmarks.target import event_data

NAME = "history"
GOAL_RATIO = 0.8
GOAL_POSTGRES_CPU_US = 300

IN_FLIGHT = 64
WARM_UP = 500
Broker = Callable[[Deadline], contextlib.AbstractContextManager[RunningEngine]]
SETTINGS: dict[str, dict[str, str]] = {"with": {}, "without": {"BELLCAST_TOPIC_HISTORY": "*=off"}}
# The two servers take turns, so that a change of the machine's load affects both. A turn takes half a second.
TURNS = 12


class Publishing(NamedTuple):
    """A server with its own broker, and the client that follows the topic and must receive every event."""

    server: BenchServer
    broker: RunningEngine
    loop: EpollLoop
    client: ClientPool

    def used(self) -> Used:
        return {**self.server.used(), "broker": self.broker.process.cpu()}

    def publish(self, number: int) -> LoadResult:
        """Publish `number` events."""
        target = self.server.target()
        self.client.reset_counts()
        requests = [target.publish(event_data(n)) for n in range(number)]
        outcome = drive_on_loop(self.loop, target.address, iter(requests), IN_FLIGHT).expect_status(202)
        self.client.wait_for_events(number)
        if not self.client.has_all_received(number):
            raise HandshakeRefused(f"{number} events were acknowledged, {self.client.total} delivered")
        return outcome


def measure(run: BenchmarkRun) -> list[Figure | MissingFigure]:
    found: list[Figure | MissingFigure] = []
    for measure_broker in (_on_redis, _on_postgres):
        try:
            found.append(measure_broker(run))
        except AbsentError as absent:
            found.append(MissingFigure(NAME, "live events with history", str(absent)))
    return found


def _on_redis(run: BenchmarkRun) -> Figure:
    ratio, details = _compared(run, engines.redis)
    name = f"live events through REST with history on Redis, {IN_FLIGHT} in flight, against none"
    goal = figures.at_least(GOAL_RATIO)
    return Figure(benchmark=NAME, name=name, value=ratio, unit="times", goal=goal, details=details)


def _on_postgres(run: BenchmarkRun) -> Figure:
    ratio, details = _compared(run, engines.postgres)
    name = f"live events through REST with history on PostgreSQL, {IN_FLIGHT} in flight: CPU of PostgreSQL per event"
    goal = figures.at_most(GOAL_POSTGRES_CPU_US)
    cpu = details["with_broker_cpu_us"]
    return Figure(benchmark=NAME, name=name, value=cpu, unit="µs", goal=goal, details={"ratio": ratio, **details})


@contextlib.contextmanager
def _publishing(run: BenchmarkRun, loop: EpollLoop, broker: Broker, place: str) -> Iterator[Publishing]:
    with broker(run.deadline) as engine:
        settings = {"BELLCAST_BROKER": engine.url, **SETTINGS[place]}
        with server_under_test.running(run.folder, run.deadline, settings, place) as server:
            target = server.target()
            client = target.pool(loop, "websocket")
            client.connect(iter([target.greeting("websocket", 0)]))
            publishing = Publishing(server, engine, loop, client)
            publishing.publish(WARM_UP)
            yield publishing


def _compared(run: BenchmarkRun, broker: Broker) -> tuple[float, dict[str, float]]:
    """Return the median ratio of the rates with and without a history, and details."""
    with (
        EpollLoop(run.deadline) as loop,
        _publishing(run, loop, broker, "with") as kept,
        _publishing(run, loop, broker, "without") as unkept,
    ):
        return _measured(run, {"with": kept, "without": unkept})


def _measured(run: BenchmarkRun, servers: dict[str, Publishing]) -> tuple[float, dict[str, float]]:
    size = run.scale.rounds * run.scale.triggers // TURNS
    rates: dict[str, list[float]] = {place: [] for place in servers}
    costs: dict[str, dict[str, float]] = {place: {} for place in servers}
    for turn in range(TURNS):
        run.report(f"turn {turn + 1} of {TURNS}: {size:,} events with and without history")
        for place in sorted(servers, reverse=bool(turn % 2)):
            before = servers[place].used()
            rates[place].append(servers[place].publish(size).per_second)
            for part, cpu in cpu_per_item(before, servers[place].used(), size * TURNS).items():
                costs[place][part] = costs[place].get(part, 0.0) + cpu
    return median([kept / unkept for kept, unkept in zip(rates["with"], rates["without"], strict=True)]), {
        **{f"{place}_per_second": median(rates[place]) for place in servers},
        **{f"{place}_slowest_turn": min(rates[place]) for place in servers},
        **{f"{place}_{part}": cpu for place in servers for part, cpu in costs[place].items()},
        "cpu_ratio": sum(costs["with"].values()) / sum(costs["without"].values()),
    }
