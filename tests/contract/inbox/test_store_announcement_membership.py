"""Announcements from before a recipient was first seen: the window, the roles, and the app's own time of membership."""

import pytest

from bellcast.inbox.types import Edit
from bellcast.kernel import times
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.recipients.types import RecipientFields
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store

DAY = 86_400_000


@pytest.fixture
def week(store: Store, clock: FakeClock) -> App:
    """A store that adds the announcements of the last seven days to the inboxes of new recipients."""
    return App(Store(store._engine, lambda: 7 * DAY), clock)


async def test_newcomer_receives_the_announcements_of_the_window(week: App) -> None:
    await week.announce("Too old")
    week.clock.advance(6 * 86_400)
    await week.announce("To all", tags=("news",))
    await week.announce("To the project", tenant=EVERY_TENANT)
    await week.announce("To Acme", tenant="acme")
    await week.announce("To a topic", topic="room")
    week.clock.advance(2 * 86_400)
    opened = await week.open("alice")
    assert await week.titles("alice") == ["To the project", "To all"]
    assert (opened.inbox.state.unread, opened.inbox.state.unseen, opened.events) == (2, 2, ())
    assert [row.title for row in await week.page("alice", tag="news")] == ["To all"]
    assert await week.titles("bob", tenant="acme") == ["To Acme", "To the project"]


async def test_window_of_newcomers_changes_while_the_store_is_open(store: Store, clock: FakeClock) -> None:
    windows = [DAY, 0]
    app = App(Store(store._engine, lambda: windows[0]), clock)
    await app.announce("Maintenance")
    clock.advance(60)
    assert await app.titles("alice") == ["Maintenance"]
    windows.pop(0)
    assert await app.titles("bob") == []


async def test_newcomer_receives_announcements_as_they_read_now(week: App) -> None:
    id, recalled = await week.announce("Wrong"), await week.announce("Recalled")
    await week.announce("Expired", expires_at=times.to_rfc3339(week.now + 1000))
    await week.store.sent.edit("", id, Edit(title="Right"), week.now)
    await week.store.sent.recall("", recalled, week.now)
    week.clock.advance(2)
    assert await week.titles("alice") == ["Right"]


async def test_window_ends_where_the_recipient_was_first_seen(week: App) -> None:
    await week.announce("Before the window")
    week.clock.advance(6 * 86_400)
    await week.announce("In the window")
    week.clock.advance(2 * 86_400)
    await week.send("alice", "Direct")
    await week.announce("Since")
    week.clock.advance(30 * 86_400)
    assert await week.titles("alice") == ["Since", "Direct", "In the window"]


async def test_only_the_first_opening_adds_earlier_announcements(week: App) -> None:
    id = await week.announce("Hello")
    assert await week.titles("alice") == ["Hello"]
    await week.mark("alice", "delete", ids=(id,))
    await week.open("alice", member_since=1)
    assert await week.titles("alice") == []


async def test_newcomer_receives_what_its_roles_received(week: App) -> None:
    await week.announce("To admins", topic="role.admin")
    await week.announce("To editors", topic="role.editor")
    await week.open("alice", roles=("admin",))
    assert await week.titles("alice") == ["To admins"]
    await week.open("alice", roles=("admin", "editor"))
    await week.announce("To editors again", topic="role.editor")
    assert await week.titles("alice") == ["To editors again", "To admins"]


async def test_subscriber_of_a_topic_that_looks_like_a_role_receives_later_announcements_only(week: App) -> None:
    await week.announce("Before", topic="Role.admin")
    await week.store.subscriptions.subscribe("", "Role.admin", "alice", week.now)
    await week.announce("After", topic="Role.admin")
    assert await week.titles("alice") == ["After"]


async def test_role_of_the_record_counts_at_the_first_opening(week: App) -> None:
    await week.announce("To admins", topic="role.admin")
    await week.store.recipients.put("", "alice", RecipientFields(roles=["admin"]), week.now, replace=False)
    assert await week.titles("alice") == ["To admins"]


async def test_time_of_membership_decides_instead_of_the_window(app: App) -> None:
    await app.announce("Before")
    app.clock.advance(30 * 86_400)
    since = app.now
    await app.announce("First")
    app.clock.advance(30 * 86_400)
    await app.announce("Second")
    await app.open("alice", member_since=since)
    assert await app.titles("alice") == ["Second", "First"]
    record = await app.store.recipients.get("", "alice")
    assert record is not None
    assert record.member_since == times.to_rfc3339(since)


@pytest.mark.parametrize("ahead", [0, 1])
async def test_announcement_before_the_membership_is_not_received(app: App, ahead: int) -> None:
    fields = RecipientFields(member_since=times.to_rfc3339(app.now + DAY))
    await app.store.recipients.put("", "alice", fields, app.now, replace=False)
    if ahead:
        await app.open("alice")
    await app.announce("Before")
    app.clock.advance(2 * 86_400)
    await app.announce("After")
    assert await app.titles("alice") == ["After"]


@pytest.mark.parametrize("topic", ["room", "Role.x"])
async def test_membership_does_not_limit_subscriptions(app: App, topic: str) -> None:
    fields = RecipientFields(member_since=times.to_rfc3339(app.now + DAY))
    await app.store.recipients.put("", "alice", fields, app.now, replace=False)
    await app.store.subscriptions.subscribe("", topic, "alice", app.now)
    await app.announce("To subscribers", topic=topic)
    await app.open("alice")
    assert await app.titles("alice") == ["To subscribers"]


async def test_lost_role_keeps_what_was_announced_before_the_first_opening(week: App) -> None:
    await week.store.recipients.put("", "alice", RecipientFields(roles=["admin"]), week.now, replace=False)
    await week.announce("To admins", topic="role.admin")
    await week.store.recipients.put("", "alice", RecipientFields(roles=[]), week.now, replace=False)
    assert await week.titles("alice") == ["To admins"]


async def test_replaced_record_without_a_membership_clears_it(app: App) -> None:
    fields = RecipientFields(member_since=times.to_rfc3339(app.now))
    await app.store.recipients.put("", "alice", fields, app.now, replace=True)
    record, _, _ = await app.store.recipients.put("", "alice", RecipientFields(name="A"), app.now, replace=True)
    assert (record.member_since, record.name) == (None, "A")
