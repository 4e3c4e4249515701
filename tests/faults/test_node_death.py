"""A killed node: its connections disappear from all nodes after its lease, are reported once, and count again after a
restart.
"""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import engines
from tests.faults.nodes import Cluster, cluster
from tests.faults.raw_sockets import eventually
from tests.faults.test_nodes_together import (
    BROKERS,
    TOPICS,
    everywhere,
    known_nodes,
    members_joined,
    next_members_left,
    webhooks_until,
)
from tests.wire.app_server import AppServer, running_app
from tests.wire.clients import Socket, websocket
from tests.wire.test_pusher_webhooks import Receiver

# A node without heartbeats expires after 8.5 seconds; without other load, it is gone everywhere within ten.
EXPIRY_TIMEOUT = 60.0


@pytest.fixture
def app() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def handlers() -> Iterator[AppServer]:
    with running_app(lambda _: (200, b"{}")) as server:
        yield server


def disconnects(handlers: AppServer) -> Counter[str]:
    """Return the calls of the `disconnect` handler by recipient."""
    calls = [json.loads(request.body) for request in handlers.requests]
    return Counter(call["recipient"] for call in calls if call["name"] == "disconnect")


@pytest.fixture(params=BROKERS)
def three(request: pytest.FixtureRequest, tmp_path: Path, app: Receiver, handlers: AppServer) -> Iterator[Cluster]:
    name = request.param
    with cluster(tmp_path, BROKERS[name](), engines.postgres(), f"dead_{name.replace('-', '_')}") as nodes:
        for _ in range(3):
            nodes.start(BELLCAST_PUSHER_WEBHOOK_URL=app.url, BELLCAST_HANDLER_URL=handlers.url)
        assert eventually(lambda: [known_nodes(node) for node in nodes.nodes] == [3, 3, 3])
        yield nodes


@pytest.mark.thorough
def test_connections_of_a_dead_node_expire_everywhere_and_the_node_can_return(
    three: Cluster, app: Receiver, handlers: AppServer
) -> None:
    one, two, dying = three.nodes
    channel = f"presence-dying{time.monotonic_ns()}"
    own = f"{channel}-own"  # followed on the dying node only
    with websocket(one, "alice", topics=channel, **TOPICS) as alice, contextlib.ExitStack() as opened:
        alice.until("ready")
        for name in ("mallory", "niaj"):
            opened.enter_context(websocket(dying, name, topics=f"{channel},{own}", **TOPICS)).until("ready")
        assert everywhere(three, channel, {"alice": 1, "mallory": 1, "niaj": 1})
        assert sorted(members(alice, 2, members_joined)) == ["mallory", "niaj"]
        dying.kill()
        assert everywhere(three, channel, {"alice": 1}, within=EXPIRY_TIMEOUT)
        assert sorted(members(alice, 2, next_members_left)) == ["mallory", "niaj"]
        assert eventually(lambda: [known_nodes(node) for node in (one, two)] == [2, 2])
        reported = Counter(webhooks_until(app, channel, ["member_removed"] * 4 + ["channel_vacated"]))
        assert (reported["member_removed"], reported["channel_vacated"]) == (4, 1)
        dying.start()
        assert eventually(lambda: [known_nodes(node) for node in three.nodes] == [3, 3, 3])
        assert everywhere(three, channel, {"alice": 1})
        assert disconnects(handlers) == {"mallory": 1, "niaj": 1}
        # A node that stops calls the handler itself; what it has not reported is left to a guardian
        with websocket(two, "olivia") as olivia:
            olivia.until("ready")
            two.stop()
        assert eventually(lambda: known_nodes(one) == 2)
        time.sleep(1)  # a guardian would have called by now
        assert disconnects(handlers) == {"mallory": 1, "niaj": 1, "olivia": 1}


def members(bell: Socket, number: int, next_members: Callable[[Socket], list[str]]) -> list[str]:
    """Read presence events until this many members have joined or left."""
    names: list[str] = []
    while len(names) < number:
        names += next_members(bell)
    return names
