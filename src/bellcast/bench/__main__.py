"""`python -m bellcast.bench`: the suite without the command line's other commands."""

import argparse
import sys

from bellcast import bench


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bellcast.bench", description="Measure Bellcast and its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a benchmark; all of them when none is named")
    parser.add_argument("--list", action="store_true", help="tell what there is to measure")
    parser.add_argument("--json", action="store_true", help="print the figures for scripts")
    parser.add_argument("--quick", action="store_true", help="small sizes: see that it works, in two minutes")
    parser.add_argument("--connections", type=int, metavar="N", help="live clients in fanout, memory and dialects")
    asked = parser.parse_args()
    if asked.list:
        bench.show_list()
        return 0
    return bench.main(asked.names, quick=asked.quick, json=asked.json, connections=asked.connections)


if __name__ == "__main__":
    sys.exit(main())
