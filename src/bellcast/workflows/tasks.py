"""Tasks: Python functions of the app that run at scheduled times, in one of the processes that have them.

If a process dies, its task runs again for the same time. Its sends and triggers have idempotency keys of that time, so
a repetition with the same content has no effect."""

import asyncio
import hashlib
import inspect
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import structlog
from msgspec import Struct

from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT
from bellcast.inbox import sending
from bellcast.inbox.types.notifications import Draft
from bellcast.kernel import concurrency, times
from bellcast.kernel.jobs import END_OF_TIME, Job
from bellcast.kernel.jobs.runner import JobRunner
from bellcast.kernel.jobs.store import Jobs
from bellcast.workflows import schedule_times, triggers
from bellcast.workflows.schedule_times import Schedule
from bellcast.workflows.schedules import Schedules

log = structlog.get_logger(__name__)

PROGRESS = "task-progress"

T = TypeVar("T")


class Task(Struct, frozen=True):
    """A function and its schedule."""

    function: Callable[..., Any]
    schedule: Schedule


class TaskProgress(Struct, frozen=True):
    """The progress of a task: it has run for all times up to `until` (UTC milliseconds) of this cron expression and
    zone."""

    until: int
    cron: str
    timezone: str


class AsyncTaskRun:
    """The argument of an `async def` task: `name`, `fired_at`, `trigger` and `notify`."""

    def __init__(self, name: str, moment: int, schedules: Schedules) -> None:
        self.name = name
        self.fired_at: datetime = times.to_rfc3339(moment)
        self._moment = moment
        self._schedules = schedules
        self._calls: Counter[str] = Counter()

    async def trigger(self, workflow: str, to: Any, data: Mapping[str, Any] | None = None, **fields: Any) -> Any:
        """Trigger a workflow; return the response of the REST API. Raises BellcastError."""
        values = {"to": to, "data": dict(data or {}), **fields}
        draft = _converted({"idempotency_key": self._key([workflow, values]), **values}, triggers.TriggerDraft)
        triggers.check(draft, self._schedules.limits)
        return msgspec.json.decode(await self._schedules.trigger(workflow, draft))

    async def notify(self, to: Any, **fields: Any) -> Any:
        """Send a notification; return the response of the REST API. Raises BellcastError."""
        values = {"to": to, **fields}
        draft = _converted({"idempotency_key": self._key(values), **values}, Draft)
        return msgspec.json.decode(await sending.send(self._schedules.engines(), self._schedules.limits, draft))

    def _key(self, values: Any) -> str:
        """Return an idempotency key. It is the same when a repeated run of the task makes the same call."""
        text = hashlib.sha256(msgspec.json.encode([self.name, values], order="deterministic")).hexdigest()
        self._calls[text] += 1
        return f"task {self._moment} {self._calls[text]} {text}"


class TaskRun:
    """The argument of a task in a thread: like `AsyncTaskRun`, with blocking methods."""

    def __init__(self, run: AsyncTaskRun, loop: asyncio.AbstractEventLoop) -> None:
        self.name = run.name
        self.fired_at = run.fired_at
        self._run = run
        self._loop = loop

    def trigger(self, workflow: str, to: Any, data: Mapping[str, Any] | None = None, **fields: Any) -> Any:
        """Trigger a workflow; return the response of the REST API. Raises BellcastError."""
        return self._wait(self._run.trigger(workflow, to, data, **fields))

    def notify(self, to: Any, **fields: Any) -> Any:
        """Send a notification; return the response of the REST API. Raises BellcastError."""
        return self._wait(self._run.notify(to, **fields))

    def _wait(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()


class ScheduledTasks(Struct, eq=False):
    """Runs the tasks of this process."""

    schedules: Schedules
    tasks: Mapping[str, Task]
    jobs: JobRunner

    def __post_init__(self) -> None:
        for name in self.tasks:
            self.jobs.register(_kind(name), self.run, concurrency=1, is_timed=True)

    async def plan(self) -> None:
        """Add missing jobs of tasks. A task whose schedule has changed is scheduled from now on."""
        engines = self.schedules.engines()
        waiting = {group.kind for group in await Jobs(engines.db).due(END_OF_TIME)}
        for name, task in self.tasks.items():
            progress = await self._progress(name)
            is_same = progress is not None and (progress.cron, progress.timezone) == _times(task.schedule)
            if is_same and _kind(name) in waiting:
                continue
            now = engines.clock.now()
            if progress is None or not is_same:
                progress = await self._save(name, task.schedule, now)
            following = _next_time(task.schedule, progress.until)
            job = Job(id=_kind(name), kind=_kind(name), payload=name.encode(), run_at=following, created_at=now)
            await Jobs(engines.db).add([job])

    async def run(self, job: Job) -> int | None:
        """Run a task for its due time; if several are due, for the latest. Return its next time."""
        name = job.payload.decode()
        task, now = self.tasks[name], self.schedules.engines().clock.now()
        progress = await self._progress(name) or await self._save(name, task.schedule, now)
        due = schedule_times.due_times(task.schedule, schedule_times.zone_of(task.schedule), progress.until, now)
        if due:
            # Call the function. An error is logged; the task runs again at its next time.
            moment = due[-1]
            run = AsyncTaskRun(name, moment, self.schedules)
            try:
                if inspect.iscoroutinefunction(task.function):
                    await task.function(run)
                else:
                    await concurrency.call_in_thread(task.function, TaskRun(run, asyncio.get_running_loop()))
            except Exception:
                log.exception("task_failed", task=name, fired_at=run.fired_at.isoformat())
        if due or progress.until > now:  # later than now if the clock was ahead
            await self._save(name, task.schedule, due[-1] if due else now)
        return _next_time(task.schedule, now)

    async def _progress(self, name: str) -> TaskProgress | None:
        found = await Documents(self.schedules.engines().db).get(PROGRESS, PROJECT, name)
        return None if found is None else msgspec.json.decode(found.body, type=TaskProgress)

    async def _save(self, name: str, schedule: Schedule, until: int) -> TaskProgress:
        engines = self.schedules.engines()
        progress = TaskProgress(until, *_times(schedule))
        await Documents(engines.db).put(PROGRESS, PROJECT, name, msgspec.json.encode(progress), engines.clock.now())
        return progress


def _kind(name: str) -> str:
    return f"task {name}"


def _times(schedule: Schedule) -> tuple[str, str]:
    return schedule.cron or "", schedule.timezone or "UTC"


def _next_time(schedule: Schedule, moment: int) -> int:
    return next(iter(schedule_times.next_times(schedule, [schedule_times.zone_of(schedule)], moment, 1)))


def _converted(values: dict[str, Any], type: type[T]) -> T:
    """Convert Python values to a draft. Raises TypeError with the wrong field."""
    try:
        return msgspec.convert(values, type)
    except msgspec.ValidationError as error:
        raise TypeError(str(error)) from None
