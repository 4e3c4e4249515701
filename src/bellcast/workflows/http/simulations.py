"""Simulations of workflows: what a run would do, without its effects."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bellcast.channels.http.messages import HTML_HEADERS, in_scheme
from bellcast.documents.store import Documents
from bellcast.documents.types import draft_kind
from bellcast.kernel import times, validation
from bellcast.kernel.errors import Conflict, FieldError, Invalid, NotFound
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.rest import context, guards, kinds, objects, tenants
from bellcast.rest.operations import operation
from bellcast.workflows import simulation
from bellcast.workflows.definitions import Definition
from bellcast.workflows.http import workflows
from bellcast.workflows.triggers import Triggers
from bellcast.workflows.types.runs import StoredRun
from bellcast.workflows.types.simulations import Simulation, SimulationRequest
from bellcast.workflows.workflow_catalog import WORKFLOWS, WorkflowCatalog

# Of one caller: an author who tries every few seconds, with previews of the e-mails.
SIMULATIONS_PER_MINUTE = 30
EXAMPLE = {
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
    example=EXAMPLE,
    is_recorded=False,
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
    body = request_body.json(await request_body.json_or_form_text(request), REQUEST, ctx)
    tenant, key = tenants.single_tenant(request), objects.restricted_key(request)
    owner, values, definition = await _definition(ctx, tenant, key, body.values)
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


async def _definition(
    ctx: context.ApiContext, tenant: str, key: str, values: dict[str, Any] | None
) -> tuple[str, dict[str, Any], Definition]:
    """Return the owner of a workflow and the definition to simulate. Raises Invalid with its errors, and NotFound."""
    place = "values"
    if values is None:
        place, draft = "draft", await Documents(ctx.engines.db).get(draft_kind(WORKFLOWS), tenant, key)
        values = None if draft is None else kinds.decode_draft(draft).values
    if values is not None:
        try:
            return tenant, values, await workflows.check(ctx, tenant, key, values)
        except Invalid as refusal:
            errors = [FieldError(f"{place}.{one.field}".rstrip("."), one.message) for one in refusal.errors]
            raise Invalid.fields(errors) from None
    found = await ctx[WorkflowCatalog].find(tenant, key, is_fresh=True)
    if found is None:
        raise await ctx[WorkflowCatalog].unknown(tenant, key)
    current = found.current
    return found.owner, current.definition, await ctx[WorkflowCatalog].definition(found.owner, key, current.version)


REQUEST = request_body.Shape(
    SimulationRequest, lambda value, ctx: validation.check(simulation.errors(value, ctx.limits)), {"to": ["x"]}
)
