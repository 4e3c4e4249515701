"""Schedules: triggers and notifications at a time, or at the times of a cron expression.

The definition and the progress of a schedule are separate documents, so that a change by the app and a firing at the same time
do not overwrite each other. Each firing has an idempotency key of its time: one that is repeated after a crash has no effect."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from bellcast.errors import BellcastError, FieldError, Invalid
from bellcast.inbox import sending
from bellcast.model import local_times, times, validation
from bellcast.model.limits import Limits
from bellcast.model.notifications import Audience, Draft
from bellcast.ports import Context, Job
from bellcast.workflows import cron, triggers
from bellcast.workflows.library import Library
from bellcast.workflows.triggers import TriggerDraft, Triggers

SCHEDULES, PROGRESS = "schedules", "schedule-progress"
JOB_KIND = "schedule"
MAX_AHEAD_MS = 366 * 86_400_000
# A time that is this long past when it is read is a mistake, or was missed.
LATE_MS = 60_000
# After downtime: how old the latest missed time may be, and how many of all are made up for.
LATEST_MS = 24 * 3_600_000
MAX_MISSED = 100
SERVER_ERROR = 500


class Schedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to fire, by `cron` or `at`, and what: a `workflow` for `to`, or a `notification`."""

    cron: str | None = None
    at: str | None = None
    timezone: str | None = None
    workflow: str | None = None
    to: str | list[str] | Audience | None = None
    data: dict[str, Any] = {}
    notification: dict[str, Any] | None = None
    missed: Literal["latest", "all", "skip"] = "latest"
    active: bool = True


class ScheduleProgress(Struct, frozen=True, kw_only=True):
    """How far a schedule has fired: every time up to `until` (UTC milliseconds)."""

    until: int
    last_at: int | None = None
    last_error: str | None = None


class ScheduleName(Struct, frozen=True, array_like=True):
    """The payload of a schedule's job."""

    tenant: str
    key: str


def job_id(tenant: str, key: str) -> str:
    """The id of a schedule's job."""
    return f"schedule {tenant} {key}"


def check(schedule: Schedule, now: int, limits: Limits) -> None:
    """Raise Invalid with all errors, except those of what it refers to."""
    errors = [*_time_errors(schedule, now), *_content_errors(schedule, now, limits)]
    if errors:
        raise Invalid.fields(errors)


def _time_errors(schedule: Schedule, now: int) -> validation.FieldErrors:
    if (schedule.cron is None) == (schedule.at is None):
        yield FieldError("cron", "must have either cron or at")
        return
    if schedule.timezone is not None and local_times.find_zone(schedule.timezone) is None:
        yield FieldError("timezone", "must be an IANA time zone such as Europe/Vienna")
        return
    if schedule.cron is not None:
        if not cron.is_cron(schedule.cron):
            yield FieldError("cron", "must be five fields of cron, such as 0 8 * * 1-5")
        return
    moment = _at(schedule)
    if moment is None:
        yield FieldError("at", "must be a time such as 2030-01-31T12:00:00Z, or one without an offset and a timezone")
    elif not now - LATE_MS <= moment <= now + MAX_AHEAD_MS:
        yield FieldError("at", "must be in the future, at most 366 days ahead")


def _content_errors(schedule: Schedule, now: int, limits: Limits) -> validation.FieldErrors:
    if (schedule.workflow is None) == (schedule.notification is None):
        yield FieldError("workflow", "must have either workflow or notification")
        return
    try:
        if schedule.workflow is not None:
            if schedule.to is None:
                yield FieldError("to", "is missing")
                return
            triggers.check(TriggerDraft(to=schedule.to, data=schedule.data), limits)
            return
        for name in ("to", "data"):
            if getattr(schedule, name):
                yield FieldError(name, "must be in the notification")
        validation.check_draft(draft_of(schedule), limits, times.to_rfc3339(now))
    except Invalid as error:
        prefix = "" if schedule.workflow is not None else "notification."
        yield from (FieldError(f"{prefix}{one.field}", one.message) for one in error.errors)


def draft_of(schedule: Schedule) -> Draft:
    """The notification. Raises Invalid."""
    try:
        return msgspec.convert(schedule.notification, Draft)
    except msgspec.ValidationError as error:
        raise Invalid.of("", str(error)) from None


def _at(schedule: Schedule) -> int | None:
    """The time of `at` in UTC milliseconds; None if it is none."""
    try:
        moment = datetime.fromisoformat(schedule.at or "")
    except ValueError:
        return None
    if moment.tzinfo is not None:
        return times.milliseconds(moment) if times.is_storable(moment) else None
    if schedule.timezone is None:
        return None
    zone = _zone(schedule)
    return local_times.to_utc(moment.date(), moment.time(), zone)


def _zone(schedule: Schedule) -> ZoneInfo:
    return local_times.find_zone(schedule.timezone or "UTC") or local_times.UTC_ZONE


def times_after(schedule: Schedule, moment: int, count: int) -> list[int]:
    """The next times after a moment."""
    if schedule.cron is not None:
        return list(islice(cron.after(schedule.cron, _zone(schedule), moment), count))
    at = _at(schedule)
    return [at] if at is not None and at > moment else []


def due_times(schedule: Schedule, until: int, now: int) -> list[int]:
    """The times after `until` to fire now, oldest first; of those missed, as the schedule wants."""
    if schedule.cron is not None:
        due = cron.between(schedule.cron, _zone(schedule), until, now, MAX_MISSED)
    else:
        due = [at for at in times_after(schedule, until, 1) if at <= now]
    missed = [at for at in due if now - at > LATE_MS]
    on_time = due[len(missed) :]
    if schedule.missed == "all":
        return due
    if schedule.missed == "skip" or on_time:
        return on_time
    return [at for at in missed[-1:] if now - at <= LATEST_MS]


