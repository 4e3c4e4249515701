"""`/metrics` of several workers on one port: any worker reports all workers, even after one was killed."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import engines
from tests.faults.nodes import cluster
from tests.faults.raw_sockets import eventually
from tests.faults.test_postgres_workers import parent
from tests.servers import ServerProcess, child_processes
from tests.wire.clients import websocket

# The probability that all of these connections reach the same of two workers is one in a million.
MANY = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("counting")
    with cluster(folder, engines.redis().url, engines.postgres(), "counting") as nodes:
        yield nodes.start("--workers", "2", BELLCAST_DRAIN="1")


def scraped(server: ServerProcess) -> dict[str, Counter[str]]:
    """Return the samples by name, summed by worker; samples without a worker have the key ""."""
    samples: dict[str, Counter[str]] = {}
    for family in text_string_to_metric_families(httpx.get(f"{server.url}/metrics", timeout=30).text):
        for sample in family.samples:
            samples.setdefault(sample.name, Counter())[sample.labels.get("worker", "")] += sample.value
    return samples


@pytest.mark.thorough
def test_every_worker_reports_requests_of_all_workers(server):
    for _ in range(MANY):  # a connection each
        assert httpx.get(f"{server.url}/healthz", timeout=30).status_code == 200
    names = {str(pid) for pid in child_processes(parent(server))}
    for _ in range(MANY):
        metrics = scraped(server)
        assert set(metrics["bellcast_requests_total"]) == names
        assert metrics["bellcast_requests_total"].total() >= MANY
        assert metrics["bellcast_requests_total"].total() == metrics["bellcast_request_seconds_count"].total()
        assert metrics["bellcast_workers"][""] == 2
    assert eventually(lambda: scraped(server)["bellcast_nodes"][""] == 2, 90)


@pytest.mark.thorough
def test_live_connections_are_summed_over_the_workers(server):
    with ExitStack() as connections:
        for _ in range(MANY):
            connections.enter_context(websocket(server, "ann")).next()
        metrics = scraped(server)["bellcast_connections"]
        stats = httpx.get(f"{server.url}/v1/stats", headers=server.as_app(), timeout=30).json()
    assert (metrics.total(), len(+metrics)) == (MANY, 2)
    assert sum(one["count"] for one in stats["connections"]) == MANY


@pytest.mark.thorough
def test_killed_worker_is_replaced_in_the_metrics(server):
    killed, survivor = sorted(child_processes(parent(server)))
    os.kill(killed, signal.SIGKILL)
    assert eventually(lambda: len(child_processes(parent(server)) - {killed}) == 2, 90)

    def names() -> set[str]:
        try:
            return set(scraped(server).get("bellcast_request_seconds_count", ()))  # none before the first request
        except httpx.HTTPError:
            return set()

    successors = child_processes(parent(server)) - {killed}
    assert survivor in successors
    assert eventually(lambda: names() == {str(pid) for pid in successors}, 90)


def test_deliveries_are_counted_over_the_workers(server):
    before = scraped(server)
    with ExitStack() as connections:
        sockets = [connections.enter_context(websocket(server, "counted")) for _ in range(MANY)]
        for socket in sockets:
            socket.next()
        draft = {"to": ["counted", "absent"], "title": "Hi"}
        response = httpx.post(f"{server.url}/v1/notifications", json=draft, headers=server.as_app(), timeout=30)
        assert response.status_code == 201
        for socket in sockets:
            socket.until("notification")
        after = scraped(server)

    def added(name: str) -> float:
        return (after.get(name, Counter())).total() - (before.get(name, Counter())).total()

    assert added("bellcast_accepted_total") == 2
    assert added("bellcast_written_total") == MANY
    # A delay for each worker with connections.
    assert added("bellcast_delivery_seconds_count") == 2
    assert len(after["bellcast_build_info"]) == len(after["process_open_fds"]) == 2
    assert (after["bellcast_store_up"][""], after["bellcast_broker_up"][""]) == (1, 1)
