"""Three nodes behave as one server, over each broker: presence, counts, limits and lists cover all of
them.
"""

import contextlib
import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any

import httpx
import pusher
import pytest
from websockets.exceptions import InvalidStatus

from tests import engines
from tests.faults.nodes import Cluster, cluster, send
from tests.faults.raw_sockets import eventually
from tests.journey.test_feed import first, watching
from tests.servers import ServerProcess
from tests.thoroughness import sampled
from tests.wire.clients import Socket, websocket
from tests.wire.pusher_clients import Bare, bare
from tests.wire.test_pusher_webhooks import Receiver

TOPIC = "presence-room"
TOPICS = {"claims": {"topics": ["*"], "publish": ["*"]}}


@pytest.fixture(scope="module")
def app() -> Iterator[Receiver]:
    """The app's URL for Pusher webhooks."""
    receiver = Receiver()
    yield receiver
    receiver.close()


BROKERS: dict[str, Callable[[], str]] = {
    "redis": lambda: engines.redis().url,
    "postgres": lambda: engines.postgres().url("postgres"),
    "nats": lambda: engines.nats().url,
    "nats-cluster": lambda: engines.nats_cluster().url,
}


@pytest.fixture(scope="module", params=sampled(BROKERS))
def three(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, app: Receiver) -> Iterator[Cluster]:
    """Three nodes for tests that use their own recipients and topics."""
    folder, name = tmp_path_factory.mktemp(f"together-{request.param}"), request.param.replace("-", "_")
    with cluster(folder, BROKERS[request.param](), engines.postgres(), f"together_{name}") as nodes:
        for _ in range(3):
            nodes.start(
                BELLCAST_LIMIT_CONNECTIONS_PER_RECIPIENT="3",
                BELLCAST_LIMIT_CONNECTIONS_PER_ADDRESS="40",
                BELLCAST_PUBLIC_TOPICS="public-*",
                BELLCAST_PUSHER_WEBHOOK_URL=app.url,
            )
        assert eventually(lambda: [known_nodes(node) for node in nodes.nodes] == [3, 3, 3])
        yield nodes


def known_nodes(node: ServerProcess) -> int:
    """Return the number of nodes that this one knows, including itself."""
    (line,) = [one for one in httpx.get(f"{node.url}/metrics").text.splitlines() if one.startswith("bellcast_nodes ")]
    return int(float(line.split()[1]))


def get(node: ServerProcess, path: str, **query: Any) -> Any:
    response = httpx.get(f"{node.url}{path}", params=query, headers=node.as_app(), timeout=30)
    assert response.status_code == 200, response.text
    return response.json()


def present(node: ServerProcess, topic: str = TOPIC, **query: Any) -> dict[str, int]:
    """Return the members of a topic with their numbers of connections, as seen by that node."""
    members = get(node, f"/v1/topics/{topic}/presence", **query)["members"]
    return {member["recipient"]: member["connections"] for member in members}


def everywhere(nodes: Cluster, topic: str, expected: dict[str, int], within: float = 60) -> bool:
    return eventually(lambda: all(present(node, topic) == expected for node in running(nodes)), within)


def running(nodes: Cluster) -> list[ServerProcess]:
    return [node for node in nodes.nodes if node.process is not None]


def members_joined(bell: Socket) -> list[str]:
    return [one["recipient"] for one in bell.until("presence")["joined"]]


def next_members_left(bell: Socket) -> list[str]:
    return [one["recipient"] for one in bell.until("presence")["left"]]


@pytest.mark.thorough
def test_presence_covers_all_nodes(three: Cluster) -> None:
    one, two, other = three.nodes
    with websocket(one, "alice", topics=TOPIC, **TOPICS) as alice:
        alice.until("ready")
        assert everywhere(three, TOPIC, {"alice": 1})
        with websocket(two, "bob", topics=TOPIC, **TOPICS) as bob:
            ready = bob.until("ready")
            assert [member["recipient"] for member in ready["presence"][TOPIC]] == ["alice", "bob"]
            assert members_joined(alice) == ["bob"]
            with websocket(other, "bob", topics=TOPIC, **TOPICS):
                assert everywhere(three, TOPIC, {"alice": 1, "bob": 2})
            assert everywhere(three, TOPIC, {"alice": 1, "bob": 1})
        assert next_members_left(alice) == ["bob"]  # the second connection of bob caused no event
    assert everywhere(three, TOPIC, {})


@pytest.mark.thorough
def test_presence_is_limited_to_its_tenant(three: Cluster) -> None:
    one, two, _ = three.nodes
    with websocket(one, "alice", topics=TOPIC, claims={"topics": ["*"], "tenant": "acme"}) as alice:
        alice.until("ready")
        assert eventually(lambda: present(two, tenant="acme") == {"alice": 1})
        assert present(two) == present(two, tenant="globex") == {}


