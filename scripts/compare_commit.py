"""Compare fan-out and memory of this checkout with those of another commit, in one run.

`python scripts/compare_commit.py COMMIT` measures, for each dialect, CPU per delivery and memory per connection of both
servers in alternating rounds, with the clients of `bellcast bench`. Both run in this environment."""

import contextlib
import subprocess
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
from bellcast.bench.scales import FULL, Run
from bellcast.bench.target import MeasuredServer

ROOT = Path(__file__).parent.parent
CLIENTS: dict[ClientKind, int] = {"websocket": 10_000, "sse": 10_000, "socketio": 5_000, "pusher": 5_000}
TIME_LIMIT_S = 3_600.0


def main(commit: str) -> None:
    scales.raise_file_limit(max(CLIENTS.values()))
    with checkout(commit) as earlier, tempfile.TemporaryDirectory(prefix="bellcast-bench-") as folder:
        run = Run(
            scale=FULL, deadline=Deadline(TIME_LIMIT_S), folder=Path(folder), store_folder=Path(folder), report=report
        )
        for kind, number in CLIENTS.items():
            line_up = {
                commit: Contender(_running(commit, earlier / "src"), {kind: number}),
                "now": Contender(_running("now", ROOT / "src"), {kind: number}),
            }
            samples = runs.collect(run, line_up)
            costs = {name: fanout.cost([one.round_ for one in samples[name]]) for name in line_up}
            memory = {name: median([one.memory_kib for one in samples[name]]) for name in line_up}
            for what, values, unit in (("CPU per delivery", costs, "µs"), ("memory per connection", memory, "KiB")):
                before, now = values.values()
                report(f"{kind}: {what}: {before:.2f} and {now:.2f} {unit}: {now / before:.3f} times")


@contextlib.contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Check out a commit into a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="bellcast-commit-") as folder:
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", folder, commit], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run([*git, "remove", "--force", folder], check=True)


def _running(name: str, source: Path) -> Running:
    @contextlib.contextmanager
    def running(folder: Path, deadline: Deadline) -> Iterator[MeasuredServer]:
        with server_under_test.running(folder, deadline, name=name, source=source) as server:
            yield server.target()

    return running


def report(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
