"""Rate limits shared by all nodes. Each node takes from a local bucket without waiting, and several times per second sends
its usage to the keeper, which sends that of all to all. They deduct the usage of the others. A bucket may be negative
for a moment; over longer periods the rate holds, except while the keeper is replaced."""

from collections import Counter

from bellcast.kernel.clock import Clock
from bellcast.kernel.events import Event
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.live.cluster.members import Members
from bellcast.live.types import RatesUsed, RateUsage

# The others know of usage after at most three times this time: at a rate of 100 per second, each node may once exceed it by
# thirty.
SYNC_INTERVAL_MS = 100


class SharedRates(TokenBuckets):
    """The rates of this node until `share`, then of all nodes."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._members: Members | None = None
        self._usage: Counter[str] = Counter()
        self._received: dict[str, Counter[str]] = {}  # usage of other nodes that the keeper has not sent yet
        self._sent_at = 0

    def share(self, members: Members) -> None:
        """Exchange usage in the turns of the nodes from now on."""
        self._members = members
        members.parts.append(self._messages)

    def take(self, name: str, rate: float, now: int, number: int = 1) -> float:
        wait = super().take(name, rate, now, number)
        if rate and not wait:
            self._add_usage(name, number)
        return wait

    def deduct(self, name: str, number: int) -> None:
        super().deduct(name, number)
        self._add_usage(name, number)

    def _add_usage(self, name: str, number: int) -> None:
        if self._members is not None:
            self._usage[name] += number
            self._members.wake()

    def receive(self, event: RateUsage | RatesUsed) -> None:
        """Collect the usage of a node, as the keeper, or deduct that of the other nodes."""
        if self._members is None:
            return
        if isinstance(event, RateUsage):
            if event.node != self._members.id:
                self._received.setdefault(event.node, Counter()).update(event.taken)
                self._members.wake()
            return
        for node, taken in event.nodes.items():
            if node != self._members.id:
                for name, number in taken.items():
                    super().deduct(name, number)

    async def _messages(self) -> list[Event]:
        """Return this node's usage for the keeper or, as the keeper, that of all nodes for all."""
        members, now = self._members, self._clock.now()
        if members is None or not (self._usage or self._received):
            return []
        if now - self._sent_at < SYNC_INTERVAL_MS:
            members.wake()
            return []
        self._sent_at = now
        own, self._usage = {name: number for name, number in self._usage.items() if number}, Counter()
        received, self._received = self._received, {}  # also when another node has become the keeper: it is old later
        if members.is_keeper and (received or (own and members.others)):
            return [RatesUsed({members.id: own} | {id: dict(used) for id, used in received.items()})]
        return [RateUsage(members.id, own)] if own and members.others and not members.is_keeper else []
