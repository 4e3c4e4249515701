"""Announcements: one row for many recipients, its audience, and its edits and recalls."""

import asyncio
from typing import Any

import pytest

from bellcast.inbox.types import Edit
from bellcast.inbox.types.inboxes import (
    AnnouncementChanged,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
)
from bellcast.kernel import times
from bellcast.kernel.events import Event
from bellcast.recipients.types import RecipientFields, SubscriptionEnded
from tests.contract.app import App


async def test_announcement_reaches_every_known_recipient(app: App) -> None:
    await app.open("alice")
    id = await app.announce("To all", tags=("news",), data={"a": 1})
    opened = await app.open("alice")
    (shown,) = await app.page("alice")
    assert (shown.id, shown.title, shown.data, shown.tags) == (id, "To all", {"a": 1}, ("news",))
    assert opened.events == (NotificationAdded(opened.inbox.state, shown),)
    assert (opened.inbox.state.revision, opened.inbox.state.unread, opened.inbox.state.unseen) == (1, 1, 1)
    assert await app.page("alice", tag="news") == [shown]
    assert (await app.open("alice")).events == ()


async def test_announcement_does_not_reach_later_recipients(app: App) -> None:
    id = await app.announce()
    assert await app.titles("bob") == []
    await app.store.sent.edit("", id, Edit(title="Edited"), app.now)
    assert await app.titles("bob") == []


async def test_announcement_emits_one_event(app: App) -> None:
    sent = await app.store.sends.announce(app.announce_request(topic="admins", tenant="acme"))
    assert sent.events == (AnnouncementChanged("acme", "admins"),)


async def test_topic_announcement_reaches_its_subscribers_at_the_time(app: App) -> None:
    for key in ("before", "never"):
        await app.open(key)
    await app.store.subscriptions.subscribe("", "admins", "before", app.now)
    await app.announce("To admins", topic="admins")
    await app.store.subscriptions.subscribe("", "admins", "after", app.now)
    assert await app.titles("before") == ["To admins"]
    assert await app.titles("never") == []
    assert await app.titles("after") == []


async def test_late_subscriber_gets_no_old_announcement_even_after_an_edit(app: App) -> None:
    await app.open("alice")
    id = await app.announce(topic="admins")
    await app.store.subscriptions.subscribe("", "admins", "alice", app.now)
    await app.store.sent.edit("", id, Edit(title="Edited"), app.now)
    assert await app.titles("alice") == []
    await app.announce("New", topic="admins")
    assert await app.titles("alice") == ["New"]


async def test_unsubscribed_recipient_keeps_earlier_announcements(app: App) -> None:
    await app.store.subscriptions.subscribe("", "admins", "alice", app.now)
    await app.announce("Before", topic="admins")
    events = await app.store.subscriptions.unsubscribe("", "admins", "alice", app.now)
    await app.announce("After", topic="admins")
    assert events is not None
    assert [type(event) for event in events] == [NotificationAdded, SubscriptionEnded]
    assert await app.titles("alice") == ["Before"]
    await app.store.subscriptions.subscribe("", "admins", "alice", app.now)
    assert await app.titles("alice") == ["Before"]


async def test_roles_are_topics(app: App) -> None:
    await app.store.recipients.put("", "alice", RecipientFields(roles=["admin"]), app.now, replace=False)
    await app.open("bob")
    await app.announce("Before", topic="role.admin")
    await app.open("bob", roles=("admin",))
    _, _, events = await app.store.recipients.put("", "alice", RecipientFields(roles=[]), app.now, replace=False)
    await app.announce("After", topic="role.admin")
    assert SubscriptionEnded("", "alice", "role.admin") in events
    assert await app.titles("alice") == ["Before"]
    assert await app.titles("bob") == ["After"]


async def test_edit_reaches_inboxes_with_and_without_the_announcement(app: App) -> None:
    for key in ("saw", "did not"):
        await app.open(key)
    id = await app.announce("Wrong")
    await app.open("saw")
    await app.mark("saw", "read", ids=(id,))
    edited = await app.store.sent.edit("", id, Edit(title="Right"), app.now)
    assert edited is not None
    assert (edited[0].notification.title, edited[1]) == ("Right", (AnnouncementChanged("", None),))
    opened = await app.open("saw")
    (shown,) = await app.page("saw")
    assert opened.events == (NotificationUpdated(opened.inbox.state, shown),)
    assert shown.read_at is not None
    assert (opened.inbox.state.revision, opened.inbox.state.unread) == (3, 0)
    assert await app.titles("did not") == ["Right"]


