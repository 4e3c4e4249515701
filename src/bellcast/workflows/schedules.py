"""Schedules: triggers and notifications at a time, or at the times of a cron expression.

The definition and the progress of a schedule are separate documents, so that a change by the app and a firing at the same time
do not overwrite each other. Each firing has an idempotency key of its time and of when the schedule was written: one that is repeated after a crash has no effect.
With the time zone of each recipient, a firing is many requests, and each recipient is claimed for the local time."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from bellcast.channels import audiences, decision_inputs
from bellcast.channels.tenant_settings import TenantSettings
from bellcast.errors import BellcastError, Invalid, TooMany, Unavailable
from bellcast.inbox import sending
from bellcast.model import times
from bellcast.model.identities import DEFAULT_TENANT, EVERY_TENANT, Profile
from bellcast.model.limits import Limits
from bellcast.model.notifications import Audience, Draft
from bellcast.model.preferences import CHANNELS, Channel
from bellcast.ports import Context, Job, NewDecision
from bellcast.ports.runs import FiredSchedule, NewSchedule, ScheduleChanged, TriggerRequest
from bellcast.ports.sends import Claim, ClaimTaken
from bellcast.workflows import schedule_times
from bellcast.workflows.schedule_times import Schedule, ScheduleProgress, StoredSchedule
from bellcast.workflows.triggers import Origin, TriggerDraft, Triggers
from bellcast.workflows.workflow_catalog import WorkflowCatalog

SCHEDULES, PROGRESS, CANCEL_NAMES = "schedules", "schedule-progress", "schedule-cancel"
JOB_KIND = "schedule"
# What the idempotency keys of firings begin with. Clients cannot send a control character.
OWN_KEY = "\x1fschedule "
SERVER_ERROR = 500
# Recipients may move to another zone: then their next time is found this much later at most.
ZONE_POLL_MS = 3_600_000
# A local time is 26 hours long around the world; after downtime it may be made up for during another day.
CLAIM_MS = 3 * 86_400_000
# As long as runs by default.
GENERATED_MS = 30 * 86_400_000
# Waiting triggers with one cancel key that are read at once.
CANCEL_PAGE = 100
# Fields of a send that its schedule has instead, or that are of the request.
NOT_STORED = frozenset({"send_at", "timezone", "tenant", "idempotency_key"})


# Decides for a tenant, a workflow, the type of its notifications, recipients and channels.
PlanSteps = Callable[[str, str, str | None, Sequence[str], Sequence[Channel]], Awaitable[Sequence[NewDecision]]]


class ScheduleName(Struct, frozen=True, array_like=True):
    """The payload of a schedule's job."""

    tenant: str
    key: str


class _Firing(Struct, frozen=True):
    """A schedule that fires by zone; `source` must not change until its requests commit."""

    name: ScheduleName
    schedule: StoredSchedule
    source: FiredSchedule | None


def job_id(tenant: str, key: str) -> str:
    """The id of a schedule's job."""
    return f"schedule {tenant} {key}"


