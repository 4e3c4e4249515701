"""An event source: which live events it matches, their variables, and how much it is used. Pure: no I/O, no clock."""

import functools
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Struct

from bellcast.inbox.types.notifications import Draft, draft_errors
from bellcast.kernel import times, validation
from bellcast.kernel.errors import FieldError
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.field_limits import Limit, Schema
from bellcast.kernel.http.validation_errors import field_error
from bellcast.kernel.limits import Limits
from bellcast.templates import conditions
from bellcast.templates.rendering import source_errors
from bellcast.workflows import live_waits
from bellcast.workflows.schedule_times import CONTENT

PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
ADJACENT = re.compile(r"\{[a-z_][a-z0-9_]*\}\{[a-z_][a-z0-9_]*\}")
MAX_PLACEHOLDERS = 5
ROOTS = frozenset({"event", "topic"})
# What makes a JSON value depend on the event: a template, or a reference `{"var": path}`.
FILLED = re.compile(rb"\{[{%#]|\{\"var\":")


class EventSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Maps a live event of the app (`event`, on a `topic` or, with null, to a recipient) to a `notification` or the
    trigger of a `workflow`. A placeholder such as `{provider}` in the topic is `topic.provider` in templates and in the
    condition `if`."""

    event: Annotated[str, Limit("event_name", 1)]
    topic: str | None = None
    condition: dict[str, Any] | None = msgspec.field(default=None, name="if")
    notification: dict[str, Any] | None = None
    workflow: str | None = None
    to: Any = None
    data: dict[str, Any] = {}

    SCHEMA: ClassVar[Schema] = {"not": {"anyOf": CONTENT}}


def check(source: EventSource, limits: Limits) -> None:
    """Raise Invalid with all errors, except those of references."""
    errors = list(validation.text("event", source.event, limits.event_name))
    if source.topic is not None:
        names = PLACEHOLDER.findall(source.topic)
        if len(names) > MAX_PLACEHOLDERS or len(set(names)) != len(names):
            text = f"must have at most {MAX_PLACEHOLDERS} placeholders with different names"
            errors.append(FieldError("topic", text))
        if ADJACENT.search(source.topic):
            errors.append(FieldError("topic", "must have text between two placeholders"))
        errors += validation.topic("topic", PLACEHOLDER.sub("x", source.topic), limits)
    errors += _content_errors(source, limits)
    if not source.event:
        errors.append(FieldError("event", "must not be empty"))
    if source.condition is not None:
        errors += conditions.errors_of("if", source.condition, frozenset(), ROOTS)
    validation.check(errors)


def _content_errors(source: EventSource, limits: Limits) -> validation.FieldErrors:
    if (source.workflow is None) == (source.notification is None):
        yield FieldError("workflow", "must have either workflow or notification")
    if source.notification is not None:
        if source.to is not None:
            yield FieldError("to", "must be a field of the notification instead")
        if source.data:
            yield FieldError("data", "must be a field of the notification instead")
        if "to" not in source.notification:
            yield FieldError("notification.to", "is required")
        known = Draft.__struct_fields__
        for name in source.notification.keys() - set(known):
            yield FieldError(f"notification.{name}", "is not known")
        yield from _fixed_errors(source.notification, limits)
        yield from _template_errors("notification", source.notification)
    elif source.to is None:
        yield FieldError("to", "is missing")
    yield from _template_errors("to", source.to)
    yield from _template_errors("data", source.data)


def _fixed_errors(notification: Mapping[str, Any], limits: Limits) -> validation.FieldErrors:
    """Yield the errors of the fields that no event changes. Recipients may be numbers, and times pass."""
    names = notification.keys() & set(Draft.__struct_fields__) - {"to", "send_at", "timezone", "expires_at"}
    fixed = {one: notification[one] for one in names if not FILLED.search(msgspec.json.encode(notification[one]))}
    filled_title = {"title": "x"} if names & {"title", "type", "template"} - fixed.keys() else {}
    to = notification.get("to")
    is_everyone = isinstance(to, Mapping) and not to.keys().isdisjoint({"all", "var"})  # who may be of all tenants
    try:
        draft = msgspec.convert({"to": {"all": True} if is_everyone else "x", **filled_title, **fixed}, Draft)
    except msgspec.ValidationError as error:
        errors = [field_error(error)]
    else:
        errors = draft_errors(draft, limits, times.to_rfc3339(0))
    yield from (FieldError(f"notification.{one.field}", one.message) for one in errors)


def _template_errors(path: str, value: Any) -> validation.FieldErrors:
    if isinstance(value, str):
        yield from source_errors(path, value, ROOTS, is_html=False)
    elif isinstance(value, Mapping):
        if value.keys() == {"var"}:
            yield from conditions.variable_errors(path, value["var"], frozenset(), ROOTS)
            return
        for name, inner in value.items():
            yield from _template_errors(f"{path}.{name[:100]}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _template_errors(f"{path}.{number}", inner)


def _placeholders(pattern: str, topic: str) -> dict[str, str] | None:
    """Return the values of the placeholders; None if the topic does not match. A placeholder matches one part between
    dots, as long as possible; at the end, it matches the rest."""
    first, *rest = PLACEHOLDER.split(pattern)
    names, texts = rest[0::2], rest[1::2]

    @functools.cache  # a regular expression would try all combinations of ends
    def values_from(number: int, start: int) -> tuple[str, ...] | None:
        if number == len(names):
            return () if start == len(topic) else None
        is_rest = number == len(names) - 1 and not texts[number]
        part_end = len(topic) if is_rest else start + len(topic[start:].partition(".")[0])
        for end in range(part_end, start, -1):
            following = (
                values_from(number + 1, end + len(texts[number])) if topic.startswith(texts[number], end) else None
            )
            if following is not None:
                return (topic[start:end], *following)
        return None

    values = values_from(0, len(first)) if topic.startswith(first) else None
    return None if values is None else dict(zip(names, values, strict=True))


def values_of(source: EventSource, event: LiveEvent) -> dict[str, Any] | None:
    """Return the variables of templates and conditions; None if the event does not match."""
    names: dict[str, str] = {}
    if (source.topic is None) != (event.topic is None):
        return None
    if source.topic is not None:
        found = _placeholders(source.topic, event.topic or "")
        if found is None:
            return None
        names = found
    values = {"event": live_waits.values_of(event), "topic": names}
    if source.condition is not None and not conditions.evaluate(source.condition, values):
        return None
    return values


HOUR_MS = 3_600_000
HOURS_A_DAY = 24
# The kind under which it is stored, and how long after the last event.
USES = "source-uses"
USES_MS = 30 * HOURS_A_DAY * HOUR_MS


class SourceUse(Struct, frozen=True):
    """How many events a source had in each hour since 1970 of about a day, and when the last one was (UTC milliseconds)."""

    hours: dict[int, int]
    last_at: int

    @staticmethod
    def of_event(at: int) -> "SourceUse":
        """Return the use by one event."""
        return SourceUse({at // HOUR_MS: 1}, at)

    def plus(self, later: "SourceUse") -> "SourceUse":
        """Add what another process or a later time had, without the hours that are over a day old."""
        last_at = max(self.last_at, later.last_at)
        numbers = {hour: self.hours.get(hour, 0) + later.hours.get(hour, 0) for hour in {*self.hours, *later.hours}}
        first = last_at // HOUR_MS - HOURS_A_DAY
        return SourceUse({hour: number for hour, number in numbers.items() if hour >= first}, last_at)

    def in_day(self, now: int) -> tuple[int, bool]:
        """Return the events of the last 24 hours: without those of the hour in which these began, and whether it had none."""
        begun = now // HOUR_MS - HOURS_A_DAY
        return sum(number for hour, number in self.hours.items() if hour > begun), begun not in self.hours
