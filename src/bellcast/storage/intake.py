"""Taking announcements in: each becomes a row of the inboxes it was sent to, once they are looked at."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from msgspec.structs import replace

from bellcast.model import times
from bellcast.model.events import Event, NotificationAdded, NotificationDeleted, NotificationUpdated
from bellcast.model.inboxes import InboxState
from bellcast.model.notifications import Notification
from bellcast.storage import rows
from bellcast.storage.engine import Row, Script, Statement

# Inboxes a transaction: about 5 ms, so that sends go on in between.
SLICE = 500


def take_in(tenant: str, keys: Sequence[str], now: int) -> Script[list[Event]]:
    """Bring these existing inboxes up to what was announced; the events, inbox by inbox, in order."""
    behind = yield Statement("intake_behind", {"tenant": tenant, "keys": rows.text(keys)})
    if not behind:
        return []
    inboxes = rows.text([inbox for (inbox,) in behind])
    pending = yield Statement("intake_pending", {"tenant": tenant, "inboxes": inboxes, "now": now})
    known = yield from _announced(pending)
    intake = Intake(tenant, known, now)
    for _, group in groupby(pending, key=lambda row: row[0]):
        intake.catch_up(group)
    yield from intake.write()
    yield Statement("intake_done", {"inboxes": inboxes})
    return intake.events


def _announced(pending: list[Row]) -> Script[dict[int, Notification]]:
    if not pending:
        return {}
    seqs = rows.text(list({row[6] for row in pending}))
    found = yield Statement("announcements_of_seqs", {"seqs": seqs})
    return {row[rows.ENTRY_COLUMNS]: rows.notification(row) for row in found}


class Intake:
    """What catching up does to rows and counters, gathered for many inboxes before it is written."""

    def __init__(self, tenant: str, known: dict[int, Notification], now: int) -> None:
        self.events: list[Event] = []
        self._tenant = tenant
        self._known = known
        self._now = now
        self._inserted: list[dict[str, Any]] = []
        self._tagged: list[dict[str, Any]] = []
        self._revised: list[dict[str, Any]] = []
        self._buried: list[dict[str, Any]] = []
        self._untagged: list[dict[str, Any]] = []
        self._stands: list[dict[str, Any]] = []

    def catch_up(self, pending: Iterable[Row]) -> None:
        """Plan one inbox's rows: each takes one revision."""
        inbox = revision = unread = unseen = 0
        for row in pending:
            inbox, key, epoch, before, unread_before, unseen_before, seq, first_revision, gone = row[:9]
            if not revision:
                revision, unread, unseen = before, unread_before, unseen_before
            revision += 1
            seen_at, read_at, archived_at = row[9:]
            notification = self._known[seq]
            mark = {"inbox": inbox, "id": notification.id, "revision": revision}
            if first_revision is None:
                unread, unseen = unread + 1, unseen + 1
                self._insert(mark, seq, notification)
                self.events.append(NotificationAdded(self._state(key, epoch, revision, unread, unseen), notification))
            elif gone:
                unread -= read_at is None and archived_at is None
                unseen -= seen_at is None and archived_at is None
                self._bury(mark, first_revision, notification)
                self.events.append(
                    NotificationDeleted(self._state(key, epoch, revision, unread, unseen), notification.id)
                )
            else:
                self._revised.append(mark)
                state = self._state(key, epoch, revision, unread, unseen)
                self.events.append(NotificationUpdated(state, _marked(notification, seen_at, read_at, archived_at)))
        self._stands.append({"inbox": inbox, "revision": revision, "unread": unread, "unseen": unseen})

    def _state(self, key: str, epoch: int, revision: int, unread: int, unseen: int) -> InboxState:
        return InboxState(self._tenant, key, epoch, revision, unread, unseen)

    def _insert(self, mark: dict[str, Any], seq: int, notification: Notification) -> None:
        mark["seq"] = seq
        self._inserted.append(mark)
        self._tagged += [{**mark, "tag": tag} for tag in notification.tags]

    def _bury(self, mark: dict[str, Any], first_revision: int, notification: Notification) -> None:
        self._buried.append({**mark, "first_revision": first_revision, "now": self._now})
        self._untagged += [{**mark, "tag": tag} for tag in notification.tags]

    def write(self) -> Script[None]:
        """Write everything planned, each kind in one go."""
        planned = {
            "intake_insert": self._inserted,
            "tag_row": self._tagged,
            "intake_revise": self._revised,
            "bury_row": self._buried,
            "untag_row": self._untagged,
            "delete_row": self._buried,
            "inbox_stand": self._stands,
        }
        for name, sets in planned.items():
            if sets:
                yield Statement(name, many=sets)


def _marked(
    notification: Notification, seen_at: int | None, read_at: int | None, archived_at: int | None
) -> Notification:
    return replace(
        notification,
        seen_at=times.maybe_moment(seen_at),
        read_at=times.maybe_moment(read_at),
        archived_at=times.maybe_moment(archived_at),
    )