class Schedules:
    """Writes schedules, and fires those that are due."""

    def __init__(
        self,
        engines: Callable[[], Context],
        workflow_catalog: WorkflowCatalog,
        triggers: Triggers,
        settings_of: Callable[[str], Awaitable[TenantSettings]],
        plan_steps: PlanSteps,
        limits: Limits,
    ) -> None:
        self._engines = engines
        self._workflow_catalog = workflow_catalog
        self._triggers = triggers
        self._settings_of = settings_of
        self._plan_steps = plan_steps
        self._limits = limits

    # --- writing

    async def put(self, tenant: str, key: str, schedule: Schedule) -> bool:
        """Write a checked schedule, which fires from now on; whether it is new. Raises Invalid for an unknown workflow."""
        engines = self._engines()
        await self.check_references(tenant, schedule)
        is_new = await engines.store.documents.get(SCHEDULES, tenant, key) is None
        stored = msgspec.convert(msgspec.to_builtins(schedule), StoredSchedule)
        new = await self._new(tenant, key, stored)
        await engines.store.runs.start(TriggerRequest(tenant=tenant, created_at=engines.clock.now(), schedules=(new,)))
        engines.router.messages_added()
        return is_new

    async def check_references(self, tenant: str, schedule: Schedule) -> None:
        """Raise Invalid for an unknown workflow."""
        if schedule.workflow is not None and await self._workflow_catalog.find(tenant, schedule.workflow) is None:
            raise Invalid.of("workflow", f"names an unknown workflow {schedule.workflow[:100]!r}")

    async def _new(self, tenant: str, key: str, schedule: StoredSchedule) -> NewSchedule:
        """A schedule that fires from now on."""
        now = self._engines().clock.now()
        progress = new_progress(schedule, now)
        following = await self.times_after(tenant, schedule, progress.until, 1)
        world = schedule_times.world_times(schedule) if schedule.is_by_zone else None
        if schedule.is_by_zone and world is None:
            following = [*following, now + ZONE_POLL_MS]  # recipients may come, or move to an earlier zone
        job = Job(
            id=job_id(tenant, key),
            kind=JOB_KIND,
            payload=msgspec.json.encode(ScheduleName(tenant, key)),
            run_at=max(now, world[0]) if world is not None else min(following, default=now),
            created_at=now,
            tenant=tenant,
        )
        has_job = schedule.active and (bool(following) or world is not None)
        body, state = msgspec.json.encode(schedule), msgspec.json.encode(progress)
        cancel_name = None if schedule.cancel_key is None else f"{_cancel_prefix(schedule)}{key}"
        return NewSchedule(key, body, state, job if has_job else None, cancel_name)

    async def delete(self, tenant: str, key: str) -> bool:
        """Delete a schedule; whether there was one."""
        documents = self._engines().store.documents
        found = await self.find(tenant, key)
        if found is not None and found[0].cancel_key is not None:
            await documents.delete(CANCEL_NAMES, tenant, f"{_cancel_prefix(found[0])}{key}")
        await documents.delete(PROGRESS, tenant, key)
        return await documents.delete(SCHEDULES, tenant, key)

    async def find(self, tenant: str, key: str) -> tuple[StoredSchedule, ScheduleProgress] | None:
        """A schedule and its progress."""
        found = await self._find(tenant, key)
        return None if found is None else found[:2]

    async def _find(self, tenant: str, key: str) -> tuple[StoredSchedule, ScheduleProgress, bytes] | None:
        """A schedule, its progress, and its body as it is stored."""
        documents = self._engines().store.documents
        found = await documents.get(SCHEDULES, tenant, key)
        progress = await documents.get(PROGRESS, tenant, key)
        if found is None:
            return None
        schedule = msgspec.json.decode(found.body, type=StoredSchedule)
        if progress is None:
            return schedule, ScheduleProgress(until=found.created_at), found.body
        return schedule, msgspec.json.decode(progress.body, type=ScheduleProgress), found.body

    async def times_after(self, tenant: str, schedule: Schedule, moment: int, count: int) -> list[int]:
        """The next times after a moment, in the zones of its recipients."""
        return schedule_times.times_after(schedule, await self._zones(tenant, schedule), moment, count)

    async def shown(self, key: str, tenant: str, schedule: Schedule, progress: ScheduleProgress) -> dict[str, Any]:
        """A schedule as the API returns it."""
        following: Sequence[int] = ()
        if schedule.active:
            following = await self.times_after(tenant, schedule, progress.until, 1)
        values = msgspec.to_builtins(schedule)
        fields = {name: values[name] for name in Schedule.__struct_fields__ if values[name] is not None}
        return {
            **fields,
            "key": key,
            "tenant": tenant or None,
            "next_at": times.to_rfc3339(following[0]) if following else None,
            "last_at": times.to_rfc3339_or_null(progress.last_at),
            "last_error": progress.last_error,
        }

    # --- sends and triggers with `send_at`

    async def send_later(self, draft: Draft) -> bytes:
        """Schedule a send; return the answer. Raises Invalid and IdempotencyMismatch."""
        tenant = DEFAULT_TENANT if draft.tenant in (None, EVERY_TENANT) else str(draft.tenant)
        values = {name: value for name, value in msgspec.to_builtins(draft).items() if value is not None}
        kept = NOT_STORED - {"tenant"} if draft.tenant == EVERY_TENANT else NOT_STORED
        notification = {name: value for name, value in values.items() if name not in kept}
        schedule = StoredSchedule(
            at=draft.send_at, timezone=draft.timezone, notification=notification, missed="all", is_generated=True
        )
        self._check_time(schedule)
        await sending.plan(self._engines(), self._limits, msgspec.structs.replace(draft, send_at=None, timezone=None))
        return await self._later(tenant, schedule, draft.idempotency_key, draft)

    async def trigger(self, workflow: str, draft: TriggerDraft) -> bytes:
        """Commit a checked trigger, or a schedule for one with `send_at`; return the answer. Raises NotFound, Conflict, Invalid
        and IdempotencyMismatch."""
        if draft.send_at is not None or draft.timezone is not None:
            return await self.trigger_later(workflow, draft)
        answer = await self._triggers.trigger(workflow, draft)
        self._engines().router.messages_added()
        return answer

    async def trigger_later(self, workflow: str, draft: TriggerDraft) -> bytes:
        """Schedule a checked trigger; return the answer. Raises NotFound, Conflict, Invalid and IdempotencyMismatch."""
        tenant = draft.tenant or DEFAULT_TENANT
        schedule = _later(workflow, draft)
        self._check_time(schedule)
        await self._triggers.prepare(workflow, draft, Origin(tenant))
        return await self._later(tenant, schedule, draft.idempotency_key, [workflow, draft])

    async def plan(self, workflow: str, draft: TriggerDraft) -> tuple[int | None, Sequence[NewDecision]]:
        """What the sending steps of a checked trigger would decide now: the number of named recipients, and the decisions for
        the first of them. None and no decisions for an audience. Raises NotFound, Conflict and Invalid."""
        if draft.send_at is not None or draft.timezone is not None:
            self._check_time(_later(workflow, draft))
        request = await self._triggers.prepare(workflow, draft, Origin(draft.tenant or DEFAULT_TENANT))
        if not request.runs:
            return None, ()
        first = request.runs[: sending.PLANNED]
        definition = await self._workflow_catalog.definition(first[0].owner, workflow, first[0].version)
        types = {step.type for step in definition.ordered}
        channels = [channel for channel in CHANNELS if channel in types]
        plan = await self._plan_steps(
            request.tenant, workflow, definition.type, [run.recipient for run in first], channels
        )
        return len(request.runs), plan

    async def cancel(
        self,
        tenant: str,
        workflow: str,
        cancel_key: str,
        recipients: Sequence[str] | None,
        *,
        is_dry_run: bool = False,
    ) -> int:
        """Cancel the triggers of a workflow that have this key and wait for their time, for all recipients or some; return
        for how many. A trigger to an audience counts as one, and is cancelled as a whole only. A dry run only counts."""
        documents, cancelled = self._engines().store.documents, 0
        prefix = after = _cancel_prefix(StoredSchedule(workflow=workflow, cancel_key=cancel_key))
        while True:
            found = await documents.page(CANCEL_NAMES, tenant, after, CANCEL_PAGE)
            keys = [one.key.removeprefix(prefix) for one in found if one.key.startswith(prefix)]
            for key in keys:
                cancelled += await self._cancel(tenant, key, recipients, is_dry_run=is_dry_run)
            if len(keys) < CANCEL_PAGE:
                return cancelled
            after = found[-1].key

    async def _cancel(self, tenant: str, key: str, recipients: Sequence[str] | None, *, is_dry_run: bool) -> int:
        documents = self._engines().store.documents
        while True:
            found = await self._find(tenant, key)
            if found is None or found[0].cancel_key is None:  # deleted or replaced
                return 0
            schedule, progress, before = found
            left, waiting = await self._without(tenant, key, schedule, recipients)
            if not waiting or (progress.last_at is not None and not schedule.is_by_zone):
                return 0
            if is_dry_run:
                return waiting
            after = None if left is None else msgspec.json.encode(left)
            if await documents.change(SCHEDULES, tenant, key, before, after, self._engines().clock.now()):
                if left is None:
                    await documents.delete(PROGRESS, tenant, key)
                    await documents.delete(CANCEL_NAMES, tenant, f"{_cancel_prefix(schedule)}{key}")
                return waiting

    async def _without(
        self, tenant: str, key: str, schedule: StoredSchedule, recipients: Sequence[str] | None
    ) -> tuple[StoredSchedule | None, int]:
        """The schedule without these recipients, None if none is left; and for how many of them it has not fired."""
        to = _recipients_of(schedule)
        if isinstance(to, Audience):
            return (None, 1) if recipients is None else (schedule, 0)
        named = [to] if isinstance(to, str) else list(dict.fromkeys(to))
        removed = [one for one in named if recipients is None or one in recipients]
        left = [one for one in named if one not in removed]
        waiting = removed
        if schedule.is_by_zone:
            claim = _claim_name(key, schedule.at or "")
            waiting = await self._engines().store.runs.unclaimed(tenant, claim, removed)
        return (msgspec.structs.replace(schedule, to=left) if left else None), len(waiting)

    def _check_time(self, schedule: Schedule) -> None:
        if schedule.at is None:
            raise Invalid.of("timezone", "needs send_at")
        errors = list(schedule_times.time_errors(schedule, self._engines().clock.now(), "send_at"))
        if errors:
            raise Invalid.fields(errors)

    async def _later(self, tenant: str, schedule: StoredSchedule, idempotency_key: str | None, request: Any) -> bytes:
        engines = self._engines()
        now = engines.clock.now()
        key = f"send-{engines.new_id(now)}"
        following = await self.times_after(tenant, schedule, new_progress(schedule, now).until, 1)
        next_at = times.to_rfc3339(following[0]) if following else None
        answer = await engines.store.runs.start(
            TriggerRequest(
                tenant=tenant,
                created_at=now,
                schedules=(await self._new(tenant, key, schedule),),
                idempotency_key=idempotency_key,
                fingerprint=b"" if idempotency_key is None else _fingerprint(request),
                answer=msgspec.json.encode({"schedule": {"key": key, "next_at": next_at}}),
            )
        )
        engines.router.messages_added()
        return answer

    # --- firing

    async def run(self, job: Job) -> int | None:
        """Fire what is due. Return the next time, or None."""
        name = msgspec.json.decode(job.payload, type=ScheduleName)
        found = await self._find(name.tenant, name.key)
        if found is None or not found[0].active:
            return None
        schedule, progress, body = found
        # A cancelled trigger must not start afterwards.
        source = None if schedule.cancel_key is None else FiredSchedule(name.tenant, name.key, body)
        fire = self._run_by_zone if schedule.is_by_zone else self._run
        try:
            following = await fire(name, schedule, progress, source)
        except ScheduleChanged:
            return self._engines().clock.now()  # read it again
        if following is None and schedule.is_generated:
            return await self._delete_generated(name, progress)
        return following

    async def _delete_generated(self, name: ScheduleName, progress: ScheduleProgress) -> int | None:
        """Delete a schedule of a send that is long past; return when it is."""
        now = self._engines().clock.now()
        if progress.last_at is None or progress.last_at + GENERATED_MS > now:
            return now + GENERATED_MS
        await self.delete(name.tenant, name.key)
        return None

    async def _run(
        self,
        name: ScheduleName,
        schedule: StoredSchedule,
        progress: ScheduleProgress,
        source: FiredSchedule | None,
    ) -> int | None:
        now, zone = self._engines().clock.now(), schedule_times.zone_of(schedule)
        for moment in schedule_times.due_times(schedule, zone, progress.until, now):
            key = f"{OWN_KEY}{name.key} {progress.written_at} {moment}"
            error = await self._refusal(self.fire(name.tenant, schedule, key, source=source))
            progress = msgspec.structs.replace(progress, until=moment, last_at=moment, last_error=error)
            await self._save(name, progress)
        if progress.until < now:
            await self._save(name, msgspec.structs.replace(progress, until=now))
        return next(iter(schedule_times.times_after(schedule, [zone], now, 1)), None)

    async def _save(self, name: ScheduleName, progress: ScheduleProgress) -> None:
        engines = self._engines()
        body = msgspec.json.encode(progress)
        await engines.store.documents.put(PROGRESS, name.tenant, name.key, body, engines.clock.now())

    async def _refusal(self, firing: Any) -> str | None:
        """The error of a firing that was refused. Raises the errors after which it is repeated."""
        try:
            await firing
        except TooMany as error:
            raise Unavailable(error.detail) from error
        except BellcastError as error:
            if error.status >= SERVER_ERROR:
                raise
            return error.detail
        return None

    async def fire(
        self,
        tenant: str,
        schedule: StoredSchedule,
        idempotency_key: str | None,
        claim: Claim | None = None,
        source: FiredSchedule | None = None,
    ) -> bytes:
        """Trigger the workflow or send the notification; return the answer. Raises Invalid, NotFound and Conflict, and
        ScheduleChanged if the `source` is not stored like this any more."""
        engines = self._engines()
        if schedule.workflow is None:
            return await sending.send(engines, self._limits, _send_of(schedule, tenant), claim, idempotency_key)
        draft = _trigger_of(schedule, tenant, idempotency_key)
        answer = await self._triggers.trigger(schedule.workflow, draft, claim, source)
        engines.router.messages_added()
        return answer

    async def plan_firing(self, tenant: str, schedule: StoredSchedule) -> tuple[int | None, Sequence[NewDecision]]:
        """What the trigger or the send of a schedule would decide now, as `plan` and `sending.plan` return it."""
        if schedule.workflow is None:
            return await sending.plan(self._engines(), self._limits, _send_of(schedule, tenant))
        return await self.plan(schedule.workflow, _trigger_of(schedule, tenant, None))

    # --- the zones of recipients

    async def _zones(self, tenant: str, schedule: Schedule) -> list[ZoneInfo]:
        """The zones in which a schedule fires: its own, or those of its recipients."""
        if not schedule.is_by_zone:
            return [schedule_times.zone_of(schedule)]
        store, to = self._engines().store, _recipients_of(schedule)
        if isinstance(to, Audience):
            tenant = to.tenant or tenant
            profiles = [Profile(key="", timezone=name) for name in await store.recipients.timezones(tenant)]
        else:
            keys = [to] if isinstance(to, str) else to
            known = await store.recipients.profiles(tenant, keys)
            profiles = [known.get(key) or Profile(key=key) for key in keys]
        settings = await self._settings_of(tenant)
        zones = {zone.key: zone for zone in (decision_inputs.zone_of(one, settings) for one in profiles)}
        return list(zones.values())

    async def _run_by_zone(
        self,
        name: ScheduleName,
        schedule: StoredSchedule,
        progress: ScheduleProgress,
        source: FiredSchedule | None,
    ) -> int | None:
        now, zones = self._engines().clock.now(), await self._zones(name.tenant, schedule)
        due: dict[str, set[str]] = {}
        firing = _Firing(name, schedule, source)
        last_at, error = progress.last_at, progress.last_error
        for zone in zones:
            for moment in schedule_times.due_times(schedule, zone, progress.until, now):
                due.setdefault(schedule_times.local_time(schedule, zone, moment), set()).add(zone.key)
                last_at, error = max(moment, last_at or 0), None
        for local in sorted(due):
            error = await self._fire_zones(firing, local, due[local]) or error
        await self._save(name, msgspec.structs.replace(progress, until=now, last_at=last_at, last_error=error))
        following = schedule_times.times_after(schedule, zones, now, 1)
        world = schedule_times.world_times(schedule)
        if world is not None and now >= world[1]:
            return None
        poll_at = now + ZONE_POLL_MS
        return max(min([*following, poll_at]), now if world is None else world[0])

    async def _fire_zones(self, firing: _Firing, local: str, zones: set[str]) -> str | None:
        """Fire for the recipients in these zones who did not get this local time; return the last error."""
        name = firing.name
        claim = Claim(_claim_name(name.key, local), self._engines().clock.now() + CLAIM_MS)
        error = None
        async for keys in self._pages(name.tenant, firing.schedule):
            error = await self._fire_page(firing, claim, keys, zones) or error
        return error

    async def _pages(self, tenant: str, schedule: Schedule) -> AsyncIterator[Sequence[str]]:
        """The recipients, page by page."""
        engines, to = self._engines(), _recipients_of(schedule)
        if not isinstance(to, Audience):
            named = [to] if isinstance(to, str) else list(dict.fromkeys(to))
            for start in range(0, len(named), audiences.FANOUT_PAGE):
                yield named[start : start + audiences.FANOUT_PAGE]
            return
        position, now = "", engines.clock.now()
        while keys := await audiences.page(engines.store, to.tenant or tenant, to, position, now):
            yield keys
            position = keys[-1]

    async def _fire_page(self, firing: _Firing, claim: Claim, keys: Sequence[str], zones: set[str]) -> str | None:
        name, schedule = firing.name, firing.schedule
        store, to = self._engines().store, _recipients_of(schedule)
        tenant = (to.tenant if isinstance(to, Audience) else None) or name.tenant
        settings = await self._settings_of(tenant)
        while True:
            unclaimed = await store.runs.unclaimed(tenant, claim.name, keys)
            profiles = await store.recipients.profiles(tenant, unclaimed) if unclaimed else {}
            chosen = [
                key
                for key in unclaimed
                if decision_inputs.zone_of(profiles.get(key) or Profile(key=key), settings).key in zones
            ]
            if not chosen:
                return None
            try:
                return await self._refusal(self.fire(tenant, _for(schedule, chosen), None, claim, firing.source))
            except ClaimTaken:  # another process has the job too, because this one was slow
                continue


