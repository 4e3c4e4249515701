"""The notifications that this process last wrote to live connections, for their timelines."""

from collections import Counter, deque

from bellcast.kernel.clock import Clock
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.histogram import Histogram
from bellcast.live.types.events import NotificationAdded, NotificationWrite

# Per process, in memory: 0.3 kB each, with id and recipient, and so 3 MB. The newest displace the oldest: after an
# announcement to 10,000 connected recipients, earlier writes are unknown.
MAX_WRITES = 10_000
# Per notification and recipient: a device that reconnects may be sent the notification again.
MAX_LISTED_WRITES = 20
# Histogram buckets in seconds. A delivery takes milliseconds; after a lost event, the reconciler delivers within 30 s.
DELAY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class WriteLog:
    """Writes of notifications to live connections. Not stored: a row for each would cost more than the delivery, whereas
    `record` takes a microsecond. `written` counts the writes of all events by kind; `delays` of notifications and
    `event_delays` of live events have the times from acceptance to write in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Id, tenant, recipient, time and number of connections. Plain tuples are created fastest.
        self._writes: deque[tuple[str, str, str, int, int]] = deque(maxlen=MAX_WRITES)
        self.written: Counter[str] = Counter()
        self.delays = Histogram(DELAY_BUCKETS)
        self.event_delays = Histogram(DELAY_BUCKETS)

    def record(self, event: NotificationAdded, connections: int) -> None:
        """Record that a notification was written to this number of connections when it was added."""
        now, notification, inbox = self._clock.now(), event.notification, event.inbox
        self._writes.append((notification.id, inbox.tenant, inbox.recipient, now, connections))
        self.written["notification"] += connections
        # A notification that returns from being snoozed was accepted long ago.
        if notification.woken_at is None:
            self.delays.observe(max(0.0, now / 1000 - notification.created_at.timestamp()))

    def record_event(self, event: LiveEvent, connections: int) -> None:
        """Record that a live event was written to this number of connections."""
        self.written["event"] += connections
        if event.accepted_at is not None:
            self.event_delays.observe(max(0.0, (self._clock.now() - event.accepted_at) / 1000))

    def record_replayed(self, event: NotificationAdded) -> None:
        """Record that a notification was written to a connection that had missed it."""
        self.written["replay"] += 1
        inbox = event.inbox
        self._writes.append((event.notification.id, inbox.tenant, inbox.recipient, self._clock.now(), 1))

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
