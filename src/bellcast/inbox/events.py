"""Live events: published to connected clients; cache topics keep their last event for later subscribers."""

import msgspec

from bellcast.model import topics
from bellcast.model.events import LiveEvent
from bellcast.ports import Context, LastEvent


async def publish(engines: Context, *events: LiveEvent) -> tuple[LiveEvent, ...]:
    """Commit what follows from the events, save the last events of cache topics, then publish. Return the events with the ids
    of those that are kept."""
    await engines.reactions.react(events)
    for event in events:
        if event.topic is not None and topics.is_cache(event.topic):
            await engines.store.topics.save(event.tenant, event.topic, _last_event(event, engines.clock.now()))
    published = await engines.history.append(*events)
    await engines.broker.publish(*published)
    return published


def _last_event(event: LiveEvent, now: int) -> LastEvent:
    if event.text is not None:
        return LastEvent(event.name, event.text, now)
    data = event.data if isinstance(event.data, str) else msgspec.json.encode(event.data).decode()
    return LastEvent(event.name, data, now)
