"""The Python client against a running server, blocking and asynchronous."""

import asyncio
import inspect
import socket
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import jwt
import pytest
from markupsafe import Markup
from playwright.sync_api import sync_playwright

from bellcast.client import (
    AsyncBellcast,
    Bellcast,
    BellcastError,
    Credentials,
    Forbidden,
    NotFound,
    RequestRefused,
    Retries,
    Unauthorized,
    Unavailable,
    Unreadable,
    WrongProject,
)
from tests.faults.raw_sockets import eventually
from tests.servers import PROJECT

QUICK = Retries(first=0.01, longest=0.05)


class Awaited:
    """An async client with its methods awaited for the test, so that both clients share their tests."""

    def __init__(self, target, runner):
        self._target, self._runner = target, runner

    def __getattr__(self, name):
        attribute = getattr(self._target, name)
        return self._awaited(attribute) if callable(attribute) else Awaited(attribute, self._runner)

    def _awaited(self, method):
        def call(*args, **kwargs):
            result = method(*args, **kwargs)
            return self._runner.run(result) if inspect.iscoroutine(result) else Awaited(result, self._runner)

        return call


@contextmanager
def client(kind, url, secret, **options):
    """Open a client of either kind."""
    if kind == "blocking":
        with Bellcast(url, secret, **options) as bell:
            yield bell
        return
    with asyncio.Runner() as runner:
        bell = AsyncBellcast(url, secret, **options)
        try:
            yield Awaited(bell, runner)
        finally:
            runner.run(bell.close())


@pytest.fixture(params=["blocking", "awaiting"])
def kind(request):
    return request.param


@pytest.fixture
def bell(kind, bellcast_server):
    with client(kind, bellcast_server.url, bellcast_server.secret) as bell:
        yield bell


@pytest.fixture
def alice():
    return f"alice-{uuid4()}"


def titles(page):
    return [notification.title for notification in page.notifications]


def test_notification_is_in_the_inbox(bell, alice):
    sent = bell.notify(
        alice,
        title="New booking",
        body="Saturday, 14:00",
        type="booking",
        priority="high",
        action_url="/bookings/7",
        actor="Ann",
        data={"booking": 7},
        tags=["vip"],
        expires_at=datetime.now(UTC) + timedelta(days=1),
    )
    page = bell.inbox(bell.token(alice)).list()
    [notification] = page.notifications
    assert notification.id == sent.id
    assert (notification.title, notification.body, notification.type) == ("New booking", "Saturday, 14:00", "booking")
    assert (notification.actor.name, notification.data, notification.tags) == ("Ann", {"booking": 7}, ["vip"])
    assert (page.unread, page.unseen, page.next) == (1, 1, None)


def test_several_recipients_get_one_notification_each(bell, alice):
    bob = f"bob-{uuid4()}"
    sent = bell.notify([alice, bob], title="Hello")
    assert {created.recipient for created in sent.notifications} == {alice, bob}
    assert len(set(sent.ids)) == 2


def test_topic_gets_one_announcement(bell, alice):
    topic = f"admins-{uuid4()}"
    bell.subscribe(topic, alice)
    sent = bell.notify({"topic": topic}, title="All hands")
    assert sent.announcement.id == sent.id
    assert titles(bell.inbox(bell.token(alice)).list()) == ["All hands"]
    assert [subscription.recipient for subscription in bell.subscriptions(topic).subscriptions] == [alice]
    bell.unsubscribe(topic, alice)
    bell.notify({"topic": topic}, title="Without Alice")
    assert titles(bell.inbox(bell.token(alice)).list()) == ["All hands"]


@pytest.mark.thorough
def test_bulk_send_of_any_size_returns_results_in_order(bell, alice):
    items = [{"to": alice, "title": f"Number {number}"} for number in range(12_000)]
    items[7]["title"] = ""
    results = bell.bulk(items)
    assert len(results) == 12_000
    assert results[7].error.code == "invalid"
    assert results[7].error.errors[0].field.endswith("title")
    assert len({result.id for result in results if result.id}) == 11_999
    assert bell.inbox(bell.token(alice)).counts().unread == 11_999


def test_sent_notification_can_be_read_edited_and_recalled(bell, alice):
    sent = bell.notify(alice, title="At two", body="In the hall")
    edited = bell.edit(sent.id, title="At three", body=None)
    assert (edited.title, edited.body) == ("At three", None)
    assert bell.notification(sent.id).recipient == alice
    bell.recall(sent.id)
    assert bell.inbox(bell.token(alice)).list().notifications == []
    with pytest.raises(NotFound):
        bell.notification(sent.id)


