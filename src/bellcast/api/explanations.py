"""Explain why a recipient gets a notification through a channel, or does not."""

from litestar.types import ASGIApp

from bellcast.api import context, request_body, responses, tenants
from bellcast.api.context import ApiContext
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.api.tenants import TenantQuery
from bellcast.channels import decision_inputs, explanations
from bellcast.channels.explanations import Explanation
from bellcast.errors import Invalid, NotFound
from bellcast.model import ids, times, validation
from bellcast.model.preferences import CHANNELS, Channel
from bellcast.ports import MessageQuery, NewDecision
from bellcast.ports.messages import MAX_DECISIONS
from bellcast.workflows import run as runs

# A notification has one message per channel.
MAX_MESSAGES = len(CHANNELS)


class ExplainQuery(TenantQuery, frozen=True, kw_only=True):
    """A recipient with a notification that was sent, with a run, or with a type as it would be sent now."""

    recipient: str
    notification: str | None = None
    run: str | None = None
    type: str | None = None
    channel: Channel | None = None


@operation(
    "GET",
    "/v1/explain",
    tag="Sending",
    required_scope="read",
    query=ExplainQuery,
    response_types={200: Explanation},
    refusals=(NotFound,),
)
async def explain(request: ApiRequest) -> ASGIApp:
    """Explain a delivery.

    With `notification` or `run`: the decisions for the recipient at the time of the send, and their results. With `type`, and
    `channel` for a single channel: the result of a send now. `text` explains it in sentences."""
    query = request_body.query(request, ExplainQuery)
    ctx, tenant = context.of(request), tenants.single_tenant(request)
    validation.check(validation.key("recipient", query.recipient, ctx.limits))
    if [query.notification, query.run, query.type].count(None) != 2:
        raise Invalid.of("notification", "expected either notification, run, or type with channel")
    if query.type is None and query.channel is not None:
        raise Invalid.of("channel", "is for type only; notification and run explain every channel")
    if query.run is not None:
        return responses.json(await _run(ctx, tenant, query.recipient, query.run))
    if query.notification is not None:
        return responses.json(await _sent(ctx, tenant, query.recipient, query.notification))
    return responses.json(await _now(ctx, tenant, query))


async def _sent(ctx: ApiContext, tenant: str, recipient: str, notification: str) -> Explanation:
    store = ctx.engines.store
    if not ids.is_id(notification):
        raise NotFound("There is no notification with this id.")
    decisions = await store.messages.decisions(tenant, notification, recipient, MAX_DECISIONS)
    if not decisions:
        decisions = [await _inbox_decision(ctx, tenant, recipient, notification)]
    query = MessageQuery(tenant=tenant, notification=notification, recipient=recipient, limit=MAX_MESSAGES)
    messages = await store.messages.page(query)
    inputs = await decision_inputs.read(store, ctx.catalog, tenant, "", [recipient], ())
    zone = decision_inputs.zone_of(inputs.profile(recipient), inputs.tenant)
    return explanations.explain_sent(decisions, messages, zone)


async def _run(ctx: ApiContext, tenant: str, recipient: str, id: str) -> Explanation:
    """Explain the sending steps of a run, in order."""
    store = ctx.engines.store
    run = await store.runs.get(id)
    if run is None or run.tenant != tenant or run.recipient != recipient:
        raise NotFound("This recipient has no run with this id.")
    definition = await ctx.workflow_catalog.definition(run.owner, run.workflow, run.version)
    inputs = await decision_inputs.read(store, ctx.catalog, tenant, "", [recipient], ())
    zone, state = decision_inputs.zone_of(inputs.profile(recipient), inputs.tenant), runs.decode(run.body)
    explained = []
    for step in definition.ordered:
        done = state.step(step.key)
        if step.type not in CHANNELS or done.state in ("pending", "running"):
            continue
        if done.decided is None:
            explained.append(explanations.explain_undecided(step.type, done.reason))
            continue
        stored = await store.messages.decisions(tenant, done.decided, recipient, MAX_DECISIONS)
        messages = await store.messages.find(list(done.messages)) if done.messages else ()
        decisions = [one for one in stored if one.channel == step.type]
        explained += explanations.explain_sent(decisions, messages, zone).channels
    return explanations.joined(explained)


async def _inbox_decision(ctx: ApiContext, tenant: str, recipient: str, notification: str) -> NewDecision:
    """Sends to every inbox and no other channel record no decisions."""
    found = await ctx.engines.store.sends.find(tenant, notification)
    if found is None or found.recipient != recipient:
        raise NotFound("This recipient has no notification with this id.")
    return NewDecision(
        tenant=tenant,
        notification=notification,
        recipient=recipient,
        channel="inbox",
        outcome="send",
        decided_at=times.milliseconds(found.notification.created_at),
    )


async def _now(ctx: ApiContext, tenant: str, query: ExplainQuery) -> Explanation:
    type = query.type or ""
    validation.check(validation.text("type", type, ctx.limits.type))
    channels = CHANNELS if query.channel is None else (query.channel,)
    engines = ctx.engines
    inputs = await decision_inputs.read(engines.store, ctx.catalog, tenant, type, [query.recipient], channels)
    if query.recipient not in inputs.profiles:
        raise NotFound("There is no recipient with this key.")
    profile, now = inputs.profile(query.recipient), engines.clock.now()
    decisions = [(channel, inputs.decide(profile, channel, "normal", now)) for channel in channels]
    return explanations.explain_now(decisions, decision_inputs.zone_of(profile, inputs.tenant))


HANDLERS = [explain]
