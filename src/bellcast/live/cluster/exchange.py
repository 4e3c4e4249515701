"""Sends what the parts of the cluster state have for other nodes, in batches, and gives each part a turn at rest too."""

import asyncio
from collections.abc import Awaitable, Callable

from bellcast.kernel.brokers.port import Broker
from bellcast.kernel.clock import Clock
from bellcast.kernel.events import Event

# Interval of batches, which bounds the staleness of the others.
BATCH_MS = 50
# Interval of turns without changes: the resolution of all timeouts.
TURN_SECONDS = 0.5


class Exchange:
    """`parts` return the messages of a turn. Publishing never waits for the network."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self.parts: list[Callable[[], Awaitable[list[Event]]]] = []
        self._broker = broker
        self._clock = clock
        self._has_work = asyncio.Event()
        self.wake = self._has_work.set  # gives each part a turn within BATCH_MS

    async def run(self) -> None:
        """Take turns until cancelled."""
        while True:
            self._has_work.clear()
            await self.send()
            sent_at = self._clock.now()
            turn = asyncio.ensure_future(self._clock.sleep(TURN_SECONDS))
            work = asyncio.ensure_future(self._has_work.wait())
            try:
                await asyncio.wait((turn, work), return_when=asyncio.FIRST_COMPLETED)
            finally:
                turn.cancel()
                work.cancel()
            if (wait := sent_at + BATCH_MS - self._clock.now()) > 0:
                await self._clock.sleep(wait / 1000)

    async def send(self) -> None:
        """Take one turn."""
        if messages := [message for part in self.parts for message in await part()]:
            await self._broker.publish(*messages)
