"""Requests built from client calls, before they are sent."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from bellcast.client import (
    InvalidArgument,
    Unreadable,
    inbox,
    messages,
    notifications,
    objects,
    recipients,
    responses,
    topics,
    workflows,
)
from bellcast.client.request import HttpResponse
from bellcast.contrib import sqlalchemy
from bellcast.inbox import types as notification_types
from bellcast.inbox.types import inboxes
from bellcast.inbox.types.inboxes import InboxListing
from bellcast.recipients.types import Recipient


def body(request):
    return msgspec.json.decode(request.content)


@pytest.mark.parametrize("ttl", [timedelta(hours=2), "2h", 7200])
def test_lifetime_of_a_link_is_any_duration(ttl):
    for request in (messages.mailbox(ttl=ttl), recipients.preferences_link("alice", ttl=ttl)):
        assert body(request) == {"ttl": 7200}
    with pytest.raises(InvalidArgument, match="ttl: expected a duration"):
        messages.mailbox(ttl="soon")


def test_failures_are_filtered_by_every_field():
    fields = dict.fromkeys(("kind", "channel", "provider", "workflow", "job", "webhook", "cause"), "x")
    for request in (messages.failures(**fields), messages.causes(**fields)):
        assert fields.items() <= request.params.items()


def test_webhook_is_replayed_since_a_datetime():
    assert body(objects.replay_events("w", datetime(2030, 1, 2, tzinfo=UTC))) == {"since": "2030-01-02T00:00:00Z"}
    assert body(objects.resend_event("w", "e")) == {"event": "e"}
    assert body(objects.replay_events("w", "2030-01-02T00:00:00Z")) == {"since": "2030-01-02T00:00:00Z"}


def test_notification_is_posted_with_its_fields():
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


def test_title_may_follow_the_recipient():
    assert body(notifications.notify("alice", "Hello")) == {"to": "alice", "title": "Hello"}
    for insert in (sqlalchemy.notify("alice", "Hello"), sqlalchemy.notify("alice", title="Hello")):
        assert msgspec.json.decode(insert.body) == {"to": "alice", "title": "Hello"}
    with pytest.raises(InvalidArgument, match="title: is required"):
        notifications.notify("alice")


@pytest.mark.parametrize(
    "to",
    [["alice", "bob"], {"topic": "admins"}, {"role": "admin", "tenant": "acme"}, {"tenant": "acme"}, {"all": True}],
)
def test_audience_is_sent_in_the_servers_form(to):
    assert body(notifications.notify(to, title="Hello"))["to"] == to


def test_every_send_has_a_unique_idempotency_key():
    first, second = (notifications.notify("alice", title="Hello").headers["Idempotency-Key"] for _ in range(2))
    assert first != second


def test_idempotency_key_can_be_provided():
    request = notifications.notify("alice", title="Hello", idempotency_key="booking-7")
    assert request.headers["Idempotency-Key"] == "booking-7"
    assert request.repeatable


def test_trigger_can_wait_for_its_time():
    request = workflows.trigger("welcome", "alice", send_at="2030-01-02T09:00", timezone="recipient")
    assert body(request) == {"to": "alice", "send_at": "2030-01-02T09:00", "timezone": "recipient"}
    scheduled = {"schedule": {"key": "s1", "next_at": "2030-01-02T08:00:00Z"}}
    response = request.decode(HttpResponse(202, msgspec.json.encode(scheduled)))
    assert response.schedule is not None
    assert (response.run, response.schedule.key) == ("", "s1")


def test_edit_can_clear_a_field():
    request = notifications.edit("n1", body=None, priority="high")
    assert (request.method, request.path, body(request)) == (
        "PATCH",
        "/v1/notifications/n1",
        {"body": None, "priority": "high"},
    )


def test_recipients_are_written_in_bulk():
    request = recipients.bulk([{"key": 7, "email": "a@example.com", "roles": ["admin"]}, {"key": "bob"}], tenant="acme")
    assert (request.method, request.path, request.params) == ("POST", "/v1/recipients/bulk", {"tenant": "acme"})
    assert body(request) == [{"key": "7", "email": "a@example.com", "roles": ["admin"]}, {"key": "bob"}]
    with pytest.raises(InvalidArgument, match=r"records\[1\]\.key"):
        recipients.bulk([{"key": "a"}, {"name": "Bob"}])
    with pytest.raises(InvalidArgument, match="mail"):
        recipients.bulk([{"key": "a", "mail": "a@example.com"}])
    with pytest.raises(InvalidArgument, match="at most"):
        recipients.bulk({"key": str(number)} for number in range(10_001))


def test_push_endpoint_is_a_subscription_or_a_device_token():
    request = recipients.register_endpoint("alice", {"endpoint": "https://push.example/1", "keys": {"auth": "x"}})
    assert (request.method, request.path) == ("POST", "/v1/recipients/alice/push-endpoints")
    assert body(request) == {"endpoint": "https://push.example/1", "keys": {"auth": "x"}}
    assert body(recipients.register_endpoint("alice", kind="fcm", token="abc")) == {"kind": "fcm", "token": "abc"}
    for wrong in ({}, {"kind": "fcm"}, {"token": "abc"}, {"kind": "web", "token": "abc"}):
        with pytest.raises(InvalidArgument):
            recipients.register_endpoint("alice", **wrong)
    with pytest.raises(InvalidArgument):
        recipients.register_endpoint("alice", {"endpoint": "x"}, kind="fcm", token="abc")
    assert recipients.delete_endpoint("a/b", "1").path == "/v1/recipients/a%2Fb/push-endpoints/1"
    assert recipients.endpoint_key("alice").path == "/v1/recipients/alice/push-endpoints/key"


def test_recipient_key_may_contain_any_character():
    assert recipients.get("auth0|7/é ?#").path == "/v1/recipients/auth0%7C7%2F%C3%A9%20%3F%23"
    assert topics.subscribe("a/b", "c/d").path == "/v1/topics/a%2Fb/subscriptions/c%2Fd"


def test_unset_arguments_are_omitted():
    assert inbox.page().params == {}
    assert inbox.page(view="unread", limit=5).params == {"view": "unread", "limit": 5}
    assert body(recipients.token("alice")) == {"recipient": "alice", "ttl": 3600}


def test_page_since_a_datetime_names_its_offset():
    moment = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
    assert inbox.page(since=moment).params == {"since": "2026-01-31T12:00:00+00:00"}


def test_time_of_membership_may_be_seconds_or_a_datetime():
    since = datetime(2026, 1, 31, 12, 0, 0, 500_000, UTC)
    assert body(recipients.token("alice", since=since))["since"] == since.timestamp()
    assert body(recipients.token("alice", since=1750000000.5))["since"] == 1750000000.5
    assert body(recipients.put("alice", member_since=since)) == {"member_since": "2026-01-31T12:00:00.500000Z"}
    assert body(recipients.patch("alice", member_since=None)) == {"member_since": None}


def test_tenant_is_sent_in_the_query_or_in_the_body():
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
def test_live_event_names_its_audience(to, address):
    assert body(topics.publish(to, "doorbell", {"n": 1}, exclude="c9")) == {
        **address,
        "name": "doorbell",
        "data": {"n": 1},
        "except": "c9",
    }


@pytest.mark.parametrize("exclude", ["", " ", ["c9"], object()])
def test_live_event_that_excludes_no_connection_is_refused(exclude):
    with pytest.raises(InvalidArgument, match="exclude"):
        topics.publish("lobby", "doorbell", exclude=exclude)


def test_live_event_is_not_repeatable():
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
def test_inbox_action_selects_ids_or_all(request_, sent):
    assert body(request_) == sent


ACTIONS = {verb: verb for verb in ("seen", "read", "unread", "archive", "unarchive")} | {"delete_many": "delete"}


@pytest.mark.parametrize(("name", "verb"), ACTIONS.items())
def test_each_inbox_action_has_its_path(name, verb):
    request = getattr(inbox, name)("a")
    assert (request.method, request.path) == ("POST", f"/v1/inbox/{verb}")


def test_conditional_request_carries_the_position():
    request = inbox.changed("41-9", view="unread")
    assert request.headers["If-None-Match"] == '"41-9"'
    assert request.decode(HttpResponse(304, b"")) is None


def test_changed_inbox_decodes_to_a_page():
    page = b'{"notifications":[],"next":null,"unread":2,"unseen":1,"position":"42-9"}'
    assert inbox.changed("41-9").decode(HttpResponse(200, page)).unread == 2


def test_mark_sends_the_changed_fields_only():
    assert body(inbox.mark("n1", read=False)) == {"read": False}


def test_token_is_a_string_with_its_expiry():
    token = recipients.token("alice").decode(HttpResponse(201, b'{"token":"ey.J","expires_at":"2030-01-01T00:00:00Z"}'))
    assert (token, token.expires_at) == ("ey.J", datetime(2030, 1, 1, tzinfo=UTC))


def test_send_result_has_the_ids():
    decode = notifications.notify(["alice", "bob"], title="Hello").decode
    result = decode(
        HttpResponse(201, b'{"notifications":[{"id":"1","recipient":"alice"},{"id":"2","recipient":"bob"}]}')
    )
    assert (result.id, result.ids) == ("1", ["1", "2"])
    assert decode(HttpResponse(201, b'{"announcement":{"id":"7"}}')).ids == ["7"]
    later = decode(HttpResponse(202, b'{"schedule":{"key":"s1","next_at":"2026-01-01T00:00:00Z"}}'))
    with pytest.raises(LookupError, match="s1 sends this later"):
        _ = later.id


def test_unknown_response_fields_are_ignored():
    counts = inbox.counts().decode(HttpResponse(200, b'{"unread":1,"unseen":1,"position":"1","by_mood":{}}'))
    assert counts.unread == 1


OWN_TYPES = [
    (responses.Notification, notification_types.Notification),
    (responses.Actor, notification_types.Actor),
    (responses.ActionButton, notification_types.ActionButton),
    (responses.Counts, inboxes.Counts),
    (responses.InboxPage, InboxListing),
    (responses.Recipient, Recipient),
]


@pytest.mark.parametrize(("own", "of_server"), OWN_TYPES)
def test_own_type_of_a_response_has_the_fields_of_the_server(own, of_server):
    assert set(of_server.__struct_fields__) <= set(own.__struct_fields__)


@pytest.mark.parametrize("content", [b"<html>Welcome to nginx</html>", b"", b"[]", b"\xff"])
def test_response_of_another_server_is_unreadable(content):
    with pytest.raises(Unreadable, match="is this the address of a Bellcast server"):
        inbox.counts().decode(HttpResponse(200, content))


def test_messages_are_filtered_by_run_and_provider():
    assert messages.page(run="r1", provider="smtp").params == {"run": "r1", "provider": "smtp"}
