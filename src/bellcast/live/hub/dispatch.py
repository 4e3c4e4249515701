"""Dispatch of an event to the connections that follow its stream.

An event is encoded once per dialect in use on its stream; the same bytes are written to all its connections.
"""

import asyncio
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from functools import partial

from msgspec import Struct, field

from bellcast.inbox.types.inboxes import InboxEvent, NotificationAdded
from bellcast.kernel.brokers.history import CollectedEvents
from bellcast.kernel.clock import Clock
from bellcast.kernel.events import Event, LiveEvent, Stream
from bellcast.live.connection import Connection, ConnectionOwner, Phase
from bellcast.live.connection.dialect import Dialect
from bellcast.live.hub.callbacks import HubCallbacks, HubObserver
from bellcast.live.hub.presence import merge_changes
from bellcast.live.types import NotificationWrite, PresenceChanged, Typing

# Per process, in memory: 0.3 kB each, with id and recipient, and so 3 MB. The newest displace the oldest: after an
# announcement to 10,000 connected recipients, earlier writes are unknown.
MAX_WRITES = 10_000
# Per notification and recipient: a device that reconnects may be sent the notification again.
MAX_LISTED_WRITES = 20
# Histogram buckets in seconds. A delivery takes milliseconds; after a lost event, the reconciler delivers within 30 s.
DELAY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Histogram:
    """Counts values by upper bounds, for Prometheus. An observation takes 0.2 µs."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Return the number of values up to each bound, as Prometheus expects it."""
        passed, pairs = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.buckets, strict=True):
            passed += count
            pairs.append((bound, float(passed)))
        return pairs


class WriteLog(Struct, eq=False):
    """Writes of notifications to live connections. Not stored: a row for each would cost more than the delivery, whereas
    `record` takes a microsecond. `written` counts the writes of all events by kind; `delays` of notifications and
    `event_delays` of live events have the times from acceptance to write in seconds."""

    clock: Clock
    # Id, tenant, recipient, time and number of connections. Plain tuples are created fastest.
    _writes: deque[tuple[str, str, str, int, int]] = field(default_factory=lambda: deque(maxlen=MAX_WRITES))
    written: Counter[str] = field(default_factory=Counter)
    delays: Histogram = field(default_factory=lambda: Histogram(DELAY_BUCKETS))
    event_delays: Histogram = field(default_factory=lambda: Histogram(DELAY_BUCKETS))

    def record(self, event: NotificationAdded, connections: int) -> None:
        """Record that a notification was written to this number of connections when it was added."""
        now, notification, inbox = self.clock.now(), event.notification, event.inbox
        self._writes.append((notification.id, inbox.tenant, inbox.recipient, now, connections))
        self.written["notification"] += connections
        # A notification that returns from being snoozed was accepted long ago.
        if notification.woken_at is None:
            self.delays.observe(max(0.0, now / 1000 - notification.created_at.timestamp()))

    def record_event(self, event: LiveEvent, connections: int) -> None:
        """Record that a live event was written to this number of connections."""
        self.written["event"] += connections
        if event.accepted_at is not None:
            self.event_delays.observe(max(0.0, (self.clock.now() - event.accepted_at) / 1000))

    def record_replayed(self, event: NotificationAdded) -> None:
        """Record that a notification was written to a connection that had missed it."""
        self.written["replay"] += 1
        inbox = event.inbox
        self._writes.append((event.notification.id, inbox.tenant, inbox.recipient, self.clock.now(), 1))

    def find(self, node: str, tenant: str, notification: str, recipient: str | None) -> tuple[NotificationWrite, ...]:
        """Return the writes of a tenant's notification, the oldest first. Without a `recipient`, as for an announcement,
        they are one write, with the time of the first."""
        matching = [
            one for one in self._writes if one[0] == notification and one[1] == tenant and recipient in (None, one[2])
        ]
        if recipient is not None:
            return tuple(
                NotificationWrite(node, at, connections) for _, _, _, at, connections in matching[-MAX_LISTED_WRITES:]
            )
        if not matching:
            return ()
        recipients = len({one[2] for one in matching})
        return (NotificationWrite(node, matching[0][3], sum(one[4] for one in matching), recipients),)


