"""Fleet: 2, 10 and 50 nodes over each broker. Their CPU without clients, of a connection and of a send to a client of another
node, and the end of a killed node."""

import itertools
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from benchmarks import cross_node_latency, engines, figures, latency, nodes, target
from benchmarks.client_pool import ClientPool
from benchmarks.cross_node_latency import BROKERS, GOAL_MS
from benchmarks.epoll_loop import EpollLoop
from benchmarks.figures import Figure, MissingFigure
from benchmarks.handshakes import HandshakeRefused
from benchmarks.latency import DelayClock, Sender
from benchmarks.nodes import Nodes
from benchmarks.peers import AbsentError
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer, booking

NAME = "fleet"
CLIENTS = 1_000  # of all nodes
PAIRED = 500  # clients of a node whose CPU is measured
CALLERS = 50  # connections of the sending app to all nodes
SENDS_A_SECOND = 50
# A node is gone when two heartbeats are missing and the keeper has said so.
GOAL_GONE_S = 10.0
LONGEST_GONE_S = 30.0
POLL_S = 0.25
# Longer than until the second question about a stream.
SETTLED_S = 4.0


def measure(run: BenchmarkRun) -> Sequence[Figure | MissingFigure]:
    found: list[Figure | MissingFigure] = []
    for broker, number in itertools.product(BROKERS, run.scale.fleet):
        try:
            with (
                nodes.running(run, number, broker, _settings(number)) as cluster,
                EpollLoop(run.deadline) as loop,
            ):
                at_rest = cross_node_latency.at_rest(NAME, run, cluster)
                found += [at_rest, *_measure(run, cluster, loop, at_rest.value / 100)]
        except AbsentError as absent:
            found.append(MissingFigure(NAME, BROKERS[broker], str(absent)))
    return found


def _settings(number: int) -> Mapping[str, str]:
    """Return the settings of a PostgreSQL that accepts 12 connections of each node."""
    return {**engines.POSTGRES_SETTINGS, "max_connections": str(100 + 12 * number)}


def _measure(run: BenchmarkRun, cluster: Nodes, loop: EpollLoop, at_rest: float) -> list[Figure]:
    number, clock, over = len(cluster.each), DelayClock(), f"{len(cluster.each)} nodes over {BROKERS[cluster.broker]}"
    each = CLIENTS // number
    pools = [latency.create_pool(loop, node, clock) for node in cluster.each]
    for at, (pool, node) in enumerate(zip(pools, cluster.each, strict=True)):
        _connect(pool, node, f"reader-{at}", range(each))
    _wait_until_all_see(run, cluster.each, loop, number * each)
    senders = [Sender(loop, node, callers=max(1, CALLERS // number)) for node in cluster.each]
    latency.send_all(loop, _sends(run, cluster, senders, each), clock, SENDS_A_SECOND)
    sent = latency.figure(
        NAME, f"{over}: send to one to socket of another", latency.delays(loop, pools, clock), GOAL_MS, {}
    )
    costs = _costs(run, replace(cluster, each=cluster.each[-2:]), loop, over, at_rest)
    memory = cluster.memory() / number / 2**20
    cluster.each[-1].process.kill()
    gone = _wait_until_all_see(run, cluster.each[:-1], loop, (number - 1) * each)
    name = f"{over}: until all know that a killed one is gone"
    return [
        sent,
        *costs,
        Figure(benchmark=NAME, name=name, value=gone, unit="s", goal=figures.at_most(GOAL_GONE_S), details={}),
        Figure(benchmark=NAME, name=f"{over}: memory (PSS) of one", value=memory, unit="MiB", goal=None, details={}),
    ]


def _costs(run: BenchmarkRun, pair: Nodes, loop: EpollLoop, over: str, at_rest: float) -> list[Figure]:
    """Measure connections to one of two nodes, and sends to them through the other. The nodes that do not follow these inboxes
    receive nothing."""
    (sending, node), clock = pair.each, DelayClock()
    pool, sender = latency.create_pool(loop, node, clock), Sender(loop, sending)
    _connect(pool, node, "paired", range(1))
    _run(loop, SETTLED_S)
    used = _above_rest(pair, at_rest)
    _connect(pool, node, "paired", range(1, PAIRED))
    _run(loop, SETTLED_S)
    connected = used()
    notes = [booking(f"paired-{number}", number) for number in range(PAIRED)]
    used = _above_rest(pair, at_rest)
    latency.send_all(loop, [(sender, sending.send("/v1/notifications", note)) for note in notes], clock, SENDS_A_SECOND)
    latency.delays(loop, [pool], clock)
    sent = used()
    pool.disconnect(PAIRED)
    return [
        _cpu(f"{over}: CPU of a connection", connected, PAIRED - 1),
        _cpu(f"{over}: CPU of both for a send to a client of another", sent, PAIRED),
    ]


def _above_rest(cluster: Nodes, share: float) -> Callable[[], float]:
    """Return a function that returns the CPU seconds of these nodes since now, without the share of a core that each takes at rest."""
    before, begin = cluster.cpu(), time.perf_counter()
    return lambda: cluster.cpu().since(before).total - share * len(cluster.each) * (time.perf_counter() - begin)


def _cpu(name: str, seconds: float, number: int) -> Figure:
    return Figure(benchmark=NAME, name=name, value=1e6 * seconds / number, unit="µs", goal=None, details={})


def _connect(pool: ClientPool, node: BenchServer, name: str, numbers: range) -> None:
    pool.connect(node.greeting("websocket", node.token(f"{name}-{number}")) for number in numbers)


def _sends(run: BenchmarkRun, cluster: Nodes, senders: Sequence[Sender], each: int) -> list[tuple[Sender, bytes]]:
    """Build sends through each node in turn, so that its connection stays open, to random clients of others."""
    chance, number = random.Random(1), len(cluster.each)
    sends = []
    for index in range(latency.WARM_UP + SENDS_A_SECOND * run.scale.crossing_seconds):
        sender = index % number
        other = (sender + chance.randrange(1, number)) % number
        note = booking(f"reader-{other}-{chance.randrange(each)}", index)
        sends.append((senders[sender], cluster.each[sender].send("/v1/notifications", note)))
    return sends


def _wait_until_all_see(run: BenchmarkRun, each: Sequence[BenchServer], loop: EpollLoop, connections: int) -> float:
    """Return the seconds until the first, a middle and the last node list this number of connections of the cluster."""
    start = time.monotonic()
    while [_listed(run, each[at]) for at in (0, len(each) // 2, -1)] != [connections] * 3:
        if time.monotonic() > start + LONGEST_GONE_S:
            raise HandshakeRefused(f"the nodes do not list {connections} connections after {LONGEST_GONE_S:.0f} s")
        _run(loop, POLL_S)
    return time.monotonic() - start


def _run(loop: EpollLoop, seconds: float) -> None:
    end = time.monotonic() + seconds
    loop.run(lambda: time.monotonic() > end)


def _listed(run: BenchmarkRun, node: BenchServer) -> int:
    request = target.get("/v1/connections?tenant=*&limit=1", node.authorization)
    number: int = node.send_request(run.deadline, request)["total"]["value"]
    return number
