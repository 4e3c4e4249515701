"""The events that servers exchange, what they say about connections and nodes, and the settings of the live edge."""

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Literal

from msgspec import Struct, field

from bellcast.auth.permissions import AccessConfig
from bellcast.inbox.types.inboxes import (
    AnnouncementChanged,
    InboxBulkChanged,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
)
from bellcast.kernel.events import NODES, LiveEvent, Stream, node_stream, topic_stream
from bellcast.kernel.limits import Limits
from bellcast.live_feed import FeedFilter
from bellcast.preferences.types import PreferencesChanged
from bellcast.recipients.types import SessionsRevoked, SubscriptionEnded
from bellcast.topics.types import Member

# Events that Socket.IO clients emit locally about the connection.
SOCKETIO_LIFECYCLE = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
# Events sent by the server to Socket.IO clients, which a published event of the same name would imitate.
SERVER_EVENTS = frozenset(
    (
        "counts",
        "error",
        "notification",
        "notification-delete",
        "notification-update",
        "pong",
        "preferences",
        "presence",
        "ready",
        "reset",
        "typing",
    )
)
PUSHER_PREFIXES = ("pusher:", "pusher_internal:")
# Starts a background task. The server owns it, logs its failure and cancels it at shutdown.
Spawn = Callable[[Coroutine[Any, Any, None]], object]


class LiveConfig(Struct, frozen=True, kw_only=True):
    """Durations in seconds."""

    limits: Limits
    default_connections: int = 0  # if the limits have none; 0: unlimited
    heartbeat: float = 25
    access: AccessConfig = field(default_factory=AccessConfig)

    @property
    def max_connections(self) -> int:
        """Live connections of this process; 0: unlimited."""
        return self.limits.connections or self.default_connections


class TopicRefused(Struct, frozen=True):
    """A requested topic that the connection may not follow."""

    topic: str
    code: str
    message: str


class TopicChange(Struct, frozen=True):
    """A change of a topic, for its followers."""

    tenant: str
    topic: str

    @property
    def stream(self) -> Stream:
        return topic_stream(self.tenant, self.topic)


class PresenceChanged(TopicChange, frozen=True, tag_field="kind", tag="presence"):
    """Members who joined or left a presence topic."""

    joined: tuple[Member, ...] = ()
    left: tuple[Member, ...] = ()
    sender: str | None = None


class Typing(TopicChange, frozen=True, tag_field="kind", tag="typing"):
    """A member of a topic started or stopped typing."""

    recipient: str
    on: bool
    sender: str | None = None


# The streams of `live.cluster`; nodes of older versions follow neither.
BEATS, MEMBERS = Stream("beats"), Stream("members")

NodeRole = Literal["server", "worker"]


class NodeReport(Struct, frozen=True, kw_only=True):
    """A process: a server, or a worker that only runs jobs. `started_at` is UTC milliseconds, `cpu` the share of one
    core since the previous report, `memory` the resident bytes (None where the system does not report them), and
    `queue_age` the milliseconds for which a due job had waited at the last sample (None without statistics).
    `commit` is the commit of its code (None if that is not known), and `schema_version` that of the store that its code knows. The defaults are those of a node that sends no report."""

    version: str = "unknown"
    commit: str | None = None
    role: NodeRole = "server"
    host: str = ""
    pid: int = 0
    runs_jobs: bool = True
    started_at: int
    connections: int
    cpu: float = 0.0
    memory: int | None = None
    queue_age: int | None = None
    settings_revision: int = 0
    schema_version: int | None = None


class LiveNode(Struct, frozen=True, kw_only=True):
    """A node whose heartbeats arrive. `is_self` marks the node that lists the others."""

    id: str
    reported_at: int
    is_self: bool
    report: NodeReport


class NodeBeat(Struct, frozen=True, tag_field="kind", tag="beat"):
    """A node is alive: to the keeper, which returns the reports to the nodes that ask for them."""

    stream: ClassVar[Stream] = BEATS
    node: str
    connections: int
    report: NodeReport | None


class NodeClaim(Struct, frozen=True, tag_field="kind", tag="claim"):
    """A node would be the keeper. The present one responds with its list."""

    stream: ClassVar[Stream] = MEMBERS
    node: str