def test_inbox_supports_all_actions(bell, alice):
    ids = bell.notify([alice], title="First").ids + bell.notify(alice, title="Second", type="booking").ids
    inbox = bell.inbox(bell.token(alice))
    assert inbox.seen(all=True).unseen == 0
    assert (inbox.read(ids[0]).changed, inbox.counts().unread) == (1, 1)
    assert inbox.unread(ids[0]).unread == 2
    assert inbox.read(all=True, type="booking").unread == 1
    assert inbox.mark(ids[0], read=True).read_at is not None
    assert inbox.archive(ids[0]).changed == 1
    assert titles(inbox.list(view="archived")) == ["First"]
    assert inbox.unarchive(ids[0]).changed == 1
    inbox.delete(ids[1])
    assert titles(inbox.list()) == ["First"]
    assert inbox.clear("read").changed == 1
    ids = bell.notify([alice, alice + "2"], title="Third").ids[:1] + bell.notify([alice], title="Fourth").ids
    assert inbox.delete_many(*ids).changed == 2
    assert inbox.list().notifications == []


def test_pages_follow_one_another(bell, alice):
    for number in range(5):
        bell.notify(alice, title=str(number))
    inbox = bell.inbox(bell.token(alice))
    first = inbox.list(limit=3)
    assert titles(first) + titles(inbox.list(limit=3, before=first.next)) == ["4", "3", "2", "1", "0"]


def test_changed_returns_changes_only(bell, alice):
    inbox = bell.inbox(bell.token(alice))
    position = inbox.list().position
    assert inbox.changed(position) is None
    bell.notify(alice, title="News")
    assert titles(inbox.changed(position)) == ["News"]


def test_recipient_can_be_stored_changed_and_deleted(bell):
    key = f"oauth|7/é {uuid4()}"
    assert bell.recipients.put(key, name="Alice", roles=["admin"], data={"floor": 3}).name == "Alice"
    assert bell.recipients.patch(key, email="alice@example.com", name=None).email == "alice@example.com"
    recipient = bell.recipients.get(key)
    assert (recipient.key, recipient.name, recipient.roles, recipient.data) == (key, None, ["admin"], {"floor": 3})
    assert [recipient.key for recipient in bell.recipients.list(search=key).recipients] == [key]
    bell.recipients.delete(key)
    with pytest.raises(NotFound):
        bell.recipients.get(key)


def test_tenants_are_isolated(bell, alice):
    bell.notify(alice, title="For Acme", tenant="acme")
    bell.notify(alice, title="For Globex", tenant="globex")
    assert titles(bell.inbox(bell.token(alice, tenant="acme")).list()) == ["For Acme"]


def test_token_has_an_expiry_and_can_be_revoked_earlier(bell, alice):
    token = bell.token(alice, ttl="1h")
    remaining = token.expires_at - datetime.now(UTC)
    assert timedelta(minutes=58) < remaining <= timedelta(hours=1)
    bell.inbox(token).counts()
    bell.revoke(alice)
    with pytest.raises(Unauthorized):
        bell.inbox(token).counts()


def test_token_is_signed_while_the_server_is_down(kind):
    with client(kind, "http://127.0.0.1:1", "a-secret") as bell:
        assert bell.token("alice").count(".") == 2


@pytest.mark.parametrize("key", [None, PROJECT[1]], ids=["secret alone", "with the key"])
def test_token_signed_by_the_client_is_accepted_with_all_its_claims(kind, bellcast_server, alice, key):
    credentials = Credentials(bellcast_server.secret, key)
    claims = {"topics": ["room.*"], "publish": ["room.1"], "roles": ["editor"], "name": "Alice", "tenant": "acme"}
    with client(kind, bellcast_server.url, credentials) as bell:
        token = bell.token(alice, ttl="2h", **claims)
        assert timedelta(minutes=118) < token.expires_at - datetime.now(UTC) <= timedelta(hours=2)
        bell.inbox(token).counts()
        stored = bell.recipients.get(alice, tenant="acme")
        assert (stored.name, stored.roles) == ("Alice", ["editor"])
    payload = jwt.decode(token, bellcast_server.secret, ["HS256"], options={"verify_iat": False})
    assert {name: payload[name] for name in claims} == claims
    assert jwt.get_unverified_header(token).get("kid") == key


def test_api_key_lets_the_server_sign_tokens(kind, bellcast_server, alice):
    created = httpx.post(
        f"{bellcast_server.url}/v1/keys",
        json={"name": "k", "scopes": ["manage", "read"]},
        headers=bellcast_server.as_app(),
    ).json()
    with client(kind, bellcast_server.url, created["key"]) as bell:
        token = bell.token(alice, ttl=timedelta(minutes=5), name="Alice")
        bell.inbox(token).counts()
        assert token.expires_at - datetime.now(UTC) <= timedelta(minutes=5)


