"""Channels through pusher-js: subscriptions, refusals, presence, client events, the cache."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.servers import ServerProcess
from tests.wire.clients import websocket
from tests.wire.pusher_clients import AppEndpoint, Node, bare, node, sign


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = {"BELLCAST_PUBLIC_TOPICS": "admin,news-*,cache-*", "BELLCAST_PUSHER_SUBSCRIPTION_COUNT": "off"}
    with ServerProcess(tmp_path_factory.mktemp("pusher") / "data", settings) as server:
        yield server


@pytest.fixture(scope="module")
def endpoint(server: ServerProcess) -> Iterator[AppEndpoint]:
    opened = AppEndpoint(server)
    yield opened
    opened.close()


@pytest.fixture
def page(server: ServerProcess, endpoint: AppEndpoint) -> Iterator[Node]:
    with node(server, endpoint.url) as opened:
        yield opened


def publish(server: ServerProcess, topic: str, name: str, data: object) -> None:
    response = httpx.post(
        f"{server.url}/v1/events", headers=server.as_app(), json={"topic": topic, "name": name, "data": data}
    )
    assert response.status_code == 202, response.text


@pytest.mark.thorough
def test_declared_public_channel_is_followed(server: ServerProcess, page: Node) -> None:
    page.connect("a")
    page.subscribe("a", "admin")
    publish(server, "admin", "lead.assigned", {"lead": 7})
    assert page.until("event", channel="admin")["data"] == {"lead": 7}


@pytest.mark.thorough
def test_undeclared_public_channel_is_refused_with_the_setting_name(server: ServerProcess, page: Node) -> None:
    page.connect("a")
    page.run("subscribe", "a", "secrets")
    refused = page.until("refused", channel="secrets")["error"]
    assert (refused["type"], refused["status"]) == ("AuthError", 403)
    assert "BELLCAST_PUBLIC_TOPICS" in refused["error"]
    assert "secrets" in server.log.read_text()


def test_private_channel_is_followed_with_the_signature_of_the_app(server: ServerProcess, page: Node) -> None:
    page.connect("a")
    page.subscribe("a", "private-provider.42")
    publish(server, "private-provider.42", "lead.assigned", "as text")
    assert page.until("event", channel="private-provider.42")["data"] == "as text"


@pytest.mark.parametrize("forged", ["", "wrong", "other-key:{digest}", "{key}:{digest}0", "{key}:{digest_of_other}"])
def test_forged_signature_is_refused_with_the_string_to_sign(server: ServerProcess, forged: str) -> None:
    with bare(server) as client:
        text = f"{client.socket_id}:private-a"
        auth = forged.format(
            key=server.key,
            digest=sign(server, text).partition(":")[2],
            digest_of_other=sign(server, f"{client.socket_id}:private-b").partition(":")[2],
        )
        client.send_frame("pusher:subscribe", {"channel": "private-a", "auth": auth})
        refused, error = client.next(), client.next()
        error_data = json.loads(refused["data"])
        assert (refused["event"], refused["channel"]) == ("pusher:subscription_error", "private-a")
        assert (error_data["type"], error_data["status"]) == ("AuthError", 401)
        assert text in error_data["error"]
        assert server.key in error_data["error"]
        assert sign(server, text).partition(":")[2] not in error_data["error"]
        assert (error["event"], error["data"]) == ("pusher:error", {"code": None, "message": error_data["error"]})
        publish(server, "private-a", "secret", 1)
        assert client.frames_until_pong() == []


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a/b", "#x", "x" * 165, "private-" + "x" * 157])
def test_invalid_channel_name_is_refused(server: ServerProcess, name: str) -> None:
    with bare(server) as client:
        client.send_frame("pusher:subscribe", {"channel": name, "auth": ""})
        refused = client.next()
        assert refused["event"] == "pusher:subscription_error"
        assert json.loads(refused["data"])["type"] == "InvalidName"


def test_channel_name_may_use_every_allowed_character(server: ServerProcess) -> None:
    with bare(server) as client:
        assert client.subscribe("private-aZ09_-=@,.;")["data"] == "{}"


def test_second_subscription_is_an_error_without_double_delivery(server: ServerProcess) -> None:
    with bare(server) as client:
        client.subscribe("private-twice")
        client.frames_until_pong()
        client.send_frame(
            "pusher:subscribe", {"channel": "private-twice", "auth": sign(server, f"{client.socket_id}:private-twice")}
        )
        assert client.next()["event"] == "pusher:error"
        publish(server, "private-twice", "once", {})
        assert [frame["event"] for frame in client.frames_until_pong()] == ["once"]


def test_unsubscribe_is_silent_and_stops_delivery(server: ServerProcess) -> None:
    with bare(server) as client:
        client.subscribe("private-left")
        client.frames_until_pong()
        client.send_frame("pusher:unsubscribe", {"channel": "private-left"})
        client.send_frame("pusher:unsubscribe", {"channel": "private-never"})
        publish(server, "private-left", "late", {})
        assert client.frames_until_pong() == []


def test_presence_counts_users_not_tabs(server: ServerProcess, endpoint: AppEndpoint, page: Node) -> None:
    endpoint.member = {"user_id": 10, "user_info": {"name": "Ten"}}
    page.connect("watcher")
    assert page.subscribe("watcher", "presence-room")["members"] == {"count": 1, "members": {"10": {"name": "Ten"}}}
    endpoint.member = {"user_id": "11", "user_info": True}
    page.connect("first")
    page.subscribe("first", "presence-room")
    assert page.until("member_added", name="watcher")["member"] == {"id": "11", "info": True}
    page.connect("second")
    assert page.subscribe("second", "presence-room")["members"]["count"] == 2
    page.run("disconnect", "first")
    page.run("unsubscribe", "second", "presence-room")
    assert page.until("member_removed", name="watcher")["member"]["id"] == "11"
    assert page.reports("member_added") == []
    assert page.reports("member_removed") == []


def test_user_id_as_number_and_as_text_are_one_user(server: ServerProcess) -> None:
    with bare(server) as one, bare(server) as other:
        one.subscribe("presence-ids", '{"user_id":10}')
        roster = json.loads(other.subscribe("presence-ids", '{"user_id":"10","user_info":null}')["data"])["presence"]
        assert roster == {"ids": ["10"], "hash": {"10": {}}, "count": 1}
        assert one.frames_until_pong() == []


def test_presence_members_of_two_dialects_see_each_other(server: ServerProcess) -> None:
    with bare(server) as client, websocket(server, "native", claims={"topics": ["presence-both"]}) as bell:
        client.subscribe("presence-both", '{"user_id":"pusher","user_info":{"name":"P"}}')
        bell.next()
        response = bell.ask("subscribe", topics=["presence-both"])
        assert {member["recipient"] for member in response["presence"]["presence-both"]} == {"pusher", "native"}
        added = client.until("pusher_internal:member_added")
        assert json.loads(added["data"]) == {"user_id": "native", "user_info": {}}


def test_client_event_carries_the_user_id_set_by_the_server(
    server: ServerProcess, endpoint: AppEndpoint, page: Node
) -> None:
    endpoint.member = {"user_id": "speaker"}
    page.connect("a")
    page.subscribe("a", "presence-chat")
    endpoint.member = {"user_id": "hearer"}
    page.connect("b")
    page.subscribe("b", "presence-chat")
    page.run("bind", "b", "presence-chat", "client-typing")
    page.run(
        "send",
        "a",
        json.dumps(
            {
                "event": "client-typing",
                "channel": "presence-chat",
                "data": {"on": True},
                "user_id": "forged",
                "extra": 1,
            }
        ),
    )
    received = page.until("bound", name="b")
    assert (received["data"], received["metadata"]) == ({"on": True}, {"user_id": "speaker"})
    assert page.reports("event", name="a") == []


def test_client_event_reaches_native_followers_as_an_event(server: ServerProcess) -> None:
    with bare(server) as client, websocket(server, "n1", claims={"topics": ["private-chat"]}) as bell:
        bell.next()
        bell.ask("subscribe", topics=["private-chat"])
        client.subscribe("private-chat")
        client.send_frame("client-hello", "just text", channel="private-chat")
        event = bell.until("event")
        assert (event["topic"], event["name"], event["data"]) == ("private-chat", "client-hello", "just text")


def test_client_event_needs_membership_a_private_channel_and_a_client_name(server: ServerProcess) -> None:
    with bare(server) as inside, bare(server) as client:
        inside.subscribe("private-closed")
        inside.subscribe("private-other")
        inside.frames_until_pong()
        client.subscribe("private-other")
        client.send_frame("pusher:subscribe", {"channel": "admin", "auth": ""})
        client.frames_until_pong()
        inside.frames_until_pong()
        for event, channel in [
            ("client-x", "private-closed"),
            ("client-x", "admin"),
            ("x", "private-other"),
            ("pusher_internal:member_added", "private-other"),
            ("pusher:whatever", "private-other"),
            ("client-" + "x" * 200, "private-other"),
        ]:
            client.send_frame(event, {}, channel=channel)
            refused = client.next()
            assert (refused["event"], refused["data"]["code"]) == ("pusher:error", None)
        assert inside.frames_until_pong() == []


def test_flood_of_client_events_is_refused_and_leaves_others_unaffected(server: ServerProcess) -> None:
    with bare(server) as client, bare(server) as other:
        client.subscribe("private-flood")
        other.subscribe("private-flood")
        other.frames_until_pong()
        for number in range(25):
            client.send_frame("client-x", number, channel="private-flood")
        codes = [frame["data"]["code"] for frame in client.frames_until_pong() if frame["event"] == "pusher:error"]
        assert codes
        assert set(codes) == {4301}
        received = [frame for frame in other.frames_until_pong() if frame["event"] == "client-x"]
        assert len(received) == 25 - len(codes)
        client.send_frame("pusher:ping", {})
        assert client.next()["event"] == "pusher:pong"


def test_cache_channel_sends_its_last_event_to_new_subscribers_also_after_a_restart(
    server: ServerProcess, page: Node
) -> None:
    page.connect("a")
    page.subscribe("a", "private-cache-price")
    assert page.until("cache_miss", channel="private-cache-price")
    publish(server, "private-cache-price", "price", {"eur": 5})
    page.until("event", name="a", channel="private-cache-price")
    server.restart()
    page.connect("b")
    page.subscribe("b", "private-cache-price")
    event = page.until("event", name="b", channel="private-cache-price")
    assert (event["event"], event["data"]) == ("price", {"eur": 5})


def test_subscription_count_is_sent_to_subscribers(bellcast_server: ServerProcess) -> None:
    server = bellcast_server
    with bare(server) as one:
        one.subscribe("private-counted")
        assert json.loads(one.next()["data"]) == {"subscription_count": 1}
        with bare(server) as other:
            other.subscribe("private-counted")
            counted = one.next()
            assert counted["event"] == "pusher_internal:subscription_count"
            assert json.loads(counted["data"]) == {"subscription_count": 2}
        assert json.loads(one.next()["data"]) == {"subscription_count": 1}


def test_subscriptions_of_a_client_stop_at_the_limit(server: ServerProcess) -> None:
    with bare(server) as client, bare(server) as other:
        frames = [
            json.dumps({"event": "pusher:subscribe", "data": {"channel": f"news-{number}", "auth": ""}})
            for number in range(150)
        ]
        for frame in frames:
            client.raw.send(frame)
        received = client.frames_until_pong()
        granted = [frame for frame in received if frame["event"] == "pusher_internal:subscription_succeeded"]
        refused = [json.loads(frame["data"]) for frame in received if frame["event"] == "pusher:subscription_error"]
        assert len(granted) == 100
        assert {one["type"] for one in refused} == {"LimitReached"}
        assert other.subscribe("private-unharmed")


def test_published_event_cannot_use_reserved_names(server: ServerProcess) -> None:
    with bare(server) as client:
        client.subscribe("private-forged")
        client.frames_until_pong()
        publish(server, "private-forged", "pusher_internal:member_added", {})
        publish(server, "private-forged", "pusher:error", {})
        publish(server, "private-forged", "real", {})
        assert [frame["event"] for frame in client.frames_until_pong()] == ["real"]
