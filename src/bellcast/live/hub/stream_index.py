"""Index of this process's connections by stream. Totals include the other nodes' counts from the cluster state."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, Protocol

from bellcast.auth.permissions import Grant
from bellcast.live.cluster.peer import ChangeOrigin, PresenceKey, StateDelta
from bellcast.live.cluster.state import ClusterState
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection, Phase
from bellcast.live.hub.presence import Presence
from bellcast.model.events import (
    SEPARATOR,
    AnnouncementChanged,
    InboxEvent,
    Member,
    PeerPresence,
    PresenceChanged,
    Stream,
    SubscriptionEnded,
    SurveyReply,
    SurveyRequest,
    inbox_stream,
    topic_stream,
)
from bellcast.model.identities import EVERY_TENANT

ADDRESS = "address" + SEPARATOR


class HubCallbacks(NamedTuple):
    """Callbacks of the hub, wired by the server."""

    fill_gap: Callable[[Connection], None]
    materialize: Callable[[AnnouncementChanged], None]
    recheck_grant: Callable[[SubscriptionEnded], None]
    presence_changed: Callable[[PresenceChanged], None]
    survey: Callable[[SurveyRequest | SurveyReply], None]
    disconnected: Callable[[Connection], object]
    followed: Callable[[Stream], None]
    unfollowed: Callable[[Stream], None]


class HubObserver(Protocol):
    """A dialect that needs more than the events of followed streams."""

    def subscription_count_changed(self, stream: Stream, count: int, change: int, cause: ChangeOrigin) -> None:
        """Handle a stream's new follower count on all nodes, `change` more than before."""
        ...

    def presence_changed(self, change: PresenceChanged, cause: ChangeOrigin) -> None:
        """Handle a member that joined or left a topic."""
        ...

    def node_left(self, where: PresenceKey) -> None:
        """Handle a member without local connections on a topic; it may have some on another node."""
        ...

    def inbox_changed(self, event: InboxEvent) -> None:
        """Handle an inbox change, with or without followers."""
        ...

    def recipient_of(self, topic: str) -> str | None:
        """Return the recipient whose inbox changes the topic also carries."""
        ...

    def pong_received(self, connection: Connection, data: bytes) -> None:
        """Handle a pong with this payload."""
        ...


class ConnectionLog(Protocol):
    """Logs opened, closed and refused connections."""

    def opened(self, connection: Connection) -> None: ...
    def closed(self, connection: Connection) -> None: ...
    def refused(self, connection: Connection, end: CloseReason) -> None:
        """Log a connection that was accepted only to send the refusal."""
        ...


