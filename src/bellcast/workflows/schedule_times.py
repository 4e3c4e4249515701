"""Times of schedules: cron expressions and single times, in one time zone or in each recipient's. Pure.

A cron expression has five fields with Debian's rules, including its rules for clock changes: a fixed time in a skipped hour
fires right after it; a fixed time in a repeated hour fires once, the first time. A minute or hour that begins with `*`
follows elapsed time."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError
from msgspec import Struct

from bellcast.inbox import types as notification_types
from bellcast.inbox.types import TO, Actor, Audience, Draft
from bellcast.kernel import times, validation
from bellcast.kernel.errors import FieldError, Invalid
from bellcast.kernel.field_limits import GIVEN, NULL, TEXT, Schema, ValueRule, one_of, only
from bellcast.kernel.http.validation_errors import field_error
from bellcast.kernel.identities import DEFAULT_TENANT, EVERY_TENANT
from bellcast.kernel.limits import Limits
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import TriggerDraft

# Maximum length: a list of every minute of an hour has 169 characters.
MAX_CRON_LENGTH = 500
# A time this far in the past is a mistake, or was missed.
LATE_MS = 60_000
# After downtime: the maximum age of the latest missed time, and the maximum number of missed times to make up for.
LATEST_MS = times.DAY_MS
MAX_MISSED = 100
# Value of `timezone` for each recipient's own time zone.
RECIPIENT_ZONE = "recipient"
# The zones that reach a local time first (UTC+14) and last (UTC-12).
FIRST_ZONE, LAST_ZONE = ZoneInfo("Etc/GMT-14"), ZoneInfo("Etc/GMT+12")

# Invalid combinations in a schedule or an event source: both or neither of its two contents, a workflow without
# recipients, or recipients and data beside a notification, which has its own.
CONTENT: list[Schema] = [
    {"properties": {"workflow": GIVEN, "notification": GIVEN}, "required": ["workflow", "notification"]},
    {"properties": {"workflow": NULL, "notification": NULL}},
    {"properties": {"workflow": GIVEN, "to": NULL}, "required": ["workflow"]},
    {"properties": {"notification": GIVEN, "to": GIVEN}, "required": ["notification", "to"]},
    {"properties": {"notification": GIVEN, "data": {"minProperties": 1}}, "required": ["notification", "data"]},
]


class Schedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to fire, by `cron` or `at`, and what: a `workflow` for `to`, or a `notification`. `timezone` is an IANA
    name, or "recipient" for each recipient's own time zone."""

    cron: str | None = None
    at: str | None = None
    timezone: str | None = None
    workflow: str | None = None
    to: Annotated[str | list[str] | Audience | None, ValueRule(schema=TO.schema)] = None
    data: dict[str, Any] = {}
    notification: dict[str, Any] | None = None
    missed: Literal["latest", "all", "skip"] = "latest"
    active: bool = True

    SCHEMA: ClassVar[Schema] = one_of(only("cron", TEXT, at=NULL), only("at", TEXT)) | {"not": {"anyOf": CONTENT}}

    @property
    def is_by_zone(self) -> bool:
        """True if it fires at the local time of each recipient."""
        return self.timezone == RECIPIENT_ZONE


