"""Fires due schedules, and runs due tasks.

Each firing has an idempotency key made of its time and the time when the schedule was written, so a firing that is
repeated after a crash has no effect. With the time zone of each recipient, a firing consists of many requests, and each
recipient is claimed for the local time.

Tasks are Python functions of the app that run at scheduled times, in one of the processes that have them. If a process
dies, its task runs again for the same time. Its sends and triggers have idempotency keys of that time, so a repetition with
the same content has no effect."""

import asyncio
import contextlib
import hashlib
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from bellcast.channels import audiences, decision_inputs
from bellcast.channels.types import NewDecision
from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT
from bellcast.inbox import sending
from bellcast.inbox.types import Audience, Draft
from bellcast.inbox.types.sends import Claim, ClaimTaken
from bellcast.kernel import concurrency, times, validation
from bellcast.kernel.errors import BellcastError, Invalid, TooMany, Unavailable
from bellcast.kernel.jobs import END_OF_TIME, Job
from bellcast.kernel.jobs.runner import JobRunner
from bellcast.kernel.jobs.store import Jobs
from bellcast.recipients.store import Recipients
from bellcast.recipients.types import Profile
from bellcast.workflows import schedule_times
from bellcast.workflows.schedule_times import Schedule, StoredSchedule
from bellcast.workflows.schedules import ZONE_POLL_MS, FoundSchedule, Schedules, claim_name
from bellcast.workflows.store import Runs
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import PROGRESS, SCHEDULES, FiredSchedule, ScheduleChanged, TriggerDraft

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Prefix of the idempotency keys of firings. Clients cannot send a control character.
OWN_KEY = "\x1fschedule "
# Lifetime of claims. A local time lasts 26 hours around the world, and after downtime it may be made up for during
# another day.
CLAIM_MS = 3 * times.DAY_MS
# The default retention of runs.
GENERATED_MS = 30 * times.DAY_MS


async def run(schedules: Schedules, job: Job) -> int | None:
    """Fire a schedule for its due times. Return the next time, or None."""
    entry = await schedules.find(*msgspec.json.decode(job.payload))
    if entry is None or not entry.schedule.active:
        return None
    run_due = _run_by_zone if entry.schedule.is_by_zone else _run
    try:
        following = await run_due(schedules, entry)
    except ScheduleChanged:
        return schedules.engines().clock.now()  # read it again
    if following is None and entry.schedule.is_generated:
        # A generated schedule is deleted when it fired long ago.
        now, last_at = schedules.engines().clock.now(), entry.progress.last_at
        if last_at is None or last_at + GENERATED_MS > now:
            return now + GENERATED_MS
        await schedules.delete(entry.tenant, entry.key)
    return following


async def _run(schedules: Schedules, entry: FoundSchedule) -> int | None:
    schedule, zone = entry.schedule, schedule_times.zone_of(entry.schedule)
    now = schedules.engines().clock.now()
    for moment in schedule_times.due_times(schedule, zone, entry.progress.until, now):
        key, error = f"{OWN_KEY}{entry.key} {entry.progress.written_at} {moment}", None
        try:
            await fire(schedules, entry.tenant, schedule, key, source=entry)
        except BellcastError as refusal:
            error = _final(refusal)
        entry = await _save(schedules, entry, until=moment, last_at=moment, last_error=error)
    # A later time is of a clock that was ahead: cron fires at these times again, each once by its idempotency key.
    until = entry.progress.until
    if until < now or (until > now and schedule.cron is not None):
        await _save(schedules, entry, until=now)
    return next(iter(schedule_times.next_times(schedule, [zone], now, 1)), None)


async def _save(schedules: Schedules, entry: FoundSchedule, **changes: Any) -> FoundSchedule:
    """Save the progress of a schedule, and return it. Raises ScheduleChanged if another one was saved since it was read."""
    engines, progress = schedules.engines(), replace(entry.progress, **changes)
    body, now = msgspec.json.encode(progress), engines.clock.now()
    place = (PROGRESS, entry.tenant, entry.key)
    if not await Documents(engines.db).change(*place, entry.progress_body, body, now):
        raise ScheduleChanged
    return replace(entry, progress=progress, progress_body=body)


async def fire(
    schedules: Schedules,
    tenant: str,
    schedule: StoredSchedule,
    idempotency_key: str | None,
    claim: Claim | None = None,
    source: FiredSchedule | None = None,
) -> bytes:
    """Trigger the workflow or send the notification; return the response. Raises Invalid, NotFound and Conflict, and
    ScheduleChanged if the stored schedule is no longer `source`."""
    if schedule.workflow is None:
        return await sending.send(
            schedules.engines(), schedules.limits, _send_of(schedule, tenant), claim, idempotency_key
        )
    return await schedules.triggers.start(
        schedule.workflow, _trigger_of(schedule, tenant, idempotency_key), claim, source
    )


async def plan_firing(
    schedules: Schedules, tenant: str, schedule: StoredSchedule, limit: int
) -> tuple[int | None, Sequence[NewDecision]]:
    """Return what the trigger or the send of a schedule would decide now, as `plan` and `sending.plan` return
    it."""
    if schedule.workflow is None:
        draft = _send_of(schedule, tenant)
        return await sending.plan(schedules.engines(), schedules.limits, draft, limit)
    return await schedules.plan(schedule.workflow, _trigger_of(schedule, tenant, None), limit)