class Dispatcher(Struct, eq=False):
    """Sends events to connections. `held_connections` are those that receive no stored events at present."""

    owner: ConnectionOwner
    by_id: Mapping[str, Connection]
    streams: Mapping[Stream, Set[Connection]]
    callbacks: HubCallbacks
    observers: Sequence[HubObserver]
    held_connections: Collection[Connection]
    writes: WriteLog
    encoded_total: Counter[tuple[str, str]] = field(default_factory=Counter)  # encoded events by protocol and transport
    _is_tick_busy: bool = False
    collected: CollectedEvents = field(default_factory=CollectedEvents)  # dispatched while something is read

    # --- live events

    def dispatch_live(self, event: LiveEvent | Typing) -> None:
        """Fan out one event, possibly to thousands of followers.

        The first event of a loop iteration is sent directly on the sockets: `send` costs a tenth less than the
        transport's `write`. Later events of the same iteration, and output behind buffered bytes, are coalesced by the
        transport."""
        id = None
        # A copy, because a write may close a slow reader and remove it from the set.
        connections: Sequence[Connection] = tuple(self.streams.get(event.stream, ()))
        if isinstance(event, LiveEvent):
            id = event.id
            self.collected.add(event)
            # Connections follow topics from `ready` on, and their recipient's own stream earlier.
            if event.topic is None:
                connections = [one for one in connections if one.phase is not Phase.OPENING]
        if id is not None and self.held_connections:
            connections = [one for one in connections if one not in self.held_connections]
        if connections:
            written = self._fan_out(connections, partial(self.encode, event), event.sender, id)
            if written and isinstance(event, LiveEvent):
                self.writes.record_event(event, written)

    def send_to_stream(self, stream: Stream, encode: Callable[[Dialect], bytes | None]) -> None:
        """Send to the followers of a stream what `encode` returns for their dialect; `None` sends nothing."""
        connections = tuple(self.streams.get(stream, ()))
        if connections:
            self._fan_out(connections, encode, None)

    def _fan_out(
        self,
        connections: Sequence[Connection],
        encode: Callable[[Dialect], bytes | None],
        sender: str | None,
        id: str | None = None,
    ) -> int:
        """Send to these connections, except the one with the id `sender`. Return the number of writes."""
        is_coalescing = self._is_tick_busy
        if not is_coalescing:
            self._is_tick_busy = True
            asyncio.get_running_loop().call_soon(self._end_tick)
        if sender in self.by_id:
            connections = [one for one in connections if one.id != sender]
        encoded: dict[object, bytes | None] = {}
        around_marks: dict[object, tuple[Mapping[int, bytes] | None, bytes | None]] = {}
        dialect, shared, start, end, tick, live = None, None, None, None, self.owner.tick, Phase.LIVE
        written = len(connections)
        join = b"".join  # half the time of two concatenations
        for connection in connections:
            if connection.dialect is not dialect:
                dialect = connection.dialect
                if dialect not in encoded:
                    encoded[dialect] = shared = encode(dialect)
                    mark = dialect.mark if id is not None and shared is not None else None
                    around_marks[dialect] = (None, None) if mark is None else mark.around(shared or b"", id or "")
                shared, (start, end) = encoded[dialect], around_marks[dialect]
            if shared is None:
                written -= 1
                continue
            connection.last_sent_tick = tick
            if connection.phase is not live:
                connection.write(shared if end is None else connection.marked(shared, id))
                continue
            if end is None:
                data = shared
            else:
                head = connection.mark_head
                if connection.mark_revision != connection.revision:
                    head = connection.update_mark()
                data = head + end if start is None else join((start[len(head)], head, end))
            if is_coalescing:
                connection.write(data)
            else:
                connection.write_directly(data)
        return written

    def _end_tick(self) -> None:
        self._is_tick_busy = False

    def encode(self, event: Event, dialect: Dialect) -> bytes | None:
        self.encoded_total[dialect.protocol, dialect.transport] += 1
        return dialect.encode(event)

    # --- presence

    def send_presence(self, stream: Stream, changes: Sequence[PresenceChanged]) -> None:
        """Send several presence changes in one write. A connection that joined, left or followed the topic receives only
        the changes after that."""
        last = {change.sender: number for number, change in enumerate(changes, 1)}
        self._send_changes([one for one in self.streams.get(stream, ()) if one.id not in last], changes)
        for sender, number in last.items():
            member = self.by_id.get(sender or "")
            if member is not None and stream in member.streams:
                self._send_changes([member], changes[number:])

    def _send_changes(self, connections: Sequence[Connection], changes: Sequence[PresenceChanged]) -> None:
        merged = merge_changes(changes) if connections and changes else None
        if merged is not None:
            self._fan_out(connections, partial(self.encode, merged), None)

    # --- inbox changes

    def dispatch_change(self, event: InboxEvent, *, is_single: bool = False) -> None:
        """Send an inbox change to the recipient's devices here. `is_single`: no other change of the inbox is expected at this
        time, so nothing is gained by coalescing."""
        state, tick = event.inbox, self.owner.tick
        encoded: dict[object, bytes | None] = {}
        written = 0
        for connection in tuple(self.streams.get(event.stream, ())):
            if connection.phase is not Phase.LIVE:
                connection.is_stale = True
            elif connection.epoch == state.epoch and state.revision == connection.revision + 1:
                dialect = connection.dialect
                if dialect not in encoded:
                    self.encoded_total[dialect.protocol, dialect.transport] += 1
                    encoded[dialect] = dialect.encode(event)
                connection.revision = state.revision
                data = encoded[dialect]
                if data is not None:
                    connection.last_sent_tick = tick
                    (connection.write_directly if is_single else connection.write)(connection.marked(data))
                    written += 1
            elif connection.epoch != state.epoch or state.revision > connection.revision:
                self.callbacks.fill_gap(connection)  # a gap: the missed changes are in the store
        if written and isinstance(event, NotificationAdded):
            self.writes.record(event, written)
        elif written:
            self.writes.written["change"] += written
        for observer in self.observers:
            observer.inbox_changed(event)
