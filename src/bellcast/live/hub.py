"""The connections of this process, and one dispatch an event.

An event is encoded once for each dialect that somebody on its stream speaks; then the same bytes are written to all.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from socket import SocketType

from bellcast.live import reasons
from bellcast.live.census import Census
from bellcast.live.connection import Connection, Dialect, Phase
from bellcast.live.crowds import Crowds, together
from bellcast.live.following import Following
from bellcast.live.presence import Presence
from bellcast.live.reasons import Close
from bellcast.model.events import (
    AnnouncementChanged,
    Event,
    InboxCounted,
    InboxEvent,
    LiveEvent,
    NodeLeft,
    NodesAsked,
    NodeTold,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
    PresenceChanged,
    RollAsked,
    RollTold,
    SessionsRevoked,
    Stream,
    SubscriptionEnded,
    Typing,
)


class Hub(Following):
    """Who is here, and what they are told. Every method is called on the loop's thread."""

    def __init__(self, presence: Presence, census: Census) -> None:
        super().__init__(presence, census)
        self.encoded: Counter[tuple[str, str]] = Counter()  # how often events were, by protocol and transport
        self._busy = False
        self._crowds = Crowds(self._tell_moves)

    # --- what they hear

    def dispatch(self, event: Event) -> None:
        """Give an event to everybody here who follows its stream."""
        match event:
            case NotificationAdded() | NotificationUpdated() | NotificationDeleted() | InboxCounted():
                self._dispatch_change(event)
                if self.watcher is not None:
                    self.watcher.changed(event)
            case PresenceChanged():
                self._dispatch_move(event)
            case LiveEvent() | Typing():
                self._dispatch_live(event)
            case AnnouncementChanged():
                self.notices.take_in(event)
            case SessionsRevoked():
                self._revoke(event)
            case SubscriptionEnded():
                self.notices.reconsider(event)
            case NodeTold() | NodesAsked() | NodeLeft():
                self.census.hear(event)
            case RollAsked() | RollTold():
                self.notices.roll(event)

    def _dispatch_live(self, event: LiveEvent | PresenceChanged | Typing) -> None:
        """The widest path: thousands of followers, one event.

        The first event of a loop turn goes straight to the sockets: `send` on the socket costs a tenth less than the
        transport's `write`. Later ones of the same turn are joined by the outlet, as is everything behind bytes
        that still wait."""
        connections = self._told(event)
        if connections:
            self._tell(connections, partial(self._encode, event), event.sender)

    def _dispatch_move(self, event: PresenceChanged) -> None:
        is_batched = self._crowds.take(event, self.count(event.stream))
        if not is_batched:
            self._dispatch_live(event)

    def _tell_moves(self, stream: Stream, moves: Sequence[PresenceChanged]) -> None:
        """Tell a crowd of several moves in one write, and those who moved of what came after their own."""
        last = {move.sender: number for number, move in enumerate(moves, 1)}
        waiting = [one for one in self._streams.get(stream, ()) if one.id not in last]
        # Another server's sends, or TLS, carry one frame at a time. To tell nobody would count as an event of this turn.
        if framed := [one for one in waiting if one.sock is None]:
            for move in moves:
                self._tell(framed, partial(self._encode, move), None)
        self._tell_together([one for one in waiting if one.sock is not None], moves)
        for sender, number in last.items():
            mover = self._by_id.get(sender or "")
            if mover is not None and stream in mover.streams:
                self._tell_together([mover], moves[number:])

    def _tell_together(self, connections: Sequence[Connection], moves: Sequence[PresenceChanged]) -> None:
        told = together(moves) if connections and moves else None
        if told is not None:
            self._tell(connections, partial(self._encode, told), None)

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
                    encoded[connection.dialect] = self._encode(event, connection.dialect)
                connection.revision = state.revision
                data = encoded[connection.dialect]
                if data is not None:
                    connection.told(data)
            elif connection.epoch != state.epoch or state.revision > connection.revision:
                self.notices.catch_up(connection)  # a hole: the store knows what went by

    def _encode(self, event: Event, dialect: Dialect) -> bytes | None:
        self.encoded[dialect.protocol, dialect.transport] += 1
        return dialect.encode(event)

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
        if self.log is not None and connection.phase is not Phase.ENDED and connection.id not in self._by_id:
            self.log.refused(connection, end)
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
