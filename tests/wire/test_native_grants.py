"""Topic grants of a connection: their reasons, and how a fresh token changes them."""

import httpx
import pytest

from tests.servers import ServerProcess
from tests.wire.clients import Socket, websocket


def publish(server: ServerProcess, *topics: str) -> None:
    body = {"topics": topics, "name": "news"}
    assert httpx.post(f"{server.url}/v1/events", json=body, headers=server.as_app(), timeout=30).status_code == 202


def subscribe(server: ServerProcess, topic: str, recipient: str) -> None:
    url = f"{server.url}/v1/topics/{topic}/subscriptions/{recipient}"
    assert httpx.put(url, headers=server.as_app(), timeout=30).status_code in (200, 201)


def unsubscribe(server: ServerProcess, topic: str, recipient: str) -> None:
    url = f"{server.url}/v1/topics/{topic}/subscriptions/{recipient}"
    assert httpx.delete(url, headers=server.as_app(), timeout=30).status_code == 204


def delivered(bell: Socket, server: ServerProcess, *topics: str) -> list[str]:
    """Publish to the topics, and return those with events before a marker on the connection's own stream."""
    publish(server, *topics)
    recipient = bell.ready["recipient"]
    marker = {"recipient": recipient, "name": "last"}
    assert httpx.post(f"{server.url}/v1/events", json=marker, headers=server.as_app(), timeout=30).status_code == 202
    topics_received = []
    while "topic" in (event := bell.until("event")):
        topics_received.append(event["topic"])
    return sorted(topics_received)


def test_token_without_a_role_ends_the_topic_of_that_role(bellcast_server: ServerProcess, alice: str) -> None:
    claims = {"roles": ["admin", "editor"]}
    with websocket(bellcast_server, alice, topics="role.admin,role.editor", claims=claims) as bell:
        bell.ready = bell.next()
        assert bell.ready["topics"] == ["role.admin", "role.editor"]
        narrower = bellcast_server.token(alice, roles=["editor"])
        assert bell.ask("auth", token=narrower)["type"] == "ack"
        assert delivered(bell, bellcast_server, "role.admin", "role.editor") == ["role.editor"]


def test_fresh_token_ends_topics_without_a_remaining_grant(bellcast_server: ServerProcess, alice: str) -> None:
    subscribe(bellcast_server, "by-subscription", alice)
    subscribe(bellcast_server, "by-both", alice)
    topics = "by-claim,by-subscription,by-both"
    with websocket(bellcast_server, alice, topics=topics, claims={"topics": ["by-claim", "by-both"]}) as bell:
        bell.ready = bell.next()
        assert bell.ready["topics"] == topics.split(",")
        assert bell.ask("auth", token=bellcast_server.token(alice))["type"] == "ack"
        assert delivered(bell, bellcast_server, *topics.split(",")) == ["by-both", "by-subscription"]
        unsubscribe(bellcast_server, "by-both", alice)  # the only remaining grant
        assert delivered(bell, bellcast_server, *topics.split(",")) == ["by-subscription"]


def test_end_of_a_subscription_keeps_a_topic_granted_by_a_claim(bellcast_server: ServerProcess, alice: str) -> None:
    subscribe(bellcast_server, "twice-granted", alice)
    with websocket(bellcast_server, alice, topics="twice-granted", claims={"topics": ["twice-*"]}) as bell:
        bell.ready = bell.next()
        unsubscribe(bellcast_server, "twice-granted", alice)
        assert delivered(bell, bellcast_server, "twice-granted") == ["twice-granted"]


@pytest.mark.parametrize(("session", "expected"), [({}, "Alice of the record"), ({"name": "Alice"}, "Alice")])
def test_presence_member_has_the_name_of_its_session_or_else_of_its_record(
    bellcast_server: ServerProcess, alice: str, session: dict[str, str], expected: str
) -> None:
    url = f"{bellcast_server.url}/v1/recipients/{alice}"
    headers = bellcast_server.as_app()
    assert httpx.put(url, json={"name": "Alice of the record"}, headers=headers, timeout=30).status_code == 201
    room = f"presence-{alice}"
    with websocket(bellcast_server, alice, claims={"topics": ["presence-*"], **session}) as bell:
        bell.next()
        assert [one["name"] for one in bell.ask("subscribe", topics=[room])["presence"][room]] == [expected]
        fresh = bellcast_server.token(alice, topics=["presence-*"], **session)
        assert bell.ask("auth", token=fresh)["type"] == "ack"
        bell.ask("unsubscribe", topics=[room])
        assert [one["name"] for one in bell.ask("subscribe", topics=[room])["presence"][room]] == [expected]
