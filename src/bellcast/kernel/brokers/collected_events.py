"""Collects live events that are delivered during a read."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from bellcast.kernel.events import LiveEvent, Stream


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
