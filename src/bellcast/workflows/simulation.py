"""Simulates runs of a workflow: the steps of real runs, with a clock of their own. Nothing is stored, sent or counted,
and no step calls the app."""

import itertools
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from time import thread_time
from types import coroutine
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from bellcast.channels import decision_inputs, explanations
from bellcast.channels.previews import ADDED, PLAIN
from bellcast.channels.types import ChannelDecision
from bellcast.documents.types import MAX_OBJECT_KEY
from bellcast.inbox.types import Actor, content
from bellcast.inbox.types.sends import SendRequest
from bellcast.kernel import field_limits, times, validation
from bellcast.kernel.clock import TestClock
from bellcast.kernel.concurrency import Pauses
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import FieldError
from bellcast.kernel.events import topic_of
from bellcast.kernel.limits import Limits
from bellcast.preferences.decision import Decision
from bellcast.preferences.types import CHANNELS
from bellcast.recipients.types import ChatAddresses, Profile
from bellcast.templates import conditions
from bellcast.templates.types import InboxContent
from bellcast.workflows import engine, run_steps
from bellcast.workflows.definitions import Definition, Step
from bellcast.workflows.run_steps import Execution, ExecutionPage, RunSteps
from bellcast.workflows.step_fields import INBOX_EVENTS, MESSAGE_EVENTS
from bellcast.workflows.store import Runs
from bellcast.workflows.triggers import Triggers
from bellcast.workflows.types import (
    MAX_RECIPIENTS,
    SimulatedCondition,
    SimulatedEvent,
    SimulatedRecipient,
    SimulatedRun,
    SimulatedStep,
    Simulation,
    SimulationRequest,
    runs,
)
from bellcast.workflows.types.runs import CounterKey, RunState, StepState, StoredCounter, StoredRun, StoredWait

T = TypeVar("T")

# A simulation ends this long after the trigger: the longest wait of a step.
MAX_AHEAD_MS = times.MAX_AHEAD_SECONDS * 1000
# CPU time, so that its author does not wait longer, and neither do others for long.
MAX_CPU_SECONDS = 2.0
# Bytes of JSON of all paths: a page shows them.
MAX_PATH_BYTES = 1024 * 1024
# The id of a simulated run, in its variable `run.id` too.
RUN = "simulated"
# What else has happened to an inbox item: one that was acted on has been read, and what is read has been seen.
IMPLIED = {"acted": ("seen", "read"), "read": ("seen",)}


def errors(value: SimulationRequest, limits: Limits) -> Iterator[FieldError]:
    """Yield the errors of a request, without those of its definition and the names of its steps."""
    if not 1 <= len(value.to) <= MAX_RECIPIENTS:
        yield FieldError("to", f"must name 1 to {MAX_RECIPIENTS} recipients, got {len(value.to)}")
        return
    keys = [one if isinstance(one, str) else one.key for one in value.to]
    for number, one in enumerate(value.to):
        if isinstance(one, SimulatedRecipient):
            yield from field_limits.errors(one, limits, f"to.{number}.")
        else:
            yield from validation.key(f"to.{number}", one, limits)
        if keys[number] in keys[:number]:
            yield FieldError(f"to.{number}", "must be another recipient")
    for number, event in enumerate(value.events):
        yield from field_limits.errors(event, limits, f"events.{number}.")
        if (event.event is None) == (event.name is None):
            yield FieldError(f"events.{number}", "must have either event or name")
        elif event.event is not None and event.step is None:
            yield FieldError(f"events.{number}.step", "is missing: the event is that of a step")
    for key, document in value.preferences.items():
        yield from field_limits.errors(document, limits, f"preferences.{key[:MAX_OBJECT_KEY]}.")


def step_errors(value: SimulationRequest, definition: Definition) -> Iterator[FieldError]:
    """Return the errors of names of steps."""
    types = {step.key: step.type for step in definition.ordered}
    for number, event in enumerate(value.events):
        if event.step is None:
            continue
        if event.step not in types:
            yield FieldError(f"events.{number}.step", f"names an unknown step {event.step[:MAX_OBJECT_KEY]!r}")
        elif event.event is not None:
            kind = types[event.step]
            known = INBOX_EVENTS if kind == "inbox" else MESSAGE_EVENTS if kind in CHANNELS else ()
            if event.event not in known:
                expected = f"must be one of: {', '.join(known)}" if known else "must be of a step that sends"
                yield FieldError(f"events.{number}.event", expected)
    for field in ("results", "digest", "throttled"):
        for key in getattr(value, field):
            if key not in types:
                yield FieldError(f"{field}.{key[:MAX_OBJECT_KEY]}", "names an unknown step")


