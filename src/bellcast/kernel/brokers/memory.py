"""Broker for a single process: delivers events by function call."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from bellcast.kernel.events import Event, Stream


class MemoryBroker:
    """A Broker for one process. Events are delivered before `publish` returns, in the order published."""

    def __init__(self) -> None:
        self._listener: Callable[[Event], None] | None = None

    async def open(self) -> None:
        """Do nothing: this broker has no connection."""

    async def publish(self, *events: Event) -> None:
        """Deliver to the listener. Without a listener there are no connections, and the event is only in the store."""
        if self._listener is not None:
            for event in events:
                self._listener(event)

    def deliver(self, event: Event) -> None:
        """Deliver to the listener."""
        if self._listener is not None:
            self._listener(event)

    async def ping(self, *, writes: bool = False) -> None:
        """No-op: always available."""

    def listen(
        self, listener: Callable[[Event], None], on_gap: Callable[[Collection[Stream]], None] | None = None
    ) -> None:
        """Deliver every event to `listener` from now on. Events are never lost."""
        self._listener = listener

    def follow(self, stream: Stream) -> None:
        """No-op: every event is delivered."""

    def unfollow(self, stream: Stream) -> None:
        """No-op: every event is delivered."""

    def counts(self) -> Mapping[str, Mapping[Any, float]]:
        return {}  # no message leaves this process

    async def close(self) -> None:
        """Stop delivering events."""
        self._listener = None
