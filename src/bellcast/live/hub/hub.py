"""The connections of this process and the dispatch of events to them.

An event is encoded once per dialect in use on its stream; the same bytes are written to all its connections.
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
    """Dispatches events to connections. Every method must be called on the event loop's thread."""

    def __init__(self, presence: Presence, census: ClusterState) -> None:
        super().__init__(presence, census)
        self.encoded_total: Counter[tuple[str, str]] = Counter()  # encoded events by protocol and transport
        self._is_tick_busy = False
        self._presence_batcher = PresenceBatcher(self._send_presence_batch)

    # --- dispatch

    def dispatch(self, event: Event) -> None:
        """Dispatch an event to the local followers of its stream."""
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
        """Fan out one event, possibly to thousands of followers.

        The first event of a loop iteration is sent directly on the sockets: `send` costs a tenth less than the
        transport's `write`. Later events of the same iteration, and output behind buffered bytes, are coalesced by the
        transport."""
        connections = self._audience_of(event)
        if connections:
            self._fan_out(connections, partial(self._encode, event), event.sender)

    def _dispatch_move(self, event: PresenceChanged) -> None:
        is_batched = self._presence_batcher.add(event, self.count(event.stream))
        if not is_batched:
            self._dispatch_live(event)

    def _send_presence_batch(self, stream: Stream, moves: Sequence[PresenceChanged]) -> None:
        """Send several presence changes in one write. A member that moved only receives the changes after its own."""
        last = {move.sender: number for number, move in enumerate(moves, 1)}
        waiting = [one for one in self._streams.get(stream, ()) if one.id not in last]
        # Another server's `send` and TLS carry one frame at a time. An empty fan-out would count as an event of this tick.
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
        """Send to a stream's followers what `encode` returns for their dialect; None is skipped."""
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
        """Return the connections that receive a live event. It is a copy, because a write may close a slow reader and
        remove it from the set. Topics are followed from `ready` on, a recipient's own stream earlier."""
        connections = self._streams.get(event.stream, ())
        if isinstance(event, LiveEvent) and event.topic is None:
            return [one for one in connections if one.phase is not Phase.OPENING]
        return tuple(connections)

    def _note_tick_events(self) -> bool:
        """True if another event was sent in this loop iteration."""
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
                self.callbacks.fill_gap(connection)  # a gap: the missed changes are in the store

    def _encode(self, event: Event, dialect: Dialect) -> bytes | None:
        self.encoded_total[dialect.protocol, dialect.transport] += 1
        return dialect.encode(event)

    def on_pong(self, connection: Connection, data: bytes) -> None:
        if self.observer is not None:
            self.observer.pong_received(connection, data)

    # --- closing

    def _revoke(self, event: SessionsRevoked) -> None:
        for connection in tuple(self._streams.get(event.stream, ())):
            if connection.principal.issued_at < event.before:
                self.end(connection, close_reasons.REVOKED)

    def end(self, connection: Connection, end: CloseReason) -> None:
        """Close a connection with a reason and unregister it."""
        if self.log is not None and connection.phase is not Phase.CLOSED and connection.id not in self._by_id:
            self.log.refused(connection, end)
        connection.close(end)
        self.on_disconnected(connection)


def _send(connection: Connection, sock: SocketType, data: bytes) -> None:
    """Send as much as the socket accepts; the transport writes the rest."""
    try:
        sent = sock.send(data)
    except OSError:  # full or closed: the transport detects which
        sent = 0
    if sent != len(data):
        connection.write(data[sent:])
