"""The durable inboxes: requests and results."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from bellcast.errors import Unauthenticated
from bellcast.model.events import Event, InboxEvent
from bellcast.model.inboxes import Inbox, InboxState
from bellcast.model.notifications import ActionButton, Notification, Priority, View
from bellcast.model.positions import Position
from bellcast.ports.webhooks import EventReport, no_report

# The times that webhooks report, by the actions that may set them: a read notification is also seen.
REPORTED = {"seen": ("seen",), "read": ("seen", "read")}
Action = Literal["seen", "unseen", "read", "unread", "archive", "unarchive", "snooze", "delete"]


class SessionRevoked(Unauthenticated):
    """This session was ended: sign in again."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.before = before  # UTC milliseconds: sessions issued earlier are refused


class Query(Struct, frozen=True, kw_only=True):
    """A page of an inbox: newest first, at most `limit` rows, after the place `before`. Each filter selects rows with
    one of its values; an empty filter selects all. `since` (UTC milliseconds) excludes rows created before it."""

    view: View = "all"
    types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    priorities: tuple[Priority, ...] = ()
    since: int | None = None
    limit: int = 20
    before: str | None = None


ALL = Query()


class InboxPage(Struct, frozen=True):
    """A page, and the state of the inbox in the same snapshot. `awaits_return`: notifications are snoozed until the recipient
    is back."""

    state: InboxState
    notifications: list[Notification]
    awaits_return: bool


class UnreadCounts(Struct, frozen=True):
    """Counts of the selected rows, unread counts by type, and the state of the inbox in the same snapshot."""

    state: InboxState
    by_type: dict[str, int]
    unread: int
    unseen: int


class Marking(Struct, frozen=True, kw_only=True):
    """Actions on notifications. Without `ids` they apply to all that are not archived (unarchive: all archived),
    filtered by `type`, `view` and `tag`. `until` (UTC milliseconds) is the end of "snooze", which needs ids. With
    `until_back`, the snooze ends when the recipient is back, at the latest at `until`."""

    actions: tuple[Action, ...]
    ids: tuple[str, ...] | None = None
    type: str | None = None
    view: View | None = None
    tag: str | None = None
    until: int | None = None
    until_back: bool = False


class Marked(Struct, frozen=True):
    """The result of a marking: the number of changed rows, the new state, and the events to publish."""

    changed: int
    state: InboxState
    events: tuple[InboxEvent, ...] = ()


class ActionTaken(Struct, frozen=True):
    """The result of an action button: the resulting notification, and the events to publish; none if the action was
    already taken."""

    notification: Notification
    action: ActionButton
    events: tuple[InboxEvent, ...] = ()


class Change(Struct, frozen=True):
    """A row that changed since a position. `notification` is None if the row was deleted."""

    id: str
    first_revision: int
    revision: int
    notification: Notification | None


class Changes(Struct, frozen=True):
    """Rows changed after a revision, oldest change first, each once, and the resulting state."""

    state: InboxState
    oldest_revision: int
    rows: tuple[Change, ...]


class ResumeFrom(Struct, frozen=True):
    """The position of a resuming client, and the maximum number of changed rows to replay."""

    position: Position
    limit: int


class OpenInbox(Struct, frozen=True):
    """An inbox with all announcements materialized; `events` are for its other devices. `missed` holds the changes since the
    client's position; None without a position, or if it is too old or unknown."""

    inbox: Inbox
    events: tuple[Event, ...] = ()
    missed: Changes | None = None


class InboxStatus(Struct, frozen=True):
    """The status of an inbox with live connections. `behind`: it may have pending announcements."""

    number: int
    epoch: int
    revision: int
    revoked_before: int
    behind: bool


class Inboxes(Protocol):
    """The durable inboxes. In one transaction, each change adds one to the inbox's revision, stores it in the changed rows
    and adjusts the counters. A method returns after the commit, with the events to publish in order."""

    async def open(
        self,
        tenant: str,
        recipient: str,
        now: int,
        *,
        issued_at: int,
        roles: tuple[str, ...] | None = None,
        name: str | None = None,
        member_since: int | None = None,
        since: ResumeFrom | None = None,
    ) -> OpenInbox:
        """Open the inbox, create it if missing, and materialize pending announcements; return it with the changes since
        a position, all in one snapshot. `roles`, `name` and `member_since` are stored if they differ. The first opening
        adds announcements from before the recipient was first seen.

        Raises SessionRevoked, with nothing written, if the session was issued (UTC milliseconds) before the recipient's
        sessions were revoked, or the recipient or its tenant was erased."""
        ...

    async def page(self, inbox: int, query: Query) -> InboxPage:
        """Return one page, newest first, and the state in the same snapshot."""
        ...

    async def unread_by_type(self, inbox: int, query: Query = ALL) -> UnreadCounts:
        """Return the counts of rows that match the query, and the state in the same snapshot."""
        ...

    async def get(self, inbox: int, id: str) -> Notification | None:
        """Return one notification of this inbox."""
        ...

    async def mark(self, inbox: int, marking: Marking, now: int, report: EventReport = no_report) -> Marked:
        """Apply the actions. All changed rows get one revision, or one each if no single event describes the actions.
        Unknown ids are ignored. The events that `report` returns are committed with the changed rows."""
        ...

    async def wake_until_back(self, inbox: int, now: int, limit: int) -> Marked:
        """Return at most `limit` notifications that were snoozed until the recipient is back to the top of the inbox,
        unread and unseen. Each has its own revision."""
        ...

    async def act(self, inbox: int, id: str, key: str, now: int, report: EventReport = no_report) -> ActionTaken:
        """Record that the recipient took an action, and mark the notification read. Repeating it changes nothing. The
        events that `report` returns are committed with it. Raises NotFound for an unknown id or key, Conflict after
        another action."""
        ...

    async def changes(self, inbox: int, after: int, limit: int) -> Changes:
        """Return at most `limit` rows changed after the revision `after`."""
        ...

    async def statuses(self, inboxes: Sequence[int]) -> list[InboxStatus]:
        """Return the status of each of these inboxes that exists."""
        ...
