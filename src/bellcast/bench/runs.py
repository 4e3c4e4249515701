"""Samples: servers with their crowds in turn, a fresh process each time; what everyone who comes takes up, and what it costs
to tell them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from bellcast.bench import fanout, figures, memory
from bellcast.bench.client_pool import Kind
from bellcast.bench.epoll_loop import EpollLoop
from bellcast.bench.fanout import Leg
from bellcast.bench.figures import Figure, Goal
from bellcast.bench.peers import Running
from bellcast.bench.scales import Run
from bellcast.bench.target import Target

Samples = Mapping[str, Sequence["Sample"]]


class Sample(msgspec.Struct, frozen=True):
    """`grown` is KiB for each client."""

    leg: Leg
    grown: float


class Contender(msgspec.Struct, frozen=True):
    """A server, how many clients of each kind come, and what is looked at when all have been told."""

    running: Running
    crowds: Mapping[Kind, int]
    look: Callable[[Run, Target], None] = lambda _trial, _target: None


def taken(trial: Run, line_up: Mapping[str, Contender]) -> Samples:
    samples: dict[str, list[Sample]] = defaultdict(list)
    for number in range(trial.scale.rounds):
        for name, entrant in line_up.items():
            trial.say(f"round {number + 1} of {trial.scale.rounds}: {name}")
            samples[name].append(_sample(trial, entrant))
    return samples


def _sample(trial: Run, entrant: Contender) -> Sample:
    with entrant.running(trial.folder, trial.deadline) as target, EpollLoop(trial.deadline) as reactor:
        crowds = [
            (target.crowd(reactor, kind), map(partial(target.greeting, kind), range(size)))
            for kind, size in entrant.crowds.items()
        ]
        grown = memory.growth_of(target, reactor, crowds)
        leg = fanout.told(trial, target, reactor, [crowd for crowd, _ in crowds])
        entrant.look(trial, target)
        return Sample(leg, grown)


def cpu(benchmark: str, what: str, samples: Samples, ours: str, peer: str, ratio: float) -> Figure:
    """A delivery of ours may cost so many times what it costs the peer."""
    costs = {name: fanout.cost([sample.leg for sample in samples[name]]) for name in (ours, peer) if name in samples}
    theirs = {name: cost for name, cost in costs.items() if name != ours}
    return Figure(
        benchmark=benchmark,
        name=f"{what}: server CPU per delivery",
        value=costs[ours],
        unit="µs",
        goal=figures.at_most_times(ratio, theirs, peer),
        peers=theirs,
        details={
            **fanout.details("", [sample.leg for sample in samples[ours]]),
            **{key: value for name in theirs for key, value in _prefixed(name, samples).items()},
        },
    )


def kib(benchmark: str, what: str, samples: Samples, ours: str, peer: str, goal: Goal) -> Figure:
    """What one more client takes up."""
    grown = {
        name: figures.median([sample.grown for sample in samples[name]]) for name in (ours, peer) if name in samples
    }
    return Figure(
        benchmark=benchmark,
        name=f"memory per {what} connection",
        value=grown[ours],
        unit="KiB",
        goal=goal,
        peers={name: each for name, each in grown.items() if name != ours},
    )


def _prefixed(name: str, samples: Samples) -> Mapping[str, figures.Detail]:
    return fanout.details(f"{name.replace('.', '')}_", [sample.leg for sample in samples[name]])
