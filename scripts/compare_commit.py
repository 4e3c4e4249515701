"""Compare this checkout with a checkout of another commit: fan-out, memory, connection storms and ingest.

`python scripts/compare_commit.py CHECKOUT [fanout|storm|ingest …]`. Each server runs in its own environment (`git worktree add`,
then `make .venv/.installed` in it). Both run at the same time and are measured in alternating bursts, because a machine's
speed changes within seconds: each ratio is the median of the ratios of adjacent bursts."""

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from benchmarks import fanout, ingest, memory, scales, server_under_test, storm
from benchmarks.client_pool import ClientKind
from benchmarks.epoll_loop import Deadline, EpollLoop
from benchmarks.figures import Figure, median
from benchmarks.scales import FULL, BenchmarkRun
from benchmarks.server_under_test import BenchServer

Subject = TypeVar("Subject")

# Clients of each server. Those of both servers must fit into the file limit of this process.
CLIENTS: dict[ClientKind, int] = {"websocket": 5_000, "sse": 5_000, "socketio": 5_000, "pusher": 5_000}
# A burst of 60 publishes takes 0.9 s of CPU, of which the kernel's tick of 10 ms is a hundredth.
SCALE = msgspec.structs.replace(FULL, storm=5_000, publishes=60, singles=4_000, bulk=20_000)
BURSTS = 12
TIME_LIMIT_S = 3_600.0


def main(other: Path, benchmarks: list[str]) -> None:
    scales.raise_file_limit(2 * max(CLIENTS.values()))
    all_benchmarks = {"fanout": compare_fanout, "storm": compare_storm, "ingest": compare_ingest}
    sources = {
        "other": (str(other / ".venv/bin/python"), other / "src"),
        "this": (sys.executable, server_under_test.SOURCE),
    }
    for benchmark in benchmarks or all_benchmarks:
        all_benchmarks[benchmark](sources)


Sources = Mapping[str, tuple[str, Path]]


@contextlib.contextmanager
def running(sources: Sources) -> Iterator[tuple[BenchmarkRun, Mapping[str, BenchServer]]]:
    """Start both servers with empty stores."""
    deadline = Deadline(TIME_LIMIT_S)
    with tempfile.TemporaryDirectory(prefix="bellcast-bench-") as folder, contextlib.ExitStack() as stack:
        path = Path(folder)
        run = BenchmarkRun(scale=SCALE, deadline=deadline, folder=path, store_folder=path, report=lambda _: None)
        servers = {
            name: stack.enter_context(server_under_test.running(path, deadline, {}, name, *source))
            for name, source in sources.items()
        }
        yield run, servers


def compare_fanout(sources: Sources) -> None:
    for kind, number in CLIENTS.items():
        with running(sources) as (run, servers), contextlib.ExitStack() as stack:
            bursts, memory_kib = {}, {}
            for name, server in servers.items():
                target, loop = server.target(), stack.enter_context(EpollLoop(run.deadline))
                pool = target.pool(loop, kind)
                memory_kib[name] = memory.growth_of(
                    target, loop, [(pool, map(partial(target.greeting, kind), range(number)))]
                )
                bursts[name] = partial(fanout.measure_deliveries, run, target, loop, [pool])
            alternate(f"{kind}, CPU per delivery", bursts, lambda burst: burst().cost)
            report(f"{kind}, memory per connection", memory_kib, "KiB", memory_kib["this"] / memory_kib["other"])


def compare_storm(sources: Sources) -> None:
    for kind in fanout.KINDS:
        with running(sources) as (run, servers):
            storms = {name: partial(storm.Storm(run, server).figure, kind) for name, server in servers.items()}
            alternate(f"{kind}, CPU per reconnecting client", storms, lambda connect: cpu_of(connect()))


def compare_ingest(sources: Sources) -> None:
    with running(sources) as (run, servers):
        loads = {name: ingest.Ingest(run, name, server, server, ingest.EMBEDDED) for name, server in servers.items()}
        singles = {name: partial(load.single_figure, name) for name, load in loads.items()}
        alternate("single sends, CPU per notification", singles, lambda send: cpu_of(send()))
        bulk = {name: partial(load.bulk_figure, name, servers[name].bulk) for name, load in loads.items()}
        alternate("bulk sends, CPU per notification", bulk, lambda send: cpu_of(send()))


def cpu_of(figure: Figure) -> float:
    """Microseconds of the server's CPU per item."""
    return float(figure.details["server_cpu_us"])


def alternate(what: str, subjects: Mapping[str, Subject], measure: Callable[[Subject], float]) -> None:
    """Measure bursts of both servers, strictly alternating, and print the medians and their ratio. A server's second burst in
    a row would cost a fifth less, because its data is in the processor's cache."""
    costs: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(BURSTS):
        for name, subject in subjects.items():
            costs[name].append(measure(subject))
    ratios = [now / before for before, now in zip(costs["other"], costs["this"], strict=True)]
    report(what, {name: median(values) for name, values in costs.items()}, "µs", median(ratios))


def report(what: str, values: Mapping[str, float], unit: str, ratio: float) -> None:
    sys.stdout.write(f"{what}: {values['other']:.2f} and {values['this']:.2f} {unit}: {ratio:.3f} times\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
