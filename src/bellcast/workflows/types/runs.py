"""Runs of workflows: what each step did, what the run waits for, what is stored with it, and the counters of throttles and digests
across runs. Pure: no I/O, no clock."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast.channels.types import Fanout, State
from bellcast.inbox.types import ACTOR, TO, Actor, Audience
from bellcast.inbox.types.sends import Claim, KeyedRequest, SendRequest
from bellcast.kernel import field_limits, validation
from bellcast.kernel.errors import FieldError
from bellcast.kernel.field_limits import KEY, TENANT, ValueRule, json_data
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.kernel.jobs import Job
from bellcast.kernel.limits import Limits
from bellcast.webhooks.types import WebhookEvent
from bellcast.workflows.types import MAX_DATA, RunStatus, StepStatus

# The kinds of the documents of schedules. The document of a cancel name has the key of its schedule as its body.
SCHEDULES, PROGRESS, CANCEL_NAMES = "schedules", "schedule-progress", "schedule-cancel"
# Prefix of the keys of the schedules of sends and triggers with `send_at`.
GENERATED_PREFIX = "send-"

# The types of the events of cancelled runs.
CANCELLED = ("run.cancelled", "message.cancelled")
ENDED: tuple[RunStatus, ...] = ("completed", "cancelled", "merged", "throttled", "failed")
ENDED_STEPS: tuple[StepStatus, ...] = ("done", "skipped", "failed")
# Maximum bytes of a run as JSON.
MAX_RUN = 256 * 1024


class StepState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a step. `notification` is its inbox item, `messages` are its messages; its decision is stored under
    `decided`. At `due_at` (UTC milliseconds), chosen at `planned_at`, a waiting step continues without an event. `attempts`
    counts calls of an http or python step. `by` is the group that a digest collects. `started_at` and `ended_at` (UTC
    milliseconds) are the times of the commits that first stored it as started and as ended."""

    state: StepStatus = "pending"
    reason: str | None = None
    result: Any = None
    notification: str | None = None
    messages: tuple[str, ...] = ()
    decided: str | None = None
    due_at: int | None = None
    planned_at: int = 0
    attempts: int = 0
    by: str | None = None
    started_at: int | None = None
    ended_at: int | None = None


PENDING = StepState()
# State of a step that is repeated: its condition was true.
PENDING_AGAIN = StepState(state="running")


class Digest(Struct, frozen=True, kw_only=True):
    """The result of a digest: `count` includes the opening run; `items` are the data of the first runs, with their
    actors. There are fewer `items` than `count` if the others exceeded the limits."""

    count: int = 1
    items: tuple[Any, ...] = ()
    actors: tuple[Any, ...] = ()


class RunState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a run that its steps read and change. `depth` counts the triggers above it. `event` is the live event
    that a step waited for. `events` are live events that arrived before their steps, by step."""

    status: RunStatus = "running"
    reason: str | None = None
    data: dict[str, Any] = {}
    actor: Any = None
    depth: int = 0
    steps: dict[str, StepState] = {}
    digest: Digest | None = None
    event: Any = None

    def step(self, key: str) -> StepState:
        """Return the state of a step."""
        return self.steps.get(key, PENDING)

    def with_step(self, key: str, **changes: Any) -> "RunState":
        """Return the run after a change of one step."""
        steps = {**self.steps, key: msgspec.structs.replace(self.step(key), **changes)}
        return msgspec.structs.replace(self, steps=steps)

    def timed(self, now: int) -> "RunState":
        """Return the run with times set for steps that started or ended since the last commit."""
        steps = dict(self.steps)
        for key, step in steps.items():
            started_at, ended_at = step.started_at, step.ended_at
            if started_at is None and step.state != "pending":
                started_at = now
            if ended_at is None and step.state in ENDED_STEPS:
                ended_at = now
            if (started_at, ended_at) != (step.started_at, step.ended_at):
                steps[key] = msgspec.structs.replace(step, started_at=started_at, ended_at=ended_at)
        return msgspec.structs.replace(self, steps=steps)

    def ended(self, status: RunStatus, reason: str | None = None) -> "RunState":
        """Return the ended run."""
        return msgspec.structs.replace(self, status=status, reason=reason)

    @property
    def wakes_at(self) -> int | None:
        """When the waiting run continues without an event."""
        if self.status != "waiting":
            return None
        return min(
            (s.due_at for s in self.steps.values() if s.state == "waiting" and s.due_at is not None), default=None
        )


class StepOutline(Struct, frozen=True):
    """The part of a step's state that counts and filters read."""

    state: StepStatus = "pending"
    reason: str | None = None
    ended_at: int | None = None


