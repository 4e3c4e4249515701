"""Live events: published to connected clients; cache topics keep their last event for later subscribers."""

import msgspec

from bellcast.model import topics
from bellcast.model.events import LiveEvent
from bellcast.ports import Context, LastEvent


async def publish(engines: Context, *events: LiveEvent) -> None:
    """Save the last events of cache topics, then publish."""
    for event in events:
        if event.topic is not None and topics.is_cache(event.topic):
            await engines.store.topics.save(event.tenant, event.topic, _last_event(event, engines.clock.now()))
    await engines.broker.publish(*events)


def _last_event(event: LiveEvent, now: int) -> LastEvent:
    if event.text is not None:
        return LastEvent(event.name, event.text, now)
    data = event.data if isinstance(event.data, str) else msgspec.json.encode(event.data).decode()
    return LastEvent(event.name, data, now)
