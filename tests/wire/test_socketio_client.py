"""Socket.IO's own client against a running server: the behaviour that migrating apps rely on."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jwt
import pytest

import bellcast
from bellcast.client import Bellcast
from tests.servers import ServerProcess
from tests.wire.clients import stream, websocket
from tests.wire.socketio_client import Agent, Client, agent, open_client

recipients = (f"person{number}" for number in itertools.count())
HANDLERS = {"BELLCAST_HANDLERS": "tests.wire.socketio_app:handlers", "BELLCAST_PUBLIC_TOPICS": "news,lobby,farewells"}
TRANSPORTS = {
    "websocket": {"transports": ["websocket"]},
    "polling": {"transports": ["polling"]},
    "upgrade": {"transports": ["polling", "websocket"]},
}


@pytest.fixture(scope="module")
def node() -> Iterator[Agent]:
    with agent() as one:
        yield one


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("socketio") / "data", HANDLERS) as server:
        yield server


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=server.as_app()) as client:
        yield client


@pytest.fixture
def alice() -> str:
    """A recipient that no other test uses."""
    return next(recipients)


@pytest.fixture
def connect_client(node: Agent, server: ServerProcess) -> Iterator[Callable[..., Client]]:
    """Opens clients, which are disconnected after the test."""
    opened: list[Client] = []

    def connect_client(recipient: str | None, **options: Any) -> Client:
        opened.append(open_client(node, server, recipient, **options))
        return opened[-1]

    yield connect_client
    for client in opened:
        client.do("disconnect")


def notify(http: httpx.Client, to: Any, title: str = "Hello") -> str:
    response = http.post("/v1/notifications", json={"to": to, "title": title})
    assert response.status_code == 201, response.text
    id: str = response.json()["notifications"][0]["id"]
    return id


def publish(http: httpx.Client, **event: Any) -> None:
    assert http.post("/v1/events", json=event).status_code == 202


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_client_receives_its_inbox_over_every_transport(
    connect_client: Callable[..., Client], http: httpx.Client, alice: str, transport: str
) -> None:
    client = connect_client(alice, **TRANSPORTS[transport])
    assert client.until("connect")["pid"]
    ready, offset = client.event("ready")
    assert (ready["recipient"], ready["unread"], ready["position"]) == (alice, 0, offset.partition("~")[0])
    assert client.travels_by("polling" if transport == "polling" else "websocket")
    id = notify(http, alice, "Booked")
    received, offset = client.event("notification")
    assert (received["notification"]["id"], received["unread"]) == (id, 1)
    assert received["position"] == offset.partition("~")[0]
    assert client.ask("read", [id])[0]["unread"] == 0
    client.emit("delete", {"ids": [id]})
    assert client.event("notification-delete")[0]["id"] == id


def test_upgrade_during_a_stream_of_events_loses_none_and_keeps_their_order(
    connect_client: Callable[..., Client], http: httpx.Client, alice: str
) -> None:
    client = connect_client(alice, **TRANSPORTS["upgrade"])
    client.until("connect")
    for number in range(150):
        publish(http, recipient=alice, name="tick", data={"number": number})
    received = [client.event("tick")[0]["number"] for _ in range(150)]
    assert received == list(range(150))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_acks_and_emits_keep_their_order(connect_client: Callable[..., Client], alice: str, transport: str) -> None:
    client = connect_client(alice, **TRANSPORTS[transport], claims={"roles": ["admin"]})
    client.until("connect")
    client.emit("request_dashboard_data")
    assert client.event("dashboard_data")[0] == {"bookings": [1, 2], "for": alice, "roles": ["admin"]}
    assert client.ask("request_dashboard_data") == [{"ok": True}]
    assert client.ask("add", 1, 2, 39) == [42]
    client.do("many", name="echo", count=150)
    assert [client.event("echoed")[0] for _ in range(150)] == list(range(150))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_bytes_travel_both_ways_nested_and_by_ack(
    connect_client: Callable[..., Client], alice: str, transport: str
) -> None:
    client = connect_client(alice, **TRANSPORTS[transport])
    client.until("connect")
    sent = [{"$bytes": "00ff10"}, {"deep": [1, {"$bytes": ""}, "text"]}]
    assert client.ask("echo", *sent) == sent
    assert client.event("echoed")[:2] == sent


def test_server_call_returns_the_reply_of_the_client_or_times_out(
    connect_client: Callable[..., Client], alice: str
) -> None:
    client = connect_client(alice, replies={"question": [7]})
    client.until("connect")
    assert client.ask("quiz") == [{"reply": 7}]
    silent = connect_client(alice)
    silent.until("connect")
    assert silent.ask("quiz", 0.1) == [{"reply": "nothing"}]


def test_failure_is_reported_by_ack_or_event_and_closes_nothing(
    connect_client: Callable[..., Client], alice: str
) -> None:
    client = connect_client(alice)
    client.until("connect")
    assert client.ask("fail")[0]["error"]["code"] == "handler_failed"
    assert client.ask("refuse") == [{"error": {"code": "forbidden", "message": "not today", "data": [1]}}]
    assert client.ask("no such thing")[0]["error"]["code"] == "no_handler"
    client.emit("fail")
    assert client.event("error")[0]["event"] == "fail"
    client.emit("no such thing")
    assert client.ask("add", 1) == [1]


def test_connect_handler_accepts_and_refuses(connect_client: Callable[..., Client], http: httpx.Client) -> None:
    accepted = connect_client(None, auth={"login": "carol", "roles": ["admin"]})
    assert accepted.until("connect")["pid"]
    assert accepted.event("ready")[0]["topics"] == ["everyone", "role.admin"]
    notify(http, "carol")
    assert accepted.event("notification")[0]["unread"] == 1
    publish(http, topic="role.admin", name="alert", data=1)
    assert accepted.event("alert")[0] == 1
    refused = connect_client(None, auth={"login": "mallory"}).until("connect_error")
    assert refused == refused | {"message": "not you", "data": {"code": 13, "until": "never"}, "active": False}


def test_connect_handler_accepts_a_recipient_again_after_a_revocation(
    connect_client: Callable[..., Client], http: httpx.Client, alice: str
) -> None:
    before = connect_client(None, auth={"login": alice})
    before.until("connect")
    assert http.delete(f"/v1/recipients/{alice}/sessions").status_code == 204
    before.until("disconnect")
    after = connect_client(None, auth={"login": alice})
    after.until("connect")
    assert after.event("ready")[0]["recipient"] == alice


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        ({}, "unauthenticated"),
        ({"token": "nonsense"}, "unauthenticated"),
        ({"token": 7}, "unauthenticated"),
        ({"token": "test-project-secret-of-forty-characters-x"}, "forbidden"),
    ],
)
def test_bad_credentials_are_a_connect_error_with_a_reason(
    connect_client: Callable[..., Client], auth: dict[str, Any], code: str
) -> None:
    refused = connect_client(None, auth=auth).until("connect_error")
    assert (refused["data"]["code"], refused["active"]) == (code, False)
    assert refused["message"]


def test_token_is_accepted_in_a_header_or_the_url(
    connect_client: Callable[..., Client], server: ServerProcess, alice: str
) -> None:
    by_header = connect_client(None, extraHeaders={"authorization": f"Bearer {server.token(alice)}"})
    assert by_header.event("ready")[0]["recipient"] == alice
    by_address = connect_client(None, query={"token": server.token(alice)}, transports=["websocket"])
    assert by_address.event("ready")[0]["recipient"] == alice


def test_topic_event_reaches_every_dialect_and_skips_the_excluded_connection(
    connect_client: Callable[..., Client], server: ServerProcess, http: httpx.Client, alice: str
) -> None:
    claims = {"topics": ["team.red", "team.blue*"]}
    member, sender = connect_client(alice, claims=claims), connect_client(alice, claims=claims)
    assert member.event("ready")[0]["topics"] == ["everyone", "team.red"]
    me = sender.event("ready")[0]["connection"]
    (ack,) = member.ask("subscribe", "team.blue7")
    assert (ack["topics"], ack["refused"]) == (["team.blue7"], [])
    refused = member.ask("subscribe", {"topics": ["team.green"]})[0]["error"]
    assert refused["code"] == "forbidden"
    with (
        stream(server, alice, topics="team.red", claims=claims) as sse,
        websocket(server, alice, topics="team.red", claims=claims) as raw,
    ):
        sse.until("ready"), raw.until("ready")
        publish(http, topic="team.red", name="goal", data={"by": 9}, **{"except": me})
        goal, offset = member.event("goal")
        assert (goal, "~" in offset) == ({"by": 9}, True)
        for follower in (sse, raw):
            event = follower.until("event")
            assert (event["topic"], event["name"], event["data"]) == ("team.red", "goal", {"by": 9})
        publish(http, topic="team.red", name="whistle", data="long")
        assert member.event("whistle")[0] == "long"
        publish(http, topic="team.red", name="passing", data="text", keep=False)
        assert member.event("passing") == ["text", None]  # a trailing text would look like an offset
        assert sender.until("event")["name"] == "whistle"
    publish(http, topic="team.blue7", name="late", data=2)
    assert member.event("late")[0] == 2
    member.ask("unsubscribe", ["team.blue7"])
    publish(http, topic="team.blue7", name="unheard", data=3)
    publish(http, topic="team.red", name="heard", data=4)
    assert member.until("event")["name"] == "heard"


def test_handler_moves_clients_between_topics_and_publishes_to_them(
    connect_client: Callable[..., Client], alice: str
) -> None:
    one, two = connect_client(alice), connect_client(alice)
    for client in (one, two):
        client.until("connect")
        client.ask("enter", "den.1")
    me = one.ask("shout", "den.1", "hey")
    assert me == []
    assert one.event("shouted")[0]["text"] == "hey" == two.event("shouted")[0]["text"]
    two.ask("exit", "den.1")
    one.ask("shout", "den.1", "still here?")
    one.event("shouted")
    two.emit("echo", "marker")
    assert two.until("event")["name"] == "echoed"


def test_namespaces_share_a_connection_and_are_isolated(node: Agent, server: ServerProcess, alice: str) -> None:
    options = {"auth": {"token": server.token(alice), "greet": True}, "forceNew": True}
    node.do("share", "shared", url=server.url, namespaces=["/", "/custom", "/room-12", "/nowhere"], options=options)
    root, custom, other_room, nowhere = (Client(node, name) for name in ("/", "/custom", "/room-12", "/nowhere"))
    assert nowhere.until("connect_error")["message"] == "Invalid namespace"
    ids = {client.until("connect")["id"] for client in (root, custom, other_room)}
    assert len(ids) == 3
    for client, name in ((root, "/"), (custom, "/custom"), (other_room, "/room-12")):
        assert client.event("hello")[0] == {"namespace": name, "me": alice}
    custom.emit("put me out")
    assert custom.until("disconnect")["reason"] == "io server disconnect"
    assert root.ask("add", 1, 2) == [3]
    assert other_room.ask("echo", {"$bytes": "01"}) == [{"$bytes": "01"}]
    custom.do("connect")
    custom.until("connect")
    for client in (root, custom, other_room):
        client.do("disconnect")


def test_disconnect_handler_is_called_when_a_client_leaves(connect_client: Callable[..., Client], alice: str) -> None:
    watcher, guest = connect_client(alice), connect_client(alice)
    watcher.until("connect")
    assert watcher.ask("subscribe", ["farewells"])[0]["topics"] == ["farewells"]
    id = guest.until("connect")["id"]
    guest.do("disconnect")
    assert watcher.event("left")[0] == {"who": id, "namespace": "/"}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_app_can_close_a_connection_temporarily_or_permanently(
    connect_client: Callable[..., Client], alice: str, transport: str
) -> None:
    client = connect_client(alice, **TRANSPORTS[transport])
    client.until("connect")
    client.emit("close me", True)
    assert client.until("disconnect")["active"] is True
    client.until("connect")
    client.emit("close me", False)
    assert client.until("disconnect")["reason"] == "io server disconnect"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_revoked_session_is_closed_and_refused_with_a_reason(
    connect_client: Callable[..., Client], http: httpx.Client, alice: str, transport: str
) -> None:
    client = connect_client(alice, **TRANSPORTS[transport])
    client.until("connect")
    assert http.delete(f"/v1/recipients/{alice}/sessions").status_code in (200, 204)
    assert client.until("disconnect")["reason"] == "io server disconnect"
    client.do("connect")
    assert client.until("connect_error")["data"]["code"] == "unauthenticated"


@pytest.mark.thorough
def test_expired_session_is_closed_and_refused_on_reconnect(node: Agent, server: ServerProcess, alice: str) -> None:
    client = open_client(node, server, None, auth={"token": server.token(alice, 3)})
    client.until("connect")
    assert client.until("disconnect")["reason"] == "transport close"
    assert client.until("connect_error")["data"]["code"] == "unauthenticated"


def test_connections_are_listed_by_dialect_and_transport(
    connect_client: Callable[..., Client], http: httpx.Client, alice: str
) -> None:
    client = connect_client(alice, **TRANSPORTS["polling"])
    id = client.until("connect")["id"]
    listed = {one["id"]: one for one in http.get("/v1/connections").json()["connections"]}
    assert (listed[id]["protocol"], listed[id]["transport"]) == ("socketio", "polling")


def test_notification_manager_is_live_and_durable(
    connect_client: Callable[..., Client], server: ServerProcess, alice: str
) -> None:
    admin = connect_client(f"{alice}-admin", claims={"roles": ["admin"]})
    user = connect_client(alice)
    for client in (admin, user):
        client.event("ready")
    with Bellcast(server.url, server.secret) as bell:
        manager = bellcast.NotificationManager(bell)
        manager.notify_admins("order_shipped", {"title": "Order 7 has shipped", "order": 7})
        received = admin.events("notification", "order_shipped")
        notification = received["notification"][0]["notification"]
        assert (notification["title"], notification["type"], notification["data"]) == (
            "Order 7 has shipped",
            "order_shipped",
            {"order": 7},
        )
        assert received["order_shipped"][0] == {"title": "Order 7 has shipped", "order": 7}
        manager.broadcast("system_alert", {"title": "Back in an hour", "level": "info"}, durable=False)
        for client in (admin, user):
            assert client.event("system_alert")[0] == {"title": "Back in an hour", "level": "info"}
        manager.notify_user(alice, "celebrity_update", {"name": "Ida"})
        received = user.events("notification", "celebrity_update")
        assert received["notification"][0]["notification"]["title"] == "Celebrity update"
        assert received["celebrity_update"][0] == {"name": "Ida"}


def test_token_signed_by_the_app_is_accepted_everywhere(
    node: Agent, start_server: Callable[..., ServerProcess]
) -> None:
    server = start_server(BELLCAST_JWT_SECRET="the-secret-the-app-has-always-had-0123456789")
    token = jwt.encode({"userId": 42, "role": "admin"}, "the-secret-the-app-has-always-had-0123456789", "HS256")
    client = open_client(node, server, None, auth={"token": token})
    ready = client.event("ready")[0]
    assert (ready["recipient"], ready["topics"]) == ("42", ["everyone", "role.admin"])
    inbox = httpx.get(f"{server.url}/v1/inbox", headers={"authorization": f"Bearer {token}"})
    assert inbox.status_code == 200
    second = open_client(node, server, "carol")
    assert second.event("ready")[0]["recipient"] == "carol"
    for one in (client, second):
        one.do("disconnect")
