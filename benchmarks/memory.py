"""Memory: growth of the server's proportional set size (PSS) per idle client."""

import itertools
from collections.abc import Iterator, Sequence

from benchmarks import figures, peers, server_under_test
from benchmarks.client_pool import ClientKind, ClientPool
from benchmarks.epoll_loop import EpollLoop
from benchmarks.fanout import KINDS
from benchmarks.figures import Figure, MissingFigure
from benchmarks.scales import BenchmarkRun
from benchmarks.target import MeasuredServer

NAME = "memory"
GOAL_KIB = 4.0

# Clients before the first measurement, so that one-time allocations are not counted.
FIRST = 200

# Time for the server to free what only the handshakes needed.
SETTLE_S = 2.0


def measure(run: BenchmarkRun) -> list[Figure | MissingFigure]:
    available, reasons = peers.available(peers.NATIVE, run.folder, run.deadline)
    results: list[Figure | MissingFigure] = []
    for kind in KINDS:
        own = _growth(run, kind, "bellcast", server_under_test.as_target)
        peer_values = {
            name: _growth(run, kind, name, running)
            for name, running in available.items()
            if kind == "websocket" or name != "ws"
        }
        results.append(_figure(run, kind, own, peer_values))
    return [*results, *(MissingFigure(NAME, name, reason) for name, reason in reasons.items())]


def _growth(run: BenchmarkRun, kind: ClientKind, name: str, running: peers.Running) -> float:
    """KiB per connection. Each connection is another recipient's."""
    run.report(f"{KINDS[kind]}, {name}")
    with running(run.folder, run.deadline) as target, EpollLoop(run.deadline) as loop:
        greetings = (target.idle(kind, number) for number in range(run.scale.connections))
        return growth_of(target, loop, [(target.pool(loop, kind), greetings)])


def growth_of(target: MeasuredServer, loop: EpollLoop, pools: Sequence[tuple[ClientPool, Iterator[bytes]]]) -> float:
    """Connect all clients of the pools and return KiB per connection beyond the first ones."""
    for pool, greetings in pools:
        pool.connect(itertools.islice(greetings, FIRST // len(pools)))
    loop.run_for(SETTLE_S)
    before, first = target.process.memory(), _connected(pools)
    for pool, greetings in pools:
        pool.connect(greetings)
    loop.run_for(SETTLE_S)
    return (target.process.memory() - before) / 1024 / (_connected(pools) - first)


def _connected(pools: Sequence[tuple[ClientPool, Iterator[bytes]]]) -> int:
    return sum(len(pool) for pool, _ in pools)


def _figure(run: BenchmarkRun, kind: ClientKind, own: float, peer_values: dict[str, float]) -> Figure:
    return Figure(
        benchmark=NAME,
        name=f"memory per idle authenticated {KINDS[kind]} connection",
        value=own,
        unit="KiB",
        goal=figures.at_most(GOAL_KIB),
        peers=peer_values,
        details={"connections": run.scale.connections},
    )
