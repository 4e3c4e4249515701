"""Inboxes: counters, revision, the range that can be replayed, queries and their results."""

from typing import ClassVar, Literal

from msgspec import Struct

from bellcast.inbox.types.notifications import Notification, View
from bellcast.inbox.types.positions import InboxState, Position
from bellcast.kernel.errors import Unauthenticated
from bellcast.kernel.events import ANNOUNCEMENTS, Event, Stream, inbox_stream
from bellcast.preferences.types import Priority


class Inbox(Struct, frozen=True, kw_only=True):
    """An opened inbox: its number in the store, its state and its owner."""

    number: int
    state: InboxState
    oldest_revision: int  # tombstones up to this revision are deleted: an earlier position cannot be resumed
    name: str | None = None
    roles: tuple[str, ...] = ()
    revoked_before: int = 0  # UTC milliseconds: tokens issued earlier are refused
    member_since: int | None = None  # UTC milliseconds: this recipient does not receive earlier announcements
    opened: bool = True  # False until the recipient first opens it

    def can_resume_from(self, position: Position) -> bool:
        """True if changes since that position can be replayed: the inbox has the same epoch and is not behind the
        position, and the changes are still stored."""
        state, revision = self.state, position.revision
        is_ordered = (position.base or 0) <= revision <= position.newest <= state.revision
        return position.epoch == state.epoch and is_ordered and self.oldest_revision <= revision


Changed = Literal["seen", "read", "unread", "archived", "unarchived", "deleted"]


class InboxChange(Struct, frozen=True):
    """A change of an inbox, which is `inbox` after it."""

    inbox: InboxState

    @property
    def stream(self) -> Stream:
        return inbox_stream(self.inbox.tenant, self.inbox.recipient)


class NotificationAdded(InboxChange, frozen=True, tag_field="kind", tag="notification"):
    """A notification was added, or returned from being snoozed."""

    notification: Notification
    trace: str | None = None  # traceparent (W3C Trace Context, 3.2) of the span that published it


class NotificationUpdated(InboxChange, frozen=True, tag_field="kind", tag="notification-update"):
    """A notification was seen, read, archived (or the reverse), snoozed, acted on or edited."""

    notification: Notification


class NotificationDeleted(InboxChange, frozen=True, tag_field="kind", tag="notification-delete"):
    """A notification was deleted, recalled, or expired."""

    id: str


class InboxBulkChanged(InboxChange, frozen=True, tag_field="kind", tag="counts"):
    """Many notifications changed together. `ids` None means all that match `type`, `view` and `tag`. `at` is UTC
    milliseconds."""

    changed: Changed
    at: int
    ids: tuple[str, ...] | None = None
    type: str | None = None
    view: View | None = None
    tag: str | None = None


InboxEvent = NotificationAdded | NotificationUpdated | NotificationDeleted | InboxBulkChanged


class AnnouncementChanged(Struct, frozen=True, tag_field="kind", tag="announcement"):
    """An announcement was sent, edited, recalled or expired. Connected inboxes of its audience materialize the
    change."""

    stream: ClassVar[Stream] = ANNOUNCEMENTS
    tenant: str  # "*" is every tenant
    topic: str | None = None


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


class Counts(Struct, frozen=True, kw_only=True):
    """Unread counts in the response."""

    unread: int
    unseen: int
    by_type: dict[str, int]
    position: str


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
    """The result of a marking: the number of changed rows, the new state, the events to publish, and the ids of the changed
    rows, unless there are too many."""

    changed: int
    state: InboxState
    events: tuple[InboxEvent, ...] = ()
    ids: tuple[str, ...] | None = None


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
