"""Workflow definitions: JSON in, checked steps out. Every error names the path of the wrong part."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.errors import FieldError, Invalid
from bellcast.model import local_times, times, validation
from bellcast.model.limits import Limits
from bellcast.model.messages import ChatContent, EmailContent, PushContent, SmsContent
from bellcast.model.notifications import ActionButton
from bellcast.model.preferences import CHANNELS, Channel
from bellcast.model.templates import InboxContent, Template
from bellcast.templates import TemplateError, check_syntax
from bellcast.workflows import conditions, cron, schemas

MAX_STEPS = 50
MAX_BRANCH_DEPTH = 5
MAX_KEY = 100
KEY_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
MAX_SECONDS = 366 * 86_400
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
MESSAGE_EVENTS = ("delivered", "bounced", "failed")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

Errors = Iterator[FieldError]


class Step(Struct, frozen=True, kw_only=True):
    """One step. `fields` are its own, as defined; `branches` and `otherwise` are of the type `branch`. `content` is what a
    step of a channel sends if it has no template."""

    key: str
    type: str
    condition: Mapping[str, Any] | None = None
    fields: Mapping[str, Any] = {}
    branches: tuple["Branch", ...] = ()
    otherwise: tuple["Step", ...] = ()
    content: Template | None = None


class Branch(Struct, frozen=True, kw_only=True):
    """Steps with the condition under which they run."""

    condition: Mapping[str, Any]
    steps: tuple[Step, ...]


class Definition(Struct, frozen=True, kw_only=True):
    """A checked workflow. `ordered` are all steps in the order in which they may run, `awaited` the steps whose events
    others wait for, `live_waits` those that wait for live events, `channels` those that its steps use; `refers_to_events` is
    False if nothing depends on what recipients did, `has_counters` if no throttle or digest counts across runs."""

    type: str | None
    schema: Any
    steps: tuple[Step, ...]
    ordered: tuple[Step, ...]
    awaited: frozenset[str]
    live_waits: tuple[Step, ...]
    channels: frozenset[Channel]
    refers_to_events: bool
    has_counters: bool

    @property
    def is_independent(self) -> bool:
        """True if the steps of a run read nothing that other runs or live events write."""
        return not self.has_counters and not self.live_waits and all(step.type != "trigger" for step in self.ordered)


def _flattened(steps: Sequence[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        for branch in step.branches:
            yield from _flattened(branch.steps)
        yield from _flattened(step.otherwise)


def steps_below(steps: Sequence[Step]) -> Iterator[str]:
    """The keys of these steps and of all steps in their branches."""
    return (step.key for step in _flattened(steps))


def parse(value: Any) -> Definition:
    """Check a definition. Raises Invalid with all errors."""
    errors = list(_definition_errors(value))
    if errors:
        raise Invalid.fields(errors)
    steps = _steps(value["steps"])
    ordered = tuple(_flattened(steps))
    awaited = frozenset(step.fields["step"] for step in ordered if step.type == "wait_for" and "step" in step.fields)
    text = encode(value)
    return Definition(
        type=value.get("type"),
        schema=value.get("data"),
        steps=steps,
        ordered=ordered,
        awaited=awaited,
        live_waits=tuple(step for step in ordered if step.type == "wait_for" and "step" not in step.fields),
        channels=frozenset(step.type for step in ordered if step.type in PARTS),  # type: ignore[misc]  # its keys are channels
        refers_to_events=bool(awaited) or b"seen_at" in text or b"read_at" in text,
        has_counters=any(step.type in ("throttle", "digest") for step in ordered),
    )


def _steps(values: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    return tuple(_step(value) for value in values)


STRUCTURE = ("key", "type", "if", "branches", "else")


def _step(value: Mapping[str, Any]) -> Step:
    type = value["type"]
    fields = {name: field for name, field in value.items() if name not in STRUCTURE}
    return Step(
        key=value["key"],
        type=type,
        condition=value.get("if"),
        fields=fields,
        content=_content(type, fields) if type in PARTS and "template" not in fields else None,
        branches=tuple(
            Branch(condition=branch["if"], steps=_steps(branch["steps"])) for branch in value.get("branches", ())
        ),
        otherwise=_steps(value.get("else", ())),
    )


def _content(channel: str, fields: Mapping[str, Any]) -> Template:
    part = msgspec.convert(fields, PARTS[channel])
    return Template(**{channel: part})  # type: ignore[arg-type]  # the part of this channel


# --- the whole


class _Seen(Struct):
    """The steps so far: their types by key, for references to earlier steps."""

    types: dict[str, str] = {}

    def keys(self) -> frozenset[str]:
        return frozenset(self.types)


def _definition_errors(value: Any) -> Errors:
    if not isinstance(value, Mapping):
        yield FieldError("", "must be an object with steps")
        return
    yield from _unknown("", value, {"type", "data", "steps"})
    if "type" in value and (not isinstance(value["type"], str) or not value["type"]):
        yield FieldError("type", "must be text")
    if value.get("data") is not None:
        yield from schemas.schema_errors("data", value["data"])
    seen = _Seen(types={})
    yield from _list_errors("steps", value.get("steps"), seen, 0)
    if len(seen.types) > MAX_STEPS:
        yield FieldError("steps", f"must be at most {MAX_STEPS} steps with those in branches, got {len(seen.types)}")


def _list_errors(path: str, value: Any, seen: _Seen, depth: int) -> Errors:
    if not isinstance(value, list) or not value:
        yield FieldError(path, "must be a list of at least one step" if value is not None else "is missing")
        return
    if len(value) > MAX_STEPS:
        yield FieldError(path, f"must have at most {MAX_STEPS} steps, got {len(value)}")
        return
    if depth > MAX_BRANCH_DEPTH:
        yield FieldError(path, f"must not be nested deeper than {MAX_BRANCH_DEPTH} branches")
        return
    for number, step in enumerate(value):
        yield from _step_errors(f"{path}.{number}", step, seen, depth)


def _step_errors(path: str, step: Any, seen: _Seen, depth: int) -> Errors:
    if not isinstance(step, Mapping):
        yield FieldError(path, "must be a step: an object with key and type")
        return
    yield from _key_errors(f"{path}.key", step.get("key"), seen)
    kind = step.get("type")
    if not isinstance(kind, str) or kind not in STEP_TYPES:
        yield FieldError(f"{path}.type", f"must be one of: {', '.join(STEP_TYPES)}")
        return
    if "if" in step:
        yield from conditions.errors_of(f"{path}.if", step["if"], seen.keys())
    rules, required = STEP_TYPES[kind]
    yield from _unknown(path, step, {"key", "type", "if", *rules})
    for name in required:
        if name not in step:
            yield FieldError(f"{path}.{name}", "is missing")
    for name, rule in rules.items():
        if name in step:
            yield from rule(f"{path}.{name}", step[name], seen)
    yield from _combination_errors(path, kind, step, seen)
    if isinstance(step.get("key"), str):
        seen.types[step["key"]] = kind
    if kind == "branch":
        yield from _branch_errors(path, step, seen, depth)


def _key_errors(path: str, key: Any, seen: _Seen) -> Errors:
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY or not KEY_CHARACTERS.issuperset(key):
        yield FieldError(path, f"must have 1 to {MAX_KEY} characters of A-Z a-z 0-9 _ -")
    elif key in seen.types:
        yield FieldError(path, f"must be unique in the workflow: {key!r} is another step too")


def _branch_errors(path: str, step: Mapping[str, Any], seen: _Seen, depth: int) -> Errors:
    branches = step.get("branches")
    if not isinstance(branches, list) or not branches:
        return
    for number, branch in enumerate(branches):
        inner = f"{path}.branches.{number}"
        if not isinstance(branch, Mapping):
            yield FieldError(inner, 'must be {"if": condition, "steps": [...]}')
            continue
        yield from _unknown(inner, branch, {"if", "steps"})
        yield from conditions.errors_of(f"{inner}.if", branch.get("if"), seen.keys())
        yield from _list_errors(f"{inner}.steps", branch.get("steps"), seen, depth + 1)
    if "else" in step:
        yield from _list_errors(f"{path}.else", step["else"], seen, depth + 1)


def _unknown(path: str, value: Mapping[str, Any], names: set[str]) -> Errors:
    for name in value:
        if name not in names:
            below = f"{path}.{str(name)[:100]}" if path else str(name)[:100]
            yield FieldError(below, f"is unknown here: expected {', '.join(sorted(names))}")


# --- what belongs together


def _combination_errors(path: str, kind: str, step: Mapping[str, Any], seen: _Seen) -> Errors:
    if kind in CHANNELS:
        parts = [name for name in PARTS[kind].__struct_fields__ if name in step]
        if "template" in step and parts:
            yield FieldError(f"{path}.{parts[0]}", "must be absent: the template has the content")
        elif "template" not in step and not parts:
            yield FieldError(path, f"must have a template, or one of: {', '.join(PARTS[kind].__struct_fields__)}")
        elif kind == "inbox" and "template" not in step and "title" not in step:
            yield FieldError(f"{path}.title", "is missing")
    elif kind == "delay":
        yield from _exactly_one(path, step, "for", "until")
        if "offset" in step and "until" not in step:
            yield FieldError(f"{path}.offset", "needs until")
    elif kind == "digest":
        yield from _exactly_one(path, step, "window", "cron")
        yield from _digest_errors(path, step)
    elif kind == "wait_for":
        yield from _wait_errors(path, step, seen)


def _exactly_one(path: str, step: Mapping[str, Any], *names: str) -> Errors:
    found = [name for name in names if name in step]
    if len(found) != 1:
        yield FieldError(
            f"{path}.{names[0]}" if not found else f"{path}.{found[-1]}", f"must have either {' or '.join(names)}"
        )


def _digest_errors(path: str, step: Mapping[str, Any]) -> Errors:
    if "max_window" in step and step.get("mode") != "sliding":
        yield FieldError(f"{path}.max_window", 'needs the mode "sliding"')
    if "cron" in step and step.get("mode", "fixed") != "fixed":
        yield FieldError(f"{path}.mode", "must be fixed with cron")
    if "timezone" in step and "cron" not in step:
        yield FieldError(f"{path}.timezone", "needs cron")


def _wait_errors(path: str, step: Mapping[str, Any], seen: _Seen) -> Errors:
    event, target = step.get("event"), step.get("step")
    if target is None:
        return
    for name in ("topic", "match"):
        if name in step:
            yield FieldError(f"{path}.{name}", "must be absent with step")
    kind = seen.types.get(target) if isinstance(target, str) else None
    if kind is None:
        yield FieldError(f"{path}.step", f"names an unknown earlier step {str(target)[:100]!r}")
    elif kind not in CHANNELS:
        yield FieldError(f"{path}.step", "must be a step that sends")
    else:
        events = INBOX_EVENTS if kind == "inbox" else MESSAGE_EVENTS
        if event not in events:
            yield FieldError(f"{path}.event", f"must be one of: {', '.join(events)}")


# --- values

FieldRule = Callable[[str, Any, _Seen], Errors]


def _is_reference(value: Any) -> bool:
    return isinstance(value, Mapping) and "var" in value


def _reference_errors(path: str, value: Mapping[str, Any], seen: _Seen) -> Errors:
    yield from _unknown(path, value, {"var"})
    yield from conditions.variable_errors(f"{path}.var", value["var"], seen.keys())


def _or_reference(rule: FieldRule) -> FieldRule:
    """The rule of a literal, which can be `{"var": path}` instead."""

    def check(path: str, value: Any, seen: _Seen) -> Errors:
        return _reference_errors(path, value, seen) if _is_reference(value) else rule(path, value, seen)

    return check


def _text(path: str, value: Any, seen: _Seen) -> Errors:
    if not isinstance(value, str) or not value:
        yield FieldError(path, "must be text")


def _required_template(path: str, value: Any, seen: _Seen) -> Errors:
    return _text(path, value, seen) if value is None else _template_text(path, value, seen)


def _template_text(path: str, value: Any, seen: _Seen) -> Errors:
    if value is None:
        return
    if not isinstance(value, str):
        yield FieldError(path, "must be text")
        return
    yield from validation.encodable(path, value)
    try:
        check_syntax(value, is_html=path.endswith(".html"))
    except TemplateError as error:
        yield FieldError(path, f"line {error.line}: {error.message}")


def _layout(path: str, value: Any, seen: _Seen) -> Errors:
    if value is not None and not isinstance(value, str):
        yield FieldError(path, "must be base, null, or the key of a template")


def _duration(most: float, *, can_be_negative: bool = False) -> FieldRule:
    def check(path: str, value: Any, seen: _Seen) -> Errors:
        try:
            found = seconds(value)
        except ValueError as error:
            yield FieldError(path, str(error))
            return
        if found < 0 and not can_be_negative:
            yield FieldError(path, "must not be negative")
        elif abs(found) > most:
            yield FieldError(
                path, f"must be at most {most / 86_400:g}d" if most >= 86_400 else f"must be at most {most:g}s"
            )

    return _or_reference(check)


def seconds(value: Any) -> float:
    """A duration in seconds, which may begin with a minus sign. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("expected a duration such as 25, 2m, 1h or 7d")  # noqa: TRY004  a wrong value of JSON
    if isinstance(value, str) and value.startswith("-"):
        return -times.seconds(value[1:])
    return times.seconds(value)


