"""Compare fan-out and memory of this checkout with those of a checkout of another commit, in one run.

`python scripts/compare_commit.py CHECKOUT` measures, for each dialect, CPU per delivery and memory per connection of both
servers in alternating rounds, with the clients of `bellcast bench`. Each runs in its own environment (`git worktree add`,
then `make .venv/.installed` in it)."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bellcast.bench import fanout, runs, scales, server_under_test
from bellcast.bench.client_pool import ClientKind
from bellcast.bench.epoll_loop import Deadline
from bellcast.bench.figures import median
from bellcast.bench.peers import Running
from bellcast.bench.runs import Contender
from bellcast.bench.scales import FULL, BenchmarkRun
from bellcast.bench.target import MeasuredServer

CLIENTS: dict[ClientKind, int] = {"websocket": 10_000, "sse": 10_000, "socketio": 5_000, "pusher": 5_000}
TIME_LIMIT_S = 3_600.0


def main(other: Path) -> None:
    scales.raise_file_limit(max(CLIENTS.values()))
    with tempfile.TemporaryDirectory(prefix="bellcast-bench-") as folder:
        run = BenchmarkRun(
            scale=FULL, deadline=Deadline(TIME_LIMIT_S), folder=Path(folder), store_folder=Path(folder), report=report
        )
        for kind, number in CLIENTS.items():
            line_up = {
                "other": Contender(running("other", str(other / ".venv/bin/python"), other / "src"), {kind: number}),
                "this": Contender(running("this", sys.executable, server_under_test.SOURCE), {kind: number}),
            }
            samples = runs.collect(run, line_up)
            costs = {name: fanout.cost([one.round_ for one in samples[name]]) for name in line_up}
            memory = {name: median([one.memory_kib for one in samples[name]]) for name in line_up}
            for what, values, unit in (("CPU per delivery", costs, "µs"), ("memory per connection", memory, "KiB")):
                before, now = values.values()
                report(f"{kind}: {what}: {before:.2f} and {now:.2f} {unit}: {now / before:.3f} times")


def running(name: str, python: str, source: Path) -> Running:
    @contextlib.contextmanager
    def start(folder: Path, deadline: Deadline) -> Iterator[MeasuredServer]:
        with server_under_test.running(folder, deadline, {}, name, python, source) as server:
            yield server.target()

    return start


def report(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
