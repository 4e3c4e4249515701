"""Stock Socket.IO clients whose node dies and restarts while other nodes publish: with Redis they receive what they missed."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests import engines
from tests.faults.nodes import Cluster, cluster
from tests.servers import ServerProcess
from tests.thoroughness import sampled
from tests.wire.socketio_client import Agent, Client, agent, open_client

# The default of the clients uses both.
TRANSPORTS = sampled([["polling", "websocket"], ["polling"], ["websocket"]])


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("restarts")
    with cluster(folder, engines.redis().url, engines.postgres(), "restarts") as nodes:
        nodes.start()
        nodes.start()
        yield nodes


@pytest.fixture
def dying(nodes: Cluster) -> ServerProcess:
    return nodes.nodes[0]


@pytest.fixture
def other(nodes: Cluster) -> ServerProcess:
    return nodes.nodes[1]


@pytest.fixture(scope="module")
def node() -> Iterator[Agent]:
    with agent() as one:
        yield one


def publish(server: ServerProcess, topic: str, *sent: Any) -> list[Any]:
    for data in sent:
        body = {"topic": topic, "name": "rung", "data": data}
        assert httpx.post(f"{server.url}/v1/events", json=body, headers=server.as_app()).status_code == 202
    return list(sent)


def until_connected(client: Client) -> tuple[dict[str, Any], list[Any]]:
    """Return the client's next `connect`, and the data of the live events before it."""
    missed = []
    while (report := client.next())["what"] != "connect":
        if report["what"] == "event" and report["name"] == "rung":
            missed.append(report["args"][0])
    return report, missed


@pytest.mark.thorough
@pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)
def test_socketio_client_receives_what_it_missed_before_connect_three_times_in_a_row(
    node: Agent, dying: ServerProcess, other: ServerProcess, transports: list[str]
) -> None:
    name = "-".join(transports)
    client = open_client(node, dying, name, claims={"topics": [name]}, transports=transports)
    try:
        first = client.until("connect")
        client.event("ready")
        for number in range(3):
            dying.kill()
            client.until("disconnect")
            sent = publish(other, name, *(f"{number}.{index}" for index in range(3)))
            dying.start()
            again, missed = until_connected(client)
            assert (again["recovered"], again["id"], missed) == (True, first["id"], sent)
        publish(other, name, "live")
        assert client.event("rung")[0] == "live"
        dying.kill()
        client.until("disconnect")
        publish(other, name, "deleted")
        httpx.delete(f"{other.url}/v1/topics/{name}/events", headers=other.as_app())
        dying.start()
        again, missed = until_connected(client)
        assert (again["recovered"], missed) == (False, [])
    finally:
        client.do("disconnect")
