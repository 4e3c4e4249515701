"""Simulations of workflows: what a run would do, without its effects."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bellcast.channels.http.messages import HTML_HEADERS
from bellcast.documents.store import Documents
from bellcast.documents.types import MAX_OBJECT_KEY, draft_kind
from bellcast.kernel import field_limits, times, validation
from bellcast.kernel.errors import Conflict, FieldError, Invalid, NotFound
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.limits import Limits
from bellcast.preferences.types import CHANNELS
from bellcast.rest import context, guards, objects, tenants
from bellcast.rest.operations import operation
from bellcast.workflows import simulation
from bellcast.workflows.definitions import Definition
from bellcast.workflows.http import workflows
from bellcast.workflows.step_fields import INBOX_EVENTS, MESSAGE_EVENTS
from bellcast.workflows.triggers import Triggers
from bellcast.workflows.types.runs import StoredRun
from bellcast.workflows.types.simulations import MAX_RECIPIENTS, SimulatedRecipient, Simulation, SimulationRequest
from bellcast.workflows.workflow_catalog import WORKFLOWS, WorkflowCatalog

# Of one caller: an author who tries every few seconds, with previews of the e-mails.
SIMULATIONS_PER_MINUTE = 30
EXAMPLE = {
    "to": ["alice"],
    "data": {"client": "Ann"},
    "events": [{"step": "bell", "event": "seen", "after": "10m"}],
}


class SimulateQuery(tenants.TenantQuery, frozen=True, kw_only=True):
    """`html=0.mail` returns the HTML of one e-mail instead: the number of the recipient, and the key of the step."""

    html: Annotated[str, Meta(pattern=r"^[0-9]\.[A-Za-z0-9_-]{1,100}$")] | None = None


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
    for the first recipient as `text/html`, which pages of this server can show in a frame; its scripts do not run. Send
    JSON, or a form with the JSON in its field `request`, whose target can be the frame."""
    guards.count(request, "simulations", SIMULATIONS_PER_MINUTE)
    ctx, query = context.of(request), request_body.query(request, SimulateQuery)
    body = request_body.json(await request_body.json_or_form_text(request), REQUEST, ctx)
    tenant, key = tenants.single_tenant(request), objects.restricted_key(request)
    owner, values, definition = await _definition(ctx, tenant, key, body.values)
    validation.check(_step_errors(body, definition))
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
    return responses.complete(200, html[0].encode(), responses.HTML, HTML_HEADERS)


async def _definition(
    ctx: context.ApiContext, tenant: str, key: str, values: dict[str, Any] | None
) -> tuple[str, dict[str, Any], Definition]:
    """Return the owner of a workflow and the definition to simulate. Raises Invalid with its errors, and NotFound."""
    place = "values"
    if values is None:
        place, draft = "draft", await Documents(ctx.engines.db).get(draft_kind(WORKFLOWS), tenant, key)
        values = None if draft is None else objects.decode_draft(draft).values
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


def _errors(value: SimulationRequest, limits: Limits) -> Iterator[FieldError]:
    if not 1 <= len(value.to) <= MAX_RECIPIENTS:
        yield FieldError("to", f"must name 1 to {MAX_RECIPIENTS} recipients, got {len(value.to)}")
        return
    keys = [one if isinstance(one, str) else one.key for one in value.to]
    for number, one in enumerate(value.to):
        if isinstance(one, SimulatedRecipient):
            yield from field_limits.errors(one, limits, f"to.{number}.")
        else:
            yield from validation.key(f"to.{number}", one, limits)
        if keys[number] in keys[:number]:
            yield FieldError(f"to.{number}", "must be another recipient")
    for number, event in enumerate(value.events):
        yield from field_limits.errors(event, limits, f"events.{number}.")
        if (event.event is None) == (event.name is None):
            yield FieldError(f"events.{number}", "must have either event or name")
        elif event.event is not None and event.step is None:
            yield FieldError(f"events.{number}.step", "is missing: the event is that of a step")
    for key, document in value.preferences.items():
        yield from field_limits.errors(document, limits, f"preferences.{key[:MAX_OBJECT_KEY]}.")


def _step_errors(value: SimulationRequest, definition: Definition) -> Iterator[FieldError]:
    """Return the errors of names of steps."""
    types = {step.key: step.type for step in definition.ordered}
    for number, event in enumerate(value.events):
        if event.step is None:
            continue
        if event.step not in types:
            yield FieldError(f"events.{number}.step", f"names an unknown step {event.step[:MAX_OBJECT_KEY]!r}")
        elif event.event is not None:
            kind = types[event.step]
            known = INBOX_EVENTS if kind == "inbox" else MESSAGE_EVENTS if kind in CHANNELS else ()
            if event.event not in known:
                expected = f"must be one of: {', '.join(known)}" if known else "must be of a step that sends"
                yield FieldError(f"events.{number}.event", expected)
    for field in ("results", "digest", "throttled"):
        for key in getattr(value, field):
            if key not in types:
                yield FieldError(f"{field}.{key[:MAX_OBJECT_KEY]}", "names an unknown step")


REQUEST = request_body.Shape(
    SimulationRequest, lambda value, ctx: validation.check(_errors(value, ctx.limits)), {"to": ["x"]}
)