def new_progress(schedule: Schedule, now: int) -> ScheduleProgress:
    """The progress of a schedule that fires from now on. An `at` that has just passed still fires; by zone, it fires wherever
    the time has passed."""
    if schedule.cron is not None:
        return ScheduleProgress(until=now, written_at=now)
    until = 0 if schedule.is_by_zone else now - schedule_times.LATE_MS - 1
    return ScheduleProgress(until=until, written_at=now)


def _later(workflow: str, draft: TriggerDraft) -> StoredSchedule:
    """The schedule of a trigger with `send_at`."""
    return StoredSchedule(
        at=draft.send_at,
        timezone=draft.timezone,
        workflow=workflow,
        to=draft.to,
        data=draft.data,
        actor=draft.actor,
        cancel_key=draft.cancel_key,
        missed="all",
        is_generated=True,
    )


def _trigger_of(schedule: StoredSchedule, tenant: str, idempotency_key: str | None) -> TriggerDraft:
    """The trigger of a schedule with a workflow."""
    return TriggerDraft(
        to=_recipients_of(schedule),
        data=schedule.data,
        actor=schedule.actor,
        cancel_key=schedule.cancel_key,
        tenant=tenant or None,
        idempotency_key=idempotency_key,
    )


def _send_of(schedule: StoredSchedule, tenant: str) -> Draft:
    """The send of a schedule with a notification."""
    notification = schedule_times.draft_of(schedule)
    return msgspec.structs.replace(notification, tenant=tenant or notification.tenant, idempotency_key=None)


def _cancel_prefix(schedule: StoredSchedule) -> str:
    """What the cancel names of a workflow's triggers with one key begin with: keys may hold any text."""
    text = msgspec.json.encode([schedule.workflow, schedule.cancel_key])
    return f"{hashlib.sha256(text).hexdigest()}:"


def _claim_name(key: str, local: str) -> str:
    """The claim of a schedule's recipients for one local time."""
    return f"schedule {key} {local}"


def _recipients_of(schedule: Schedule) -> str | list[str] | Audience:
    if schedule.workflow is not None and schedule.to is not None:
        return schedule.to
    return schedule_times.draft_of(schedule).to


def _for(schedule: StoredSchedule, keys: list[str]) -> StoredSchedule:
    """The schedule for these recipients only."""
    if schedule.workflow is not None:
        return msgspec.structs.replace(schedule, to=keys)
    return msgspec.structs.replace(schedule, notification={**(schedule.notification or {}), "to": keys})


def _fingerprint(request: Any) -> bytes:
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).digest()