def _moment(path: str, value: Any, seen: _Seen) -> Errors:
    if not isinstance(value, str):
        yield FieldError(path, 'must be a time such as 2030-01-31T12:00:00Z, or {"var": "data.starts_at"}')


def _one_of(*values: str) -> FieldRule:
    def check(path: str, value: Any, seen: _Seen) -> Errors:
        if value not in values:
            yield FieldError(path, f"must be one of: {', '.join(values)}")

    return check


def _whole(least: int, most: int) -> FieldRule:
    def check(path: str, value: Any, seen: _Seen) -> Errors:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            yield FieldError(path, f"must be a whole number from {least} to {most}")

    return check


def _cron(path: str, value: Any, seen: _Seen) -> Errors:
    if not isinstance(value, str) or not cron.is_cron(value):
        yield FieldError(path, "must be five fields of cron, such as 0 8 * * 1-5")


def _timezone(path: str, value: Any, seen: _Seen) -> Errors:
    if value != "recipient" and (not isinstance(value, str) or local_times.find_zone(value) is None):
        yield FieldError(path, 'must be an IANA time zone such as Europe/Vienna, or "recipient"')


def _condition(path: str, value: Any, seen: _Seen) -> Errors:
    return conditions.errors_of(path, value, seen.keys())


def _anything(path: str, value: Any, seen: _Seen) -> Errors:
    """JSON in which `{"var": path}` stands for a value."""
    parts: list[tuple[str, Any]] = [(path, value)]
    while parts:
        where, part = parts.pop()
        if isinstance(part, Mapping) and part.keys() == {"var"}:
            yield from _reference_errors(where, part, seen)
        elif isinstance(part, Mapping):
            parts += [(f"{where}.{name}", inner) for name, inner in part.items()]
        elif isinstance(part, list):
            parts += [(f"{where}.{number}", inner) for number, inner in enumerate(part)]


