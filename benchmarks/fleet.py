"""Fleet: 50 nodes over each broker. Their CPU without clients, sends to clients of other nodes, and the end of a killed node."""

import random
import time
from collections.abc import Mapping, Sequence

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
CLIENTS = 20  # of each node
SENDS_A_SECOND = 50
# A node is gone when two heartbeats are missing and the keeper has said so.
GOAL_GONE_S = 10.0
LONGEST_GONE_S = 30.0
POLL_S = 0.25


def measure(run: BenchmarkRun) -> Sequence[Figure | MissingFigure]:
    found: list[Figure | MissingFigure] = []
    for broker in BROKERS:
        try:
            with (
                nodes.running(run, run.scale.fleet, broker, _settings(run)) as cluster,
                EpollLoop(run.deadline) as loop,
            ):
                found += [cross_node_latency.at_rest(NAME, run, cluster), *_measure(run, cluster, loop)]
        except AbsentError as absent:
            found.append(MissingFigure(NAME, BROKERS[broker], str(absent)))
    return found


def _settings(run: BenchmarkRun) -> Mapping[str, str]:
    """Return the settings of a PostgreSQL that accepts 12 connections of each node."""
    return {**engines.POSTGRES_SETTINGS, "max_connections": str(100 + 12 * run.scale.fleet)}


def _measure(run: BenchmarkRun, cluster: Nodes, loop: EpollLoop) -> list[Figure]:
    number, clock, over = len(cluster.each), DelayClock(), f"{len(cluster.each)} nodes over {BROKERS[cluster.broker]}"
    pools = [_connected(loop, node, clock, at) for at, node in enumerate(cluster.each)]
    _wait_until_all_see(run, cluster.each, loop, number * CLIENTS)
    senders = [Sender(loop, node, callers=1) for node in cluster.each]
    latency.send_all(loop, _sends(run, cluster, senders), clock, SENDS_A_SECOND)
    sent = latency.figure(
        NAME, f"{over}: send to one to socket of another", latency.delays(loop, pools, clock), GOAL_MS, {}
    )
    memory = cluster.memory() / number / 2**20
    cluster.each[-1].process.kill()
    gone = _wait_until_all_see(run, cluster.each[:-1], loop, (number - 1) * CLIENTS)
    name = f"{over}: until all know that a killed one is gone"
    return [
        sent,
        Figure(benchmark=NAME, name=name, value=gone, unit="s", goal=figures.at_most(GOAL_GONE_S), details={}),
        Figure(benchmark=NAME, name=f"{over}: memory (PSS) of one", value=memory, unit="MiB", goal=None, details={}),
    ]


def _connected(loop: EpollLoop, node: BenchServer, clock: DelayClock, at: int) -> ClientPool:
    pool = latency.create_pool(loop, node, clock)
    pool.connect(node.greeting("websocket", node.token(f"reader-{at}-{number}")) for number in range(CLIENTS))
    return pool


def _sends(run: BenchmarkRun, cluster: Nodes, senders: Sequence[Sender]) -> list[tuple[Sender, bytes]]:
    """Build sends through each node in turn, so that its connection stays open, to random clients of others."""
    chance, number = random.Random(1), len(cluster.each)
    sends = []
    for index in range(latency.WARM_UP + SENDS_A_SECOND * run.scale.crossing_seconds):
        sender = index % number
        other = (sender + chance.randrange(1, number)) % number
        note = booking(f"reader-{other}-{chance.randrange(CLIENTS)}", index)
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
