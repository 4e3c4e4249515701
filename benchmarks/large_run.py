"""Memory of the server during one trigger to a million recipients."""

import time
from typing import Any

from benchmarks import figures, recipients, server_under_test, target
from benchmarks.figures import Figure
from benchmarks.handshakes import HandshakeRefused
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer

NAME = "large-run"
# SQLite's page caches have up to 128 MiB. The cache for reads fills slowly, with an index entry of 44 bytes per run.
GOAL_MIB = 256
FILLED = 0.1
POLL_SECONDS = 1.0
STEPS = [
    {"key": "bell", "type": "inbox", "title": "Booking {{ data.n }}"},
    {"key": "mail", "type": "email", "subject": "Booking {{ data.n }}", "text": "Saturday, 14:00, garden"},
]


def measure(run: BenchmarkRun) -> list[Figure]:
    """Trigger an inbox item and an e-mail without a provider for all subscribers of a topic."""
    number = run.scale.large_run
    with server_under_test.running(run.folder, run.deadline) as server:
        server.send_request(run.deadline, server.put("/v1/workflows/booking", {"steps": STEPS}), 201)
        run.report(f"adding {number:,} recipients")
        recipients.add(run, server, number)
        run.report(f"one trigger to {number:,} recipients")
        before, started = server.process.memory(), time.perf_counter()
        body = {"to": {"topic": recipients.TOPIC}, "data": {"n": 1}}
        trigger = server.send_request(run.deadline, server.send("/v1/workflows/booking/trigger", body), 202)["trigger"]
        samples: list[tuple[int, int]] = []
        while not samples or samples[-1][0] < number:
            time.sleep(POLL_SECONDS)
            run.deadline.check()
            samples.append((_completed(run, server, trigger), server.process.memory()))
        seconds = time.perf_counter() - started
    if samples[-1][0] > number:
        raise HandshakeRefused(f"{samples[-1][0]} runs for {number} recipients")
    filled = next(memory for completed, memory in samples if completed >= number * FILLED)
    return [
        Figure(
            benchmark=NAME,
            name=f"memory of the server, the most during a run of {number:,} recipients",
            value=max(memory for _, memory in samples) / 2**20,
            unit="MiB",
            goal=figures.at_most(GOAL_MIB),
            details={
                "before_mib": before / 2**20,
                "tenth_mib": filled / 2**20,
                "end_mib": samples[-1][1] / 2**20,
                "recipients_per_second": number / seconds,
            },
        )
    ]


def _completed(run: BenchmarkRun, server: BenchServer, trigger: str) -> int:
    path = f"/v1/runs?trigger={trigger}&limit=1"
    found: dict[str, Any] = server.send_request(run.deadline, target.get(path, server.authorization))
    return int(found["counts"].get("completed", 0))
