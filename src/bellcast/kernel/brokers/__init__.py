"""Brokers: deliver events to every process with connections that follow them.

The ports: the transport of events between processes, and the log of live events on an engine that several processes share."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

from msgspec import Struct

from bellcast.kernel.brokers.history import EventId
from bellcast.kernel.events import Event, Stream


class Publisher(Protocol):
    """Publishes events to all processes that follow their streams: at most once, in order per publishing process and
    stream. A lost event is safe: readers resume from the store."""

    async def publish(self, *events: Event) -> None:
        """Deliver to this process before returning, and to others soon after. Never raises: readers find lost events in
        the store."""

    async def ping(self, *, writes: bool = False) -> None:
        """Raise Unavailable unless events can be published and, with `writes`, live events can be stored."""


class Broker(Publisher):
    """A publisher whose events this process receives; the base of all."""

    def __init__(self) -> None:
        self._listener: Callable[[Event], None] | None = None
        self._on_gap: Callable[[Collection[Stream]], None] = lambda _: None

    async def open(self) -> None:
        """Start connecting. Never raises for an unreachable broker, which is retried until `close`."""

    def deliver(self, event: Event) -> None:
        """Deliver an event only to this process, because no other follows its stream."""
        if self._listener is not None:
            self._listener(event)

    def listen(
        self, listener: Callable[[Event], None], on_gap: Callable[[Collection[Stream]], None] | None = None
    ) -> None:
        """Call `listener` with every event, on the event loop's thread. A process has one listener, its hub, which never
        raises: the event's change is committed, so its publisher must not fail. `on_gap` is called with streams that may
        have missed events of other processes, because they were newly followed or reconnected."""
        self._listener = listener
        self._on_gap = on_gap or self._on_gap

    def follow(self, stream: Stream) -> None:
        """Subscribe this process to a stream. Reference-counted."""

    def unfollow(self, stream: Stream) -> None:
        """Release one `follow` of the stream."""

    def counts(self) -> Mapping[str, Mapping[Any, float]]:
        """Return counters of this process, by name and labels."""
        return {}

    async def close(self) -> None:
        """Stop delivering events."""
        self._listener = None


class MemoryBroker(Broker):
    """A Broker for one process. Events are delivered before `publish` returns, in the order published, and never lost."""

    async def publish(self, *events: Event) -> None:
        """Deliver to the listener. Without a listener there are no connections, and the event is only in the store."""
        if self._listener is not None:
            for event in events:
                self._listener(event)

    async def ping(self, *, writes: bool = False) -> None:
        """No-op: always available."""


# Prefix of a stored event's message to other processes, followed by its id and a zero byte.
KEPT_PREFIX = b"\0" * 8

ReadKind = Literal["missed", "newest", "page"]


class NewEntry(Struct, frozen=True):
    """An encoded event to append, with its lifetime (milliseconds) and the maximum number of events kept of its stream
    (0: any number)."""

    stream: Stream
    payload: bytes
    duration_ms: int
    max_events: int


class StoredEntry(Struct, frozen=True):
    """An event of the log; `at` is UTC milliseconds."""

    offset: int
    at: int
    payload: bytes


class LogRead(Struct, frozen=True):
    """The state of a log, and entries ordered by offset. `incomplete` are streams that have lost events after the given
    id, or whose log does not know the id."""

    end: EventId
    entries: list[StoredEntry]
    incomplete: list[Stream]


class TopicLog(Protocol):
    """Ordered logs of live events, one per tenant. Each call is atomic; all raise Unavailable if the engine cannot be
    reached, and LogUnsupported if the engine cannot store a log.

    An engine that may have lost acknowledged events begins a new log, with another epoch. `max_appends` is the number of concurrent
    appends of different tenants."""

    max_appends: ClassVar[int] = 8  # each takes a connection

    async def append(self, tenant: str, entries: Sequence[NewEntry], now: int) -> Sequence[EventId | Exception]:
        """Append entries and publish them to all processes, in log order. Return their ids, or why one cannot be appended. Raises
        LogFull if the engine holds no further log."""

    async def read(
        self, kind: ReadKind, tenant: str, streams: Sequence[Stream], after: EventId | None, limit: int, now: int
    ) -> LogRead:
        """Read streams. `missed`: the entries after an id, of those streams that are complete; `newest`: the last `limit` of
        each stream; `page`: the first `limit` of each stream after the id or, if it is incomplete, of all."""

    async def clear(self, tenant: str, stream: Stream | None, now: int) -> None:
        """Remove the entries of a stream. If it is None, end the log: the next one has another epoch."""

    async def sweep(self, tenant: str, now: int) -> bool:
        """Remove expired entries. Return whether others are left."""

    async def tenants(self) -> Collection[str]:
        """Return the tenants whose entries would stay without a sweep."""
        return ()

    async def count_logs(self) -> int | None:
        """Return the number of logs of all tenants; None if the engine does not limit it."""
        return None

    def listen(self, on_hole: Callable[[Stream], None]) -> None:
        """Call `on_hole` with a stream before an event of it that follows a missing one. Never, if one connection delivers all.

        From then on, also after another connection, a stream is incomplete in a read of missed events from an id behind the
        missing one."""
        return

    def advance(self, streams: Sequence[Stream], end: EventId) -> None:
        """Regard no event up to `end`, or before the newest one, as missing any longer: it was read, or is reported as lost."""
        return

    def begin(self, streams: Sequence[Stream], end: EventId) -> None:
        """Regard events after `end` as missing before the first event of a stream too. Those up to `end` were read, or received."""
        return

    async def close(self) -> None:
        """Close what the log has opened, if it uses more than the transport's connections."""
        return


class LogFull(Exception):
    """The engine holds no further log; the tenant's events are not kept."""


class LogUnsupported(Exception):
    """The engine does not permit operations that a log needs."""