class NodeList(Struct, frozen=True, tag_field="kind", tag="members"):
    """The live nodes with their connections, from their keeper `node`."""

    stream: ClassVar[Stream] = MEMBERS
    node: str
    nodes: dict[str, int]


# Here and below, tags that differ from the class's name stay: nodes of an older version share the broker.
class NodeLeft(Struct, frozen=True, tag_field="kind", tag="node-left"):
    """A node stops."""

    stream: ClassVar[Stream] = MEMBERS
    node: str


class GroupState(Struct, frozen=True, array_like=True):
    """What a node has on a stream: its connections, and members with their numbers of connections. Without a `previous`
    number these are all members, otherwise those changed since that message; 0 connections remove a member. `is_new`:
    the node does not know the others yet."""

    node: str
    number: int
    previous: int | None
    count: int
    members: tuple[Member, ...] = ()
    is_new: bool = False


class GroupUpdate(Struct, frozen=True, tag_field="kind", tag="group", omit_defaults=True):
    """A node's state on the stream `on`, to the nodes that follow it. `asks` 1: the lowest id of the others responds with
    all states, and nodes whose last message is not the `known` one respond with theirs; 2: also those that are not
    `known`. `has_left`: the node no longer follows it."""

    on: str
    state: GroupState
    asks: int = 0
    known: dict[str, int] = {}
    has_left: bool = False

    @property
    def stream(self) -> Stream:
        return Stream(self.on)


class NodeMessage(Struct, frozen=True):
    """A message to the node `to`."""

    to: str

    @property
    def stream(self) -> Stream:
        return node_stream(self.to)


class GroupAnswer(NodeMessage, frozen=True, tag_field="kind", tag="group-told"):
    """States on the stream `on`, to the node that asked with the message `number`; `is_whole`: those of all nodes."""

    number: int
    on: str
    states: tuple[GroupState, ...]
    is_whole: bool


class Holdings(NodeMessage, frozen=True, tag_field="kind", tag="holdings"):
    """The ends that `to` reports if `node` dies: changes by key, None for a removed one. With `is_whole` there are no others.
    Each message has the number after the previous one."""

    node: str
    number: int
    is_whole: bool
    changes: dict[str, bytes | None] = {}


class HoldingsRequest(NodeMessage, frozen=True, tag_field="kind", tag="holdings-asked"):
    """`node` has missed holdings of `to`."""

    node: str


class RateUsage(Struct, frozen=True, tag_field="kind", tag="used"):
    """Tokens that a node took from the rates shared by all nodes, by rate name: to the keeper."""

    stream: ClassVar[Stream] = BEATS
    node: str
    taken: dict[str, int]


class RatesUsed(Struct, frozen=True, tag_field="kind", tag="rates"):
    """What nodes took, by node and rate name: from the keeper to all."""

    stream: ClassVar[Stream] = MEMBERS
    nodes: dict[str, dict[str, int]]


# Time (UTC milliseconds) and id.
ConnectionPosition = tuple[int, str]


class ConnectionInfo(Struct, frozen=True, kw_only=True):
    """One live connection, or one that was closed recently; times are UTC milliseconds."""

    id: str
    tenant: str
    recipient: str | None
    protocol: str
    transport: str
    topics: tuple[str, ...]
    address: str | None
    origin: str | None = None
    connected_at: int
    node: str | None = None
    closed_at: int | None = None
    code: int | None = None
    reason: str | None = None

    @property
    def position(self) -> ConnectionPosition:
        """The position in the list: by the end of a closed connection, or the start of an open one."""
        return self.connected_at if self.closed_at is None else self.closed_at, self.id


