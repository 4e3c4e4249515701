"""Performs steps of a run whose effects are written by its next commit: sends, counters and triggers."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from bellcast.channels import contents, decision_inputs, explanations
from bellcast.channels.catalog import TenantSettings
from bellcast.channels.contents import SendRoute
from bellcast.inbox.types import GENERAL, Actor, ChannelRequest, Draft, content
from bellcast.inbox.types.sends import SendRequest
from bellcast.kernel import times, validation
from bellcast.kernel.errors import MAX_REASON, BellcastError, Invalid
from bellcast.kernel.limits import Limits
from bellcast.preferences.types import CHANNEL_NAMED
from bellcast.recipients.types import Profile
from bellcast.templates.budget import TemplateError, budget_of
from bellcast.templates.rendering import Renderer, SharedResults
from bellcast.templates.types import Template
from bellcast.workflows import engine, schedule_times, step_calls
from bellcast.workflows.definitions import Definition, Step
from bellcast.workflows.engine import InvalidValue, RunContext, StepOutcome
from bellcast.workflows.triggers import Triggers
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import (
    CounterKey,
    CounterUpdate,
    Digest,
    NewWait,
    RunState,
    StepCounter,
    StoredRun,
    StoredWait,
    TriggerDraft,
)
from bellcast.workflows.workflow_catalog import CurrentVersion

log = structlog.get_logger(__name__)

# Maximum depth of triggers: stops a workflow that triggers itself.
MAX_TRIGGER_DEPTH = 3
MAX_BY = 500
COUNTER_GRACE_MS = times.DAY_MS
# Bytes of a run reserved for the steps after a digest.
DIGEST_RESERVE = 16 * 1024


class ExecutionPage(Struct):
    """Data shared by runs of a tenant that are executed together: the recipients' inputs, the settings of the tenant, in a
    fan-out the results of templates, and the routes of steps, by workflow and step."""

    recipients: decision_inputs.RecipientInputs
    settings: TenantSettings
    shared: SharedResults | None
    routes: dict[tuple[str, int], SendRoute] = {}


class Execution(Struct, kw_only=True):
    """A run while its steps are executed, with the effects that the next commit writes."""

    stored: StoredRun
    definition: Definition
    state: RunState
    context: RunContext
    page: ExecutionPage
    sends: list[SendRequest] = []
    counters: list[CounterUpdate] = []
    triggers: list[runs.TriggerRequest] = []
    watched: list[str] = []
    waits: Mapping[str, StoredWait] = {}
    call: Step | None = None  # set after the commit
    is_unchanged: bool = False  # there is nothing to commit

    def clear(self) -> None:
        """Forget the effects, which are written or will not be."""
        self.sends, self.counters, self.triggers, self.watched = [], [], [], []

    def values(self) -> dict[str, Any]:
        """Return the variables of the run's templates."""
        return engine.values_of(self.state, self.context)


