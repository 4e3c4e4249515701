"""Graceful shutdown: closes connections over a window, so that clients do not reconnect simultaneously."""

import random
from collections.abc import Sequence

from bellcast.kernel.clock import Clock
from bellcast.live.connection import close_reasons
from bellcast.live.connection.connection import Connection
from bellcast.live.hub.hub import Hub

# The window is divided into this many steps; each closes a slice of the connections.
STEPS = 50
# With fewer connections the window is proportionally shorter.
MIN_BATCH_CONNECTIONS = 1_000


async def drain(hub: Hub, clock: Clock, window: float, connections: Sequence[Connection] | None = None) -> None:
    """Close connections, by default all, within `window` seconds, each with a random reconnect delay within the same
    window."""
    connections = list(hub) if connections is None else connections
    span = window * min(1.0, len(connections) / MIN_BATCH_CONNECTIONS)
    for step in range(STEPS):
        for connection in connections[step::STEPS]:
            hub.end(connection, close_reasons.RESTARTING.with_delay(random.randint(100, 100 + int(span * 1000))))
        if span and step < STEPS - 1:
            await clock.sleep(span / STEPS)
