"""Fan-out: server CPU time per delivery of one event to thousands of live clients."""

import time
from collections.abc import Iterator, Sequence
from statistics import median

import msgspec

from benchmarks import figures, peers, server_under_test
from benchmarks.client_pool import ClientKind, ClientPool
from benchmarks.epoll_loop import EpollLoop
from benchmarks.figures import Figure, MissingFigure
from benchmarks.frames import HttpReply
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import HttpCaller
from benchmarks.peers import Running
from benchmarks.scales import BenchmarkRun
from benchmarks.target import MeasuredServer, event_data

NAME = "fanout"
KINDS: dict[ClientKind, str] = {"websocket": "WebSocket", "sse": "SSE"}

# Events sent before the measured ones, to warm up code and buffers of every server.
WARM_UP = 3


class FanoutRound(msgspec.Struct, frozen=True, kw_only=True):
    """One server, one kind of client, one round. `user` and `system` are microseconds of server CPU per delivery."""

    user: float
    system: float
    deliveries_per_second: float
    generator_busy: float

    @property
    def cost(self) -> float:
        return self.user + self.system


def measure(run: BenchmarkRun) -> list[Figure | MissingFigure]:
    """Measure all servers in several rounds, each time with a fresh process."""
    available, reasons = peers.available(peers.NATIVE, run.folder, run.deadline)
    rounds_: dict[tuple[ClientKind, str], list[FanoutRound]] = {}
    for number in range(run.scale.rounds):
        for kind, name, running in _line_up(available):
            run.report(f"round {number + 1} of {run.scale.rounds}: {KINDS[kind]}, {name}")
            with running(run.folder, run.deadline) as target:
                rounds_.setdefault((kind, name), []).append(_measure_round(run, target, kind))
    return [
        *(_figure(run, kind, rounds_) for kind in KINDS),
        *(MissingFigure(NAME, name, reason) for name, reason in reasons.items()),
    ]


def _line_up(available: dict[str, Running]) -> Iterator[tuple[ClientKind, str, Running]]:
    for kind in KINDS:
        yield kind, "bellcast", server_under_test.as_target
        for name, running in available.items():
            if kind == "websocket" or name != "ws":
                yield kind, name, running


def _measure_round(run: BenchmarkRun, target: MeasuredServer, kind: ClientKind) -> FanoutRound:
    with EpollLoop(run.deadline) as loop:
        pool = target.pool(loop, kind)
        pool.connect(target.greeting(kind, number) for number in range(run.scale.connections))
        return measure_deliveries(run, target, loop, [pool])


def measure_deliveries(
    run: BenchmarkRun, target: MeasuredServer, loop: EpollLoop, pools: Sequence[ClientPool]
) -> FanoutRound:
    """Publish events to these pools and measure the cost of each delivery."""
    publisher = Publisher(loop, target)
    publisher.publish_to(pools, WARM_UP)
    for pool in pools:
        pool.reset_counts()
    before, busy, begin = target.process.cpu(), time.process_time(), time.perf_counter()
    publisher.publish_to(pools, run.scale.publishes)
    used, seconds = target.process.cpu().since(before), time.perf_counter() - begin
    if not all(pool.has_all_received(run.scale.publishes) for pool in pools):
        raise HandshakeRefused(f"{target.name}: not every client received {run.scale.publishes} events")
    total = sum(pool.total for pool in pools)
    each = 1e6 / total
    return FanoutRound(
        user=used.user * each,
        system=used.system * each,
        deliveries_per_second=total / seconds,
        generator_busy=(time.process_time() - busy) / seconds,
    )


class Publisher:
    """Publishes one event at a time. Each waits until all clients have received the previous one, so that no two events
    share a write."""

    def __init__(self, loop: EpollLoop, target: MeasuredServer) -> None:
        self._loop = loop
        self._target = target
        self._number = 0
        self._responses = 0
        self._caller = HttpCaller(loop, target.address, self._on_response)

    def publish_to(self, pools: Sequence[ClientPool], times: int) -> None:
        for _ in range(times):
            goals = [(pool, pool.total + len(pool)) for pool in pools]
            self._number += 1
            self._caller.send(self._target.publish(event_data(self._number)))
            for pool, goal in goals:
                pool.wait_for_events(goal)
            self._loop.run(lambda: self._responses == self._number)

    def _on_response(self, _caller: HttpCaller, response: HttpReply) -> None:
        if response.status >= 300:
            raise HandshakeRefused(f"{self._target.name} returned {response.status} to a publish")
        self._responses += 1


def cost(rounds_: Sequence[FanoutRound]) -> float:
    """Median cost of the rounds."""
    return median(sample.cost for sample in rounds_)


def _figure(run: BenchmarkRun, kind: ClientKind, rounds_: dict[tuple[ClientKind, str], list[FanoutRound]]) -> Figure:
    peer_rounds = {name: rounds_[at, name] for at, name in rounds_ if at == kind and name != "bellcast"}
    peer_costs = {name: cost(samples) for name, samples in peer_rounds.items()}
    own = rounds_[kind, "bellcast"]
    return Figure(
        benchmark=NAME,
        name=f"fan-out to {run.scale.connections:,} over {KINDS[kind]}: server CPU per delivery",
        value=cost(own),
        unit="µs",
        goal=figures.at_most(peer_costs["nchan"], "nchan") if "nchan" in peer_costs else None,
        peers=peer_costs,
        details={
            "deliveries": len(own) * run.scale.connections * run.scale.publishes,
            **details("", own),
            **{
                key: value
                for name, samples in peer_rounds.items()
                for key, value in details(f"{name}_", samples).items()
            },
        },
    )


def details(prefix: str, rounds_: Sequence[FanoutRound]) -> dict[str, figures.Detail]:
    """Details of the rounds for a figure."""
    return {
        f"{prefix}user_us": median(sample.user for sample in rounds_),
        f"{prefix}best_us": min(sample.cost for sample in rounds_),
        f"{prefix}worst_us": max(sample.cost for sample in rounds_),
        f"{prefix}deliveries_per_second": median(sample.deliveries_per_second for sample in rounds_),
        f"{prefix}generator_busy": max(sample.generator_busy for sample in rounds_),
    }
