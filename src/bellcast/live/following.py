"""Who is connected to this process and which streams they follow. What other nodes have is counted in; the census tells
of it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, Protocol

from bellcast.auth.permissions import Grant
from bellcast.live.census import Census
from bellcast.live.connection import Connection, Phase
from bellcast.live.nodes import Cause, Learnt, Place
from bellcast.live.presence import Presence
from bellcast.live.reasons import Close
from bellcast.model.events import (
    SEPARATOR,
    AnnouncementChanged,
    InboxEvent,
    Member,
    PresenceChanged,
    Present,
    RollAsked,
    RollTold,
    Stream,
    SubscriptionEnded,
    inbox_stream,
    topic_stream,
)
from bellcast.model.people import EVERY_TENANT

ADDRESS = "address" + SEPARATOR


class Notices(NamedTuple):
    """What the hub asks of the rooms around it; wired by the server."""

    catch_up: Callable[[Connection], None]
    take_in: Callable[[AnnouncementChanged], None]
    reconsider: Callable[[SubscriptionEnded], None]
    moved: Callable[[PresenceChanged], None]
    roll: Callable[[RollAsked | RollTold], None]
    gone: Callable[[Connection], object]
    follow: Callable[[Stream], None]
    unfollow: Callable[[Stream], None]


class Watcher(Protocol):
    """A dialect that tells its clients more than the events of their streams."""

    def counted(self, stream: Stream, count: int, change: int, cause: Cause) -> None:
        """A stream has that many followers now, on all nodes together, `change` more than before."""
        ...

    def moved(self, change: PresenceChanged, cause: Cause) -> None:
        """Somebody's first connection of all came to a topic, or the last one left."""
        ...

    def left(self, where: Place) -> None:
        """Somebody has no connection on a topic here any more; perhaps they have one on another node."""
        ...

    def changed(self, event: InboxEvent) -> None:
        """An inbox changed, whoever follows it."""
        ...

    def recipient_of(self, topic: str) -> str | None:
        """Whose inbox changes that topic carries too."""
        ...

    def answered(self, connection: Connection, data: bytes) -> None:
        """A ping with those data was answered."""
        ...


class ConnectionLog(Protocol):
    """Writes down which connections come and go."""

    def opened(self, connection: Connection) -> None: ...
    def closed(self, connection: Connection) -> None: ...
    def refused(self, connection: Connection, end: Close) -> None:
        """A connection was accepted only to be told why it is refused."""
        ...


