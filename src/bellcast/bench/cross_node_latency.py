"""Crossing: from a send to one node to the bytes in the socket of a client of another."""

import random
import time
from collections.abc import Sequence

from bellcast.bench import figures, latency, nodes
from bellcast.bench.client_pool import ClientPool
from bellcast.bench.epoll_loop import EpollLoop
from bellcast.bench.figures import Figure, MissingFigure
from bellcast.bench.latency import DelayClock, Sender
from bellcast.bench.nodes import Nodes
from bellcast.bench.peers import AbsentError
from bellcast.bench.processes import each_used
from bellcast.bench.scales import Run
from bellcast.bench.server_under_test import BenchServer, booking

NAME = "crossing"
NODES = 3
GOAL_MS = 30.0


def measure(trial: Run) -> Sequence[Figure | MissingFigure]:
    try:
        with nodes.running(trial, NODES) as those, EpollLoop(trial.deadline) as reactor:
            return [_measured(trial, those, reactor)]
    except AbsentError as absent:
        return [MissingFigure(NAME, "engines", str(absent))]


def _measured(trial: Run, those: Nodes, reactor: EpollLoop) -> Figure:
    scale, clock = trial.scale, DelayClock()
    trial.say(f"connecting {scale.crossing_clients:,} clients to {NODES} nodes")
    crowds = [_connected(trial, reactor, node, clock, at) for at, node in enumerate(those.each)]
    sends = _sends(trial, those, [Sender(reactor, node) for node in those.each])
    trial.say(f"{scale.crossing_rate} sends a second for {scale.crossing_seconds} s")
    before, busy, begin = those.used(), time.process_time(), time.perf_counter()
    latency.send_all(reactor, sends, clock, scale.crossing_rate)
    found = latency.delays(reactor, crowds, clock)
    details: dict[str, figures.Detail] = {
        **each_used(before, those.used(), len(sends)),
        "generator_busy": (time.process_time() - busy) / (time.perf_counter() - begin),
    }
    what = f"send to one of {NODES} nodes to socket of another at {scale.crossing_rate}/s"
    return latency.figure(NAME, f"{what}, {scale.crossing_clients:,} connections", found, GOAL_MS, details)


def _connected(trial: Run, reactor: EpollLoop, node: BenchServer, clock: DelayClock, at: int) -> ClientPool:
    """As many as each of the nodes has."""
    crowd = latency.listening(reactor, node, clock)
    each = trial.scale.crossing_clients // NODES
    crowd.connect(node.greeting("websocket", node.token(_client(at, number))) for number in range(each))
    return crowd


def _sends(trial: Run, those: Nodes, senders: Sequence[Sender]) -> list[tuple[Sender, bytes]]:
    """Each to somebody, by a node that somebody is not connected to."""
    scale, chance = trial.scale, random.Random(1)
    sends = []
    for number in range(latency.WARM_UP + scale.crossing_rate * scale.crossing_seconds):
        there, by = chance.sample(range(NODES), 2)
        note = booking(_client(there, chance.randrange(scale.crossing_clients // NODES)), number)
        sends.append((senders[by], those.each[by].send("/v1/notifications", note)))
    return sends


def _client(node: int, number: int) -> str:
    return f"reader-{node}-{number}"
