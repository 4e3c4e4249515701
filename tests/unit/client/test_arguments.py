"""Arguments are converted, or refused by name before a request is sent."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec
import pytest
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe

from bellcast.client import (
    Credentials,
    InvalidArgument,
    UnknownArgument,
    arguments,
    inbox,
    messages,
    notifications,
    objects,
    recipients,
    topics,
    workflows,
)
from bellcast.contrib import outbox

PAST = datetime(2020, 1, 1, tzinfo=UTC)
ID = UUID("7b1f7a66-3c68-4e3c-9d4e-1f4c1ad3b6a1")


class Name(StrEnum):
    ALICE = "alice"


def body(request):
    return msgspec.json.decode(request.content)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("alice", "alice"),
        (7, "7"),
        (ID, str(ID)),
        (Name.ALICE, "alice"),
        (mark_safe("<b>"), "<b>"),
        (lazystr("New booking"), "New booking"),
    ],
    ids=["str", "int", "UUID", "StrEnum", "SafeString", "lazystr"],
)
def test_text_of_every_accepted_type_becomes_a_plain_string(value, text):
    assert type(arguments.text("x", value)) is str
    sent = body(notifications.notify(value, title=value, tags=[value], actor={"id": value}, data={"in": [value]}))
    assert (sent["to"], sent["title"], sent["tags"], sent["actor"]["id"]) == (text, text, [text], text)
    assert str(sent["data"]["in"][0]) == text
    assert body(recipients.token(value, name=value))["name"] == text
    payload = msgspec.json.decode(outbox.notification_payload(value, {"title": value, "group": value}, value))
    assert (payload["to"], payload["title"], payload["group"], payload["idempotency_key"]) == (text,) * 4


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: notifications.notify("alice"), "title"),
        (lambda: notifications.notify("alice", title=""), "title"),
        (lambda: notifications.notify("alice", title=None), "title"),
        (lambda: notifications.notify("alice", title=b"Hello"), "title"),
        (lambda: notifications.notify("alice", title=True), "title"),
        (lambda: notifications.notify(None, title="Hello"), "to"),
        (lambda: notifications.notify([], title="Hello"), "to"),
        (lambda: notifications.notify({"topic": None}, title="Hello"), "to.topic"),
        (lambda: notifications.notify({"role": None, "tenant": "acme"}, title="Hello"), "to.role"),
        (lambda: notifications.notify({"all": True, "topic": None}, title="Hello"), "to.topic"),
        (lambda: notifications.notify("alice", title="Hello", data={"x": [float("nan")]}), "data"),
        (lambda: notifications.notify({"everyone": True}, title="Hello"), "to.everyone"),
        (lambda: notifications.notify(["alice", None], title="Hello"), "to[1]"),
        (lambda: notifications.notify("alice", title="Hello", titel="x"), "titel"),
        (lambda: notifications.notify("alice", title="Hello", tags="vip"), "tags"),
        (lambda: notifications.notify("alice", title="Hello", data=[1]), "data"),
        (lambda: notifications.notify("alice", title="Hello", data={"x": object()}), "data"),
        (lambda: notifications.notify("alice", title="Hello", priority="very high"), "priority"),
        (lambda: notifications.notify("alice", title="Hello", expires_at="tomorrow"), "expires_at"),
        (lambda: notifications.notify("alice", title="Hello", expires_at=datetime(2030, 1, 1)), "expires_at"),  # noqa: DTZ001  the refused value
        (lambda: notifications.notify("alice", title="Hello", expires_at=90), "expires_at"),
        (lambda: notifications.notify("alice", title="Hello", idempotency_key="é"), "idempotency_key"),
        (lambda: notifications.edit("n1", title=None), "title"),
        (lambda: notifications.edit("n1", type="x"), "type"),
        (lambda: notifications.recall(""), "id"),
        (lambda: recipients.put("alice", nick="Al"), "nick"),
        (lambda: recipients.put(None), "key"),
        (lambda: recipients.token("alice", ttl="soon"), "ttl"),
        (lambda: recipients.token("alice", ttl=0), "ttl"),
        (lambda: recipients.token("alice", since="2026"), "since"),
        (lambda: recipients.token("alice", since=datetime(2026, 1, 1)), "since"),  # noqa: DTZ001  the refused value
        (lambda: recipients.token("alice", topics="room"), "topics"),
        (lambda: topics.publish("", "doorbell"), "to"),
        (lambda: topics.publish({"role": "x"}, "doorbell"), "to.role"),
        (lambda: topics.publish("lobby", None), "name"),
        (lambda: topics.subscriptions("lobby", limit="5"), "limit"),
        (lambda: inbox.read("a", all=True), "ids"),
        (lambda: inbox.read("a", type="booking"), "type"),
        (lambda: inbox.delete_many(all=True, type=None), "type"),
        (lambda: inbox.delete_many(all=True, view="read", type=""), "type"),
        (lambda: inbox.read(all=True, tag=None), "tag"),
        (lambda: inbox.archive(all=True, view=None), "view"),
        (lambda: inbox.clear("all", type=None), "type"),
        (lambda: inbox.clear("all", type=""), "type"),
        (lambda: inbox.clear("all", tag="vip"), "tag"),
        (lambda: messages.retry_all(channel=None), "channel"),
        (lambda: messages.retry_all(since=None), "since"),
        (lambda: workflows.cancel("welcome", "order-7", None), "to"),
        (lambda: workflows.cancel("welcome", "order-7", to={"role": None, "tenant": "acme"}), "to.role"),
        (lambda: recipients.change_preferences("alice", {"muted": {"news": float("inf")}}), "body"),
        (lambda: recipients.put("alice", nick=None), "nick"),
        (lambda: workflows.trigger("welcome", "alice", actor={None: None}), "actor.None"),
        (lambda: workflows.simulate("welcome", "alice", events=5), "events"),
        (lambda: messages.suppress("email", "a@example.com", reason="\udc80"), "reason"),
        (lambda: objects.preview("welcome", {"price": float("nan")}), "data"),
        (lambda: objects.preview("welcome", locale=b"de"), "locale"),
        (lambda: objects.send_test("welcome", "email", "alice", {"price": float("nan")}), "data"),
        (lambda: objects.send_test("welcome", None, "alice"), "channel"),
        (lambda: objects.import_email(b"<mjml>"), "source"),
        (lambda: objects.check_provider("mail", values={"weight": float("inf")}), "values"),
        (lambda: objects.change_webhook("w1", active="no"), "active"),
        (lambda: inbox.page(since=datetime(2026, 1, 1)), "since"),  # noqa: DTZ001  the refused value
        (lambda: inbox.page(since=timedelta(hours=2)), "since"),
        (lambda: inbox.mark("n1"), "mark"),
        (lambda: inbox.mark("n1", read="yes"), "read"),
        (lambda: inbox.clear("unread"), "view"),
        (lambda: inbox.snooze("n1"), "until"),
        (lambda: inbox.snooze("n1", until="2030-01-02T00:00:00Z", duration="3h"), "until"),
        (lambda: inbox.snooze("n1", duration="soon"), "duration"),
        (lambda: inbox.archive("n1", view="read"), "view"),
        (lambda: outbox.notification_payload(42, {"titel": "x"}, None), "titel"),
        (lambda: outbox.notification_payload(42, {}, None), "title"),
        (lambda: outbox.notification_payload(42, {"title": "x" * 501}, None), "title"),
        (lambda: outbox.notification_payload(42, {"title": "a\0b"}, None), "title"),
        (lambda: outbox.notification_payload(42, {"title": "\udc80"}, None), "title"),
        (lambda: outbox.notification_payload("x" * 201, {"title": "x"}, None), "to"),
        (lambda: outbox.notification_payload(["bob", "a\nb"], {"title": "x"}, None), "to[1]"),
        (
            lambda: outbox.notification_payload(42, {"title": "x", "action_url": "javascript:alert(1)"}, None),
            "action_url",
        ),
        (lambda: outbox.notification_payload(42, {"title": "x", "data": {"x": "y" * 16_384}}, None), "data"),
        (lambda: outbox.notification_payload(42, {"title": "x", "data": {"x": float("nan")}}, None), "data"),
        (lambda: outbox.notification_payload(42, {"title": "x", "data": {"x": "a\0b"}}, None), "data"),
        (lambda: outbox.notification_payload(42, {"title": "x", "data": {"x": 2**64}}, None), "data.x"),
        (lambda: outbox.notification_payload(42, {"title": "x", "channels": ["fax"]}, None), "channels[0]"),
        (lambda: outbox.notification_payload(42, {"title": "x", "expires_at": PAST}, None), "expires_at"),
        (lambda: outbox.notification_payload(42, {"title": "x", "actor": {"name": "x" * 501}}, None), "actor.name"),
        (lambda: outbox.notification_payload(42, {"title": "x", "tenant": "*"}, None), "tenant"),
        (lambda: outbox.event_payload("a b", "hello", 1, None, None), "topic"),
        (lambda: outbox.event_payload("lobby", "x" * 201, 1, None, None), "name"),
        (lambda: outbox.event_payload("lobby", "hello", "y" * 10_241, None, None), "data"),
        (lambda: outbox.event_payload(None, "hello", 1, "a\nb", None), "recipient"),
        (lambda: outbox.event_payload(None, "hello", 1, None, None), "topic"),
        (lambda: outbox.event_payload("lobby", "", 1, None, None), "name"),
        (lambda: outbox.event_payload("lobby", "x", object(), None, None), "data"),
    ],
)
def test_wrong_argument_is_refused_by_name(call, argument):
    with pytest.raises(InvalidArgument) as refused:
        call()
    assert refused.value.argument == argument
    assert str(refused.value).startswith(f"{argument}: ")


@pytest.mark.parametrize(
    ("claims", "argument"),
    [
        ({"tenant": "*"}, "tenant"),
        ({"tenant": ""}, "tenant"),
        ({"tenant": "a\nb"}, "tenant"),
        ({"name": "x" * 501}, "name"),
        ({"name": "\udc80"}, "name"),
        ({"topics": ["a", "\udc80"]}, "topics[1]"),
        ({"publish": ["x" * 201]}, "publish[0]"),
        ({"roles": ["not a role"]}, "roles[0]"),
        ({"topics": ["x" * 150] * 60}, "topics"),
        ({"since": float("inf")}, "since"),
        ({"since": datetime(1960, 1, 1, tzinfo=UTC)}, "since"),
    ],
    ids=lambda value: str(value).encode(errors="replace").decode()[:40],
)
def test_token_that_the_server_refuses_is_not_signed(claims, argument):
    with pytest.raises(InvalidArgument) as refused:
        recipients.token("alice", **claims).local(Credentials("secret"))
    assert refused.value.argument == argument
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "recipient", ["x" * 201, "a\nb", "a\0b", "\udc80"], ids=["long", "newline", "NUL", "surrogate"]
)
def test_token_for_an_impossible_recipient_is_not_signed(recipient):
    with pytest.raises(InvalidArgument, match=r"^recipient: "):
        recipients.token(recipient).local(Credentials("secret"))


def test_escaped_backslash_before_u0000_is_no_nul_character():
    assert outbox.notification_payload("alice", {"title": "x", "data": {"path": "C:\\u0000"}}, None)


def test_unknown_argument_suggests_the_nearest():
    with pytest.raises(UnknownArgument, match=r"titel: is not known; did you mean title\?") as refused:
        notifications.notify("alice", titel="Hello")
    assert isinstance(refused.value, TypeError)


@pytest.mark.parametrize(
    ("value", "seconds"), [(90, 90), (1.5, 1.5), ("90", 90), ("15m", 900), ("2h", 7200), (timedelta(days=1), 86_400)]
)
def test_duration_is_converted_to_seconds(value, seconds):
    assert arguments.seconds("ttl", value) == seconds


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_duration_that_json_cannot_express_is_refused(value):
    with pytest.raises(InvalidArgument, match="after"):
        notifications.notify("alice", "Hello", channels=[{"channel": "email", "after": value}])


def test_expiry_is_a_time_or_a_duration():
    at = datetime(2030, 1, 2, tzinfo=UTC)
    assert arguments.moment("expires_at", at) == at
    assert arguments.moment("expires_at", "2030-01-02T00:00:00Z") == "2030-01-02T00:00:00Z"
    before = datetime.now(UTC)
    for value in ("2h", timedelta(hours=2)):
        assert (
            before + timedelta(hours=2)
            <= arguments.moment("expires_at", value)
            <= datetime.now(UTC) + timedelta(hours=2)
        )


def test_none_is_omitted_when_sending_and_clears_a_field_when_editing():
    sent = body(notifications.notify("alice", title="Hello", body=None, type=None, tags=None, data=None))
    assert sent == {"to": "alice", "title": "Hello"}
    assert body(notifications.edit("n1", body=None)) == {"body": None}


def test_dots_as_an_id_are_escaped_in_the_path():
    assert recipients.get("..").path == "/v1/recipients/%2E%2E"


def test_snooze_has_one_end_and_act_is_a_path():
    request = inbox.snooze("n1", "n2", duration="3h")
    assert (request.path, body(request)) == ("/v1/inbox/snooze", {"ids": ["n1", "n2"], "for": 10_800})
    assert body(inbox.snooze("n1", until="2030-01-02T00:00:00Z")) == {"ids": ["n1"], "until": "2030-01-02T00:00:00Z"}
    assert body(inbox.snooze("n1", until="back")) == {"ids": ["n1"], "until": "back"}
    assert inbox.back().path == "/v1/inbox/back"
    assert inbox.act("n1", "a/b").path == "/v1/inbox/n1/actions/a%2Fb"
    assert body(inbox.archive(all=True, view="read", tag="x")) == {"all": True, "of": {"view": "read", "tag": "x"}}


def test_clear_can_be_restricted_to_one_type():
    assert inbox.clear("all", type="booking").params == {"view": "all", "type": "booking"}


def test_client_imports_neither_django_nor_the_server():
    heavy = "{'django', 'uvicorn', 'bellcast.settings', 'bellcast.server'}"
    script = (
        f"import sys, bellcast.client; loaded = {heavy} & set(sys.modules); sys.exit(repr(loaded) if loaded else 0)"
    )
    completed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert completed.returncode == 0, completed.stderr


def test_duration_that_is_too_long_is_called_so():
    with pytest.raises(InvalidArgument, match=r"^expires_at: must be before the year 10000, got '9999999d'$"):
        notifications.notify("alice", title="Hello", expires_at="9999999d")
