"""Transport of events between processes."""

from collections.abc import Callable, Collection
from typing import Protocol

from bellcast.model.events import Event, Stream


class Broker(Protocol):
    """Carries events to every process that follows their streams. At most once, the order of one process's events kept
    in each stream. Losing one is safe: readers resume from the store."""

    async def open(self) -> None:
        """Begin to connect. One that is away is no failure: it is tried again until `close`."""
        ...

    async def publish(self, *events: Event) -> None:
        """Tell this process before it returns, the others soon after. Never raises: what is lost is read from the store."""
        ...

    async def ping(self) -> None:
        """Raise Unavailable unless events can be carried."""
        ...

    def listen(
        self, listener: Callable[[Event], None], unsure: Callable[[Collection[Stream]], None] | None = None
    ) -> None:
        """Call `listener` with every event, from the loop's own thread. One listener a process: its hub.

        `unsure` is called with streams on which others' events may have been missed until now: just followed, or heard
        again after a break."""
        ...

    def follow(self, stream: Stream) -> None:
        """Subscribe this process to a stream. Reference-counted."""
        ...

    def unfollow(self, stream: Stream) -> None:
        """Release one `follow` of the stream."""
        ...

    async def close(self) -> None: ...