class Schedules:
    """Writes schedules, and fires those that are due."""

    def __init__(self, engines: Callable[[], Context], library: Library, triggers: Triggers, limits: Limits) -> None:
        self._engines = engines
        self._library = library
        self._triggers = triggers
        self._limits = limits

    async def put(self, tenant: str, key: str, schedule: Schedule) -> bool:
        """Write a checked schedule, which fires from now on; whether it is new. Raises Invalid for an unknown workflow."""
        engines = self._engines()
        await self.check_references(tenant, schedule)
        now = engines.clock.now()
        # An `at` that has just passed still fires.
        progress = ScheduleProgress(until=now if schedule.cron is not None else now - LATE_MS - 1)
        documents = engines.store.documents
        _, is_new = await documents.put(SCHEDULES, tenant, key, msgspec.json.encode(schedule), now)
        await documents.put(PROGRESS, tenant, key, msgspec.json.encode(progress), now)
        await self._plan(tenant, key, schedule, progress)
        return is_new

    async def check_references(self, tenant: str, schedule: Schedule) -> None:
        """Raise Invalid for an unknown workflow."""
        if schedule.workflow is not None and await self._library.find(tenant, schedule.workflow) is None:
            raise Invalid.of("workflow", f"names an unknown workflow {schedule.workflow[:100]!r}")

    async def _plan(self, tenant: str, key: str, schedule: Schedule, progress: ScheduleProgress) -> None:
        engines = self._engines()
        following = times_after(schedule, progress.until, 1)
        if schedule.active and following:
            payload, now = msgspec.json.encode(ScheduleName(tenant, key)), engines.clock.now()
            job = Job(
                id=job_id(tenant, key),
                kind=JOB_KIND,
                payload=payload,
                run_at=following[0],
                created_at=now,
                tenant=tenant,
            )
            await engines.store.jobs.add([job])
            engines.router.messages_added()

    async def delete(self, tenant: str, key: str) -> bool:
        """Delete a schedule; whether there was one."""
        documents = self._engines().store.documents
        await documents.delete(PROGRESS, tenant, key)
        return await documents.delete(SCHEDULES, tenant, key)

    async def find(self, tenant: str, key: str) -> tuple[Schedule, ScheduleProgress] | None:
        """A schedule and its progress."""
        documents = self._engines().store.documents
        found = await documents.get(SCHEDULES, tenant, key)
        progress = await documents.get(PROGRESS, tenant, key)
        if found is None:
            return None
        schedule = msgspec.json.decode(found.body, type=Schedule)
        if progress is None:
            return schedule, ScheduleProgress(until=found.created_at)
        return schedule, msgspec.json.decode(progress.body, type=ScheduleProgress)

    async def run(self, job: Job) -> int | None:
        """Fire what is due. Return the next time, or None."""
        name = msgspec.json.decode(job.payload, type=ScheduleName)
        found = await self.find(name.tenant, name.key)
        if found is None or not found[0].active:
            return None
        schedule, progress = found
        now = self._engines().clock.now()
        for moment in due_times(schedule, progress.until, now):
            error = await self._fire(name, schedule, moment)
            progress = ScheduleProgress(until=moment, last_at=moment, last_error=error)
            await self._save(name, progress)
        if progress.until < now:
            progress = msgspec.structs.replace(progress, until=now)
            await self._save(name, progress)
        return next(iter(times_after(schedule, now, 1)), None)

    async def _save(self, name: ScheduleName, progress: ScheduleProgress) -> None:
        engines = self._engines()
        body = msgspec.json.encode(progress)
        await engines.store.documents.put(PROGRESS, name.tenant, name.key, body, engines.clock.now())

    async def _fire(self, name: ScheduleName, schedule: Schedule, moment: int) -> str | None:
        """Fire for one time; return the error of one that was refused."""
        try:
            await self.fire(name.tenant, schedule, f"schedule {name.key} {moment}")
        except BellcastError as error:
            if error.status >= SERVER_ERROR:
                raise
            return error.detail
        return None

    async def fire(self, tenant: str, schedule: Schedule, idempotency_key: str | None) -> bytes:
        """Trigger the workflow or send the notification; return the answer. Raises Invalid, NotFound and Conflict."""
        engines = self._engines()
        if schedule.workflow is not None and schedule.to is not None:
            draft = TriggerDraft(
                to=schedule.to, data=schedule.data, tenant=tenant or None, idempotency_key=idempotency_key
            )
            answer = await self._triggers.trigger(schedule.workflow, draft)
            engines.router.messages_added()
            return answer
        notification = draft_of(schedule)
        changed = msgspec.structs.replace(
            notification, tenant=tenant or notification.tenant, idempotency_key=idempotency_key
        )
        return await sending.send(engines, self._limits, changed)


def shown(key: str, tenant: str, schedule: Schedule, progress: ScheduleProgress) -> dict[str, Any]:
    """A schedule as the API returns it."""
    following: Sequence[int] = times_after(schedule, progress.until, 1) if schedule.active else ()
    fields = {name: value for name, value in msgspec.to_builtins(schedule).items() if value is not None}
    return {
        **fields,
        "key": key,
        "tenant": tenant or None,
        "next_at": times.to_rfc3339(following[0]) if following else None,
        "last_at": times.to_rfc3339_or_null(progress.last_at),
        "last_error": progress.last_error,
    }
