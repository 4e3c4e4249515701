"""Workflows in Python: each function is called once, when the process starts, and describes the steps.

workflows = bellcast.Workflows()

@workflows.define("booking-created", type="booking")
def booking_created(flow):
    flow.inbox("bell", template="booking")
    flow.wait_for("looked", "seen", step="bell", timeout="30m")
    with flow.when(flow.data.total >= 100):
        flow.email("mail", template="booking")
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partialmethod
from typing import Any, TypeVar

from bellcast.kernel import setting_values, validation
from bellcast.kernel.errors import FieldError, Invalid, SettingsError
from bellcast.workflows import definitions, schedule_times
from bellcast.workflows.schedule_firing import Task
from bellcast.workflows.step_calls import StepFunction

DEFAULT_NAME = "workflows"
AnyStepFunction = TypeVar("AnyStepFunction", bound=Callable[..., Any])


class FlowCondition:
    """A condition. Combine conditions with `&`, `|` and `~`."""

    def __init__(self, condition: Mapping[str, Any]) -> None:
        self.condition = condition

    def __and__(self, other: "FlowCondition") -> "FlowCondition":
        return FlowCondition({"all": [self.condition, other.condition]})

    def __or__(self, other: "FlowCondition") -> "FlowCondition":
        return FlowCondition({"any": [self.condition, other.condition]})

    def __invert__(self) -> "FlowCondition":
        return FlowCondition({"not": self.condition})

    def __bool__(self) -> bool:
        raise TypeError(
            "a condition is evaluated when the workflow runs: use flow.when, &, | and ~ instead of if, and, or, not"
        )


class FlowValue:
    """A value of a run, such as `flow.data.total`. Comparing it creates a condition."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __getattr__(self, name: str) -> "FlowValue":
        if name.startswith("__"):
            raise AttributeError(name)
        return FlowValue(f"{self._path}.{name}")

    def __getitem__(self, name: str | int) -> "FlowValue":
        return FlowValue(f"{self._path}.{name}")

    def _compared(self, operator: str, value: object) -> FlowCondition:
        return FlowCondition({"var": self._path, "op": operator, "value": plain(value)})

    __eq__ = partialmethod(_compared, "eq")  # type: ignore[assignment]  # a description, not a comparison
    __ne__ = partialmethod(_compared, "ne")  # type: ignore[assignment]  # as above
    __hash__ = None  # type: ignore[assignment]  # as above
    __lt__ = partialmethod(_compared, "lt")
    __le__ = partialmethod(_compared, "lte")
    __gt__ = partialmethod(_compared, "gt")
    __ge__ = partialmethod(_compared, "gte")

    def is_in(self, values: object) -> FlowCondition:
        """True if the value is one of these values, or a part of this text."""
        return self._compared("in", values)

    def contains(self, value: object) -> FlowCondition:
        """True if this list or text contains the value."""
        return self._compared("contains", value)

    def exists(self) -> FlowCondition:
        """True unless it is missing or null."""
        return FlowCondition({"var": self._path, "op": "exists"})

    def is_empty(self) -> FlowCondition:
        """True if it is missing, null, or empty."""
        return FlowCondition({"var": self._path, "op": "empty"})

    def __bool__(self) -> bool:
        raise TypeError(f"{self._path} is known when the workflow runs: compare it, in flow.when")


def plain(value: Any) -> Any:
    """Convert a value to JSON: a `FlowValue` becomes a reference, a timedelta becomes seconds."""
    if isinstance(value, FlowValue):
        return {"var": object.__getattribute__(value, "_path")}
    if isinstance(value, FlowCondition):
        return value.condition
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


