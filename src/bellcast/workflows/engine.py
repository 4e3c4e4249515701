"""The transitions of runs. Pure: no I/O, no clock. `advance` takes a run as far as possible without I/O: it skips,
branches, waits and ends. It stops at a step that needs I/O. The caller performs this step and continues with
`record`."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from bellcast.channels import contents
from bellcast.inbox.types import Audience
from bellcast.kernel import times
from bellcast.kernel.errors import MAX_REASON
from bellcast.kernel.events import LiveEvent, inbox_stream, topic_stream
from bellcast.kernel.validation import storable
from bellcast.templates import conditions
from bellcast.templates.budget import TemplateError
from bellcast.templates.rendering import Renderer
from bellcast.templates.types import Variables
from bellcast.workflows import definitions
from bellcast.workflows.definitions import Definition, Step
from bellcast.workflows.step_fields import INBOX_EVENTS, MAX_WAIT_SECONDS, STEP_TYPES, seconds
from bellcast.workflows.types import RunStatus, StepStatus, runs
from bellcast.workflows.types.runs import NewWait, RunState, StepFacts, StepState, StoredRun

log = structlog.get_logger(__name__)

# Types of steps that the caller executes.
IO_TYPES = frozenset({"inbox", "email", "sms", "push", "chat", "throttle", "digest", "trigger", "http", "python"})
MAX_RESULT = 64 * 1024

NO_FACTS = StepFacts()
# The fields of a step that only commits set.
TIMES = ("started_at", "ended_at")


class RunContext(Struct, frozen=True, kw_only=True):
    """Everything a run reads besides its own state: the time, the recipient and its time zone, the tenant, the facts of
    its steps, and the live events that arrived for its waits."""

    now: int
    id: str
    workflow: str
    zone: str
    locale: str
    recipient: Mapping[str, Any]
    tenant_key: str
    tenant: Mapping[str, Any]
    facts: Mapping[str, StepFacts] = {}
    events: Mapping[str, Any] = {}


class StepOutcome(StepState, frozen=True, kw_only=True):
    """The state of a step that the caller executed, without its times. If `ends_run` is set, the run ends with this status."""

    state: StepStatus = "done"
    digest: runs.Digest | None = None
    ends_run: RunStatus | None = None


class InvalidValue(Exception):
    """A value used by a step has the wrong type: the step fails."""


def values_of(run: RunState, context: RunContext) -> dict[str, Any]:
    """Return the variables of conditions and templates."""
    steps = {}
    for key, step in run.steps.items():
        facts = context.facts.get(key, NO_FACTS)
        steps[key] = {
            "state": step.state,
            "reason": step.reason,
            "result": step.result,
            "matched": step.reason == "matched",
            "seen_at": _rfc3339(facts.seen_at),
            "read_at": _rfc3339(facts.read_at),
        }
    return {
        "data": run.data,
        "recipient": contents.recipient_variable(context.recipient),
        "actor": run.actor,
        "tenant": context.tenant,
        "run": {"id": context.id, "workflow": context.workflow},
        "digest": None if run.digest is None else msgspec.to_builtins(run.digest),
        "event": run.event,
        "steps": steps,
    }


def variables_of(run: RunState, context: RunContext) -> Variables:
    """Return the variables of templates, with the format and the tenant of the run."""
    values = values_of(run, context)
    return Variables(values=values, locale=context.locale, zone=context.zone, tenant=context.tenant_key)


def _rfc3339(moment: int | None) -> str | None:
    return None if moment is None else times.to_rfc3339(moment).isoformat().replace("+00:00", "Z")


def advance(definition: Definition, run: RunState, context: RunContext) -> tuple[RunState, Step | None]:
    """Advance to the next step that needs I/O, and return it; None if the run waits or has ended. A step that raises fails
    the run."""
    while run.status not in runs.ENDED:
        step = next((one for one in definition.ordered if run.step(one.key).state not in runs.ENDED_STEPS), None)
        if step is None:
            return run.ended("completed"), None
        try:
            run, needs_io = _enter(step, run, context)
        except InvalidValue as error:
            run, needs_io = fail(run, step, str(error)), False
        except RecursionError:  # a value nested deeper than Python's stack allows
            return run.ended("failed", "too_large"), None
        except Exception as error:
            log.exception("step_failed", run=context.id, step=step.key)
            return fail(run, step, described(error)), None
        if needs_io:
            return run, step
        if run.status == "waiting":
            return run, None
    return run, None


def _enter(step: Step, run: RunState, context: RunContext) -> tuple[RunState, bool]:
    """Execute a step as far as it needs no I/O. Return True if it needs I/O."""
    state = run.step(step.key)
    run = msgspec.structs.replace(run, status="running")
    if state.state == "pending" and not (
        step.condition is None or conditions.evaluate(step.condition, values_of(run, context))
    ):
        return _skip(run, [step]).with_step(step.key, state="skipped", reason="condition"), False
    if step.type in IO_TYPES:
        # A wait that was planned while the clock was ahead ends now.
        if state.state == "waiting" and state.planned_at <= context.now < (state.due_at or 0):
            return _waiting(run), False
        return run.with_step(step.key, state="running"), True
    if step.type == "delay":
        return _delay(step, run, context), False
    if step.type == "wait_for":
        return _wait(step, run, context), False
    if step.type == "branch":
        values = values_of(run, context)
        chosen = next((n for n, one in enumerate(step.branches) if conditions.evaluate(one.condition, values)), None)
        run = run.with_step(step.key, state="done", result="else" if chosen is None else chosen)
        for number, one in enumerate(step.branches):
            run = run if number == chosen else _skip(run, one.steps)
        return run if chosen is None else _skip(run, step.otherwise), False
    return run.with_step(step.key, state="done").ended("completed"), False


def _waiting(run: RunState) -> RunState:
    return msgspec.structs.replace(run, status="waiting")


def _skip(run: RunState, steps: Sequence[Step]) -> RunState:
    """Skip steps and all steps in their branches, because their branch was not taken."""
    for step in definitions.flattened(steps):
        run = run.with_step(step.key, state="skipped", reason="branch")
    return run


def described(error: Exception) -> str:
    """Return the failure reason of a step that raised an unexpected error."""
    return storable(f"{type(error).__name__}: {error}"[:MAX_REASON])


def fail(run: RunState, step: Step, reason: str) -> RunState:
    """Return the run after a step that failed permanently."""
    return run.with_step(step.key, state="failed", reason=reason, due_at=None).ended("failed", reason)


# --- steps without I/O


def _delay(step: Step, run: RunState, context: RunContext) -> RunState:
    state = run.step(step.key)
    due_at = state.due_at if state.state == "waiting" else _delay_end(step, run, context)
    if due_at is not None and due_at > context.now and "for" in step.fields:
        due_at = min(due_at, _delay_end(step, run, context))  # longer if the clock was ahead when the wait began
    if due_at is None or due_at <= context.now:
        return run.with_step(step.key, state="done", due_at=None)
    return _waiting(run.with_step(step.key, state="waiting", due_at=due_at))


def _delay_end(step: Step, run: RunState, context: RunContext) -> int:
    if "for" in step.fields:
        return context.now + duration(step, "for", run, context)
    value = resolved(step.fields["until"], run, context)
    # A time with an offset, or a local time of the recipient.
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None:
        raise InvalidValue(f"until is not a time: {str(value)[:100]!r}")
    if found.tzinfo is None:
        zone = times.find_zone(context.zone)
        found = found.replace(tzinfo=zone or times.EPOCH.tzinfo)
    until = times.milliseconds(found)
    end = until + (duration(step, "offset", run, context) if "offset" in step.fields else 0)
    if end > context.now + times.MAX_AHEAD_SECONDS * 1000:
        raise InvalidValue("until is more than 366 days ahead")
    return end


def duration(step: Step, field: str, run: RunState, context: RunContext) -> int:
    """Return a duration of a step in milliseconds. Raises InvalidValue."""
    value = resolved(step.fields[field], run, context)
    most = STEP_TYPES[step.type][field].most
    try:
        found = seconds(value)
    except ValueError as error:
        raise InvalidValue(f"{field}: {error}, got {str(value)[:100]!r}") from None
    if abs(found) > most or (found < 0 and field != "offset"):
        longest = f"{most / 86_400:g}d" if most >= 86_400 else f"{most:g}s"
        raise InvalidValue(f"{field} must be between 0 and {longest}, got {str(value)[:100]!r}")
    return round(found * 1000)


def resolved(value: Any, run: RunState, context: RunContext, render: Callable[[str], str] | None = None) -> Any:
    """Return a value with the variables of a run, as `filled` does."""
    return filled(value, values_of(run, context), render)


def filled(value: Any, values: Mapping[str, Any], render: Callable[[str], str] | None = None) -> Any:
    """Return a value with each `{"var": path}` in it replaced, and each text rendered."""
    if isinstance(value, Mapping):
        if value.keys() == {"var"}:
            return conditions.lookup(value["var"], values)  # from the app's data, which is not a template
        return {name: filled(inner, values, render) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [filled(inner, values, render) for inner in value]
    return render(value) if render is not None and isinstance(value, str) else value


def recipients_in(to: Any) -> str | list[str] | Audience:
    """Return the recipients that a value from the app's data names. Raises ValidationError."""
    return msgspec.convert(numbers_as_text(to), str | list[str] | Audience)


