"""Publish live events to connected clients. Cache topics keep their last event for later subscribers."""

from typing import Any

import msgspec
from msgspec.structs import replace

from bellcast.engines import Engines
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.http import CURRENT_ID
from bellcast.live_feed import FeedEvent
from bellcast.topics.store import LastEvent, LastEvents
from bellcast.topics.types import is_cache


async def publish(engines: Engines, *events: LiveEvent, key: str | None = None) -> tuple[LiveEvent, ...]:
    """Save the last events of cache topics, publish, and commit the reactions to the events. Return the events with the
    ids of stored ones.

    With a `key`, the reactions are committed once, however often the same events are published. They are committed
    first: nothing is published before. Without a key, a caller that repeats a failed publish must not send twice, so
    the commit comes last, and if the store is unavailable, the events are refused before they are published."""
    now = engines.clock.now()
    if key is not None:
        await engines.reactions.react(events, key)
    elif await engines.reactions.matches(events):
        await engines.db.ping()
    for event in events:
        if event.topic is not None and is_cache(event.topic):
            data = event.data if event.text is None else event.text
            text = data if isinstance(data, str) else msgspec.json.encode(data).decode()
            last = LastEvent(event.name, text, now)
            await LastEvents(engines.db).save(event.tenant, event.topic, last)
    published = await engines.history.append(*events)
    await deliver(engines, *[replace(one, accepted_at=now) for one in published])
    if key is None:
        await engines.reactions.react(events, None)
    return published


async def deliver(engines: Engines, *events: LiveEvent) -> None:
    """Send live events to their followers, and list each in the live feed of this node, with its number of connections here."""
    feed = engines.feed
    for event in events:
        delivered = engines.followers(event.stream)
        to = event.recipient if event.topic is None else event.topic
        fields: dict[str, Any] = {"name": event.name, "delivered": delivered, "id": event.id}
        if feed.is_watched:  # only then, because it may be large
            fields["data"] = event.data
        connections = "1 connection" if delivered == 1 else f"{delivered} connections"
        shown = FeedEvent(
            kind="publish",
            at=engines.clock.now(),
            text=f"{event.name} to {to}, {connections}",
            tenant=event.tenant,
            recipient=event.recipient,
            topic=event.topic,
            connection=event.sender,
            trace=CURRENT_ID.get(),
            fields=fields,
        )
        feed.emit(shown)
    await engines.broker.publish(*events)