class ConnectionFilter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions on listed connections; None selects all. `is_closed` selects recently closed connections instead of
    open ones. `since` and `until` (UTC milliseconds) apply to the start of open connections and the end of closed
    ones."""

    id: str | None = None
    recipient: str | None = None
    topic: str | None = None
    protocol: str | None = None
    node: str | None = None
    is_closed: bool = False
    since: int = 0
    until: int | None = None

    def matches(self, one: ConnectionInfo) -> bool:
        """True if the connection matches."""
        return (
            (self.id is None or one.id == self.id)
            and (self.recipient is None or one.recipient == self.recipient)
            and (self.topic is None or self.topic in one.topics)
            and (self.protocol is None or one.protocol == self.protocol)
            and (self.node is None or one.node == self.node)
            and self.since <= one.position[0]
            and (self.until is None or one.position[0] < self.until)
        )


EVERY_CONNECTION = ConnectionFilter()


class SurveyRequest(Struct, frozen=True, tag_field="kind", tag="roll-asked"):
    """A node requests at most `limit` of the others' connections, newest first, before the position `before`, and the counts
    of all. `tenant` None means every tenant. With a `notification`, it requests only their writes of it to the recipient
    in `wanted`; with `topics`, the followed topics; with `reports`, those of all nodes from the keeper."""

    node: str
    question: str
    tenant: str | None
    before: ConnectionPosition | None
    limit: int
    wanted: ConnectionFilter = ConnectionFilter()
    notification: str | None = None
    topics: bool = False
    reports: bool = False

    @property
    def stream(self) -> Stream:
        return BEATS if self.reports else NODES


class CloseRequest(Struct, frozen=True, tag_field="kind", tag="close-connection"):
    """Requests the node that has this connection to close it."""

    stream: ClassVar[Stream] = NODES
    tenant: str | None
    id: str
    reconnect: bool


class FeedWatch(Struct, frozen=True, array_like=True):
    """A watcher of the live feed. Each node first sends its last `last` events that match."""

    id: str
    wanted: FeedFilter
    last: int = 0


class FeedWatches(Struct, frozen=True, tag_field="kind", tag="feed-watches"):
    """All watchers of a node, to which the other nodes send the events that these watchers select."""

    stream: ClassVar[Stream] = NODES
    node: str
    watches: tuple[FeedWatch, ...]


class FeedBatch(NodeMessage, frozen=True, tag_field="kind", tag="feed-batch"):
    """Feed events of a node for the watcher `watch` of node `to`, each encoded in MessagePack, and the numbers of
    omitted events by kind. The first batch has recent events."""

    node: str
    watch: str
    events: tuple[bytes, ...]
    skipped: dict[str, int] = {}
    is_first: bool = False


class SettingsChanged(Struct, frozen=True, tag_field="kind", tag="settings"):
    """The settings in the database have a new revision."""

    stream: ClassVar[Stream] = NODES
    revision: int


class ConnectionCount(Struct, frozen=True, array_like=True):
    """Number of connections by protocol and transport."""

    protocol: str
    transport: str
    count: int


class NotificationWrite(Struct, frozen=True, array_like=True):
    """A node wrote a notification to live connections, at `at` (UTC milliseconds): to those of one recipient, or of the
    `recipients` of an announcement, then with the time of the first write."""

    node: str
    at: int
    connections: int
    recipients: int = 1


class FollowedTopic(Struct, frozen=True, array_like=True):
    """A topic with its connections on a node, and the keys of the members that are present there."""

    tenant: str
    topic: str
    connections: int
    members: tuple[str, ...] = ()


class SurveyReply(NodeMessage, frozen=True, tag_field="kind", tag="roll-told"):
    """A node's reply to the survey of node `to`. `reports` are by node, with the time of their arrival in UTC
    milliseconds."""

    node: str
    question: str
    entries: tuple[ConnectionInfo, ...] = ()
    kinds: tuple[ConnectionCount, ...] = ()
    writes: tuple[NotificationWrite, ...] = ()
    topics: tuple[FollowedTopic, ...] = ()
    reports: dict[str, tuple[int, NodeReport]] = {}


# Each event that servers exchange.
AnyEvent = (
    NotificationAdded
    | NotificationUpdated
    | NotificationDeleted
    | InboxBulkChanged
    | LiveEvent
    | PresenceChanged
    | Typing
    | PreferencesChanged
    | SessionsRevoked
    | SubscriptionEnded
    | AnnouncementChanged
    | NodeBeat
    | NodeClaim
    | NodeList
    | NodeLeft
    | GroupUpdate
    | GroupAnswer
    | Holdings
    | HoldingsRequest
    | SurveyRequest
    | SurveyReply
    | CloseRequest
    | FeedWatches
    | FeedBatch
    | SettingsChanged
    | RateUsage
    | RatesUsed
)
