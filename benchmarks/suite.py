"""The suite: all benchmarks with their time limits, run sequentially."""

import datetime
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks import (
    announcement,
    cluster_announcement,
    cluster_messages,
    console,
    cross_node_latency,
    decisions,
    dialects,
    emails,
    failover_resume,
    fairness,
    fanout,
    fleet,
    inbox,
    ingest,
    large_run,
    latency,
    memory,
    presence,
    pusher_trigger,
    socketio,
    storm,
    topic_history,
    urgency,
    workflows,
)
from benchmarks.epoll_loop import Deadline, OutOfTimeError
from benchmarks.figures import Figure, MissingFigure
from benchmarks.handshakes import HandshakeRefused
from benchmarks.processes import DiedError
from benchmarks.scales import BenchmarkRun, Scale

Measure = Callable[[BenchmarkRun], Sequence[Figure | MissingFigure]]
Report = Callable[[str], None]

# Errors that fail one benchmark. They are reported in place of its results, and the next benchmark runs.
FAILURES = (HandshakeRefused, DiedError, OutOfTimeError, OSError, ValueError, LookupError, subprocess.SubprocessError)


class Benchmark(msgspec.Struct, frozen=True):
    """One benchmark. `seconds` is its time limit, several times what two slow cores need."""

    name: str
    description: str
    seconds: float
    measure: Measure


class BenchmarkResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of one benchmark. `load` is the machine's load at its start; a value above 1 means that other processes
    were running."""

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
    Benchmark(presence.NAME, "members join and leave a presence channel of 5,000", 240, presence.measure),
    Benchmark(pusher_trigger.NAME, "events through Pusher's HTTP API, each request signed", 60, pusher_trigger.measure),
    Benchmark(
        topic_history.NAME,
        "live events over Redis and PostgreSQL with history, against none",
        480,
        topic_history.measure,
    ),
    Benchmark(storm.NAME, "8,000 clients reconnect at the same time with token and position", 120, storm.measure),
    Benchmark(ingest.NAME, "durable sends per second, single and in bulk", 180, ingest.measure),
    Benchmark(
        ingest.WORKERS_NAME, "durable sends per second of two workers on PostgreSQL", 240, ingest.measure_workers
    ),
    Benchmark(
        fairness.NAME, "latency of a tenant's single sends while another sends to 600,000", 900, fairness.measure
    ),
    Benchmark(latency.NAME, "latency from the send to the client's socket at a steady rate", 60, latency.measure),
    Benchmark(
        cross_node_latency.NAME,
        "the same from one of three nodes to another, 6,000 clients",
        360,
        cross_node_latency.measure,
    ),
    Benchmark(
        fleet.NAME,
        "2, 10 and 50 nodes over each broker: at rest, connections, sends, one is killed",
        1_800,
        fleet.measure,
    ),
    Benchmark(
        failover_resume.NAME,
        "10,000 clients of a killed node resume inbox and topics on the others",
        180,
        failover_resume.measure,
    ),
    Benchmark(
        cluster_announcement.NAME,
        "100,000 clients on six workers, and one announcement to all",
        480,
        cluster_announcement.measure,
    ),
    Benchmark(
        cluster_messages.NAME,
        "messages between 2, 10 and 50 nodes, counted in one process",
        300,
        cluster_messages.measure,
    ),
    Benchmark(inbox.NAME, "inbox page and counts with 100 and 1,000,000 rows in the store", 420, inbox.measure),
    Benchmark(workflows.NAME, "triggers accepted and 3-step runs completed per second", 300, workflows.measure),
    Benchmark(
        workflows.TOPIC_NAME, "one trigger to a topic of 100,000 with inbox and e-mail", 600, workflows.measure_topic
    ),
    Benchmark(
        workflows.WORKERS_NAME, "triggers and 3-step runs of two workers on PostgreSQL", 300, workflows.measure_workers
    ),
    Benchmark(large_run.NAME, "memory during one trigger to 1,000,000 recipients", 3600, large_run.measure),
    Benchmark(urgency.NAME, "urgent e-mails of a tenant during another tenant's large run", 600, urgency.measure),
    Benchmark(emails.NAME, "e-mails handed to a local SMTP server, and the memory meanwhile", 900, emails.measure),
    Benchmark(decisions.NAME, "the CPU time of a preference decision", 60, decisions.measure),
    Benchmark(
        console.NAME,
        "the console's views among 5,000,000 notifications, sends meanwhile, and watchers of the live feed",
        1_800,
        console.measure,
    ),
    Benchmark(announcement.NAME, "one announcement to 1,000,000 recipients", 300, announcement.measure),
]
BY_NAME = {benchmark.name: benchmark for benchmark in ALL}


def select(names: Sequence[str]) -> list[Benchmark]:
    """Return the named benchmarks, or all, in the suite's order, in which later benchmarks reuse the large store.
    Raises ValueError for an unknown name."""
    if unknown := sorted(set(names) - set(BY_NAME)):
        raise ValueError(f"unknown benchmark {', '.join(unknown)}: bellcast bench --list shows them all")
    return [benchmark for benchmark in ALL if not names or benchmark.name in names]


def run(benchmarks: Sequence[Benchmark], scale: Scale, report: Report) -> list[BenchmarkResult]:
    with tempfile.TemporaryDirectory(prefix="bellcast-bench-") as folder:
        return [_run(benchmark, scale, report, Path(folder)) for benchmark in benchmarks]


def _run(benchmark: Benchmark, scale: Scale, report: Report, folder: Path) -> BenchmarkResult:
    own = folder / benchmark.name
    own.mkdir()
    context = BenchmarkRun(
        scale=scale,
        deadline=Deadline(benchmark.seconds),
        folder=own,
        store_folder=folder / "store",
        report=lambda text: report(f"{benchmark.name}: {text}"),
    )
    load = os.getloadavg()[0]
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    results: Sequence[Figure | MissingFigure] = []
    failure = None
    try:
        results = benchmark.measure(context)
    except FAILURES as error:
        failure = f"{type(error).__name__}: {error}"
    return BenchmarkResult(
        name=benchmark.name,
        started=started,
        load=load,
        scale=scale,
        figures=[each for each in results if isinstance(each, Figure)],
        absent=[each for each in results if isinstance(each, MissingFigure)],
        failure=failure,
    )