class RunOutline(Struct, frozen=True):
    """The part of a run's state that counts and filters read: to decode it takes half as long."""

    steps: dict[str, StepOutline] = {}


def shown_steps(
    status: str, run: RunState | RunOutline, keys: Sequence[str]
) -> list[tuple[str, StepStatus, str | None]]:
    """Return the state and reason of each of these steps as clients see them: an ended run skips those that it did not
    reach."""
    steps: Mapping[str, StepState | StepOutline] = run.steps
    found = [(key, one.state, one.reason) for key in keys for one in (steps.get(key, PENDING),)]
    if status not in ENDED or all(state in ENDED_STEPS for _, state, _ in found):
        return found
    ended_at, end = -1, f"ended: the run was {status}"
    for key, step in steps.items() if status != "cancelled" else ():
        # Of steps of one commit, the last one
        if step.state in ("done", "failed") and (step.ended_at or 0) >= ended_at:
            ended_at = step.ended_at or 0
            end = f"ended: the run ended at {key}" + ("" if step.reason is None else f" ({step.reason})")
    return [one if one[1] in ENDED_STEPS else (one[0], "skipped", end) for one in found]


decode = msgspec.json.Decoder(RunState).decode
decode_outline = msgspec.json.Decoder(RunOutline).decode
encode = msgspec.json.Encoder().encode


class OutlinedRun(NamedTuple):
    """The columns of a run that counts and filters read."""

    id: str
    tenant: str
    workflow: str
    owner: str
    version: int
    state: str
    body: str


class StoredRun(Struct, frozen=True, kw_only=True):
    """A run. `body` is its state as JSON. `owner` is the tenant that defines its workflow (the project or the run's
    tenant). `revision` grows with each commit, from 1 for the runs of a fan-out, which are counted as they are added, else from 0.
    `woken` grows with each event that the run may wait for. Times are UTC milliseconds."""

    id: str
    trigger: str
    tenant: str
    workflow: str
    owner: str
    version: int
    recipient: str
    state: str = "running"
    reason: str | None = None
    cancel_key: str | None = None
    wakes_at: int | None = None
    created_at: int
    ended_at: int | None = None
    revision: int = 0
    woken: int = 0
    body: bytes


def as_change(run: StoredRun) -> dict[str, Any]:
    """Return a run as events report it."""
    fields = ("id", "trigger", "recipient", "workflow", "version", "state", "reason")
    return {name: getattr(run, name) for name in fields}


class NewWait(Struct, frozen=True):
    """A live event that a step of a run waits for; `target` is the stream of its topic or recipient."""

    run: str
    step: str
    tenant: str
    recipient: str
    name: str
    target: str


class StoredWait(Struct, frozen=True):
    """A wait of a run, with the event that ended it as JSON."""

    target: str
    event: bytes | None


class WaitingRun(Struct, frozen=True):
    """A run that waits for an event, with the data that decides whether the event matches."""

    run: str
    step: str
    owner: str
    workflow: str
    version: int
    recipient: str
    body: bytes


class NewSchedule(Struct, frozen=True):
    """A schedule with its progress, as documents, and its job (None if nothing is due).
    `cancel_name` is the key of the document that maps a cancel key to it. With `replaces`, the stored body must be this one; None:
    there must be none."""

    key: str
    body: bytes
    progress: bytes
    job: Job | None
    cancel_name: str | None = None
    replaces: bytes | UnsetType | None = UNSET


class FiredSchedule(Struct, frozen=True):
    """The schedule that caused a request, as it was read."""

    tenant: str
    key: str
    body: bytes


class ScheduleChanged(Exception):
    """The schedule of a request was changed or cancelled: nothing was written."""


class TriggerDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trigger of a workflow (`POST /v1/workflows/{key}/trigger`)."""

    to: Annotated[str | list[str] | Audience, TO]
    data: Annotated[dict[str, Any], json_data(MAX_DATA)] = {}
    actor: Annotated[Actor | str | None, ACTOR] = None
    cancel_key: Annotated[str | None, KEY] = None
    send_at: str | None = None
    timezone: str | None = None
    tenant: Annotated[str | None, ValueRule(validation.key, TENANT.schema)] = None
    idempotency_key: Annotated[str | None, KEY] = None


def draft_errors(draft: TriggerDraft, limits: Limits) -> list[FieldError]:
    """Return all errors of a trigger, except those of its time and of the workflow's own schema."""
    errors = field_limits.errors(draft, limits)
    if isinstance(draft.to, Audience) and draft.to.tenant == EVERY_TENANT:
        errors.append(FieldError("to.tenant", 'must not be "*": a workflow runs in one tenant'))
    return errors


class TriggerRequest(KeyedRequest, frozen=True, kw_only=True):
    """An accepted trigger: runs for named recipients, a fan-out, or a schedule that triggers or sends later."""

    tenant: str
    runs: tuple[StoredRun, ...] = ()
    fanout: Fanout | None = None
    schedules: tuple[NewSchedule, ...] = ()
    waits: tuple[NewWait, ...] = ()
    events: tuple[WebhookEvent, ...] = ()
    claim: Claim | None = None
    schedule: FiredSchedule | None = None


# --- counters of throttles and digests


class CounterKey(Struct, frozen=True):
    """The name of a counter of a throttle or a digest."""

    tenant: str
    workflow: str
    step: str
    recipient: str
    by: str


class StoredCounter(Struct, frozen=True):
    """A counter as JSON. `revision` starts at a random number and grows with each change, so a counter that was deleted
    and created again has a different one. `is_abandoned`: the run that collects in it has ended."""

    body: bytes
    revision: int
    is_abandoned: bool = False


class CounterUpdate(Struct, frozen=True, kw_only=True):
    """A change to a counter at `revision` (0: it does not exist yet). Without a `body`, the counter is deleted. `run`
    is the run that collects in it. It can be deleted at `expires_at`."""

    key: CounterKey
    revision: int
    body: bytes | None
    run: str | None = None
    expires_at: int


MAX_DIGEST_ITEMS = 100
# Maximum bytes of JSON of the items, and of the actors: leaves the run that continues with them room for its own data
# and a result.
MAX_DIGEST_BYTES = 64 * 1024
# Runs in an open digest that are recorded, so that one of them can replace the closing run when it leaves.
MAX_DIGEST_RUNS = 250
# Jobs of runs that close a digest and die, each after several crashes, before the digest is deleted: its content may be
# the cause of the crashes.
MAX_DEAD_RUNS = 3