def _object(path: str, value: Any, seen: _Seen) -> Errors:
    if not isinstance(value, Mapping):
        yield FieldError(path, "must be an object")
        return
    yield from _anything(path, value, seen)


def _headers(path: str, value: Any, seen: _Seen) -> Errors:
    if not isinstance(value, Mapping):
        yield FieldError(path, "must be an object of texts")
        return
    for name, inner in value.items():
        yield from _required_template(f"{path}.{name}", inner, seen)


def _body(path: str, value: Any, seen: _Seen) -> Errors:
    """JSON of templates, in which `{"var": path}` stands for a value."""
    parts: list[tuple[str, Any]] = [(path, value)]
    while parts:
        where, part = parts.pop()
        if isinstance(part, str):
            yield from _template_text(where, part, seen)
        elif isinstance(part, list):
            parts += [(f"{where}.{number}", inner) for number, inner in enumerate(part)]
        elif isinstance(part, Mapping) and part.keys() != {"var"}:
            parts += [(f"{where}.{name}", inner) for name, inner in part.items()]
        else:
            yield from _anything(where, part, seen)


def _to(path: str, value: Any, seen: _Seen) -> Errors:
    if isinstance(value, str) or _is_reference(value):
        yield from _anything(path, value, seen)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            if not isinstance(one, str) and not _is_reference(one):
                yield FieldError(f"{path}.{number}", "must be a recipient's key")
            yield from _anything(f"{path}.{number}", one, seen)
    elif isinstance(value, Mapping):
        yield from _unknown(path, value, {"topic", "role", "tenant", "all"})
    else:
        yield FieldError(path, "must be a recipient's key, a list of keys, or an audience")


