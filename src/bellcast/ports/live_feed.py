"""The live feed: events on this server for operators who watch it."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from msgspec import Struct

from bellcast.model.live_feed import FeedEvent, FeedFilter, SimpleFeedKind
from bellcast.model.requests import RequestFilter, ServedRequest

# Past events of each kind for a new watcher: enough to see the causes of a problem that an operator has just noticed.
KEPT_EVENTS = 200


class Feed(Protocol):
    """Accepts events. It is cheap without a watcher: there is one call per request, send or publish, none per
    delivery."""

    @property
    def is_watched(self) -> bool:
        """True while a watcher is connected. Otherwise events need no content."""
        ...

    def emit(self, event: FeedEvent) -> None:
        """Keep the event in the ring of its kind, and pass it to matching watchers. Never blocks or raises."""
        ...

    def count(self, kind: SimpleFeedKind, tenant: str, number: int) -> None:
        """Count events that are not emitted: without a watcher, only the last KEPT_EVENTS of a batch can be read later."""
        ...

    def emit_later(self, kind: SimpleFeedKind, tenant: str, trace: str, make: Callable[[], FeedEvent]) -> None:
        """Emit the event that `make` returns. `make` is called only if the event is read, which takes a tenth of the
        time. It must hold only small values, because the ring keeps it. Events with the same `trace` are sampled
        together."""
        ...


class SkippedEvents(Struct, frozen=True):
    """Number of events omitted in a second, in total and by kind."""

    count: int
    by: dict[str, int]


class Watch(Protocol):
    """One watcher. The caller must close it; until then, it counts towards the limit."""

    def batches(self) -> AsyncIterator[Sequence[FeedEvent | SkippedEvents]]:
        """Yield events, oldest first, and an empty batch after a period without events. Ends when the server stops."""
        ...

    def close(self) -> None: ...


class ObservedServer(Protocol):
    """Source of the operators' lists."""

    async def watch(self, wanted: FeedFilter, last: int) -> Watch:
        """Start to watch all nodes, with at most `last` earlier events. Returns once the other nodes send events, or
        after a second. Raises TooMany if this node has too many watchers."""
        ...

    def requests(self, wanted: RequestFilter, before: tuple[int, str] | None) -> Sequence[ServedRequest]:
        """Return the recent requests of this node, newest first, older than the one with this time and id."""
        ...


class NoFeed:
    """A feed that discards all events, for programs that no operator watches."""

    is_watched = False

    def emit(self, event: FeedEvent) -> None:
        """Do nothing."""

    def count(self, kind: SimpleFeedKind, tenant: str, number: int) -> None:
        """Do nothing."""

    def emit_later(self, kind: SimpleFeedKind, tenant: str, trace: str, make: Callable[[], FeedEvent]) -> None:
        """Do nothing."""


NO_FEED = NoFeed()
