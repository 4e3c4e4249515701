"""Snoozed rows are not counted and in one view only; they return unread, unseen and first. Action buttons work once."""

from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from bellcast.channels.types import NewDecision
from bellcast.inbox.store.marking import MAX_SNOOZES
from bellcast.inbox.types import ActionButton, Edit
from bellcast.inbox.types.inboxes import CountsQuery, NotificationAdded, NotificationUpdated, Query
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.db.script import Statement
from bellcast.kernel.errors import Conflict, NotFound
from tests.contract.app import App
from tests.contract.inbox.replica import Replica

BUTTONS = (ActionButton(key="yes", label="Accept", call="answer"), ActionButton(key="no", label="Decline", url="/no"))
VIEWS = ("all", "unread", "read", "archived", "snoozed")


async def views_of(app: App, id: str) -> list[str]:
    return [view for view in VIEWS if id in [row.id for row in await app.page("alice", view=view)]]


async def snoozed(app: App, *ids: str, seconds: int = 60) -> None:
    await app.mark("alice", "snooze", ids=ids, until=app.now + seconds * 1000)


async def test_snoozed_row_is_in_its_own_view_and_in_no_count(app: App) -> None:
    id = await app.send("alice")
    marked = await app.mark("alice", "snooze", ids=(id,), until=app.now + 60_000)
    (event,) = marked.events
    assert isinstance(event, NotificationUpdated)
    assert event.notification.snoozed_until is not None
    assert event.notification.archived_at is None
    assert await views_of(app, id) == ["snoozed"]
    assert await app.counts("alice") == (0, 0)
    again = await app.mark("alice", "snooze", ids=(id,), until=app.now + 60_000)
    assert again.changed == 0


async def test_rows_snoozed_together_have_an_event_and_a_revision_each(app: App) -> None:
    ids = [await app.send("alice") for _ in range(3)]
    before = (await app.inbox("alice")).state.revision
    marked = await app.mark("alice", "snooze", ids=tuple(ids), until=app.now + 60_000)
    assert marked.changed == 3
    assert [event.inbox.revision for event in marked.events] == [before + 1, before + 2, before + 3]
    assert marked.state == marked.events[-1].inbox
    assert await app.counts("alice") == (0, 0)


@pytest.mark.parametrize(("action", "view"), [("archive", "archived"), ("unarchive", "read"), ("delete", None)])
@pytest.mark.parametrize("max_row_events", [200, 0])
async def test_snooze_ends_by_another_action(
    app: App, monkeypatch: pytest.MonkeyPatch, action: str, view: str | None, max_row_events: int
) -> None:
    monkeypatch.setattr("bellcast.inbox.store.marking.MAX_ROW_EVENTS", max_row_events)
    id, other = await app.send("alice"), await app.send("alice")
    await app.mark("alice", "read", ids=(id,))
    await app.mark("alice", "archive", ids=(other,))
    await snoozed(app, id)
    marked = await app.mark("alice", action, view="snoozed")  # type: ignore[arg-type]  # a text of the parameters
    assert marked.changed == 1
    assert await views_of(app, id) == ([] if view is None else ["all", "read"] if view == "read" else [view])
    assert await views_of(app, other) == ["archived"]
    app.clock.advance(100)
    assert await app.store.maintenance.wake(app.now, 10) == (0, [])


async def test_row_wakes_unread_unseen_and_first(app: App) -> None:
    old, middle, new = [await app.send("alice", title) for title in ("old", "middle", "new")]
    await app.mark("alice", "read", ids=(old,))
    await snoozed(app, old)
    assert await app.store.maintenance.next_expiry() == app.now + 60_000
    assert await app.store.maintenance.wake(app.now, 10) == (0, [])
    app.clock.advance(3600)
    changed, (event,) = await app.store.maintenance.wake(app.now, 10)
    assert changed == 1
    assert isinstance(event, NotificationAdded)
    woken = event.notification
    assert (woken.id, woken.seen_at, woken.read_at, woken.snoozed_until) == (old, None, None, None)
    assert woken.woken_at is not None
    assert await app.counts("alice") == (event.inbox.unread, event.inbox.unseen) == (3, 3)
    for query in ({}, {"view": "unread"}, {"priority": "normal"}):
        assert [row.id for row in await app.page("alice", **query)] == [old, new, middle]
    app.clock.advance(1)
    later = await app.send("alice")
    assert [row.id for row in await app.page("alice", limit=2)] == [later, old]
    assert await app.store.maintenance.next_expiry() is None


