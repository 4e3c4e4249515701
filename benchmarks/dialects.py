"""Dialects: cost of Pusher clients compared with native ones, and of all four dialects on one topic."""

from collections.abc import Mapping

import msgspec

from benchmarks import fanout, figures, runs, server_under_test, target
from benchmarks.client_pool import ClientKind
from benchmarks.figures import Figure
from benchmarks.http_load import send_request
from benchmarks.runs import Contender
from benchmarks.scales import BenchmarkRun
from benchmarks.target import MeasuredServer

NAME = "dialects"
NATIVE, PUSHER, FOUR = "native", "pusher", "four"

PUSHER_RATIO = 1.1
PUSHER_KIB = 4.5
FOUR_RATIO = 1.15

# Client kinds by the server's metric labels (protocol, transport).
KINDS: Mapping[tuple[str, str], ClientKind] = {
    ("native", "websocket"): "websocket",
    ("native", "sse"): "sse",
    ("pusher", "websocket"): "pusher",
    ("socketio", "websocket"): "socketio",
}
COUNTER = b"bellcast_encoded_total{"


def measure(run: BenchmarkRun) -> list[Figure]:
    total, encodings = run.scale.connections, Encodings()
    clients_by_kind: Mapping[ClientKind, int] = dict.fromkeys(KINDS.values(), total // len(KINDS))
    line_up = {
        NATIVE: Contender(server_under_test.as_target, {"websocket": total}),
        PUSHER: Contender(server_under_test.as_target, {"pusher": total}),
        FOUR: Contender(server_under_test.as_target, clients_by_kind, encodings.record),
    }
    samples = runs.collect(run, line_up)
    label = f"{len(KINDS)} × {total // len(KINDS):,} clients of all dialects on one topic"
    return [
        runs.cpu(NAME, f"fan-out to {total:,} over Pusher", samples, PUSHER, NATIVE, PUSHER_RATIO),
        runs.kib(NAME, "Pusher", samples, PUSHER, NATIVE, figures.at_most(PUSHER_KIB)),
        runs.cpu(NAME, label, samples, FOUR, NATIVE, FOUR_RATIO),
        encodings.figure(run, label),
    ]


class Encodings:
    """How often the server encoded its events, from its metrics."""

    def __init__(self) -> None:
        self._counts: list[dict[ClientKind, int]] = []

    def record(self, run: BenchmarkRun, server: MeasuredServer) -> None:
        text = send_request(run.deadline, server.address, target.get("/metrics"))
        self._counts.append(counts(text))

    def figure(self, run: BenchmarkRun, label: str) -> Figure:
        """Encodings per event, of the dialect that has the most."""
        events = fanout.WARM_UP + run.scale.publishes
        per_event = {kind: max(count.get(kind, 0) for count in self._counts) / events for kind in KINDS.values()}
        return Figure(
            benchmark=NAME,
            name=f"{label}: encodings of an event for each dialect",
            value=max(per_event.values()),
            unit="times",
            goal=figures.at_most(1),
            details={str(kind): number for kind, number in per_event.items()},
        )


def counts(metrics: bytes) -> dict[ClientKind, int]:
    """Parse the encoding counters of a metrics page."""
    counts_by_kind: dict[ClientKind, int] = {}
    for line in metrics.splitlines():
        if line.startswith(COUNTER):
            labels, _, value = line.removeprefix(COUNTER).decode().rpartition("} ")
            label_values = dict(pair.split("=") for pair in labels.split(","))
            kind = (
                msgspec.json.decode(label_values["protocol"], type=str),
                msgspec.json.decode(label_values["transport"], type=str),
            )
            counts_by_kind[KINDS[kind]] = int(float(value))
    return counts_by_kind
