"""Nodes on PostgreSQL with Redis, NATS or PostgreSQL as the broker: changes on one node reach the others, and lost
messages are recovered.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import engines
from tests.faults.nodes import Cluster, cluster, send, titles
from tests.faults.raw_sockets import eventually
from tests.servers import ServerProcess
from tests.thoroughness import sampled
from tests.wire.clients import websocket


def broker_state(node: ServerProcess) -> str:
    """Return whether a node that is ready can use its broker."""
    state: str = httpx.get(f"{node.url}/readyz").raise_for_status().json()["broker"]
    return state


def url_of(broker: str) -> str:
    if broker == "nats":
        return engines.nats().url
    return engines.redis().url if broker == "redis" else engines.postgres().url("postgres")


@pytest.fixture(scope="module", params=["redis", "postgres", pytest.param("nats", marks=pytest.mark.thorough)])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes for tests that use their own recipients."""
    folder = tmp_path_factory.mktemp(f"{request.param}-nodes")
    with cluster(folder, url_of(request.param), engines.postgres(), f"pair_{request.param}") as nodes:
        nodes.start(BELLCAST_PUBLIC_TOPICS="news")
        nodes.start(BELLCAST_PUBLIC_TOPICS="news")
        yield nodes


@pytest.fixture
def one(pair: Cluster) -> ServerProcess:
    return pair.nodes[0]


@pytest.fixture
def other(pair: Cluster) -> ServerProcess:
    return pair.nodes[1]


def test_notification_sent_on_one_node_arrives_on_the_other_once(one: ServerProcess, other: ServerProcess) -> None:
    with websocket(other, "alice") as bell:
        bell.until("ready")
        for number in range(20):
            assert send(one, "alice", f"{number}").status_code == 201
        received = [bell.until("notification") for _ in range(20)]
    assert [event["notification"]["title"] for event in received] == [f"{number}" for number in range(20)]
    assert [event["unread"] for event in received] == list(range(1, 21))


def test_devices_on_different_nodes_stay_in_sync(one: ServerProcess, other: ServerProcess) -> None:
    send(one, "bob", "Hello")
    with websocket(one, "bob") as first_device, websocket(other, "bob") as second_device:
        assert first_device.until("ready")["unread"] == second_device.until("ready")["unread"] == 1
        second_device.ask("read", all=True)
        assert first_device.until("notification-update")["unread"] == 0


def test_timeline_shows_the_writes_of_all_nodes(one: ServerProcess, other: ServerProcess) -> None:
    with websocket(one, "grace") as first_device, websocket(other, "grace") as second_device:
        first_device.until("ready"), second_device.until("ready")
        id = send(one, "grace", "Written").json()["notifications"][0]["id"]
        first_device.until("notification"), second_device.until("notification")

    def writes(node: ServerProcess) -> set[str]:
        shown = httpx.get(f"{node.url}/v1/notifications/{id}", headers=node.as_app()).json()
        return {entry["detail"] for entry in shown["timeline"] if entry["what"] == "written"}

    # A node that has just started may not know the other yet; a timeline does not wait for a node that is late.
    assert eventually(lambda: len(writes(one)) == len(writes(other)) == 2)
    assert writes(one) == writes(other)
    assert all(detail.startswith("to 1 connection on node ") for detail in writes(one))


def test_announcement_reaches_recipients_on_another_node(one: ServerProcess, other: ServerProcess) -> None:
    with websocket(other, "carol") as bell:
        bell.until("ready")
        assert send(one, {"all": True}, "To all").status_code == 201
        assert bell.until("notification")["notification"]["title"] == "To all"


def test_topic_events_cross_nodes(one: ServerProcess, other: ServerProcess) -> None:
    with websocket(other, "dave") as bell:
        bell.until("ready")
        bell.ask("subscribe", topics=["news"])

        def publish_and_receive() -> bool:
            body = {"topic": "news", "name": "said", "data": {"number": 1}}
            httpx.post(f"{one.url}/v1/events", json=body, headers=one.as_app())
            return bool(bell.until("event")["data"] == {"number": 1})

        assert eventually(publish_and_receive)


def test_revocation_on_one_node_closes_connections_on_the_other(one: ServerProcess, other: ServerProcess) -> None:
    with websocket(other, "erin") as bell:
        bell.until("ready")
        assert httpx.delete(f"{one.url}/v1/recipients/erin/sessions", headers=one.as_app()).status_code == 204
        closing = bell.until("close")
    assert (closing["code"], closing["reconnect"]) == (4401, False)


def test_repeated_idempotency_key_on_two_nodes_sends_once(one: ServerProcess, other: ServerProcess) -> None:
    responses = []
    for node in (one, other, one):
        headers = node.as_app() | {"Idempotency-Key": "same"}
        body = {"to": "frank", "title": "Once"}
        responses.append(httpx.post(f"{node.url}/v1/notifications", json=body, headers=headers).json())
    assert responses[0] == responses[1] == responses[2]
    assert titles(other, "frank") == ["Once"]


@pytest.mark.thorough
@pytest.mark.parametrize("engine", sampled([engines.RedisServer, engines.NatsServer]))
def test_connections_resume_after_the_broker_lost_its_data_and_learn_that_events_may_be_missing(
    tmp_path: Path, engine: type[engines.RedisServer | engines.NatsServer]
) -> None:
    broker = engine()
    broker.start()
    with cluster(tmp_path, broker.url, engines.postgres(), "broker_lost") as nodes:
        one, other = nodes.start(), nodes.start()
        event = {"recipient": "alice", "name": "said"}
        with websocket(other, "alice") as bell:
            ready = bell.until("ready")
            assert httpx.post(f"{one.url}/v1/events", json=event, headers=one.as_app()).status_code == 202
            last = bell.until("event")["id"]
            broker.kill()
            assert eventually(lambda: broker_state(one) == "degraded")
            assert send(one, "alice", "while it was away").status_code == 201
            assert httpx.post(f"{one.url}/v1/events", json=event, headers=one.as_app()).status_code == 503
            broker.start()
            closing = bell.until("close")
            assert (closing["code"], closing["reconnect"]) == (1012, True)
        with websocket(other, "alice", position=f"{ready['position']}~{last}") as bell:
            again = bell.until("ready")
            assert (again["resumed"], again["recovered"]) == (True, False)
            assert bell.until("notification")["notification"]["title"] == "while it was away"
            assert eventually(lambda: broker_state(one) == "ok")
            assert send(one, "alice", "after").status_code == 201
            assert bell.until("notification")["notification"]["title"] == "after"
        assert titles(one, "alice") == ["after", "while it was away"]
    broker.end()


def test_node_starts_without_its_broker_and_delivers_to_its_own_connections(tmp_path: Path) -> None:
    redis = engines.RedisServer()
    with cluster(tmp_path, redis.url, engines.postgres(), "redis_absent") as nodes:
        node = nodes.start()
        assert broker_state(node) == "degraded"
        with websocket(node, "alice") as bell:
            bell.until("ready")
            assert send(node, "alice", "Hello").status_code == 201
            assert bell.until("notification")["notification"]["title"] == "Hello"