class StoredSchedule(Schedule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule with additional fields for a trigger with `send_at`. A generated schedule is deleted some time after
    it has fired."""

    actor: Actor | str | None = None
    cancel_key: str | None = None
    is_generated: bool = False


class ScheduleProgress(Struct, frozen=True, kw_only=True):
    """The progress of a schedule: since it was written, it has fired for all times up to `until` (UTC milliseconds)."""

    until: int
    written_at: int = 0
    last_at: int | None = None
    last_error: str | None = None


def is_cron(expression: str) -> bool:
    """True for five fields that Debian's cron would accept and that fire at least once in the next years."""
    if len(expression) > MAX_CRON_LENGTH or len(expression.split()) != 5:
        return False
    try:
        next(CronSim(expression, times.EPOCH))
    except (CronSimError, StopIteration):
        return False
    return True


def cron_times_after(expression: str, zone: ZoneInfo, moment: int) -> Iterator[int]:
    """Yield the times (UTC milliseconds) after `moment`, in order."""
    for local in CronSim(expression, times.to_rfc3339(moment).astimezone(zone)):
        yield times.milliseconds(local.astimezone(UTC))


def cron_times_between(expression: str, zone: ZoneInfo, start: int, end: int, limit: int) -> list[int]:
    """Return the last `limit` times after `start` and up to `end`, oldest first."""
    found: list[int] = []
    for moment in CronSim(expression, times.to_rfc3339(end + 1).astimezone(zone), reverse=True):
        instant = times.milliseconds(moment.astimezone(UTC))
        if instant <= start or len(found) == limit:
            break
        found.append(instant)
    return found[::-1]


def check(schedule: Schedule, now: int, limits: Limits) -> None:
    """Raise Invalid with all errors, except those of references."""
    validation.check(time_errors(schedule, now), _content_errors(schedule, now, limits))


def time_errors(schedule: Schedule, now: int, at: str = "at", *, allows_past: bool = False) -> validation.FieldErrors:
    """Return the errors of the times; `at` is the name of the field in errors."""
    if (schedule.cron is None) == (schedule.at is None):
        yield FieldError("cron", "must have either cron or at")
        return
    if not schedule.is_by_zone and not times.is_zone(schedule.timezone or "UTC"):
        yield FieldError("timezone", "must be an IANA time zone such as Europe/Vienna, or recipient")
    if schedule.cron is not None:
        if not is_cron(schedule.cron):
            yield FieldError("cron", "must be five fields of cron, such as 0 8 * * 1-5")
        return
    if (world := world_times(schedule)) is None:
        yield FieldError(at, "must be a time such as 2030-01-31T12:00:00Z, or one without an offset and a timezone")
    elif schedule.is_by_zone and world[0] == world[1]:
        yield FieldError(at, "must have no offset with the timezone recipient")
    elif (world[1] < now - LATE_MS and not allows_past) or world[0] > now + times.MAX_AHEAD_SECONDS * 1000:
        yield FieldError(at, "must be in the future, at most 366 days ahead")


def _content_errors(schedule: Schedule, now: int, limits: Limits) -> validation.FieldErrors:
    if (schedule.workflow is None) == (schedule.notification is None):
        yield FieldError("workflow", "must have either workflow or notification")
        return
    try:
        if schedule.workflow is not None:
            if schedule.to is None:
                yield FieldError("to", "is missing")
            else:
                trigger = TriggerDraft(to=schedule.to, data=schedule.data)
                validation.check(runs.draft_errors(trigger, limits))
            return
        if schedule.to is not None:
            yield FieldError("to", "must be a field of the notification instead")
        if schedule.data:
            yield FieldError("data", "must be a field of the notification instead")
        draft = draft_of(schedule)
        for name in ("send_at", "timezone"):
            if getattr(draft, name) is not None:
                yield FieldError(f"notification.{name}", "must be a field of the schedule instead")
        if schedule.is_by_zone and isinstance(draft.to, Audience) and draft.to.tenant == EVERY_TENANT:
            yield FieldError("notification.to.tenant", "must be one tenant with the timezone recipient")
        yield from expiry_errors(schedule, draft, "notification.expires_at", "at")
        notification_types.check_draft(draft, limits, times.to_rfc3339(now))
    except Invalid as error:
        prefix = "" if schedule.workflow is not None else "notification."
        yield from (FieldError(f"{prefix}{one.field}", one.message) for one in error.errors)


def expiry_errors(schedule: Schedule, draft: Draft | TriggerDraft, field: str, at: str) -> validation.FieldErrors:
    """Refuse a notification that expires before its time, in the first zone that reaches it."""
    sent, end = world_times(schedule), draft.expires_at if isinstance(draft, Draft) else None
    if sent is not None and end is not None and end.tzinfo is not None and times.milliseconds(end) <= sent[0]:
        yield FieldError(field, f"must be after {at}")


def draft_of(schedule: Schedule) -> Draft:
    """Return the notification. Raises Invalid."""
    try:
        return msgspec.convert(schedule.notification, Draft)
    except msgspec.ValidationError as error:
        raise Invalid.fields([field_error(error)]) from None


def _at(schedule: Schedule, zone: ZoneInfo) -> int | None:
    """Return the time of `at` in UTC milliseconds; None if it is not a time. Without an offset, it is local: in the
    schedule's time zone, or in the given one."""
    try:
        moment = datetime.fromisoformat(schedule.at or "")
    except ValueError:
        return None
    if moment.tzinfo is not None:
        return times.milliseconds(moment) if times.is_storable(moment) else None
    if schedule.timezone is None or not times.is_storable(moment.replace(tzinfo=LAST_ZONE)):
        return None
    own = None if schedule.is_by_zone else times.find_zone(schedule.timezone)
    return times.to_utc(moment.date(), moment.time(), own or zone)


def zone_of(schedule: Schedule) -> ZoneInfo:
    """Return the time zone of a schedule that has a single one."""
    return times.find_zone(schedule.timezone or "UTC") or times.UTC_ZONE


def next_times(schedule: Schedule, zones: Sequence[ZoneInfo], moment: int, count: int) -> list[int]:
    """Return the next times after a moment, in any of the zones."""
    found: set[int] = set()
    for zone in zones:
        if schedule.cron is not None:
            found.update(islice(cron_times_after(schedule.cron, zone, moment), count))
        elif (at := _at(schedule, zone)) is not None and at > moment:
            found.add(at)
    return sorted(found)[:count]


def due_times(schedule: Schedule, zone: ZoneInfo, until: int, now: int) -> list[int]:
    """Return the times after `until` to fire now, oldest first. Missed times are included as the schedule specifies."""
    if schedule.cron is not None:
        due = cron_times_between(schedule.cron, zone, until, now, MAX_MISSED)
    else:
        due = [at for at in next_times(schedule, [zone], until, 1) if at <= now]
        if schedule.is_by_zone and until == 0:
            return due  # it has just been written: in zones where the time has passed, it fires immediately
    missed = [at for at in due if now - at > LATE_MS]
    on_time = due[len(missed) :]
    if schedule.missed == "all":
        return due
    if schedule.missed == "skip" or on_time:
        return on_time
    return [at for at in missed[-1:] if now - at <= LATEST_MS]


def world_times(schedule: Schedule) -> tuple[int, int] | None:
    """Return the first and the last moment at which the local time of `at` occurs anywhere; None for cron."""
    first, last = (_at(schedule, zone) for zone in (FIRST_ZONE, LAST_ZONE))
    return None if first is None or last is None else (first, last)


def tenant_of(schedule: Schedule, tenant: str) -> str:
    """Return the tenant of the recipients of a schedule in `tenant`. A schedule of the default tenant can name another one."""
    to = recipients_of(schedule)
    if isinstance(to, Audience) and to.tenant is not None:
        return to.tenant
    named = None if schedule.notification is None else draft_of(schedule).tenant
    return tenant or named or DEFAULT_TENANT


def recipients_of(schedule: Schedule) -> str | list[str] | Audience:
    """Return the recipients of a schedule's trigger or notification."""
    if schedule.workflow is not None and schedule.to is not None:
        return schedule.to
    return draft_of(schedule).to
