"""Runs of workflows: read, cancel and retry them."""

import contextlib
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, UnsetType

from bellcast.channels.store.fanouts import Fanouts
from bellcast.channels.types import ExternalChannel
from bellcast.documents.types import PROJECT
from bellcast.kernel.db.lists import ListTotal
from bellcast.kernel.errors import Conflict, NotFound
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.list_parameters import AppListLimit, TimeRangeQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.operators.types import ONE_BY_ONE, ROLES
from bellcast.rest import context, objects, resource, tenants
from bellcast.rest.resource import Resource, ResourceCall
from bellcast.workflows import store as runs_store
from bellcast.workflows.run_stats import RunCounts, RunStats
from bellcast.workflows.store import Runs
from bellcast.workflows.types import RunDetails, RunStatus, RunStep, StepStatus, runs
from bellcast.workflows.types.runs import StoredRun, restarted
from bellcast.workflows.workflow_catalog import UNKNOWN, WorkflowCatalog

STEP_KEY_PATTERN = r"^[A-Za-z0-9_-]{1,100}$"


class RunsQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """A page of runs, newest first, with filters. `channel` and `provider` select runs with such a message, `step` those that
    reached a step, and with `step_state` those in which it, or any step, is in this state. The tenant `*` means all tenants."""

    workflow: str | None = None
    recipient: str | None = None
    state: RunStatus | None = None
    trigger: str | None = None
    channel: ExternalChannel | None = None
    provider: str | None = None
    step: Annotated[str, Meta(pattern=STEP_KEY_PATTERN)] | None = None
    step_state: StepStatus | None = None
    limit: AppListLimit = 100
    after: str | None = None


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


class StatsQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """Which runs of a workflow to count: those that began in a time range, and of one version. The tenant `*` means all
    tenants."""

    version: objects.Version | None = None


RUNS = Resource("runs", "/{id:str}", tag="Workflows", unknown="There is no run with this id.")

# Fields of runs and of their steps.
SHOWN = (
    "trigger workflow version recipient state ended_at wakes_at steps "
    "type notification messages attempts started_at due_at"
)


@RUNS.listing(RunPage, query=RunsQuery, shown=SHOWN)
async def page(request: ApiRequest, query: RunsQuery) -> RunPage:
    """List runs.

    Newest first; the filters can be combined."""
    engines = context.of(request).engines
    store, wanted = Runs(engines.db), resource.list_query(request, runs_store.LIST, query, is_counted=True)
    if query.step is None and query.step_state is None:
        found = await store.page(wanted)
    else:
        found = await context.of(request)[RunStats].page(wanted, query.step, query.step_state)
    listed = [await item(request, run) async for run in engines.pace.each(found.items)]
    result = resource.answer(RunPage, "runs", runs_store.LIST, query.tenant, found.of(listed))
    if query.trigger is not None:
        fanout = await Fanouts(engines.db).get(query.trigger)
        tenant = tenants.single_tenant(request)
        is_running = fanout is not None and fanout.tenant == tenant and fanout.state == "running"
        counts = await store.counts(tenant, query.trigger)
        result = msgspec.structs.replace(result, fanout="running" if is_running else "done", counts=counts)
    return result


@Resource(
    "workflows", "/{key:str}/stats", objects.restricted_key, tag="Workflows", roles=ROLES, tenant_of=tenants.several
).get(RunCounts, query=StatsQuery, bound_by="list")
async def stats(call: ResourceCall[None]) -> RunCounts:
    """Count the runs of a workflow.

    By state, and for each step in how many runs it is done, waits, was skipped, by reason, or failed, as `GET /v1/runs` lists
    them with `step` and `step_state`. The newest 20,000 runs are counted; without `exact`, there are older ones. The counts
    are up to 10 seconds old."""
    request, ctx, (key,) = call.request, call.ctx, call.key
    query = request_body.query(request, StatsQuery)
    owner = PROJECT if query.tenant == EVERY_TENANT else tenants.single_tenant(request)
    workflow = await ctx[WorkflowCatalog].find(owner, key, is_fresh=True)
    steps: list[str] = []
    if workflow is not None:
        version = workflow.current.version if query.version is None else query.version
        with contextlib.suppress(NotFound):
            steps = [step.key for step in (await ctx[WorkflowCatalog].definition(workflow.owner, key, version)).ordered]
    found = await ctx[RunStats].counts(
        resource.list_query(request, runs_store.OUTLINES, query, is_counted=False), key, query.version, steps
    )
    if workflow is None and not found.runs:
        raise NotFound(UNKNOWN)
    return found


@RUNS.get(RunDetails)
async def read(call: ResourceCall[None]) -> RunDetails:
    """Read a run.

    With the state of each step."""
    return await item(call.request, await _find(call))


@RUNS.delete(required_scope="send", other_scope="manage", refusals=(NotFound, Conflict))
async def cancel(call: ResourceCall[None]) -> bool:
    """Cancel a run, or all runs of a trigger.

    After the response no step starts, and messages that were not yet attempted are cancelled. Keys with the scope
    `manage` may cancel too."""
    (id,), engines = call.key, call.ctx.engines
    report = await engines.webhooks.report(call.tenant, runs.CANCELLED)
    cancelled = await Runs(engines.db).cancel(call.tenant, id, engines.clock.now(), report)
    if cancelled is None:
        raise NotFound("There is no run or trigger with this id.")
    if not cancelled:
        raise Conflict("This run has ended.")
    return True


@RUNS.act("/retry", Restarted, status=202, roles=ONE_BY_ONE, refusals=(NotFound, Conflict))
async def retry(call: ResourceCall[None]) -> Restarted:
    """Retry a failed run.

    The run continues with the step that failed; earlier steps are not repeated."""
    engines, run = call.ctx.engines, await _find(call)
    if run.state != "failed":
        raise Conflict(f"Only failed runs can be retried; this one is {run.state}.")
    if call.is_dry_run:
        return Restarted(run.id)
    if not await Runs(engines.db).retry(restarted(run), engines.clock.now()):
        raise Conflict("This run has changed in the meantime.")
    engines.router.wake_jobs()
    return Restarted(run.id)


async def _find(call: ResourceCall[None]) -> StoredRun:
    found = await Runs(call.ctx.engines.db).get(*call.key)
    if found is None or found.tenant != call.tenant:
        raise NotFound(RUNS.unknown)
    return found


async def item(request: ApiRequest, run: StoredRun) -> RunDetails:
    """Return a run as clients see it, with all steps of its definition."""
    definition = await context.of(request)[WorkflowCatalog].definition(run.owner, run.workflow, run.version)
    state = runs.decode(run.body)
    steps, shown = [], runs.shown_steps(run.state, state, [one.key for one in definition.ordered])
    for one, (_, step_state, reason) in zip(definition.ordered, shown, strict=True):
        step = state.step(one.key)
        due_at = step.due_at if step.state == "waiting" else None
        of_definition = {"key": one.key, "type": one.type, "messages": list(step.messages)}
        steps.append(responses.item(RunStep, step, state=step_state, reason=reason, due_at=due_at, **of_definition))
    return responses.item(RunDetails, run, data=state.data, steps=steps)
