"""Workflows: definitions as JSON or YAML, their versions, triggers, cancelling by key, and simulations."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bellcast.channels.http import HTML_HEADERS, in_scheme
from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT, WORKFLOWS, Document, draft_kind
from bellcast.inbox.http import notifications
from bellcast.inbox.types import TO
from bellcast.kernel import concurrency, times, validation
from bellcast.kernel.db.lists import ListTotal
from bellcast.kernel.errors import Conflict, FieldError, IdempotencyMismatch, Invalid, NotFound
from bellcast.kernel.field_limits import KEY, TENANT_NAME, shown
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.rest import audit, bundles, context, drafts, guards, kinds, objects, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.kinds import DraftInfo, ManagedBy, PublishEffect
from bellcast.rest.objects import Version
from bellcast.rest.operations import operation
from bellcast.rest.resource import Resource, ResourceCall
from bellcast.workflows import definitions, publish_checks, recent_data, simulation, usage, workflow_catalog
from bellcast.workflows.publish_checks import StepFinding
from bellcast.workflows.run_stats import RunStats
from bellcast.workflows.schedules import Schedules
from bellcast.workflows.triggers import Triggers
from bellcast.workflows.types import Cancelled, Simulation, SimulationRequest, StartedRun
from bellcast.workflows.types.runs import StoredRun, TriggerDraft, draft_errors
from bellcast.workflows.workflow_catalog import WorkflowCatalog

EXAMPLE = {
    "type": "booking",
    "steps": [
        {"key": "bell", "type": "inbox", "title": "New booking by {{ data.client }}"},
        {"key": "later", "type": "delay", "for": "30m"},
        {"key": "mail", "type": "email", "subject": "New booking", "text": "{{ data.client }} booked."},
    ],
}


class WorkflowDefinition(Struct, frozen=True, kw_only=True):
    """A workflow. `steps` run in order; each has a `key`, a `type` and the fields of its type. `type` is the type of
    its notifications. `data` is a JSON Schema for the data of its triggers. `note` explains the workflow to its readers;
    steps can have one too. Runs that exist keep their version, and finish if the workflow is deleted. A workflow that is
    defined in code cannot be written (409)."""

    steps: Annotated[list[dict[str, Any]], shown({"minItems": 1})]
    type: str | None = None
    data: dict[str, Any] | None = None
    note: str | None = None


class WorkflowObject(WorkflowDefinition, frozen=True, kw_only=True):
    """A workflow with its key. `tenant` is null for the project's own. `version` is 0 for a draft that was never
    published; one that is `in_code` is changed there only. Reads and lists have the time of the last write, and who saved the `draft` of the tenant, and when, or null.
    Lists have who published the version, or null, and the number of runs in the last 24 hours, which is a lower bound if it is not `exact`: those of
    a workflow of the project have its runs in all tenants if all are listed."""

    key: str
    tenant: str | None
    version: int
    active: bool
    in_code: bool
    managed: ManagedBy | None
    draft: DraftInfo | UnsetType | None = UNSET
    published_by: str | UnsetType | None = UNSET
    recent_runs: ListTotal | UnsetType = UNSET
    updated_at: datetime | UnsetType = UNSET


class PublishedWorkflow(WorkflowObject, frozen=True, kw_only=True):
    """A workflow that was published. Only a dry run has `effects`, and `findings` in the texts of its steps."""

    effects: list[PublishEffect] | UnsetType = UNSET
    findings: list[StepFinding] | UnsetType = UNSET


class WorkflowChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`active: false` pauses runs before their next step; `version` makes another version current."""

    active: bool | None = None
    version: Version | None = None
    tenant: Annotated[str | None, TENANT_NAME] = None


class Triggered(Struct, frozen=True, kw_only=True):
    """The id of the trigger, which is also the id of its only run. `runs` is absent for an audience."""

    trigger: str
    run: str
    runs: list[StartedRun] | msgspec.UnsetType = msgspec.UNSET


class CancelRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs of the workflow to cancel: those with this key, of all or some recipients."""

    cancel_key: Annotated[str, KEY]
    to: Annotated[str | list[str] | None, TO] = None
    tenant: Annotated[str | None, TENANT_NAME] = None


WORKFLOW = Resource(
    WORKFLOWS, "/{key:str}", objects.restricted_key, tag="Workflows", unknown="This workflow has no triggers yet."
)


@WORKFLOW.get(recent_data.InferredSchema, "/inferred-schema")
async def inferred_schema(call: ResourceCall[None]) -> recent_data.InferredSchema | None:
    """Infer the schema of a workflow's data.

    A JSON Schema that the data of its last triggers matches, at most 1,000: their shapes, without their values. 404 if
    there were none."""
    return await recent_data.inferred(recent_data.of_workflow(call.ctx.engines.db, call.tenant, *call.key))


async def check(ctx: ApiContext, tenant: str, key: str, value: Any) -> definitions.Definition:
    """Return a definition. Raises Invalid with all its errors."""
    validation.check(validation.data("", value, objects.MAX_BODY_BYTES))
    definition = await ctx[WorkflowCatalog].check(tenant, key, value)
    # URLs of steps that must not be used. Those of templates are checked when a step calls them.
    errors = [
        FieldError(f"{path}.url", problem)
        for path, step, _ in workflow_catalog.steps_with_paths(value["steps"])
        if step["type"] == "http" and isinstance(step["url"], str) and "{" not in step["url"]
        if (problem := ctx.url_problem(step["url"])) is not None
    ]
    validation.check(errors)
    return definition


@WORKFLOW.patch(WorkflowChange, WorkflowObject, refusals=(NotFound, Conflict), example={"active": False})
async def change(call: ResourceCall[WorkflowChange]) -> Any:
    """Switch a workflow on or off, or make another version current.

    While a workflow is not `active`, triggers are refused and runs pause before their next step. They continue when it
    is active again."""
    ctx, owner, (key,), body = call.ctx, call.tenant, call.key, call.body
    if body.version is not None:  # pausing needs no push: files do not say whether a workflow is active
        await kinds.check_managed(ctx, WORKFLOWS, owner, key)
    before = await Documents(ctx.engines.db).get(WORKFLOWS, owner, key)
    workflow = await ctx[WorkflowCatalog].change(owner, key, active=body.active, version=body.version)
    audit.note_changes(call.request, {} if before is None else KIND.item(before, owner), workflow.item)
    if workflow.current.active:
        ctx.engines.router.wake_jobs()  # its paused runs are due now
    return await kinds.described(KIND, ctx, owner, workflow.item)


TRIGGER = request_body.Shape(
    TriggerDraft, lambda draft, ctx: validation.check(ctx[Schedules].time_errors(draft)), ruled_later=True
)


@WORKFLOW.act(
    "/trigger",
    Triggered,
    body=TRIGGER,
    required_scope="send",
    headers=("Idempotency-Key",),
    response_types={200: notifications.SendPlan, 202: Triggered},
    refusals=(NotFound, Conflict, IdempotencyMismatch),
    example={"to": "alice", "data": {"client": "Bob"}},
)
async def trigger(call: ResourceCall[TriggerDraft]) -> Any:
    """Trigger a workflow.

    Starts a run per recipient. The response is sent after the commit, so an acknowledged trigger is never lost.
    Repeating the request with the same `Idempotency-Key` and body within 24 hours returns the first response. The runs
    of an audience are added in the background. With `send_at`, a schedule triggers it at that time: 202 `{"schedule":
    {"key", "next_at"}}`.

    `dry_run` validates the trigger and returns, for each channel of the workflow's steps and the first 100 recipients,
    what would be decided now; conditions of steps are not evaluated."""
    schedules, (key,), draft = call.ctx[Schedules], call.key, call.body
    if errors := draft_errors(draft, call.ctx.limits):  # a valid one may repeat one whose time has passed
        validation.check(errors, schedules.time_errors(draft))
    header = request_body.header(call.request, b"idempotency-key")
    own_key = notifications.idempotency_key_of(draft.idempotency_key, header)
    if own_key is not None:
        validation.check(validation.key("idempotency_key", own_key, call.ctx.limits))
    draft = msgspec.structs.replace(draft, tenant=call.tenant, idempotency_key=own_key)
    if call.is_dry_run:
        limit = notifications.plan_limit(call.request, draft.to)
        return notifications.plan_of(*await schedules.plan(key, draft, limit))
    return responses.complete(202, await schedules.trigger(key, draft))


@WORKFLOW.act(
    "/cancel",
    Cancelled,
    body=CancelRequest,
    required_scope="send",
    other_scope="manage",
    refusals=(),
    example={"cancel_key": "booking-7"},
)
async def cancel(call: ResourceCall[CancelRequest]) -> Cancelled:
    """Cancel runs of a workflow.

    Cancels runs that were triggered with this `cancel_key`, and triggers that wait for `send_at`. After the response,
    no step of these runs starts, and their messages that were not yet attempted are cancelled. `cancelled` counts runs
    and recipients of waiting triggers; a waiting trigger to an audience counts as one, and only a request without `to`
    cancels it. If the runs of an audience are still being added, the recipients in `to` get none; they are not
    counted. An unknown workflow has no runs: it may have been deleted while they continue. Keys with the scope `manage`
    may cancel too."""
    (key,), body, cancel = call.key, call.body, call.ctx[Schedules].cancel
    to = [body.to] if isinstance(body.to, str) else body.to
    return Cancelled(await cancel(call.tenant, key, body.cancel_key, to, is_dry_run=call.is_dry_run))


# --- drafts


class WorkflowKind(kinds.Kind[Any], frozen=True, kw_only=True, eq=False):
    """Workflows. Each definition is checked as a whole."""

    def item(self, document: Document, tenant: str) -> dict[str, Any]:
        return workflow_catalog.stored(document, tenant).item

    async def check(self, ctx: ApiContext, tenant: str, key: str, values: Any) -> Any:
        await check(ctx, tenant, key, values)
        return values

    async def plan(self, ctx: ApiContext, tenant: str, key: str, value: Any) -> dict[str, Any]:
        found = await publish_checks.of_workflow(ctx, tenant, key, value)
        return await super().plan(ctx, tenant, key, value) | {"findings": found}


async def _written(ctx: ApiContext, changed: Sequence[tuple[str, str, bool]]) -> None:
    await ctx[WorkflowCatalog].written(changed)
    ctx.engines.router.wake_jobs()  # paused runs may be due now


async def _describe(ctx: ApiContext, tenant: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return no fields: only a search of all steps finds what triggers a workflow."""
    return {key: {} for key in keys}


