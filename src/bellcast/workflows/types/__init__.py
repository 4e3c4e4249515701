"""Values of runs of workflows. First runs as responses show them; and simulations: what a run would do, and the assumptions under
which it would. The Python client imports these types, so this module imports little."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from bellcast.channels.types import ChannelDecision
from bellcast.inbox.types import ACTOR, Actor
from bellcast.kernel import times
from bellcast.kernel.field_limits import KEY, STORABLE_TIME, json_data, lasting, shown
from bellcast.preferences.types import Preferences
from bellcast.recipients.types import RecipientFields

RunStatus = Literal[
    "running",  # a step is due
    "waiting",  # for a time or an event
    "paused",  # its workflow is not active
    "completed",
    "cancelled",
    "merged",  # merged into the digest of an earlier run
    "throttled",
    "failed",
]
StepStatus = Literal["pending", "running", "waiting", "done", "skipped", "failed"]


class StartedRun(Struct, frozen=True):
    """A run and its recipient."""

    id: str
    recipient: str


class Cancelled(Struct, frozen=True):
    """How many runs were cancelled."""

    cancelled: int


class RunStep(Struct, frozen=True, kw_only=True):
    """The state of a step. `reason` states why it was skipped or failed: `condition` if its own was not true, `branch`
    if its branch was not taken; `ended: …` names the step that ended the run, if the run did not reach this one.
    `result` is what an http or python step returned, and `attempts` counts its calls. A waiting step continues at `due_at` without an event."""

    key: str
    type: str
    state: StepStatus
    reason: str | None
    result: Any
    notification: str | None
    messages: list[str]
    attempts: int
    started_at: datetime | None
    ended_at: datetime | None
    due_at: datetime | None


class RunDetails(Struct, frozen=True, kw_only=True):
    """A workflow's execution for one recipient."""

    id: str
    tenant: str | None
    trigger: str
    workflow: str
    version: int
    recipient: str
    state: RunStatus
    reason: str | None
    data: dict[str, Any]
    created_at: datetime
    ended_at: datetime | None
    wakes_at: datetime | None
    steps: list[RunStep]


# --- simulations

# Maximum bytes of the data of a run as JSON.
MAX_DATA = 64 * 1024
# Recipients of a simulation, whose paths are read by eye.
MAX_RECIPIENTS = 10
# Events, and the runs that a digest collects: a run has at most 50 steps, and a digest at most 100 items.
MAX_EVENTS = 100
# Runs that a throttle has let through: above the limits of throttles in use.
MAX_THROTTLED = 10_000


class SimulatedRecipient(RecipientFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recipient whose fields replace those of the stored record, if there is one."""

    key: Annotated[str, KEY]


class SimulatedEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happens while the run waits: an `event` of the inbox item or the message of a `step`, or a live event
    by its `name`, with its `data`. `after` counts from the start of the step; without a step, from the trigger."""

    step: str | None = None
    event: str | None = None
    name: str | None = None
    data: Any = None
    after: Annotated[
        str | float, lasting(0, times.MAX_AHEAD_SECONDS, "must be a duration from 0 to 366 days, such as 10m")
    ] = 0


class SimulationRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is simulated: `values` instead of the draft or the current version, for recipients by key or with other fields.
    `at` is the time of the trigger, by default now. `results` are what the http and python steps return. `digest` has the
    data of other runs that a digest collects, `throttled` how many runs a throttle has let through before. `preferences`
    replace those of recipients."""

    to: Annotated[list[str | SimulatedRecipient], shown({"minItems": 1, "maxItems": MAX_RECIPIENTS})]
    values: dict[str, Any] | None = None
    data: Annotated[dict[str, Any], json_data(MAX_DATA)] = {}
    actor: Annotated[Actor | str | None, ACTOR] = None
    at: Annotated[times.Moment | None, STORABLE_TIME] = None
    events: Annotated[list[SimulatedEvent], Meta(max_length=MAX_EVENTS)] = []
    results: dict[str, Any] = {}
    digest: dict[str, Annotated[list[dict[str, Any]], Meta(max_length=MAX_EVENTS)]] = {}
    throttled: dict[str, Annotated[int, Meta(ge=0, le=MAX_THROTTLED)]] = {}
    preferences: dict[str, Preferences] = {}


class SimulatedCondition(Struct, frozen=True, kw_only=True):
    """A condition, the values of its variables, and its result."""

    condition: dict[str, Any] = msgspec.field(name="if")
    values: dict[str, Any]
    result: bool


class SimulatedStep(Struct, frozen=True, kw_only=True):
    """A step that the run reached, `at` its start. `until` is the end of its wait. `branch` is the index in
    `branches` of the one that was chosen, 0 for "Branch 1" of the console, or `else`. `assumed`: its call was not made, and its result is empty. `content` is what would be sent,
    `missing` are variables without a value, for which the step fails."""

    step: str
    type: str
    at: datetime
    until: datetime | None = None
    state: StepStatus
    reason: str | None = None
    branch: int | str | None = None
    assumed: bool = False
    conditions: list[SimulatedCondition] = []
    decision: ChannelDecision | None = None
    content: dict[str, Any] | None = None
    missing: list[str] = []


class SimulatedRun(Struct, frozen=True, kw_only=True):
    """The run of a recipient: the steps in the order in which they began, and when it ends; null if it still waits."""

    recipient: str
    timezone: str
    state: RunStatus
    reason: str | None
    ends_at: datetime | None
    path: list[SimulatedStep]


class Simulation(Struct, frozen=True):
    """The runs, in the order of the recipients. `truncated`: the simulation reached one of its limits."""

    recipients: list[SimulatedRun]
    truncated: bool