class RunSteps(Struct, eq=False):
    """Performs steps; adds their effects to the execution."""

    find_current: Callable[[str, str], Awaitable[CurrentVersion | None]]
    read_counter: Callable[[CounterKey], Awaitable[runs.StoredCounter | None]]
    triggers: Triggers
    limits: Limits

    async def perform_next(self, execution: Execution) -> bool:
        """Execute the next step. Return False if there is none: the run calls the app, waits, pauses or has ended."""
        stored = execution.stored
        await budget_of(stored.tenant).wait()
        # False while the workflow is inactive. Runs of a deleted workflow finish.
        current = await self.find_current(stored.owner, stored.workflow)
        if not (current is None or current.active):
            # Pause before the next step. A run that waits for a time or an event keeps waiting, and pauses afterwards.
            is_waiting = execution.state.status == "waiting"
            if is_waiting:
                state, step = engine.advance(execution.definition, execution.state, execution.context)
                is_waiting = step is None and state.status == "waiting"
            if is_waiting:
                execution.is_unchanged = True
            else:
                execution.state = msgspec.structs.replace(execution.state, status="paused")
            return False
        execution.state, step = engine.advance(execution.definition, execution.state, execution.context)
        if step is None:
            return False
        if step.type in step_calls.TYPES:
            execution.call = step
            return False
        try:
            performers = {"throttle": self._throttle, "digest": self._digest, "trigger": self._trigger}
            outcome = await performers.get(step.type, self._send)(execution, step)
        except Exception as error:  # noqa: BLE001  one run fails, not its page
            outcome = failed(execution, step, error)
        execution.state = engine.record(execution.state, step, outcome)
        return True

    async def _send(self, execution: Execution, step: Step) -> StepOutcome:
        stored, page, router, now = execution.stored, execution.page, self.triggers.router, self.triggers.clock.now()
        # Read once for the runs of a page, which keep their version's steps. The runs of a fan-out have the same data.
        key = (stored.workflow, id(step))
        route = page.routes.get(key)
        if route is None:
            route = page.routes[key] = await router.route_for(
                stored.tenant,
                _draft(execution),
                (ChannelRequest(channel=CHANNEL_NAMED[step.type]),),
                await self._template(stored.tenant, step),
                page.recipients,
                stored.workflow,
                page.shared,
            )
        elif route.draft.data is not execution.state.data:
            draft = _draft(execution)
            route = msgspec.structs.replace(route, draft=draft, content=content(draft))
        request = SendRequest(
            tenant=stored.tenant,
            recipients=(stored.recipient,),
            ids=(self._notification(execution, step, now),),
            content=route.content,
            created_at=now,
        )
        request = await router.with_events(await router.decide(route, request, stored.id, execution.values))
        execution.sends.append(request)
        (decision,) = request.decisions
        if decision.outcome == "skip":
            return StepOutcome(state="skipped", reason=decision.rule, decided=decision.notification)
        if step.type == "inbox" and step.key in execution.definition.awaited:
            execution.watched.append(request.ids[0])
        return StepOutcome(
            reason=decision.rule,
            notification=request.ids[0] if request.ids else None,
            messages=tuple(message.id for message in request.messages),
            decided=decision.notification,
        )

    def _notification(self, execution: Execution, step: Step, now: int) -> str:
        """Return the id under which decisions and messages are stored: the id of the last inbox item, unless that
        already has a message of this channel."""
        used: set[str] = set()
        last: str | None = None
        for one in execution.definition.ordered:
            state = execution.state.step(one.key)
            if state.notification is not None:
                last, used = state.notification, set()
            elif state.messages or (state.state == "skipped" and state.reason not in explanations.SKIPPED_BY_WORKFLOW):
                used.add(one.type)
        if step.type == "inbox" or last is None or step.type in used:
            return self.triggers.router.new_id(now)
        return last

    async def _template(self, tenant: str, step: Step) -> Template:
        """Return the content of a step: that of its template, or its own."""
        if step.content is not None:
            return step.content
        key = step.fields["template"]
        try:
            template = await self.triggers.router.template(tenant, key)
        except Invalid as error:
            raise InvalidValue(error.detail) from None
        if template.part(CHANNEL_NAMED[step.type], ()) is None and template.part("inbox", ()) is None:
            raise InvalidValue(f"template: {key[:100]!r} has no part for {step.type}")
        return template

    async def _throttle(self, execution: Execution, step: Step) -> StepOutcome:
        window = engine.duration(step, "window", execution.state, execution.context)
        key, counter, revision = await self._counter(execution, step)
        now = execution.context.now
        # Not those far ahead: the clock was set back.
        recent = tuple(at for at in counter.passed if abs(now - at) < window)
        has_passed = len(recent) < step.fields.get("limit", 1)
        body = msgspec.json.encode(StepCounter(passed=(*recent, now) if has_passed else recent))
        execution.counters.append(CounterUpdate(key=key, revision=revision, body=body, expires_at=now + window))
        return StepOutcome() if has_passed else StepOutcome(ends_run="throttled")

    async def _digest(self, execution: Execution, step: Step) -> StepOutcome:
        key, counter, revision = await self._counter(execution, step)
        changed, outcome = _collect(counter, execution, step)
        execution.counters.append(
            CounterUpdate(
                key=key,
                revision=revision,
                body=None if changed is None else msgspec.json.encode(changed),
                run=None if changed is None else changed.run,
                # A digest is closed by its run. Once its window has passed, an abandoned digest is treated as empty.
                expires_at=execution.context.now if changed is None else changed.closes_at + COUNTER_GRACE_MS,
            )
        )
        return msgspec.structs.replace(outcome, by=key.by) if outcome.state == "waiting" else outcome

    async def _counter(self, execution: Execution, step: Step) -> tuple[CounterKey, StepCounter, int]:
        stored, by = execution.stored, execution.state.step(step.key).by
        if by is None:  # an open digest keeps its group even if the recipient changes
            by = (
                Renderer(engine.variables_of(execution.state, execution.context)).render(step.fields["by"])
                if "by" in step.fields
                else ""
            )
        key = CounterKey(stored.tenant, stored.workflow, step.key, stored.recipient, by[:MAX_BY])
        found = await self.read_counter(key)
        if found is None:
            return key, runs.NO_COUNTER, 0
        return key, runs.NO_COUNTER if found.is_abandoned else runs.decode_counter(found.body), found.revision

    async def _trigger(self, execution: Execution, step: Step) -> StepOutcome:
        stored, state = execution.stored, execution.state
        if state.depth >= MAX_TRIGGER_DEPTH:
            return StepOutcome(state="failed", reason="too_deep")
        to = engine.resolved(step.fields["to"], state, execution.context)
        try:
            recipients = engine.recipients_in(to)
        except msgspec.ValidationError:
            raise InvalidValue(f"to names no recipient: {str(to)[:100]!r}") from None
        draft = TriggerDraft(to=recipients, data=engine.resolved(step.fields.get("data", {}), state, execution.context))
        validation.check(runs.draft_errors(draft, self.limits))
        request = await self.triggers.prepare(step.fields["workflow"], draft, stored.tenant, state.depth + 1)
        execution.triggers.append(request)
        return StepOutcome(result=msgspec.json.decode(request.response))


