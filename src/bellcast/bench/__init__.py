"""The benchmark suite: a load generator beside the house, which knows Bellcast only from outside.

It starts `bellcast serve` as a process of its own, speaks HTTP and WebSocket to it, and reads what that cost from
/proc. So it needs Linux, and nothing of it runs in a server.
"""

from collections.abc import Sequence

import msgspec
from rich.console import Console

from bellcast.bench import record, report, scales, suite


def main(names: Sequence[str] = (), *, quick: bool = False, json: bool = False, connections: int | None = None) -> int:
    """Run the named benchmarks, or all. 0 when everything could be measured, whatever the figures; 1 when not;
    2 when no benchmark has such a name."""
    progress, out = Console(stderr=True), Console()
    scale = scales.QUICK if quick else scales.FULL
    scale = msgspec.structs.replace(scale, connections=connections) if connections else scale
    try:
        benchmarks = suite.chosen(names)
        scales.allow_files(max(scale.connections, scale.storm, scale.crossing_clients, scale.resuming))
    except (ValueError, OSError) as error:
        progress.print(f"[red]{error}[/]")
        return 2
    with progress.status("starting") as status:
        run = suite.run(benchmarks, scale, status.update)
        whole = record.whole(run)
    if json:
        out.file.write(record.pretty(whole).decode())
    else:
        report.show(out, run)
    # A quick run, or one of another size, would stand among the figures as something it is not.
    if scale == scales.FULL and (path := record.save(whole)):
        progress.print(f"kept in {path}")
    return 1 if any(result.failure for result in run) else 0


def show_list() -> None:
    """What there is to measure."""
    report.show_list(Console(), suite.ALL)
