"""Socket.IO: one event to thousands of its clients, compared with the reference server."""

from benchmarks import figures, peers, runs, server_under_test
from benchmarks.figures import Figure, MissingFigure
from benchmarks.runs import Contender
from benchmarks.scales import BenchmarkRun

NAME = "socketio"
OURS, PEER = "bellcast", "socket.io"

# CPU per delivery relative to the peer's.
GOAL_RATIO = 0.65
GOAL_KIB = 6.0


def measure(run: BenchmarkRun) -> list[Figure | MissingFigure]:
    available, reasons = peers.available(peers.SOCKETIO, run.folder, run.deadline)
    clients = run.scale.socketio
    line_up = {
        name: Contender(running, {"socketio": clients})
        for name, running in {OURS: server_under_test.as_target, **available}.items()
    }
    samples = runs.collect(run, line_up)
    return [
        runs.cpu(NAME, f"fan-out to {clients:,} over Socket.IO", samples, OURS, PEER, GOAL_RATIO),
        runs.kib(NAME, "Socket.IO", samples, OURS, PEER, figures.at_most(GOAL_KIB)),
        *(MissingFigure(NAME, name, reason) for name, reason in reasons.items()),
    ]
