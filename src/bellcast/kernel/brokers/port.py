"""Transport of events between processes."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from bellcast.kernel.events import Event, Stream


class Publisher(Protocol):
    """Publishes events to all processes that follow their streams: at most once, in order per publishing process and
    stream. A lost event is safe: readers resume from the store."""

    async def publish(self, *events: Event) -> None:
        """Deliver to this process before returning, and to others soon after. Never raises: readers find lost events in
        the store."""
        ...

    async def ping(self, *, writes: bool = False) -> None:
        """Raise Unavailable unless events can be published and, with `writes`, live events can be stored."""
        ...


class Broker(Publisher, Protocol):
    """A publisher whose events this process receives."""

    async def open(self) -> None:
        """Start connecting. Never raises for an unreachable broker, which is retried until `close`."""
        ...

    def deliver(self, event: Event) -> None:
        """Deliver an event only to this process, because no other follows its stream."""
        ...

    def listen(
        self, listener: Callable[[Event], None], on_gap: Callable[[Collection[Stream]], None] | None = None
    ) -> None:
        """Call `listener` with every event, on the event loop's thread. A process has one listener, its hub, which never
        raises: the event's change is committed, so its publisher must not fail. `on_gap` is called with streams that may
        have missed events of other processes, because they were newly followed or reconnected."""
        ...

    def follow(self, stream: Stream) -> None:
        """Subscribe this process to a stream. Reference-counted."""
        ...

    def unfollow(self, stream: Stream) -> None:
        """Release one `follow` of the stream."""
        ...

    def counts(self) -> Mapping[str, Mapping[Any, float]]:
        """Return counters of this process, by name and labels."""
        ...

    async def close(self) -> None: ...
