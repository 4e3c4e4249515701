"""Rate limits shared by all nodes. Each node takes from a local bucket without waiting, and several times per second sends
its usage to the keeper, which sends that of all to all. They deduct the usage of the others. A bucket may be negative
for a moment; over longer periods the rate holds, except while the keeper is replaced."""

import asyncio
from collections import Counter

from bellcast.kernel.brokers.port import Broker
from bellcast.kernel.clock import Clock
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.live.cluster.members import Members
from bellcast.live.types import RatesUsed, RateUsage

# The others know of usage after at most twice this time: at a rate of 100 per second, each node may once exceed it by
# twenty.
SYNC_INTERVAL_SECONDS = 0.1


class SharedRates:
    """`inbox.types.sending.Rates` over a broker."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._node = ""  # until `run`
        self._buckets = TokenBuckets()
        self._usage: Counter[str] = Counter()
        self._received: dict[str, Counter[str]] = {}  # usage of other nodes that the keeper has not sent yet
        self._has_usage = asyncio.Event()  # a node at rest does not wake up

    def take(self, name: str, rate: float, now: int, number: int = 1) -> float:
        wait = self._buckets.take(name, rate, now, number)
        if rate and not wait:
            self._usage[name] += number
            self._has_usage.set()
        return wait

    def give_back(self, name: str, number: int) -> None:
        self._buckets.deduct(name, -number)
        self._usage[name] -= number
        self._has_usage.set()

    def receive(self, event: RateUsage | RatesUsed) -> None:
        """Collect the usage of a node, as the keeper, or deduct that of the other nodes."""
        if isinstance(event, RateUsage):
            if event.node != self._node:
                self._received.setdefault(event.node, Counter()).update(event.taken)
                self._has_usage.set()
            return
        for node, taken in event.nodes.items():
            if node != self._node:
                for name, number in taken.items():
                    self._buckets.deduct(name, number)

    async def run(self, members: Members) -> None:
        """Exchange usage until cancelled."""
        self._node = members.id
        while await self._has_usage.wait():
            await self._clock.sleep(SYNC_INTERVAL_SECONDS)
            self._has_usage.clear()
            await self.exchange(members)

    async def exchange(self, members: Members) -> None:
        """Send this node's usage since the last call to the keeper or, as the keeper, that of all nodes to all."""
        own, self._usage = {name: number for name, number in self._usage.items() if number}, Counter()
        received, self._received = self._received, {}  # also when another node has become the keeper: it is old later
        if not members.is_keeper:
            if own and members.others:
                await self._broker.publish(RateUsage(members.id, own))
        elif received or (own and members.others):
            await self._broker.publish(RatesUsed({members.id: own} | {id: dict(used) for id, used in received.items()}))
