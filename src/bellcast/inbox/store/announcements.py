"""Materialize announcements: an announcement becomes a row of an inbox when the inbox is opened."""

from collections.abc import Iterable, Sequence, Set
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from msgspec import UNSET, Struct, field
from msgspec.structs import replace

from bellcast.inbox.store import rows
from bellcast.inbox.types import Acted, Notification
from bellcast.inbox.types.inboxes import (
    InboxEvent,
    InboxState,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
)
from bellcast.inbox.types.sends import Materialized
from bellcast.kernel import times
from bellcast.kernel.db import columns
from bellcast.kernel.db.script import Params, Row, Script, Statement
from bellcast.kernel.events import ROLE_PREFIX

# Columns of the statement `announcements_newest` by index: `rows.ENTRY_COLUMNS` of a notification, then these.
SEQ, CHANGED, TOPIC, RECALLED, LAST = range(rows.ENTRY_COLUMNS, rows.ENTRY_COLUMNS + 5)
CREATED, EXPIRES = 12, 13
# Upper bound of `member_since` for the subscribers of a topic: their subscription decides instead.
ANY_TIME = 2**63 - 1


# An inbox that is this many announcements behind catches up even if none of them are for it, so that opening it stays
# cheap.
MAX_LAG = 100


class PendingRow(NamedTuple):
    """A row that an inbox must add, change or remove, and the inbox's state before."""

    inbox: int
    key: str
    epoch: int
    revision: int
    unread: int
    unseen: int
    seq: int
    first_revision: int | None  # None if the inbox has no such row
    is_withdrawn: bool  # recalled or expired
    seen_at: int | None
    read_at: int | None
    archived_at: int | None
    acted_key: str | None
    acted_at: int | None
    snoozed_until: int | None
    place: str | None


def has_pending(inbox: int) -> Script[bool]:
    """Return whether an inbox that is behind needs to catch up."""
    ((reason,),) = yield Statement("materialize_concerned", {"inbox": inbox, "far": MAX_LAG})
    return bool(reason)


def materialize(tenant: str, keys: Sequence[str], now: int) -> Script[Materialized]:
    """Materialize pending announcements in these existing inboxes. Return the events in order, inbox after inbox, and the
    recipients that had nothing pending."""
    behind = yield Statement("materialize_behind", {"tenant": tenant, "keys": columns.to_json(keys)})
    if not behind:
        return Materialized(caught_up=tuple(keys))
    # All statements use the same upper number: later announcements of other processes are materialized by the next
    # call.
    caught_up = {"inboxes": columns.to_json([inbox for inbox, *_ in behind]), "until": behind[0][1]}
    found = yield Statement("materialize_pending", {**caught_up, "now": now})
    pending = [PendingRow._make(row) for row in found]
    contents = yield from _contents(pending)
    snoozed = {row.inbox for row in pending if row.snoozed_until is not None and not row.is_withdrawn}
    awaited = (
        (yield Statement("announced_until_back", {"inboxes": columns.to_json(sorted(snoozed))})) if snoozed else ()
    )
    plan = Materialization(tenant, contents, now, {(inbox, seq) for inbox, seq in awaited})
    for _, group in groupby(pending, key=attrgetter("inbox")):
        plan.catch_up(group)
    yield from plan.write()
    yield Statement("materialize_done", caught_up)
    late = {key for *_, key in behind}
    return Materialized(tuple(plan.events), caught_up=tuple([key for key in keys if key not in late]))


def receive_earlier(tenant: str, inbox: int, newcomers_ms: int, now: int) -> Script[None]:
    """At the first opening of an inbox, add the announcements from before the recipient was first seen: those since it
    became a member, or those within `newcomers_ms` if the app did not set that time. The inbox already has all later
    ones."""
    pending = yield from earlier(inbox, newcomers_ms, now)
    plan = Materialization(tenant, (yield from _contents(pending)), now)
    plan.catch_up(pending)
    yield from plan.write()
    yield Statement("inbox_opened", {"inbox": inbox})


def earlier(inbox: int, newcomers_ms: int, now: int) -> Script[list[PendingRow]]:
    """Return the announcements that the first opening of an inbox adds."""
    found = yield Statement("materialize_earlier", {"inbox": inbox, "newcomers_ms": newcomers_ms, "now": now})
    return [PendingRow._make(row) for row in found]


def _contents(pending: list[PendingRow]) -> Script[dict[int, Notification]]:
    """Read the announcements as unseen notifications, once for all inboxes."""
    if not pending:
        return {}
    seqs = columns.to_json(list({row.seq for row in pending}))
    found = yield Statement("announcements_of_seqs", {"seqs": seqs})
    return {row[rows.ENTRY_COLUMNS]: rows.notification(row) for row in found}