class StreamIndex:
    """Connections by stream. Every method must be called on the event loop's thread."""

    def __init__(self, presence: Presence, census: ClusterState) -> None:
        self.tick = 0
        self.presence = presence
        self.cluster = census
        census.local = self
        self.callbacks: HubCallbacks
        self._streams: dict[Stream, set[Connection]] = {}
        self._by_id: dict[str, Connection] = {}
        self._by_address: dict[str, int] = {}
        self.on_added: Callable[[Connection], None] = lambda _: None
        self.observer: HubObserver | None = None
        self.log: ConnectionLog | None = None

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._by_id.values()))

    # --- connections

    def add(self, connection: Connection) -> None:
        """Register a connection and follow its recipient's inbox stream."""
        self._by_id[connection.id] = connection
        if connection.address is not None:
            self._at_address(connection.address, 1)
        self.follow_own_inbox(connection)
        self.on_added(connection)
        if self.log is not None:
            self.log.opened(connection)

    def follow_own_inbox(self, connection: Connection) -> None:
        """Follow the inbox stream of the connection's recipient, if it has one."""
        principal = connection.principal
        if principal.recipient is not None:
            self._follow(connection, inbox_stream(principal.tenant, principal.recipient))

    def on_disconnected(self, connection: Connection) -> None:
        """Unregister a connection. Idempotent."""
        if self._by_id.pop(connection.id, None) is None:
            return
        if connection.address is not None:
            self._at_address(connection.address, -1)
        for stream in connection.streams:
            self._drop(connection, stream)
        self.callbacks.disconnected(connection)
        if self.log is not None:
            self.log.closed(connection)

    def find(self, id: str) -> Connection | None:
        """Return the connection with this public id."""
        return self._by_id.get(id)

    def at_address(self, address: str) -> int:
        """Return the number of connections from an address on all nodes."""
        return self._by_address.get(address, 0) + self.cluster.count_elsewhere(ADDRESS + address)

    def connections_of(self, tenant: str, recipient: str) -> int:
        """Return the number of a recipient's connections on all nodes."""
        return self.total(inbox_stream(tenant, recipient))

    def _at_address(self, address: str, change: int) -> None:
        left = self._by_address.get(address, 0) + change
        if left > 0:
            self._by_address[address] = left
        else:
            self._by_address.pop(address, None)
        self.cluster.count_changed(ADDRESS + address)

    # --- local state for the cluster

    def count_here(self, key: str) -> int:
        """Return the local followers of a stream or connections of an address."""
        if key.startswith(ADDRESS):
            return self._by_address.get(key.removeprefix(ADDRESS), 0)
        return len(self._streams.get(Stream(key), ()))

    def counts_here(self) -> dict[str, int]:
        """Return all local counts by key."""
        counts: dict[str, int] = {stream: len(followers) for stream, followers in self._streams.items()}
        return counts | {ADDRESS + address: count for address, count in self._by_address.items()}

    def present_here(self, where: PresenceKey) -> PeerPresence:
        """Return a member's local connections on a topic."""
        return self.presence.local(where)

    def presence_here(self) -> list[PeerPresence]:
        """Return all members with a local connection."""
        return list(self.presence.all_local())

    def apply_peer(self, node: str, learnt: StateDelta, cause: ChangeOrigin) -> None:
        """Apply another node's state change."""
        for present in learnt.members:
            self._presence_changed(self.presence.apply_remote(node, present), cause)
        if self.observer is not None:
            for key, change in learnt.counts.items():
                if not key.startswith(ADDRESS):
                    self.observer.subscription_count_changed(Stream(key), self.total(Stream(key)), change, cause)

    # --- subscriptions

    def follow(self, connection: Connection, grants: Mapping[str, Grant], member: Member | None = None) -> None:
        """Follow granted topics. Idempotent; the later grant wins. `member` is the presence member if it is not the
        connection's recipient."""
        if not grants or connection.phase is Phase.CLOSED:  # closed during authorization
            return
        principal = connection.principal
        connection.grants = {**(connection.grants or {}), **grants}
        for topic in grants:
            if self._follow(connection, topic_stream(principal.tenant, topic)):
                arrived = self.presence.join(principal, topic, connection.id, member)
                if arrived is not None:
                    where, change = arrived
                    self.cluster.presence_changed(where)
                    self._presence_changed(change, ChangeOrigin.HERE)

    def unfollow(self, connection: Connection, topics: Iterable[str]) -> None:
        """Unfollow topics; topics that are not followed are ignored."""
        principal = connection.principal
        for topic in topics:
            if connection.grants is not None and connection.grants.pop(topic, None) is not None:
                stream = topic_stream(principal.tenant, topic)
                connection.streams = tuple(one for one in connection.streams if one != stream)
                self._drop(connection, stream)

    def regrant(self, connection: Connection, before: Iterable[str], kept: Mapping[str, Grant]) -> None:
        """Apply what a new session grants of the topics followed `before`; topics followed or unfollowed meanwhile keep their state."""
        self.unfollow(connection, [topic for topic in before if topic not in kept])
        if connection.grants is not None:
            connection.grants |= {topic: grant for topic, grant in kept.items() if topic in connection.grants}

    def topics(self, connection: Connection) -> tuple[str, ...]:
        """The topics a connection follows."""
        return tuple(connection.grants or ())

    def followers(self, tenant: str, topic: str) -> list[Connection]:
        """The connections that follow a topic."""
        return self.connections_on(topic_stream(tenant, topic))

    def followed_topics(self, tenant: str) -> dict[str, int]:
        """Return a tenant's followed topics on all nodes with their connection counts."""
        prefix = topic_stream(tenant, "")
        counts = Counter({key: len(those) for key, those in self._streams.items() if key.startswith(prefix)})
        for key, count in self.cluster.counts_by_prefix(prefix):
            counts[Stream(key)] += count
        return {stream.removeprefix(prefix): count for stream, count in counts.items()}

    def connections_on(self, stream: Stream) -> list[Connection]:
        """The connections that follow a stream."""
        return list(self._streams.get(stream, ()))

    def count(self, stream: Stream) -> int:
        """Return the number of local connections that follow a stream."""
        return len(self._streams.get(stream, ()))

    def total(self, stream: Stream) -> int:
        """Return the number of connections that follow a stream on all nodes."""
        return len(self._streams.get(stream, ())) + self.cluster.count_elsewhere(stream)

    def recipients(self, tenant: str) -> list[tuple[str, list[str]]]:
        """Return the recipients with followed inboxes in this process, by tenant (`*`: all tenants)."""
        found = set()
        for stream in self._streams:
            kind, owner, name = stream.split(SEPARATOR, 2)
            if tenant in (EVERY_TENANT, owner):
                key = name if kind == "inbox" else self._recipient_of(name)
                if key is not None:
                    found.add((owner, key))
        return [(owner, [key for _, key in group]) for owner, group in groupby(sorted(found), key=itemgetter(0))]

    def _recipient_of(self, topic: str) -> str | None:
        return None if self.observer is None else self.observer.recipient_of(topic)

    def _follow(self, connection: Connection, stream: Stream) -> bool:
        if connection.phase is Phase.CLOSED:  # closed during authorization
            return False
        followers = self._streams.get(stream)
        if followers is None:
            followers = self._streams[stream] = {connection}
            for heard in self._carrying_subscription(stream):
                self.callbacks.followed(heard)
        elif connection in followers:
            return False
        else:
            followers.add(connection)
        connection.streams += (stream,)
        self._count_changed(stream, len(followers), 1)
        return True

    def _drop(self, connection: Connection, stream: Stream) -> None:
        followers = self._streams.get(stream)
        if followers is None:
            return
        followers.discard(connection)
        if not followers:
            del self._streams[stream]
            for heard in self._carrying_subscription(stream):
                self.callbacks.unfollowed(heard)
        topic = topic_of(stream)
        if topic is not None:
            self._leave_presence(connection, topic)
        self._count_changed(stream, len(followers), -1)

    def _leave_presence(self, connection: Connection, topic: str) -> None:
        departed = self.presence.leave(connection.principal, topic, connection.id)
        if departed is None:
            return
        self.cluster.presence_changed(departed.where)
        self._presence_changed(departed.change, ChangeOrigin.HERE)
        if departed.here == 0 and self.observer is not None:
            self.observer.node_left(departed.where)

    def _count_changed(self, stream: Stream, here: int, change: int) -> None:
        self.cluster.count_changed(stream)
        if self.observer is not None:
            self.observer.subscription_count_changed(
                stream, here + self.cluster.count_elsewhere(stream), change, ChangeOrigin.HERE
            )

    def _carrying_subscription(self, stream: Stream) -> tuple[Stream, ...]:
        """Return the broker streams a stream needs: itself, and the inbox whose changes its topic carries."""
        kind, tenant, name = stream.split(SEPARATOR, 2)
        recipient = self._recipient_of(name) if kind == "topic" else None
        return (stream,) if recipient is None else (stream, inbox_stream(tenant, recipient))

    def _presence_changed(self, change: PresenceChanged | None, cause: ChangeOrigin) -> None:
        if change is None:
            return
        if self.observer is not None:
            self.observer.presence_changed(change, cause)
        self.callbacks.presence_changed(change)


def topic_of(stream: Stream) -> str | None:
    """Return the topic of a topic stream, else None."""
    kind, _, topic = stream.split(SEPARATOR, 2)
    return topic if kind == "topic" else None
