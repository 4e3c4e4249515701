"""One row for many: who hears an announcement, when, and what becomes of it."""

import pytest

from bellcast.model import times
from bellcast.model.events import (
    AnnouncementChanged,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
    SubscriptionEnded,
)
from bellcast.model.identities import RecipientFields
from bellcast.model.notifications import Edit
from tests.contract.app import App


async def test_everyone_first_seen_before_it_was_sent_hears_it(app: App) -> None:
    await app.open("alice")
    id = await app.announce("To all", tags=("news",), data={"a": 1})
    opened = await app.open("alice")
    (shown,) = await app.page("alice")
    assert (shown.id, shown.title, shown.data, shown.tags) == (id, "To all", {"a": 1}, ("news",))
    assert opened.events == (NotificationAdded(opened.inbox.state, shown),)
    assert (opened.inbox.state.revision, opened.inbox.state.unread, opened.inbox.state.unseen) == (1, 1, 1)
    assert await app.page("alice", tag="news") == [shown]
    assert (await app.open("alice")).events == ()


async def test_who_comes_later_does_not_hear_it(app: App) -> None:
    id = await app.announce()
    assert await app.titles("bob") == []
    await app.store.sends.edit("", id, Edit(title="Edited"), app.now)
    assert await app.titles("bob") == []


async def test_sending_one_costs_one_event_whatever_its_audience(app: App) -> None:
    sent = await app.store.sends.announce(app.announcing(topic="admins", tenant="acme"))
    assert sent.events == (AnnouncementChanged("acme", "admins"),)


async def test_a_topic_reaches_those_on_it_when_it_was_sent(app: App) -> None:
    for key in ("before", "never"):
        await app.open(key)
    await app.store.recipients.subscribe("", "admins", "before", app.now)
    await app.announce("To admins", topic="admins")
    await app.store.recipients.subscribe("", "admins", "after", app.now)
    assert await app.titles("before") == ["To admins"]
    assert await app.titles("never") == []
    assert await app.titles("after") == []


async def test_joining_late_hears_nothing_old_even_when_it_is_edited(app: App) -> None:
    await app.open("alice")
    id = await app.announce(topic="admins")
    await app.store.recipients.subscribe("", "admins", "alice", app.now)
    await app.store.sends.edit("", id, Edit(title="Edited"), app.now)
    assert await app.titles("alice") == []
    await app.announce("New", topic="admins")
    assert await app.titles("alice") == ["New"]


async def test_leaving_keeps_what_was_sent_before(app: App) -> None:
    await app.store.recipients.subscribe("", "admins", "alice", app.now)
    await app.announce("Before", topic="admins")
    events = await app.store.recipients.unsubscribe("", "admins", "alice", app.now)
    await app.announce("After", topic="admins")
    assert events is not None
    assert [type(event) for event in events] == [NotificationAdded, SubscriptionEnded]
    assert await app.titles("alice") == ["Before"]
    await app.store.recipients.subscribe("", "admins", "alice", app.now)
    assert await app.titles("alice") == ["Before"]


async def test_a_role_is_a_topic(app: App) -> None:
    await app.store.recipients.put("", "alice", RecipientFields(roles=["admin"]), app.now, replace=False)
    await app.open("bob")
    await app.announce("Before", topic="role.admin")
    await app.open("bob", roles=("admin",))
    _, _, events = await app.store.recipients.put("", "alice", RecipientFields(roles=[]), app.now, replace=False)
    await app.announce("After", topic="role.admin")
    assert SubscriptionEnded("", "alice", "role.admin") in events
    assert await app.titles("alice") == ["Before"]
    assert await app.titles("bob") == ["After"]


async def test_an_edit_shows_to_those_who_had_it_and_those_who_had_not(app: App) -> None:
    for key in ("saw", "did not"):
        await app.open(key)
    id = await app.announce("Wrong")
    await app.open("saw")
    await app.mark("saw", "read", ids=(id,))
    edited = await app.store.sends.edit("", id, Edit(title="Right"), app.now)
    assert edited is not None
    assert (edited[0].notification.title, edited[1]) == ("Right", (AnnouncementChanged("", None),))
    opened = await app.open("saw")
    (shown,) = await app.page("saw")
    assert opened.events == (NotificationUpdated(opened.inbox.state, shown),)
    assert shown.read_at is not None
    assert (opened.inbox.state.revision, opened.inbox.state.unread) == (3, 0)
    assert await app.titles("did not") == ["Right"]


