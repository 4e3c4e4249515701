"""The history of live events: an ordered log per tenant, from which clients receive missed events; which events are kept and for how long, event
ids, and resume positions."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from msgspec import Struct

from bellcast.kernel import times
from bellcast.kernel.events import CLIENT_PREFIX, LiveEvent, Stream, pattern_matches
from bellcast.kernel.events import SEPARATOR as STREAM_SEPARATOR

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
