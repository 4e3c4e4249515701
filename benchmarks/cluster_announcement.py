"""Cluster announcement: more connections than one process can have, spread over the workers of one server, and one
announcement to all."""

import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import figures, handshakes, nodes
from benchmarks.client_pool import ClientPool
from benchmarks.client_processes import ClientProcesses, ClientShare, WorkerCommand, WorkerReport
from benchmarks.epoll_loop import EpollLoop, pause
from benchmarks.figures import Figure, MissingFigure
from benchmarks.handshakes import HandshakeRefused
from benchmarks.memory import FIRST, SETTLE_S
from benchmarks.nodes import Nodes
from benchmarks.peers import AbsentError
from benchmarks.processes import cpu_per_item, process_tree
from benchmarks.scales import SPARE_FILES, BenchmarkRun
from benchmarks.server_under_test import READY, BenchServer, JsonObject
from benchmarks.target import MARK, is_marked

NAME = "everyone"
GOAL_KIB = 5.0
GOAL_S = 2.5
GOAL_CPU_US = 30.0

# Worker processes of the server, and as many processes of the generator.
WORKERS = 6
# SO_REUSEPORT distributes connections by hash: of 100,000, the fullest of six workers had 2 % more than its share.
IMBALANCE = 1.1
# Bytes per connection in the server, the generator, the kernel and the engines: 20 KiB measured, plus a margin.
CONNECTION_BYTES = 32_768

# Time after the announcement until missing deliveries count as lost.
TIMEOUT_S = 100.0


def measure(run: BenchmarkRun) -> Sequence[Figure | MissingFigure]:
    try:
        _check_resources(run.scale.everyone)
        with (
            nodes.workers(run, WORKERS) as server_nodes,
            ClientProcesses(run.deadline, list(_parts(run, server_nodes.each[0]))) as processes,
        ):
            return _measure(run, server_nodes, processes)
    except AbsentError as absent:
        return [MissingFigure(NAME, f"{run.scale.everyone:,} connections", str(absent))]


def _check_resources(number: int) -> None:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = int(number / WORKERS * IMBALANCE) + SPARE_FILES
    if files < wanted:
        raise AbsentError(f"each of {WORKERS} workers needs {wanted:,} open files, and the limit is {files:,}")
    free = int(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]) * 1024
    if free < number * CONNECTION_BYTES:
        raise AbsentError(
            f"needs {number * CONNECTION_BYTES / 2**30:.1f} GiB of free memory, found {free / 2**30:.1f} GiB"
        )


def _parts(run: BenchmarkRun, server: BenchServer) -> Iterator[ClientShare]:
    """Distribute the clients round-robin over WORKERS processes."""

    def pool(loop: EpollLoop) -> ClientPool:
        return ClientPool(loop, server.address, "websocket", is_marked, handshakes.until(READY), is_uniform=False)

    for part in range(WORKERS):
        numbers = range(part, run.scale.everyone, WORKERS)
        yield ClientShare(pool, (server.greeting("websocket", server.token(f"guest-{number}")) for number in numbers))


def _measure(run: BenchmarkRun, server_nodes: Nodes, processes: ClientProcesses) -> list[Figure]:
    size = run.scale.everyone
    run.report(f"connecting {size:,} clients to {WORKERS} workers")
    first = processes.run_command(WorkerCommand(connect=FIRST, settle_seconds=SETTLE_S))
    before, used, begin = server_nodes.memory(), server_nodes.used(), time.perf_counter()
    connected = processes.run_command(WorkerCommand(connect=size))
    seconds = time.perf_counter() - begin
    costs = cpu_per_item(used, server_nodes.used(), _clients(connected))
    run.report(f"{size:,} clients are connected after {seconds:.0f} s; measuring idle CPU")
    idle = _idle_share(server_nodes, run.scale.everyone_hold)
    added = _clients(connected) - _clients(first)
    details: dict[str, figures.Detail] = {
        "connections": _clients(connected),
        "connected_per_second": added / seconds,
        **{f"to_connect_{name}": cost for name, cost in costs.items()},
        "fullest_worker_files": max(map(_files, process_tree(server_nodes.each[0].process.pid))),
        "idle_share_of_a_core": idle,
    }
    memory = Figure(
        benchmark=NAME,
        name=f"memory per idle authenticated connection, {size:,} on {WORKERS} workers",
        value=(server_nodes.memory() - before) / added / 1024,
        unit="KiB",
        goal=figures.at_most(GOAL_KIB),
        details=details,
    )
    return [memory, *_measure_announcement(run, server_nodes, processes, connected)]


def _idle_share(server_nodes: Nodes, seconds: float) -> float:
    """Return the share of a core used while only heartbeats are sent."""
    before, begin = server_nodes.cpu(), time.perf_counter()
    pause(seconds)
    return server_nodes.cpu().since(before).total / (time.perf_counter() - begin)


def _measure_announcement(
    run: BenchmarkRun, server_nodes: Nodes, processes: ClientProcesses, connected: Sequence[WorkerReport]
) -> list[Figure]:
    size, (server,) = _clients(connected), server_nodes.each
    run.report(f"one announcement to {size:,} connections")
    used, begin = server_nodes.used(), time.perf_counter()
    server.send_request(run.deadline, server.send("/v1/notifications", ANNOUNCEMENT), 201)
    reports = processes.run_command(WorkerCommand(each=1, timeout=TIMEOUT_S))
    seconds, costs = max(one.at for one in reports) - begin, cpu_per_item(used, server_nodes.used(), size)
    busy = max(after.cpu_seconds - before.cpu_seconds for after, before in zip(reports, connected, strict=True))
    reports = processes.run_command(WorkerCommand(each=1, settle_seconds=SETTLE_S))
    if not all(one.exact for one in reports):
        raise HandshakeRefused(f"expected one delivery per client, got {sum(one.total for one in reports)} for {size}")
    what = f"one announcement to {size:,} connections on {WORKERS} workers"
    time_taken = Figure(
        benchmark=NAME,
        name=f"{what}: until the last delivery",
        value=seconds,
        unit="s",
        goal=figures.at_most(GOAL_S),
        details={"deliveries_per_second": size / seconds, "generator_busy": busy / seconds},
    )
    cost = Figure(
        benchmark=NAME,
        name=f"{what}: CPU per delivery, engines included",
        value=sum(costs.values()),
        unit="µs",
        goal=figures.at_most(GOAL_CPU_US),
        details=costs,
    )
    return [time_taken, cost]


ANNOUNCEMENT: JsonObject = {
    "to": {"all": True},
    "type": "announcement",
    "title": "The studio is closed on Monday",
    "body": f"{MARK.decode()}: we are back on Tuesday at nine. Bookings of later days are not touched.",
    "action_url": "/news/closed",
}


def _clients(reports: Sequence[WorkerReport]) -> int:
    return sum(one.clients for one in reports)


def _files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
