"""Reading inboxes and acting on them."""

from datetime import timedelta
from typing import Any

import pytest

from bellcast.inbox.types import Notification
from bellcast.inbox.types.inboxes import (
    Action,
    Change,
    InboxBulkChanged,
    Marking,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
    Position,
    Query,
    ResumeFrom,
    SentRows,
)
from bellcast.kernel import times
from bellcast.kernel.errors import NotFound
from tests.contract.app import App


async def test_inbox_is_created_when_first_opened(app: App) -> None:
    inbox = await app.inbox("alice")
    assert (inbox.state.revision, inbox.state.unread, inbox.state.unseen) == (0, 0, 0)
    assert await app.inbox("alice") == inbox


async def test_page_is_newest_first_and_continues_before_its_last_row(app: App) -> None:
    for number in range(5):
        await app.send("alice", f"{number}")
    first = await app.page("alice", limit=2)
    assert [row.title for row in first] == ["4", "3"]
    assert await app.titles("alice", limit=2, before=first[-1].id) == ["2", "1"]
    assert await app.titles("alice", limit=9, before=first[-1].id) == ["2", "1", "0"]


async def test_sent_content_is_read_unchanged(app: App) -> None:
    request = app.send_request(
        "alice",
        type="booking",
        body="Saturday, 14:00",
        priority="urgent",
        action_url="/bookings/7",
        action_text="Open",
        icon="/camera.svg",
        data={"booking": 7, "deep": [{"ö": None}], "float": 1.5, "large": 2**62},
        tags=("wedding", "urgent"),
        group="booking-7",
    )
    sent = await app.add(request)
    (shown,) = await app.page("alice")
    state = (await app.inbox("alice")).state
    assert sent.events == (NotificationAdded(state, shown),)
    assert (shown.data, shown.tags, shown.group) == (request.content.data, ("wedding", "urgent"), "booking-7")
    inbox = await app.inbox("alice")
    assert await app.store.inboxes.get(inbox.number, request.ids[0]) == shown


async def test_views_partition_the_inbox(app: App) -> None:
    ids = [await app.send("alice", title) for title in ("unread", "read", "archived")]
    await app.mark("alice", "read", ids=(ids[1],))
    await app.mark("alice", "archive", ids=(ids[2],))
    assert await app.titles("alice", view="unread") == ["unread"]
    assert await app.titles("alice", view="read") == ["read"]
    assert await app.titles("alice", view="archived") == ["archived"]
    assert await app.titles("alice", view="all") == ["read", "unread"]


async def test_all_view_merges_read_and_unread_across_pages(app: App) -> None:
    ids = [await app.send("alice", f"{number}") for number in range(9)]
    await app.mark("alice", "read", ids=(ids[0], ids[4], ids[5], ids[8]))
    await app.mark("alice", "archive", ids=(ids[3], ids[6]))
    assert await app.titles("alice", limit=3) == ["8", "7", "5"]
    assert await app.titles("alice", limit=3, before=ids[5]) == ["4", "2", "1"]


async def test_pages_filter_by_type_and_tag(app: App) -> None:
    await app.send("alice", "a", type="booking", tags=("x",))
    await app.send("alice", "b", type="booking", tags=("y",))
    read = await app.send("alice", "c", type="general", tags=("x", "y"))
    archived = await app.send("alice", "d", tags=("x",))
    await app.mark("alice", "read", ids=(read,))
    await app.mark("alice", "archive", ids=(archived,))
    assert await app.titles("alice", type="booking") == ["b", "a"]
    assert await app.titles("alice", tag="x") == ["c", "a"]
    assert await app.titles("alice", tag="x", type="booking") == ["a"]
    assert await app.titles("alice", tag="x", view="unread") == ["a"]
    assert await app.titles("alice", tag="x", view="archived") == ["d"]
    assert await app.titles("alice", tag="x", before=read) == ["a"]
    assert await app.titles("alice", tag="z") == []


