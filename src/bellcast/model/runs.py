"""The state of a run: what each step did, and what the run waits for."""

from typing import Any, Literal

import msgspec
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
ENDED: tuple[RunStatus, ...] = ("completed", "cancelled", "merged", "throttled", "failed")
ENDED_STEPS: tuple[StepStatus, ...] = ("done", "skipped", "failed")
# Maximum bytes of JSON.
MAX_DATA = 64 * 1024
MAX_RUN = 256 * 1024


class StepResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of a step. `notification` is its inbox item, `messages` are its messages; its decision is stored under
    `decided`. At `due_at` (UTC milliseconds), chosen at `planned_at`, a waiting step continues without an event. `attempts`
    counts calls of an http or python step. `by` is the group that a digest collects."""

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


class StepState(StepResult, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a step. `started_at` and `ended_at` (UTC milliseconds) are the times of the commits that first stored
    it as started and as ended."""

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
        return msgspec.structs.replace(self, steps={key: _timed(step, now) for key, step in self.steps.items()})

    def ended(self, status: RunStatus, reason: str | None = None) -> "RunState":
        """Return the ended run."""
        return msgspec.structs.replace(self, status=status, reason=reason)

    def retried(self) -> "RunState":
        """Return the failed run, ready to repeat its failed step."""
        steps = {key: PENDING_AGAIN if step.state == "failed" else step for key, step in self.steps.items()}
        return msgspec.structs.replace(self, status="running", reason=None, steps=steps)

    def reopened(self, key: str, by: str, closes_at: int) -> "RunState":
        """Return the merged run as the one that collects in the digest of a step, until `closes_at`."""
        waiting = self.with_step(key, state="waiting", reason=None, by=by, due_at=closes_at, ended_at=None)
        return msgspec.structs.replace(waiting, status="waiting", reason=None)

    @property
    def wakes_at(self) -> int | None:
        """When the waiting run continues without an event."""
        if self.status != "waiting":
            return None
        return min(
            (s.due_at for s in self.steps.values() if s.state == "waiting" and s.due_at is not None), default=None
        )


def described_end(status: str, run: RunState) -> str:
    """Return a phrase that names the step at which a run ended, and its reason."""
    if status == "cancelled":
        return "the run was cancelled"
    last = max(
        (key for key, step in run.steps.items() if step.state in ("done", "failed")),
        key=lambda key: run.steps[key].ended_at or 0,
        default=None,
    )
    if last is None:
        return f"the run was {status}"
    reason = run.steps[last].reason
    return f"the run ended at {last}" + ("" if reason is None else f" ({reason})")


def _timed(step: StepState, now: int) -> StepState:
    changes = {}
    if step.started_at is None and step.state != "pending":
        changes["started_at"] = now
    if step.ended_at is None and step.state in ENDED_STEPS:
        changes["ended_at"] = now
    return msgspec.structs.replace(step, **changes) if changes else step


decode = msgspec.json.Decoder(RunState).decode
encode = msgspec.json.Encoder().encode