async def until_back(app: App, *ids: str) -> int:
    """Snooze until Alice is back, for at most a minute; return the number of her inbox."""
    await app.mark("alice", "snooze", ids=ids, until=app.now + 60_000, until_back=True)
    return (await app.inbox("alice")).number


async def awaits_return(app: App) -> bool:
    return (await app.store.inboxes.page((await app.inbox("alice")).number, Query())).awaits_return


async def test_rows_snoozed_until_back_return_together_and_others_stay(app: App) -> None:
    first, second, timed, new = [await app.send("alice", title) for title in ("first", "second", "timed", "new")]
    bobs = await app.send("bob")
    await app.mark("bob", "snooze", ids=(bobs,), until=app.now + 60_000, until_back=True)
    await snoozed(app, timed)
    assert not await awaits_return(app)
    number = await until_back(app, first, second)
    assert await awaits_return(app)
    revision = (await app.inbox("alice")).state.revision
    app.clock.advance(1)
    steps = [await app.store.inboxes.wake_until_back(number, app.now, 1) for _ in range(3)]
    assert [marked.changed for marked in steps] == [1, 1, 0]
    events = [event for marked in steps for event in marked.events]
    assert [event.inbox.revision for event in events] == [revision + 1, revision + 2]
    assert all(isinstance(event, NotificationAdded) and event.notification.woken_at for event in events)
    assert steps[-1].state == events[-1].inbox
    assert await app.counts("alice") == (3, 3)
    assert [row.id for row in await app.page("alice")] == [second, first, new]
    assert await views_of(app, timed) == ["snoozed"]
    assert not await awaits_return(app)
    assert len(await app.page("bob", view="snoozed")) == 1


async def test_only_rows_snoozed_until_back_say_that_they_await_the_return(app: App) -> None:
    position = (await app.inbox("alice")).state.revision
    await app.open("alice")
    id, timed, announced = await app.send("alice"), await app.send("alice"), await app.announce("to all")
    await app.open("alice")
    await snoozed(app, timed)
    marked = await app.mark("alice", "snooze", ids=(id, announced), until=app.now + 60_000, until_back=True)
    number = (await app.inbox("alice")).number
    assert [event.notification.awaits_return for event in marked.events] == [True, True]
    awaits = {row.id: row.awaits_return for row in await app.page("alice", view="snoozed")}
    assert awaits == {id: True, timed: UNSET, announced: True}
    found = [await app.store.inboxes.get(number, one) for one in (id, timed)]
    assert [one.awaits_return for one in found if one is not None] == [True, UNSET]
    missed = (await app.store.inboxes.changes(number, position, 10)).rows
    assert {one.id: one.notification.awaits_return for one in missed if one.notification is not None} == awaits
    (read,) = (await app.mark("alice", "read", ids=(id,))).events
    edited = await app.store.sent.edit("", id, Edit(title="Edited"), app.now)
    assert edited is not None
    await app.store.sent.edit("", announced, Edit(title="Edited"), app.now)
    (corrected,) = (await app.open("alice")).events
    updates = [event for event in (read, *edited[1], corrected) if isinstance(event, NotificationUpdated)]
    assert [update.notification.awaits_return for update in updates] == [True] * 3


