"""Broker and topic history for a single process: events are delivered by function call and kept in memory."""

import secrets
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain, islice, takewhile
from operator import attrgetter

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bellcast.kernel.brokers import Broker, history
from bellcast.kernel.brokers.history import EventId, HistoryPage, HistoryRule, KeepRules, PastEvents, TopicHistory
from bellcast.kernel.clock import Clock
from bellcast.kernel.events import Event, LiveEvent, Stream


class MemoryBroker(Broker):
    """A Broker for one process. Events are delivered before `publish` returns, in the order published, and never lost."""

    async def publish(self, *events: Event) -> None:
        """Deliver to the listener. Without a listener there are no connections, and the event is only in the store."""
        if self._listener is not None:
            for event in events:
                self._listener(event)

    async def ping(self, *, writes: bool = False) -> None:
        """No-op: always available."""


# Within the range of the stores' signed 64-bit integers.
EPOCH_BITS = 48
# Memory of an entry beyond its data: the event, its place in the queues, and its id.
ENTRY_BYTES = 500
# Number of floors kept for topics without events. A follower of a topic whose floor was dropped cannot recover and must
# fetch what it shows.
MAX_FLOORS = 10_000
SWEEP_INTERVAL_SECONDS = 60.0

_encode = msgspec.json.Encoder().encode
OFFSET = attrgetter("offset")


class LogEntry(Struct, eq=False):
    """A stored event."""

    offset: int
    event: LiveEvent
    at: int
    expires_at: int
    size: int


class TenantLog:
    """The events of one tenant, in order, and for each stream the offset of its newest removed event (the floor)."""

    def __init__(self, limit_bytes: Callable[[], int]) -> None:
        self.epoch = secrets.randbits(EPOCH_BITS)
        self.last = 0  # the newest offset
        self.end = EventId(self.epoch, 0).text  # its id
        self._limit_bytes = limit_bytes
        self._size = 0
        self._streams: dict[Stream, list[LogEntry]] = {}  # an empty deque would take 700 bytes more
        self._all: OrderedDict[int, LogEntry] = OrderedDict()  # by offset
        self._floors: dict[Stream, int] = {}
        self._forgotten = 0  # the floor of streams that are not in `_floors`

    def append(self, stream: Stream, event: LiveEvent, rule: HistoryRule, now: int) -> LiveEvent:
        """Append an event and return it with its id."""
        self.last += 1
        self.end = EventId(self.epoch, self.last).text
        kept = replace(event, id=self.end)
        entry = LogEntry(self.last, kept, now, now + rule.duration_ms, len(_encode(event.data)) + ENTRY_BYTES)
        entries = self._streams.setdefault(stream, [])
        for earlier in reversed(entries):
            if earlier.expires_at <= entry.expires_at:
                break
            earlier.expires_at = entry.expires_at  # the rule was shortened, or the clock set back
        entries.append(entry)
        self._all[entry.offset] = entry
        self._size += entry.size
        if rule.events is not None and len(entries) > rule.events:
            self._remove(stream, len(entries) - rule.events)
        self._sweep(stream, now)
        while self._all and self._size > self._limit_bytes():
            self._remove(next(iter(self._all.values())).event.stream, 1)
        return kept

    def entries(self, stream: Stream, now: int) -> Sequence[LogEntry]:
        """Return the stored events of a stream."""
        self._sweep(stream, now)
        return self._streams.get(stream, ())

    def floor(self, stream: Stream) -> int:
        return self._floors.get(stream, self._forgotten)

    def clear(self, stream: Stream) -> None:
        if stream in self._streams:
            self._remove(stream, len(self._streams[stream]))

    def sweep(self, now: int) -> None:
        """Remove the expired events of every stream."""
        for stream in list(self._streams):
            self._sweep(stream, now)

    def _sweep(self, stream: Stream, now: int) -> None:
        if (entries := self._streams.get(stream)) and entries[0].expires_at <= now:
            self._remove(stream, sum(1 for _ in takewhile(lambda entry: entry.expires_at <= now, entries)))

    def _remove(self, stream: Stream, number: int) -> None:
        """Remove the oldest events of a stream and raise the stream's floor."""
        entries = self._streams[stream]
        for entry in entries[:number]:
            del self._all[entry.offset]
            self._size -= entry.size
        self._floors.pop(stream, None)
        self._floors[stream] = entries[number - 1].offset  # moved to the end: the first floors are the oldest
        del entries[:number]
        if not entries:
            del self._streams[stream]
        while len(self._floors) > MAX_FLOORS:
            self._forgotten = max(self._forgotten, self._floors.pop(next(iter(self._floors))))


