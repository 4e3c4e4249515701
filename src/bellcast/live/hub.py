"""The connections of this process: which streams they follow, and one dispatch an event.

An event is encoded once for each dialect that somebody on its stream speaks; then the same bytes are written to all.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from socket import SocketType
from typing import NamedTuple, Protocol

from bellcast.live import reasons
from bellcast.live.connection import Connection, Dialect, Phase
from bellcast.live.crowds import Crowds, together
from bellcast.live.presence import Presence
from bellcast.live.reasons import Close
from bellcast.model.events import (
    SEPARATOR,
    AnnouncementChanged,
    Event,
    InboxCounted,
    InboxEvent,
    LiveEvent,
    Member,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
    PresenceChanged,
    SessionsRevoked,
    Stream,
    SubscriptionEnded,
    Typing,
    inbox_stream,
    topic_stream,
)
from bellcast.model.people import EVERY_TENANT

INBOX_EVENTS = (NotificationAdded, NotificationUpdated, NotificationDeleted, InboxCounted)


class Notices(NamedTuple):
    """What the hub asks of the rooms around it; wired by the server."""

    catch_up: Callable[[Connection], None]
    take_in: Callable[[AnnouncementChanged], None]
    reconsider: Callable[[SubscriptionEnded], None]
    publish: Callable[[Event], None]
    gone: Callable[[Connection], object]
    follow: Callable[[Stream], None]
    unfollow: Callable[[Stream], None]


class Watcher(Protocol):
    """A dialect that tells its clients more than the events of their streams."""

    def counted(self, stream: Stream, count: int, change: int) -> None:
        """A stream has that many followers now: one more or one less than before."""
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


class Hub:
    """Stream to connections. Every method is called on the loop's thread."""

    def __init__(self, presence: Presence) -> None:
        self.tick = 0
        self.presence = presence
        self.notices: Notices
        self._streams: dict[Stream, set[Connection]] = {}
        self._by_id: dict[str, Connection] = {}
        self._by_address: dict[str, int] = {}
        self._busy = False
        self.newcomer: Callable[[Connection], None] = lambda _: None
        self.watcher: Watcher | None = None
        self._crowds = Crowds(self._tell_moves)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._by_id.values()))

    # --- who is here

    def add(self, connection: Connection) -> None:
        """Know a connection, and let it follow its recipient's own stream."""
        self._by_id[connection.id] = connection
        if connection.address is not None:
            self._by_address[connection.address] = self.at_address(connection.address) + 1
        self.identify(connection)
        self.newcomer(connection)

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
            self._leave_address(connection.address)
        for stream in connection.streams:
            self._drop(connection, stream)
        self.notices.gone(connection)

    def find(self, id: str) -> Connection | None:
        """The connection of that public id."""
        return self._by_id.get(id)

    def at_address(self, address: str) -> int:
        """How many connections come from an address."""
        return self._by_address.get(address, 0)

    def of_recipient(self, tenant: str, recipient: str) -> int:
        """How many connections a recipient has here."""
        return len(self._streams.get(inbox_stream(tenant, recipient), ()))

    def _leave_address(self, address: str) -> None:
        left = self.at_address(address) - 1
        if left > 0:
            self._by_address[address] = left
        else:
            self._by_address.pop(address, None)

    # --- what they follow

    def follow(self, connection: Connection, topics: Iterable[str], member: Member | None = None) -> None:
        """Follow topics that are allowed; following twice is following once. `member` is who is present there, if not
        the connection's recipient."""
        principal = connection.principal
        for topic in topics:
            if self._follow(connection, topic_stream(principal.tenant, topic)):
                self._announce(self.presence.arrive(principal, topic, connection.id, member))

    def unfollow(self, connection: Connection, topics: Iterable[str]) -> None:
        """Stop following; what is not followed is passed over."""
        principal = connection.principal
        for topic in topics:
            stream = topic_stream(principal.tenant, topic)
            if stream in connection.streams:
                connection.streams = tuple(one for one in connection.streams if one != stream)
                self._drop(connection, stream)

    def topics(self, connection: Connection) -> tuple[str, ...]:
        """The topics a connection follows."""
        return tuple(topic for topic in map(_topic, connection.streams) if topic is not None)

    def followers(self, tenant: str, topic: str) -> list[Connection]:
        """The connections that follow a topic."""
        return self.on(topic_stream(tenant, topic))

    def followed(self, tenant: str) -> dict[str, int]:
        """The topics of a tenant that somebody follows, and how many connections do."""
        prefix = topic_stream(tenant, "")
        return {
            stream.removeprefix(prefix): len(followers)
            for stream, followers in self._streams.items()
            if stream.startswith(prefix)
        }

    def on(self, stream: Stream) -> list[Connection]:
        """The connections that follow a stream."""
        return list(self._streams.get(stream, ()))

    def count(self, stream: Stream) -> int:
        """How many connections follow a stream."""
        return len(self._streams.get(stream, ()))

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
        if self.watcher is not None:
            self.watcher.counted(stream, len(followers), 1)
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
        topic = _topic(stream)
        if topic is not None:
            self._announce(self.presence.depart(connection.principal, topic, connection.id))
        if self.watcher is not None:
            self.watcher.counted(stream, len(followers), -1)

    def _carried(self, stream: Stream) -> Iterator[Stream]:
        """What has to be carried here for a stream to be told: itself, and the inbox its topic carries too."""
        yield stream
        _, tenant, name = stream.split(SEPARATOR, 2)
        recipient = None if _topic(stream) is None else self._recipient_of(name)
        if recipient is not None:
            yield inbox_stream(tenant, recipient)

    def _announce(self, change: PresenceChanged | None) -> None:
        if change is not None:
            self.notices.publish(change)

    # --- what they hear

    def dispatch(self, event: Event) -> None:
        """Give an event to everybody here who follows its stream."""
        match event:
            case NotificationAdded() | NotificationUpdated() | NotificationDeleted() | InboxCounted():
                self._dispatch_change(event)
                if self.watcher is not None:
                    self.watcher.changed(event)
            case PresenceChanged() if self._crowds.take(event, self.count(event.stream)):
                pass
            case LiveEvent() | PresenceChanged() | Typing():
                self._dispatch_live(event)
            case AnnouncementChanged():
                self.notices.take_in(event)
            case SessionsRevoked():
                self._revoke(event)
            case SubscriptionEnded():
                self.notices.reconsider(event)

    def _dispatch_live(self, event: LiveEvent | PresenceChanged | Typing) -> None:
        """The widest path: thousands of followers, one event.

        The first event of a loop turn goes straight to the sockets: `send` on the socket costs a tenth less than the
        transport's `write`. Later ones of the same turn are joined by the outlet, as is everything behind bytes
        that still wait."""
        connections = self._told(event)
        if connections:
            self._tell(connections, partial(_encoded, event), event.sender)

    def _tell_moves(self, stream: Stream, moves: Sequence[PresenceChanged]) -> None:
        """Tell a crowd of several moves in one write, and those who moved of what came after their own."""
        last = {move.sender: number for number, move in enumerate(moves, 1)}
        waiting = [one for one in self._streams.get(stream, ()) if one.id not in last]
        # Another server's sends, or TLS, carry one frame at a time.
        for move in moves:
            self._tell([one for one in waiting if one.sock is None], partial(_encoded, move), None)
        self._tell_together([one for one in waiting if one.sock is not None], moves)
        for sender, number in last.items():
            mover = self._by_id.get(sender or "")
            if mover is not None and stream in mover.streams:
                self._tell_together([mover], moves[number:])

    def _tell_together(self, connections: Sequence[Connection], moves: Sequence[PresenceChanged]) -> None:
        told = together(moves) if connections and moves else None
        if told is not None:
            self._tell(connections, partial(_encoded, told), None)

    def tell(self, stream: Stream, encode: Callable[[Dialect], bytes | None]) -> None:
        """Give everybody on a stream what their dialect makes of something; nothing where it has no word for it."""
        connections = tuple(self._streams.get(stream, ()))
        if connections:
            self._tell(connections, encode, None)

    def _tell(
        self, connections: Sequence[Connection], encode: Callable[[Dialect], bytes | None], but: str | None
    ) -> None:
        joined = self._turn_has_events()
        sender = self._by_id.get(but) if but is not None else None
        encoded: dict[object, bytes | None] = {}
        dialect, data, tick, live = None, None, self.tick, Phase.LIVE
        for connection in connections:
            if connection.dialect is not dialect:
                dialect = connection.dialect
                if dialect not in encoded:
                    encoded[dialect] = encode(dialect)
                data = encoded[dialect]
            if data is None or connection is sender:
                continue
            connection.wrote_at = tick
            sock, outlet = connection.sock, connection.outlet
            if joined or sock is None or connection.phase is not live:
                connection.write(data)
            elif outlet.clear or not outlet.get_write_buffer_size():
                _send(connection, sock, data)
            else:
                connection.write(data)

    def _told(self, event: LiveEvent | PresenceChanged | Typing) -> Sequence[Connection]:
        """Who hears a live event: a copy, for a write may end a slow reader, who then leaves the set. Topics are
        followed from `ready` on; a recipient's own stream earlier."""
        connections = self._streams.get(event.stream, ())
        if isinstance(event, LiveEvent) and event.topic is None:
            return [one for one in connections if one.phase is not Phase.HOLDING]
        return tuple(connections)

    def _turn_has_events(self) -> bool:
        """Whether another event was told in this turn of the loop."""
        if self._busy:
            return True
        self._busy = True
        asyncio.get_running_loop().call_soon(self._turn_over)
        return False

    def _turn_over(self) -> None:
        self._busy = False

    def _dispatch_change(self, event: InboxEvent) -> None:
        connections = self._streams.get(event.stream)
        if not connections:
            return
        state = event.inbox
        encoded: dict[object, bytes | None] = {}
        for connection in tuple(connections):
            if connection.phase is not Phase.LIVE:
                connection.behind = True
            elif connection.epoch == state.epoch and state.revision == connection.revision + 1:
                if connection.dialect not in encoded:
                    encoded[connection.dialect] = connection.dialect.encode(event)
                connection.revision = state.revision
                data = encoded[connection.dialect]
                if data is not None:
                    connection.told(data)
            elif connection.epoch != state.epoch or state.revision > connection.revision:
                self.notices.catch_up(connection)  # a hole: the store knows what went by

    def answered(self, connection: Connection, data: bytes) -> None:
        """A ping that carried data was answered."""
        if self.watcher is not None:
            self.watcher.answered(connection, data)

    # --- how they end

    def _revoke(self, event: SessionsRevoked) -> None:
        for connection in tuple(self._streams.get(event.stream, ())):
            if connection.principal.issued_at < event.before:
                self.end(connection, reasons.REVOKED)

    def end(self, connection: Connection, end: Close) -> None:
        """Tell a connection why, close it, and forget it."""
        connection.finish(end)
        self.lost(connection)


def _send(connection: Connection, sock: SocketType, data: bytes) -> None:
    """Send at once what the socket takes; the transport has the rest."""
    try:
        sent = sock.send(data)
    except OSError:  # full, or gone: the transport finds out which
        sent = 0
    if sent != len(data):
        connection.write(data[sent:])


def _encoded(event: Event, dialect: Dialect) -> bytes | None:
    return dialect.encode(event)


def _topic(stream: Stream) -> str | None:
    kind, _, topic = stream.split(SEPARATOR, 2)
    return topic if kind == "topic" else None
