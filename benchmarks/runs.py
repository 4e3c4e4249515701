"""Samples: memory per client and CPU per delivery of several servers, alternated over rounds with fresh processes."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from benchmarks import fanout, figures, memory
from benchmarks.client_pool import ClientKind
from benchmarks.epoll_loop import EpollLoop
from benchmarks.fanout import FanoutRound
from benchmarks.figures import Figure, Goal
from benchmarks.peers import Running
from benchmarks.scales import BenchmarkRun
from benchmarks.target import MeasuredServer

Samples = Mapping[str, Sequence["Sample"]]


class Sample(msgspec.Struct, frozen=True):
    """Cost of deliveries, and memory per client in KiB."""

    round_: FanoutRound
    memory_kib: float


class Contender(msgspec.Struct, frozen=True):
    """A server, its number of clients by kind, and a callback that inspects the server after the deliveries."""

    running: Running
    clients: Mapping[ClientKind, int]
    inspect: Callable[[BenchmarkRun, MeasuredServer], None] = lambda _run, _target: None


def collect(run: BenchmarkRun, line_up: Mapping[str, Contender]) -> Samples:
    samples: dict[str, list[Sample]] = defaultdict(list)
    for number in range(run.scale.rounds):
        for name, contender in line_up.items():
            run.report(f"round {number + 1} of {run.scale.rounds}: {name}")
            samples[name].append(_sample(run, contender))
    return samples


def _sample(run: BenchmarkRun, contender: Contender) -> Sample:
    with contender.running(run.folder, run.deadline) as target, EpollLoop(run.deadline) as loop:
        pools = [
            (target.pool(loop, kind), map(partial(target.greeting, kind), range(size)))
            for kind, size in contender.clients.items()
        ]
        memory_kib = memory.growth_of(target, loop, pools)
        round_ = fanout.measure_deliveries(run, target, loop, [pool for pool, _ in pools])
        contender.inspect(run, target)
        return Sample(round_, memory_kib)


def cpu(benchmark: str, what: str, samples: Samples, own: str, peer: str, ratio: float) -> Figure:
    """Figure of CPU per delivery, with a goal of `ratio` times the peer's cost."""
    costs = {name: fanout.cost([sample.round_ for sample in samples[name]]) for name in (own, peer) if name in samples}
    peer_costs = {name: cost for name, cost in costs.items() if name != own}
    return Figure(
        benchmark=benchmark,
        name=f"{what}: server CPU per delivery",
        value=costs[own],
        unit="µs",
        goal=figures.at_most_times(ratio, peer_costs, peer),
        peers=peer_costs,
        details={
            **fanout.details("", [sample.round_ for sample in samples[own]]),
            **{key: value for name in peer_costs for key, value in _prefixed(name, samples).items()},
        },
    )


def kib(benchmark: str, what: str, samples: Samples, own: str, peer: str, goal: Goal) -> Figure:
    """Figure of memory per connection."""
    memory_kib = {
        name: figures.median([sample.memory_kib for sample in samples[name]]) for name in (own, peer) if name in samples
    }
    return Figure(
        benchmark=benchmark,
        name=f"memory per {what} connection",
        value=memory_kib[own],
        unit="KiB",
        goal=goal,
        peers={name: each for name, each in memory_kib.items() if name != own},
    )


def _prefixed(name: str, samples: Samples) -> Mapping[str, figures.Detail]:
    return fanout.details(f"{name.replace('.', '')}_", [sample.round_ for sample in samples[name]])