class MemoryHistory(TopicHistory):
    """The history of the memory broker. A restart begins a new epoch."""

    def __init__(
        self, clock: Clock, rules: Callable[[], Sequence[HistoryRule]], limit_bytes: Callable[[], int]
    ) -> None:
        self._clock = clock
        self._rules = KeepRules(rules)
        self._logs: defaultdict[str, TenantLog] = defaultdict(lambda: TenantLog(limit_bytes))

    async def append(self, *events: LiveEvent) -> tuple[LiveEvent, ...]:
        found: list[LiveEvent] = []
        for event in events:
            rule, now = self._rules.for_event(event), self._clock.now()
            kept = event if rule is None else self._logs[event.tenant].append(event.stream, event, rule, now)
            found.append(kept)
        return tuple(found)

    def end(self, tenant: str) -> str | None:
        return self._logs[tenant].end

    async def missed(self, tenant: str, streams: Collection[Stream], after: str) -> PastEvents:
        log, start = self._logs[tenant], history.parse_event_id(after)
        if start is None or start.epoch != log.epoch or start.offset > log.last:
            return PastEvents(end=log.end)
        if start.offset == log.last:  # as after most reconnections
            return PastEvents(recovered=True, end=log.end)
        now, kept = self._clock.now(), self._rules.kept_streams(streams)
        parts = [_after(log.entries(stream, now), start.offset) for stream in kept]
        if max(map(log.floor, kept), default=0) > start.offset:
            return PastEvents(end=log.end)
        return PastEvents(_in_order(parts), recovered=True, end=log.end)

    async def newest(self, tenant: str, streams: Collection[Stream], count: int) -> PastEvents:
        if not count:  # as for most connections
            return PastEvents(end=self._logs[tenant].end)
        log, now = self._logs[tenant], self._clock.now()
        parts = [list(islice(reversed(log.entries(stream, now)), count)) for stream in streams]
        return PastEvents(_in_order(parts), end=log.end)

    async def page(self, tenant: str, stream: Stream, after: str | None, limit: int) -> HistoryPage:
        log = self._logs[tenant]
        entries = log.entries(stream, self._clock.now())
        start = None if after is None else history.parse_event_id(after)
        known = start is not None and start.epoch == log.epoch and log.floor(stream) <= start.offset <= log.last
        found = list(islice(_after(entries, start.offset) if known and start is not None else entries, limit + 1))
        events = tuple([(entry.event, entry.at) for entry in found[:limit]])
        return HistoryPage(events, len(found) > limit, f"{log.epoch:x}", recovered=after is None or known)

    async def clear(self, tenant: str, stream: Stream | None) -> None:
        log = self._logs.get(tenant)
        if stream is None:
            self._logs.pop(tenant, None)
        elif log is not None:
            log.clear(stream)

    async def run(self) -> None:
        while True:
            await self._clock.sleep(SWEEP_INTERVAL_SECONDS)
            for log in list(self._logs.values()):
                log.sweep(self._clock.now())


def _after(entries: Sequence[LogEntry], offset: int) -> list[LogEntry]:
    """Return the entries after an offset. The search begins with the newest: a client that resumes has missed few."""
    found = list(takewhile(lambda entry: entry.offset > offset, reversed(entries)))
    found.reverse()
    return found


def _in_order(parts: Iterable[Sequence[LogEntry]]) -> tuple[LiveEvent, ...]:
    """Return the events of several streams in log order."""
    return tuple([entry.event for entry in sorted(chain.from_iterable(parts), key=OFFSET)])
