"""The history of live events: an ordered log per tenant, from which clients receive missed events."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from msgspec import Struct

from bellcast.kernel.events import LiveEvent, Stream


class KeptEvent(Struct, frozen=True):
    """An event of the log; `at` is UTC milliseconds."""

    event: LiveEvent
    at: int


class PastEvents(Struct, frozen=True):
    """Events of some streams, in log order, up to the event `end` of the log. `recovered` is true if these are all
    events after the given id. It is false, without events, if the id belongs to another log or an event after it has
    been removed."""

    events: tuple[LiveEvent, ...] = ()
    recovered: bool = False
    end: str | None = None


class HistoryPage(Struct, frozen=True):
    """A page of one stream, oldest first; `epoch` identifies the log."""

    events: tuple[KeptEvent, ...]
    has_more: bool
    epoch: str | None
    recovered: bool


class TopicHistory(Protocol):
    """Keeps live events until they expire. A reader that follows the streams in the event loop iteration in which a
    read returns receives every later event live, and no earlier one.

    Reads, `confirm` and `append` raise Unavailable if the log cannot be reached."""

    async def append(self, *events: LiveEvent) -> tuple[LiveEvent, ...]:
        """Append the events that are kept. Return all events in order, stored ones with their ids. The caller publishes
        them in the same event loop iteration; a log shared by processes publishes stored events itself, in log order."""
        ...

    def end(self, tenant: str) -> str | None:
        """Return the id of the tenant's newest event that this process has delivered; None without a history."""
        ...

    async def missed(self, tenant: str, streams: Collection[Stream], after: str) -> PastEvents:
        """Return the events of the streams after an id."""
        ...

    async def newest(self, tenant: str, streams: Collection[Stream], count: int) -> PastEvents:
        """Return the newest `count` events of each stream."""
        ...

    async def confirm(self, streams: Collection[Stream]) -> None:
        """Return once this process receives all later stored events of the streams, as it does without a log of several
        processes. For readers that need no past events."""
        return

    async def page(self, tenant: str, stream: Stream, after: str | None, limit: int) -> HistoryPage: ...

    async def clear(self, tenant: str, stream: Stream | None) -> None:
        """Remove the events of a stream, or of all streams if it is None."""
        ...

    async def count_logs(self) -> int | None:
        """Return the number of logs of all tenants; None if the engine does not limit it."""
        return None

    def listen(self, on_lost: Callable[[Collection[Stream]], None]) -> None:
        """Call `on_lost` with streams of which this process may have missed stored events that it cannot read again. It
        is called without streams when failed reads may now succeed. Not called without a log of several processes."""
        return

    async def run(self) -> None:
        """Remove expired events until cancelled."""
        ...


class NoHistory(TopicHistory):
    """Keeps nothing."""

    async def append(self, *events: LiveEvent) -> tuple[LiveEvent, ...]:
        return events

    def end(self, tenant: str) -> str | None:
        return None

    async def missed(self, tenant: str, streams: Collection[Stream], after: str) -> PastEvents:
        return PastEvents()

    async def newest(self, tenant: str, streams: Collection[Stream], count: int) -> PastEvents:
        return PastEvents()

    async def page(self, tenant: str, stream: Stream, after: str | None, limit: int) -> HistoryPage:
        return HistoryPage((), has_more=False, epoch=None, recovered=after is None)

    async def clear(self, tenant: str, stream: Stream | None) -> None:
        """Do nothing: there are no events."""

    async def run(self) -> None:
        """Return: there is nothing to remove."""


NO_HISTORY = NoHistory()


class CollectedEvents:
    """Lists of the live events of streams, each from the beginning to the end of a read."""

    def __init__(self) -> None:
        self._lists: dict[Stream, dict[int, list[LiveEvent]]] = {}  # by the list's `id`

    @contextmanager
    def collecting(self, streams: Collection[Stream]) -> Iterator[Sequence[LiveEvent]]:
        """Return the events of these streams that are added in the meantime; the sequence grows with them."""
        events: list[LiveEvent] = []
        for stream in streams:
            self._lists.setdefault(stream, {})[id(events)] = events
        try:
            yield events
        finally:
            for stream in streams:
                lists = self._lists[stream]
                del lists[id(events)]
                if not lists:
                    del self._lists[stream]

    def add(self, event: LiveEvent) -> None:
        """Add an event to the lists of its stream."""
        if self._lists:
            for events in self._lists.get(event.stream, {}).values():
                events.append(event)