async def test_recall_removes_the_announcement_from_every_inbox(app: App) -> None:
    for key in ("saw", "archived", "did not"):
        await app.open(key)
    id = await app.announce(tags=("x",))
    await app.open("saw")
    await app.mark("archived", "archive", ids=(id,))
    assert await app.store.sent.recall("", id, app.now) == (AnnouncementChanged("", None),)
    for key in ("saw", "archived"):
        opened = await app.open(key)
        assert opened.events == (NotificationDeleted(opened.inbox.state, id),)
        assert await app.counts(key) == (0, 0)
        assert await app.page(key, tag="x") == await app.page(key, view="archived") == []
    late = await app.open("did not")
    assert (late.events, late.inbox.state.revision) == ((), 0)
    assert await app.store.sent.recall("", id, app.now) is None
    assert await app.store.sent.find("", id) is None


async def test_deleted_announcement_does_not_return_after_an_edit(app: App) -> None:
    await app.open("alice")
    id = await app.announce()
    await app.mark("alice", "delete", ids=(id,))
    await app.store.sent.edit("", id, Edit(title="Edited"), app.now)
    assert await app.titles("alice") == []


async def test_each_announcement_is_a_separate_change_in_order(app: App) -> None:
    await app.open("alice")
    first, second = await app.announce("1"), await app.announce("2")
    opened = await app.open("alice")
    received = [
        (event.notification.id, event.inbox.revision, event.inbox.unread)
        for event in opened.events
        if isinstance(event, NotificationAdded)
    ]
    assert received == [(first, 1, 1), (second, 2, 2)]


async def test_announcement_expired_before_opening_is_not_shown(app: App) -> None:
    await app.open("alice")
    await app.announce(expires_at=times.to_rfc3339(app.now + 1000))
    app.clock.advance(2)
    assert (await app.open("alice")).events == ()
    assert await app.counts("alice") == (0, 0)


async def test_expired_announcement_is_removed_from_inboxes(app: App) -> None:
    await app.open("alice")
    id = await app.announce(expires_at=times.to_rfc3339(app.now + 1000))
    await app.open("alice")
    assert await app.store.maintenance.next_expiry() == app.now + 1000
    app.clock.advance(1)
    assert await app.store.maintenance.expire(app.now, 10) == (1, [AnnouncementChanged("", None)])
    opened = await app.open("alice")
    assert opened.events == (NotificationDeleted(opened.inbox.state, id),)
    assert await app.store.maintenance.expire(app.now, 10) == (0, [])


async def test_announcement_to_every_tenant_reaches_all_tenants(app: App) -> None:
    for tenant in ("", "acme", "globex"):
        await app.open("alice", tenant)
    id = await app.announce("Everywhere", tenant="*")
    for tenant in ("", "acme", "globex"):
        assert await app.titles("alice", tenant=tenant) == ["Everywhere"]
    found = await app.store.sent.find("", id)
    assert found is not None
    assert (found.tenant, found.announcement, found.recipient) == ("*", True, None)
    assert await app.store.sent.find("acme", id) is None


async def test_materialize_emits_the_events_that_opening_would(app: App) -> None:
    for key in ("alice", "bob", "carol"):
        await app.open(key)
    recalled = await app.announce("Recalled")
    await app.open("bob")
    id = await app.announce("News")
    await app.store.sent.recall("", recalled, app.now)
    events = await app.materialize("", ["alice", "bob", "nobody"], app.now)
    received = [
        (type(event), event.inbox.recipient, event.inbox.revision, event.inbox.unread)
        for event in events
        if isinstance(event, NotificationAdded | NotificationDeleted)
    ]
    assert received == [
        (NotificationAdded, "alice", 1, 1),
        (NotificationAdded, "bob", 2, 2),
        (NotificationDeleted, "bob", 3, 1),
    ]
    assert (await app.open("bob")).events == ()
    assert [row.id for row in await app.page("bob")] == [id]
    assert await app.store.recipients.get("", "nobody") is None


async def test_materialize_handles_more_recipients_than_one_batch(app: App) -> None:
    keys = [f"r{number}" for number in range(1201)]
    for key in keys:
        await app.open(key)
    await app.announce()
    events = await app.materialize("", keys, app.now)
    assert [event.inbox.recipient for event in events if isinstance(event, NotificationAdded)] == keys
    assert await app.materialize("", keys, app.now) == []


