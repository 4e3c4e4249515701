"""The history of live events: which are kept and for how long, event ids, and resume positions."""

import re
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from bellcast.kernel import patterns, times
from bellcast.kernel.events import CLIENT_PREFIX, LiveEvent, Stream
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
    return tuple(map(_rule, rules))


def _rule(text: str) -> HistoryRule:
    pattern, equals, kept = text.rpartition("=")
    duration, slash, events = kept.partition("/")
    if not (pattern and equals) or (slash and not (events.isascii() and events.isdigit())):
        raise ValueError(text)
    if slash and not 1 <= int(events) <= MAX_EVENTS:
        raise ValueError(text)
    milliseconds = 0 if duration == OFF and not slash else round(times.seconds(duration) * 1000)
    return HistoryRule(pattern, milliseconds, int(events) if slash else None)


def rule_for(rules: Iterable[HistoryRule], name: str) -> HistoryRule | None:
    """Return the first matching rule for a topic or `recipient:<key>`; None if its events are not kept."""
    for rule in rules:
        if patterns.matches(rule.pattern, name):
            return rule if rule.duration_ms else None
    return None


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
        self._rules = rules

    def all(self) -> Sequence[HistoryRule]:
        return self._rules()

    def for_event(self, event: LiveEvent) -> HistoryRule | None:
        """Return the rule of an event; None if it is not kept."""
        # Client-to-client events to a recipient are not kept.
        if not event.keep or (event.topic is None and event.name.startswith(CLIENT_PREFIX)):
            return None
        return self.for_stream(event.stream)

    def for_stream(self, stream: Stream) -> HistoryRule | None:
        kind, _, name = stream.split(STREAM_SEPARATOR, 2)
        return rule_for(self._rules(), name if kind == "topic" else RECIPIENT_PREFIX + name)

    def kept_streams(self, streams: Iterable[Stream]) -> list[Stream]:
        """Return the streams whose events are kept."""
        rules = self._rules()
        if rules and rules[0].pattern == EVERYTHING:  # as by default
            return list(streams) if rules[0].duration_ms else []
        return [stream for stream in streams if self.for_stream(stream) is not None]
