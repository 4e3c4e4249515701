"""The fields of workflow steps by type, and the rule of each. Every error has the path of the wrong part."""

import difflib
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.channels.types import ChatContent, EmailContent, PushContent, SmsContent
from bellcast.inbox import types as notification_types
from bellcast.kernel import times
from bellcast.kernel.errors import FieldError
from bellcast.kernel.limits import Limits
from bellcast.preferences.types import CHANNELS
from bellcast.templates import conditions
from bellcast.templates.rendering import source_errors
from bellcast.templates.types import CONTENT_ROOTS, InboxContent
from bellcast.workflows import schedule_times

MAX_WAIT_SECONDS = 90 * 86_400
# Rolling windows are stored as a list of times.
MAX_THROTTLE = 1000
MAX_HTTP_SECONDS = 60
MAX_FUNCTION_SECONDS = 3600
PARTS: dict[str, type[Struct]] = {
    "inbox": InboxContent,
    "email": EmailContent,
    "sms": SmsContent,
    "push": PushContent,
    "chat": ChatContent,
}
INBOX_EVENTS = ("seen", "read", "archived", "acted")
MAX_SUGGESTIONS = 3  # of an object: comparing names takes 0.1 ms each
MESSAGE_EVENTS = ("delivered", "bounced", "failed")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# RFC 9110 §5.6.2: a token.
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
# Headers that a step cannot set. Its own length or transfer coding would allow request smuggling, and another Host would
# select a site that the address check has not seen. Bellcast sets the signature.
SET_HEADERS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"webhook-id", "webhook-signature", "webhook-timestamp"}
)

Errors = Iterator[FieldError]

# The types of the preceding steps by key, for references to them.
SeenSteps = dict[str, str]


def unknown_fields(path: str, value: Mapping[str, Any], names: set[str]) -> Errors:
    """Return the fields that are not among the names; the first ones with the closest name."""
    for number, name in enumerate(str(one)[:100] for one in value if one not in names):
        near = difflib.get_close_matches(name, names, n=1) if number < MAX_SUGGESTIONS else []
        hint = f" Did you mean {near[0]}?" if near else ""
        yield FieldError(
            f"{path}.{name}" if path else name, f"is not a field here.{hint} Expected: {', '.join(sorted(names))}"
        )


FieldRule = Callable[[str, Any, SeenSteps], Errors]

TEXT: Mapping[str, Any] = MappingProxyType({"type": "string"})


class Field(Struct, frozen=True):
    """A field of a step: its rule, the control that edits it, its label if that is not its name, its JSON Schema, and the most
    seconds of a duration."""

    rule: FieldRule
    widget: str
    label: str = ""
    schema: Mapping[str, Any] = TEXT
    can_be_reference: bool = False
    is_required: bool = False
    most: float = 0


def _is_reference(value: Any) -> bool:
    return isinstance(value, Mapping) and "var" in value


def _reference_errors(path: str, value: Mapping[str, Any], seen: SeenSteps) -> Errors:
    yield from unknown_fields(path, value, {"var"})
    yield from conditions.variable_errors(f"{path}.var", value["var"], seen)


def _or_reference(rule: FieldRule) -> FieldRule:
    """Return a rule that accepts a literal or `{"var": path}`."""

    def check(path: str, value: Any, seen: SeenSteps) -> Errors:
        return _reference_errors(path, value, seen) if _is_reference(value) else rule(path, value, seen)

    return check


def _must(be: str, is_valid: Callable[[Any], bool]) -> FieldRule:
    """Return a rule about a value alone."""

    def check(path: str, value: Any, seen: SeenSteps) -> Errors:
        if not is_valid(value):
            yield FieldError(path, f"must be {be}")

    return check


_text = _must("text without NUL", lambda value: isinstance(value, str) and value != "" and "\x00" not in value)


def _required_template(path: str, value: Any, seen: SeenSteps) -> Errors:
    return _text(path, value, seen) if value is None else _template_text(path, value, seen)


def _template_text(path: str, value: Any, seen: SeenSteps) -> Errors:
    if value is None:
        return
    if not isinstance(value, str):
        yield FieldError(path, "must be text")
        return
    yield from source_errors(path, value, CONTENT_ROOTS, is_html=path.endswith(".html"))


