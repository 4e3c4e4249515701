"""Socket.IO: one event to thousands of its clients, beside the server of its authors."""

from bellcast.bench import figures, peers, runs, server_under_test
from bellcast.bench.figures import Figure, MissingFigure
from bellcast.bench.runs import Contender
from bellcast.bench.scales import Run

NAME = "socketio"
OURS, PEER = "bellcast", "socket.io"

# What a delivery may cost, of what it costs the peer.
GOAL_RATIO = 0.65
GOAL_KIB = 6.0


def measure(trial: Run) -> list[Figure | MissingFigure]:
    here, reasons = peers.present(peers.SOCKETIO, trial.folder, trial.deadline)
    crowd = trial.scale.socketio
    line_up = {
        name: Contender(running, {"socketio": crowd})
        for name, running in {OURS: server_under_test.as_target, **here}.items()
    }
    taken = runs.taken(trial, line_up)
    return [
        runs.cpu(NAME, f"fan-out to {crowd:,} over Socket.IO", taken, OURS, PEER, GOAL_RATIO),
        runs.kib(NAME, "Socket.IO", taken, OURS, PEER, figures.at_most(GOAL_KIB)),
        *(MissingFigure(NAME, name, why) for name, why in reasons.items()),
    ]