class Materialization(Struct, eq=False):
    """The changes of many inboxes, collected so that each kind of statement runs once for all."""

    tenant: str
    announcements: dict[int, Notification]
    now: int
    # Inbox and announcement of rows that are snoozed until the recipient is back.
    awaited: Set[tuple[int, int]] = frozenset()
    events: list[InboxEvent] = []
    _planned: dict[str, list[Params]] = field(
        default_factory=lambda: {
            "materialize_insert": [],
            "tag_row": [],
            "materialize_revise": [],
            "tombstone_insert": [],
            "untag_row": [],
            "delete_row": [],
            "inbox_write_state": [],
        }
    )

    def write(self) -> Script[None]:
        """Write the planned changes in an order that satisfies the constraints of the tables."""
        for name, sets in self._planned.items():
            if sets:
                yield Statement(name, many=sets)

    def catch_up(self, pending: Iterable[PendingRow]) -> None:
        """Plan the changes of one inbox: each row gets a revision."""
        state: InboxState | None = None
        for row in pending:
            before = state or InboxState(self.tenant, row.key, row.epoch, row.revision, row.unread, row.unseen)
            if row.first_revision is None:
                state = before if row.is_withdrawn else self._add(row, before)
            else:
                state = self._remove(row, before) if row.is_withdrawn else self._correct(row, before)
        if state is not None:
            params = {"inbox": row.inbox, "revision": state.revision, "unread": state.unread, "unseen": state.unseen}
            self._planned["inbox_write_state"].append(params)

    def _add(self, row: PendingRow, before: InboxState) -> InboxState:
        notification = self.announcements[row.seq]
        state = _after(before, 1, 1)
        mark = {"inbox": row.inbox, "id": notification.id, "seq": row.seq, "revision": state.revision}
        self._planned["materialize_insert"].append(mark)
        self._planned["tag_row"] += [{**mark, "tag": tag} for tag in notification.tags]
        self.events.append(NotificationAdded(state, notification))
        return state

    def _correct(self, row: PendingRow, before: InboxState) -> InboxState:
        notification = self.announcements[row.seq]
        state = _after(before, 0, 0)
        mark = {"inbox": row.inbox, "id": notification.id, "revision": state.revision}
        self._planned["materialize_revise"].append(mark)
        active = row.archived_at is None
        shown = replace(
            notification,
            seen_at=times.to_rfc3339_or_null(row.seen_at),
            read_at=times.to_rfc3339_or_null(row.read_at),
            archived_at=times.to_rfc3339_or_null(None if row.snoozed_until is not None else row.archived_at),
            acted=None if row.acted_key is None else Acted(row.acted_key, times.to_rfc3339(row.acted_at or 0)),
            snoozed_until=times.to_rfc3339_or_null(None if active else row.snoozed_until),
            woken_at=None if row.place is None else rows.woken_at(row.place),
        )
        awaits_return = True if (row.inbox, row.seq) in self.awaited else UNSET
        self.events.append(NotificationUpdated(state, replace(shown, awaits_return=awaits_return)))
        return state

    def _remove(self, row: PendingRow, before: InboxState) -> InboxState:
        notification = self.announcements[row.seq]
        active = row.archived_at is None
        state = _after(before, -(active and row.read_at is None), -(active and row.seen_at is None))
        mark = {"inbox": row.inbox, "id": notification.id, "revision": state.revision}
        self._planned["tombstone_insert"].append({**mark, "first_revision": row.first_revision, "now": self.now})
        self._planned["untag_row"] += [{**mark, "tag": tag} for tag in notification.tags]
        self._planned["delete_row"].append(mark)
        self.events.append(NotificationDeleted(state, notification.id))
        return state


def _after(before: InboxState, unread: int, unseen: int) -> InboxState:
    tenant, recipient = before.tenant, before.recipient
    revision = before.revision + 1
    return InboxState(tenant, recipient, before.epoch, revision, before.unread + unread, before.unseen + unseen)


def add(tenant: str, keys: Sequence[str], now: int) -> Script[Materialized]:
    """Add the newest announcement to the inboxes that lack it and no other change; to none if the newest change of the tenant's
    announcements was an edit or a recall, or if the announcement has expired. Without this statement, an announcement to
    10,000 connections takes 1.6 times as much CPU (two workers, 2026-11-25)."""
    found: list[Row] = yield Statement("announcements_newest", {"tenant": tenant})
    found.sort(key=lambda row: int(row[CHANGED]), reverse=True)
    row = found[0] if found else None
    is_added = row is not None and row[SEQ] == row[CHANGED] and row[RECALLED] is None
    if row is None or not is_added or (row[EXPIRES] is not None and row[EXPIRES] <= now):
        return Materialized(remaining=tuple(keys))
    notification, topic, created_at = rows.notification(row), row[TOPIC], row[CREATED]
    is_subscribed = topic is not None and not topic.startswith(ROLE_PREFIX)
    params = {
        "tenant": tenant,
        "keys": keys,
        "id": notification.id,
        "seq": row[SEQ],
        "topic": topic,
        # The change before it, and the number up to which there is no other change.
        "since": found[1][CHANGED] if len(found) > 1 else 0,
        "until": row[LAST],
        "member_until": ANY_TIME if is_subscribed else created_at,
        "type": notification.type,
        "tags": columns.to_json_or_null(notification.tags),
        "tag_names": notification.tags,
        "group": notification.group,
        "created_at": created_at,
    }
    added = yield Statement("materialize_add", params)
    events = tuple([NotificationAdded(InboxState(tenant, *state), notification) for state in added])
    reached = {key for key, *_ in added}
    return Materialized(events, remaining=tuple([key for key in keys if key not in reached]))
