"""The connections of this process, and one dispatch an event.

An event is encoded once for each dialect that somebody on its stream speaks; then the same bytes are written to all.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from socket import SocketType

from bellcast.live.cluster.presence_batching import PresenceBatcher, merge_changes
from bellcast.live.cluster.state import ClusterState
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection, Dialect, Phase
from bellcast.live.hub.presence import Presence
from bellcast.live.hub.stream_index import StreamIndex
from bellcast.model.events import (
    AnnouncementChanged,
    Event,
    InboxBulkChanged,
    InboxEvent,
    LiveEvent,
    NodeLeft,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
    PeerUpdate,
    PresenceChanged,
    SessionsRevoked,
    SnapshotRequest,
    Stream,
    SubscriptionEnded,
    SurveyReply,
    SurveyRequest,
    Typing,
)


class Hub(StreamIndex):
    """Who is here, and what they are told. Every method is called on the loop's thread."""

    def __init__(self, presence: Presence, census: ClusterState) -> None:
        super().__init__(presence, census)
        self.encoded_total: Counter[tuple[str, str]] = Counter()  # how often events were, by protocol and transport
        self._is_tick_busy = False
        self._presence_batcher = PresenceBatcher(self._send_presence_batch)

    # --- what they hear

    def dispatch(self, event: Event) -> None:
        """Give an event to everybody here who follows its stream."""
        match event:
            case NotificationAdded() | NotificationUpdated() | NotificationDeleted() | InboxBulkChanged():
                self._dispatch_change(event)
                if self.observer is not None:
                    self.observer.inbox_changed(event)
            case PresenceChanged():
                self._dispatch_move(event)
            case LiveEvent() | Typing():
                self._dispatch_live(event)
            case AnnouncementChanged():
                self.callbacks.materialize(event)
            case SessionsRevoked():
                self._revoke(event)
            case SubscriptionEnded():
                self.callbacks.recheck_grant(event)
            case PeerUpdate() | SnapshotRequest() | NodeLeft():
                self.cluster.receive(event)
            case SurveyRequest() | SurveyReply():
                self.callbacks.survey(event)

    def _dispatch_live(self, event: LiveEvent | PresenceChanged | Typing) -> None:
        """The widest path: thousands of followers, one event.

        The first event of a loop turn goes straight to the sockets: `send` on the socket costs a tenth less than the
        transport's `write`. Later ones of the same turn are joined by the outlet, as is everything behind bytes
        that still wait."""
        connections = self._audience_of(event)
        if connections:
            self._fan_out(connections, partial(self._encode, event), event.sender)

    def _dispatch_move(self, event: PresenceChanged) -> None:
        is_batched = self._presence_batcher.add(event, self.count(event.stream))
        if not is_batched:
            self._dispatch_live(event)

    def _send_presence_batch(self, stream: Stream, moves: Sequence[PresenceChanged]) -> None:
        """Tell a crowd of several moves in one write, and those who moved of what came after their own."""
        last = {move.sender: number for number, move in enumerate(moves, 1)}
        waiting = [one for one in self._streams.get(stream, ()) if one.id not in last]
        # Another server's sends, or TLS, carry one frame at a time. To tell nobody would count as an event of this turn.
        if framed := [one for one in waiting if one.sock is None]:
            for move in moves:
                self._fan_out(framed, partial(self._encode, move), None)
        self._send_moves_together([one for one in waiting if one.sock is not None], moves)
        for sender, number in last.items():
            mover = self._by_id.get(sender or "")
            if mover is not None and stream in mover.streams:
                self._send_moves_together([mover], moves[number:])

    def _send_moves_together(self, connections: Sequence[Connection], moves: Sequence[PresenceChanged]) -> None:
        told = merge_changes(moves) if connections and moves else None
        if told is not None:
            self._fan_out(connections, partial(self._encode, told), None)

    def send_to_stream(self, stream: Stream, encode: Callable[[Dialect], bytes | None]) -> None:
        """Give everybody on a stream what their dialect makes of something; nothing where it has no word for it."""
        connections = tuple(self._streams.get(stream, ()))
        if connections:
            self._fan_out(connections, encode, None)

    def _fan_out(
        self, connections: Sequence[Connection], encode: Callable[[Dialect], bytes | None], but: str | None
    ) -> None:
        joined = self._note_tick_events()
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
            connection.last_sent_tick = tick
            sock, outlet = connection.sock, connection.transport
            if joined or sock is None or connection.phase is not live:
                connection.write(data)
            elif outlet.clear or not outlet.get_write_buffer_size():
                _send(connection, sock, data)
            else:
                connection.write(data)

    def _audience_of(self, event: LiveEvent | PresenceChanged | Typing) -> Sequence[Connection]:
        """Who hears a live event: a copy, for a write may end a slow reader, who then leaves the set. Topics are
        followed from `ready` on; a recipient's own stream earlier."""
        connections = self._streams.get(event.stream, ())
        if isinstance(event, LiveEvent) and event.topic is None:
            return [one for one in connections if one.phase is not Phase.OPENING]
        return tuple(connections)

    def _note_tick_events(self) -> bool:
        """Whether another event was told in this turn of the loop."""
        if self._is_tick_busy:
            return True
        self._is_tick_busy = True
        asyncio.get_running_loop().call_soon(self._end_tick)
        return False

    def _end_tick(self) -> None:
        self._is_tick_busy = False

    def _dispatch_change(self, event: InboxEvent) -> None:
        connections = self._streams.get(event.stream)
        if not connections:
            return
        state = event.inbox
        encoded: dict[object, bytes | None] = {}
        for connection in tuple(connections):
            if connection.phase is not Phase.LIVE:
                connection.is_stale = True
            elif connection.epoch == state.epoch and state.revision == connection.revision + 1:
                if connection.dialect not in encoded:
                    encoded[connection.dialect] = self._encode(event, connection.dialect)
                connection.revision = state.revision
                data = encoded[connection.dialect]
                if data is not None:
                    connection.write_tracked(data)
            elif connection.epoch != state.epoch or state.revision > connection.revision:
                self.callbacks.fill_gap(connection)  # a hole: the store knows what went by

    def _encode(self, event: Event, dialect: Dialect) -> bytes | None:
        self.encoded_total[dialect.protocol, dialect.transport] += 1
        return dialect.encode(event)

    def on_pong(self, connection: Connection, data: bytes) -> None:
        """A ping that carried data was answered."""
        if self.observer is not None:
            self.observer.pong_received(connection, data)

    # --- how they end

    def _revoke(self, event: SessionsRevoked) -> None:
        for connection in tuple(self._streams.get(event.stream, ())):
            if connection.principal.issued_at < event.before:
                self.end(connection, close_reasons.REVOKED)

    def end(self, connection: Connection, end: CloseReason) -> None:
        """Tell a connection why, close it, and forget it."""
        if self.log is not None and connection.phase is not Phase.CLOSED and connection.id not in self._by_id:
            self.log.refused(connection, end)
        connection.close(end)
        self.on_disconnected(connection)


def _send(connection: Connection, sock: SocketType, data: bytes) -> None:
    """Send at once what the socket takes; the transport has the rest."""
    try:
        sent = sock.send(data)
    except OSError:  # full, or gone: the transport finds out which
        sent = 0
    if sent != len(data):
        connection.write(data[sent:])
