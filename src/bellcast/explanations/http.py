"""Explains deliveries over HTTP."""

from typing import Annotated

from bellcast.channels.types import Explanation
from bellcast.explanations import deliveries
from bellcast.kernel import validation
from bellcast.kernel.errors import Invalid, NotFound
from bellcast.kernel.field_limits import KEY_PATTERN, Limit, ValueRule, text
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.times import Moment
from bellcast.preferences.types import CHANNELS, Channel
from bellcast.rest import context, tenants
from bellcast.rest.operations import operation
from bellcast.rest.tenants import TenantQuery


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

    With `recipient` alone: the last notification, or its run if that failed or goes on, and the facts since `since`, by default of the last day:
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
    if query.run is not None:  # its explanation has no facts
        return responses.json(await deliveries.of_run(ctx, tenant, query.recipient, query.run))
    if query.notification is not None:
        explained = await deliveries.of_notification(ctx, tenant, query.recipient, query.notification, query.since)
        return responses.json(explained)
    if query.type is None:
        return responses.json(await deliveries.of_recipient(ctx, tenant, query.recipient, query.since))
    validation.check(validation.text("type", query.type, ctx.limits.type))
    channels = CHANNELS if query.channel is None else (query.channel,)
    return responses.json(await deliveries.of_type(ctx, tenant, query.recipient, query.type, channels, query.since))
