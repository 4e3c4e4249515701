"""Rate limits shared by all nodes. Each node takes from a local bucket without waiting, and several times per second
deducts the usage of the other nodes. A bucket may be negative for a moment; over longer periods the rate holds."""

import secrets
from collections import Counter

from bellcast.kernel.brokers.port import Broker
from bellcast.kernel.clock import Clock
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.live.types.events import RateUsage

# Usage of other nodes is known after at most this long: at a rate of 100 per second, each node may once exceed it by ten.
SYNC_INTERVAL_SECONDS = 0.1
ID_BYTES = 8


class SharedRates:
    """`ports.quotas.Rates` over a broker."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._node = secrets.token_hex(ID_BYTES)
        self._buckets = TokenBuckets()
        self._usage: Counter[str] = Counter()

    def take(self, name: str, rate: float, now: int, number: int = 1) -> float:
        wait = self._buckets.take(name, rate, now, number)
        if rate and not wait:
            self._usage[name] += number
        return wait

    def give_back(self, name: str, number: int) -> None:
        self._buckets.give_back(name, number)
        self._usage[name] -= number

    def receive(self, event: RateUsage) -> None:
        """Deduct the usage of another node."""
        if event.node != self._node:
            for name, number in event.taken.items():
                self._buckets.deduct(name, number)

    async def run(self) -> None:
        """Publish usage until cancelled."""
        while True:
            await self._clock.sleep(SYNC_INTERVAL_SECONDS)
            await self.publish_usage()

    async def publish_usage(self) -> None:
        """Publish this node's usage since the last call."""
        if self._usage:
            spent, self._usage = self._usage, Counter()
            await self._broker.publish(RateUsage(self._node, dict(spent)))
