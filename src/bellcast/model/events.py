"""What clients hear, and the streams it travels on. Every event knows its stream; brokers carry events, hubs dispatch them."""

from typing import Any, Literal, NewType

from msgspec import Struct

from bellcast.model.inboxes import InboxState
from bellcast.model.notifications import Notification, View

Stream = NewType("Stream", str)
Changed = Literal["seen", "read", "unread", "archived", "unarchived", "deleted"]

# A unit separator cannot stand in a tenant or recipient key (no control characters) nor in a topic.
SEPARATOR = "\x1f"
ANNOUNCEMENTS = Stream("announcements")


def inbox_stream(tenant: str, recipient: str) -> Stream:
    """One recipient's changes and direct events."""
    return Stream(f"inbox{SEPARATOR}{tenant}{SEPARATOR}{recipient}")


def topic_stream(tenant: str, topic: str) -> Stream:
    """One topic's live events."""
    return Stream(f"topic{SEPARATOR}{tenant}{SEPARATOR}{topic}")


class NotificationAdded(Struct, frozen=True, tag_field="kind", tag="notification"):
    """A new notification; `inbox` is the state after it."""

    inbox: InboxState
    notification: Notification

    @property
    def stream(self) -> Stream:
        return inbox_stream(self.inbox.tenant, self.inbox.recipient)


class NotificationUpdated(Struct, frozen=True, tag_field="kind", tag="notification-update"):
    """A notification was seen, read, archived (or the reverse) or edited."""

    inbox: InboxState
    notification: Notification

    @property
    def stream(self) -> Stream:
        return inbox_stream(self.inbox.tenant, self.inbox.recipient)


class NotificationDeleted(Struct, frozen=True, tag_field="kind", tag="notification-delete"):
    """A notification was deleted, recalled, or expired."""

    inbox: InboxState
    id: str

    @property
    def stream(self) -> Stream:
        return inbox_stream(self.inbox.tenant, self.inbox.recipient)


class InboxCounted(Struct, frozen=True, tag_field="kind", tag="counts"):
    """Many notifications changed at once. `ids` None means all, as narrowed by `type` and `view`; `at` is UTC milliseconds."""

    inbox: InboxState
    changed: Changed
    at: int
    ids: tuple[str, ...] | None = None
    type: str | None = None
    view: View | None = None

    @property
    def stream(self) -> Stream:
        return inbox_stream(self.inbox.tenant, self.inbox.recipient)


InboxEvent = NotificationAdded | NotificationUpdated | NotificationDeleted | InboxCounted


class LiveEvent(Struct, frozen=True, tag_field="kind", tag="event"):
    """A live event on a topic or to a recipient; not stored. `sender` is the connection that must not hear it.

    `text` is the data as its publisher wrote it, for dialects whose data are texts; `member` is who of a presence topic
    says it."""

    tenant: str
    name: str
    data: Any
    topic: str | None = None
    recipient: str | None = None
    sender: str | None = None
    text: str | None = None
    member: str | None = None

    @property
    def stream(self) -> Stream:
        if self.topic is not None:
            return topic_stream(self.tenant, self.topic)
        return inbox_stream(self.tenant, self.recipient or "")


class Member(Struct, frozen=True, omit_defaults=True):
    """Somebody present on a topic. `info` is what the app said of them when it let them in."""

    recipient: str
    name: str | None = None
    connections: int | None = None
    info: Any = None


class PresenceChanged(Struct, frozen=True, tag_field="kind", tag="presence"):
    """Who came to or left a presence topic."""

    tenant: str
    topic: str
    joined: tuple[Member, ...] = ()
    left: tuple[Member, ...] = ()
    sender: str | None = None

    @property
    def stream(self) -> Stream:
        return topic_stream(self.tenant, self.topic)


class Typing(Struct, frozen=True, tag_field="kind", tag="typing"):
    """Somebody on a topic began or stopped typing."""

    tenant: str
    topic: str
    recipient: str
    on: bool
    sender: str | None = None

    @property
    def stream(self) -> Stream:
        return topic_stream(self.tenant, self.topic)


class SessionsRevoked(Struct, frozen=True, tag_field="kind", tag="revoked"):
    """A recipient's sessions were ended: connections made with tokens issued before `before` (UTC milliseconds) close."""

    tenant: str
    recipient: str
    before: int

    @property
    def stream(self) -> Stream:
        return inbox_stream(self.tenant, self.recipient)


class SubscriptionEnded(Struct, frozen=True, tag_field="kind", tag="unsubscribed"):
    """A recipient was taken off a topic: what it followed by that right ends."""

    tenant: str
    recipient: str
    topic: str

    @property
    def stream(self) -> Stream:
        return inbox_stream(self.tenant, self.recipient)


class AnnouncementChanged(Struct, frozen=True, tag_field="kind", tag="announcement"):
    """An announcement was sent, edited, recalled or expired: connected inboxes of its audience take it in now."""

    tenant: str  # "*" is every tenant
    topic: str | None = None

    @property
    def stream(self) -> Stream:
        return ANNOUNCEMENTS


Event = (
    NotificationAdded
    | NotificationUpdated
    | NotificationDeleted
    | InboxCounted
    | LiveEvent
    | PresenceChanged
    | Typing
    | SessionsRevoked
    | SubscriptionEnded
    | AnnouncementChanged
)
