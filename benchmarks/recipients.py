"""Recipients with e-mail addresses, who subscribe to a topic."""

from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer

# Recipients of one bulk request.
BULK = 10_000
# One bulk request subscribes to the topic of a role.
ROLE = "follower"
TOPIC = f"role.{ROLE}"


def add(run: BenchmarkRun, server: BenchServer, number: int) -> None:
    """Add recipients r0, r1, …"""
    for first in range(0, number, BULK):
        numbers = range(first, min(first + BULK, number))
        people = [{"key": f"r{n}", "email": f"r{n}@example.com", "roles": [ROLE]} for n in numbers]
        server.send_request(run.deadline, server.send("/v1/recipients/bulk", people))
