"""A server that is killed while it erases a tenant: the erasure continues after the restart, or on another node."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import engines
from tests.faults.nodes import Cluster, cluster
from tests.faults.raw_sockets import eventually
from tests.servers import ServerProcess

RECIPIENTS = 3_000
TENANT = "/v1/tenants/acme"


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Cluster]:
    store = engines.PostgresServer()
    store.start()
    try:
        with cluster(tmp_path, engines.redis().url, store, "erasure") as nodes:
            yield nodes
    finally:
        store.end()


def call(node: ServerProcess, method: str, path: str, body: Any = None) -> httpx.Response:
    return httpx.request(method, node.url + path, json=body, headers=node.as_app(), timeout=90)


def kill_during_erasure(node: ServerProcess) -> None:
    """Fill a tenant, and kill the server in the middle of its erasure."""
    keys = [f"r{number}" for number in range(RECIPIENTS)]
    for start in range(0, RECIPIENTS, 1_000):
        body = {"to": keys[start : start + 1_000], "title": "Hello", "tenant": "acme"}
        assert call(node, "POST", "/v1/notifications", body).status_code == 201
    assert call(node, "GET", TENANT).json()["erasing_since"] is None

    def erase() -> None:
        with suppress(httpx.TransportError):
            call(node, "DELETE", TENANT)

    erasing = threading.Thread(target=erase)
    erasing.start()
    assert eventually(lambda: call(node, "GET", TENANT).json()["erasing_since"] is not None)
    node.kill()
    erasing.join()


def check_ends(node: ServerProcess) -> None:
    assert call(node, "GET", TENANT).json()["erasing_since"]
    refused = call(node, "POST", "/v1/notifications", {"to": "new", "title": "Hello", "tenant": "acme"})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert eventually(lambda: call(node, "GET", TENANT).status_code == 404)
    assert call(node, "GET", "/v1/recipients?tenant=acme").json()["recipients"] == []


@pytest.mark.thorough
def test_erasure_continues_after_a_kill(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        kill_during_erasure(server)
        server.start()
        check_ends(server)


@pytest.mark.thorough
def test_erasure_continues_on_another_node(nodes: Cluster) -> None:
    first, second = nodes.start(), nodes.start()
    kill_during_erasure(first)
    check_ends(second)