class StepCounter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a throttle or a digest for one recipient and key, across runs. `passed` are the times of runs that a
    throttle let through. The other fields belong to a digest: the run that collects, its start and its end. `runs` are
    the first runs in it, including the one that collects; the items are theirs, in this order. `dead_runs` counts those
    that left because their jobs died."""

    passed: tuple[int, ...] = ()
    run: str | None = None
    opened_at: int = 0
    closes_at: int = 0
    digest: Digest | None = None
    runs: tuple[str, ...] = ()
    dead_runs: int = 0


NO_COUNTER = StepCounter()
decode_counter = msgspec.json.Decoder(StepCounter).decode


def own_digest(run: RunState) -> Digest:
    """Create a digest with one run."""
    return Digest(items=(run.data,), actors=() if run.actor is None else (run.actor,))


def with_run(counter: StepCounter, id: str, run: RunState) -> StepCounter:
    """Add a run to an open digest."""
    before, own = counter.digest or Digest(count=0), own_digest(run)
    actors = before.actors + tuple(actor for actor in own.actors if actor not in before.actors)
    # The items are those of the first runs: after the first item that exceeds the limit, none is added.
    is_cut = len(before.items) < before.count
    digest = Digest(
        count=before.count + 1,
        items=before.items if is_cut else within(before.items + own.items, MAX_DIGEST_BYTES),
        actors=within(actors, MAX_DIGEST_BYTES),
    )
    # The list ends before the first run that did not fit.
    is_listed = len(counter.runs) == before.count < MAX_DIGEST_RUNS
    return msgspec.structs.replace(counter, digest=digest, runs=(*counter.runs, id) if is_listed else counter.runs)


def in_order(counter: StepCounter) -> Digest | None:
    """Return the digest with its items in the order in which their runs were triggered: on PostgreSQL, they reach the step
    at the same time."""
    if counter.digest is None or len(counter.runs) < len(counter.digest.items):
        return counter.digest
    by_run = sorted(zip(counter.runs, counter.digest.items, strict=False), key=lambda one: (len(one[0]), one[0]))
    return msgspec.structs.replace(counter.digest, items=tuple(item for _, item in by_run))


def without_runs(
    counter: StepCounter, leaving: Collection[str], stored: Mapping[str, RunState], *, is_dead: bool = False
) -> StepCounter | None:
    """Return an open digest without some of its runs. The first remaining run that is `stored` collects; None if there
    is none. With `is_dead` because the job of one is dead: also None if several died."""
    digest, dead_runs = counter.digest, counter.dead_runs + is_dead
    staying = tuple(id for id in counter.runs if id not in leaving)
    collecting = next((id for id in staying if id in stored), None)
    if digest is None or collecting is None or (is_dead and dead_runs >= MAX_DEAD_RUNS):
        return None
    actors = [stored[id].actor for id in staying if id in stored]
    removed = [stored[id].actor for id in leaving if id in stored and stored[id].actor not in actors]
    changed = Digest(
        count=digest.count - (len(counter.runs) - len(staying)),
        items=tuple(item for id, item in zip(counter.runs, digest.items, strict=False) if id not in leaving),
        actors=tuple(actor for actor in digest.actors if actor not in removed),
    )
    return msgspec.structs.replace(counter, run=collecting, digest=changed, runs=staying, dead_runs=dead_runs)


def within(values: tuple[Any, ...], most: int) -> tuple[Any, ...]:
    """Return as many of the first values as fit into this many bytes."""
    ends = itertools.accumulate(len(msgspec.json.encode(value)) for value in values[:MAX_DIGEST_ITEMS])
    return values[: sum(end <= most for end in ends)]


# --- commits


class RunCommit(Struct, frozen=True, kw_only=True):
    """The new state of a run with all effects of the steps that led to it. `run.revision` and `run.woken` are the
    values that were read; later events do not matter if it `ignores_events`. `watched` are the inbox items whose
    changes wake the run. `waits` are new waits for live events. `has_waits`: when the run ends, its waits are deleted.
    `has_counters`: when the run ends, another run takes over the digests that it collects. `due_at` is when the job of a
    new run is due, None if it needs none."""

    run: StoredRun
    now: int
    due_at: int | None = None
    ignores_events: bool = False
    sends: tuple[SendRequest, ...] = ()
    counters: tuple[CounterUpdate, ...] = ()
    triggers: tuple[TriggerRequest, ...] = ()
    watched: tuple[str, ...] = ()
    waits: tuple[NewWait, ...] = ()
    has_waits: bool = False
    has_counters: bool = False
    events: tuple[WebhookEvent, ...] = ()


class BegunPage(Struct, frozen=True, kw_only=True):
    """A page of a fan-out: new runs with the effects of their first steps, their waits, and the events for webhooks.
    `position` is the key of its last recipient; None ends the fan-out."""

    fanout: Fanout
    position: str | None
    runs: Sequence[RunCommit]
    waits: Sequence[NewWait]
    events: Sequence[WebhookEvent]


class StepFacts(Struct, frozen=True):
    """When the inbox item of a step was seen, read, archived and acted on (UTC milliseconds), and the states of its
    messages."""

    seen_at: int | None = None
    read_at: int | None = None
    archived_at: int | None = None
    acted_at: int | None = None
    messages: tuple[State, ...] = ()


def restarted(run: StoredRun) -> StoredRun:
    """Return the failed run, ready to continue from the step that failed."""
    state = decode(run.body)
    steps = {key: PENDING_AGAIN if step.state == "failed" else step for key, step in state.steps.items()}
    body = encode(msgspec.structs.replace(state, status="running", reason=None, steps=steps))
    return msgspec.structs.replace(run, state="running", reason=None, ended_at=None, wakes_at=None, body=body)
