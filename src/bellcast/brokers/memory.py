"""One process: an event reaches its hub by a function call."""

from collections.abc import Callable, Collection

from bellcast.brokers.delivery import deliver
from bellcast.model.events import Event, Stream


class MemoryBroker:
    """A Broker for one process. Events are heard before `publish` returns, in the order published."""

    def __init__(self) -> None:
        self._listener: Callable[[Event], None] | None = None

    async def open(self) -> None:
        """There is nothing to connect to."""

    async def publish(self, *events: Event) -> None:
        """Tell the listener; without one nobody is looking, and nothing is lost: the store has it."""
        if self._listener is not None:
            for event in events:
                deliver(self._listener, event)

    async def ping(self) -> None:
        """A function call is always there."""

    def listen(
        self, listener: Callable[[Event], None], unsure: Callable[[Collection[Stream]], None] | None = None
    ) -> None:
        """Tell `listener` of every event from now on; none is ever missed."""
        self._listener = listener

    def follow(self, stream: Stream) -> None:
        """Everything is heard anyway."""

    def unfollow(self, stream: Stream) -> None:
        """Everything is heard anyway."""

    async def close(self) -> None:
        """Tell nobody any more."""
        self._listener = None
