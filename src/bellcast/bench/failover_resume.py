"""Resuming: a node dies, and all who were connected to it come back to the others, each with a token and the position
where they were cut off."""

import time
from collections.abc import Sequence

from bellcast.bench import figures, handshakes, nodes, storm
from bellcast.bench.client_pool import ClientPool
from bellcast.bench.client_processes import ClientProcesses, ClientShare, Order
from bellcast.bench.epoll_loop import EpollLoop
from bellcast.bench.figures import Figure, MissingFigure
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.nodes import Nodes
from bellcast.bench.peers import AbsentError
from bellcast.bench.processes import each_used
from bellcast.bench.scales import Run
from bellcast.bench.server_under_test import READY, BenchServer
from bellcast.bench.target import is_marked

NAME = "resuming"
NODES = 3
GOAL_S = 10.0

# In which nobody hears twice what it missed.
SETTLE_S = 2.0
PATIENCE_S = 60.0


def measure(trial: Run) -> Sequence[Figure | MissingFigure]:
    try:
        with nodes.running(trial, NODES) as those:
            return [_measured(trial, those)]
    except AbsentError as absent:
        return [MissingFigure(NAME, "engines", str(absent))]


def _measured(trial: Run, those: Nodes) -> Figure:
    dying, *others = those.each
    tokens = [dying.token(f"guest-{number}") for number in range(trial.scale.resuming)]
    trial.say("everyone gets a notification and looks")
    storm.send_to_all(trial, others[0], len(tokens))
    positions = storm.positions_of(trial, others[0], tokens)
    greetings = [dying.greeting("websocket", token, position=positions[n]) for n, token in enumerate(tokens)]
    with ClientProcesses(
        trial.deadline, [_part(node, greetings[at :: len(others)]) for at, node in enumerate(others)]
    ) as throng:
        _kill_node(trial, dying, greetings)
        storm.send_to_all(trial, others[0], len(tokens))
        trial.say(f"{len(tokens):,} clients come back")
        return _timed(Nodes(others, those.engines), throng, len(tokens))


def _part(node: BenchServer, greetings: Sequence[bytes]) -> ClientShare:
    return ClientShare(lambda reactor: _crowd(reactor, node), iter(greetings))


def _crowd(reactor: EpollLoop, node: BenchServer) -> ClientPool:
    return ClientPool(reactor, node.address, "websocket", is_marked, handshakes.until(READY), alike=False)


def _kill_node(trial: Run, dying: BenchServer, greetings: Sequence[bytes]) -> None:
    """Everyone is connected, and then there is nobody they are connected to."""
    trial.say(f"{len(greetings):,} clients are connected to a node that dies")
    with EpollLoop(trial.deadline) as reactor:
        _crowd(reactor, dying).connect(iter(greetings))
        dying.process.kill()


def _timed(left: Nodes, throng: ClientProcesses, number: int) -> Figure:
    before, begin = left.used(), time.perf_counter()
    told = throng.order(Order(connect=number, each=1, patience=PATIENCE_S))
    used, seconds = left.used(), max(one.at for one in told) - begin
    if not all(one.exact for one in throng.order(Order(each=1, settle=SETTLE_S))):
        raise HandshakeRefused("not everyone got the one notification they had missed, once")
    return Figure(
        benchmark=NAME,
        name=f"{number:,} clients of a node that died resume on {NODES - 1} others, each with what it missed",
        value=seconds,
        unit="s",
        goal=figures.at_most(GOAL_S),
        details={
            "resumed_per_second": number / seconds,
            **each_used(before, used, number),
            "generator_busy": max(one.busy for one in told) / seconds,
        },
    )
