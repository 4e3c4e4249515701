"""Fan-out: one event to thousands of live clients, and what a delivery costs the server in processor time."""

import time
from collections.abc import Iterator, Sequence
from statistics import median

import msgspec

from bellcast.bench import figures, peers, server_under_test
from bellcast.bench.client_pool import ClientPool, Kind
from bellcast.bench.epoll_loop import EpollLoop
from bellcast.bench.figures import Figure, MissingFigure
from bellcast.bench.frames import Answer
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.http_load import HttpCaller
from bellcast.bench.peers import Running
from bellcast.bench.scales import Run
from bellcast.bench.target import Target, event_data

NAME = "fanout"
KINDS: dict[Kind, str] = {"websocket": "WebSocket", "sse": "SSE"}

# Events sent before the measured ones, so that every server has its code and buffers warm.
WARM_UP = 3


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One server, one kind of client, one round. Microseconds of server processor time for each delivery."""

    user: float
    system: float
    deliveries_per_second: float
    generator_busy: float

    @property
    def cost(self) -> float:
        return self.user + self.system


def measure(trial: Run) -> list[Figure | MissingFigure]:
    """All servers in turn, several rounds, a fresh process each time."""
    here, reasons = peers.present(peers.NATIVE, trial.folder, trial.deadline)
    legs: dict[tuple[Kind, str], list[Leg]] = {}
    for number in range(trial.scale.rounds):
        for kind, name, running in _line_up(here):
            trial.say(f"round {number + 1} of {trial.scale.rounds}: {KINDS[kind]}, {name}")
            with running(trial.folder, trial.deadline) as target:
                legs.setdefault((kind, name), []).append(_leg(trial, target, kind))
    return [
        *(_figure(trial, kind, legs) for kind in KINDS),
        *(MissingFigure(NAME, name, why) for name, why in reasons.items()),
    ]


def _line_up(here: dict[str, Running]) -> Iterator[tuple[Kind, str, Running]]:
    for kind in KINDS:
        yield kind, "bellcast", server_under_test.as_target
        for name, running in here.items():
            if kind == "websocket" or name != "ws":
                yield kind, name, running


def _leg(trial: Run, target: Target, kind: Kind) -> Leg:
    with EpollLoop(trial.deadline) as reactor:
        crowd = target.crowd(reactor, kind)
        crowd.connect(target.greeting(kind, number) for number in range(trial.scale.connections))
        return told(trial, target, reactor, [crowd])


def told(trial: Run, target: Target, reactor: EpollLoop, crowds: Sequence[ClientPool]) -> Leg:
    """What it costs to tell these crowds of each event."""
    publisher = Publisher(reactor, target)
    publisher.publish_to(crowds, WARM_UP)
    for crowd in crowds:
        crowd.reset_counts()
    before, busy, begin = target.process.cpu(), time.process_time(), time.perf_counter()
    publisher.publish_to(crowds, trial.scale.publishes)
    used, seconds = target.process.cpu().since(before), time.perf_counter() - begin
    if not all(crowd.has_all_received(trial.scale.publishes) for crowd in crowds):
        raise HandshakeRefused(f"{target.name}: not everyone heard {trial.scale.publishes} events")
    total = sum(crowd.total for crowd in crowds)
    each = 1e6 / total
    return Leg(
        user=used.user * each,
        system=used.system * each,
        deliveries_per_second=total / seconds,
        generator_busy=(time.process_time() - busy) / seconds,
    )


class Publisher:
    """Sends one event at a time, the next when everybody has heard the last, so that none share a write."""

    def __init__(self, reactor: EpollLoop, target: Target) -> None:
        self._reactor = reactor
        self._target = target
        self._number = 0
        self._answered = 0
        self._caller = HttpCaller(reactor, target.address, self._note)

    def publish_to(self, crowds: Sequence[ClientPool], times: int) -> None:
        for _ in range(times):
            goals = [(crowd, crowd.total + len(crowd)) for crowd in crowds]
            self._number += 1
            self._caller.send(self._target.publish(event_data(self._number)))
            for crowd, goal in goals:
                crowd.listen(goal)
            self._reactor.run(lambda: self._answered == self._number)

    def _note(self, _caller: HttpCaller, answer: Answer) -> None:
        if answer.status >= 300:
            raise HandshakeRefused(f"{self._target.name} answered {answer.status} to an event")
        self._answered += 1


def cost(legs: Sequence[Leg]) -> float:
    """The round in the middle."""
    return median(leg.cost for leg in legs)


def _figure(trial: Run, kind: Kind, legs: dict[tuple[Kind, str], list[Leg]]) -> Figure:
    others = {name: legs[at, name] for at, name in legs if at == kind and name != "bellcast"}
    theirs = {name: cost(done) for name, done in others.items()}
    ours = legs[kind, "bellcast"]
    return Figure(
        benchmark=NAME,
        name=f"fan-out to {trial.scale.connections:,} over {KINDS[kind]}: server CPU per delivery",
        value=cost(ours),
        unit="µs",
        goal=figures.at_most(theirs["nchan"], "nchan") if "nchan" in theirs else None,
        peers=theirs,
        details={
            "deliveries": len(ours) * trial.scale.connections * trial.scale.publishes,
            **details("", ours),
            **{key: value for name, done in others.items() for key, value in details(f"{name}_", done).items()},
        },
    )


def details(prefix: str, legs: Sequence[Leg]) -> dict[str, figures.Detail]:
    """How the rounds came out."""
    return {
        f"{prefix}user_us": median(leg.user for leg in legs),
        f"{prefix}best_us": min(leg.cost for leg in legs),
        f"{prefix}worst_us": max(leg.cost for leg in legs),
        f"{prefix}deliveries_per_second": median(leg.deliveries_per_second for leg in legs),
        f"{prefix}generator_busy": max(leg.generator_busy for leg in legs),
    }