async def test_unread_is_counted_by_type(app: App) -> None:
    for type in ("booking", "booking", "general"):
        await app.send("alice", type=type)
    read = await app.send("alice", type="read only")
    await app.mark("alice", "read", ids=(read,))
    inbox = await app.inbox("alice")
    assert (await app.store.inboxes.unread_by_type(inbox.number)).by_type == {"booking": 2, "general": 1}


@pytest.mark.parametrize(
    ("actions", "seen", "read", "archived", "counts"),
    [
        (("seen",), True, False, False, (1, 0)),
        (("read",), True, True, False, (0, 0)),
        (("read", "unread"), True, False, False, (1, 0)),
        (("read", "unseen"), False, False, False, (1, 1)),
        (("archive",), False, False, True, (0, 0)),
        (("read", "archive"), True, True, True, (0, 0)),
        (("archive", "unarchive"), False, False, False, (1, 1)),
    ],
)
async def test_action_sets_times_and_counters(
    app: App,
    actions: tuple[Action, ...],
    seen: bool,
    read: bool,
    archived: bool,
    counts: tuple[int, int],
) -> None:
    id = await app.send("alice")
    app.clock.advance(1)
    for action in actions:
        await app.mark("alice", action, ids=(id,))
    shown = await _get(app, id)
    assert (shown.seen_at is not None, shown.read_at is not None) == (seen, read)
    assert (shown.archived_at is not None) == archived
    assert await app.counts("alice") == counts


async def test_combined_actions_are_one_change(app: App) -> None:
    id = await app.send("alice")
    marked = await app.mark("alice", "read", "archive", ids=(id,))
    assert (marked.changed, marked.state.revision) == (1, 2)
    assert marked.events == (NotificationUpdated(marked.state, await _get(app, id)),)


async def test_action_without_effect_is_no_change(app: App) -> None:
    id = await app.send("alice")
    await app.mark("alice", "read", ids=(id,))
    before = await _get(app, id)
    app.clock.advance(60)
    marked = await app.mark("alice", "read", ids=(id,))
    assert (marked.changed, marked.events, marked.state.revision) == (0, (), 2)
    assert await _get(app, id) == before


async def test_several_rows_share_one_revision_and_one_event(app: App) -> None:
    ids = tuple([await app.send("alice") for _ in range(3)])
    marked = await app.mark("alice", "read", ids=(*ids, app.new_id()))
    assert (marked.changed, marked.state.revision, marked.state.unread) == (3, 4, 0)
    (event,) = marked.events
    assert isinstance(event, InboxBulkChanged)
    assert (event.changed, event.at, set(event.ids or ())) == ("read", app.now, set(ids))
    changes = await app.store.inboxes.changes((await app.inbox("alice")).number, 3, 10)
    assert {change.revision for change in changes.rows} == {4}


async def test_reading_keeps_the_earlier_seen_time(app: App) -> None:
    id = await app.send("alice")
    await app.mark("alice", "seen", ids=(id,))
    seen_at = (await _get(app, id)).seen_at
    app.clock.advance(60)
    await app.mark("alice", "read", ids=(id,))
    shown = await _get(app, id)
    assert shown.seen_at == seen_at != shown.read_at


async def test_deleted_row_is_removed_and_reported(app: App) -> None:
    id = await app.send("alice", tags=("x",))
    marked = await app.mark("alice", "delete", ids=(id,))
    assert marked.events == (NotificationDeleted(marked.state, id),)
    assert await app.page("alice") == await app.page("alice", tag="x") == []
    assert await app.counts("alice") == (0, 0)
    assert (await app.mark("alice", "delete", ids=(id,))).changed == 0


