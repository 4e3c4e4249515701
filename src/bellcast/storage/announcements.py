"""Taking announcements in: each becomes a row of the inboxes it was sent to, once they are looked at."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from msgspec.structs import replace

from bellcast.model import times
from bellcast.model.events import Event, NotificationAdded, NotificationDeleted, NotificationUpdated
from bellcast.model.inboxes import InboxState
from bellcast.model.notifications import Notification
from bellcast.storage import rows
from bellcast.storage.engine import Params, Script, Statement
from bellcast.storage.locks import locks

# Inboxes a transaction: about 8 ms, so that sends go on in between.
MATERIALIZE_BATCH_INBOXES = 500
# An inbox this many announcements behind catches up though none concerns it, so that looking at it stays cheap.
FAR = 100


class PendingRow(NamedTuple):
    """One row an inbox has to take in, change or give up, and where the inbox stood before."""

    inbox: int
    key: str
    epoch: int
    revision: int
    unread: int
    unseen: int
    seq: int
    first_revision: int | None  # None: the inbox does not have it
    gone: bool  # recalled or expired
    seen_at: int | None
    read_at: int | None
    archived_at: int | None


def has_pending(inbox: int) -> Script[bool]:
    """Whether an inbox that is behind has reason to catch up."""
    ((reason,),) = yield Statement("intake_concerned", {"inbox": inbox, "far": FAR})
    return bool(reason)


@locks(lambda tenant, keys, now: [(tenant, key) for key in keys])
def materialize(tenant: str, keys: Sequence[str], now: int) -> Script[list[Event]]:
    """Bring these existing inboxes up to what was announced; the events, inbox by inbox, in order."""
    behind = yield Statement("intake_behind", {"tenant": tenant, "keys": rows.to_json(keys)})
    if not behind:
        return []
    # Up to one number throughout: what another process announces meanwhile is taken in the next time.
    caught_up = {"inboxes": rows.to_json([inbox for inbox, _ in behind]), "until": behind[0][1]}
    found = yield Statement("intake_pending", {**caught_up, "now": now})
    pending = [PendingRow._make(row) for row in found]
    intake = Materialization(tenant, (yield from _contents(pending)), now)
    for _, group in groupby(pending, key=attrgetter("inbox")):
        intake.catch_up(group)
    yield from intake.write()
    yield Statement("intake_done", caught_up)
    return intake.events


def _contents(pending: list[PendingRow]) -> Script[dict[int, Notification]]:
    """The announcements as notifications nobody has looked at: one value for however many inboxes."""
    if not pending:
        return {}
    seqs = rows.to_json(list({row.seq for row in pending}))
    found = yield Statement("announcements_of_seqs", {"seqs": seqs})
    return {row[rows.ENTRY_COLUMNS]: rows.notification(row) for row in found}


class Materialization:
    """What catching up does to many inboxes, gathered so that each kind of statement runs once for all."""

    def __init__(self, tenant: str, announced: dict[int, Notification], now: int) -> None:
        self.events: list[Event] = []
        self._tenant = tenant
        self._announcements = announced
        self._now = now
        self._planned: dict[str, list[Params]] = {
            "intake_insert": [],
            "tag_row": [],
            "intake_revise": [],
            "bury_row": [],
            "untag_row": [],
            "delete_row": [],
            "inbox_stand": [],
        }

    def write(self) -> Script[None]:
        """Everything planned, in an order that keeps the rules of the tables."""
        for name, sets in self._planned.items():
            if sets:
                yield Statement(name, many=sets)

    def catch_up(self, pending: Iterable[PendingRow]) -> None:
        """Plan one inbox: each of its rows is a change of its own."""
        state: InboxState | None = None
        for row in pending:
            before = state or InboxState(self._tenant, row.key, row.epoch, row.revision, row.unread, row.unseen)
            state = self._plan(row, before)
        if state is not None:
            stand = {"inbox": row.inbox, "revision": state.revision, "unread": state.unread, "unseen": state.unseen}
            self._planned["inbox_stand"].append(stand)

    def _plan(self, row: PendingRow, before: InboxState) -> InboxState:
        if row.first_revision is not None:
            return self._remove(row, before) if row.gone else self._correct(row, before)
        return before if row.gone else self._add(row, before)

    def _add(self, row: PendingRow, before: InboxState) -> InboxState:
        notification = self._announcements[row.seq]
        state = _after(before, 1, 1)
        mark = {"inbox": row.inbox, "id": notification.id, "seq": row.seq, "revision": state.revision}
        self._planned["intake_insert"].append(mark)
        self._planned["tag_row"] += [{**mark, "tag": tag} for tag in notification.tags]
        self.events.append(NotificationAdded(state, notification))
        return state

    def _correct(self, row: PendingRow, before: InboxState) -> InboxState:
        notification = self._announcements[row.seq]
        state = _after(before, 0, 0)
        mark = {"inbox": row.inbox, "id": notification.id, "revision": state.revision}
        self._planned["intake_revise"].append(mark)
        self.events.append(NotificationUpdated(state, _with_row_state(notification, row)))
        return state

    def _remove(self, row: PendingRow, before: InboxState) -> InboxState:
        notification = self._announcements[row.seq]
        active = row.archived_at is None
        state = _after(before, -(active and row.read_at is None), -(active and row.seen_at is None))
        mark = {"inbox": row.inbox, "id": notification.id, "revision": state.revision}
        self._planned["bury_row"].append({**mark, "first_revision": row.first_revision, "now": self._now})
        self._planned["untag_row"] += [{**mark, "tag": tag} for tag in notification.tags]
        self._planned["delete_row"].append(mark)
        self.events.append(NotificationDeleted(state, notification.id))
        return state


def _after(before: InboxState, unread: int, unseen: int) -> InboxState:
    tenant, recipient = before.tenant, before.recipient
    revision = before.revision + 1
    return InboxState(tenant, recipient, before.epoch, revision, before.unread + unread, before.unseen + unseen)


def _with_row_state(notification: Notification, row: PendingRow) -> Notification:
    return replace(
        notification,
        seen_at=times.to_rfc3339_or_null(row.seen_at),
        read_at=times.to_rfc3339_or_null(row.read_at),
        archived_at=times.to_rfc3339_or_null(row.archived_at),
    )
