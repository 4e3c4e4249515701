"""Actions of a recipient on notifications: one revision for all changed rows, and the counters with them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from bellcast.errors import NotFound
from bellcast.model.events import Changed, InboxBulkChanged, InboxEvent, NotificationDeleted, NotificationUpdated
from bellcast.model.inboxes import InboxState
from bellcast.model.notifications import View
from bellcast.ports import Action, Marked, Marking
from bellcast.storage import rows
from bellcast.storage.script import Row, Script, Statement

# The first and last part of each view (`notifications.part`).
MARK_PARTS: dict[View, tuple[int, int]] = {"all": (0, 1), "unread": (0, 0), "read": (1, 1), "archived": (2, 2)}
# More rows than this are written by one statement and published as one event for all.
MAX_ROW_EVENTS = 200
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
    deleted: bool = False


EFFECTS: dict[Action, dict[str, Any]] = {
    "seen": {"seen": 1},
    "unseen": {"seen": -1, "read": -1},  # an unseen row is unread
    "read": {"seen": 1, "read": 1},
    "unread": {"read": -1},
    "archive": {"archived": 1},
    "unarchive": {"archived": -1},
    "delete": {"deleted": True},
}


class RowState(NamedTuple):
    """The columns of a row that marking reads."""

    id: str
    first_revision: int
    seen_at: int | None
    read_at: int | None
    archived_at: int | None
    tags: str | None

    @property
    def is_unread(self) -> bool:
        return self.read_at is None and self.archived_at is None

    @property
    def is_unseen(self) -> bool:
        return self.seen_at is None and self.archived_at is None


def effect(actions: Iterable[Action]) -> Effect:
    """Return the effect of the actions in order."""
    result = Effect()
    for action in actions:
        result = result._replace(**EFFECTS[action])
    return result


def mark(inbox: int, marking: Marking, now: int) -> Script[Marked]:
    """Apply the actions; one revision for all changed rows."""
    wanted = effect(marking.actions)
    if marking.ids is not None:
        found = yield Statement("marks_of_ids", {"inbox": inbox, "ids": rows.to_json(marking.ids)})
    else:
        where = _where(inbox, marking)
        found = yield Statement("marks_of_parts", {**where, "limit": MAX_ROW_EVENTS + 1})
        if len(found) > MAX_ROW_EVENTS:
            return (yield from _mark_bulk(where, marking, wanted, now))
    return (yield from _mark_rows(inbox, marking, wanted, found, now))


def _where(inbox: int, marking: Marking) -> dict[str, Any]:
    """Conditions for an action without ids: the rows of the view, archived rows for "unarchive", else rows that are not archived."""
    view = marking.view or ("archived" if "unarchive" in marking.actions else "all")
    first, last = MARK_PARTS[view]
    return {"inbox": inbox, "first": first, "last": last, "type": marking.type}


def _mark_rows(inbox: int, marking: Marking, wanted: Effect, matches: list[Row], now: int) -> Script[Marked]:
    before = [RowState(*row) for row in matches]
    after = [_after(row, wanted, now) for row in before]
    changed = [(old, new) for old, new in zip(before, after, strict=True) if new != old]
    if not changed:
        return Marked(0, (yield from _state(inbox)))
    unread = sum((new is not None and new.is_unread) - old.is_unread for old, new in changed)
    unseen = sum((new is not None and new.is_unseen) - old.is_unseen for old, new in changed)
    state = yield from advance_revision(inbox, unread, unseen)
    if wanted.deleted:
        yield from _delete_rows(inbox, [old for old, _ in changed], state.revision, now)
    else:
        written = [{**new._asdict(), "inbox": inbox, "revision": state.revision} for _, new in changed if new]
        yield Statement("mark_row", many=written)
    events = yield from _events(inbox, state, marking, [old.id for old, _ in changed], now)
    return Marked(len(changed), state, events)


def _after(row: RowState, wanted: Effect, now: int) -> RowState | None:
    if wanted.deleted:
        return None
    return row._replace(
        seen_at=_time(row.seen_at, wanted.seen, now),
        read_at=_time(row.read_at, wanted.read, now),
        archived_at=_time(row.archived_at, wanted.archived, now),
    )


def _time(before: int | None, change: int, now: int) -> int | None:
    if change == 0:
        return before
    return None if change < 0 else (before if before is not None else now)


def _delete_rows(inbox: int, deleted: list[RowState], revision: int, now: int) -> Script[None]:
    """Delete rows and insert their tombstones."""
    buried = [
        {"inbox": inbox, "id": row.id, "first_revision": row.first_revision, "revision": revision, "now": now}
        for row in deleted
    ]
    tags = [{"inbox": inbox, "id": row.id, "tag": tag} for row in deleted if row.tags for tag in rows.texts(row.tags)]
    yield Statement("bury_row", many=buried)
    if tags:
        yield Statement("untag_row", many=tags)
    yield Statement("delete_row", many=buried)


def _mark_bulk(where: dict[str, Any], marking: Marking, wanted: Effect, now: int) -> Script[Marked]:
    """Like `_mark_rows`, by statements over whole parts: 100,000 rows take well under a second."""
    word = _event_name(marking.actions)
    if word is None:
        raise ValueError(f"no single event describes {marking.actions}: name the notifications")
    where = {**where, **wanted._asdict(), "now": now}
    tally = "deletion_tally" if wanted.deleted else "marking_tally"
    ((changed, unread, unseen),) = yield Statement(tally, where, heavy=True)
    if not changed:
        return Marked(0, (yield from _state(where["inbox"])))
    state = yield from advance_revision(where["inbox"], unread, unseen)
    where["revision"] = state.revision
    for name in ("bury_parts", "untag_buried", "delete_parts") if wanted.deleted else ("mark_parts",):
        yield Statement(name, where, heavy=True)
    return Marked(changed, state, (InboxBulkChanged(state, word, now, None, marking.type, marking.view),))


def _events(
    inbox: int, state: InboxState, marking: Marking, ids: list[str], now: int
) -> Script[tuple[InboxEvent, ...]]:
    """The events for changed rows: one row in full; several as one event with their ids, or row by row if no single event
    describes the actions."""
    word = _event_name(marking.actions)
    if len(ids) > 1 and word is not None:
        return (InboxBulkChanged(state, word, now, tuple(ids)),)
    if "delete" in marking.actions:
        return tuple(NotificationDeleted(state, id) for id in ids)
    events: list[InboxEvent] = []
    for id in ids:
        ((*row,),) = yield Statement("entry", {"inbox": inbox, "id": id})
        events.append(NotificationUpdated(state, rows.notification(tuple(row))))
    return tuple(events)


def _event_name(actions: tuple[Action, ...]) -> Changed | None:
    return "deleted" if "delete" in actions else EVENT_NAMES.get(actions[0]) if len(actions) == 1 else None


def remove(inbox: int, id: str, now: int) -> Script[tuple[InboxEvent, ...]]:
    """Delete one row."""
    marked = yield from mark(inbox, Marking(actions=("delete",), ids=(id,)), now)
    return marked.events


def advance_revision(inbox: int, unread: int, unseen: int) -> Script[InboxState]:
    """Add one to the revision of an inbox, and adjust its counters."""
    revised = yield Statement("inbox_revise", {"inbox": inbox, "unread": unread, "unseen": unseen})
    return _single_state(revised)


def _state(inbox: int) -> Script[InboxState]:
    found = yield Statement("inbox_state", {"inbox": inbox})
    return _single_state([row[:6] for row in found])


def _single_state(matches: list[Row]) -> InboxState:
    if not matches:
        raise NotFound("This inbox is gone.")
    return rows.state(matches[0])