async def _run_by_zone(schedules: Schedules, entry: FoundSchedule) -> int | None:
    schedule, progress = entry.schedule, entry.progress
    now, zones = schedules.engines().clock.now(), await schedules.zones(entry.tenant, schedule)
    due: dict[str, set[str]] = {}
    last_at, error = progress.last_at, progress.last_error
    for zone in zones:
        for moment in schedule_times.due_times(schedule, zone, progress.until, now):
            local = times.to_rfc3339(moment).astimezone(zone).replace(tzinfo=None).isoformat()
            due.setdefault(schedule.at or local, set()).add(zone.key)  # the same text in all zones
            last_at, error = max(moment, last_at or 0), None
    for local in sorted(due):
        error = await _fire_zones(schedules, entry, local, due[local]) or error
    await _save(schedules, entry, until=now, last_at=last_at, last_error=error)
    following = schedule_times.next_times(schedule, zones, now, 1)
    if (world := schedule_times.world_times(schedule)) is not None and now >= world[1]:
        return None
    return max(min([*following, now + ZONE_POLL_MS]), now if world is None else world[0])


async def _fire_zones(schedules: Schedules, entry: FoundSchedule, local: str, zones: set[str]) -> str | None:
    """Fire for the recipients in these zones who did not get this local time; return the last error."""
    engines, error = schedules.engines(), None
    claim = Claim(claim_name(entry.key, local), engines.clock.now() + CLAIM_MS)
    async for keys in _pages(schedules, entry):
        stored = await Documents(engines.db).get(SCHEDULES, entry.tenant, entry.key)
        if stored is None or stored.body != entry.body:
            raise ScheduleChanged
        is_fired = False
        while not is_fired:
            with contextlib.suppress(ClaimTaken):  # another process also runs the job, because this one was slow
                error = await _fire_unclaimed(schedules, entry, claim, keys, zones) or error
                is_fired = True
    return error


async def _pages(schedules: Schedules, entry: FoundSchedule) -> AsyncIterator[Sequence[str]]:
    engines, to = schedules.engines(), schedule_times.recipients_of(entry.schedule)
    if not isinstance(to, Audience):
        named = [to] if isinstance(to, str) else list(dict.fromkeys(to))
        for start in range(0, len(named), audiences.READ_PAGE):
            yield named[start : start + audiences.READ_PAGE]
        return
    position, now = "", engines.clock.now()
    owner = schedule_times.tenant_of(entry.schedule, entry.tenant)
    while keys := await audiences.page(engines.db, owner, to, position, now):
        yield keys
        position = keys[-1]


async def _fire_unclaimed(
    schedules: Schedules, entry: FoundSchedule, claim: Claim, keys: Sequence[str], zones: set[str]
) -> str | None:
    """Fire for those of these recipients who are in the zones; return the last error."""
    db, tenant = schedules.engines().db, schedule_times.tenant_of(entry.schedule, entry.tenant)
    settings = await schedules.triggers.router.catalog.tenant(tenant)
    unclaimed = await Runs(db).unclaimed(tenant, claim.name, keys)
    profiles = await Recipients(db).profiles(tenant, unclaimed) if unclaimed else {}
    chosen = [
        key
        for key in unclaimed
        if decision_inputs.zone_of(profiles.get(key) or Profile(key=key), settings).key in zones
    ]
    error, size = None, schedules.limits.to or audiences.READ_PAGE
    for start in range(0, len(chosen), size):
        error = await _fire_for(schedules, entry, claim, tenant, chosen[start : start + size]) or error
    return error


async def _fire_for(
    schedules: Schedules, entry: FoundSchedule, claim: Claim, tenant: str, keys: Sequence[str]
) -> str | None:
    """Fire for these recipients; return the last error. A refused request, perhaps because of a single recipient or
    an exhausted quota, is divided, so that the other recipients get it."""
    own: dict[str, Any] = {"to": keys}
    if entry.schedule.workflow is None:
        own = {"notification": {**(entry.schedule.notification or {}), **own}}
    try:
        await fire(schedules, tenant, replace(entry.schedule, **own), None, claim, entry)
    except (Invalid, TooMany) as refusal:
        if len(keys) == 1:
            return _final(refusal)
        middle = len(keys) // 2
        error = await _fire_for(schedules, entry, claim, tenant, keys[:middle])
        return await _fire_for(schedules, entry, claim, tenant, keys[middle:]) or error
    except BellcastError as refusal:
        return _final(refusal)
    return None


def _final(refusal: BellcastError) -> str:
    """Return the error of a refused firing. Raises refusals after which the firing is retried."""
    if isinstance(refusal, TooMany):
        raise Unavailable(refusal.detail) from refusal
    if refusal.is_server_error:
        raise refusal
    return str(refusal.detail)


def _trigger_of(schedule: StoredSchedule, tenant: str, idempotency_key: str | None) -> TriggerDraft:
    return TriggerDraft(
        to=schedule_times.recipients_of(schedule),
        data=schedule.data,
        actor=schedule.actor,
        cancel_key=schedule.cancel_key,
        tenant=tenant or None,
        idempotency_key=idempotency_key,
    )


def _send_of(schedule: StoredSchedule, tenant: str) -> Draft:
    notification = schedule_times.draft_of(schedule)
    return replace(notification, tenant=tenant or notification.tenant, idempotency_key=None)


# --- tasks

TASK_PROGRESS = "task-progress"


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
        draft = _converted({"idempotency_key": self._key([workflow, values]), **values}, TriggerDraft)
        validation.check(runs.draft_errors(draft, self._schedules.limits))
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
        found = await Documents(self.schedules.engines().db).get(TASK_PROGRESS, PROJECT, name)
        return None if found is None else msgspec.json.decode(found.body, type=TaskProgress)

    async def _save(self, name: str, schedule: Schedule, until: int) -> TaskProgress:
        engines = self.schedules.engines()
        progress = TaskProgress(until, *_times(schedule))
        await Documents(engines.db).put(
            TASK_PROGRESS, PROJECT, name, msgspec.json.encode(progress), engines.clock.now()
        )
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
