"""Explain why a recipient gets or does not get a notification through a channel."""

from typing import Annotated

import msgspec

from bellcast.channels import decision_inputs, explanations
from bellcast.channels.catalog import Catalog
from bellcast.channels.explanations import ChannelExplanation, Explanation
from bellcast.channels.http import recipient_explanations
from bellcast.channels.store.messages import Messages
from bellcast.channels.types import MAX_DECISIONS, StoredMessage
from bellcast.inbox import sent
from bellcast.inbox.store.sent import SentItems
from bellcast.inbox.types.sends import SentItem
from bellcast.kernel import ids, validation
from bellcast.kernel.errors import Invalid, NotFound
from bellcast.kernel.field_limits import KEY_PATTERN, Limit, ValueRule, text
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.times import Moment
from bellcast.preferences.types import CHANNELS, Channel
from bellcast.rest import context, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation
from bellcast.rest.tenants import TenantQuery
from bellcast.workflows.store.runs import Runs
from bellcast.workflows.types import runs
from bellcast.workflows.workflow_catalog import WorkflowCatalog


class ExplainQuery(TenantQuery, frozen=True, kw_only=True):
    """A recipient, alone or with a sent notification, a run, or a type for a hypothetical send; and since when to return
    facts."""

    recipient: Annotated[str, ValueRule(schema=lambda limits: text(limits.key, KEY_PATTERN))]
    notification: str | None = None
    run: str | None = None
    type: Annotated[str | None, Limit("type")] = None
    channel: Channel | None = None
    since: Moment | None = None


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

    With `recipient` alone: the last notification, and the facts since `since`, by default of the last day:
    notifications, connections, and requests that this node refused. With `notification` or `run`: the decisions for the
    recipient at the time of the send, and their results; with `since`, only the facts since then. With `type`, and
    optionally `channel`: the result of a send at this moment; with `since`, also the facts since then, of notifications
    of this type. `text` explains it in sentences."""
    query = request_body.query(request, ExplainQuery)
    ctx, tenant = context.of(request), tenants.single_tenant(request)
    validation.check(validation.key("recipient", query.recipient, ctx.limits))
    if [query.notification, query.run, query.type].count(None) < 2:
        raise Invalid.of("notification", "expected one of notification, run, and type with channel")
    if query.type is None and query.channel is not None:
        raise Invalid.of("channel", "is only for type; notification and run explain every channel")
    if query.run is not None:
        return _response(query, await _run(ctx, tenant, query.recipient, query.run))
    if query.notification is not None:
        db = ctx.engines.db
        if not ids.is_id(query.notification):
            raise NotFound("There is no notification with this id.")
        item = await SentItems(db).find(tenant, query.notification)
        if item is None or item.announcement or item.recipient != query.recipient:
            item = await _without_row(ctx, tenant, query.recipient, query.notification, item)
        return _response(query, await recipient_explanations.of_notification(ctx, tenant, query.recipient, item))
    if query.type is None:
        return responses.json(await recipient_explanations.explain(ctx, tenant, query.recipient, query.since))
    type = query.type or ""
    validation.check(validation.text("type", type, ctx.limits.type))
    channels = CHANNELS if query.channel is None else (query.channel,)
    engines = ctx.engines
    inputs = await decision_inputs.read(engines.db, ctx[Catalog], tenant, type, [query.recipient], channels)
    if query.recipient not in inputs.profiles:
        raise NotFound("There is no recipient with this key.")
    profile, now = inputs.profile(query.recipient), engines.clock.now()
    decisions = [(channel, inputs.decide(profile, channel, "normal", now)) for channel in channels]
    explained = explanations.explain_now(decisions, decision_inputs.zone_of(profile, inputs.tenant))
    if query.since is not None:
        facts = await recipient_explanations.facts_of_type(ctx, tenant, query.recipient, type, query.since)
        explained = msgspec.structs.replace(explained, facts=facts)
    unprovided = await recipient_explanations.unprovided(ctx, tenant)
    return responses.json(explanations.with_actions(explained, query.recipient, type, unprovided=unprovided))


def _response(query: ExplainQuery, explained: Explanation) -> ASGIApp:
    if query.since is not None:
        facts = recipient_explanations.ordered(explained.facts, query.since)
        explained = msgspec.structs.replace(explained, facts=facts)
    return responses.json(explained)


async def _without_row(
    ctx: ApiContext, tenant: str, recipient: str, notification: str, announced: SentItem | None
) -> SentItem:
    """Explain deliveries without an inbox row of the recipient: outside the inbox, or as a member of an audience.
    Raises NotFound."""
    if not await Messages(ctx.engines.db).decisions(tenant, notification, recipient, 1):
        raise NotFound("This recipient has no notification with this id.")
    item = announced if announced is not None and announced.announcement else None
    item = item or await sent.find_outside(ctx.engines, tenant, notification)
    return msgspec.structs.replace(item, recipient=recipient, has_row=False)


async def _run(ctx: ApiContext, tenant: str, recipient: str, id: str) -> Explanation:
    """Explain the sending steps of a run, in order."""
    db = ctx.engines.db
    run = await Runs(db).get(id)
    if run is None or run.tenant != tenant or run.recipient != recipient:
        raise NotFound("This recipient has no run with this id.")
    definition = await ctx[WorkflowCatalog].definition(run.owner, run.workflow, run.version)
    inputs = await decision_inputs.read(db, ctx[Catalog], tenant, "", [recipient], ())
    unprovided = await recipient_explanations.unprovided(ctx, tenant)
    zone, state = decision_inputs.zone_of(inputs.profile(recipient), inputs.tenant), runs.decode(run.body)
    explained: list[ChannelExplanation] = []
    sent_messages: list[StoredMessage] = []
    for step in definition.ordered:
        done = state.step(step.key)
        if step.type not in CHANNELS or done.state in ("pending", "running"):
            continue
        if done.decided is None:
            explained.append(explanations.explain_undecided(step.type, done.reason))
            continue
        stored = await Messages(db).decisions(tenant, done.decided, recipient, MAX_DECISIONS)
        messages = await Messages(db).find(list(done.messages)) if done.messages else ()
        sent_messages += messages
        decisions = [one for one in stored if one.channel == step.type]
        explained += explanations.explain_sent(decisions, messages, zone).channels
    joined = explanations.joined(explained)
    return explanations.with_actions(joined, recipient, unprovided=unprovided, messages=sent_messages)


HANDLERS = [explain]
