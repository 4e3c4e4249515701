"""Leaving well: every connection is told to come back, spread over a window, so that no storm follows."""

import random

from bellcast.live.connection import close_reasons
from bellcast.live.hub.hub import Hub
from bellcast.ports import Clock

# Told in this many steps; each ends a slice of the connections.
STEPS = 50
# So few need no window: their coming back is no storm.
MIN_BATCH_CONNECTIONS = 1_000


async def drain(hub: Hub, clock: Clock, window: float) -> None:
    """End every connection within `window` seconds; each comes back after a time of its own within as many."""
    connections = list(hub)
    span = window * min(1.0, len(connections) / MIN_BATCH_CONNECTIONS)
    for step in range(STEPS):
        for connection in connections[step::STEPS]:
            hub.end(connection, close_reasons.RESTARTING.with_delay(random.randint(100, 100 + int(span * 1000))))
        if span and step < STEPS - 1:
            await clock.sleep(span / STEPS)