def _collect(counter: StepCounter, execution: Execution, step: Step) -> tuple[StepCounter | None, StepOutcome]:
    """Return a run that reaches a digest: it opens one, or adds itself and is merged. Also returns the counter (None:
    delete)."""
    id, run, context = execution.stored.id, execution.state, execution.context
    # A time of the clock would be in the future of this execution, and the wait would not count.
    now, mode = context.now, step.fields.get("mode", "fixed")
    if "cron" in step.fields:
        name = step.fields.get("timezone", "recipient")
        zone = times.find_zone(context.zone if name == "recipient" else name)
        window = next(schedule_times.cron_times_after(step.fields["cron"], zone or times.UTC_ZONE, now)) - now
    else:
        window = engine.duration(step, "window", run, context)
    most = engine.duration(step, "max_window", run, context) if "max_window" in step.fields else None
    if counter.run == id:
        if counter.closes_at > now:
            closes_at = min(counter.closes_at, now + window)  # longer if the clock was ahead when it opened
            waiting = StepOutcome(state="waiting", due_at=closes_at, planned_at=now)
            return msgspec.structs.replace(counter, closes_at=closes_at), waiting
        after = StepCounter(opened_at=now, closes_at=now + window) if mode == "repeats" else None
        collected = runs.in_order(counter)
        return after, StepOutcome(digest=None if collected is None else _fitting(collected, run))
    if counter.run is not None:
        closes_at = counter.closes_at
        if mode == "sliding":
            closes_at = max(closes_at, now + window if most is None else min(now + window, counter.opened_at + most))
        changed = runs.with_run(counter, id, run)
        return msgspec.structs.replace(changed, closes_at=closes_at), StepOutcome(ends_run="merged", reason=counter.run)
    own = runs.own_digest(run)
    if mode == "repeats" and counter.closes_at <= now:
        return StepCounter(opened_at=now, closes_at=now + window), StepOutcome(digest=_fitting(own, run))
    closes_at = counter.closes_at if mode == "repeats" else now + (window if most is None else min(window, most))
    opened = StepCounter(run=id, opened_at=now, closes_at=closes_at, digest=own, runs=(id,))
    return opened, StepOutcome(state="waiting", due_at=closes_at, planned_at=now)


