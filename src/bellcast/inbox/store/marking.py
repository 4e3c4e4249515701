"""Marks of a recipient on notifications: one revision for all changed rows, and the counters with them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from bellcast.channels.store import messages
from bellcast.inbox import types as notification_types
from bellcast.inbox.store import rows
from bellcast.inbox.types import ActionButton, Notification, View
from bellcast.inbox.types.inboxes import (
    Action,
    Changed,
    InboxBulkChanged,
    InboxEvent,
    InboxState,
    Marked,
    Marking,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
)
from bellcast.kernel import ids
from bellcast.kernel.db import columns
from bellcast.kernel.db.script import Row, Script, Statement
from bellcast.kernel.errors import NotFound
from bellcast.webhooks import store as webhook_events
from bellcast.webhooks.types import EventReport, WebhookEvent, no_report

# The first and last part of each view (`notifications.part`).
MARK_PARTS: dict[View, tuple[int, int]] = {
    "all": (0, 1),
    "unread": (0, 0),
    "read": (1, 1),
    "archived": (2, 2),
    "snoozed": (2, 2),
}
# Maximum snoozes in a notification's timeline. Recipients can snooze as often as they like.
MAX_SNOOZES = 20
# More rows than this are written by one statement and published as a single event.
MAX_ROW_EVENTS = 200
# Maximum ids of changed rows in a result: enough for one request that undoes the action (`BELLCAST_LIMIT_IDS`).
MAX_REPORTED_IDS = 1_000
EVENT_NAMES: dict[Action, Changed] = {
    "seen": "seen",
    "read": "read",
    "unread": "unread",
    "archive": "archived",
    "unarchive": "unarchived",
    "delete": "deleted",
}


class Effect(NamedTuple):
    """The effect of actions: each time is set (1), cleared (-1) or left (0), or the row is deleted."""

    seen: int = 0
    read: int = 0
    archived: int = 0
    snooze: bool = False
    deleted: bool = False


EFFECTS: dict[Action, dict[str, Any]] = {
    "seen": {"seen": 1},
    "unseen": {"seen": -1, "read": -1},  # an unseen row is unread
    "read": {"seen": 1, "read": 1},
    "unread": {"read": -1},
    "archive": {"archived": 1},
    "unarchive": {"archived": -1},
    "snooze": {"snooze": True},
    "delete": {"deleted": True},
}


class RowState(NamedTuple):
    """The columns of a row that are needed for marking."""

    id: str
    first_revision: int
    seen_at: int | None
    read_at: int | None
    archived_at: int | None
    snoozed_until: int | None
    return_by: int | None  # of a row that is snoozed until the recipient is back: `snoozed_until`
    tags: str | None

    @property
    def is_unread(self) -> bool:
        return self.read_at is None and self.archived_at is None

    @property
    def is_unseen(self) -> bool:
        return self.seen_at is None and self.archived_at is None


def mark(inbox: int, marking: Marking, now: int, report: EventReport = no_report) -> Script[Marked]:
    """Apply the actions. All changed rows get one revision, or one each if no single event describes the actions. The
    events that `report` returns are added with them."""
    wanted = Effect()
    for action in marking.actions:
        wanted = wanted._replace(**EFFECTS[action])
    if marking.ids is not None:
        found = yield Statement("marks_of_ids", {"inbox": inbox, "ids": columns.to_json(marking.ids)})
        if _event_name(marking.actions) is None:
            # Each event has its own position, so that a client that resumes between two of them receives the second.
            changed, events = 0, list[InboxEvent]()
            for row in found:
                marked = yield from _mark_rows(inbox, marking, wanted, [row], now, report)
                changed += marked.changed
                events += marked.events
            return Marked(changed, (yield from _state(inbox)), tuple(events))
    else:
        # An action without ids changes the rows of the view, archived rows for "unarchive", else rows that are not
        # archived.
        view = marking.view or ("archived" if "unarchive" in marking.actions else "all")
        first, last = MARK_PARTS[view]
        kept = {"type": marking.type, "tag": marking.tag, "snoozed": int(view == "snoozed")}
        where = {"inbox": inbox, "first": first, "last": last, **kept}
        found = yield Statement("marks_of_parts", {**where, "limit": MAX_REPORTED_IDS})
        if len(found) > MAX_ROW_EVENTS:
            marked = yield from _mark_bulk(where, marking, wanted, now, report)
            ids = tuple(old.id for row in found if _after(old := RowState(*row), wanted, marking, now) != old)
            return replace(marked, ids=ids if len(ids) == marked.changed else None)
    return (yield from _mark_rows(inbox, marking, wanted, found, now, report))


def _mark_rows(
    inbox: int, marking: Marking, wanted: Effect, matches: list[Row], now: int, report: EventReport
) -> Script[Marked]:
    before = [RowState(*row) for row in matches]
    after = [_after(row, wanted, marking, now) for row in before]
    changed = [(old, new) for old, new in zip(before, after, strict=True) if new != old]
    if not changed:
        return Marked(0, (yield from _state(inbox)))
    unread = sum((new is not None and new.is_unread) - old.is_unread for old, new in changed)
    unseen = sum((new is not None and new.is_unseen) - old.is_unseen for old, new in changed)
    state = yield from advance_revision(inbox, unread, unseen)
    if wanted.deleted:
        deleted = [old for old, _ in changed]
        tombstones = [
            {"inbox": inbox, "id": row.id, "first_revision": row.first_revision, "revision": state.revision, "now": now}
            for row in deleted
        ]
        tags = [
            {"inbox": inbox, "id": row.id, "tag": tag} for row in deleted if row.tags for tag in columns.texts(row.tags)
        ]
        yield Statement("tombstone_insert", many=tombstones)
        if tags:
            yield Statement("untag_row", many=tags)
        yield Statement("delete_row", many=tombstones)
    else:
        written = [{**new._asdict(), "inbox": inbox, "revision": state.revision} for _, new in changed if new]
        yield Statement("mark_row", many=written)
    ids = [old.id for old, _ in changed]
    yield from webhook_events.add(_reported_rows(state, marking, changed, report), now)
    if wanted.snooze:
        yield from messages.record_snoozes(inbox, ids, marking.until, now, MAX_SNOOZES)
    awaits_return = any(new is not None and new.return_by is not None for _, new in changed)
    events = yield from _events(inbox, state, marking, ids, now, awaits_return=awaits_return)
    return Marked(len(changed), state, events, tuple(ids))


def _after(row: RowState, wanted: Effect, marking: Marking, now: int) -> RowState | None:
    if wanted.deleted:
        return None
    seen_at, read_at = _time(row.seen_at, wanted.seen, now), _time(row.read_at, wanted.read, now)
    archived_at, snoozed_until, return_by = row.archived_at, row.snoozed_until, row.return_by
    if wanted.snooze:
        # The columns of a snoozed row. `archived_at` is set so that no count includes the row.
        archived_at, snoozed_until = now if snoozed_until is None else archived_at, marking.until
        return_by = marking.until if marking.until_back else None
    elif wanted.archived:
        archived_at = _time(archived_at if snoozed_until is None else None, wanted.archived, now)
        snoozed_until = return_by = None
    return row._replace(
        seen_at=seen_at, read_at=read_at, archived_at=archived_at, snoozed_until=snoozed_until, return_by=return_by
    )


def _time(before: int | None, change: int, now: int) -> int | None:
    if change == 0:
        return before
    return None if change < 0 else (before if before is not None else now)


def _mark_bulk(
    where: dict[str, Any], marking: Marking, wanted: Effect, now: int, report: EventReport
) -> Script[Marked]:
    """Like `_mark_rows`, with statements on whole parts of the inbox: 100,000 rows take well under a second."""
    word = EVENT_NAMES[marking.actions[0]]  # only several actions, or a snooze, name notifications
    where = {**where, **wanted._asdict(), "now": now}
    tally = "deletion_tally" if wanted.deleted else "marking_tally"
    ((changed, unread, unseen, never_seen),) = yield Statement(tally, where, heavy=True)
    if not changed:
        return Marked(0, (yield from _state(where["inbox"])))
    state = yield from advance_revision(where["inbox"], unread, unseen)
    where["revision"] = state.revision
    for name in ("tombstones_of_parts", "delete_parts", "untag_deleted") if wanted.deleted else ("mark_parts",):
        yield Statement(name, where, heavy=True)
    events = [*_reported_all(state, "seen", never_seen, report)] if wanted.seen > 0 else []
    events += _reported_all(state, "read", changed, report) if wanted.read > 0 else ()
    yield from webhook_events.add(events, now)
    return Marked(changed, state, (InboxBulkChanged(state, word, now, None, marking.type, marking.view, marking.tag),))


def _reported_rows(
    state: InboxState, marking: Marking, changed: Sequence[tuple[RowState, RowState | None]], report: EventReport
) -> list[WebhookEvent]:
    """Return the webhook events: one for each row that is newly seen or read, or a single one for an action without
    ids."""
    events: list[WebhookEvent] = []
    for word in ("seen", "read"):
        at = f"{word}_at"
        rows = [(old, new) for old, new in changed if new is not None and getattr(new, at) is not None]
        ids = [new.id for old, new in rows if getattr(old, at) is None]
        if marking.ids is None:
            events += _reported_all(state, word, len(ids), report)
        else:
            for id in ids:
                events += report(f"notification.{word}", {"recipient": state.recipient, "id": id})
    return events


def _reported_all(state: InboxState, word: str, changed: int, report: EventReport) -> Sequence[WebhookEvent]:
    change = {"recipient": state.recipient, "id": None, "all": True, "changed": changed}
    return report(f"notification.{word}", change) if changed > 0 else ()


def _events(
    inbox: int, state: InboxState, marking: Marking, ids: list[str], now: int, *, awaits_return: bool
) -> Script[tuple[InboxEvent, ...]]:
    """Return the event for changed rows: one row in full, several as one event with their ids."""
    word = _event_name(marking.actions)
    if len(ids) > 1 and word is not None:
        return (InboxBulkChanged(state, word, now, tuple(ids)),)
    (id,) = ids
    if "delete" in marking.actions:
        return (NotificationDeleted(state, id),)
    (row,) = yield Statement("entry", {"inbox": inbox, "id": id})
    notification = rows.notification(row)
    return (NotificationUpdated(state, replace(notification, awaits_return=True) if awaits_return else notification),)


def _event_name(actions: tuple[Action, ...]) -> Changed | None:
    return "deleted" if "delete" in actions else EVENT_NAMES.get(actions[0]) if len(actions) == 1 else None


def remove(inbox: int, id: str, now: int) -> Script[tuple[InboxEvent, ...]]:
    """Delete one row."""
    marked = yield from mark(inbox, Marking(actions=("delete",), ids=(id,)), now)
    return marked.events


def act(
    inbox: int, id: str, key: str, now: int, report: EventReport = no_report
) -> Script[tuple[Notification, ActionButton, tuple[InboxEvent, ...]]]:
    """Record that the recipient took an action, and mark the notification read. Return it with the events to publish; none if
    the action was already taken. The events that `report` returns are committed with it. Raises NotFound for an unknown id
    or key, Conflict after another action."""
    found = yield Statement("entry", {"inbox": inbox, "id": id})
    if not found:
        raise NotFound("This inbox has no notification with this id.")
    before = rows.notification(found[0])
    action = notification_types.find_action(before, key)
    if before.acted is not None:
        return before, action, ()
    active = before.archived_at is None and before.snoozed_until is None
    state = yield from advance_revision(
        inbox, -(active and before.read_at is None), -(active and before.seen_at is None)
    )
    yield Statement("act_row", {"inbox": inbox, "id": id, "key": key, "now": now, "revision": state.revision})
    (row,) = yield Statement("entry", {"inbox": inbox, "id": id})
    (after,) = yield from with_awaited_returns(inbox, [rows.notification(row)])
    change = {"recipient": state.recipient, "id": id}
    events = [*report("notification.acted", {**change, "action": key})]
    events += report("notification.seen", change) if before.seen_at is None else ()
    events += report("notification.read", change) if before.read_at is None else ()
    yield from webhook_events.add(events, now)
    return after, action, (NotificationUpdated(state, after),)


def wake(inbox: int, id: str, now: int) -> Script[tuple[InboxEvent, ...]]:
    """Return a snoozed row to the inbox: unread, unseen and first."""
    state = yield from advance_revision(inbox, 1, 1)
    place = ids.place(id, now)
    yield Statement("wake_row", {"inbox": inbox, "id": id, "place": place, "revision": state.revision})
    (row,) = yield Statement("entry", {"inbox": inbox, "id": id})
    return (NotificationAdded(state, rows.notification(row)),)


def wake_until_back(inbox: int, now: int, limit: int) -> Script[Marked]:
    """Return at most `limit` notifications that were snoozed until the recipient is back to the top of the inbox,
    unread and unseen. Each has its own revision."""
    events = list[InboxEvent]()
    found = yield Statement("until_back", {"inbox": inbox, "limit": limit})
    for (id,) in found:
        events += yield from wake(inbox, id, now)
    return Marked(len(found), (yield from _state(inbox)), tuple(events))


def with_awaited_returns(inbox: int, notifications: list[Notification]) -> Script[list[Notification]]:
    """Set `awaits_return` of rows that are snoozed until the recipient is back. Without snoozed rows, nothing is
    read."""
    snoozed = [one.id for one in notifications if one.snoozed_until is not None]
    if not snoozed:
        return notifications
    states = yield Statement("marks_of_ids", {"inbox": inbox, "ids": columns.to_json(snoozed)})
    awaited = {row.id for row in map(RowState._make, states) if row.return_by is not None}
    return [replace(one, awaits_return=True) if one.id in awaited else one for one in notifications]


def advance_revision(inbox: int, unread: int, unseen: int) -> Script[InboxState]:
    """Add one to the revision of an inbox, and adjust its counters."""
    revised = yield Statement("inbox_revise", {"inbox": inbox, "unread": unread, "unseen": unseen})
    return single_state(revised)


def _state(inbox: int) -> Script[InboxState]:
    found = yield Statement("inbox_state", {"inbox": inbox})
    return single_state([row[:6] for row in found])


def single_state(matches: list[Row]) -> InboxState:
    """Return the state of an inbox from its row. Raises NotFound if there is none."""
    if not matches:
        raise NotFound("This inbox no longer exists.")
    return InboxState(*matches[0])
