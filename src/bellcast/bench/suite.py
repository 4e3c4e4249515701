"""The suite: which benchmarks there are, how long each may take, and running them one after another."""

import datetime
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bellcast.bench import (
    announcement,
    cluster_announcement,
    cross_node_latency,
    dialects,
    failover_resume,
    fairness,
    fanout,
    inbox,
    ingest,
    latency,
    memory,
    presence,
    pusher_trigger,
    socketio,
    storm,
)
from bellcast.bench.epoll_loop import Deadline, OutOfTimeError
from bellcast.bench.figures import Figure, MissingFigure
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.processes import DiedError
from bellcast.bench.scales import Run, Scale

Measure = Callable[[Run], Sequence[Figure | MissingFigure]]
Say = Callable[[str], None]

# What a benchmark may fail with. It is told instead of a figure, and the next one runs.
Failure = (HandshakeRefused, DiedError, OutOfTimeError, OSError, ValueError, LookupError, subprocess.SubprocessError)


class Benchmark(msgspec.Struct, frozen=True):
    """`seconds` is a hard bound, several times what two slow cores need."""

    name: str
    sentence: str
    seconds: float
    measure: Measure


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One benchmark of one run. `load` is the machine's load when it began: more than 1 means that others ran too."""

    name: str
    started: str
    load: float
    scale: Scale
    figures: list[Figure]
    absent: list[MissingFigure]
    failure: str | None = None


ALL = [
    Benchmark(fanout.NAME, "server CPU per delivery, one event to 10,000 live clients", 600, fanout.measure),
    Benchmark(memory.NAME, "server memory per idle authenticated connection", 300, memory.measure),
    Benchmark(
        socketio.NAME,
        "one event to 5,000 Socket.IO clients: server CPU per delivery, and memory",
        240,
        socketio.measure,
    ),
    Benchmark(
        dialects.NAME, "one event to 10,000 Pusher clients, and to clients of all four dialects", 420, dialects.measure
    ),
    Benchmark(presence.NAME, "people come to a crowded presence channel and leave it", 240, presence.measure),
    Benchmark(pusher_trigger.NAME, "events through Pusher's HTTP API, each request signed", 60, pusher_trigger.measure),
    Benchmark(storm.NAME, "8,000 clients return at once with token and position", 120, storm.measure),
    Benchmark(ingest.NAME, "durable sends a second, single and in bulk", 180, ingest.measure),
    Benchmark(ingest.WORKERS_NAME, "durable sends a second by two workers on PostgreSQL", 240, ingest.measure_workers),
    Benchmark(fairness.NAME, "what a tenant's single sends wait while another sends to 600,000", 900, fairness.measure),
    Benchmark(latency.NAME, "from the send to the client's socket at a steady rate", 60, latency.measure),
    Benchmark(
        cross_node_latency.NAME,
        "the same from one of three nodes to another, 6,000 clients",
        120,
        cross_node_latency.measure,
    ),
    Benchmark(
        failover_resume.NAME, "10,000 clients of a node that died resume on the others", 180, failover_resume.measure
    ),
    Benchmark(
        cluster_announcement.NAME,
        "100,000 clients on six workers, and one announcement to them all",
        480,
        cluster_announcement.measure,
    ),
    Benchmark(inbox.NAME, "inbox page and counts with 100 and 1,000,000 rows in the store", 420, inbox.measure),
    Benchmark(announcement.NAME, "one announcement to 1,000,000 recipients", 300, announcement.measure),
]
BY_NAME = {benchmark.name: benchmark for benchmark in ALL}


def chosen(names: Sequence[str]) -> list[Benchmark]:
    """In the suite's order, which lets the large store be used twice; all of them when none is named."""
    if unknown := sorted(set(names) - set(BY_NAME)):
        raise ValueError(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(BY_NAME)}")
    return [benchmark for benchmark in ALL if not names or benchmark.name in names]


def run(benchmarks: Sequence[Benchmark], scale: Scale, say: Say) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="bellcast-bench-") as folder:
        return [_run(benchmark, scale, say, Path(folder)) for benchmark in benchmarks]


def _run(benchmark: Benchmark, scale: Scale, say: Say, folder: Path) -> Result:
    own = folder / benchmark.name
    own.mkdir()
    trial = Run(
        scale=scale,
        deadline=Deadline(benchmark.seconds),
        folder=own,
        stock=folder / "stock",
        say=lambda text: say(f"{benchmark.name}: {text}"),
    )
    load = os.getloadavg()[0]
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    found: Sequence[Figure | MissingFigure] = []
    failure = None
    try:
        found = benchmark.measure(trial)
    except Failure as error:
        failure = f"{type(error).__name__}: {error}"
    return Result(
        name=benchmark.name,
        started=started,
        load=load,
        scale=scale,
        figures=[each for each in found if isinstance(each, Figure)],
        absent=[each for each in found if isinstance(each, MissingFigure)],
        failure=failure,
    )
