"""The fixtures for tests of apps: the recording client, and the server in this process."""

import asyncio

import pytest

from bellcast import AsyncBellcast, Bellcast
from bellcast.client import RequestRefused, Unavailable
from bellcast.contrib import pytest_plugin

bellcast_server = pytest_plugin.bellcast_server  # the plugin's fixture: our own tests have another of this name


def test_fake_records_what_the_code_under_test_sends(bellcast_fake):
    Bellcast().notify(7, title="Booked", type="booking", data={"id": 7}, idempotency_key="booking-7")
    bellcast_fake.notify(["alice", "bob"], title="Two")
    Bellcast("https://bell.example.com", "another").publish("desk", "booking.made", {"id": 7})
    first, *rest = bellcast_fake.sent
    assert (first.to, first.title, first.type, first.data, first.idempotency_key) == (
        "7", "Booked", "booking", {"id": 7}, "booking-7",
    )  # fmt: skip
    assert [one.to for one in rest] == ["alice", "bob"]
    assert [one.title for one in bellcast_fake.sent_to("alice")] == ["Two"]
    (event,) = bellcast_fake.events
    assert (event.to, event.name, event.data) == ("desk", "booking.made", {"id": 7})
    bellcast_fake.clear()
    assert (bellcast_fake.sent, bellcast_fake.events) == ([], [])


def test_fake_records_async_clients(bellcast_fake):
    async def send():
        async with AsyncBellcast() as bell:
            await bell.notify("alice", title="Hello")

    asyncio.run(send())
    assert [one.title for one in bellcast_fake.sent] == ["Hello"]


@pytest.mark.parametrize("title", ["First", "Second"])
def test_same_idempotency_key_in_two_tests_is_two_sends(bellcast_fake, title):
    for _ in range(2):
        bellcast_fake.notify("alice", title=title, idempotency_key="booking-7")
    assert [one.title for one in bellcast_fake.sent] == [title]
    inbox = bellcast_fake.inbox(bellcast_fake.token("alice"))
    assert [row.title for row in inbox.list().notifications] == [title]


@pytest.mark.parametrize("title", ["First", "Second"])
def test_same_idempotency_key_in_two_tests_is_two_imports(bellcast_fake, title):
    bellcast_fake.import_notifications([{"to": "alice", "title": title, "idempotency_key": "old-7"}])
    inbox = bellcast_fake.inbox(bellcast_fake.token("alice"))
    assert [row.title for row in inbox.list().notifications] == [title]


def test_fake_refuses_what_the_server_refuses(bellcast_fake):
    with pytest.raises(RequestRefused, match="action_url"):
        bellcast_fake.notify("alice", title="Hello", action_url="javascript:x")
    results = bellcast_fake.bulk([{"to": "alice", "title": "Hello"}, {"to": "bob", "title": "x" * 501}])
    assert results[1].error is not None
    assert [one.to for one in bellcast_fake.sent] == ["alice"]


@pytest.mark.parametrize("known", [0, 1])
def test_next_test_begins_without_the_recipients_of_several_pages(bellcast_fake, known):
    assert bellcast_fake.recipients.list().recipients == []
    bellcast_fake.notify([f"person-{number}" for number in range(101)], title="Hello")


@pytest.mark.parametrize("title", ["First", "Second"])
def test_next_test_begins_without_announcements_and_tenants(bellcast_fake, title):
    def titles(tenant=None):
        inbox = bellcast_fake.inbox(bellcast_fake.token("alice", tenant=tenant))
        return [row.title for row in inbox.list().notifications]

    bellcast_fake.notify({"all": True}, title=title)
    bellcast_fake.notify("alice", title=title, tenant="acme / north")
    assert (titles(), titles("acme / north")) == ([title], [title])


def test_fake_fails_on_request(bellcast_fake):
    bellcast_fake.fail_with(Unavailable("down"))
    with pytest.raises(Unavailable):
        Bellcast().notify("alice", title="Hello")
    bellcast_fake.fail_with(None)
    Bellcast().notify("alice", title="Hello")
    assert len(bellcast_fake.sent) == 1


def test_server_of_the_plugin_answers_both_clients(bellcast_server):
    sent = bellcast_server.sync_client.notify("alice", title="Hello")

    async def read():
        async with bellcast_server.client as bell:
            return (await bell.notification(sent.id)).title

    assert asyncio.run(read()) == "Hello"
