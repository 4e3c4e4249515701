"""Runs as responses show them. The Python client imports these types, so this module imports little."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

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
