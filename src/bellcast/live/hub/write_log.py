"""The notifications that this process last wrote to live connections, for their timelines."""

from collections import deque

from bellcast.model.events import NotificationAdded, NotificationWrite
from bellcast.ports import Clock

# Per process, in memory: 0.3 kB each, with id and recipient, and so 3 MB. The newest displace the oldest: after an
# announcement to 10,000 connected recipients, earlier writes are unknown.
MAX_WRITES = 10_000
# Per notification and recipient: a device that reconnects may be sent the notification again.
MAX_LISTED_WRITES = 20


class WriteLog:
    """Writes of notifications to live connections. Not stored: a row for each would cost more than the delivery, whereas
    `record` takes half a microsecond."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Id, tenant, recipient, time and number of connections. Plain tuples are created fastest.
        self._writes: deque[tuple[str, str, str, int, int]] = deque(maxlen=MAX_WRITES)

    def record(self, event: NotificationAdded, connections: int) -> None:
        """Record that a notification was written to this number of connections."""
        inbox = event.inbox
        self._writes.append((event.notification.id, inbox.tenant, inbox.recipient, self._clock.now(), connections))

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
