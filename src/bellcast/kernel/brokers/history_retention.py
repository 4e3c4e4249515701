"""Which live events the history keeps, and for how long."""

from collections.abc import Callable, Iterable, Sequence

from bellcast.kernel.brokers import history_rules as history
from bellcast.kernel.brokers.history_rules import HistoryRule
from bellcast.kernel.events import CLIENT_PREFIX, SEPARATOR, LiveEvent, Stream


class KeepRules:
    """The current rules of `BELLCAST_TOPIC_HISTORY`, by stream."""

    def __init__(self, rules: Callable[[], Sequence[HistoryRule]]) -> None:
        self._rules = rules

    def for_event(self, event: LiveEvent) -> HistoryRule | None:
        """Return the rule of an event; None if it is not kept."""
        # Client-to-client events to a recipient are not kept.
        if not event.keep or (event.topic is None and event.name.startswith(CLIENT_PREFIX)):
            return None
        return self.for_stream(event.stream)

    def for_stream(self, stream: Stream) -> HistoryRule | None:
        kind, _, name = stream.split(SEPARATOR, 2)
        return history.rule_for(self._rules(), name if kind == "topic" else history.RECIPIENT_PREFIX + name)

    def kept_streams(self, streams: Iterable[Stream]) -> list[Stream]:
        """Return the streams whose events are kept."""
        rules = self._rules()
        if rules and rules[0].pattern == history.EVERYTHING:  # as by default
            return list(streams) if rules[0].duration_ms else []
        return [stream for stream in streams if self.for_stream(stream) is not None]
