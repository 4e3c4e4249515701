"""Socket.IO: one event to thousands of its clients, beside the server of its authors."""

from bellcast.bench import bell, figures, peers, samples
from bellcast.bench.figures import Absent, Figure
from bellcast.bench.samples import Entrant
from bellcast.bench.trial import Trial

NAME = "socketio"
OURS, PEER = "bellcast", "socket.io"

# What a delivery may cost, of what it costs the peer.
GOAL_RATIO = 0.65
GOAL_KIB = 6.0


def measure(trial: Trial) -> list[Figure | Absent]:
    here, reasons = peers.present(peers.SOCKETIO, trial.folder, trial.deadline)
    crowd = trial.scale.socketio
    line_up = {name: Entrant(running, {"socketio": crowd}) for name, running in {OURS: bell.as_target, **here}.items()}
    taken = samples.taken(trial, line_up)
    return [
        samples.cpu(NAME, f"fan-out to {crowd:,} over Socket.IO", taken, OURS, PEER, GOAL_RATIO),
        samples.kib(NAME, "Socket.IO", taken, OURS, PEER, figures.at_most(GOAL_KIB)),
        *(Absent(NAME, name, why) for name, why in reasons.items()),
    ]
