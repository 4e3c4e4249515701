"""The history of live events: an ordered log per tenant, from which clients receive missed events; which events are kept and for how
long, event ids, and resume positions; and the history of a single process, in memory."""

import re
import secrets
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice, takewhile
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bellcast.kernel import times
from bellcast.kernel.events import CLIENT_PREFIX, LiveEvent, Stream, pattern_matches
from bellcast.kernel.events import SEPARATOR as STREAM_SEPARATOR

if TYPE_CHECKING:  # settings are read without asyncio, which it imports
    from bellcast.kernel.clock import Clock

OFF = "off"
RECIPIENT_PREFIX = "recipient:"
EVERYTHING = "*"  # the pattern of every topic and recipient
DEFAULT_HISTORY = (f"{EVERYTHING}=2m/1000",)
# Epoch and offset, as in an event's id. Stores keep the epoch as a signed number of 64 bits.
EVENT_ID = re.compile(r"([0-7]?[0-9a-f]{1,15})\.([0-9a-f]{1,15})")
# Limit of a rule's count, which PostgreSQL stores in 32 bits.
MAX_EVENTS = 2**31 - 1
SEPARATOR = "~"  # between the inbox position and the event id of a resume position


class HistoryRule(Struct, frozen=True):
    """How long the events of matching topics are kept (milliseconds), and how many of each topic (None: any number)."""

    pattern: str
    duration_ms: int
    events: int | None = None


class EventId(Struct, frozen=True):
    """The place of an event in its tenant's log. A new log has another epoch."""

    epoch: int
    offset: int

    @property
    def text(self) -> str:
        return f"{self.epoch:x}.{self.offset:x}"


def ids_up_to(last: EventId, count: int) -> list[EventId]:
    """Return the ids of consecutive events, of which `last` is the last one."""
    return [EventId(last.epoch, offset) for offset in range(last.offset - count + 1, last.offset + 1)]


def parse_rules(rules: Iterable[str]) -> tuple[HistoryRule, ...]:
    """Parse `pattern=duration[/events]` and `pattern=off`. Raises ValueError."""
    found: list[HistoryRule] = []
    for text in rules:
        pattern, equals, kept = text.rpartition("=")
        duration, slash, events = kept.partition("/")
        if not (pattern and equals) or (slash and not (events.isascii() and events.isdigit())):
            raise ValueError(text)
        if slash and not 1 <= int(events) <= MAX_EVENTS:
            raise ValueError(text)
        milliseconds = 0 if duration == OFF and not slash else round(times.seconds(duration) * 1000)
        found.append(HistoryRule(pattern, milliseconds, int(events) if slash else None))
    return tuple(found)


def parse_event_id(text: str) -> EventId | None:
    """Parse an event id; None if it is invalid."""
    match = EVENT_ID.fullmatch(text)
    if match is None:
        return None
    return EventId(int(match[1], 16), int(match[2], 16))


def split_position(text: str) -> tuple[str, str | None]:
    """Split a resume position `<position>~<event id>`. Either part may be missing."""
    position, separator, event_id = text.partition(SEPARATOR)
    return position, event_id if separator else None


def event_id_of(text: str) -> str:
    """Return the event id of a resume position or of a bare event id."""
    return text.rpartition(SEPARATOR)[2]


class KeepRules:
    """The current rules of `BELLCAST_TOPIC_HISTORY`, by stream."""

    def __init__(self, rules: Callable[[], Sequence[HistoryRule]]) -> None:
        self.all = rules

    def for_event(self, event: LiveEvent) -> HistoryRule | None:
        """Return the rule of an event; None if it is not kept."""
        # Client-to-client events to a recipient are not kept.
        if not event.keep or (event.topic is None and event.name.startswith(CLIENT_PREFIX)):
            return None
        return self.for_stream(event.stream)

    def for_stream(self, stream: Stream) -> HistoryRule | None:
        """Return the first rule that matches a topic or `recipient:<key>`; None if its events are not kept."""
        kind, _, key = stream.split(STREAM_SEPARATOR, 2)
        name = key if kind == "topic" else RECIPIENT_PREFIX + key
        for rule in self.all():
            if pattern_matches(rule.pattern, name):
                return rule if rule.duration_ms else None
        return None

    def kept_streams(self, streams: Iterable[Stream]) -> list[Stream]:
        """Return the streams whose events are kept."""
        return [stream for stream in streams if self.for_stream(stream) is not None]


class PastEvents(Struct, frozen=True):
    """Events of some streams, in log order, up to the event `end` of the log. `recovered` is true if these are all
    events after the given id. It is false, without events, if the id belongs to another log or an event after it has
    been removed."""

    events: tuple[LiveEvent, ...] = ()
    recovered: bool = False
    end: str | None = None


class HistoryPage(Struct, frozen=True):
    """A page of one stream, oldest first, with the time of each event in UTC milliseconds; `epoch` identifies the log."""

    events: tuple[tuple[LiveEvent, int], ...]
    has_more: bool
    epoch: str | None
    recovered: bool


class TopicHistory(Protocol):
    """Keeps live events until they expire; by default, nothing. A reader that follows the streams in the event loop
    iteration in which a read returns receives every later event live, and no earlier one.

    Reads, `confirm` and `append` raise Unavailable if the log cannot be reached."""

    async def append(self, *events: LiveEvent) -> tuple[LiveEvent, ...]:
        """Append the events that are kept. Return all events in order, stored ones with their ids. The caller publishes
        them in the same event loop iteration; a log shared by processes publishes stored events itself, in log order."""
        return events

    def end(self, tenant: str) -> str | None:
        """Return the id of the tenant's newest event that this process has delivered; None without a history."""
        return None

    async def missed(self, tenant: str, streams: Collection[Stream], after: str) -> PastEvents:
        """Return the events of the streams after an id."""
        return PastEvents()

    async def newest(self, tenant: str, streams: Collection[Stream], count: int) -> PastEvents:
        """Return the newest `count` events of each stream."""
        return PastEvents()

    async def confirm(self, streams: Collection[Stream]) -> None:
        """Return once this process receives all later stored events of the streams, as it does without a log of several
        processes. For readers that need no past events."""
        return

    async def page(self, tenant: str, stream: Stream, after: str | None, limit: int) -> HistoryPage:
        """Return at most `limit` events of a stream after an id, or the oldest ones."""
        return HistoryPage((), has_more=False, epoch=None, recovered=after is None)

    async def clear(self, tenant: str, stream: Stream | None) -> None:
        """Remove the events of a stream, or of all streams if it is None."""
        return

    async def count_logs(self) -> int | None:
        """Return the number of logs of all tenants; None if the engine does not limit it."""
        return None

    def listen(self, on_lost: Callable[[Collection[Stream]], None]) -> None:
        """Call `on_lost` with streams of which this process may have missed stored events that it cannot read again. It
        is called without streams when failed reads may now succeed. Not called without a log of several processes."""
        return

    async def run(self) -> None:
        """Remove expired events until cancelled."""
        return


class NoHistory(TopicHistory):
    """Keeps nothing."""


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

    def __contains__(self, stream: object) -> bool:
        return stream in self._lists

    def add(self, event: LiveEvent) -> None:
        """Add an event to the lists of its stream."""
        if self._lists:
            for events in self._lists.get(event.stream, {}).values():
                events.append(event)


# --- the history of a single process, in memory

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
        self, clock: "Clock", rules: Callable[[], Sequence[HistoryRule]], limit_bytes: Callable[[], int]
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
        log, start = self._logs[tenant], parse_event_id(after)
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
        start = None if after is None else parse_event_id(after)
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
