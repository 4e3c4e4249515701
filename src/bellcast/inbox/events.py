"""Live events: told to whoever is there; of some topics the last one is kept for those who come later."""

import msgspec

from bellcast.model import topics
from bellcast.model.events import LiveEvent
from bellcast.ports import Engines, Kept


async def publish(engines: Engines, *events: LiveEvent) -> None:
    """Keep what is to be kept, then tell it."""
    for event in events:
        if event.topic is not None and topics.is_cache(event.topic):
            await engines.store.topics.keep(event.tenant, event.topic, _kept(event, engines.clock.now()))
    await engines.broker.publish(*events)


def _kept(event: LiveEvent, now: int) -> Kept:
    if event.text is not None:
        return Kept(event.name, event.text, now)
    data = event.data if isinstance(event.data, str) else msgspec.json.encode(event.data).decode()
    return Kept(event.name, data, now)
