"""Inboxes: positions, where a client resumes; counters, revision, the range that can be replayed, queries and their results."""

import re
from typing import Annotated, ClassVar, Literal, NamedTuple

from msgspec import Meta, Struct

from bellcast.inbox.types import Notification, View
from bellcast.kernel.errors import Unauthenticated
from bellcast.kernel.events import ANNOUNCEMENTS, Event, Stream, inbox_stream
from bellcast.kernel.field_limits import NULL, Limit, Schema, shown
from bellcast.kernel.times import Moment
from bellcast.preferences.types import Priority

# The stores keep the numbers of a position as signed 64-bit integers.
MAX_POSITION_NUMBER = 2**63 - 1
NUMBER = "[0-9a-f]{1,16}"
ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
# Maximum interrupted replays stored in a position. With more, rows of the oldest two may be sent again as updates.
MAX_REPLAYS = 8
POSITION = re.compile(rf"({NUMBER})-({NUMBER})(?:-({NUMBER})((?:\.{NUMBER}\.{NUMBER}){{1,{MAX_REPLAYS}}}))?")


class SentRows(NamedTuple):
    """Rows that a replay sent as new: those created up to the revision `created`, in their state at the revision
    `read`."""

    created: int
    read: int


class Position(Struct, frozen=True):
    """A position in an inbox's changes: the client knows the changes up to `revision`.

    A position within a replay also has its `base`, the revision where the replay began, and `sent`, the rows created
    since then that the client received. `sent` is in order of creation, with one entry per interrupted replay."""

    epoch: int
    revision: int
    base: int | None = None
    sent: tuple[SentRows, ...] = ()

    @property
    def text(self) -> str:
        """The text form, opaque to clients: epoch, revision and, within a replay, its base and the rows sent."""
        place = f"{self.epoch:x}-{self.revision:x}"
        return place + (f"-{self.base:x}" + "".join(f".{c:x}.{r:x}" for c, r in self.sent) if self.sent else "")

    @property
    def newest(self) -> int:
        """The revision of the newest row that the client knows. Every later row is new to it."""
        return self.sent[-1].created if self.sent else self.revision

    def known_revision(self, first_revision: int) -> int:
        """Return the revision of the state in which the client knows a row created at `first_revision`."""
        if self.sent and first_revision > (self.base or 0):
            for created, read in self.sent:
                if first_revision <= created:
                    return max(read, self.revision)
        return self.revision

    def after_created(self, created: int, read: int) -> "Position":
        """Return the position after sending the rows created up to a revision, which were read at another revision."""
        sent = (*self.sent, SentRows(created, read))
        if len(sent) > MAX_REPLAYS:
            oldest, second = sent[:2]
            sent = (SentRows(second.created, min(oldest.read, second.read)), *sent[2:])
        base = self.revision if self.base is None else self.base
        return Position(self.epoch, self.revision, base, sent)

    def after_changed(self, revision: int) -> "Position":
        """Return the position after sending all changes up to a revision to rows that the client knew."""
        return Position(self.epoch, max(revision, self.revision), self.base, self.sent)


def parse_position(text: str) -> Position | None:
    """Parse a client's position. None if it is invalid (then the client is reset)."""
    match = POSITION.fullmatch(text)
    if match is None:
        return None
    if match[3] is None:
        epoch, revision = int(match[1], 16), int(match[2], 16)
        return Position(epoch, revision) if max(epoch, revision) <= MAX_POSITION_NUMBER else None
    numbers = [int(part, 16) for part in text.replace(".", "-").split("-")]
    if max(numbers) > MAX_POSITION_NUMBER:
        return None
    return Position(numbers[0], numbers[1], numbers[2], tuple(map(SentRows, numbers[3::2], numbers[4::2])))


class InboxState(Struct, frozen=True):
    """State of a recipient's inbox after a change: id, revision and counters."""

    tenant: str
    recipient: str
    epoch: int  # generation: a recreated or restored inbox starts a new one, so old positions are unknown
    revision: int
    unread: int
    unseen: int

    @property
    def position(self) -> str:
        """The position of this state, as clients carry it."""
        # like `Position.text`, in a third of the time; needed for each event
        return f"{self.epoch:x}-{self.revision:x}"


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
    """Filters and paging of the inbox, newest first. `before` is the `next` of the previous page.

    `type`, `tag` and `priority` may be repeated: a notification must match one value of each filter. `since` excludes
    notifications created before that time."""

    view: View = "all"
    type: list[str] = []
    tag: list[str] = []
    priority: list[Priority] = []
    since: Moment | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    before: Annotated[str | None, shown({"pattern": ID})] = None


class CountsQuery(Struct, frozen=True, kw_only=True):
    """Filters of the counts. Each may be repeated: a notification must match one value of each filter."""

    type: list[str] = []
    tag: list[str] = []
    priority: list[Priority] = []


ALL = CountsQuery()


class InboxListing(Struct, frozen=True, kw_only=True):
    """A page in the response. `awaits_return`: notifications are snoozed until the recipient is back."""

    notifications: list[Notification]
    next: str | None
    unread: int
    unseen: int
    position: str
    awaits_return: bool


class Counts(Struct, frozen=True, kw_only=True):
    """Unread counts in the response."""

    unread: int
    unseen: int
    by_type: dict[str, int]
    position: str


class SelectionFilter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits `all` to notifications of a view, of a type, or with a tag."""

    type: Annotated[str | None, Limit("type")] = None
    view: View | None = None
    tag: Annotated[str | None, Limit("tag")] = None

    SCHEMA: ClassVar[Schema] = {"not": {"properties": {"type": NULL, "view": NULL, "tag": NULL}}}


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