def _fitting(digest: Digest, run: RunState) -> Digest:
    """Return the digest with as many items as fit into the run."""
    free_bytes = runs.MAX_RUN - DIGEST_RESERVE - len(msgspec.json.encode(run)) - len(msgspec.json.encode(digest.actors))
    # the earlier runs have left the digest; its item had exceeded the limit together with theirs
    items = digest.items or (run.data,)
    return msgspec.structs.replace(digest, items=runs.within(items, free_bytes))


def execution_of(
    stored: StoredRun,
    definition: Definition,
    state: RunState,
    page: ExecutionPage,
    now: int,
    facts: Mapping[str, runs.StepFacts],
    waits: Mapping[str, StoredWait],
) -> Execution:
    """Return a run with the input of its steps at this time."""
    profile, tenant = page.recipients.profiles.get(stored.recipient) or Profile(key=stored.recipient), page.settings
    context = RunContext(
        now=now,
        id=stored.id,
        workflow=stored.workflow,
        zone=decision_inputs.zone_of(profile, tenant).key,
        locale=profile.locale or tenant.locale,
        recipient=contents.recipient_values(profile),
        tenant_key=stored.tenant,
        tenant=tenant.values,
        facts=facts,
        events={step: msgspec.json.decode(one.event) for step, one in waits.items() if one.event is not None},
    )
    return Execution(
        stored=stored,
        definition=definition,
        state=state,
        context=context,
        page=page,
        waits=waits,
    )


def new_waits(execution: Execution) -> tuple[NewWait, ...]:
    """Return the waits of a waiting run that are not stored, or are stored with another topic. An invalid topic fails the
    run."""
    stored, state, found = execution.stored, execution.state, list[NewWait]()
    if state.status != "waiting":
        return ()
    for step in execution.definition.live_waits:
        if state.step(step.key).state != "waiting":
            continue
        try:
            target = engine.target_of(step, stored, engine.variables_of(state, execution.context))
        except TemplateError as error:
            execution.state = engine.fail(state, step, str(error)[:MAX_REASON])
            return ()
        known = execution.waits.get(step.key)
        if known is None or known.target != target:
            found.append(NewWait(stored.id, step.key, stored.tenant, stored.recipient, step.fields["event"], target))
    return tuple(found)


def _draft(execution: Execution) -> Draft:
    state = execution.state
    return Draft(
        to=execution.stored.recipient,
        type=execution.definition.type or GENERAL,
        data=state.data,
        actor=None if state.actor is None else msgspec.convert(state.actor, Actor),
    )


def failed(execution: Execution, step: Step, error: Exception) -> StepOutcome:
    """Return the outcome of a step that raised. Re-raises temporary errors of the store and the disk."""
    if isinstance(error, BellcastError):
        if error.is_server_error:
            raise error
        return StepOutcome(state="failed", reason=error.reason)
    if isinstance(error, InvalidValue | TemplateError):
        return StepOutcome(state="failed", reason=str(error)[:MAX_REASON])
    log.error("step_failed", run=execution.stored.id, step=step.key, exc_info=error)
    return StepOutcome(state="failed", reason=engine.described(error))