def numbers_as_text(to: Any) -> Any:
    """Convert recipients' keys that are numbers in the app's data to text."""
    if isinstance(to, list):
        return [numbers_as_text(one) for one in to]
    return str(to) if isinstance(to, int) and not isinstance(to, bool) else to


def _wait(step: Step, run: RunState, context: RunContext) -> RunState:
    state = run.step(step.key)
    due_at = state.due_at if state.state == "waiting" else None
    if due_at is None:
        due_at = _wait_end(step, run, context)
    if _has_happened(step, context):
        event = context.events.get(step.key)
        run = run if event is None else msgspec.structs.replace(run, event=event)
        return _waited(step, run, "matched", step.fields.get("on_match", "stop"))
    if due_at <= context.now:
        return _waited(step, run, "timeout", step.fields.get("on_timeout", "continue"))
    due_at = min(due_at, _wait_end(step, run, context))  # as for a delay
    return _waiting(run.with_step(step.key, state="waiting", due_at=due_at))


def _wait_end(step: Step, run: RunState, context: RunContext) -> int:
    timeout = duration(step, "timeout", run, context) if "timeout" in step.fields else MAX_WAIT_SECONDS * 1000
    return context.now + timeout


def _has_happened(step: Step, context: RunContext) -> bool:
    target = step.fields.get("step")
    if target is None:
        return step.key in context.events
    event, facts = step.fields["event"], context.facts.get(target, NO_FACTS)
    if event in INBOX_EVENTS:
        is_seen = event == "seen" and facts.read_at is not None
        return is_seen or getattr(facts, f"{event}_at") is not None
    return event in facts.messages


