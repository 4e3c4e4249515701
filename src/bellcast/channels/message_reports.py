"""Reports of message outcomes, for webhooks, the live feed and the metrics."""

from collections import Counter
from collections.abc import Iterable

import msgspec
from msgspec import Struct, field

from bellcast.channels.types import OPEN_STATES, MessageUpdate, NewMessage, StoredMessage, as_change
from bellcast.kernel.clock import Clock
from bellcast.live_feed import Feed, FeedEvent
from bellcast.webhooks.types import WebhookSink, no_report


async def with_events(webhooks: WebhookSink, update: MessageUpdate) -> MessageUpdate:
    """Add the webhook events for the end of a message and of the messages that it combines. Another round of attempts
    is not an end."""
    message = update.message
    if message.state in OPEN_STATES:
        return update
    type = f"message.{message.state}"
    events = await webhooks.events(message.tenant, type, [as_change(message)])
    report = await webhooks.report(message.tenant, [type]) if message.digest == message.id else no_report
    return msgspec.structs.replace(update, events=events, report=report)


class MessageReports(Struct, eq=False):
    """Reports messages of this process. `ended` counts them by channel and final state, `attempts` by channel, provider and
    outcome. `accepted` counts inbox rows and announcements."""

    clock: Clock
    feed: Feed
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    attempts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)

    def report(self, messages: Iterable[NewMessage]) -> None:
        """Report the committed states of messages."""
        now = self.clock.now()
        for message in messages:
            provider = message.provider if isinstance(message, StoredMessage) else None
            fields = {"id": message.id, "channel": message.channel, "state": message.state, "reason": message.reason}
            self.feed.emit(
                FeedEvent(
                    kind="attempt",
                    at=now,
                    text=f"{message.channel} to {message.recipient}: {message.state}",
                    tenant=message.tenant,
                    recipient=message.recipient,
                    fields=fields | {"provider": provider, "notification": message.notification},
                )
            )
            if message.state not in OPEN_STATES:
                self.ended[message.channel, message.state] += 1
