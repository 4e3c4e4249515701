"""Runs of workflows: read, cancel and retry them."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, UnsetType

from bellcast.channels.store.fanouts import Fanouts
from bellcast.channels.types import ExternalChannel
from bellcast.kernel import times
from bellcast.kernel.db.list_scan import ListTotal
from bellcast.kernel.errors import BadRequest, Conflict, NotFound
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.list_parameters import AppListLimit, TimeRangeQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.operators.types import ONE_BY_ONE, ROLES
from bellcast.rest import context, resource, tenants, viewers
from bellcast.rest.operations import operation
from bellcast.rest.resource import Change, Resource
from bellcast.workflows.store import runs as runs_store
from bellcast.workflows.store.runs import Runs
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import RunStatus, StepStatus, StoredRun, restarted
from bellcast.workflows.workflow_catalog import WorkflowCatalog

# The event for webhooks when a run is cancelled.
CANCELLED = ("run.cancelled", "message.cancelled")


class RunsQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """A page of runs, newest first, with filters. `channel` and `provider` select runs with such a message. The tenant
    `*` means all tenants."""

    workflow: str | None = None
    recipient: str | None = None
    state: RunStatus | None = None
    trigger: str | None = None
    channel: ExternalChannel | None = None
    provider: str | None = None
    limit: AppListLimit = 100
    after: str | None = None


class RunStep(Struct, frozen=True, kw_only=True):
    """The state of a step. `reason` states why it was skipped or failed; `ended: …` names the step that ended the run,
    if the run did not reach this one. `result` is what an http or python step
    returned, and `attempts` counts its calls. A waiting step continues at `due_at` without an event."""

    key: str
    type: str
    state: StepStatus
    reason: str | None
    result: Any
    notification: str | None
    messages: list[str]
    attempts: int
    started_at: datetime | None
    ended_at: datetime | None
    due_at: datetime | None


class RunDetails(Struct, frozen=True, kw_only=True):
    """A workflow's execution for one recipient."""

    id: str
    tenant: str | None
    trigger: str
    workflow: str
    version: int
    recipient: str
    state: RunStatus
    reason: str | None
    data: dict[str, Any]
    created_at: datetime
    ended_at: datetime | None
    wakes_at: datetime | None
    steps: list[RunStep]


class RunPage(Struct, frozen=True, kw_only=True):
    """A page of runs. Pass `next` as `after` for the next page, or `scanned_until`, if it is not null, to search
    further. Only the first page has a `total`. With `?trigger=`, `fanout` shows whether runs are still being added, and
    `counts` has the number of runs by state."""

    runs: list[RunDetails]
    next: str | None
    scanned_until: str | None
    total: ListTotal | None = None
    fanout: str | UnsetType = msgspec.UNSET
    counts: dict[str, int] | UnsetType = msgspec.UNSET


class Restarted(Struct, frozen=True):
    """A run that continues."""

    id: str


RUNS = Resource("runs", "/{id:str}", tag="Workflows", unknown="There is no run with this id.")


@operation(
    "GET",
    "/v1/runs",
    tag="Workflows",
    required_scope="read",
    roles=ROLES,
    bound_by="list",
    query=RunsQuery,
    is_exported=True,
    response_types={200: RunPage},
    refusals=(BadRequest,),
)
async def page(request: ApiRequest) -> ASGIApp:
    """List runs.

    Newest first; the filters can be combined."""
    query, engines = request_body.query(request, RunsQuery), context.of(request).engines
    store, wanted = Runs(engines.db), resource.wanted(request, runs_store.LIST, query, is_counted=True)
    found = await store.page(wanted)
    listed = [await outside(request, run) async for run in engines.pace.each(found.items)]
    result = resource.answer(RunPage, "runs", runs_store.LIST, query.tenant, found.of(listed))
    if query.trigger is not None:
        fanout = await Fanouts(engines.db).get(query.trigger)
        tenant = tenants.single_tenant(request)
        is_running = fanout is not None and fanout.tenant == tenant and fanout.state == "running"
        counts = await store.counts(tenant, query.trigger)
        result = msgspec.structs.replace(result, fanout="running" if is_running else "done", counts=counts)
    return responses.json(viewers.page_for(request, result))


@RUNS.get(RunDetails)
async def read(wanted: Change[None]) -> RunDetails:
    """Read a run.

    With the state of each step."""
    return await outside(wanted.request, await _find(wanted))


@RUNS.delete(required_scope="send", other_scope="manage", refusals=(NotFound, Conflict))
async def cancel(change: Change[None]) -> bool:
    """Cancel a run, or all runs of a trigger.

    After the response no step starts, and messages that were not yet attempted are cancelled."""
    (id,), engines = change.key, change.ctx.engines
    report = await engines.webhooks.report(change.tenant, CANCELLED)
    cancelled = await Runs(engines.db).cancel(change.tenant, id, engines.clock.now(), report)
    if cancelled is None:
        raise NotFound("There is no run or trigger with this id.")
    if not cancelled:
        raise Conflict("This run has ended.")
    return True


@RUNS.act("/retry", Restarted, status=202, roles=ONE_BY_ONE, refusals=(NotFound, Conflict))
async def retry(change: Change[None]) -> Restarted:
    """Retry a failed run.

    The run continues with the step that failed; earlier steps are not repeated."""
    engines, run = change.ctx.engines, await _find(change)
    if run.state != "failed":
        raise Conflict(f"Only failed runs can be retried; this one is {run.state}.")
    if change.is_dry_run:
        return Restarted(run.id)
    if not await Runs(engines.db).retry(restarted(run), engines.clock.now()):
        raise Conflict("This run has changed in the meantime.")
    engines.router.messages_added()
    return Restarted(run.id)


async def _find(wanted: Change[None]) -> StoredRun:
    found = await Runs(wanted.ctx.engines.db).get(*wanted.key)
    if found is None or found.tenant != wanted.tenant:
        raise NotFound(RUNS.unknown)
    return found


async def outside(request: ApiRequest, run: StoredRun) -> RunDetails:
    """Return a run as clients see it, with all steps of its definition."""
    definition = await context.of(request)[WorkflowCatalog].definition(run.owner, run.workflow, run.version)
    state = runs.decode(run.body)
    steps = []
    for one in definition.ordered:
        step = state.step(one.key)
        is_left = run.state in runs.ENDED and step.state not in runs.ENDED_STEPS
        steps.append(
            RunStep(
                key=one.key,
                type=one.type,
                state="skipped" if is_left else step.state,
                reason=f"ended: {runs.described_end(run.state, state)}" if is_left else step.reason,
                result=step.result,
                notification=step.notification,
                messages=list(step.messages),
                attempts=step.attempts,
                started_at=times.to_rfc3339_or_null(step.started_at),
                ended_at=times.to_rfc3339_or_null(step.ended_at),
                due_at=times.to_rfc3339_or_null(step.due_at if step.state == "waiting" else None),
            )
        )
    return RunDetails(
        id=run.id,
        tenant=tenants.outside(run.tenant),
        trigger=run.trigger,
        workflow=run.workflow,
        version=run.version,
        recipient=run.recipient,
        state=run.state,  # type: ignore[arg-type]  # written by runs only
        reason=run.reason,
        data=state.data,
        created_at=times.to_rfc3339(run.created_at),
        ended_at=times.to_rfc3339_or_null(run.ended_at),
        wakes_at=times.to_rfc3339_or_null(run.wakes_at),
        steps=steps,
    )


HANDLERS = [page, read, cancel, retry]
