"""The benchmark suite: a load generator that uses only Bellcast's public surface.

It starts `bellcast serve` as a child process, sends HTTP and WebSocket traffic to it, and reads CPU time and memory
from
/proc, so it needs Linux. The server never imports it.
"""

from collections.abc import Sequence

import msgspec
from rich.console import Console

from bellcast.bench import record, report, scales, suite


def main(names: Sequence[str] = (), *, quick: bool = False, json: bool = False, connections: int | None = None) -> int:
    """Run the named benchmarks, or all, and return an exit code: 0 if every benchmark completed, even if goals were
    missed,
    1 if one failed, 2 if a name is unknown or the limit on open files is too low."""
    progress, out = Console(stderr=True), Console()
    scale = scales.QUICK if quick else scales.FULL
    scale = msgspec.structs.replace(scale, connections=connections) if connections else scale
    try:
        benchmarks = suite.select(names)
        scales.raise_file_limit(max(scale.connections, scale.storm, scale.crossing_clients, scale.resuming))
    except (ValueError, OSError) as error:
        progress.print(f"[red]{error}[/]")
        return 2
    with progress.status("starting") as status:
        run = suite.run(benchmarks, scale, status.update)
        result = record.build(run)
    if json:
        out.file.write(record.pretty(result).decode())
    else:
        report.show(out, run)
    # Results of another scale are not comparable with the committed ones.
    if scale == scales.FULL and (path := record.save(result)):
        progress.print(f"saved to {path}")
    return 1 if any(result.failure for result in run) else 0


def show_list() -> None:
    report.show_list(Console(), suite.ALL)
