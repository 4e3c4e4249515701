"""Schedules: triggers and notifications at a time, or at the times of a cron expression.

The definition and the progress of a schedule are separate documents, so that a change by the app and a firing at the same time
do not overwrite each other."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast.channels import audiences, decision_inputs
from bellcast.channels.types import NewDecision
from bellcast.documents.store import Documents
from bellcast.engines import Engines
from bellcast.inbox import sending
from bellcast.inbox.store import idempotency
from bellcast.inbox.store.sends import Sends
from bellcast.inbox.types import Audience, Draft
from bellcast.kernel import times, validation
from bellcast.kernel.clock import request_time
from bellcast.kernel.errors import Conflict, FieldError, Invalid, NotFound, PreconditionFailed
from bellcast.kernel.identities import DEFAULT_TENANT, EVERY_TENANT
from bellcast.kernel.jobs import Job
from bellcast.kernel.limits import Limits
from bellcast.preferences.types import CHANNELS
from bellcast.recipients.store import Recipients
from bellcast.recipients.types import Profile
from bellcast.workflows import schedule_times
from bellcast.workflows.schedule_times import Schedule, ScheduleProgress, StoredSchedule
from bellcast.workflows.store import Runs
from bellcast.workflows.triggers import Triggers
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import CANCEL_NAMES, PROGRESS, SCHEDULES, NewSchedule, TriggerDraft, TriggerRequest

JOB_KIND = "schedule"
# Interval between updates of the recipients' zones: a recipient who moves to another zone is considered at most this
# much later.
ZONE_POLL_MS = 3_600_000
# Maximum waiting triggers with one cancel key per read.
CANCEL_PAGE = 100
# Fields of a send that belong to its schedule or to the request instead.
NOT_STORED = frozenset({"send_at", "timezone", "tenant", "idempotency_key"})


class FoundSchedule(runs.FiredSchedule, frozen=True):
    """A schedule and its progress, as they were read. Without a stored progress, it starts when the schedule was created."""

    schedule: StoredSchedule
    progress: ScheduleProgress
    progress_body: bytes | None


class Schedules(Struct, eq=False):
    """Writes schedules, including those of sends and triggers at a later time."""

    engines: Callable[[], Engines]
    triggers: Triggers
    limits: Limits

    # --- writing

    async def put(self, tenant: str, key: str, schedule: Schedule, replaces: bytes | UnsetType | None = UNSET) -> bool:
        """Write a schedule, which takes effect now; return whether it is new. The caller has checked its fields and references. Raises
        PreconditionFailed if the stored body is not `replaces`."""
        engines = self.engines()
        if replaces is UNSET and await Documents(engines.db).get(SCHEDULES, tenant, key) is None:
            with contextlib.suppress(PreconditionFailed):  # another request created it after this read
                return await self.put(tenant, key, schedule, None)
        new = msgspec.structs.replace(await self._new(tenant, key, stored_of(schedule)), replaces=replaces)
        await Runs(engines.db).start(
            TriggerRequest(tenant=tenant, created_at=request_time(engines.clock, replaces or None), schedules=(new,))
        )
        engines.router.wake_jobs()
        return replaces is None

    async def check_references(self, tenant: str, schedule: Schedule) -> None:
        """Raise Invalid for an audience of another tenant, for an unknown workflow, or for data that does not match its schema."""
        to = schedule_times.recipients_of(schedule)
        if tenant != DEFAULT_TENANT and isinstance(to, Audience) and to.tenant not in (None, "", tenant):
            prefix = "" if schedule.notification is None else "notification."
            raise Invalid.of(f"{prefix}to.tenant", "must be the same as tenant")
        if schedule.workflow is None:
            return
        catalog = self.triggers.workflow_catalog
        workflow = await catalog.find(tenant, schedule.workflow)
        if workflow is None:
            raise Invalid.of("workflow", await catalog.unknown_name(tenant, schedule.workflow))
        await self.triggers.check_data(tenant, workflow.current.definition, schedule.data)

    async def _new(self, tenant: str, key: str, schedule: StoredSchedule) -> NewSchedule:
        """Return a new schedule that takes effect now."""
        now = self.engines().clock.now()
        progress = new_progress(schedule, now)
        following = await self.next_times(tenant, schedule, progress.until, 1)
        world = schedule_times.world_times(schedule) if schedule.is_by_zone else None
        if schedule.is_by_zone and world is None:
            following = [*following, now + ZONE_POLL_MS]  # recipients may be added, or move to an earlier zone
        job = Job(
            id=f"{JOB_KIND} {tenant} {key}",
            kind=JOB_KIND,
            payload=msgspec.json.encode((tenant, key)),
            run_at=max(now, world[0]) if world is not None else min(following, default=now),
            created_at=now,
            tenant=tenant,
        )
        has_job = schedule.active and (bool(following) or world is not None)
        body, state = msgspec.json.encode(schedule), msgspec.json.encode(progress)
        return NewSchedule(key, body, state, job if has_job else None, _cancel_name(schedule, key))

    async def delete(self, tenant: str, key: str, replaces: bytes | UnsetType | None = None) -> bool:
        """Delete a schedule; return whether there was one. Raises PreconditionFailed if its stored body is not `replaces`."""
        table = Runs(self.engines().db)
        while (found := await self.find(tenant, key)) is not None and (not replaces or found.body == replaces):
            if await table.delete_schedule(tenant, key, found.body, _cancel_name(found.schedule, key)):
                return True
        if replaces:
            raise PreconditionFailed
        return False

    async def find(self, tenant: str, key: str) -> FoundSchedule | None:
        """Return a schedule and its progress as they are stored."""
        documents = Documents(self.engines().db)
        found = await documents.get(SCHEDULES, tenant, key)
        progress = await documents.get(PROGRESS, tenant, key)
        if progress is None:  # perhaps deleted after the schedule was read
            found = await documents.get(SCHEDULES, tenant, key)
        if found is None:
            return None
        saved = None if progress is None else progress.body
        state = ScheduleProgress(until=found.created_at) if saved is None else _decode_progress(saved)
        return FoundSchedule(
            tenant, key, found.body, msgspec.json.decode(found.body, type=StoredSchedule), state, saved
        )

    async def next_times(self, tenant: str, schedule: Schedule, moment: int, count: int) -> list[int]:
        """Return the next times after a moment, in the zones of its recipients."""
        return schedule_times.next_times(schedule, await self.zones(tenant, schedule), moment, count)

    async def shown(self, entry: FoundSchedule) -> dict[str, Any]:
        """Return a schedule as the API returns it."""
        schedule, progress, following = entry.schedule, entry.progress, list[int]()
        if schedule.active:
            following = await self.next_times(entry.tenant, schedule, progress.until, 1)
        values = msgspec.to_builtins(schedule)
        fields = {name: values[name] for name in Schedule.__struct_fields__ if values[name] is not None}
        return {
            **fields,
            "key": entry.key,
            "tenant": entry.tenant or None,
            "next_at": times.to_rfc3339(following[0]) if following else None,
            "last_at": times.to_rfc3339_or_null(progress.last_at),
            "last_error": progress.last_error,
        }

    async def zones(self, tenant: str, schedule: Schedule) -> list[ZoneInfo]:
        """Return the zones in which a schedule fires: its own, or those of its recipients."""
        if not schedule.is_by_zone:
            return [schedule_times.zone_of(schedule)]
        db, to = self.engines().db, schedule_times.recipients_of(schedule)
        tenant = schedule_times.tenant_of(schedule, tenant)
        if isinstance(to, Audience):
            profiles = [Profile(key="", timezone=name) for name in await Recipients(db).timezones(tenant)]
        else:
            keys = [to] if isinstance(to, str) else to
            known = await Recipients(db).profiles(tenant, keys)
            profiles = [known.get(key) or Profile(key=key) for key in keys]
        settings = await self.triggers.router.catalog.tenant(tenant)
        zones = {zone.key: zone for zone in (decision_inputs.zone_of(one, settings) for one in profiles)}
        return list(zones.values())

    # --- sends and triggers with `send_at`

    async def send_later(self, draft: Draft, *, allows_past: bool) -> bytes:
        """Schedule a send; return the response. With `allows_past`, a time that has passed is due immediately. Raises Invalid
        and IdempotencyMismatch."""
        tenant = DEFAULT_TENANT if draft.tenant in (None, EVERY_TENANT) else str(draft.tenant)
        if (response := await self._stored_response(tenant, draft.idempotency_key, draft)) is not None:
            return response
        values = {name: value for name, value in msgspec.to_builtins(draft).items() if value is not None}
        kept = NOT_STORED - {"tenant"} if draft.tenant == EVERY_TENANT else NOT_STORED
        notification = {name: value for name, value in values.items() if name not in kept}
        schedule = StoredSchedule(
            at=draft.send_at, timezone=draft.timezone, notification=notification, missed="all", is_generated=True
        )
        validation.check(self.time_errors(draft, allows_past=allows_past))
        sent_now = msgspec.structs.replace(draft, send_at=None, timezone=None, idempotency_key=None)
        await sending.plan(self.engines(), self.limits, sent_now)
        return await self._later(tenant, schedule, draft.idempotency_key, draft)

    async def trigger(self, workflow: str, draft: TriggerDraft) -> bytes:
        """Commit a validated trigger, or a schedule if it has `send_at`; return the response. Raises NotFound, Conflict,
        Invalid and IdempotencyMismatch."""
        tenant = draft.tenant or DEFAULT_TENANT
        if draft.send_at is None and draft.timezone is None:
            engines = self.engines()
            try:
                run = await self.triggers.prepare(workflow, draft, tenant)
                started = await Runs(engines.db).start(run)
            except (NotFound, Conflict, Invalid):
                if (response := await self._stored_response(tenant, draft.idempotency_key, [workflow, draft])) is None:
                    raise
                return response
            engines.router.wake_jobs()
            return started
        if (response := await self._stored_response(tenant, draft.idempotency_key, [workflow, draft])) is not None:
            return response
        validation.check(self.time_errors(draft))
        await self.triggers.prepare(workflow, draft, tenant)
        schedule = StoredSchedule(
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
        return await self._later(tenant, schedule, draft.idempotency_key, [workflow, draft])

    async def plan(self, workflow: str, draft: TriggerDraft, limit: int) -> tuple[int | None, Sequence[NewDecision]]:
        """Return what the sending steps of a validated trigger would decide now: the number of recipients, None for an
        audience of more than 10,000, and the decisions for the first `limit` of them. Raises NotFound, Conflict and Invalid."""
        validation.check(self.time_errors(draft))
        request = await self.triggers.prepare(workflow, draft, draft.tenant or DEFAULT_TENANT)
        number: int | None = len(request.runs)
        keys: Sequence[str] = [run.recipient for run in request.runs[:limit]]
        started = request.fanout or request.runs[0]
        if isinstance(draft.to, Audience):
            number, keys = await audiences.first(self.engines().db, started.tenant, draft.to, limit)
        definition = await self.triggers.workflow_catalog.definition(started.owner, workflow, started.version)
        types = {step.type for step in definition.ordered}
        channels = [channel for channel in CHANNELS if channel in types]
        return number, await self.triggers.router.plan_steps(started.tenant, workflow, definition.type, keys, channels)

    async def cancel(
        self, tenant: str, workflow: str, cancel_key: str, recipients: Sequence[str] | None, *, is_dry_run: bool = False
    ) -> int:
        """Cancel the runs and the waiting triggers of a workflow that have this key, for all or some recipients; return the
        number of runs and recipients. A trigger to an audience counts as one, and can only be cancelled as a whole. A dry
        run only counts."""
        engines = self.engines()
        store, now = Runs(engines.db), engines.clock.now()
        report = await engines.webhooks.report(tenant, runs.CANCELLED)
        documents, waiting = Documents(engines.db), 0
        prefix = after = _cancel_prefix(StoredSchedule(workflow=workflow, cancel_key=cancel_key))
        # Waiting triggers first: if one fires in the meantime, its runs are committed before runs are searched.
        has_more = True
        while has_more:
            found = await documents.page(CANCEL_NAMES, tenant, after, CANCEL_PAGE)
            keys = [one.key.removeprefix(prefix) for one in found if one.key.startswith(prefix)]
            for key in keys:
                waiting += await self._cancel(tenant, key, recipients, is_dry_run=is_dry_run)
            has_more = len(keys) == CANCEL_PAGE
            after = found[-1].key if found else after
        if is_dry_run:
            return waiting + await store.count_by_key(tenant, workflow, cancel_key, recipients)
        return waiting + await store.cancel_by_key(tenant, workflow, cancel_key, recipients, now, report)

    async def _cancel(self, tenant: str, key: str, recipients: Sequence[str] | None, *, is_dry_run: bool) -> int:
        """Cancel a waiting trigger for these recipients, and return the number of them for which it has not fired."""
        documents = Documents(self.engines().db)
        while True:
            found = await self.find(tenant, key)
            if found is None or found.schedule.cancel_key is None:  # deleted or replaced
                return 0
            schedule, progress, left = found.schedule, found.progress, list[str]()
            to = schedule_times.recipients_of(schedule)
            if isinstance(to, Audience):
                waiting = int(recipients is None)
            else:
                named = [to] if isinstance(to, str) else list(dict.fromkeys(to))
                removed = [one for one in named if recipients is None or one in recipients]
                left = [one for one in named if one not in removed]
                if schedule.is_by_zone:  # it may have fired for some of them
                    claim = claim_name(key, schedule.at or "")
                    removed = await Runs(self.engines().db).unclaimed(tenant, claim, removed)
                waiting = len(removed)
            if not waiting or (progress.last_at is not None and not schedule.is_by_zone):
                return 0
            if is_dry_run:
                return waiting
            if not left:
                name = _cancel_name(schedule, key)
                is_changed = await Runs(self.engines().db).delete_schedule(tenant, key, found.body, name)
            else:
                now, after = self.engines().clock.now(), msgspec.json.encode(msgspec.structs.replace(schedule, to=left))
                is_changed = await documents.change(SCHEDULES, tenant, key, found.body, after, now)
            if is_changed:
                return waiting

    def time_errors(self, draft: Draft | TriggerDraft, *, allows_past: bool = False) -> validation.FieldErrors:
        """Return the errors of the time of a send or trigger."""
        if draft.send_at is None:
            return [] if draft.timezone is None else [FieldError("timezone", "needs send_at")]
        schedule, now = Schedule(at=draft.send_at, timezone=draft.timezone), self.engines().clock.now()
        errors = schedule_times.time_errors(schedule, now, "send_at", allows_past=allows_past)
        return [*errors, *schedule_times.expiry_errors(schedule, draft, "expires_at", "send_at")]

    async def _stored_response(self, tenant: str, idempotency_key: str | None, request: Any) -> bytes | None:
        """Return the stored response if this request repeats an earlier one, whose time may have passed and whose
        workflow may have changed."""
        if idempotency_key is None:
            return None
        engines = self.engines()
        return await Sends(engines.db).stored_response(
            tenant, idempotency_key, idempotency.fingerprint(request, idempotency_key), engines.clock.now()
        )

    async def _later(self, tenant: str, schedule: StoredSchedule, idempotency_key: str | None, request: Any) -> bytes:
        engines = self.engines()
        now = engines.clock.now()
        key = f"{runs.GENERATED_PREFIX}{engines.new_id(now)}"
        following = await self.next_times(tenant, schedule, new_progress(schedule, now).until, 1)
        next_at = times.to_rfc3339(following[0]) if following else None
        response = await Runs(engines.db).start(
            TriggerRequest(
                tenant=tenant,
                created_at=request_time(engines.clock),
                schedules=(await self._new(tenant, key, schedule),),
                idempotency_key=idempotency_key,
                fingerprint=idempotency.fingerprint(request, idempotency_key),
                response=msgspec.json.encode({"schedule": {"key": key, "next_at": next_at}}),
            )
        )
        engines.router.wake_jobs()
        return response


def stored_of(schedule: Schedule) -> StoredSchedule:
    """Return a schedule of the app in its stored form."""
    return msgspec.convert(msgspec.to_builtins(schedule), StoredSchedule)


_decode_progress = msgspec.json.Decoder(ScheduleProgress).decode


def new_progress(schedule: Schedule, now: int) -> ScheduleProgress:
    """Return the initial progress of a schedule. An `at` that has just passed still fires; with a time per zone, in all
    zones where the time has passed."""
    return ScheduleProgress(until=0 if schedule.cron is None else now, written_at=now)


def _cancel_prefix(schedule: StoredSchedule) -> str:
    """Return the prefix of the cancel names of a workflow's triggers with one key, which may be any text."""
    text = msgspec.json.encode([schedule.workflow, schedule.cancel_key])
    return f"{hashlib.sha256(text).hexdigest()}:"


def _cancel_name(schedule: StoredSchedule, key: str) -> str | None:
    """Return the cancel name of a schedule; None without a cancel key."""
    return None if schedule.cancel_key is None else f"{_cancel_prefix(schedule)}{key}"


def claim_name(key: str, local: str) -> str:
    """Return the claim of a schedule's recipients for one local time."""
    return f"schedule {key} {local}"