@pytest.mark.parametrize("number", [3, 150])
async def test_announcements_to_others_leave_an_inbox_unchanged(app: App, number: int) -> None:
    before = await app.inbox("alice")
    for _ in range(number):
        await app.announce(topic="others")
    assert await app.inbox("alice") == before
    await app.announce("For alice too")
    assert await app.titles("alice") == ["For alice too"]


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"tenant": "*"},
        {"topic": "room"},
        {"topic": "role.admin"},
        {"tags": ("news", "studio"), "group": "g", "data": {"a": 1}},
    ],
    ids=str,
)
async def test_materialize_equals_opening_for_every_audience(app: App, sent: dict[str, Any]) -> None:
    """Connected inboxes may receive an announcement by a different statement than opened ones; the results must not differ."""
    keys = ["plain", "subscribed", "admin", "later member", "earlier member", "behind"]
    for twin in ("opened", "connected"):
        for key in keys:
            await app.open(f"{twin} {key}", roles=("admin",) if key in ("admin", "later member") else None)
        await app.store.subscriptions.subscribe("", "room", f"{twin} subscribed", app.now)
        await app.open(f"{twin} later member", roles=("admin",), member_since=app.now + 10_000)
        await app.open(f"{twin} earlier member", member_since=app.now - 10_000)
    first = await app.announce("First")
    for key in set(keys) - {"behind"}:
        await app.materialize("", [f"opened {key}", f"connected {key}"], app.now)
    await app.store.sent.edit("", first, Edit(title="Edited"), app.now)
    for key in set(keys) - {"behind", "plain"}:
        await app.materialize("", [f"opened {key}", f"connected {key}"], app.now)
    await app.announce("News", **sent)
    events = await app.materialize("", [f"connected {key}" for key in keys], app.now)
    assert await app.materialize("", [f"connected {key}" for key in keys], app.now) == []
    for key in keys:
        opened = await app.open(f"opened {key}")
        received = [event for event in events if key_of(event) == f"connected {key}"]
        assert [reduced(event) for event in received] == [reduced(event) for event in opened.events], key
        assert await app.page(f"connected {key}") == await app.page(f"opened {key}")
        assert await app.page(f"connected {key}", tag="news") == await app.page(f"opened {key}", tag="news")
        assert (await app.open(f"connected {key}")).events == ()


def key_of(event: Event) -> str:
    assert isinstance(event, NotificationAdded | NotificationUpdated | NotificationDeleted)
    return event.inbox.recipient


def reduced(event: Event) -> tuple[Any, ...]:
    """An event without its recipient and epoch."""
    assert isinstance(event, NotificationAdded | NotificationUpdated)
    state = event.inbox
    return type(event), state.revision, state.unread, state.unseen, event.notification


async def test_expired_announcement_that_is_not_removed_yet_cannot_be_extended(app: App) -> None:
    for key in ("alice", "bob"):
        await app.open(key)
    id = await app.announce(expires_at=times.to_rfc3339(app.now + 1_000))
    await app.open("alice")
    app.clock.advance(1)
    await app.open("bob")  # skips it
    assert await app.store.sent.edit("", id, Edit(expires_at=None), app.now) is None
    await app.store.maintenance.expire(app.now, 10)
    assert await app.titles("alice") == await app.titles("bob") == []


async def test_materialize_skips_an_expired_or_recalled_announcement(app: App) -> None:
    for key in ("alice", "bob"):
        await app.open(key)
    await app.announce("Expired", expires_at=times.to_rfc3339(app.now + 1_000))
    app.clock.advance(2)
    assert await app.materialize("", ["alice"], app.now) == []
    await app.store.sent.recall("", await app.announce("Recalled"), app.now)
    assert await app.materialize("", ["alice", "bob"], app.now) == []
    assert await app.counts("alice") == await app.counts("bob") == (0, 0)


async def test_materialize_names_the_recipients_with_nothing_pending(app: App) -> None:
    for key in ("alice", "bob"):
        await app.open(key)
    await app.announce()
    await app.open("bob")
    caught_up = [
        key
        async for materialized in app.store.sends.materialize("", ["alice", "bob"], app.now)
        for key in materialized.caught_up
    ]
    assert caught_up == ["bob"]


async def test_two_processes_materialize_an_announcement_once(app: App) -> None:
    keys = [f"r{number:03}" for number in range(120)]
    for key in keys:
        await app.open(key)
    await app.announce()
    both = await asyncio.gather(*(app.materialize("", keys, app.now) for _ in range(2)))
    assert sorted(key_of(event) for events in both for event in events) == keys
    assert {await app.counts(key) for key in keys[:5]} == {(1, 1)}