class Following:
    """Stream to connections. Every method is called on the loop's thread."""

    def __init__(self, presence: Presence, census: Census) -> None:
        self.tick = 0
        self.presence = presence
        self.census = census
        census.own = self
        self.notices: Notices
        self._streams: dict[Stream, set[Connection]] = {}
        self._by_id: dict[str, Connection] = {}
        self._by_address: dict[str, int] = {}
        self.newcomer: Callable[[Connection], None] = lambda _: None
        self.watcher: Watcher | None = None
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
        self.identify(connection)
        self.newcomer(connection)
        if self.log is not None:
            self.log.opened(connection)

    def identify(self, connection: Connection) -> None:
        """Let a connection follow its recipient's own stream, now that it has one."""
        principal = connection.principal
        if principal.recipient is not None:
            self._follow(connection, inbox_stream(principal.tenant, principal.recipient))

    def lost(self, connection: Connection) -> None:
        """Forget a connection. Safe to call twice."""
        if self._by_id.pop(connection.id, None) is None:
            return
        if connection.address is not None:
            self._at_address(connection.address, -1)
        for stream in connection.streams:
            self._drop(connection, stream)
        self.notices.gone(connection)
        if self.log is not None:
            self.log.closed(connection)

    def find(self, id: str) -> Connection | None:
        """The connection of that public id."""
        return self._by_id.get(id)

    def at_address(self, address: str) -> int:
        """How many connections come from an address, to all nodes."""
        return self._by_address.get(address, 0) + self.census.elsewhere(ADDRESS + address)

    def of_recipient(self, tenant: str, recipient: str) -> int:
        """How many connections a recipient has on all nodes."""
        return self.total(inbox_stream(tenant, recipient))

    def _at_address(self, address: str, change: int) -> None:
        left = self._by_address.get(address, 0) + change
        if left > 0:
            self._by_address[address] = left
        else:
            self._by_address.pop(address, None)
        self.census.changed(ADDRESS + address)

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

    def present_here(self, where: Place) -> Present:
        """Somebody's connections on a topic in this process."""
        return self.presence.here(where)

    def presents_here(self) -> list[Present]:
        """Everybody who is present by a connection in this process."""
        return list(self.presence.all_here())

    def learn(self, node: str, learnt: Learnt, cause: Cause) -> None:
        """Another node has more or fewer than before."""
        for present in learnt.members:
            self._moved(self.presence.told(node, present), cause)
        if self.watcher is not None:
            for key, change in learnt.counts.items():
                if not key.startswith(ADDRESS):
                    self.watcher.counted(Stream(key), self.total(Stream(key)), change, cause)

    # --- what they follow

    def follow(self, connection: Connection, grants: Mapping[str, Grant], member: Member | None = None) -> None:
        """Follow topics that are granted; following twice is following once, by the later grant. `member` is who is
        present there, if not the connection's recipient."""
        if not grants or connection.phase is Phase.ENDED:  # it left while the right was looked up
            return
        principal = connection.principal
        connection.grants = {**(connection.grants or {}), **grants}
        for topic in grants:
            if self._follow(connection, topic_stream(principal.tenant, topic)):
                arrived = self.presence.arrive(principal, topic, connection.id, member)
                if arrived is not None:
                    where, change = arrived
                    self.census.moved(where)
                    self._moved(change, Cause.HERE)

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
        return self.on(topic_stream(tenant, topic))

    def followed(self, tenant: str) -> dict[str, int]:
        """The topics of a tenant that somebody follows, on any node, and how many connections do."""
        prefix = topic_stream(tenant, "")
        counts = Counter({key: len(those) for key, those in self._streams.items() if key.startswith(prefix)})
        for key, count in self.census.beginning(prefix):
            counts[Stream(key)] += count
        return {stream.removeprefix(prefix): count for stream, count in counts.items()}

    def on(self, stream: Stream) -> list[Connection]:
        """The connections that follow a stream."""
        return list(self._streams.get(stream, ()))

    def count(self, stream: Stream) -> int:
        """How many connections follow a stream here."""
        return len(self._streams.get(stream, ()))

    def total(self, stream: Stream) -> int:
        """How many connections follow a stream on all nodes."""
        return len(self._streams.get(stream, ())) + self.census.elsewhere(stream)

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
        return None if self.watcher is None else self.watcher.recipient_of(topic)

    def _follow(self, connection: Connection, stream: Stream) -> bool:
        if connection.phase is Phase.ENDED:  # it left while its wish was looked at
            return False
        followers = self._streams.get(stream)
        if followers is None:
            followers = self._streams[stream] = {connection}
            for heard in self._carried(stream):
                self.notices.follow(heard)
        elif connection in followers:
            return False
        else:
            followers.add(connection)
        connection.streams += (stream,)
        self._counted(stream, len(followers), 1)
        return True

    def _drop(self, connection: Connection, stream: Stream) -> None:
        followers = self._streams.get(stream)
        if followers is None:
            return
        followers.discard(connection)
        if not followers:
            del self._streams[stream]
            for heard in self._carried(stream):
                self.notices.unfollow(heard)
        topic = topic_of(stream)
        if topic is not None:
            self._depart(connection, topic)
        self._counted(stream, len(followers), -1)

    def _depart(self, connection: Connection, topic: str) -> None:
        departed = self.presence.depart(connection.principal, topic, connection.id)
        if departed is None:
            return
        self.census.moved(departed.where)
        self._moved(departed.change, Cause.HERE)
        if departed.here == 0 and self.watcher is not None:
            self.watcher.left(departed.where)

    def _counted(self, stream: Stream, here: int, change: int) -> None:
        self.census.changed(stream)
        if self.watcher is not None:
            self.watcher.counted(stream, here + self.census.elsewhere(stream), change, Cause.HERE)

    def _carried(self, stream: Stream) -> tuple[Stream, ...]:
        """What has to be carried here for a stream to be told: itself, and the inbox its topic carries too."""
        kind, tenant, name = stream.split(SEPARATOR, 2)
        recipient = self._recipient_of(name) if kind == "topic" else None
        return (stream,) if recipient is None else (stream, inbox_stream(tenant, recipient))

    def _moved(self, change: PresenceChanged | None, cause: Cause) -> None:
        if change is None:
            return
        if self.watcher is not None:
            self.watcher.moved(change, cause)
        self.notices.moved(change)


def topic_of(stream: Stream) -> str | None:
    """The topic of a stream, if it is one's."""
    kind, _, topic = stream.split(SEPARATOR, 2)
    return topic if kind == "topic" else None
