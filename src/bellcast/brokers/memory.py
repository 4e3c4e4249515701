"""One process: an event reaches its hub by a function call."""

from collections.abc import Callable

from bellcast.model.events import Event


class MemoryBroker:
    """A Broker for one process. Events are heard before `publish` returns, in the order published."""

    def __init__(self) -> None:
        self._listener: Callable[[Event], None] | None = None

    async def publish(self, *events: Event) -> None:
        """Tell the listener; without one nobody is looking, and nothing is lost: the store has it."""
        if self._listener is not None:
            for event in events:
                self._listener(event)

    async def ping(self) -> None:
        """A function call is always there."""

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Tell `listener` of every event from now on."""
        self._listener = listener

    async def close(self) -> None:
        """Tell nobody any more."""
        self._listener = None
