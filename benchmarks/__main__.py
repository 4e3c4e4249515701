"""`python -m benchmarks`, which `bellcast bench` and `make bench` run."""

import argparse
import sys
from collections.abc import Sequence

import msgspec
from rich.console import Console

from benchmarks import record, report, scales, suite


def main() -> int:
    parser = argparse.ArgumentParser(prog="bellcast bench", description="Measure Bellcast and its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a benchmark; all by default")
    parser.add_argument("--list", action="store_true", help="list the benchmarks")
    parser.add_argument("--json", action="store_true", help="print the figures for scripts")
    parser.add_argument("--quick", action="store_true", help="small sizes: a two-minute check that everything works")
    parser.add_argument("--connections", type=int, metavar="N", help="live clients in fanout, memory and dialects")
    args = parser.parse_args()
    if args.list:
        report.show_list(Console(), suite.ALL)
        return 0
    return run(args.names, quick=args.quick, json=args.json, connections=args.connections)


def run(names: Sequence[str], *, quick: bool, json: bool, connections: int | None) -> int:
    """Run the named benchmarks, or all, and return an exit code: 0 if every benchmark completed, even if goals were missed,
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
        results = suite.run(benchmarks, scale, status.update)
        result = record.build(results)
    if json:
        out.file.write(record.pretty(result).decode())
    else:
        report.show(out, results)
    # Results of another scale are not comparable with the committed ones.
    if scale == scales.FULL and (path := record.save(result)):
        progress.print(f"saved to {path}")
    return 1 if any(result.failure for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