def _list_of_branches(path: str, value: Any, seen: _Seen) -> Errors:
    if not isinstance(value, list) or not value:
        yield FieldError(path, 'must be a list of {"if": condition, "steps": [...]}')


def _nothing(path: str, value: Any, seen: _Seen) -> Errors:
    return iter(())


def _actions(path: str, value: Any, seen: _Seen) -> Errors:
    """Buttons, whose labels and URLs are templates."""
    try:
        actions = msgspec.convert(value, tuple[ActionButton, ...])
    except msgspec.ValidationError as error:
        yield FieldError(path, f"must be a list of actions: {error}")
        return
    # The URL is checked when it is rendered.
    shapes = [msgspec.structs.replace(action, url=None if action.url is None else "/") for action in actions]
    yield from validation.actions(path, shapes, Limits())
    for number, action in enumerate(actions):
        yield from _template_text(f"{path}.{number}.label", action.label, seen)
        yield from _template_text(f"{path}.{number}.url", action.url, seen)


# Fields of a channel's part that are no templates.
PART_RULES: dict[str, FieldRule] = {
    "layout": _layout,
    "body_format": _one_of("plain", "markdown"),
    "actions": _actions,
}


def _channel_rules(channel: str) -> dict[str, FieldRule]:
    return {
        "template": _text,
        **{name: PART_RULES.get(name, _template_text) for name in PARTS[channel].__struct_fields__},
    }


