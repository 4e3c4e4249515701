"""Who is connected to this process and which streams they follow. What other nodes have is counted in; the census tells
of it."""

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
    """What the hub asks of the rooms around it; wired by the server."""

    fill_gap: Callable[[Connection], None]
    materialize: Callable[[AnnouncementChanged], None]
    recheck_grant: Callable[[SubscriptionEnded], None]
    presence_changed: Callable[[PresenceChanged], None]
    survey: Callable[[SurveyRequest | SurveyReply], None]
    disconnected: Callable[[Connection], object]
    followed: Callable[[Stream], None]
    unfollowed: Callable[[Stream], None]


class HubObserver(Protocol):
    """A dialect that tells its clients more than the events of their streams."""

    def subscription_count_changed(self, stream: Stream, count: int, change: int, cause: ChangeOrigin) -> None:
        """A stream has that many followers now, on all nodes together, `change` more than before."""
        ...

    def presence_changed(self, change: PresenceChanged, cause: ChangeOrigin) -> None:
        """Somebody's first connection of all came to a topic, or the last one left."""
        ...

    def node_left(self, where: PresenceKey) -> None:
        """Somebody has no connection on a topic here any more; perhaps they have one on another node."""
        ...

    def inbox_changed(self, event: InboxEvent) -> None:
        """An inbox changed, whoever follows it."""
        ...

    def recipient_of(self, topic: str) -> str | None:
        """Whose inbox changes that topic carries too."""
        ...

    def pong_received(self, connection: Connection, data: bytes) -> None:
        """A ping with those data was answered."""
        ...


class ConnectionLog(Protocol):
    """Writes down which connections come and go."""

    def opened(self, connection: Connection) -> None: ...
    def closed(self, connection: Connection) -> None: ...
    def refused(self, connection: Connection, end: CloseReason) -> None:
        """A connection was accepted only to be told why it is refused."""
        ...


class StreamIndex:
    """Stream to connections. Every method is called on the loop's thread."""

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

    # --- who is here

    def add(self, connection: Connection) -> None:
        """Know a connection, and let it follow its recipient's own stream."""
        self._by_id[connection.id] = connection
        if connection.address is not None:
            self._at_address(connection.address, 1)
        self.follow_own_inbox(connection)
        self.on_added(connection)
        if self.log is not None:
            self.log.opened(connection)

    def follow_own_inbox(self, connection: Connection) -> None:
        """Let a connection follow its recipient's own stream, now that it has one."""
        principal = connection.principal
        if principal.recipient is not None:
            self._follow(connection, inbox_stream(principal.tenant, principal.recipient))

    def on_disconnected(self, connection: Connection) -> None:
        """Forget a connection. Safe to call twice."""
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
        """The connection of that public id."""
        return self._by_id.get(id)

    def at_address(self, address: str) -> int:
        """How many connections come from an address, to all nodes."""
        return self._by_address.get(address, 0) + self.cluster.count_elsewhere(ADDRESS + address)

    def connections_of(self, tenant: str, recipient: str) -> int:
        """How many connections a recipient has on all nodes."""
        return self.total(inbox_stream(tenant, recipient))

    def _at_address(self, address: str, change: int) -> None:
        left = self._by_address.get(address, 0) + change
        if left > 0:
            self._by_address[address] = left
        else:
            self._by_address.pop(address, None)
        self.cluster.count_changed(ADDRESS + address)

    # --- what the census asks

    def count_here(self, key: str) -> int:
        """Followers of a stream, or connections of an address, in this process."""
        if key.startswith(ADDRESS):
            return self._by_address.get(key.removeprefix(ADDRESS), 0)
        return len(self._streams.get(Stream(key), ()))

    def counts_here(self) -> dict[str, int]:
        """All of them."""
        counts: dict[str, int] = {stream: len(followers) for stream, followers in self._streams.items()}
        return counts | {ADDRESS + address: count for address, count in self._by_address.items()}

    def present_here(self, where: PresenceKey) -> PeerPresence:
        """Somebody's connections on a topic in this process."""
        return self.presence.local(where)

    def presence_here(self) -> list[PeerPresence]:
        """Everybody who is present by a connection in this process."""
        return list(self.presence.all_local())

    def apply_peer(self, node: str, learnt: StateDelta, cause: ChangeOrigin) -> None:
        """Another node has more or fewer than before."""
        for present in learnt.members:
            self._presence_changed(self.presence.apply_remote(node, present), cause)
        if self.observer is not None:
            for key, change in learnt.counts.items():
                if not key.startswith(ADDRESS):
                    self.observer.subscription_count_changed(Stream(key), self.total(Stream(key)), change, cause)

    # --- what they follow

    def follow(self, connection: Connection, grants: Mapping[str, Grant], member: Member | None = None) -> None:
        """Follow topics that are granted; following twice is following once, by the later grant. `member` is who is
        present there, if not the connection's recipient."""
        if not grants or connection.phase is Phase.CLOSED:  # it left while the right was looked up
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
        """Stop following; what is not followed is passed over."""
        principal = connection.principal
        for topic in topics:
            if connection.grants is not None and connection.grants.pop(topic, None) is not None:
                stream = topic_stream(principal.tenant, topic)
                connection.streams = tuple(one for one in connection.streams if one != stream)
                self._drop(connection, stream)

    def regrant(self, connection: Connection, before: Iterable[str], kept: Mapping[str, Grant]) -> None:
        """Apply what a new session grants of the topics followed `before`; what was joined or left meanwhile stays so."""
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
        """The topics of a tenant that somebody follows, on any node, and how many connections do."""
        prefix = topic_stream(tenant, "")
        counts = Counter({key: len(those) for key, those in self._streams.items() if key.startswith(prefix)})
        for key, count in self.cluster.counts_by_prefix(prefix):
            counts[Stream(key)] += count
        return {stream.removeprefix(prefix): count for stream, count in counts.items()}

    def connections_on(self, stream: Stream) -> list[Connection]:
        """The connections that follow a stream."""
        return list(self._streams.get(stream, ()))

    def count(self, stream: Stream) -> int:
        """How many connections follow a stream here."""
        return len(self._streams.get(stream, ()))

    def total(self, stream: Stream) -> int:
        """How many connections follow a stream on all nodes."""
        return len(self._streams.get(stream, ())) + self.cluster.count_elsewhere(stream)

    def recipients(self, tenant: str) -> list[tuple[str, list[str]]]:
        """The recipients of a tenant (`*`: of each) whose inboxes are looked at here, by tenant."""
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
        if connection.phase is Phase.CLOSED:  # it left while its wish was looked at
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
        """What has to be carried here for a stream to be told: itself, and the inbox its topic carries too."""
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
    """The topic of a stream, if it is one's."""
    kind, _, topic = stream.split(SEPARATOR, 2)
    return topic if kind == "topic" else None