@pytest.mark.parametrize("max_row_events", [200, 2], ids=["row by row", "in bulk"])
@pytest.mark.parametrize(
    ("action", "filters", "remaining"),
    [
        ("read", {}, {"unread": [], "read": ["read", "plain", "booking"], "archived": ["archived"]}),
        ("read", {"type": "booking"}, {"unread": ["plain"], "read": ["read", "booking"], "archived": ["archived"]}),
        ("unread", {}, {"unread": ["read", "plain", "booking"], "read": [], "archived": ["archived"]}),
        ("archive", {}, {"unread": [], "read": [], "archived": ["archived", "read", "plain", "booking"]}),
        ("unarchive", {}, {"unread": ["plain", "booking"], "read": ["archived", "read"], "archived": []}),
        ("delete", {"view": "read"}, {"unread": ["plain", "booking"], "read": [], "archived": ["archived"]}),
        ("delete", {"view": "archived"}, {"unread": ["plain", "booking"], "read": ["read"], "archived": []}),
        ("delete", {"view": "all"}, {"unread": [], "read": [], "archived": ["archived"]}),
    ],
)
async def test_action_without_ids_applies_to_the_view(
    app: App,
    monkeypatch: pytest.MonkeyPatch,
    max_row_events: int,
    action: Action,
    filters: dict[str, Any],
    remaining: dict[str, list[str]],
) -> None:
    monkeypatch.setattr("bellcast.inbox.store.marking.MAX_ROW_EVENTS", max_row_events)
    await app.send("alice", "booking", type="booking")
    await app.send("alice", "plain")
    read = await app.send("alice", "read")
    archived = await app.send("alice", "archived")
    await app.mark("alice", "read", ids=(read, archived))
    await app.mark("alice", "archive", ids=(archived,))
    await app.mark("alice", action, **filters)
    assert {view: await app.titles("alice", view=view) for view in remaining} == remaining
    unseen = sum(row.seen_at is None for row in await app.page("alice"))
    assert await app.counts("alice") == (len(remaining["unread"]), unseen)


async def test_action_on_more_than_200_rows_is_reported_by_its_filter(app: App) -> None:
    await _send_many(app, 201)
    marked = await app.mark("alice", "read", type="general")
    assert marked.changed == 201
    assert marked.events == (InboxBulkChanged(marked.state, "read", app.now, None, "general", None),)
    assert await app.counts("alice") == (0, 0)
    deleted = await app.mark("alice", "delete", view="read")
    assert deleted.events == (InboxBulkChanged(deleted.state, "deleted", app.now, None, None, "read"),)
    assert await app.page("alice") == []


async def test_action_on_up_to_200_rows_is_reported_by_ids(app: App) -> None:
    ids = await _send_many(app, 200)
    marked = await app.mark("alice", "seen")
    (event,) = marked.events
    assert isinstance(event, InboxBulkChanged)
    assert set(event.ids or ()) == set(ids)


async def test_action_on_a_thousand_ids_is_reported_by_ids(app: App) -> None:
    ids = await _send_many(app, 1000)
    marked = await app.mark("alice", "read", ids=tuple(ids))
    (event,) = marked.events
    assert isinstance(event, InboxBulkChanged)
    assert len(event.ids or ()) == 1000


async def test_combined_actions_are_reported_row_by_row(app: App) -> None:
    ids = [await app.send("alice") for _ in range(3)]
    marked = await app.mark("alice", "read", "archive", ids=tuple(ids[:2]))
    assert [event.notification.id for event in marked.events if isinstance(event, NotificationUpdated)] == ids[:2]
    unseen = await app.mark("alice", "unseen", ids=tuple(ids))
    assert [event.notification.id for event in unseen.events if isinstance(event, NotificationUpdated)] == ids[:2]


async def test_changes_list_each_row_once_in_order_of_its_last_change(app: App) -> None:
    first, second, third = [await app.send("alice", title) for title in "abc"]
    await app.mark("alice", "read", ids=(first,))
    await app.mark("alice", "delete", ids=(second,))
    inbox = await app.inbox("alice")
    changes = await app.store.inboxes.changes(inbox.number, 0, 10)
    shown = {row.id: row for row in await app.page("alice")}
    assert changes.state == inbox.state
    assert changes.rows == (
        Change(third, 3, 3, shown[third]),
        Change(first, 1, 4, shown[first]),
        Change(second, 2, 5, None),
    )
    assert (await app.store.inboxes.changes(inbox.number, 4, 10)).rows == changes.rows[2:]
    assert (await app.store.inboxes.changes(inbox.number, 0, 2)).rows == changes.rows[:2]
    assert (await app.store.inboxes.changes(inbox.number, 5, 10)).rows == ()


