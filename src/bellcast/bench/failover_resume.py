"""Resuming: one node is killed, and its clients reconnect to the survivors with a token and their last position."""

import time
from collections.abc import Sequence

from bellcast.bench import figures, handshakes, nodes, storm
from bellcast.bench.client_pool import ClientPool
from bellcast.bench.client_processes import ClientProcesses, ClientShare, WorkerCommand
from bellcast.bench.epoll_loop import EpollLoop
from bellcast.bench.figures import Figure, MissingFigure
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.nodes import Nodes
from bellcast.bench.peers import AbsentError
from bellcast.bench.processes import cpu_per_item
from bellcast.bench.scales import Run
from bellcast.bench.server_under_test import READY, BenchServer
from bellcast.bench.target import is_marked

NAME = "resuming"
NODES = 3
GOAL_S = 10.0

# Time in which a duplicate delivery would be counted.
SETTLE_S = 2.0
TIMEOUT_S = 60.0


def measure(run: Run) -> Sequence[Figure | MissingFigure]:
    try:
        with nodes.running(run, NODES) as cluster:
            return [_measure(run, cluster)]
    except AbsentError as absent:
        return [MissingFigure(NAME, "engines", str(absent))]


def _measure(run: Run, cluster: Nodes) -> Figure:
    dying, *survivors = cluster.each
    tokens = [dying.token(f"guest-{number}") for number in range(run.scale.resuming)]
    run.report("sending a notification to every client and reading its position")
    storm.send_to_all(run, survivors[0], len(tokens))
    positions = storm.fetch_positions(run, survivors[0], tokens)
    greetings = [dying.greeting("websocket", token, position=positions[n]) for n, token in enumerate(tokens)]
    with ClientProcesses(
        run.deadline, [_part(node, greetings[at :: len(survivors)]) for at, node in enumerate(survivors)]
    ) as processes:
        _kill_node(run, dying, greetings)
        storm.send_to_all(run, survivors[0], len(tokens))
        run.report(f"{len(tokens):,} clients reconnect")
        return _timed(Nodes(survivors, cluster.engines), processes, len(tokens))


def _part(node: BenchServer, greetings: Sequence[bytes]) -> ClientShare:
    return ClientShare(lambda loop: _pool(loop, node), iter(greetings))


def _pool(loop: EpollLoop, node: BenchServer) -> ClientPool:
    return ClientPool(loop, node.address, "websocket", is_marked, handshakes.until(READY), is_uniform=False)


def _kill_node(run: Run, dying: BenchServer, greetings: Sequence[bytes]) -> None:
    """Connect all clients to the node, then kill it."""
    run.report(f"{len(greetings):,} clients connected to one node; killing it")
    with EpollLoop(run.deadline) as loop:
        _pool(loop, dying).connect(iter(greetings))
        dying.process.kill()


def _timed(left: Nodes, processes: ClientProcesses, number: int) -> Figure:
    before, begin = left.used(), time.perf_counter()
    reports = processes.run_command(WorkerCommand(connect=number, each=1, timeout=TIMEOUT_S))
    used, seconds = left.used(), max(one.at for one in reports) - begin
    if not all(one.exact for one in processes.run_command(WorkerCommand(each=1, settle_seconds=SETTLE_S))):
        raise HandshakeRefused("not every client received its missed notification exactly once")
    return Figure(
        benchmark=NAME,
        name=f"{number:,} clients of a killed node resume on {NODES - 1} others, each with its missed notification",
        value=seconds,
        unit="s",
        goal=figures.at_most(GOAL_S),
        details={
            "resumed_per_second": number / seconds,
            **cpu_per_item(before, used, number),
            "generator_busy": max(one.cpu_seconds for one in reports) / seconds,
        },
    )
