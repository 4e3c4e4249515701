"""Everyone: more connections than one process may have, held by the workers of one server, and one announcement to all."""

import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bellcast.bench import figures, handshakes, nodes
from bellcast.bench.client_pool import ClientPool
from bellcast.bench.client_processes import ClientProcesses, ClientShare, Order, WorkerReport
from bellcast.bench.epoll_loop import EpollLoop, pause
from bellcast.bench.figures import Figure, MissingFigure
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.memory import FIRST, SETTLE_S
from bellcast.bench.nodes import Nodes
from bellcast.bench.peers import AbsentError
from bellcast.bench.processes import each_used, family
from bellcast.bench.scales import SPARE_FILES, Run
from bellcast.bench.server_under_test import READY, BenchServer, Json
from bellcast.bench.target import MARK, is_marked

NAME = "everyone"
GOAL_KIB = 5.0

# Of the server, and as many of the generator.
WORKERS = 6
# The system deals connections out by chance: of 100,000 the fullest of six workers had 2 % more than its share.
UNEVEN = 1.1
# What a connection takes on both sides of it, in the system, and in the engines: 20 KiB, and something to spare.
MEMORY = 32_768

# After the announcement; who has not heard by then does not.
PATIENCE_S = 100.0


def measure(trial: Run) -> Sequence[Figure | MissingFigure]:
    try:
        _must_fit(trial.scale.everyone)
        with (
            nodes.workers(trial, WORKERS) as those,
            ClientProcesses(trial.deadline, list(_parts(trial, those.each[0]))) as throng,
        ):
            return _measured(trial, those, throng)
    except AbsentError as absent:
        return [MissingFigure(NAME, f"{trial.scale.everyone:,} connections", str(absent))]


def _must_fit(number: int) -> None:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = int(number / WORKERS * UNEVEN) + SPARE_FILES
    if files < wanted:
        raise AbsentError(f"each of {WORKERS} workers needs {wanted:,} open files, and the limit is {files:,}")
    free = int(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]) * 1024
    if free < number * MEMORY:
        raise AbsentError(f"needs {number * MEMORY / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} are free")


def _parts(trial: Run, server: BenchServer) -> Iterator[ClientShare]:
    """Every WORKERS-th client is in the same process."""

    def crowd(reactor: EpollLoop) -> ClientPool:
        return ClientPool(reactor, server.address, "websocket", is_marked, handshakes.until(READY), alike=False)

    for part in range(WORKERS):
        numbers = range(part, trial.scale.everyone, WORKERS)
        yield ClientShare(crowd, (server.greeting("websocket", server.token(f"guest-{number}")) for number in numbers))


def _measured(trial: Run, those: Nodes, throng: ClientProcesses) -> list[Figure]:
    size = trial.scale.everyone
    trial.say(f"connecting {size:,} clients to {WORKERS} workers")
    first = throng.order(Order(connect=FIRST, settle=SETTLE_S))
    before, used, begin = those.memory(), those.used(), time.perf_counter()
    here = throng.order(Order(connect=size))
    seconds = time.perf_counter() - begin
    costs = each_used(used, those.used(), _clients(here))
    trial.say(f"{size:,} clients are connected after {seconds:.0f} s and stay")
    idle = _idle_share(those, trial.scale.everyone_hold)
    come = _clients(here) - _clients(first)
    details: dict[str, figures.Detail] = {
        "connections": _clients(here),
        "connected_per_second": come / seconds,
        **{f"to_connect_{name}": cost for name, cost in costs.items()},
        "fullest_worker_files": max(map(_files, family(those.each[0].process.pid))),
        "idle_share_of_a_core": idle,
    }
    memory = Figure(
        benchmark=NAME,
        name=f"memory per idle authenticated connection, {size:,} on {WORKERS} workers",
        value=(those.memory() - before) / come / 1024,
        unit="KiB",
        goal=figures.at_most(GOAL_KIB),
        details=details,
    )
    return [memory, *_announced(trial, those, throng, here)]


def _idle_share(those: Nodes, seconds: float) -> float:
    """Of a core, while nothing happens but heartbeats."""
    before, begin = those.cpu(), time.perf_counter()
    pause(seconds)
    return those.cpu().since(before).total / (time.perf_counter() - begin)


def _announced(trial: Run, those: Nodes, throng: ClientProcesses, here: Sequence[WorkerReport]) -> list[Figure]:
    size, (server,) = _clients(here), those.each
    trial.say(f"one announcement to {size:,} connections")
    used, begin = those.used(), time.perf_counter()
    server.send_request(trial.deadline, server.send("/v1/notifications", ANNOUNCEMENT), 201)
    told = throng.order(Order(each=1, patience=PATIENCE_S))
    seconds, costs = max(one.at for one in told) - begin, each_used(used, those.used(), size)
    busy = max(after.busy - before.busy for after, before in zip(told, here, strict=True))
    told = throng.order(Order(each=1, settle=SETTLE_S))
    if not all(one.exact for one in told):
        raise HandshakeRefused(f"not everyone heard one announcement once: {sum(one.total for one in told)} of {size}")
    what = f"one announcement to {size:,} connections on {WORKERS} workers"
    time_taken = Figure(
        benchmark=NAME,
        name=f"{what}: until the last has it",
        value=seconds,
        unit="s",
        details={"deliveries_per_second": size / seconds, "generator_busy": busy / seconds},
    )
    cost = Figure(
        benchmark=NAME,
        name=f"{what}: CPU per delivery, engines' too",
        value=sum(costs.values()),
        unit="µs",
        details=costs,
    )
    return [time_taken, cost]


ANNOUNCEMENT: Json = {
    "to": {"all": True},
    "type": "announcement",
    "title": "The studio is closed on Monday",
    "body": f"{MARK.decode()}: we are back on Tuesday at nine. Bookings of later days are not touched.",
    "action_url": "/news/closed",
}


def _clients(told: Sequence[WorkerReport]) -> int:
    return sum(one.clients for one in told)


def _files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
