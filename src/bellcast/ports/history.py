"""The history of live events: an ordered log per tenant, from which clients receive what they missed."""

from collections.abc import Collection
from typing import Protocol

from msgspec import Struct

from bellcast.model.events import LiveEvent, Stream


class KeptEvent(Struct, frozen=True):
    """An event of the log; `at` is UTC milliseconds."""

    event: LiveEvent
    at: int


class MissedEvents(Struct, frozen=True):
    """The events of some streams after an id, in log order. `recovered` is false if the id is not of this log or if an
    event after it has left the log; then there are none."""

    events: tuple[LiveEvent, ...] = ()
    recovered: bool = False


class HistoryPage(Struct, frozen=True):
    """A page of one stream, oldest first; `epoch` identifies the log."""

    events: tuple[KeptEvent, ...]
    has_more: bool
    epoch: str | None
    recovered: bool


class TopicHistory(Protocol):
    """Keeps live events until they expire. A reader that follows the streams in the same iteration of the event loop
    receives every later event live."""

    async def append(self, *events: LiveEvent) -> tuple[LiveEvent, ...]:
        """Append those events that are kept; return all, in order, with the ids of those. The caller publishes them in the
        same iteration of the event loop. Raises Unavailable if the log cannot be reached."""
        ...

    def end(self, tenant: str) -> str | None:
        """Return the id of the newest event of a tenant's log; None without a history."""
        ...

    def missed(self, tenant: str, streams: Collection[Stream], after: str) -> MissedEvents:
        """Return the events of the streams after an id."""
        ...

    def newest(self, tenant: str, streams: Collection[Stream], count: int) -> tuple[LiveEvent, ...]:
        """Return the newest `count` events of each stream, in log order."""
        ...

    def page(self, tenant: str, stream: Stream, after: str | None, limit: int) -> HistoryPage: ...

    def clear(self, tenant: str, stream: Stream) -> None:
        """Remove the events of a stream."""
        ...

    async def run(self) -> None:
        """Remove expired events until cancelled."""
        ...


class NoHistory:
    """A TopicHistory that keeps nothing."""

    async def append(self, *events: LiveEvent) -> tuple[LiveEvent, ...]:
        return events

    def end(self, tenant: str) -> str | None:
        return None

    def missed(self, tenant: str, streams: Collection[Stream], after: str) -> MissedEvents:
        return MissedEvents()

    def newest(self, tenant: str, streams: Collection[Stream], count: int) -> tuple[LiveEvent, ...]:
        return ()

    def page(self, tenant: str, stream: Stream, after: str | None, limit: int) -> HistoryPage:
        return HistoryPage((), has_more=False, epoch=None, recovered=after is None)

    def clear(self, tenant: str, stream: Stream) -> None:
        """Do nothing: there are no events."""

    async def run(self) -> None:
        """Return: there is nothing to remove."""


NO_HISTORY = NoHistory()
