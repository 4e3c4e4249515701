"""Reports of what became of messages, for the live feed and the metrics."""

from collections import Counter
from collections.abc import Iterable

from bellcast.model.live_feed import FeedEvent
from bellcast.model.messages import OPEN_STATES
from bellcast.ports import Clock, NewMessage, StoredMessage
from bellcast.ports.live_feed import NO_FEED, Feed


class MessageReports:
    """Reports messages of this process. `ended` counts them by channel and final state."""

    def __init__(self, clock: Clock, feed: Feed = NO_FEED) -> None:
        self._clock = clock
        self._feed = feed
        self.ended: Counter[tuple[str, str]] = Counter()

    def report(self, messages: Iterable[NewMessage]) -> None:
        """Report the committed states of messages."""
        now = self._clock.now()
        for message in messages:
            self._feed.emit(_event(message, now))
            if message.state not in OPEN_STATES:
                self.ended[message.channel, message.state] += 1


def _event(message: NewMessage, now: int) -> FeedEvent:
    provider = message.provider if isinstance(message, StoredMessage) else None
    fields = {"id": message.id, "channel": message.channel, "state": message.state, "reason": message.reason}
    return FeedEvent(
        kind="attempt",
        at=now,
        text=f"{message.channel} to {message.recipient}: {message.state}",
        tenant=message.tenant,
        recipient=message.recipient,
        fields=fields | {"provider": provider, "notification": message.notification},
    )