async def test_opening_with_a_position_returns_the_missed_changes(app: App) -> None:
    _, second, _ = [await app.send("alice", title) for title in "abc"]
    state_before = (await app.inbox("alice")).state
    await app.mark("alice", "delete", ids=(second,))
    await app.announce("all")
    opened = await app.open("alice", since=ResumeFrom(Position(state_before.epoch, 1), 10))
    assert opened.missed == await app.store.inboxes.changes(opened.inbox.number, 1, 10)
    assert [change.notification is None for change in opened.missed.rows] == [False, True, False]
    assert opened.missed.state == opened.inbox.state
    newest = opened.inbox.state.revision
    again = await app.open("alice", since=ResumeFrom(Position(state_before.epoch, newest), 0))
    assert again.missed is not None
    assert again.missed.rows == ()


@pytest.mark.parametrize(
    ("revision", "base", "limit", "epoch_offset"),
    [
        pytest.param(1, None, 10, 1, id="another epoch"),
        pytest.param(99, None, 10, 0, id="ahead of the inbox"),
        pytest.param(2, 3, 10, 0, id="a replay base after the revision"),
        pytest.param(1, 1, 10, 0, id="rows of a replay ahead of the inbox"),
        pytest.param(1, None, 1, 0, id="more changes than the limit"),
    ],
)
async def test_unusable_position_returns_no_changes(
    app: App, revision: int, base: int | None, limit: int, epoch_offset: int
) -> None:
    for title in "abc":
        await app.send("alice", title)
    epoch = (await app.inbox("alice")).state.epoch
    position = Position(epoch + epoch_offset, revision, base, () if base is None else (SentRows(99, 99),))
    assert (await app.open("alice", since=ResumeFrom(position, limit))).missed is None


async def test_erased_inbox_cannot_be_acted_on(app: App) -> None:
    inbox = await app.inbox("alice")
    await app.store.recipients.delete("", "alice", app.now)
    with pytest.raises(NotFound):
        await app.store.inboxes.mark(inbox.number, Marking(actions=("read",)), app.now)
    with pytest.raises(NotFound):
        await app.store.inboxes.changes(inbox.number, 0, 10)
    with pytest.raises(NotFound):
        await app.store.inboxes.page(inbox.number, Query())


async def test_opening_stores_the_name_and_the_roles_of_the_session(app: App) -> None:
    opened = await app.open("alice", name="Alice", roles=("admin", "staff"))
    assert (opened.inbox.name, set(opened.inbox.roles)) == ("Alice", {"admin", "staff"})
    assert await app.store.subscriptions.among("", "alice", ["role.admin", "role.none"]) == {"role.admin"}
    again = await app.open("alice")
    assert (again.inbox.name, set(again.inbox.roles)) == ("Alice", {"admin", "staff"})
    fewer = await app.open("alice", roles=("staff",))
    assert fewer.inbox.roles == ("staff",)
    assert await app.store.subscriptions.among("", "alice", ["role.admin", "role.staff"]) == {"role.staff"}


async def _get(app: App, id: str) -> Notification:
    notification = await app.store.inboxes.get((await app.inbox("alice")).number, id)
    assert notification is not None
    return notification


async def _send_many(app: App, number: int) -> list[str]:
    requests = [app.send_request("alice") for _ in range(number)]
    await app.add_all(requests)
    return [request.ids[0] for request in requests]


@pytest.mark.parametrize("filters", [{}, {"view": "unread"}, {"type": "booking"}, {"tag": "vip"}], ids=str)
async def test_page_since_a_time_leaves_out_older_rows(app: App, filters: dict[str, Any]) -> None:
    content = {"type": "booking", "tags": ("vip",)}
    for title in ("oldest", "older", "new"):
        await app.send("alice", title, **content)
        moment = times.to_rfc3339(app.now)
        app.clock.advance(60)
    assert await app.titles("alice", since=moment, **filters) == ["new"]
    assert await app.titles("alice", since=moment - timedelta(minutes=1), **filters) == ["new", "older"]
    assert await app.titles("alice", since=moment + times.MILLISECOND, **filters) == []