ON_ERROR = _one_of("stop", "continue")
# By type: the rules of its fields, and those that it must have.
STEP_TYPES: dict[str, tuple[dict[str, FieldRule], tuple[str, ...]]] = {
    **{channel: (_channel_rules(channel), ()) for channel in CHANNELS},
    "delay": (
        {
            "for": _duration(MAX_SECONDS),
            "until": _or_reference(_moment),
            "offset": _duration(MAX_SECONDS, can_be_negative=True),
        },
        (),
    ),
    "digest": (
        {
            "window": _duration(MAX_SECONDS),
            "cron": _cron,
            "timezone": _timezone,
            "by": _required_template,
            "mode": _one_of("fixed", "sliding", "repeats"),
            "max_window": _duration(MAX_SECONDS),
        },
        (),
    ),
    "throttle": (
        {"limit": _whole(1, MAX_THROTTLE), "window": _duration(MAX_SECONDS), "by": _required_template},
        ("window",),
    ),
    "branch": ({"branches": _list_of_branches, "else": _nothing}, ("branches",)),
    "wait_for": (
        {
            "event": _text,
            "step": _text,
            "topic": _template_text,
            "match": _condition,
            "timeout": _duration(MAX_WAIT_SECONDS),
            "on_match": _one_of("stop", "continue"),
            "on_timeout": _one_of("stop", "continue"),
        },
        ("event",),
    ),
    "trigger": ({"workflow": _text, "to": _to, "data": _object}, ("workflow", "to")),
    "http": (
        {
            "url": _required_template,
            "method": _one_of(*METHODS),
            "headers": _headers,
            "body": _body,
            "timeout": _duration(MAX_HTTP_SECONDS),
            "on_error": ON_ERROR,
        },
        ("url",),
    ),
    "python": ({"function": _text, "timeout": _duration(MAX_FUNCTION_SECONDS), "on_error": ON_ERROR}, ("function",)),
    "stop": ({}, ()),
}


def encode(value: Any) -> bytes:
    """The definition as it is stored and compared: equal content is equal bytes."""
    return msgspec.json.encode(value, order="deterministic")