def test_send_for_later_has_a_schedule_and_no_id_yet(bell, alice):
    sent = bell.notify(alice, title="Reminder", send_at="2h")
    assert (sent.ids, sent.schedule.next_at > datetime.now(UTC) + timedelta(minutes=118)) == ([], True)
    tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    local = tomorrow.replace(tzinfo=None).isoformat()
    (item,) = bell.bulk([{"to": alice, "title": "Local", "send_at": local, "timezone": "Etc/UTC"}])
    assert item.schedule.next_at == tomorrow
    assert titles(bell.inbox(bell.token(alice)).list()) == []


def test_each_request_is_logged_with_its_status_and_without_its_secret(bell, alice, caplog, bellcast_server):
    with caplog.at_level("DEBUG", "bellcast"):
        bell.notify(alice, title="Hello")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "bellcast"]
    assert line.startswith("request_sent method=POST path=/v1/notifications status=201 ms=")
    assert bellcast_server.secret not in line


def test_key_with_a_line_break_begins_no_line_in_the_log(bell, caplog):
    with caplog.at_level("DEBUG", "bellcast"), pytest.raises(BellcastError):
        bell.recipients.get("alice\nrequest_sent method=DELETE")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "bellcast"]
    assert "\n" not in line


def test_wrong_server_is_reported_with_its_project(kind, bellcast_server):
    other = Credentials("another-secret", "another-key")
    with client(kind, bellcast_server.url, other) as bell, pytest.raises(WrongProject) as refused:
        bell.notify("alice", title="Hello")
    assert refused.value.project == PROJECT[1]
    assert f"this server belongs to another project ({PROJECT[1]})" in str(refused.value)
    assert str(refused.value).startswith(bellcast_server.url)


async def test_blocking_client_in_an_event_loop_warns_its_caller(bellcast_server):
    with Bellcast(bellcast_server.url, bellcast_server.secret) as bell:
        with pytest.warns(RuntimeWarning, match="AsyncBellcast") as warned:
            assert bell.notify("alice", title="Hello").id
        assert warned[0].filename == __file__
        assert bell.token("alice")
        assert (await asyncio.to_thread(bell.notify, "loop-alice", title="Hello")).id


@pytest.mark.thorough
def test_blocking_client_works_next_to_the_loop_of_playwright(bellcast_server):
    with sync_playwright(), Bellcast(bellcast_server.url, bellcast_server.secret) as bell:
        asyncio.get_running_loop()  # raises without a running loop
        assert bell.notify("playwright-alice", title="Hello").id


def test_ids_and_texts_of_other_types_arrive_as_text(bell, bellcast_server):
    id, number = uuid4(), uuid4().int >> 70
    bell.notify([number, id], title=Markup("A &amp; B"), data={"safe": Markup("x"), "id": id}, expires_at="2h")
    for recipient in (number, id):
        (stored,) = bell.inbox(bell.token(recipient)).list().notifications
        assert (stored.title, stored.data) == ("A &amp; B", {"safe": "x", "id": str(id)})
        assert timedelta(minutes=118) < stored.expires_at - datetime.now(UTC) <= timedelta(hours=2)
    assert bell.recipients.put(number, name="Seven").key == str(number)
    bell.subscribe(f"room-{number}", number)
    assert [one.recipient for one in bell.subscriptions(f"room-{number}").subscriptions] == [str(number)]


def test_item_refused_by_the_client_stops_no_other(bell, alice):
    sent = bell.bulk([{"to": alice, "title": "One"}, {"to": alice, "titel": "Two"}, {"to": alice, "title": "Three"}])
    assert [bool(result.id) for result in sent] == [True, False, True]
    assert sent[1].error.errors[0].field == "titel"
    assert titles(bell.inbox(bell.token(alice)).list()) == ["Three", "One"]


def test_live_state_can_be_queried(bell):
    assert bell.publish("lobby", "doorbell", {"by": "Bob"}) is None
    assert bell.publish({"recipient": "alice"}, "doorbell") is None
    assert eventually(lambda: bell.connections(limit=5).connections == [])  # including those of earlier tests
    assert isinstance(bell.stats(), dict)


def test_kept_live_events_can_be_read_and_deleted(bell, alice):
    topic = f"kept-{alice}"
    for number in range(3):
        bell.publish(topic, "counted", number)
    bell.publish(topic, "counted", "not kept", keep=False)
    first = bell.topic_events(topic, limit=2)
    assert ([one.data for one in first.events], first.recovered) == ([0, 1], True)
    rest = bell.topic_events(topic, after=first.next)
    assert ([one.data for one in rest.events], rest.next, rest.epoch) == ([2], None, first.epoch)
    bell.clear_topic_events(topic)
    assert bell.topic_events(topic).events == []
    assert not bell.topic_events(topic, after=first.events[0].id).recovered


def test_wrong_secret_is_unauthorized(kind, bellcast_server):
    with client(kind, bellcast_server.url, "wrong") as bell, pytest.raises(Unauthorized) as refused:
        bell.stats()
    assert (refused.value.status, refused.value.code) == (401, "unauthenticated")