def test_lists_and_counts_cover_all_nodes(three: Cluster) -> None:
    expected = [{"protocol": "native", "transport": "websocket", "count": 6}]
    with contextlib.ExitStack() as opened:
        for node in three.nodes:
            for name in ("carol", "dave"):
                claims = {"tenant": "lists"}
                opened.enter_context(websocket(node, name, claims=claims)).until("ready")
        for node in three.nodes:
            # A node that takes seconds to reply is omitted.
            assert eventually(lambda node=node: listed(node) == ["carol"] * 3 + ["dave"] * 3)
            assert eventually(lambda node=node: get(node, "/v1/stats", tenant="lists")["connections"] == expected)
            assert get(node, "/v1/connections", tenant="elsewhere")["connections"] == []
        everyone = get(three.nodes[2], "/v1/connections", tenant="lists")["connections"]
        assert eventually(lambda: paged(three.nodes[0], "lists") == [one["id"] for one in everyone])
        times = [datetime.fromisoformat(one["connected_at"]) for one in everyone]
        assert times == sorted(times, reverse=True)
        for node in three.nodes:
            assert eventually(lambda node=node: metric(node, "bellcast_cluster_groups") >= 2)  # of both inboxes
            for direction in ("sent", "received"):
                assert metric(node, f'bellcast_broker_messages_total{{direction="{direction}",kind="group') >= 2


def metric(node: ServerProcess, name: str) -> float:
    """Return the sum of the values whose names with labels begin so."""
    lines = httpx.get(f"{node.url}/metrics", timeout=30).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_lists_without_the_reply_of_a_node_have_the_number_of_missing_nodes(three: Cluster) -> None:
    one, two, other = three.nodes
    with websocket(two, "alice", claims={"tenant": "incomplete"}) as alice:
        alice.until("ready")
        assert eventually(lambda: reached(one) == (None, ["alice"]))
        with paused(other):
            assert reached(one) == ("1", ["alice"])
        assert eventually(lambda: reached(one) == (None, ["alice"]))


def reached(node: ServerProcess) -> tuple[str | None, list[str]]:
    """Return the number of nodes without a reply, and the recipients of the connections that the others have."""
    query = {"tenant": "incomplete"}
    response = httpx.get(f"{node.url}/v1/connections", params=query, headers=node.as_app(), timeout=30)
    recipients = [entry["recipient"] for entry in response.json()["connections"]]
    return response.headers.get("Bellcast-Incomplete"), recipients


@contextlib.contextmanager
def paused(node: ServerProcess) -> Iterator[None]:
    assert node.process is not None
    node.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        node.process.send_signal(signal.SIGCONT)


def listed(node: ServerProcess) -> list[str]:
    return sorted(one["recipient"] for one in get(node, "/v1/connections", tenant="lists")["connections"])


def paged(node: ServerProcess, tenant: str) -> list[str]:
    """Return the connection ids of a tenant, in pages of two."""
    rows: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = get(node, "/v1/connections", tenant=tenant, limit=2, **after)
        rows += [one["id"] for one in page["connections"]]
        if page["next"] is None:
            return rows
        after = {"after": page["next"]}


def test_every_node_lists_all_nodes_with_their_reports(three: Cluster) -> None:
    def listed(node: ServerProcess) -> dict[str, bool]:
        return {one["id"]: one["is_self"] for one in get(node, "/v1/nodes")["nodes"]}

    assert eventually(lambda: all(len(listed(node)) == 3 for node in three.nodes))
    lists = [listed(node) for node in three.nodes]
    assert lists[0].keys() == lists[1].keys() == lists[2].keys()
    assert all(sum(one.values()) == 1 for one in lists)


def test_feed_of_one_node_has_the_events_of_all(three: Cluster) -> None:
    with watching(three.nodes[0], recipient="wendy", kind="send") as found:
        for node in three.nodes:
            assert send(node, "wendy", "Hello").status_code == 201
        seen = [first(found, "send") for _ in three.nodes]
    ids = {one["id"] for one in get(three.nodes[0], "/v1/nodes")["nodes"]}
    assert {one["node"] for one in seen} == ids
    assert all(one["detail"]["title"] == "Hello" for one in seen)
    with watching(three.nodes[1], recipient="wendy", kind="send", last=2) as found:
        assert len({first(found, "send")["node"] for _ in range(2)}) == 2


def test_connection_limit_of_a_recipient_covers_all_nodes(three: Cluster) -> None:
    with contextlib.ExitStack() as opened:
        for node in three.nodes:
            opened.enter_context(websocket(node, "erin")).until("ready")
        assert eventually(lambda: all(is_refused(node, "erin") for node in three.nodes))
    assert eventually(lambda: not is_refused(three.nodes[0], "erin"))


def is_refused(node: ServerProcess, recipient: str) -> bool:
    with websocket(node, recipient) as bell:
        info = bell.next()
        return info["type"] == "close" and info["code"] == 4409


def test_connection_limit_of_an_address_covers_all_nodes(three: Cluster) -> None:
    with contextlib.ExitStack() as opened:
        for number in range(36):
            opened.enter_context(websocket(three.nodes[number % 3], f"many{number}")).until("ready")
        admitted = 0
        while more := sum([is_admitted(opened, node, f"more{admitted}") for node in three.nodes]):
            admitted += more
            # With a limit for each node, 84 would be admitted.
            assert admitted < 60
            time.sleep(0.2)  # longer than the interval of the nodes' updates


