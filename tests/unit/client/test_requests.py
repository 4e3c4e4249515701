"""What the builders ask for, before anything is sent."""

from datetime import UTC, datetime

import msgspec
import pytest

from bellcast.client import Unreadable, inbox, notifications, recipients, topics
from bellcast.client.request import HttpResponse


def body(request):
    return msgspec.json.decode(request.content)


def test_a_notification_is_posted_as_given():
    request = notifications.notify(
        "alice", title="New booking", tags=["vip"], expires_at=datetime(2030, 1, 2, tzinfo=UTC)
    )
    assert (request.method, request.path) == ("POST", "/v1/notifications")
    assert body(request) == {
        "to": "alice",
        "title": "New booking",
        "tags": ["vip"],
        "expires_at": "2030-01-02T00:00:00Z",
    }


@pytest.mark.parametrize(
    "to", [["alice", "bob"], {"topic": "admins"}, {"role": "admin"}, {"tenant": "acme"}, {"all": True}]
)
def test_every_audience_goes_out_as_the_server_names_it(to):
    assert body(notifications.notify(to, title="Hello"))["to"] == to


def test_every_send_gets_a_key_of_its_own():
    first, second = (notifications.notify("alice", title="Hello").headers["Idempotency-Key"] for _ in range(2))
    assert first != second


def test_the_caller_may_bring_the_key():
    request = notifications.notify("alice", title="Hello", idempotency_key="booking-7")
    assert request.headers["Idempotency-Key"] == "booking-7"
    assert request.repeatable


def test_an_edit_can_take_a_field_away():
    request = notifications.edit("n1", body=None, priority="high")
    assert (request.method, request.path, body(request)) == (
        "PATCH",
        "/v1/notifications/n1",
        {"body": None, "priority": "high"},
    )


def test_a_key_may_hold_any_character():
    assert recipients.get("auth0|7/é ?#").path == "/v1/recipients/auth0%7C7%2F%C3%A9%20%3F%23"
    assert topics.subscribe("a/b", "c/d").path == "/v1/topics/a%2Fb/subscriptions/c%2Fd"


def test_what_is_not_given_is_not_sent():
    assert inbox.page().params == {}
    assert inbox.page(view="unread", limit=5).params == {"view": "unread", "limit": 5}
    assert body(recipients.token("alice")) == {"recipient": "alice", "ttl": 3600}


def test_the_tenant_travels_in_the_address_or_in_the_body():
    assert recipients.patch("alice", tenant="acme", name="Alice").params == {"tenant": "acme"}
    assert body(notifications.notify("alice", title="Hello", tenant="acme"))["tenant"] == "acme"


@pytest.mark.parametrize(
    ("to", "address"),
    [
        ("lobby", {"topic": "lobby"}),
        (["lobby", "hall"], {"topics": ["lobby", "hall"]}),
        ({"recipient": "alice"}, {"recipient": "alice"}),
    ],
)
def test_a_live_event_names_where_it_goes(to, address):
    assert body(topics.publish(to, "doorbell", {"n": 1}, exclude="c9")) == {
        **address,
        "name": "doorbell",
        "data": {"n": 1},
        "except": "c9",
    }


def test_a_live_event_is_not_repeated_when_it_may_have_been_heard():
    assert not topics.publish("lobby", "doorbell").repeatable


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (inbox.read("a", "b"), {"ids": ["a", "b"]}),
        (inbox.read(), {"ids": []}),
        (inbox.archive(all=True), {"all": True}),
        (inbox.unread(all=True, type="booking"), {"all": True, "of": {"type": "booking"}}),
    ],
)
def test_an_action_names_some_or_all(request_, sent):
    assert body(request_) == sent


@pytest.mark.parametrize("verb", ["seen", "read", "unread", "archive", "unarchive"])
def test_each_action_has_its_own_address(verb):
    request = getattr(inbox, verb)("a")
    assert (request.method, request.path) == ("POST", f"/v1/inbox/{verb}")


def test_polling_asks_only_for_what_changed():
    request = inbox.changed("41-9", view="unread")
    assert request.headers["If-None-Match"] == '"41-9"'
    assert request.decode(HttpResponse(304, b"")) is None


def test_an_unchanged_inbox_is_none_and_a_changed_one_a_page():
    page = b'{"notifications":[],"next":null,"unread":2,"unseen":1,"position":"42-9"}'
    assert inbox.changed("41-9").decode(HttpResponse(200, page)).unread == 2


def test_marking_one_says_only_what_changes():
    assert body(inbox.mark("n1", read=False)) == {"read": False}


def test_a_token_is_a_string_that_knows_when_it_ends():
    token = recipients.token("alice").decode(HttpResponse(201, b'{"token":"ey.J","expires_at":"2030-01-01T00:00:00Z"}'))
    assert (token, token.expires_at) == ("ey.J", datetime(2030, 1, 1, tzinfo=UTC))


def test_a_send_tells_its_ids():
    decode = notifications.notify(["alice", "bob"], title="Hello").decode
    two = decode(HttpResponse(201, b'{"notifications":[{"id":"1","recipient":"alice"},{"id":"2","recipient":"bob"}]}'))
    assert (two.id, two.ids) == ("1", ["1", "2"])
    assert decode(HttpResponse(201, b'{"announcement":{"id":"7"}}')).ids == ["7"]


def test_fields_of_a_newer_server_are_passed_over():
    counts = inbox.counts().decode(HttpResponse(200, b'{"unread":1,"unseen":1,"position":"1","by_mood":{}}'))
    assert counts.unread == 1


@pytest.mark.parametrize("content", [b"<html>Welcome to nginx</html>", b"", b"[]", b"\xff"])
def test_an_answer_from_something_else_is_said_to_be_unreadable(content):
    with pytest.raises(Unreadable, match="is the address that of a Bellcast server"):
        inbox.counts().decode(HttpResponse(200, content))
