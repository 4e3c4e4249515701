"""E-mails passed to a local SMTP server per second, and the worker's memory during this time."""

import socket
import time

from benchmarks import figures, recipients, server_under_test, smtp_sink
from benchmarks.figures import Figure
from benchmarks.processes import cpu_per_item
from benchmarks.scales import BenchmarkRun

NAME = "emails"
GOAL_RATE = 500
# The worker's caches fill with the first messages. After that, its memory must not grow by more than a twentieth.
GOAL_GROWTH = 1.05
FILLED = 0.1
POLL_SECONDS = 0.1
SINK_TIMEOUT_S = 5


def measure(run: BenchmarkRun) -> list[Figure]:
    """Send one e-mail to each subscriber of a topic."""
    number = run.scale.emails
    with smtp_sink.running(run) as sink:
        settings = {"BELLCAST_EMAIL": smtp_sink.url(sink)}
        with server_under_test.running(run.folder, run.deadline, settings) as server:
            recipients.add(run, server, number)
            run.report(f"{number:,} e-mails through an SMTP server of this machine")
            mail = {"subject": "Booking", "text": "Saturday, 14:00, garden"}
            body = {"to": {"topic": recipients.TOPIC}, "title": "Booking", "channels": ["email"], "email": mail}
            before, started = server.used(), time.perf_counter()
            server.send_request(run.deadline, server.send("/v1/notifications", body), 201)
            _wait(run, sink, round(number * FILLED))
            filled = server.process.memory()
            _wait(run, sink, number)
            seconds = time.perf_counter() - started
            used, memory = cpu_per_item(before, server.used(), number), server.process.memory()
    return [
        Figure(
            benchmark=NAME,
            name="e-mails of an announcement handed to a local SMTP server by one process",
            value=number / seconds,
            unit="/s",
            goal=figures.at_least(GOAL_RATE),
            details=used,
        ),
        Figure(
            benchmark=NAME,
            name=f"memory after {number:,} e-mails, compared with a tenth of them",
            value=memory / filled,
            unit="times",
            goal=figures.at_most(GOAL_GROWTH),
            details={"mib": memory / 2**20},
        ),
    ]


def _wait(run: BenchmarkRun, sink: tuple[str, int], number: int) -> None:
    """Wait until the server has this many messages."""
    while (received := _received(sink)) < number:
        run.deadline.check()
        time.sleep(POLL_SECONDS)
    if received > run.scale.emails:
        raise ValueError(f"{received} e-mails were received for {run.scale.emails} recipients")


def _received(sink: tuple[str, int]) -> int:
    with socket.create_connection(sink, SINK_TIMEOUT_S) as connection, connection.makefile("rwb") as lines:
        lines.readline()
        lines.write(b"VRFY all\r\n")
        lines.flush()
        return int(lines.readline().split()[1])
