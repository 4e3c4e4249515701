"""Failover: one node is killed, and its clients reconnect to the survivors with a token and their last position in the
inbox and three topics."""

import time
from collections.abc import Sequence

import msgspec

from benchmarks import figures, handshakes, nodes, server_under_test, storm
from benchmarks.client_pool import ClientPool
from benchmarks.client_processes import ClientProcesses, ClientShare, WorkerCommand
from benchmarks.epoll_loop import EpollLoop
from benchmarks.figures import Figure, MissingFigure
from benchmarks.handshakes import HandshakeRefused
from benchmarks.http_load import drive
from benchmarks.nodes import Nodes
from benchmarks.peers import AbsentError
from benchmarks.processes import cpu_per_item
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer
from benchmarks.target import event_data, is_marked

NAME = "resuming"
NODES = 3
GOAL_S = 3.5

# Each client follows three topics; each topic has about thirty followers.
TOPICS_PER_CLIENT = 3
CLIENTS_PER_TOPIC = 10
# Each client misses one event of each topic, and a notification.
MISSED = TOPICS_PER_CLIENT + 1
# A field of `ready` which shows that the events of all topics follow.
RECOVERED = b'"recovered":true'

# Time in which a duplicate delivery would be counted.
SETTLE_S = 2.0
TIMEOUT_S = 60.0


def measure(run: BenchmarkRun) -> Sequence[Figure | MissingFigure]:
    try:
        with nodes.running(run, NODES) as cluster:
            return [_measure(run, cluster)]
    except AbsentError as absent:
        return [MissingFigure(NAME, "engines", str(absent))]


def _measure(run: BenchmarkRun, cluster: Nodes) -> Figure:
    dying, *survivors = cluster.each
    number = run.scale.resuming
    topics = [f"topic-{at}" for at in range(number // CLIENTS_PER_TOPIC)]
    followed = [
        [topics[(client + step * len(topics) // TOPICS_PER_CLIENT) % len(topics)] for step in range(TOPICS_PER_CLIENT)]
        for client in range(number)
    ]
    tokens = [dying.token(f"guest-{client}", followed[client]) for client in range(number)]
    run.report("sending a notification to every client and an event to every topic, and reading their positions")
    storm.send_to_all(run, survivors[0], number)
    positions = storm.fetch_positions(run, survivors[0], tokens)
    event_id = _publish(run, survivors[0], topics)
    greetings = [
        dying.greeting("websocket", token, ",".join(followed[at]), f"{positions[at]}~{event_id}")
        for at, token in enumerate(tokens)
    ]
    with ClientProcesses(
        run.deadline, [_part(node, greetings[at :: len(survivors)]) for at, node in enumerate(survivors)]
    ) as processes:
        _kill_node(run, dying, greetings)
        storm.send_to_all(run, survivors[0], number)
        _publish(run, survivors[0], topics)
        run.report(f"{number:,} clients reconnect")
        return _timed(Nodes(survivors, cluster.engines), processes, number)


def _publish(run: BenchmarkRun, server: BenchServer, topics: Sequence[str]) -> str:
    """Publish an event on each topic, and return the id of the last one."""
    events = ({"topic": topic, "name": "note", "data": msgspec.Raw(event_data(at))} for at, topic in enumerate(topics))
    drive(run.deadline, server.address, (server.send("/v1/events", event) for event in events), 1).expect_status(202)
    kept = server.send_request(run.deadline, server.read(f"/v1/topics/{topics[-1]}/events", server_under_test.SECRET))
    event_id: str = kept["events"][-1]["id"]
    return event_id


def _part(node: BenchServer, greetings: Sequence[bytes]) -> ClientShare:
    return ClientShare(lambda loop: _pool(loop, node), iter(greetings))


def _pool(loop: EpollLoop, node: BenchServer) -> ClientPool:
    return ClientPool(loop, node.address, "websocket", is_marked, handshakes.until(RECOVERED), is_uniform=False)


def _kill_node(run: BenchmarkRun, dying: BenchServer, greetings: Sequence[bytes]) -> None:
    """Connect all clients to the node, then kill it."""
    run.report(f"{len(greetings):,} clients connected to one node; killing it")
    with EpollLoop(run.deadline) as loop:
        _pool(loop, dying).connect(iter(greetings))
        dying.process.kill()


def _timed(left: Nodes, processes: ClientProcesses, number: int) -> Figure:
    before, begin = left.used(), time.perf_counter()
    reports = processes.run_command(WorkerCommand(connect=number, each=MISSED, timeout=TIMEOUT_S))
    used, seconds = left.used(), max(one.at for one in reports) - begin
    if not all(one.exact for one in processes.run_command(WorkerCommand(each=MISSED, settle_seconds=SETTLE_S))):
        raise HandshakeRefused("not every client received its missed notification and events exactly once")
    return Figure(
        benchmark=NAME,
        name=f"{number:,} clients of a killed node resume inbox and {TOPICS_PER_CLIENT} topics on {NODES - 1} others",
        value=seconds,
        unit="s",
        goal=figures.at_most(GOAL_S),
        details={
            "resumed_per_second": number / seconds,
            **cpu_per_item(before, used, number),
            "generator_busy": max(one.cpu_seconds for one in reports) / seconds,
        },
    )
