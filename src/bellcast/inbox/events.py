"""Live events: published to connected clients; cache topics keep their last event for later subscribers."""

import msgspec

from bellcast.model import topics
from bellcast.model.events import LiveEvent
from bellcast.ports import Context, LastEvent


async def publish(engines: Context, *events: LiveEvent, key: str | None = None) -> tuple[LiveEvent, ...]:
    """Save the last events of cache topics, publish, and commit what follows from the events. Return the events with the ids of
    those that are kept.

    With a `key`, what follows is committed once, however often the same events are published, and committed first: nothing is
    published until it is. Without a key, a caller that repeats a failed publish must not send twice, so the commit is last; a
    store that is away refuses the events before they are published."""
    if key is not None:
        await engines.reactions.react(events, key)
    elif await engines.reactions.matches(events):
        await engines.store.ping()
    for event in events:
        if event.topic is not None and topics.is_cache(event.topic):
            await engines.store.topics.save(event.tenant, event.topic, _last_event(event, engines.clock.now()))
    published = await engines.history.append(*events)
    await engines.broker.publish(*published)
    if key is None:
        await engines.reactions.react(events, None)
    return published


def _last_event(event: LiveEvent, now: int) -> LastEvent:
    if event.text is not None:
        return LastEvent(event.name, event.text, now)
    data = event.data if isinstance(event.data, str) else msgspec.json.encode(event.data).decode()
    return LastEvent(event.name, data, now)
