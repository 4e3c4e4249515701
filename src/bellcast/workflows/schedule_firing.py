"""Fires due schedules.

Each firing has an idempotency key made of its time and the time when the schedule was written, so a firing that is
repeated after a crash has no effect. With the time zone of each recipient, a firing consists of many requests, and each
recipient is claimed for the local time."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from bellcast.channels import audiences, decision_inputs
from bellcast.channels.types import NewDecision
from bellcast.documents.store import Documents
from bellcast.inbox import sending
from bellcast.inbox.types.notifications import Audience, Draft
from bellcast.inbox.types.sends import Claim, ClaimTaken
from bellcast.kernel import times
from bellcast.kernel.errors import BellcastError, Invalid, TooMany, Unavailable
from bellcast.kernel.jobs import Job
from bellcast.recipients.store import Recipients
from bellcast.recipients.types import Profile
from bellcast.workflows import schedule_times
from bellcast.workflows.schedule_times import StoredSchedule
from bellcast.workflows.schedules import ZONE_POLL_MS, FoundSchedule, Schedules, claim_name
from bellcast.workflows.store.runs import Runs
from bellcast.workflows.triggers import TriggerDraft
from bellcast.workflows.types.runs import PROGRESS, SCHEDULES, FiredSchedule, ScheduleChanged

# Prefix of the idempotency keys of firings. Clients cannot send a control character.
OWN_KEY = "\x1fschedule "
# Lifetime of claims. A local time lasts 26 hours around the world, and after downtime it may be made up for during
# another day.
CLAIM_MS = 3 * 86_400_000
# The default retention of runs.
GENERATED_MS = 30 * 86_400_000


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
    """Yield the recipients in pages."""
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
    """Return the trigger of a schedule with a workflow."""
    return TriggerDraft(
        to=schedule_times.recipients_of(schedule),
        data=schedule.data,
        actor=schedule.actor,
        cancel_key=schedule.cancel_key,
        tenant=tenant or None,
        idempotency_key=idempotency_key,
    )


def _send_of(schedule: StoredSchedule, tenant: str) -> Draft:
    """Return the send of a schedule with a notification."""
    notification = schedule_times.draft_of(schedule)
    return replace(notification, tenant=tenant or notification.tenant, idempotency_key=None)
