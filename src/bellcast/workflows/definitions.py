"""Workflow definitions: parses JSON to validated steps. Every error has the path of the wrong part."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.documents.types import MAX_OBJECT_KEY
from bellcast.kernel import data_schemas, validation
from bellcast.kernel.errors import FieldError
from bellcast.preferences.types import CHANNEL_NAMED, CHANNELS, Channel
from bellcast.templates import conditions
from bellcast.templates.types import Template
from bellcast.workflows import step_fields
from bellcast.workflows.step_fields import PARTS, STEP_TYPES, Errors, SeenSteps, unknown_fields

MAX_STEPS = 50
MAX_BRANCH_DEPTH = 5
# Maximum characters of a note: a reason in a few sentences.
MAX_NOTE = 500
# The text that a step without a template must have, because its sends are refused without it.
NEEDED_TEXTS = {"inbox": "title", "email": "subject", "sms": "text", "push": "title", "chat": "text"}
KEY_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


class Step(Struct, frozen=True, kw_only=True):
    """One step. `fields` are the fields of its type, as defined. `branches` and `otherwise` belong to the type
    `branch`. `content` is the content of a channel's step without a template."""

    key: str
    type: str
    condition: Mapping[str, Any] | None = None
    fields: Mapping[str, Any] = {}
    branches: tuple["Branch", ...] = ()
    otherwise: tuple["Step", ...] = ()
    content: Template | None = None


class Branch(Struct, frozen=True, kw_only=True):
    """Steps, and the condition under which they run."""

    condition: Mapping[str, Any]
    steps: tuple[Step, ...]


class Definition(Struct, frozen=True, kw_only=True):
    """A validated workflow. `ordered` are all steps in the order in which they may run, `awaited` the steps for whose
    events others wait, `live_waits` the steps that wait for live events, and `channels` the channels used.
    `refers_to_events` is False if nothing depends on recipients' actions, `has_counters` is False if there are no
    throttles and digests."""

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
        """True if the steps of a run do not depend on other runs or live events."""
        return not self.has_counters and not self.live_waits and all(step.type != "trigger" for step in self.ordered)


