"""A restarted PostgreSQL and killed nodes: acknowledged notifications are stored exactly once."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import engines
from tests.faults.nodes import Cluster, cluster, send, titles
from tests.faults.raw_sockets import eventually
from tests.servers import ServerProcess
from tests.wire.clients import websocket


@pytest.fixture
def store() -> Iterator[engines.PostgresServer]:
    """A PostgreSQL that the test may stop and start."""
    server = engines.PostgresServer()
    server.start()
    yield server
    server.end()


@pytest.fixture
def nodes(tmp_path: Path, store: engines.PostgresServer) -> Iterator[Cluster]:
    with cluster(tmp_path, engines.redis().url, store, "nodes") as nodes:
        yield nodes


class Writers:
    """Send from several threads to several nodes, each with a key until acknowledged."""

    def __init__(self, nodes: list[ServerProcess]) -> None:
        self._over = threading.Event()
        self.acknowledged: list[str] = []
        self.refused: set[int] = set()
        self._threads = [threading.Thread(target=self._write, args=(node, nodes)) for node in range(len(nodes))]

    def _write(self, number: int, nodes: list[ServerProcess]) -> None:
        for count in range(1_000_000):
            if self._over.is_set():
                return
            title = f"{number}.{count}"
            self._until_acknowledged(title, nodes, number)
            self.acknowledged.append(title)
            time.sleep(0.005)

    def _until_acknowledged(self, title: str, nodes: list[ServerProcess], first: int) -> None:
        """Try node after node, like a load balancer."""
        for attempt in range(10_000):
            node = nodes[(first + attempt) % len(nodes)]
            headers = node.as_app() | {"Idempotency-Key": title}
            body = {"to": "alice", "title": title}
            try:
                response = httpx.post(f"{node.url}/v1/notifications", json=body, headers=headers, timeout=30)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if response.status_code == 201:
                return
            self.refused.add(response.status_code)
            time.sleep(0.05)
        raise AssertionError(f"{title} was never taken")

    def __enter__(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=60)


def everything(node: ServerProcess, recipient: str) -> list[str]:
    """Fetch all titles of an inbox, page by page."""
    titles_found: list[str] = []
    query = {"limit": "100"}
    while True:
        page = httpx.get(f"{node.url}/v1/inbox", params=query, headers=node.as_recipient(recipient)).json()
        titles_found += [one["title"] for one in page["notifications"]]
        if page["next"] is None:
            return titles_found
        query = {"limit": "100", "before": page["next"]}


@pytest.mark.thorough
def test_restarted_postgresql_loses_nothing_and_nodes_reconnect(nodes: Cluster, store: engines.PostgresServer) -> None:
    one, other = nodes.start(), nodes.start()
    with Writers([one, other]) as writers:
        assert eventually(lambda: len(writers.acknowledged) > 20)
        store.stop()
        assert eventually(lambda: 503 in writers.refused)
        store.start()
        before = len(writers.acknowledged)
        assert eventually(lambda: len(writers.acknowledged) > before + 20)
    assert writers.refused == {503}
    assert Counter(everything(other, "alice")) == Counter(writers.acknowledged)


def test_killed_node_loses_nothing_and_its_clients_resume_on_another(nodes: Cluster) -> None:
    one, other = nodes.start(), nodes.start()
    with Writers([one, other]) as writers:
        assert eventually(lambda: len(writers.acknowledged) > 20)
        with websocket(one, "alice") as bell:
            position = bell.until("notification")["position"]
            one.kill()
        before = len(writers.acknowledged)
        assert eventually(lambda: len(writers.acknowledged) > before + 20)
    with websocket(other, "alice", position=position) as bell:
        assert bell.until("ready")["resumed"] is True
        received = []
        while len(received) < 20:
            received.append(bell.until("notification")["notification"]["title"])
    assert Counter(everything(other, "alice")) == Counter(writers.acknowledged)
    assert len(set(received)) == len(received)
    assert set(received) <= set(writers.acknowledged)


@pytest.mark.thorough
def test_nodes_started_together_on_an_empty_database_migrate_it_once(nodes: Cluster) -> None:
    threads = [threading.Thread(target=nodes.start) for _ in range(3)]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert send(nodes.nodes[0], "alice", "Hello").status_code == 201
    assert all(titles(node, "alice") == ["Hello"] for node in nodes.nodes)
