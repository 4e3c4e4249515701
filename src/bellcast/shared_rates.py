"""How often something may happen, on all nodes together.

Each node has a bucket for each name and takes from its own at once; what the others took is told a few times a second and
taken from it too. So nobody waits for an answer, and a bucket may owe for a moment: over any longer time the rate holds."""

import secrets
from collections import Counter

from bellcast.model.events import RateUsage
from bellcast.model.token_bucket import TokenBuckets
from bellcast.ports import Broker, Clock

# What is taken elsewhere is known so late at most: of a rate of 100 a second, ten more may pass on each node, once.
SYNC_INTERVAL_SECONDS = 0.1
ID_BYTES = 8


class SharedRates:
    """A ports.Rates over a broker."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._node = secrets.token_hex(ID_BYTES)
        self._buckets = TokenBuckets()
        self._usage: Counter[str] = Counter()

    def take(self, name: str, rate: float, now: int, number: int = 1) -> float:
        """Take, and tell the others soon; or how many seconds it is until there are enough."""
        wait = self._buckets.take(name, rate, now, number)
        if rate and not wait:
            self._usage[name] += number
        return wait

    def give_back(self, name: str, number: int) -> None:
        """What was taken was not needed."""
        self._buckets.give_back(name, number)
        self._usage[name] -= number

    def receive(self, event: RateUsage) -> None:
        """What another node took."""
        if event.node != self._node:
            for name, number in event.taken.items():
                self._buckets.deduct(name, number)

    async def run(self) -> None:
        """Tell what was taken here, until cancelled."""
        while True:
            await self._clock.sleep(SYNC_INTERVAL_SECONDS)
            await self.publish_usage()

    async def publish_usage(self) -> None:
        """Tell it now."""
        if self._usage:
            spent, self._usage = self._usage, Counter()
            await self._broker.publish(RateUsage(self._node, dict(spent)))
