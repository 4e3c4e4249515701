"""Socket.IO: one event to thousands of its clients, beside the server of its authors."""

from bellcast.bench import bell, figures, peers, samples
from bellcast.bench.figures import Figure, MissingFigure
from bellcast.bench.samples import Contender
from bellcast.bench.trial import Run

NAME = "socketio"
OURS, PEER = "bellcast", "socket.io"

# What a delivery may cost, of what it costs the peer.
GOAL_RATIO = 0.65
GOAL_KIB = 6.0


def measure(trial: Run) -> list[Figure | MissingFigure]:
    here, reasons = peers.present(peers.SOCKETIO, trial.folder, trial.deadline)
    crowd = trial.scale.socketio
    line_up = {
        name: Contender(running, {"socketio": crowd}) for name, running in {OURS: bell.as_target, **here}.items()
    }
    taken = samples.taken(trial, line_up)
    return [
        samples.cpu(NAME, f"fan-out to {crowd:,} over Socket.IO", taken, OURS, PEER, GOAL_RATIO),
        samples.kib(NAME, "Socket.IO", taken, OURS, PEER, figures.at_most(GOAL_KIB)),
        *(MissingFigure(NAME, name, why) for name, why in reasons.items()),
    ]