def seconds(value: Any) -> float:
    """Return a duration in seconds, which may begin with a minus sign. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("expected a duration such as 25, 2m, 1h or 7d")  # noqa: TRY004  an invalid JSON value
    if isinstance(value, str) and value.startswith("-"):
        return -times.seconds(value[1:])
    return times.seconds(value)


def _json(path: str, value: Any, seen: SeenSteps, check_text: FieldRule | None = None) -> Errors:
    """Check JSON in which `{"var": path}` can replace a value, and its other texts by a rule."""
    # The paths of the parts are not collected: each part below a long name repeats it, 8 GB for 256 KiB of JSON.
    if _is_reference(value) and len(value) == 1:
        yield from _reference_errors(path, value, seen)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _json(f"{path}.{str(name)[:100]}", inner, seen, check_text)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _json(f"{path}.{number}", inner, seen, check_text)
    elif isinstance(value, str) and check_text is not None:
        yield from check_text(path, value, seen)


def _object(path: str, value: Any, seen: SeenSteps) -> Errors:
    if not isinstance(value, Mapping):
        yield FieldError(path, "must be an object")
        return
    yield from _json(path, value, seen)


def _headers(path: str, value: Any, seen: SeenSteps) -> Errors:
    if not isinstance(value, Mapping):
        yield FieldError(path, "must be an object of texts")
        return
    for name, inner in value.items():
        where = f"{path}.{str(name)[:100]}"
        if HEADER_NAME.fullmatch(str(name)) is None:
            yield FieldError(where, "must be the name of a header")
        elif str(name).lower() in SET_HEADERS:
            yield FieldError(where, "must not be given: Bellcast sets this header")
        yield from _required_template(where, inner, seen)


_body = functools.partial(_json, check_text=_template_text)


def _to(path: str, value: Any, seen: SeenSteps) -> Errors:
    if isinstance(value, str) or _is_reference(value):
        yield from _json(path, value, seen)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            if not isinstance(one, str) and not _is_reference(one):
                yield FieldError(f"{path}.{number}", "must be a recipient's key")
            yield from _json(f"{path}.{number}", one, seen)
    elif isinstance(value, Mapping):
        yield from unknown_fields(path, value, {"topic", "role", "tenant", "all"})
    else:
        yield FieldError(path, "must be a recipient's key, a list of keys, or an audience")


def _actions(path: str, value: Any, seen: SeenSteps) -> Errors:
    """Check buttons, whose labels and URLs are templates."""
    try:
        actions = msgspec.convert(value, tuple[notification_types.ActionButton, ...])
    except msgspec.ValidationError as error:
        yield FieldError(path, f"must be a list of actions: {error}")
        return
    # The URL is checked when it is rendered.
    shapes = [msgspec.structs.replace(action, url=None if action.url is None else "/") for action in actions]
    yield from notification_types.actions(path, shapes, Limits())
    for number, action in enumerate(actions):
        yield from _template_text(f"{path}.{number}.label", action.label, seen)
        yield from _template_text(f"{path}.{number}.url", action.url, seen)


def _choice(*values: str, label: str = "") -> Field:
    rule = _must(f"one of: {', '.join(values)}", lambda value: value in values)
    return Field(rule, "select", label, {"enum": list(values)})


def _span(
    most: float, label: str = "", *, can_be_negative: bool = False, can_be_zero: bool = True, is_required: bool = False
) -> Field:
    """Return the field of a duration."""

    def check(path: str, value: Any, seen: SeenSteps) -> Errors:
        try:
            found = seconds(value)
        except ValueError as error:
            yield FieldError(path, str(error))
            return
        if found < 0 and not can_be_negative:
            yield FieldError(path, "must not be negative")
        elif found == 0 and not can_be_zero:
            yield FieldError(path, "must be above 0")
        elif abs(found) > most:
            yield FieldError(
                path, f"must be at most {most / 86_400:g}d" if most >= 86_400 else f"must be at most {most:g}s"
            )

    rule = _or_reference(check)
    schema = {"type": ["string", "number"]}
    return Field(rule, "duration", label, schema, can_be_reference=True, is_required=is_required, most=most)


# Fields of a channel's part that are not templates of one line.
PART_FIELDS: dict[str, Field] = {
    "layout": Field(
        _must("base, null, or the key of a template", lambda value: value is None or isinstance(value, str)),
        "layout",
        schema={"type": ["string", "null"]},
    ),
    "body_format": _choice("plain", "markdown", label="Format"),
    "actions": Field(_actions, "actions", "Buttons", {"type": "array", "maxItems": notification_types.MAX_ACTIONS}),
    **{name: Field(_template_text, "long-template") for name in ("text", "body")},
    "html": Field(_template_text, "long-template", "HTML"),
    "action_url": Field(_template_text, "template", "Link"),
    "action_text": Field(_template_text, "template", "Text of the link"),
}

ANY: dict[str, Any] = {}
OBJECT = {"type": "object"}
GROUP = Field(_required_template, "template", "Group by")
ON_ERROR = _choice("stop", "continue", label="If it fails")
# What a type of step is called.
LABELS = {
    "inbox": "Bell",
    "email": "E-mail",
    "sms": "SMS",
    "push": "Push",
    "chat": "Chat",
    "delay": "Wait",
    "digest": "Digest",
    "throttle": "Throttle",
    "branch": "Branch",
    "wait_for": "Wait for event",
    "trigger": "Start workflow",
    "http": "HTTP request",
    "python": "Python function",
    "stop": "Stop",
}
# By type: its fields.
STEP_TYPES: dict[str, dict[str, Field]] = {
    **{
        channel: {
            "template": Field(_text, "template-key"),
            **{
                name: PART_FIELDS.get(name, Field(_template_text, "template"))
                for name in PARTS[channel].__struct_fields__
            },
        }
        for channel in CHANNELS
    },
    "delay": {
        "for": _span(times.MAX_AHEAD_SECONDS),
        "until": Field(
            _or_reference(
                _must(
                    'a time such as 2030-01-31T12:00:00Z, or {"var": "data.starts_at"}',
                    lambda value: isinstance(value, str),
                )
            ),
            "moment",
            can_be_reference=True,
        ),
        "offset": _span(times.MAX_AHEAD_SECONDS, "Before or after", can_be_negative=True),
    },
    "digest": {
        "window": _span(times.MAX_AHEAD_SECONDS, "Collect for"),
        "cron": Field(
            _must(
                "five fields of cron, such as 0 8 * * 1-5",
                lambda value: isinstance(value, str) and schedule_times.is_cron(value),
            ),
            "cron",
            "Until the times",
        ),
        "timezone": Field(
            _must(
                'an IANA time zone such as Europe/Vienna, or "recipient"',
                lambda value: value == "recipient" or (isinstance(value, str) and times.is_zone(value)),
            ),
            "timezone",
            "Time zone",
        ),
        "by": GROUP,
        "mode": _choice("fixed", "sliding", "repeats"),
        "max_window": _span(times.MAX_AHEAD_SECONDS, "At most"),
    },
    "throttle": {
        "limit": Field(
            _must(f"a whole number from 1 to {MAX_THROTTLE}", lambda n: type(n) is int and 1 <= n <= MAX_THROTTLE),
            "integer",
            "Runs",
            {"type": "integer", "minimum": 1, "maximum": MAX_THROTTLE},
        ),
        "window": _span(times.MAX_AHEAD_SECONDS, "Per", is_required=True),
        "by": GROUP,
    },
    "branch": {
        "branches": Field(
            _must('a list of {"if": condition, "steps": [...]}', lambda value: isinstance(value, list) and value != []),
            "branches",
            schema={"type": "array"},
            is_required=True,
        ),
        "else": Field(lambda *_: iter(()), "branches", schema={"type": "array"}),
    },
    "wait_for": {
        "event": Field(_text, "event", is_required=True),
        "step": Field(_text, "sending-step", "Of the step"),
        "topic": Field(_template_text, "template"),
        "match": Field(conditions.errors_of, "condition", "That matches", OBJECT),
        "timeout": _span(MAX_WAIT_SECONDS, "At most"),
        "on_match": _choice("stop", "continue", label="When it happens"),
        "on_timeout": _choice("stop", "continue", label="When it does not"),
    },
    "trigger": {
        "workflow": Field(_text, "workflow-key", is_required=True),
        "to": Field(_to, "recipients", "Recipients", ANY, can_be_reference=True, is_required=True),
        "data": Field(_object, "json", schema=OBJECT),
    },
    "http": {
        "url": Field(_required_template, "template", "URL", is_required=True),
        "method": _choice(*METHODS),
        "headers": Field(_headers, "json", schema=OBJECT),
        "body": Field(_body, "json", schema=ANY),
        "timeout": _span(MAX_HTTP_SECONDS, can_be_zero=False),
        "on_error": ON_ERROR,
    },
    "python": {
        "function": Field(_text, "text", is_required=True),
        "timeout": _span(MAX_FUNCTION_SECONDS, can_be_zero=False),
        "on_error": ON_ERROR,
    },
    "stop": {},
}