async def test_a_recall_takes_it_from_those_who_had_it_and_spares_the_others(app: App) -> None:
    for key in ("saw", "archived", "did not"):
        await app.open(key)
    id = await app.announce(tags=("x",))
    await app.open("saw")
    await app.mark("archived", "archive", ids=(id,))
    assert await app.store.sends.recall("", id, app.now) == (AnnouncementChanged("", None),)
    for key in ("saw", "archived"):
        opened = await app.open(key)
        assert opened.events == (NotificationDeleted(opened.inbox.state, id),)
        assert await app.counts(key) == (0, 0)
        assert await app.page(key, tag="x") == await app.page(key, view="archived") == []
    late = await app.open("did not")
    assert (late.events, late.inbox.state.revision) == ((), 0)
    assert await app.store.sends.recall("", id, app.now) is None
    assert await app.store.sends.find("", id) is None


async def test_what_a_recipient_deleted_stays_deleted(app: App) -> None:
    await app.open("alice")
    id = await app.announce()
    await app.mark("alice", "delete", ids=(id,))
    await app.store.sends.edit("", id, Edit(title="Edited"), app.now)
    assert await app.titles("alice") == []


async def test_each_announcement_is_a_change_of_its_own_in_the_order_sent(app: App) -> None:
    await app.open("alice")
    first, second = await app.announce("1"), await app.announce("2")
    opened = await app.open("alice")
    told = [
        (event.notification.id, event.inbox.revision, event.inbox.unread)
        for event in opened.events
        if isinstance(event, NotificationAdded)
    ]
    assert told == [(first, 1, 1), (second, 2, 2)]


async def test_one_that_expired_before_it_was_looked_at_never_shows(app: App) -> None:
    await app.open("alice")
    await app.announce(expires_at=times.to_rfc3339(app.now + 1000))
    app.clock.advance(2)
    assert (await app.open("alice")).events == ()
    assert await app.counts("alice") == (0, 0)


async def test_one_that_expires_leaves_the_inboxes_that_had_it(app: App) -> None:
    await app.open("alice")
    id = await app.announce(expires_at=times.to_rfc3339(app.now + 1000))
    await app.open("alice")
    assert await app.store.upkeep.next_expiry() == app.now + 1000
    app.clock.advance(1)
    assert await app.store.upkeep.expire(app.now, 10) == (1, [AnnouncementChanged("", None)])
    opened = await app.open("alice")
    assert opened.events == (NotificationDeleted(opened.inbox.state, id),)
    assert await app.store.upkeep.expire(app.now, 10) == (0, [])


async def test_every_tenant_hears_what_is_for_every_tenant(app: App) -> None:
    for tenant in ("", "acme", "globex"):
        await app.open("alice", tenant)
    id = await app.announce("Everywhere", tenant="*")
    for tenant in ("", "acme", "globex"):
        assert await app.titles("alice", tenant=tenant) == ["Everywhere"]
    found = await app.store.sends.find("", id)
    assert found is not None
    assert (found.tenant, found.announcement, found.recipient) == ("*", True, None)
    assert await app.store.sends.find("acme", id) is None


async def test_taking_in_tells_each_inbox_as_opening_it_would(app: App) -> None:
    for key in ("alice", "bob", "carol"):
        await app.open(key)
    gone = await app.announce("Recalled")
    await app.open("bob")
    id = await app.announce("News")
    await app.store.sends.recall("", gone, app.now)
    events = await app.materialize("", ["alice", "bob", "nobody"], app.now)
    told = [
        (type(event), event.inbox.recipient, event.inbox.revision, event.inbox.unread)
        for event in events
        if isinstance(event, NotificationAdded | NotificationDeleted)
    ]
    assert told == [
        (NotificationAdded, "alice", 1, 1),
        (NotificationAdded, "bob", 2, 2),
        (NotificationDeleted, "bob", 3, 1),
    ]
    assert (await app.open("bob")).events == ()
    assert [one.id for one in await app.page("bob")] == [id]
    assert await app.store.recipients.get("", "nobody") is None


async def test_taking_in_reaches_more_than_one_slice(app: App) -> None:
    keys = [f"r{number}" for number in range(1201)]
    for key in keys:
        await app.open(key)
    await app.announce()
    events = await app.materialize("", keys, app.now)
    assert [event.inbox.recipient for event in events if isinstance(event, NotificationAdded)] == keys
    assert await app.materialize("", keys, app.now) == []


@pytest.mark.parametrize("number", [3, 150])
async def test_announcements_to_others_cost_nothing_and_hide_nothing(app: App, number: int) -> None:
    before = await app.inbox("alice")
    for _ in range(number):
        await app.announce(topic="others")
    assert await app.inbox("alice") == before
    await app.announce("For alice too")
    assert await app.titles("alice") == ["For alice too"]
