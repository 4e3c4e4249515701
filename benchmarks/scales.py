"""Scales of the benchmarks, and the context of a benchmark's run."""

import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.epoll_loop import Deadline

# Open files that the server and the generator need in addition to one per connection.
SPARE_FILES = 300


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of the benchmarks. The goals are stated for the defaults."""

    connections: int = 10_000
    rounds: int = 3
    publishes: int = 40
    storm: int = 8_000
    singles: int = 20_000
    bulk: int = 200_000
    large_send: int = 600_000
    quiet_seconds: int = 10
    latency_clients: int = 1_000
    latency_rate: int = 200
    latency_seconds: int = 10
    rows: int = 1_000_000
    requests: int = 10_000
    announcements: int = 50
    socketio: int = 5_000
    triggers: int = 20_000
    members: int = 5_000
    moves_seconds: int = 10
    crossing_clients: int = 6_000
    fleet: tuple[int, ...] = (2, 10, 50)
    crossing_rate: int = 500
    crossing_seconds: int = 10
    resuming: int = 10_000
    everyone: int = 100_000
    runs: int = 10_000
    followers: int = 100_000
    large_run: int = 1_000_000
    emails: int = 100_000
    decisions: int = 200_000
    console_rows: int = 5_000_000
    views: int = 40
    # Pairs of periods, each with and without the load under test. They are short, because a machine's speed changes.
    periods: int = 20
    browse_seconds: int = 5
    feed_seconds: int = 3
    # Seconds: longer than the heartbeat interval.
    everyone_hold: float = 30.0


FULL = Scale()

# A two-minute check that everything works; its figures are not meaningful.
QUICK = Scale(
    connections=500,
    rounds=1,
    publishes=20,
    storm=500,
    singles=1_000,
    bulk=10_000,
    large_send=6_000,
    quiet_seconds=2,
    latency_clients=100,
    latency_seconds=2,
    rows=10_000,
    requests=500,
    announcements=10,
    socketio=500,
    triggers=1_000,
    members=500,
    moves_seconds=3,
    crossing_clients=300,
    fleet=(5,),
    crossing_rate=200,
    crossing_seconds=2,
    resuming=500,
    everyone=3_000,
    runs=500,
    followers=1_000,
    large_run=2_000,
    emails=500,
    decisions=2_000,
    console_rows=20_000,
    views=3,
    periods=1,
    browse_seconds=2,
    feed_seconds=2,
    everyone_hold=1.0,
)


@dataclass(frozen=True, kw_only=True)
class BenchmarkRun:
    """Context of one benchmark's run. `folder` is empty and used by this benchmark only, `store_folder` holds a large
    store
    for several benchmarks, `report` shows progress."""

    scale: Scale
    deadline: Deadline
    folder: Path
    store_folder: Path
    report: Callable[[str], None]


def raise_file_limit(connections: int) -> None:
    """Raise the soft limit on open files to the hard one, for this process and its children. Raises OSError if that is
    too
    low."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < connections + SPARE_FILES:
        raise OSError(f"{connections} connections need {connections + SPARE_FILES} open files, the limit is {hard}")