async def test_lists_of_sent_notifications_say_which_await_the_return(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, timed = await app.send("alice"), await app.send("alice")
    await app.mark("alice", "snooze", ids=(id,), until=app.now + 60_000, until_back=True)
    await snoozed(app, timed)
    single = [await app.store.sent.find("", one) for one in (id, timed)]
    assert [one.notification.awaits_return for one in single if one is not None] == [True, UNSET]

    async def listed(query: ListQuery) -> dict[str, object]:
        return {
            one.notification.id: one.notification.awaits_return
            for one in (await app.store.sent.notifications(query)).items
        }

    awaits = {id: True, timed: UNSET}
    assert await listed(ListQuery()) == await listed(ListQuery(tenants=[""])) == awaits
    assert await listed(ListQuery(tenants=[""], filters={"recipient": "alice"})) == awaits
    # Those of a tenant that has few rows among many of others.
    monkeypatch.setattr("bellcast.kernel.db.lists.FIRST_SCANNED_ROWS", 1)
    assert await listed(ListQuery(tenants=[""])) == awaits


async def test_corrections_of_many_inboxes_read_once_which_rows_await_the_return(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["alice", "bob", "carol"]
    for name in names:
        await app.open(name)
    announced = [await app.announce("first"), await app.announce("second")]
    await app.materialize("", names, app.now)
    for name in names:
        first, second = announced if name == "alice" else announced[::-1]
        await app.mark(name, "snooze", ids=(first,), until=app.now + 60_000, until_back=True)
        await app.mark(name, "snooze", ids=(second,), until=app.now + 60_000)
    for id in announced:
        await app.store.sent.edit("", id, Edit(title="Edited"), app.now)
    made: list[str] = []

    def statement(name: str, *args: Any, **fields: Any) -> Statement:
        made.append(name)
        return Statement(name, *args, **fields)

    monkeypatch.setattr("bellcast.inbox.store.announcements.Statement", statement)
    events = await app.materialize("", names, app.now)
    assert made.count("announced_until_back") == 1
    awaiting = {
        (event.inbox.recipient, event.notification.id)
        for event in events
        if isinstance(event, NotificationUpdated) and event.notification.awaits_return is True
    }
    assert awaiting == {("alice", announced[0]), ("bob", announced[1]), ("carol", announced[1])}
    assert len(events) == 6


async def test_row_snoozed_until_back_returns_at_the_latest_at_its_time(app: App) -> None:
    number = await until_back(app, await app.send("alice"))
    app.clock.advance(61)
    assert (await app.store.maintenance.wake(app.now, 10))[0] == 1
    assert not await awaits_return(app)
    assert (await app.store.inboxes.wake_until_back(number, app.now, 10)).changed == 0


@pytest.mark.parametrize("action", ["archive", "unarchive", "delete"])
@pytest.mark.parametrize("max_row_events", [200, 0])
async def test_row_acted_on_no_longer_awaits_the_return(
    app: App, monkeypatch: pytest.MonkeyPatch, action: str, max_row_events: int
) -> None:
    monkeypatch.setattr("bellcast.inbox.store.marking.MAX_ROW_EVENTS", max_row_events)
    number = await until_back(app, await app.send("alice"))
    await app.mark("alice", action, view="snoozed")  # type: ignore[arg-type]  # a text of the parameters
    assert not await awaits_return(app)
    assert (await app.store.inboxes.wake_until_back(number, app.now, 10)).changed == 0


async def test_row_snoozed_again_has_the_later_end_alone(app: App) -> None:
    id = await app.send("alice")
    number = await until_back(app, id)
    await snoozed(app, id)  # the same time, without the return
    assert not await awaits_return(app)
    assert (await app.store.inboxes.wake_until_back(number, app.now, 10)).changed == 0
    await until_back(app, id)
    assert await awaits_return(app)


async def test_waking_is_bounded_and_includes_announcements(app: App) -> None:
    await app.open("alice")
    announced = await app.announce("to all")
    sent = [await app.send("alice") for _ in range(3)]
    await app.open("alice")
    await snoozed(app, announced, *sent)
    app.clock.advance(61)
    assert [(await app.store.maintenance.wake(app.now, 2))[0] for _ in range(3)] == [2, 2, 0]
    assert await app.counts("alice") == (4, 4)


async def test_announcement_edited_or_recalled_while_snoozed(app: App) -> None:
    await app.open("alice")
    edited, recalled = await app.announce("a"), await app.announce("b")
    await app.open("alice")
    await snoozed(app, edited, recalled)
    await app.store.sent.edit("", edited, Edit(title="edited"), app.now)
    await app.store.sent.recall("", recalled, app.now)
    device = Replica()
    opened = await app.open("alice")
    assert len(opened.events) == 2
    assert [row.title for row in await app.page("alice", view="snoozed")] == ["edited"]
    event = opened.events[0]
    assert isinstance(event, NotificationUpdated)
    assert event.notification == (await app.page("alice", view="snoozed"))[0]
    assert await app.counts("alice") == (0, 0) == device.counted


async def test_snoozes_are_recorded_up_to_a_limit(app: App) -> None:
    id = await app.send("alice")
    for _ in range(MAX_SNOOZES + 1):
        app.clock.advance(1)
        await snoozed(app, id)
        await app.mark("alice", "unarchive", ids=(id,), view="snoozed")
    recorded = await app.store.messages.actions("", id, "alice", 100)
    assert [one.what for one in recorded] == ["snoozed"] * MAX_SNOOZES
    assert await app.store.messages.decisions("", id, "alice", 100) == []
    assert await app.store.messages.actions("acme", id, None, 100) == []


async def test_action_is_taken_once(app: App) -> None:
    id = await app.send("alice", actions=BUTTONS, body_format="markdown")
    number = (await app.inbox("alice")).number
    (row,) = await app.page("alice")
    assert (row.actions, row.body_format, row.acted) == (BUTTONS, "markdown", None)
    notification, _, (event,) = await app.store.inboxes.act(number, id, "yes", app.now)
    assert isinstance(event, NotificationUpdated)
    assert event.notification == notification == (await app.page("alice"))[0]
    assert notification.acted is not None
    assert notification.read_at is not None
    assert await app.counts("alice") == (0, 0)
    assert (await app.store.inboxes.act(number, id, "yes", app.now))[2] == ()
    with pytest.raises(Conflict):
        await app.store.inboxes.act(number, id, "no", app.now)
    with pytest.raises(NotFound):
        await app.store.inboxes.act(number, id, "maybe", app.now)
    with pytest.raises(NotFound):
        await app.store.inboxes.act(number, app.new_id(), "yes", app.now)


async def test_announcement_has_its_actions(app: App) -> None:
    await app.open("alice")
    id = await app.announce(actions=BUTTONS, body_format="markdown")
    number = (await app.inbox("alice")).number
    (row,) = await app.page("alice")
    assert (row.actions, row.body_format) == (BUTTONS, "markdown")
    await app.store.inboxes.act(number, id, "yes", app.now)
    await app.store.sent.edit("", id, Edit(actions=[], body_format="plain"), app.now)
    await app.open("alice")
    (row,) = await app.page("alice")
    assert (row.actions, row.body_format) == ((), "plain")
    assert row.acted is not None


async def test_filters_select_one_of_several_values(app: App) -> None:
    await app.send("alice", "a", type="x", tags=("red",), priority="high")
    await app.send("alice", "b", type="y", tags=("blue",), priority="low")
    await app.send("alice", "c", type="z", tags=("red", "blue"))
    number = (await app.inbox("alice")).number
    for query, titles in (
        (Query(type=["x", "z"]), ["c", "a"]),
        (Query(tag=["red", "blue"]), ["c", "b", "a"]),
        (Query(tag=["red"], priority=["high", "low"]), ["a"]),
        (Query(priority=["normal"], view="unread"), ["c"]),
        (Query(type=["x", "y"], limit=1), ["b"]),
    ):
        page = await app.store.inboxes.page(number, query)
        assert [row.title for row in page.notifications] == titles
    await app.mark("alice", "seen", ids=((await app.page("alice", type="x"))[0].id,))
    counted = await app.store.inboxes.unread_by_type(number, CountsQuery(tag=["red"]))
    assert (counted.by_type, counted.unread, counted.unseen) == ({"x": 1, "z": 1}, 2, 1)


@pytest.mark.parametrize("max_row_events", [200, 0])
async def test_all_with_a_tag_in_a_view(app: App, monkeypatch: pytest.MonkeyPatch, max_row_events: int) -> None:
    monkeypatch.setattr("bellcast.inbox.store.marking.MAX_ROW_EVENTS", max_row_events)
    for tags in (("red",), ("red",), ("blue",), ()):
        await app.send("alice", tags=tags)
    assert (await app.mark("alice", "read", tag="red")).changed == 2
    assert (await app.mark("alice", "archive", view="read", tag="blue")).changed == 0
    assert (await app.mark("alice", "archive", view="read")).changed == 2
    assert (await app.mark("alice", "delete", tag="red", view="archived")).changed == 2
    assert len(await app.page("alice")) == 2
    assert await app.page("alice", tag="red", view="archived") == []


async def test_recall_in_the_millisecond_of_a_snooze_is_recorded(app: App) -> None:
    request = app.send_request("alice")
    (id,) = request.ids
    decision = NewDecision(
        tenant="", notification=id, recipient="alice", channel="inbox", outcome="send", decided_at=app.now
    )
    async for _ in app.store.sends.add([replace(request, decisions=(decision,))]):
        pass
    await snoozed(app, id)
    assert await app.store.sent.recall("", id, app.now) is not None
    actions = await app.store.messages.actions("", id, None, 10)
    assert sorted(action.what for action in actions) == ["recalled", "snoozed"]