def _waited(step: Step, run: RunState, reason: str, then: str) -> RunState:
    run = run.with_step(step.key, state="done", reason=reason, due_at=None)
    return run.ended("completed") if then == "stop" else run


# --- waits for live events, to their recipient or on a topic


def waits_of_new_run(definition: Definition, run: StoredRun, state: RunState) -> list[NewWait]:
    """Return the waits of a new run, for which events count from its start. A topic that depends on earlier steps is
    only known when its step is reached."""
    values = {
        "data": state.data,
        "actor": state.actor,
        "recipient": {"key": run.recipient},
        "run": {"id": run.id, "workflow": run.workflow},
    }
    found = []
    for step in definition.live_waits:
        try:
            target = target_of(step, run, Variables(values=values, tenant=run.tenant))
        except TemplateError:
            continue
        found.append(NewWait(run.id, step.key, run.tenant, run.recipient, step.fields["event"], target))
    return found


def target_of(step: Step, run: StoredRun, variables: Variables) -> str:
    """Return the stream of the topic or the recipient. Raises TemplateError."""
    topic = step.fields.get("topic")
    if topic is None:
        return inbox_stream(run.tenant, run.recipient)
    return topic_stream(run.tenant, Renderer(variables).render(topic))


def event_values(event: LiveEvent) -> dict[str, Any]:
    """Return the root `event` of conditions and templates."""
    return {"name": event.name, "data": event.data, "topic": event.topic, "recipient": event.recipient}


def matches(step: Step, event: Mapping[str, Any], run: RunState, recipient: str) -> bool:
    """True if an event ends a wait."""
    condition = step.fields.get("match")
    if condition is None:
        return True
    values = {"event": event, "data": run.data, "actor": run.actor, "recipient": {"key": recipient}}
    return conditions.evaluate(condition, values)


# --- steps with I/O


def record(run: RunState, step: Step, outcome: StepOutcome) -> RunState:
    """Return the run after a step that the caller executed."""
    if outcome.state == "failed":
        return fail(run.with_step(step.key, attempts=outcome.attempts), step, outcome.reason or "failed")
    if outcome.result is not None and len(msgspec.json.encode(outcome.result)) > MAX_RESULT:
        return fail(run, step, "too_large")
    fields = {field: getattr(outcome, field) for field in StepState.__struct_fields__ if field not in TIMES}
    run = run.with_step(step.key, **fields)
    if outcome.digest is not None:
        run = msgspec.structs.replace(run, digest=outcome.digest)
    if outcome.ends_run is not None:
        return run.ended(outcome.ends_run)
    return _waiting(run) if outcome.state == "waiting" else run
