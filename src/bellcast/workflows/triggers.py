"""Triggers: runs of a workflow for named recipients, or a fan-out to an audience."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bellcast.channels.routing import Router
from bellcast.channels.types import Fanout
from bellcast.inbox.store import idempotency
from bellcast.inbox.types import Actor, Audience
from bellcast.inbox.types.sends import Claim
from bellcast.kernel import data_schemas, validation
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import Conflict, Invalid
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.templates.budget import budget_of
from bellcast.workflows import engine
from bellcast.workflows.store import Runs
from bellcast.workflows.types import StartedRun, runs
from bellcast.workflows.types.runs import BegunPage, NewWait, StoredRun, TriggerDraft, TriggerRequest
from bellcast.workflows.workflow_catalog import WorkflowCatalog

BEGUN = "run.running"

# Accepts a validated trigger of a workflow, immediate or scheduled, and returns the response.
TriggerWorkflow = Callable[[str, TriggerDraft], Awaitable[bytes]]


class Triggers(Struct, eq=False):
    """Accepts triggers and prepares the runs of fan-outs."""

    router: Router
    workflow_catalog: WorkflowCatalog
    clock: Clock

    async def start(
        self, key: str, draft: TriggerDraft, claim: Claim | None = None, schedule: runs.FiredSchedule | None = None
    ) -> bytes:
        """Commit a validated draft, whose runs start now; return the JSON response. Raises NotFound, Conflict, Invalid,
        ClaimTaken and ScheduleChanged."""
        request = await self.prepare(key, draft, draft.tenant or DEFAULT_TENANT)
        response = await Runs(self.router.db).start(replace(request, claim=claim, schedule=schedule))
        self.router.wake_jobs()
        return response

    async def prepare(self, key: str, draft: TriggerDraft, tenant: str, depth: int = 0) -> TriggerRequest:
        """Return the request that starts a workflow in a tenant; `depth` counts the triggers above it. Raises NotFound, Conflict
        and Invalid."""
        # Only the default tenant reaches all tenants. A step or an event source fills in the audience from data, after the
        # request of a bound caller was checked.
        if tenant != DEFAULT_TENANT and isinstance(draft.to, Audience) and draft.to.tenant not in (None, "", tenant):
            raise Invalid.of("to.tenant", "must be the same as tenant")
        workflow = await self.workflow_catalog.get(tenant, key)
        if not workflow.current.active:
            raise Conflict("This workflow is not active.")
        await self.check_data(tenant, workflow.current.definition, draft.data)
        now = self.clock.now()
        id = self.router.new_id(now)
        actor = Actor(name=draft.actor) if isinstance(draft.actor, str) else draft.actor
        body = runs.encode(runs.RunState(data=draft.data, actor=msgspec.to_builtins(actor), depth=depth))
        fanout = Fanout(
            id=id,
            tenant=tenant,
            workflow=key,
            owner=workflow.owner,
            version=workflow.current.version,
            audience=b"",
            body=body,
            cancel_key=draft.cancel_key,
            created_at=now,
        )
        response: dict[str, Any] = {"trigger": id, "run": id}
        if isinstance(draft.to, Audience):
            fanout = replace(fanout, tenant=draft.to.tenant or tenant, audience=msgspec.json.encode(draft.to))
            request = TriggerRequest(tenant=tenant, created_at=now, fanout=fanout)
        else:
            recipients = [draft.to] if isinstance(draft.to, str) else list(dict.fromkeys(draft.to))
            ids = [id] if len(recipients) == 1 else [self.router.new_id(now) for _ in recipients]
            started = [StartedRun(*pair) for pair in zip(ids, recipients, strict=True)]
            response["runs"] = started
            request = await self._start(fanout, started, now)
        return replace(
            request,
            idempotency_key=draft.idempotency_key,
            fingerprint=idempotency.fingerprint([key, draft], draft.idempotency_key),
            response=msgspec.json.encode(response),
        )

    async def check_data(self, tenant: str, definition: Mapping[str, Any], data: dict[str, Any]) -> None:
        """Compare the data of a trigger with the workflow's schema, or else with that of its type. Raises Invalid."""
        schema, type = definition.get("data"), definition.get("type")
        if schema is not None:
            async with budget_of(tenant).charging():
                validation.check(data_schemas.errors_of("data", data, schema))
        elif type is not None:
            await self.router.catalog.check_data(tenant, type, data)

    async def of_page(self, fanout: Fanout, position: str, keys: Sequence[str]) -> BegunPage:
        """Return a page of a fan-out: runs for these recipients, which start with their jobs."""
        now = self.clock.now()
        started = [StartedRun(self.router.new_id(now), key) for key in keys]
        request = await self._start(fanout, started, now, revision=1)
        begun = [runs.RunCommit(run=run, now=now, due_at=now) for run in request.runs]
        return BegunPage(fanout=fanout, position=position, runs=begun, waits=request.waits, events=request.events)

    async def _start(
        self, fanout: Fanout, started: Sequence[StartedRun], now: int, revision: int = 0
    ) -> TriggerRequest:
        new = tuple(
            StoredRun(
                id=one.id,
                trigger=fanout.id,
                tenant=fanout.tenant,
                workflow=fanout.workflow,
                owner=fanout.owner,
                version=fanout.version,
                recipient=one.recipient,
                cancel_key=fanout.cancel_key,
                created_at=now,
                revision=revision,
                body=fanout.body,
            )
            for one in started
        )
        definition = await self.workflow_catalog.definition(fanout.owner, fanout.workflow, fanout.version)
        waits: list[NewWait] = []
        if definition.live_waits:
            state = runs.decode(fanout.body)
            for run in new:
                await budget_of(run.tenant).wait()
                waits += engine.waits_of_new_run(definition, run, state)
        events = await self.router.webhooks.events(fanout.tenant, BEGUN, (runs.as_change(run) for run in new))
        return TriggerRequest(tenant=fanout.tenant, created_at=now, runs=new, waits=tuple(waits), events=events)
