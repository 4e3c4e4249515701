"""Nodes of a cluster in one process, and an in-memory broker between them that counts the messages."""

import asyncio
from collections import Counter, deque

from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.brokers.remote import kind_of
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import Event, Stream, inbox_stream
from bellcast.live.hub import Hub
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.presence import PresenceTracker
from bellcast.live.types import NodeReport


class NodeNetwork:
    """Delivers each event to the nodes that follow its stream, in order."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.nodes: list[NetworkNode] = []
        self.batches = 0
        self.published: Counter[str] = Counter()  # by tag of the event
        self.delivered: Counter[str] = Counter()  # to other nodes than the publisher

    def add(self, callbacks: HubCallbacks | None = None) -> "NetworkNode":
        node = NetworkNode(self, callbacks or HubCallbacks())
        self.nodes.append(node)
        return node

    def carry(self, node: "NetworkNode", event: Event) -> None:
        """Let an event of another node arrive."""
        asyncio.get_running_loop().call_soon(node.receive, event)

    async def settle(self) -> None:
        """Let the nodes send and receive what is due."""
        for _ in range(12):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for node in tuple(self.nodes):
            await node.kill()


class SteppedClock:
    """A clock on which time passes only in `advance`."""

    def __init__(self) -> None:
        self._now = 1_750_000_000_000
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now(self) -> int:
        return self._now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + round(seconds * 1000), woken))
        await woken

    def advance(self, seconds: float) -> None:
        self._now += round(seconds * 1000)
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._now]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self._now]
        for _, woken in due:
            if not woken.done():
                woken.set_result(None)


class NodeClock:
    """The clock of a node, whose sleepers stay asleep while it is suspended."""

    def __init__(self, clock: Clock) -> None:
        self.now = clock.now
        self.runs = asyncio.Event()
        self.runs.set()
        self._clock = clock

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        await self.runs.wait()


class NetworkNode(MemoryBroker):
    """A hub with its background loops, and its connection to the network."""

    def __init__(self, network: NodeNetwork, callbacks: HubCallbacks) -> None:
        super().__init__()
        self.network = network
        self.is_cut = False
        self.clock = NodeClock(network.clock)
        self.step_ms = 0  # of its system time
        self.system_clock = NodeClock(network.clock)
        self.system_clock.now = lambda: network.clock.now() + self.step_ms
        self.followed: Counter[Stream] = Counter()
        self.received: Counter[str] = Counter()
        self._held: deque[Event] = deque()  # sent while cut, or received while suspended
        report = callbacks._replace(report=self._report) if callbacks.report() is None else callbacks
        self.hub = Hub(PresenceTracker(lambda: ("*",)), self, self.system_clock, self.clock, report)
        self.listen(self.hub.dispatch)
        self._exchange = asyncio.ensure_future(self.hub.members.run())

    @property
    def id(self) -> str:
        return self.hub.members.id

    def _report(self) -> NodeReport:
        return NodeReport(started_at=0, connections=len(self.hub))

    # --- Broker

    async def publish(self, *events: Event) -> None:
        if self.is_cut:
            self._held.extend(events)
            return
        await super().publish(*events)
        self.network.batches += 1
        for event in events:
            kind = kind_of(event)
            self.network.published[kind] += 1
            for node in self.network.nodes:
                if node is not self and not node.is_cut and node.followed[event.stream]:
                    self.network.delivered[kind] += 1
                    node.received[kind] += 1
                    self.network.carry(node, event)

    def receive(self, event: Event) -> None:
        if not self.clock.runs.is_set():
            self._held.append(event)
        elif self in self.network.nodes:
            self.deliver(event)

    def follow(self, stream: Stream) -> None:
        self.followed[stream] += 1
        if self.followed[stream] == 1 and not self.is_cut:
            asyncio.get_running_loop().call_soon(self.hub.mark_suspect, [stream])

    def unfollow(self, stream: Stream) -> None:
        self.followed[stream] -= 1
        if not self.followed[stream]:
            del self.followed[stream]

    async def ping(self, *, writes: bool = False) -> None:
        if self.is_cut:
            raise Unavailable

    def observe(self, recipient: str) -> None:
        """Join the group of an inbox, as its first connection would."""
        self.hub.groups.follow(inbox_stream("", recipient))

    # --- faults

    async def set_cut(self, is_cut: bool) -> None:
        """Cut the node from the network, or connect it again."""
        was_cut, self.is_cut = self.is_cut, is_cut
        if was_cut and not is_cut:
            self.hub.mark_suspect(list(self.followed))
            held, self._held = self._held, deque()
            await self.publish(*held)

    def suspend(self) -> None:
        self.clock.runs.clear()

    def resume(self) -> None:
        """Continue after a suspension: what arrived meanwhile is received."""
        self.clock.runs.set()
        while self._held:
            self.receive(self._held.popleft())

    async def kill(self) -> None:
        self.network.nodes.remove(self)
        self._exchange.cancel()
        await asyncio.gather(self._exchange, return_exceptions=True)