class Allowance:
    """What is left of the limits of a simulation."""

    def __init__(self) -> None:
        self._ends = thread_time() + MAX_CPU_SECONDS
        self._bytes = MAX_PATH_BYTES
        self.is_exceeded = False

    @coroutine
    def suspendable(self, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Await work, without charging the CPU time of other tasks while it is suspended."""
        resume: Callable[[Any], Any] = work.send
        value: Any = None
        while True:
            try:
                awaited = resume(value)
            except StopIteration as end:
                result: T = end.value
                return result
            suspended_at = thread_time()
            try:
                resume, value = work.send, (yield awaited)
            except BaseException as error:  # noqa: BLE001  the work decides about a cancellation, too
                resume, value = work.throw, error
            self._ends += thread_time() - suspended_at

    def charge(self, step: SimulatedStep) -> bool:
        """Charge a step; return whether it fits."""
        self._bytes -= len(msgspec.json.encode(step))
        self.is_exceeded = self.is_exceeded or self._bytes < 0 or thread_time() > self._ends
        return self._bytes >= 0


async def simulate(
    triggers: Triggers, limits: Limits, run: StoredRun, definition: Definition, request: SimulationRequest
) -> Simulation:
    """Return what the run of each recipient would do, as requested: this run of a workflow with a checked definition, at the
    time when it was created."""
    ids = itertools.count(1)

    def new_id(now: int) -> str:
        return f"{RUN}-{next(ids)}"

    async def find_no_version(owner: str, key: str) -> None:
        """Return no current version: a workflow is simulated even if it is not active."""

    router = triggers.router.without_effects(new_id)
    recipients = await _recipients(router.db, run.tenant, definition, request)
    page, allowance = ExecutionPage(recipients, await router.catalog.tenant(run.tenant), None), Allowance()
    found: list[SimulatedRun] = []
    for one in request.to:
        stored = msgspec.structs.replace(run, recipient=one if isinstance(one, str) else one.key)
        clock = TestClock(run.created_at)
        of_simulation = Triggers(router, triggers.workflow_catalog, clock)
        steps = RunSteps(find_no_version, Runs(router.db).counter, of_simulation, limits)
        simulated = RunSimulation(stored, definition, request, clock, steps, page, allowance)
        found.append(await allowance.suspendable(simulated.simulate()))
        if allowance.is_exceeded:
            break
    return Simulation(found, allowance.is_exceeded)


async def _recipients(
    db: Engine, tenant: str, definition: Definition, request: SimulationRequest
) -> decision_inputs.RecipientInputs:
    """Read the recipients, with the fields and preferences of the request."""
    channels = definition.channels
    named = {one if isinstance(one, str) else one.key: one for one in request.to}
    stored = await decision_inputs.read_recipients(db, tenant, list(named), channels)
    changed: dict[str, Profile] = {}
    for key, one in named.items():
        changes: dict[str, Any] = {}
        if isinstance(one, SimulatedRecipient):
            names = [name for name in Profile.__struct_fields__ if hasattr(one, name) and name != "key"]
            changes = {name: value for name in names if (value := getattr(one, name)) is not UNSET}
        if "chat" in changes:
            changes["chat"] = changes["chat"] or ChatAddresses()
        if "roles" in changes:
            changes["roles"] = tuple(changes["roles"])
        if key in request.preferences:
            changes["preferences"] = msgspec.json.encode(request.preferences[key])
        if changes:
            changed[key] = msgspec.structs.replace(stored.profiles.get(key) or Profile(key=key), **changes)
    if not changed:
        return stored
    return await decision_inputs.with_suppressions(db, tenant, stored.profiles | changed, channels)


class RunSimulation:
    """The simulation of one recipient's run."""

    def __init__(
        self,
        stored: StoredRun,
        definition: Definition,
        request: SimulationRequest,
        clock: TestClock,
        steps: RunSteps,
        page: ExecutionPage,
        allowance: Allowance,
    ) -> None:
        self._stored = stored
        self._definition = definition
        self._request = request
        self._clock = clock
        self._steps = msgspec.structs.replace(steps, read_counter=self._read_counter)
        self._page = page
        self._allowance = allowance
        actor = Actor(name=request.actor) if isinstance(request.actor, str) else request.actor
        self._state = RunState(data=request.data, actor=msgspec.to_builtins(actor))
        self._path: dict[str, SimulatedStep] = {}
        self._events = list(request.events)
        self._facts: dict[str, runs.StepFacts] = {}
        self._waits = {
            wait.step: StoredWait(wait.target, None)
            for wait in engine.waits_of_new_run(definition, self._stored, self._state)
        }
        profile = page.recipients.profiles.get(stored.recipient) or Profile(key=stored.recipient)
        self._zone = decision_inputs.zone_of(profile, page.settings)
        self._counters: dict[CounterKey, runs.StepCounter] = {}

    async def simulate(self) -> SimulatedRun:
        """Execute the run to its end, or to a limit."""
        pauses, now = Pauses(), self._stored.created_at
        while not self._allowance.is_exceeded:
            self._clock.set(now)
            self._state = await self._wake(now, pauses)
            if self._state.status in runs.ENDED:
                break
            due = [at for one in self._events if (at := self._time_of(one)) is not None]
            due += [] if self._state.wakes_at is None else [self._state.wakes_at]
            now = max(now, min(due, default=self._stored.created_at + MAX_AHEAD_MS + 1))
            if now > self._stored.created_at + MAX_AHEAD_MS:
                self._allowance.is_exceeded = True
        has_ended = self._state.status in runs.ENDED
        return SimulatedRun(
            recipient=self._stored.recipient,
            timezone=self._zone.key,
            state=self._state.status,
            reason=self._state.reason,
            ends_at=times.to_rfc3339(now) if has_ended else None,
            path=list(self._path.values()),
        )

    async def _wake(self, now: int, pauses: Pauses) -> RunState:
        """Execute the steps that are due, as `RunExecutor` does, and return the state of the run."""
        before = self._state
        for event in [one for one in self._events if (at := self._time_of(one)) is not None and at <= now]:
            self._events.remove(event)
            if event.name is not None:
                self._publish(event, event.name)
            elif event.step is not None:
                facts = self._facts.get(event.step, engine.NO_FACTS)
                if event.event in INBOX_EVENTS:
                    names = (event.event, *IMPLIED.get(event.event, ()))
                    changes: dict[str, Any] = {f"{one}_at": now for one in names if getattr(facts, f"{one}_at") is None}
                else:
                    changes = {"messages": (*facts.messages, event.event)}
                self._facts[event.step] = msgspec.structs.replace(facts, **changes)
        execution = run_steps.execution_of(
            self._stored, self._definition, before, self._page, now, self._facts, self._waits
        )
        goes_on = True
        while goes_on and not self._allowance.is_exceeded:
            await pauses.pause_if_due()
            state = execution.state
            goes_on = await self._steps.perform_next(execution)
            if (step := execution.call) is not None:
                outcome = engine.StepOutcome(result=self._request.results.get(step.key, {}), attempts=1)
                execution.state, execution.call = engine.record(execution.state, step, outcome), None
                goes_on = True
            # Keep the counters that the step has changed. The other runs enter a digest when it opens.
            for update in execution.counters:
                if update.body is None:
                    self._counters.pop(update.key, None)
                    continue
                counter = runs.decode_counter(update.body)
                is_new = update.key not in self._counters and counter.run == RUN
                for number, data in enumerate(self._request.digest.get(update.key.step, ()) if is_new else ()):
                    counter = runs.with_run(counter, f"{RUN}-{number}", RunState(data=data))
                self._counters[update.key] = counter
            execution.counters.clear()
            self._trace(state, execution)
            execution.sends.clear()
        state = execution.state
        self._waits |= {one.step: StoredWait(one.target, None) for one in run_steps.new_waits(execution)}
        if execution.state is not state:  # the topic of a wait is invalid
            self._trace(state, execution)
        if len(runs.encode(execution.state)) > runs.MAX_RUN:
            return before.ended("failed", "too_large")
        return execution.state

    async def _read_counter(self, key: CounterKey) -> StoredCounter | None:
        """Return a counter, as the store does: those of the request, regardless of other runs."""
        passed = self._request.throttled.get(key.step, 0)
        counter = self._counters.get(key) or runs.StepCounter(passed=(self._clock.now(),) * passed)
        return None if counter == runs.NO_COUNTER else StoredCounter(runs.encode(counter), 1)

    # --- events

    def _time_of(self, event: SimulatedEvent) -> int | None:
        """Return when an event happens; None while its step has not begun."""
        step = None if event.step is None else self._path.get(event.step)
        if event.step is not None and (step is None or step.state == "skipped"):
            return None
        begun = self._stored.created_at if step is None else times.milliseconds(step.at)
        return begun + int(times.seconds(event.after) * 1000)

    def _publish(self, event: SimulatedEvent, name: str) -> None:
        """End the waits for a live event: the first that matches counts."""
        recipient = self._stored.recipient
        for step in self._definition.live_waits:
            wait = self._waits.get(step.key)
            if step.fields["event"] != name or event.step not in (None, step.key) or wait is None or wait.event:
                continue
            topic = topic_of(wait.target)
            to = recipient if topic is None else None
            values = {"name": name, "data": event.data, "topic": topic, "recipient": to}
            if engine.matches(step, values, self._state, recipient):
                self._waits[step.key] = StoredWait(wait.target, msgspec.json.encode(values))

    # --- the path

    def _trace(self, before: RunState, execution: Execution) -> None:
        """Add the steps whose state has changed to the path."""
        now = times.to_rfc3339(self._clock.now())
        changes: dict[str, Any]
        for step in execution.definition.ordered:
            old, new = before.step(step.key), execution.state.step(step.key)
            if new == old:
                continue
            entry, changes = self._path.get(step.key), {"state": new.state, "reason": new.reason}
            if new.state == "waiting":
                changes["until"] = times.to_rfc3339_or_null(new.due_at)
            elif entry is not None:
                changes["until"] = now
            if entry is None:
                if step.type == "branch" and new.state == "done":
                    changes["branch"] = new.result
                if step.type in ("http", "python"):
                    changes["assumed"] = new.state != "skipped" and step.key not in self._request.results
                if step.type in CHANNELS:
                    changes |= self._sent(step, new, execution)
                conditions = self._conditions(step, new, execution)
                entry = SimulatedStep(step=step.key, type=step.type, at=now, conditions=conditions, **changes)
            else:
                entry = msgspec.structs.replace(entry, **changes)
            if not self._allowance.charge(entry):
                return
            self._path[step.key] = entry

    def _conditions(self, step: Step, new: StepState, execution: Execution) -> list[SimulatedCondition]:
        """Return the conditions that were evaluated for a step. Those of steps in branches that were not chosen were not."""
        if new.state == "skipped" and new.reason == "branch":
            return []
        found: list[tuple[Mapping[str, Any], bool]] = []
        if step.condition is not None:
            found.append((step.condition, not (new.state == "skipped" and new.reason == "condition")))
        if step.type == "branch" and new.state == "done":
            tried = step.branches if new.result == "else" else step.branches[: new.result + 1]
            found += [(one.condition, number == new.result) for number, one in enumerate(tried)]
        values = execution.values() if found else {}
        return [
            SimulatedCondition(
                condition=dict(condition),
                values={path: conditions.lookup(path, values) for path in conditions.paths_of(condition)},
                result=result,
            )
            for condition, result in found
        ]

    def _sent(self, step: Step, new: StepState, execution: Execution) -> dict[str, Any]:
        """Return the decision and the content of a step that sends, or why it cannot be rendered."""
        route = execution.page.routes.get((self._stored.workflow, id(step)))
        if new.state != "failed" and not execution.sends:
            return {}
        if route is None:
            return {"missing": []}
        if not execution.sends:
            unsent = SendRequest(
                tenant=self._stored.tenant,
                recipients=(self._stored.recipient,),
                ids=(RUN,),
                content=content(route.draft),
                created_at=self._clock.now(),
            )
            return {"missing": self._steps.triggers.router.missing(route, unsent, execution.values)}
        request = execution.sends[-1]
        (made,) = request.decisions
        decision = Decision(made.outcome, made.rule, made.source, made.due_at)  # type: ignore[arg-type]  # stored as text
        about = route.inputs.subject(self._stored.recipient)
        explained = explanations.explain_now([(made.channel, decision)], about, self._zone).channels[0]
        shown = ChannelDecision(**{name: getattr(explained, name) for name in ChannelDecision.__struct_fields__})
        # What the recipient gets, as previews show it
        sent: dict[str, Any] | None = None
        if request.contents:
            fields = {name: getattr(request.contents[0], name) for name in InboxContent.__struct_fields__}
            given = {name: value for name, value in fields.items() if value and (name, value) != PLAIN}
            sent = msgspec.to_builtins(given)
        elif request.messages:
            part: dict[str, Any] = msgspec.json.decode(request.messages[0].content)
            sent = {name: value for name, value in part.items() if name not in ADDED}
        return {"decision": shown, "content": sent}
