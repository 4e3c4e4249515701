"""A broker that forwards to another one: the base class of brokers that observe published events."""

from collections.abc import Callable, Collection

from bellcast.kernel.brokers.port import Broker
from bellcast.kernel.events import Event, Stream


class ForwardingBroker:
    """Forwards every call."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def publish(self, *events: Event) -> None:
        await self._broker.publish(*events)

    def deliver(self, event: Event) -> None:
        self._broker.deliver(event)

    async def open(self) -> None:
        await self._broker.open()

    async def ping(self, *, writes: bool = False) -> None:
        await self._broker.ping(writes=writes)

    def listen(
        self, listener: Callable[[Event], None], on_gap: Callable[[Collection[Stream]], None] | None = None
    ) -> None:
        self._broker.listen(listener, on_gap)

    def follow(self, stream: Stream) -> None:
        self._broker.follow(stream)

    def unfollow(self, stream: Stream) -> None:
        self._broker.unfollow(stream)

    async def close(self) -> None:
        await self._broker.close()