async def _find_recent_runs(
    ctx: ApiContext, versions: Mapping[tuple[str, str], int], tenants: Sequence[str] | None
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the recent runs of listed workflows."""
    shown: dict[tuple[str, str], dict[str, Any]] = {}
    for owner in dict.fromkeys(owner for owner, _ in versions):
        keys = [key for of, key in versions if of == owner]
        counts = await ctx[RunStats].recent(None if tenants is None and owner == PROJECT else owner, keys)
        shown |= {(owner, key): {"recent_runs": counts[key]} for key in keys}
    return shown


KIND = WorkflowKind(
    plural=WORKFLOWS,
    name="workflow",
    tag="Workflows",
    type=WorkflowDefinition,
    example=EXAMPLE,
    added={"active": bool, "in_code": bool, "recent_runs": ListTotal},
    find_uses=usage.of_workflows,
    describe=_describe,
    describe_list=_find_recent_runs,
    find_effects=publish_checks.workflow_effects,
    written=_written,
    is_open_to_viewers=True,
    form=workflow_catalog.FORM,
    lists_own=True,
    unpublished={"active": False, "in_code": False, "steps": []},
    object_types=(WorkflowObject, PublishedWorkflow),
)


# --- bundles


def _values(ctx: ApiContext, tenant: str, document: Document) -> dict[str, Any] | None:
    current = workflow_catalog.stored(document, tenant).current
    return None if current.is_code else current.definition


async def _parse(ctx: ApiContext, tenant: str, key: str, values: dict[str, Any], before: Document | None) -> bytes:
    await concurrency.in_turn(tenant, definitions.parse, values)
    return workflow_catalog.FORM.body(values, None if before is None else before.body)


BUNDLE = msgspec.structs.replace(
    bundles.of(KIND),
    values=_values,
    parse=_parse,
    check=lambda ctx, tenant, key, values, before: check(ctx, tenant, key, values),
    find_effects=publish_checks.workflow_effects,
    services=lambda engines: {WorkflowCatalog: WorkflowCatalog(engines.db, engines.clock)},
)

OPERATIONS = [*objects.operations(KIND), *drafts.operations(KIND)]


# --- simulations

# Of one caller: an author who tries every few seconds, with previews of the e-mails.
SIMULATIONS_PER_MINUTE = 30
SIMULATED_EXAMPLE = {
    "to": ["alice"],
    "data": {"client": "Ann"},
    "events": [{"step": "bell", "event": "seen", "after": "10m"}],
}


class SimulateQuery(tenants.TenantQuery, frozen=True, kw_only=True):
    """`html=0.mail` returns the HTML of one e-mail instead: the number of the recipient, and the key of the step. `scheme` is
    its color scheme."""

    html: Annotated[str, Meta(pattern=r"^[0-9]\.[A-Za-z0-9_-]{1,100}$")] | None = None
    scheme: Literal["light", "dark"] = "light"


@operation(
    "POST",
    "/v1/workflows/{key:str}/simulate",
    tag="Workflows",
    required_scope="read",
    query=SimulateQuery,
    body=SimulationRequest,
    body_types=("application/json", request_body.FORM),
    response_types={200: Simulation},
    refusals=(NotFound, Conflict),
    example=SIMULATED_EXAMPLE,
    is_recorded=False,
    id="simulations.simulate",
)
async def simulate(request: request_body.ApiRequest) -> ASGIApp:
    """Simulate a workflow.

    What a run would do for each recipient, and when: the conditions with their values, the decisions of the channels with
    their reasons, and the content. Nothing is sent, stored or counted, and no step calls the app. The simulated definition
    is `values`, else the draft, else the current version. Recipients, preferences and templates are those of the store;
    links for recipients are placeholders. Without `events`, waits time out.

    A simulation has at most 10 recipients, and ends 366 days after the trigger, after 2 s of CPU time, or at 1 MiB:
    `truncated` is then true. A caller may run 30 a minute. With `html=0.mail`, the response is the e-mail of the step `mail`
    for the first recipient as `text/html`, in its light color scheme or with `scheme=dark` in its dark one, which pages of this server
    can show in a frame; its scripts do not run. Send JSON, or a form with the JSON in its field `request`, whose target can be the frame."""
    guards.count(request, "simulations", SIMULATIONS_PER_MINUTE)
    ctx, query = context.of(request), request_body.query(request, SimulateQuery)
    body = request_body.json(await request_body.json_or_form_text(request), SIMULATION, ctx)
    tenant, key = tenants.single_tenant(request), objects.restricted_key(request)
    place, values, owner = "values", body.values, tenant
    if values is None:
        place, draft = "draft", await Documents(ctx.engines.db).get(draft_kind(WORKFLOWS), tenant, key)
        values = None if draft is None else kinds.decode_draft(draft).values
    if values is not None:
        try:
            definition = await check(ctx, tenant, key, values)
        except Invalid as refusal:
            errors = [FieldError(f"{place}.{one.field}".rstrip("."), one.message) for one in refusal.errors]
            raise Invalid.fields(errors) from None
    else:
        workflow = await ctx[WorkflowCatalog].find(tenant, key, is_fresh=True)
        if workflow is None:
            raise await ctx[WorkflowCatalog].unknown(tenant, key)
        owner, values = workflow.owner, workflow.current.definition
        definition = await ctx[WorkflowCatalog].definition(owner, key, workflow.current.version)
    validation.check(simulation.step_errors(body, definition))
    await ctx[Triggers].check_data(tenant, values, body.data)
    step = None
    if query.html is not None:
        number, _, step = query.html.partition(".")
        if int(number) >= len(body.to):
            raise Invalid.of("html", f"must begin with the number of a recipient, from 0 to {len(body.to) - 1}")
        body = msgspec.structs.replace(body, to=[body.to[int(number)]])
    run = StoredRun(
        id=simulation.RUN,
        trigger=simulation.RUN,
        tenant=tenant,
        workflow=key,
        owner=owner,
        version=0,
        recipient="",
        created_at=ctx.engines.clock.now() if body.at is None else times.milliseconds(body.at),
        body=b"",
    )
    found = await simulation.simulate(ctx[Triggers], ctx.limits, run, definition, body)
    if step is None:
        return responses.json(found)
    html = [
        one.content["html"]
        for one in found.recipients[0].path
        if one.step == step and one.content and "html" in one.content
    ]
    if not html:
        raise Conflict("This step sends no e-mail with HTML in this simulation.")
    return responses.complete(200, in_scheme(html[0], query.scheme).encode(), responses.HTML, HTML_HEADERS)


SIMULATION = request_body.Shape(
    SimulationRequest, lambda value, ctx: validation.check(simulation.errors(value, ctx.limits))
)