def flattened(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield these steps and all steps in their branches."""
    for step in steps:
        yield step
        for branch in step.branches:
            yield from flattened(branch.steps)
        yield from flattened(step.otherwise)


def parse(value: Any) -> Definition:
    """Check a definition. Raises Invalid with all errors."""
    validation.check(_definition_errors(value))
    return of_valid(value)


def of_valid(value: Mapping[str, Any]) -> Definition:
    """Return the definition of a value that was checked when it was stored."""
    steps = tuple(map(_step, value["steps"]))
    ordered = tuple(flattened(steps))
    awaited = frozenset(step.fields["step"] for step in ordered if step.type == "wait_for" and "step" in step.fields)
    text = encode(value)
    return Definition(
        type=value.get("type"),
        schema=value.get("data"),
        steps=steps,
        ordered=ordered,
        awaited=awaited,
        live_waits=tuple(step for step in ordered if step.type == "wait_for" and "step" not in step.fields),
        channels=frozenset(CHANNEL_NAMED[step.type] for step in ordered if step.type in CHANNEL_NAMED),
        refers_to_events=bool(awaited) or b"seen_at" in text or b"read_at" in text,
        has_counters=any(step.type in ("throttle", "digest") for step in ordered),
    )


STRUCTURE = ("key", "type", "if", "note", "branches", "else")


def _step(value: Mapping[str, Any]) -> Step:
    type = value["type"]
    fields = {name: field for name, field in value.items() if name not in STRUCTURE}
    content = None
    if type in PARTS and "template" not in fields:
        own: dict[str, Any] = {type: msgspec.convert(fields, PARTS[type])}
        content = Template(**own)
    return Step(
        key=value["key"],
        type=type,
        condition=value.get("if"),
        fields=fields,
        content=content,
        branches=tuple(
            Branch(condition=one["if"], steps=tuple(map(_step, one["steps"]))) for one in value.get("branches", ())
        ),
        otherwise=tuple(map(_step, value.get("else", ()))),
    )


# --- the whole


def _definition_errors(value: Any) -> Errors:
    if not isinstance(value, Mapping):
        yield FieldError("", "must be an object with steps")
        return
    yield from unknown_fields("", value, {"type", "data", "note", "steps"})
    yield from _note_errors("note", value)
    type = value.get("type", "general")
    if not isinstance(type, str) or not 1 <= len(type) <= MAX_OBJECT_KEY or "\x00" in type:
        yield FieldError("type", f"must be text of 1 to {MAX_OBJECT_KEY} characters, without NUL")
    if value.get("data") is not None and not isinstance(value["data"], Mapping):
        yield FieldError("data", "must be an object: a JSON Schema")
    elif value.get("data") is not None:
        yield from data_schemas.schema_errors(value["data"])
    seen: SeenSteps = {}
    yield from _list_errors("steps", value.get("steps"), seen, 0)
    if len(seen) > MAX_STEPS:
        yield FieldError("steps", f"must be at most {MAX_STEPS} steps with those in branches, got {len(seen)}")


def _list_errors(path: str, value: Any, seen: SeenSteps, depth: int) -> Errors:
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


def _step_errors(path: str, step: Any, seen: SeenSteps, depth: int) -> Errors:
    if not isinstance(step, Mapping):
        yield FieldError(path, "must be a step: an object with key and type")
        return
    key = step.get("key")
    if key is None:
        yield FieldError(f"{path}.key", "is missing: each step needs a key of its own, such as reminder")
    elif not isinstance(key, str) or not 1 <= len(key) <= MAX_OBJECT_KEY or not KEY_CHARACTERS.issuperset(key):
        yield FieldError(f"{path}.key", f"must have 1 to {MAX_OBJECT_KEY} characters of A-Z a-z 0-9 _ -")
    elif key in seen:
        yield FieldError(f"{path}.key", f"must be unique in the workflow: another step has the key {key!r}")
    kind = step.get("type")
    if not isinstance(kind, str) or kind not in STEP_TYPES:
        missing = "" if "type" in step else "is missing: "
        yield FieldError(f"{path}.type", f"{missing}must be one of: {', '.join(STEP_TYPES)}")
        return
    if "if" in step:
        yield from conditions.errors_of(f"{path}.if", step["if"], seen)
    known = STEP_TYPES[kind]
    yield from unknown_fields(path, step, {"key", "type", "if", "note", *known})
    yield from _note_errors(f"{path}.note", step)
    for name, field in known.items():
        if name in step:
            yield from field.rule(f"{path}.{name}", step[name], seen)
        elif field.is_required:
            yield FieldError(f"{path}.{name}", "is missing")
    yield from _combination_errors(path, kind, step, seen)
    if isinstance(step.get("key"), str):
        seen[step["key"]] = kind
    if kind == "branch":
        yield from _branch_errors(path, step, seen, depth)


def _note_errors(path: str, value: Mapping[str, Any]) -> Errors:
    note = value.get("note")
    if note is not None and (not isinstance(note, str) or len(note) > MAX_NOTE):
        yield FieldError(path, f"must be text of at most {MAX_NOTE} characters")
    elif note is not None:
        yield from validation.encodable(path, note)


def _branch_errors(path: str, step: Mapping[str, Any], seen: SeenSteps, depth: int) -> Errors:
    branches = step.get("branches")
    if not isinstance(branches, list) or not branches:
        return
    for number, branch in enumerate(branches):
        inner = f"{path}.branches.{number}"
        if not isinstance(branch, Mapping):
            yield FieldError(inner, 'must be {"if": condition, "steps": [...]}')
            continue
        yield from unknown_fields(inner, branch, {"if", "steps"})
        yield from conditions.errors_of(f"{inner}.if", branch.get("if"), seen)
        yield from _list_errors(f"{inner}.steps", branch.get("steps"), seen, depth + 1)
    if "else" in step:
        yield from _list_errors(f"{path}.else", step["else"], seen, depth + 1)


# --- what belongs together


def _combination_errors(path: str, kind: str, step: Mapping[str, Any], seen: SeenSteps) -> Errors:
    if kind in CHANNELS:
        parts = [name for name in PARTS[kind].__struct_fields__ if name in step]
        if "template" in step and parts:
            yield FieldError(f"{path}.{parts[0]}", "must be absent: the template has the content")
        elif "template" not in step and not parts:
            yield FieldError(path, f"must have a template, or one of: {', '.join(PARTS[kind].__struct_fields__)}")
        elif "template" not in step and (name := NEEDED_TEXTS[kind]) not in step:
            yield FieldError(f"{path}.{name}", "is missing")
        elif "template" not in step and isinstance(step[name], str) and not step[name].strip():
            yield FieldError(f"{path}.{name}", "must not be empty")
    elif kind == "delay":
        yield from _exactly_one(path, step, "for", "until")
        if "offset" in step and "until" not in step:
            yield FieldError(f"{path}.offset", "needs until")
    elif kind == "digest":
        yield from _exactly_one(path, step, "window", "cron")
        if "max_window" in step and step.get("mode") != "sliding":
            yield FieldError(f"{path}.max_window", 'needs the mode "sliding"')
        if "cron" in step and step.get("mode", "fixed") != "fixed":
            yield FieldError(f"{path}.mode", "must be fixed with cron")
        if "timezone" in step and "cron" not in step:
            yield FieldError(f"{path}.timezone", "needs cron")
    elif kind == "wait_for":
        yield from _wait_errors(path, step, seen)


def _exactly_one(path: str, step: Mapping[str, Any], *names: str) -> Errors:
    found = [name for name in names if name in step]
    if len(found) != 1:
        yield FieldError(
            f"{path}.{names[0]}" if not found else f"{path}.{found[-1]}", f"must have either {' or '.join(names)}"
        )


def _wait_errors(path: str, step: Mapping[str, Any], seen: SeenSteps) -> Errors:
    event, target = step.get("event"), step.get("step")
    if target is None:
        return
    for name in ("topic", "match"):
        if name in step:
            yield FieldError(f"{path}.{name}", "must be absent with step")
    kind = seen.get(target) if isinstance(target, str) else None
    if kind is None:
        yield FieldError(f"{path}.step", f"names an unknown earlier step {str(target)[:100]!r}")
    elif kind not in CHANNELS:
        yield FieldError(f"{path}.step", "must be a step that sends")
    else:
        events = step_fields.INBOX_EVENTS if kind == "inbox" else step_fields.MESSAGE_EVENTS
        if event not in events:
            yield FieldError(f"{path}.event", f"must be one of: {', '.join(events)}")


def encode(value: Any) -> bytes:
    """Return the definition in its stored form, in which equal content has equal bytes."""
    return msgspec.json.encode(value, order="deterministic")
