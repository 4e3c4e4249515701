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
NODES = Stream("nodes")  # what nodes tell each other of themselves


def inbox_stream(tenant: str, recipient: str) -> Stream:
    """One recipient's changes and direct events."""
    return Stream(f"inbox{SEPARATOR}{tenant}{SEPARATOR}{recipient}")


def topic_stream(tenant: str, topic: str) -> Stream:
    """One topic's live events."""
    return Stream(f"topic{SEPARATOR}{tenant}{SEPARATOR}{topic}")


def node_stream(node: str) -> Stream:
    """What one node alone is told."""
    return Stream(f"node{SEPARATOR}{SEPARATOR}{node}")


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


class InboxBulkChanged(Struct, frozen=True, tag_field="kind", tag="counts"):
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


InboxEvent = NotificationAdded | NotificationUpdated | NotificationDeleted | InboxBulkChanged


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


class PeerPresence(Struct, frozen=True, array_like=True):
    """How many connections somebody has on a topic at one node; 0: none any more."""

    tenant: str
    topic: str
    member: Member


class PeerUpdate(Struct, frozen=True, tag_field="kind", tag="node"):
    """What changed at a node since it told before, counted by `number`; with nothing in it a sign of life under the last
    number. `counts` are followers by stream and connections by address.

    `piece` and `pieces` say that this is a part of everything it has, told anew; 0 pieces: changes only."""

    node: str
    number: int
    connections: int
    counts: dict[str, int] = {}
    members: tuple[PeerPresence, ...] = ()
    piece: int = 0
    pieces: int = 0

    @property
    def stream(self) -> Stream:
        return NODES


class SnapshotRequest(Struct, frozen=True, tag_field="kind", tag="nodes-asked"):
    """A node wants to be told everything by another one; `of` None: by all."""

    node: str
    of: str | None = None

    @property
    def stream(self) -> Stream:
        return NODES


class NodeLeft(Struct, frozen=True, tag_field="kind", tag="node-left"):
    """A node stops."""

    node: str

    @property
    def stream(self) -> Stream:
        return NODES


class RateUsage(Struct, frozen=True, tag_field="kind", tag="spent"):
    """What a node took of rates that all share, by their names."""

    node: str
    taken: dict[str, int]

    @property
    def stream(self) -> Stream:
        return NODES


class ConnectionInfo(Struct, frozen=True, kw_only=True):
    """One live connection; `connected_at` is UTC milliseconds."""

    id: str
    tenant: str
    recipient: str | None
    protocol: str
    transport: str
    topics: tuple[str, ...]
    address: str | None
    connected_at: int


class SurveyRequest(Struct, frozen=True, tag_field="kind", tag="roll-asked"):
    """A node asks the others for at most `limit` of their connections by id, after the id `after`, and for the numbers of
    all; `tenant` None is every tenant."""

    node: str
    question: str
    tenant: str | None
    after: str | None
    limit: int

    @property
    def stream(self) -> Stream:
        return NODES


class ConnectionCount(Struct, frozen=True, array_like=True):
    """How many connections speak a dialect over a way of travel."""

    protocol: str
    transport: str
    count: int


class SurveyReply(Struct, frozen=True, tag_field="kind", tag="roll-told"):
    """What one node answers `to` another's question."""

    node: str
    to: str
    question: str
    entries: tuple[ConnectionInfo, ...]
    kinds: tuple[ConnectionCount, ...]

    @property
    def stream(self) -> Stream:
        return node_stream(self.to)


Event = (
    NotificationAdded
    | NotificationUpdated
    | NotificationDeleted
    | InboxBulkChanged
    | LiveEvent
    | PresenceChanged
    | Typing
    | SessionsRevoked
    | SubscriptionEnded
    | AnnouncementChanged
    | PeerUpdate
    | SnapshotRequest
    | NodeLeft
    | SurveyRequest
    | SurveyReply
    | RateUsage
)
