"""`python -m bellcast.bench`: the suite without the command line's other commands."""

import argparse
import sys

from bellcast import bench


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bellcast.bench", description="Measure Bellcast and its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a benchmark; all by default")
    parser.add_argument("--list", action="store_true", help="list the benchmarks")
    parser.add_argument("--json", action="store_true", help="print the figures for scripts")
    parser.add_argument("--quick", action="store_true", help="small sizes: a two-minute check that everything works")
    parser.add_argument("--connections", type=int, metavar="N", help="live clients in fanout, memory and dialects")
    args = parser.parse_args()
    if args.list:
        bench.show_list()
        return 0
    return bench.main(args.names, quick=args.quick, json=args.json, connections=args.connections)


if __name__ == "__main__":
    sys.exit(main())
