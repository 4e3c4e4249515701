"""Fires due schedules.

Each firing has an idempotency key made of its time and the time when the schedule was written, so a firing that is
repeated after a crash has no effect. With the time zone of each recipient, a firing consists of many requests, and each
recipient is claimed for the local time."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec
from msgspec import Struct

from bellcast.channels import audiences, decision_inputs
from bellcast.channels.tenant_settings import TenantSettings
from bellcast.channels.types import NewDecision
from bellcast.context import Context
from bellcast.documents.store import Documents
from bellcast.inbox import sending
from bellcast.inbox.types.notifications import Audience, Draft
from bellcast.inbox.types.sends import Claim, ClaimTaken
from bellcast.kernel import times
from bellcast.kernel.errors import BellcastError, Invalid, TooMany, Unavailable
from bellcast.kernel.jobs.types import Job
from bellcast.kernel.limits import Limits
from bellcast.recipients.store.recipients import Recipients
from bellcast.recipients.types import Profile
from bellcast.workflows import schedule_times
from bellcast.workflows.schedule_times import Schedule, ScheduleProgress, StoredSchedule
from bellcast.workflows.schedules import ZONE_POLL_MS, ScheduleName, Schedules, claim_name
from bellcast.workflows.store.runs import Runs
from bellcast.workflows.triggers import TriggerDraft, Triggers
from bellcast.workflows.types.runs import PROGRESS, SCHEDULES, FiredSchedule, ScheduleChanged

# Prefix of the idempotency keys of firings. Clients cannot send a control character.
OWN_KEY = "\x1fschedule "
# Lifetime of claims. A local time lasts 26 hours around the world, and after downtime it may be made up for during
# another day.
CLAIM_MS = 3 * 86_400_000
# The default retention of runs.
GENERATED_MS = 30 * 86_400_000


class _Firing(Struct):
    """A schedule that fires, as it was read. `source` must not change until its requests commit, and `saved`, the body
    of its progress, until the next progress is saved."""

    name: ScheduleName
    schedule: StoredSchedule
    source: FiredSchedule
    saved: bytes | None


class ScheduleFiring(Struct, eq=False):
    """Fires schedules when they are due, and on request."""

    engines: Callable[[], Context]
    schedules: Schedules
    triggers: Triggers
    settings_of: Callable[[str], Awaitable[TenantSettings]]
    limits: Limits

    async def run(self, job: Job) -> int | None:
        """Fire a schedule for its due times. Return the next time, or None."""
        name = msgspec.json.decode(job.payload, type=ScheduleName)
        found = await self.schedules.find(name.tenant, name.key)
        if found is None or not found.schedule.active:
            return None
        source = FiredSchedule(name.tenant, name.key, found.body)  # a deleted or changed one must not fire
        firing = _Firing(name, found.schedule, source, found.progress_body)
        fire = self._run_by_zone if found.schedule.is_by_zone else self._run
        try:
            following = await fire(firing, found.progress)
        except ScheduleChanged:
            return self.engines().clock.now()  # read it again
        if following is None and found.schedule.is_generated:
            # A generated schedule is deleted when it fired long ago.
            now, last_at = self.engines().clock.now(), found.progress.last_at
            if last_at is None or last_at + GENERATED_MS > now:
                return now + GENERATED_MS
            await self.schedules.delete(name.tenant, name.key)
            return None
        return following

    async def _run(self, firing: _Firing, progress: ScheduleProgress) -> int | None:
        name, schedule = firing.name, firing.schedule
        now, zone = self.engines().clock.now(), schedule_times.zone_of(schedule)
        for moment in schedule_times.due_times(schedule, zone, progress.until, now):
            key, error = f"{OWN_KEY}{name.key} {progress.written_at} {moment}", None
            try:
                await self.fire(name.tenant, schedule, key, source=firing.source)
            except BellcastError as refusal:
                error = _final(refusal)
            progress = msgspec.structs.replace(progress, until=moment, last_at=moment, last_error=error)
            await self._save(firing, progress)
        # A later time is of a clock that was ahead: cron fires at these times again, each once by its idempotency key.
        if progress.until < now or (progress.until > now and schedule.cron is not None):
            await self._save(firing, msgspec.structs.replace(progress, until=now))
        return next(iter(schedule_times.next_times(schedule, [zone], now, 1)), None)

    async def _save(self, firing: _Firing, progress: ScheduleProgress) -> None:
        """Save the progress. Raises ScheduleChanged if another one was saved since it was read."""
        engines, name = self.engines(), firing.name
        body = msgspec.json.encode(progress)
        documents, now = Documents(engines.db), engines.clock.now()
        if not await documents.change(PROGRESS, name.tenant, name.key, firing.saved, body, now):
            raise ScheduleChanged
        firing.saved = body

    async def fire(
        self,
        tenant: str,
        schedule: StoredSchedule,
        idempotency_key: str | None,
        claim: Claim | None = None,
        source: FiredSchedule | None = None,
    ) -> bytes:
        """Trigger the workflow or send the notification; return the response. Raises Invalid, NotFound and Conflict, and
        ScheduleChanged if the stored schedule is no longer `source`."""
        engines = self.engines()
        if schedule.workflow is None:
            return await sending.send(engines, self.limits, _send_of(schedule, tenant), claim, idempotency_key)
        draft = _trigger_of(schedule, tenant, idempotency_key)
        response = await self.triggers.trigger(schedule.workflow, draft, claim, source)
        engines.router.messages_added()
        return response

    async def plan_firing(
        self, tenant: str, schedule: StoredSchedule, limit: int
    ) -> tuple[int | None, Sequence[NewDecision]]:
        """Return what the trigger or the send of a schedule would decide now, as `plan` and `sending.plan` return
        it."""
        if schedule.workflow is None:
            return await sending.plan(self.engines(), self.limits, _send_of(schedule, tenant), limit)
        return await self.schedules.plan(schedule.workflow, _trigger_of(schedule, tenant, None), limit)

    async def _run_by_zone(self, firing: _Firing, progress: ScheduleProgress) -> int | None:
        name, schedule = firing.name, firing.schedule
        now, zones = self.engines().clock.now(), await self.schedules.zones(name.tenant, schedule)
        due: dict[str, set[str]] = {}
        last_at, error = progress.last_at, progress.last_error
        for zone in zones:
            for moment in schedule_times.due_times(schedule, zone, progress.until, now):
                local = times.to_rfc3339(moment).astimezone(zone).replace(tzinfo=None).isoformat()
                due.setdefault(schedule.at or local, set()).add(zone.key)  # the same text in all zones
                last_at, error = max(moment, last_at or 0), None
        for local in sorted(due):
            error = await self._fire_zones(firing, local, due[local]) or error
        await self._save(firing, msgspec.structs.replace(progress, until=now, last_at=last_at, last_error=error))
        following = schedule_times.next_times(schedule, zones, now, 1)
        if (world := schedule_times.world_times(schedule)) is not None and now >= world[1]:
            return None
        return max(min([*following, now + ZONE_POLL_MS]), now if world is None else world[0])

    async def _fire_zones(self, firing: _Firing, local: str, zones: set[str]) -> str | None:
        """Fire for the recipients in these zones who did not get this local time; return the last error."""
        name = firing.name
        claim = Claim(claim_name(name.key, local), self.engines().clock.now() + CLAIM_MS)
        error = None
        async for keys in self._pages(name.tenant, firing.schedule):
            stored = await Documents(self.engines().db).get(SCHEDULES, name.tenant, name.key)
            if stored is None or stored.body != firing.source.body:
                raise ScheduleChanged
            error = await self._fire_page(firing, claim, keys, zones) or error
        return error

    async def _pages(self, tenant: str, schedule: Schedule) -> AsyncIterator[Sequence[str]]:
        """Yield the recipients in pages."""
        engines, to = self.engines(), schedule_times.recipients_of(schedule)
        if not isinstance(to, Audience):
            named = [to] if isinstance(to, str) else list(dict.fromkeys(to))
            for start in range(0, len(named), audiences.READ_PAGE):
                yield named[start : start + audiences.READ_PAGE]
            return
        position, now = "", engines.clock.now()
        owner = schedule_times.tenant_of(schedule, tenant)
        while keys := await audiences.page(engines.db, owner, to, position, now):
            yield keys
            position = keys[-1]

    async def _fire_page(self, firing: _Firing, claim: Claim, keys: Sequence[str], zones: set[str]) -> str | None:
        """Fire for those of these recipients who are in the zones; return the last error."""
        while True:
            try:
                return await self._fire_unclaimed(firing, claim, keys, zones)
            except ClaimTaken:  # another process also runs the job, because this one was slow
                continue

    async def _fire_unclaimed(self, firing: _Firing, claim: Claim, keys: Sequence[str], zones: set[str]) -> str | None:
        db, tenant = self.engines().db, schedule_times.tenant_of(firing.schedule, firing.name.tenant)
        settings = await self.settings_of(tenant)
        unclaimed = await Runs(db).unclaimed(tenant, claim.name, keys)
        profiles = await Recipients(db).profiles(tenant, unclaimed) if unclaimed else {}
        chosen = [
            key
            for key in unclaimed
            if decision_inputs.zone_of(profiles.get(key) or Profile(key=key), settings).key in zones
        ]
        error, size = None, self.limits.to or audiences.READ_PAGE
        for start in range(0, len(chosen), size):
            error = await self._fire_for(firing, claim, tenant, chosen[start : start + size]) or error
        return error

    async def _fire_for(self, firing: _Firing, claim: Claim, tenant: str, keys: list[str]) -> str | None:
        """Fire for these recipients; return the last error. A refused request, perhaps because of a single recipient or
        an exhausted quota, is divided, so that the other recipients get it."""
        scheduled = firing.schedule
        only = (
            {"notification": {**(scheduled.notification or {}), "to": keys}}
            if scheduled.workflow is None
            else {"to": keys}
        )
        try:
            await self.fire(tenant, msgspec.structs.replace(scheduled, **only), None, claim, firing.source)
        except (Invalid, TooMany) as refusal:
            if len(keys) == 1:
                return _final(refusal)
            middle = len(keys) // 2
            error = await self._fire_for(firing, claim, tenant, keys[:middle])
            return await self._fire_for(firing, claim, tenant, keys[middle:]) or error
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
    return msgspec.structs.replace(notification, tenant=tenant or notification.tenant, idempotency_key=None)
