"""Waits of runs for live events, to their recipient or on a topic."""

from collections.abc import Mapping
from typing import Any

from bellcast.kernel.events import SEPARATOR, LiveEvent, inbox_stream, topic_stream
from bellcast.templates import conditions
from bellcast.templates.rendering import Renderer, TemplateError
from bellcast.templates.types import Variables
from bellcast.workflows.definitions import Definition, Step
from bellcast.workflows.types.runs import NewWait, RunState, StoredRun


def of_new_run(definition: Definition, run: StoredRun, state: RunState) -> list[NewWait]:
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


def values_of(event: LiveEvent) -> dict[str, Any]:
    """Return the root `event` of conditions and templates."""
    return {"name": event.name, "data": event.data, "topic": event.topic, "recipient": event.recipient}


def matches(step: Step, event: Mapping[str, Any], run: RunState, recipient: str) -> bool:
    """True if an event ends a wait."""
    condition = step.fields.get("match")
    if condition is None:
        return True
    values = {"event": event, "data": run.data, "actor": run.actor, "recipient": {"key": recipient}}
    return conditions.evaluate(condition, values)


def topic_of(target: str) -> str | None:
    """Return the topic of a wait's stream; None for the stream of a recipient."""
    kind, _, topic = target.split(SEPARATOR, 2)
    return topic if kind == "topic" else None
