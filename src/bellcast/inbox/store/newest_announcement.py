"""Add the newest announcement to connected inboxes by one statement that is its own transaction (PostgreSQL).

Nearly all connected inboxes lack only this announcement. The statement locks them, adds their rows and returns their
states; `announcements.materialize` handles the others.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from bellcast.inbox.store import rows
from bellcast.inbox.types.notifications import Notification
from bellcast.inbox.types.positions import InboxState
from bellcast.inbox.types.sends import Materialized
from bellcast.kernel.db import columns
from bellcast.kernel.db.script import Params, Row, Script, Statement
from bellcast.kernel.patterns import ROLE_PREFIX
from bellcast.live.types.events import NotificationAdded

# Columns of the statement `announcements_newest` by index: `rows.ENTRY_COLUMNS` of a notification, then these.
SEQ, CHANGED, TOPIC, RECALLED, LAST = range(rows.ENTRY_COLUMNS, rows.ENTRY_COLUMNS + 5)
CREATED, EXPIRES = 12, 13
# Upper bound of `member_since` for the subscribers of a topic: their subscription decides instead.
ANY_TIME = 2**63 - 1


class NewestAnnouncement(NamedTuple):
    """An announcement, the number of the change before it, and the number up to which there is no other change."""

    notification: Notification
    seq: int
    topic: str | None
    created_at: int
    since: int
    until: int

    def params(self) -> dict[str, Any]:
        """Return the parameters of the statement that adds it."""
        notification = self.notification
        is_subscribed = self.topic is not None and not self.topic.startswith(ROLE_PREFIX)
        return {
            "id": notification.id,
            "seq": self.seq,
            "topic": self.topic,
            "since": self.since,
            "until": self.until,
            "member_until": ANY_TIME if is_subscribed else self.created_at,
            "type": notification.type,
            "tags": columns.to_json_or_null(notification.tags),
            "tag_names": notification.tags,
            "group": notification.group,
            "created_at": self.created_at,
        }


def find(tenant: str, now: int) -> Script[NewestAnnouncement | None]:
    """Return the announcement that the newest change of a tenant's announcements added; None if that change was an edit or a
    recall, or if the announcement has expired."""
    found: list[Row] = yield Statement("announcements_newest", {"tenant": tenant})
    found.sort(key=lambda row: int(row[CHANGED]), reverse=True)
    if not found:
        return None
    row = found[0]
    is_expired = row[EXPIRES] is not None and row[EXPIRES] <= now
    if row[SEQ] != row[CHANGED] or row[RECALLED] is not None or is_expired:
        return None
    since = found[1][CHANGED] if len(found) > 1 else 0
    return NewestAnnouncement(rows.notification(row), row[SEQ], row[TOPIC], row[CREATED], since, row[LAST])


def add(tenant: str, keys: Sequence[str], now: int) -> Script[Materialized]:
    """Add the newest announcement to the inboxes that lack it and no other change."""
    newest = yield from find(tenant, now)
    if newest is None:
        return Materialized(remaining=tuple(keys))
    params: Params = {**newest.params(), "tenant": tenant, "keys": keys}
    added = yield Statement("materialize_add", params)
    notification = newest.notification
    events = tuple([NotificationAdded(InboxState(tenant, *state), notification) for state in added])
    reached = {key for key, *_ in added}
    return Materialized(events, remaining=tuple([key for key in keys if key not in reached]))
