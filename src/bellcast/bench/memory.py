"""Memory: what one idle client costs a server, measured as the growth of its proportional share."""

import itertools
from collections.abc import Iterator, Sequence

from bellcast.bench import figures, peers, server_under_test
from bellcast.bench.client_pool import ClientPool, Kind
from bellcast.bench.epoll_loop import EpollLoop
from bellcast.bench.fanout import KINDS
from bellcast.bench.figures import Figure, MissingFigure
from bellcast.bench.scales import Run
from bellcast.bench.target import Target

NAME = "memory"
GOAL_KIB = 4.0

# Clients before the first look: they pay for what a server sets up once.
FIRST = 200

# Time to let go of what only the handshakes needed.
SETTLE_S = 2.0


def measure(trial: Run) -> list[Figure | MissingFigure]:
    here, reasons = peers.present(peers.NATIVE, trial.folder, trial.deadline)
    found: list[Figure | MissingFigure] = []
    for kind in KINDS:
        ours = _growth(trial, kind, "bellcast", server_under_test.as_target)
        theirs = {
            name: _growth(trial, kind, name, running)
            for name, running in here.items()
            if kind == "websocket" or name != "ws"
        }
        found.append(_figure(trial, kind, ours, theirs))
    return [*found, *(MissingFigure(NAME, name, why) for name, why in reasons.items())]


def _growth(trial: Run, kind: Kind, name: str, running: peers.Running) -> float:
    """KiB for each connection, each of another recipient with a token of its own."""
    trial.say(f"{KINDS[kind]}, {name}")
    with running(trial.folder, trial.deadline) as target, EpollLoop(trial.deadline) as reactor:
        greetings = (target.idle(kind, number) for number in range(trial.scale.connections))
        return growth_of(target, reactor, [(target.crowd(reactor, kind), greetings)])


def growth_of(target: Target, reactor: EpollLoop, crowds: Sequence[tuple[ClientPool, Iterator[bytes]]]) -> float:
    """KiB for each that comes after the first ones; all of them are here then."""
    for crowd, greetings in crowds:
        crowd.connect(itertools.islice(greetings, FIRST // len(crowds)))
    reactor.run_for(SETTLE_S)
    before, first = target.process.memory(), _here(crowds)
    for crowd, greetings in crowds:
        crowd.connect(greetings)
    reactor.run_for(SETTLE_S)
    return (target.process.memory() - before) / 1024 / (_here(crowds) - first)


def _here(crowds: Sequence[tuple[ClientPool, Iterator[bytes]]]) -> int:
    return sum(len(crowd) for crowd, _ in crowds)


def _figure(trial: Run, kind: Kind, ours: float, theirs: dict[str, float]) -> Figure:
    return Figure(
        benchmark=NAME,
        name=f"memory per idle authenticated {KINDS[kind]} connection",
        value=ours,
        unit="KiB",
        goal=figures.at_most(GOAL_KIB),
        peers=theirs,
        details={"connections": trial.scale.connections},
    )