def is_admitted(opened: contextlib.ExitStack, node: ServerProcess, recipient: str) -> bool:
    """Return True if that node admits the recipient."""
    try:
        opened.enter_context(websocket(node, recipient)).until("ready")
    except InvalidStatus as refused:
        return refused.response.status_code != 429
    return True


def test_revocation_on_one_node_closes_connections_on_all(three: Cluster) -> None:
    with contextlib.ExitStack() as opened:
        bells = [opened.enter_context(websocket(node, "frank")) for node in three.nodes]
        for bell in bells:
            bell.until("ready")
        url = f"{three.nodes[1].url}/v1/recipients/frank/sessions"
        assert httpx.delete(url, headers=three.nodes[1].as_app()).status_code == 204
        for bell in bells:
            assert bell.until("close")["code"] == 4401


# --- Pusher


def sdk(node: ServerProcess) -> Any:
    return pusher.Pusher(node.project, node.key, node.secret, host="127.0.0.1", port=node.port, ssl=False)


def member(name: str) -> str:
    return f'{{"user_id":"{name}","user_info":{{"name":"{name.title()}"}}}}'


def ids(frame: dict[str, Any]) -> list[str]:
    found: list[str] = json.loads(frame["data"])["presence"]["ids"]
    return sorted(found)


def test_presence_channels_cover_all_nodes(three: Cluster) -> None:
    one, two, other = three.nodes
    channel = "presence-pusher"
    with bare(one) as grace, bare(two) as heidi:
        grace.subscribe(channel, member("grace"))
        assert everywhere(three, channel, {"grace": 1})
        assert ids(heidi.subscribe(channel, member("heidi"))) == ["grace", "heidi"]
        assert "heidi" in grace.until("pusher_internal:member_added")["data"]
        assert eventually(lambda: users(other, channel) == ["grace", "heidi"])
        heidi.send_frame("pusher:unsubscribe", {"channel": channel})
        assert "heidi" in grace.until("pusher_internal:member_removed")["data"]


def users(node: ServerProcess, channel: str) -> list[str]:
    return sorted(one["id"] for one in sdk(node).users_info(channel)["users"])


@pytest.mark.thorough
def test_subscription_counts_cover_all_nodes(three: Cluster) -> None:
    channel = "public-counted"
    with contextlib.ExitStack() as opened:
        followers = [opened.enter_context(bare(node)) for node in three.nodes]
        for follower in followers:
            follower.subscribe(channel)
        for follower in followers:
            assert eventually(partial(has_counted, follower, 3))
        for node in three.nodes:
            info = sdk(node).channel_info(channel, ["subscription_count"])
            assert (info["occupied"], info["subscription_count"]) == (True, 3)
            assert channel in sdk(node).channels_info("public-")["channels"]
    assert eventually(lambda: not any(sdk(node).channel_info(channel)["occupied"] for node in three.nodes))


def has_counted(follower: Bare, count: int) -> bool:
    data = json.loads(follower.until("pusher_internal:subscription_count")["data"])
    return bool(data["subscription_count"] == count)


def test_watched_user_is_online_on_any_node(three: Cluster) -> None:
    one, two, _ = three.nodes
    with bare(one) as ivan:
        ivan.sign_in(id="ivan", watchlist=["judy"])
        assert "offline" in str(ivan.until("pusher_internal:watchlist_events"))
        with bare(two) as judy:
            judy.sign_in(id="judy")
            assert "online" in str(ivan.until("pusher_internal:watchlist_events"))
        assert "offline" in str(ivan.until("pusher_internal:watchlist_events"))


@pytest.mark.thorough
@pytest.mark.parametrize("seconds", [1, 0.3, 0], ids=["one after the other", "soon after", "at the same time"])
def test_webhooks_across_nodes_are_sent_once(three: Cluster, app: Receiver, seconds: float) -> None:
    channel = f"presence-sent{time.monotonic_ns()}"
    with bare(three.nodes[0]) as here, bare(three.nodes[1]) as there, ThreadPoolExecutor() as together:
        subscribing = together.submit(here.subscribe, channel, member("kim"))
        time.sleep(seconds)
        there.subscribe(channel, member("kim"))
        subscribing.result()
        assert everywhere(three, channel, {"kim": 2})
    expected = ["channel_occupied", "channel_vacated", "member_added", "member_removed"]
    assert sorted(webhooks_until(app, channel, expected)) == expected


def webhooks_until(app: Receiver, channel: str, until: list[str]) -> list[str]:
    """Return the names of the webhooks of channels that begin with this name until all of `until` have arrived, and of those that
    follow within three seconds."""
    names: list[str] = []
    while Counter(until) - Counter(names):
        names += [one["name"] for one in json.loads(app.next()[1])["events"] if one["channel"].startswith(channel)]
    time.sleep(3)  # long enough for a duplicate to arrive
    while not app.requests.empty():
        names += [one["name"] for one in json.loads(app.next()[1])["events"] if one["channel"].startswith(channel)]
    return names
