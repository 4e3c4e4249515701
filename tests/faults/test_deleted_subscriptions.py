"""Subscriptions deleted without a delivered event: the reconciler ends the delivery of their topics."""

import sqlite3
from contextlib import closing
from datetime import datetime
from urllib.parse import urlsplit

import httpx
import pytest

from tests import engines
from tests.faults.nodes import cluster
from tests.faults.proxy import Proxy
from tests.faults.raw_sockets import eventually
from tests.servers import ServerProcess
from tests.wire.clients import Socket, websocket

TOPICS = ("one", "two", "three")


def subscribe(server: ServerProcess, topic: str, recipient: str = "alice") -> None:
    url = f"{server.url}/v1/topics/{topic}/subscriptions/{recipient}"
    assert httpx.put(url, headers=server.as_app(), timeout=30).status_code in (200, 201)


def followed(server: ServerProcess) -> list[list[str]]:
    """Return the topics of each connection of a node, in the order of connecting."""
    listing = httpx.get(f"{server.url}/v1/connections", headers=server.as_app(), timeout=30).json()
    return [
        one["topics"]
        for one in sorted(listing["connections"], key=lambda one: datetime.fromisoformat(one["connected_at"]))
    ]


def publish(server: ServerProcess, **to: str) -> None:
    body = {**to, "name": "news", "data": to}
    assert httpx.post(f"{server.url}/v1/events", json=body, headers=server.as_app(), timeout=30).status_code == 202


def next_event_data(bell: Socket) -> dict:
    return bell.until("event")["data"]


def test_reconciler_ends_topics_without_a_grant_and_keeps_the_others(start_server):
    server = start_server(BELLCAST_HANDLERS="tests.faults.fast_reconciler:handlers")
    for topic in TOPICS:
        subscribe(server, topic)
    with (
        websocket(server, "alice", topics=",".join(TOPICS)) as by_subscription,
        websocket(server, "alice", topics="one", claims={"topics": ["o*"]}) as by_claim,
        websocket(server, "bob") as by_app,
    ):
        for bell in (by_subscription, by_claim, by_app):
            bell.until("ready")
        by_app.ask("call", name="join", data="one")
        with closing(sqlite3.connect(server.data / "bellcast.db", timeout=60)) as store:
            store.execute(
                "DELETE FROM subscriptions WHERE topic IN ('one', 'three')"
            )  # as if the event of the deletion were lost
            store.commit()
        assert eventually(lambda: followed(server)[0] == ["two"], 90)
        assert followed(server)[1:] == [["one"], ["one"]]
        publish(server, topic="one")
        publish(server, recipient="alice")
        assert next_event_data(by_subscription) == {"recipient": "alice"}
        assert next_event_data(by_claim) == next_event_data(by_app) == {"topic": "one"}


def test_restored_subscription_can_be_followed_again_and_revoked_again(start_server):
    server = start_server(BELLCAST_HANDLERS="tests.faults.fast_reconciler:handlers")
    with websocket(server, "alice") as bell:
        bell.until("ready")
        for _ in range(2):
            subscribe(server, "one")
            assert bell.ask("subscribe", topics=["one"])["topics"] == ["one"]
            assert followed(server) == [["one"]]
            with closing(sqlite3.connect(server.data / "bellcast.db", timeout=60)) as store:
                store.execute("DELETE FROM subscriptions")
                store.commit()
            assert eventually(lambda: followed(server) == [[]], 90)


@pytest.mark.thorough
def test_node_cut_from_the_broker_ends_revoked_topics_after_it_reconnects(tmp_path):
    redis = engines.redis()
    proxy = Proxy(urlsplit(redis.url).port)
    with cluster(tmp_path, redis.url, engines.postgres(), "rights") as nodes:
        connected = nodes.start()
        cut_off = nodes.start(BELLCAST_BROKER=f"redis://127.0.0.1:{proxy.port}/0")
        subscribe(connected, "one")
        with websocket(cut_off, "alice", topics="one") as bell:
            bell.until("ready")
            with proxy.closed():
                url = f"{connected.url}/v1/topics/one/subscriptions/alice"
                assert httpx.delete(url, headers=connected.as_app(), timeout=30).status_code == 204
            assert eventually(lambda: followed(cut_off) == [[]], 90)
            # The reconciler may have run before the node was connected again.
            assert eventually(lambda: httpx.get(f"{cut_off.url}/readyz").json()["broker"] == "ok")
            publish(connected, topic="one")
            publish(connected, recipient="alice")
            assert next_event_data(bell) == {"recipient": "alice"}
    proxy.end()
