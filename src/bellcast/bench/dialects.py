"""Dialects: what Pusher's clients cost beside native ones, and all four dialects together on one topic."""

from collections.abc import Mapping

import msgspec

from bellcast.bench import fanout, figures, runs, server_under_test, target
from bellcast.bench.client_pool import Kind
from bellcast.bench.figures import Figure
from bellcast.bench.http_load import send_request
from bellcast.bench.runs import Contender
from bellcast.bench.scales import Run
from bellcast.bench.target import Target

NAME = "dialects"
NATIVE, PUSHER, FOUR = "native", "pusher", "four"

PUSHER_RATIO = 1.1
PUSHER_KIB = 4.5
FOUR_RATIO = 1.15

# How the server counts them, and what they are to us.
KINDS: Mapping[tuple[str, str], Kind] = {
    ("native", "websocket"): "websocket",
    ("native", "sse"): "sse",
    ("pusher", "websocket"): "pusher",
    ("socketio", "websocket"): "socketio",
}
COUNTER = b"bellcast_encoded_total{"


def measure(trial: Run) -> list[Figure]:
    whole, encodings = trial.scale.connections, Encodings()
    quarters: Mapping[Kind, int] = dict.fromkeys(KINDS.values(), whole // len(KINDS))
    line_up = {
        NATIVE: Contender(server_under_test.as_target, {"websocket": whole}),
        PUSHER: Contender(server_under_test.as_target, {"pusher": whole}),
        FOUR: Contender(server_under_test.as_target, quarters, encodings.look),
    }
    taken = runs.taken(trial, line_up)
    together = f"{len(KINDS)} × {whole // len(KINDS):,} clients of all dialects on one topic"
    return [
        runs.cpu(NAME, f"fan-out to {whole:,} over Pusher", taken, PUSHER, NATIVE, PUSHER_RATIO),
        runs.kib(NAME, "Pusher", taken, PUSHER, NATIVE, figures.at_most(PUSHER_KIB)),
        runs.cpu(NAME, together, taken, FOUR, NATIVE, FOUR_RATIO),
        encodings.figure(trial, together),
    ]


class Encodings:
    """How often the server made its events into bytes, by its own count."""

    def __init__(self) -> None:
        self._counts: list[dict[Kind, int]] = []

    def look(self, trial: Run, server: Target) -> None:
        """Ask the server."""
        text = send_request(trial.deadline, server.address, target.get("/metrics"))
        self._counts.append(counts(text))

    def figure(self, trial: Run, together: str) -> Figure:
        """Of the dialect that was encoded most often."""
        events = fanout.WARM_UP + trial.scale.publishes
        most = {kind: max(count.get(kind, 0) for count in self._counts) / events for kind in KINDS.values()}
        return Figure(
            benchmark=NAME,
            name=f"{together}: encodings of an event for each dialect",
            value=max(most.values()),
            unit="times",
            goal=figures.at_most(1),
            details={str(kind): number for kind, number in most.items()},
        )


def counts(metrics: bytes) -> dict[Kind, int]:
    """The encodings in what Prometheus would read."""
    found: dict[Kind, int] = {}
    for line in metrics.splitlines():
        if line.startswith(COUNTER):
            labels, _, value = line.removeprefix(COUNTER).decode().rpartition("} ")
            said = dict(pair.split("=") for pair in labels.split(","))
            kind = msgspec.json.decode(said["protocol"], type=str), msgspec.json.decode(said["transport"], type=str)
            found[KINDS[kind]] = int(float(value))
    return found