class Flow:
    """Describes the steps of one workflow, in order. Each method adds a step with the fields of its type."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self._current = self.steps
        self._conditions: list[FlowCondition] = []
        self.data = FlowValue("data")
        self.recipient = FlowValue("recipient")
        self.actor = FlowValue("actor")
        self.tenant = FlowValue("tenant")
        self.digested = FlowValue("digest")
        self.results = FlowValue("steps")

    def inbox(self, key: str, **fields: Any) -> None:
        """Add an inbox item: `template`, or `title`, `body` and others."""
        self._add("inbox", key, fields)

    def email(self, key: str, **fields: Any) -> None:
        """Send an e-mail: `template`, or `subject`, `text`, `html`."""
        self._add("email", key, fields)

    def sms(self, key: str, **fields: Any) -> None:
        """Send a text message: `template` or `text`."""
        self._add("sms", key, fields)

    def push(self, key: str, **fields: Any) -> None:
        """Send a push notification: `template`, or `title` and `body`."""
        self._add("push", key, fields)

    def chat(self, key: str, **fields: Any) -> None:
        """Send a chat message: `template` or `text`."""
        self._add("chat", key, fields)

    def delay(self, key: str, duration: Any = None, **fields: Any) -> None:
        """Wait for a duration, or `until` a time with an `offset`."""
        self._add("delay", key, fields if duration is None else {"for": duration, **fields})

    def digest(self, key: str, window: Any = None, **fields: Any) -> None:
        """Collect the runs of a recipient for a window, or until `cron`."""
        self._add("digest", key, fields if window is None else {"window": window, **fields})

    def throttle(self, key: str, window: Any, *, limit: int = 1, **fields: Any) -> None:
        """Let `limit` runs of a recipient through per window."""
        self._add("throttle", key, {"window": window, "limit": limit, **fields})

    def wait_for(self, key: str, event: str, **fields: Any) -> None:
        """Wait for an event of an earlier `step`."""
        self._add("wait_for", key, {"event": event, **fields})

    def trigger(self, key: str, workflow: str, to: Any, **fields: Any) -> None:
        """Start another workflow."""
        self._add("trigger", key, {"workflow": workflow, "to": to, **fields})

    def http(self, key: str, url: str, **fields: Any) -> None:
        """Call a URL."""
        self._add("http", key, {"url": url, **fields})

    def python(self, key: str, function: str, **fields: Any) -> None:
        """Call a function that was registered by `Workflows.function`."""
        self._add("python", key, {"function": function, **fields})

    def stop(self, key: str) -> None:
        """Complete the run."""
        self._add("stop", key, {})

    @contextlib.contextmanager
    def when(self, condition: FlowCondition) -> Iterator[None]:
        """Steps in the block are skipped if the condition is false when they are reached."""
        self._conditions.append(condition)
        try:
            yield
        finally:
            self._conditions.pop()

    @contextlib.contextmanager
    def branch(self, key: str) -> Iterator["FlowBranches"]:
        """Run the first branch whose condition is true: `with flow.branch("size") as size: with size.when(…): …`"""
        branches = FlowBranches(self)
        outside, conditions = self._conditions, self._step_condition()
        self._conditions = []
        try:
            yield branches
        finally:
            self._conditions = outside
        step: dict[str, Any] = {"key": key, "type": "branch", **conditions, "branches": branches.branches}
        self._current.append(step if branches.otherwise_steps is None else {**step, "else": branches.otherwise_steps})

    @contextlib.contextmanager
    def steps_in(self, steps: list[dict[str, Any]]) -> Iterator[None]:
        """Add the steps of the block to this list."""
        outside, self._current = self._current, steps
        try:
            yield
        finally:
            self._current = outside

    def _add(self, type: str, key: str, fields: Mapping[str, Any]) -> None:
        self._current.append({"key": key, "type": type, **self._step_condition(), **plain(fields)})

    def _step_condition(self) -> dict[str, Any]:
        """Return the combined condition of the enclosing blocks."""
        if not self._conditions:
            return {}
        conditions = [one.condition for one in self._conditions]
        return {"if": conditions[0] if len(conditions) == 1 else {"all": conditions}}


class FlowBranches:
    """The branches of a step."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self.branches: list[dict[str, Any]] = []
        self.otherwise_steps: list[dict[str, Any]] | None = None

    @contextlib.contextmanager
    def when(self, condition: FlowCondition) -> Iterator[None]:
        """Add the steps of one branch."""
        steps: list[dict[str, Any]] = []
        self.branches.append({"if": condition.condition, "steps": steps})
        with self._flow.steps_in(steps):
            yield

    @contextlib.contextmanager
    def otherwise(self) -> Iterator[None]:
        """Add the steps that run if no branch was chosen."""
        self.otherwise_steps = []
        with self._flow.steps_in(self.otherwise_steps):
            yield


class Workflows:
    """Workflows and functions of an app. `bellcast serve --workflows module` loads them."""

    def __init__(self) -> None:
        self.definitions: dict[str, dict[str, Any]] = {}
        self.functions: dict[str, StepFunction] = {}
        self.tasks: dict[str, Task] = {}

    def define(
        self, key: str, *, type: str | None = None, data: Mapping[str, Any] | None = None
    ) -> Callable[[Callable[[Flow], None]], Callable[[Flow], None]]:
        """Define a workflow with a function that describes its steps. `type` is the type of its notifications, `data` a
        JSON Schema for its triggers' data. Raises Invalid."""
        if key in self.definitions:
            raise ValueError(f"The workflow {key!r} is already defined.")

        def register(function: Callable[[Flow], None]) -> Callable[[Flow], None]:
            flow = Flow()
            function(flow)
            fields = {name: value for name, value in (("type", type), ("data", data)) if value is not None}
            definition = {**fields, "steps": flow.steps}
            definitions.parse(definition)
            self.definitions[key] = definition
            return function

        return register

    def function(self, name: str) -> Callable[[AnyStepFunction], AnyStepFunction]:
        """Register a function for `python` steps: `async def`, or `def`, which runs in a thread. Its result becomes the
        step's result."""
        if name in self.functions:
            raise ValueError(f"The function {name!r} is already registered.")

        def register(function: AnyStepFunction) -> AnyStepFunction:
            self.functions[name] = function
            return function

        return register

    def task(self, name: str, *, cron: str, timezone: str = "UTC") -> Callable[[AnyStepFunction], AnyStepFunction]:
        """Run a function at scheduled times, in one of the processes that have it: `async def`, or `def`, which runs in
        a thread. Its argument has `trigger`, `notify` and `fired_at`. Raises Invalid for a wrong `cron` or
        `timezone`."""
        if name in self.tasks:
            raise ValueError(f"The task {name!r} is already registered.")
        schedule = schedule_times.Schedule(cron=cron, timezone=timezone)
        errors = [FieldError("timezone", "must be an IANA time zone")] if schedule.is_by_zone else []
        validation.check(errors, schedule_times.time_errors(schedule, 0))

        def register(function: AnyStepFunction) -> AnyStepFunction:
            self.tasks[name] = Task(function, schedule)
            return function

        return register


def load(target: str) -> Workflows:
    """Import the workflows at `module` or `module:name`; the module may be in the working directory. Raises
    SettingsError."""
    try:
        return setting_values.imported("BELLCAST_WORKFLOWS", target, Workflows, default_name=DEFAULT_NAME)
    except Invalid as error:
        raise SettingsError(f"BELLCAST_WORKFLOWS: {target} contains an invalid workflow: {error.detail}.") from error
