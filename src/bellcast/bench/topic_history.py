"""Topic history: live events per second over Redis with a history of live events, compared with none."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from bellcast.bench import engines, figures, server_under_test
from bellcast.bench.client_pool import ClientPool
from bellcast.bench.engines import RunningEngine
from bellcast.bench.epoll_loop import EpollLoop
from bellcast.bench.figures import Figure, MissingFigure, median
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.http_load import LoadResult, drive_on_loop
from bellcast.bench.peers import AbsentError
from bellcast.bench.processes import Used, cpu_per_item
from bellcast.bench.scales import BenchmarkRun
from bellcast.bench.server_under_test import BenchServer
from bellcast.bench.target import event_data

NAME = "history"
GOAL_RATIO = 0.8

IN_FLIGHT = 64
WARM_UP = 500
SETTINGS: dict[str, dict[str, str]] = {"with": {}, "without": {"BELLCAST_TOPIC_HISTORY": "*=off"}}
# The two servers take turns, so that a change of the machine's load affects both. A turn takes half a second.
TURNS = 12


class Publishing(NamedTuple):
    """A server with its own Redis, and the client that follows the topic and must receive every event."""

    server: BenchServer
    redis: RunningEngine
    loop: EpollLoop
    client: ClientPool

    def used(self) -> Used:
        return {**self.server.used(), "redis": self.redis.process.cpu()}

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
    try:
        with (
            EpollLoop(run.deadline) as loop,
            _publishing(run, loop, "with") as kept,
            _publishing(run, loop, "without") as unkept,
        ):
            return [_figure(run, {"with": kept, "without": unkept})]
    except AbsentError as absent:
        return [MissingFigure(NAME, "live events with history", str(absent))]


@contextlib.contextmanager
def _publishing(run: BenchmarkRun, loop: EpollLoop, place: str) -> Iterator[Publishing]:
    with engines.redis(run.deadline) as redis:
        settings = {"BELLCAST_BROKER": redis.url, **SETTINGS[place]}
        with server_under_test.running(run.folder, run.deadline, settings, place) as server:
            target = server.target()
            client = target.pool(loop, "websocket")
            client.connect(iter([target.greeting("websocket", 0)]))
            publishing = Publishing(server, redis, loop, client)
            publishing.publish(WARM_UP)
            yield publishing


def _figure(run: BenchmarkRun, servers: dict[str, Publishing]) -> Figure:
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
    return Figure(
        benchmark=NAME,
        name=f"live events through REST with history on Redis, {IN_FLIGHT} in flight, against none",
        value=median([kept / unkept for kept, unkept in zip(rates["with"], rates["without"], strict=True)]),
        unit="times",
        goal=figures.at_least(GOAL_RATIO),
        details={
            **{f"{place}_per_second": median(rates[place]) for place in servers},
            **{f"{place}_{part}": cpu for place in servers for part, cpu in costs[place].items()},
            "cpu_ratio": sum(costs["with"].values()) / sum(costs["without"].values()),
        },
    )