def test_secret_does_not_open_an_inbox(bell, bellcast_server):
    with pytest.raises(Forbidden):
        bell.inbox(bellcast_server.secret).counts()


def test_refusal_names_the_field_and_changes_nothing(bell, alice, bellcast_server):
    with pytest.raises(RequestRefused) as refused:
        bell.notify(alice, title="x", action_url="javascript:alert(1)")
    assert (refused.value.status, [error.field for error in refused.value.errors]) == (422, ["action_url"])
    with pytest.raises(RequestRefused, match="timezone: must be an IANA time zone such as Europe/Vienna"):
        bell.recipients.put(alice, timezone="Vienna")
    assert str(refused.value).count("action_url") == 1
    assert str(refused.value).startswith(f"{bellcast_server.url}/v1/notifications: 422 action_url: must be")
    assert bell.inbox(bell.token(alice)).list().notifications == []


def test_repeated_idempotency_key_sends_once(bell, alice):
    first = bell.notify(alice, title="Once", idempotency_key=f"once-{alice}")
    repeated = bell.notify(alice, title="Once", idempotency_key=f"once-{alice}")
    assert first == repeated
    assert bell.inbox(bell.token(alice)).counts().unread == 1


def test_send_with_a_lost_response_is_sent_once(kind, bellcast_server, alice):
    with (
        losing_responses(bellcast_server.url, 2) as proxy,
        client(kind, proxy.url, bellcast_server.secret, retries=QUICK) as bell,
    ):
        bell.notify(alice, title="Once")
        assert proxy.lost == 2
        assert bell.inbox(bell.token(alice)).counts().unread == 1


def test_bulk_send_with_a_lost_response_is_sent_once(kind, bellcast_server, alice):
    with (
        losing_responses(bellcast_server.url, 1) as proxy,
        client(kind, proxy.url, bellcast_server.secret, retries=QUICK) as bell,
    ):
        results = bell.bulk({"to": alice, "title": str(number)} for number in range(50))
        assert proxy.lost == 1
        assert len({result.id for result in results}) == 50
        assert bell.inbox(bell.token(alice)).counts().unread == 50


def test_address_without_a_server_is_unavailable(kind):
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{occupied.getsockname()[1]}"
        with (
            client(kind, url, "secret", retries=QUICK) as bell,
            pytest.raises(Unavailable, match=f"{url}/v1/stats: no"),
        ):
            bell.stats()


def test_page_of_another_web_server_is_unreadable(kind):
    with other_web_server() as url, client(kind, url, "secret", retries=QUICK) as bell, pytest.raises(Unreadable):
        bell.stats()


def test_silent_server_is_unavailable_after_the_timeout(kind):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        once = Retries(tries=1)
        with client(kind, url, "secret", timeout=0.2, retries=once) as bell, pytest.raises(Unavailable):
            bell.stats()


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip", "decompressing"),
        (b"302 Found\r\nLocation: http://xn--/\r\nContent-Length: 0\r\n\r\n", "A-label"),
    ],
    ids=["not compressed", "to no host"],
)
def test_malformed_response_is_unavailable(kind, response, reason):
    with (
        responding(b"HTTP/1.1 " + response) as url,
        client(kind, url, "secret", retries=Retries(tries=1)) as bell,
        pytest.raises(Unavailable, match=reason),
    ):
        bell.stats()


@contextmanager
def responding(response):
    """Run a server that sends one response."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def respond():
            near, _ = listener.accept()
            with near:
                near.recv(65536)
                near.sendall(response)

        threading.Thread(target=respond, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


class LossyProxy:
    """A proxy that loses the first responses after the server has done the work."""

    def __init__(self, target, losing):
        self.target, self.losing, self.lost = target, losing, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(near,), daemon=True).start()

    def carry(self, near):
        with near, socket.create_connection(self.target) as far:
            threading.Thread(target=self.pour, args=(near, far), daemon=True).start()
            while response := far.recv(65536):
                if self.lost < self.losing:
                    self.lost += 1
                    near.shutdown(socket.SHUT_RDWR)
                    return
                near.sendall(response)

    def pour(self, near, far):
        try:
            while sent := near.recv(65536):
                far.sendall(sent)
        except OSError:
            return


@contextmanager
def losing_responses(url, count):
    host, port = url.removeprefix("http://").split(":")
    proxy = LossyProxy((host, int(port)), count)
    yield proxy
    proxy.listener.close()


@contextmanager
def other_web_server():
    """Run a web server that is not Bellcast."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def response():
            near, _ = listener.accept()
            with near:
                near.recv(65536)
                near.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<h1>Welcome</h1>"[:-1])

        threading.Thread(target=response, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
