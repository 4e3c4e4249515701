"""Cross-node latency: time from a send to one node to the bytes in the socket of a client of another node."""

import random
import time
from collections.abc import Sequence

from benchmarks import figures, latency, nodes
from benchmarks.client_pool import ClientPool
from benchmarks.epoll_loop import EpollLoop
from benchmarks.figures import Figure, MissingFigure
from benchmarks.latency import DelayClock, Sender
from benchmarks.nodes import Nodes
from benchmarks.peers import AbsentError
from benchmarks.processes import cpu_per_item
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer, booking

NAME = "crossing"
NODES = 3
GOAL_MS = 30.0
BROKERS = {"redis": "Redis", "postgres": "PostgreSQL", "nats": "NATS"}
REST_SECONDS = 10.0
GOAL_REST_PERCENT = 0.5


def measure(run: BenchmarkRun) -> Sequence[Figure | MissingFigure]:
    found: list[Figure | MissingFigure] = []
    for broker in BROKERS:
        try:
            with nodes.running(run, NODES, broker) as cluster, EpollLoop(run.deadline) as loop:
                found += [at_rest(NAME, run, cluster), _measure(run, cluster, loop)]
        except AbsentError as absent:
            found.append(MissingFigure(NAME, BROKERS[broker], str(absent)))
    return found


def at_rest(benchmark: str, run: BenchmarkRun, cluster: Nodes) -> Figure:
    """Return the CPU that a node takes without clients."""
    number = len(cluster.each)
    run.report(f"{number} nodes over {BROKERS[cluster.broker]} at rest for {REST_SECONDS:.0f} s")
    time.sleep(REST_SECONDS / 2)  # the work of the start
    before, begin = cluster.cpu(), time.perf_counter()
    time.sleep(REST_SECONDS)
    percent = 100 * cluster.cpu().since(before).total / (time.perf_counter() - begin) / number
    name = f"CPU of a node of {number} over {BROKERS[cluster.broker]} without clients"
    return Figure(
        benchmark=benchmark, name=name, value=percent, unit="%", goal=figures.at_most(GOAL_REST_PERCENT), details={}
    )


def _measure(run: BenchmarkRun, cluster: Nodes, loop: EpollLoop) -> Figure:
    scale, clock, broker = run.scale, DelayClock(), BROKERS[cluster.broker]
    run.report(f"connecting {scale.crossing_clients:,} clients to {NODES} nodes over {broker}")
    pools = [_connected(run, loop, node, clock, at) for at, node in enumerate(cluster.each)]
    sends = _sends(run, cluster, [Sender(loop, node) for node in cluster.each])
    run.report(f"{scale.crossing_rate} sends a second for {scale.crossing_seconds} s")
    before, busy, begin = cluster.used(), time.process_time(), time.perf_counter()
    latency.send_all(loop, sends, clock, scale.crossing_rate)
    delays = latency.delays(loop, pools, clock)
    details: dict[str, figures.Detail] = {
        **cpu_per_item(before, cluster.used(), len(sends)),
        "generator_busy": (time.process_time() - busy) / (time.perf_counter() - begin),
    }
    what = f"send to one of {NODES} nodes to socket of another over {broker} at {scale.crossing_rate}/s"
    return latency.figure(NAME, f"{what}, {scale.crossing_clients:,} connections", delays, GOAL_MS, details)


def _connected(run: BenchmarkRun, loop: EpollLoop, node: BenchServer, clock: DelayClock, at: int) -> ClientPool:
    """Connect one node's share of the clients."""
    pool = latency.create_pool(loop, node, clock)
    each = run.scale.crossing_clients // NODES
    pool.connect(node.greeting("websocket", node.token(_client(at, number))) for number in range(each))
    return pool


def _sends(run: BenchmarkRun, cluster: Nodes, senders: Sequence[Sender]) -> list[tuple[Sender, bytes]]:
    """Build sends to random clients, each through a node that the client is not connected to."""
    scale, chance = run.scale, random.Random(1)
    sends = []
    for number in range(latency.WARM_UP + scale.crossing_rate * scale.crossing_seconds):
        target, sender = chance.sample(range(NODES), 2)
        note = booking(_client(target, chance.randrange(scale.crossing_clients // NODES)), number)
        sends.append((senders[sender], cluster.each[sender].send("/v1/notifications", note)))
    return sends


def _client(node: int, number: int) -> str:
    return f"reader-{node}-{number}"
