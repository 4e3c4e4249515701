"""A client's copy of an inbox, maintained from events alone: every device must reach this state."""

from collections.abc import Iterable

from msgspec.structs import replace

from bellcast.inbox.types import Notification
from bellcast.inbox.types.inboxes import (
    Change,
    InboxBulkChanged,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
)
from bellcast.kernel import times
from bellcast.kernel.events import Event

CLEARED_BY = {"unread": ("read_at",), "unarchived": ("archived_at", "snoozed_until"), "archived": ("snoozed_until",)}
SET_BY = {"seen": ("seen_at",), "read": ("seen_at", "read_at"), "archived": ("archived_at",)}


class Replica:
    """Rows by id, the latest counters, and their revision."""

    def __init__(self) -> None:
        self.rows: dict[str, Notification] = {}
        self.revision = 0
        self.counts = (0, 0)

    def apply(self, event: Event) -> None:
        """Apply one event; revisions have no gaps."""
        assert isinstance(event, NotificationAdded | NotificationUpdated | NotificationDeleted | InboxBulkChanged)
        assert event.inbox.revision in (self.revision, self.revision + 1)
        self.revision = event.inbox.revision
        self.counts = (event.inbox.unread, event.inbox.unseen)
        match event:
            case NotificationAdded(notification=notification):
                before = self.rows.get(notification.id)
                assert before is None or before.snoozed_until is not None
                self.rows[notification.id] = notification
            case NotificationUpdated(notification=notification):
                assert notification.id in self.rows
                self.rows[notification.id] = notification
            case NotificationDeleted(id=id):
                del self.rows[id]
            case InboxBulkChanged():
                self._apply_bulk(event)

    def _apply_bulk(self, event: InboxBulkChanged) -> None:
        for id in list(self._selected(event)):
            if event.changed == "deleted":
                del self.rows[id]
                continue
            row = self.rows[id]
            now = times.to_rfc3339(event.at)
            times_set = {name: getattr(row, name) or now for name in SET_BY.get(event.changed, ())}
            self.rows[id] = replace(row, **times_set, **dict.fromkeys(CLEARED_BY.get(event.changed, ())))

    def _selected(self, event: InboxBulkChanged) -> Iterable[str]:
        if event.ids is not None:
            return event.ids
        view = event.view or ("archived" if event.changed == "unarchived" else "all")
        return [row.id for row in self.rows.values() if _is_selected(row, event, view)]

    def resume(self, changes: Iterable[Change], revision: int, counts: tuple[int, int]) -> None:
        """Apply the changes missed while disconnected."""
        for change in changes:
            if change.notification is None:
                self.rows.pop(change.id, None)
            else:
                self.rows[change.id] = change.notification
        self.revision, self.counts = revision, counts

    @property
    def counted(self) -> tuple[int, int]:
        """Unread and unseen, counted from the rows."""
        active = [row for row in self.rows.values() if row.archived_at is None and row.snoozed_until is None]
        return sum(row.read_at is None for row in active), sum(row.seen_at is None for row in active)


def _is_selected(row: Notification, event: InboxBulkChanged, view: str) -> bool:
    return event.type in (None, row.type) and (event.tag is None or event.tag in row.tags) and _in_view(row, view)


def _in_view(row: Notification, view: str) -> bool:
    if row.snoozed_until is not None:
        return view == "snoozed"
    if row.archived_at is not None:
        return view == "archived"
    return view == "all" or view == ("unread" if row.read_at is None else "read")
