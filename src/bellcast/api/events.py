"""Live events from the app: delivered to current connections, and kept for a short time for clients that reconnect."""

from msgspec import Struct

from bellcast.api import context, objects, request_body, responses, tenants
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.api.resource import DryRunQuery
from bellcast.inbox import events as live_events
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.model import live_event_drafts
from bellcast.model.live_event_drafts import EventDraft


class Accepted(Struct, frozen=True):
    """The event was published to connected clients."""


@operation(
    "POST",
    "/v1/events",
    tag="Live",
    required_scope="send",
    query=DryRunQuery,
    body=EventDraft,
    response_types={200: Accepted, 202: Accepted},
    example={"topic": "admin", "name": "lead.assigned", "data": {"lead": 7}},
)
async def publish(request: ApiRequest) -> ASGIApp:
    """Publish a live event.

    To one or several topics, or to one recipient's connections. The event is in no inbox. Clients that reconnect
    receive it as long as it is kept (`BELLCAST_TOPIC_HISTORY`), unless `keep` is false. The connection with the id
    `except` does not receive it."""
    ctx = context.of(request)
    params = await request_body.body(request, EVENT)
    tenant = tenants.single_tenant(request, params.tenant)
    if objects.is_dry_run(request):
        return responses.json(Accepted())
    await live_events.publish(ctx.engines, *live_event_drafts.events(params, tenant))
    return responses.json(Accepted(), 202)


EVENT = request_body.Shape(EventDraft, lambda params, ctx: live_event_drafts.check(params, ctx.limits), {"name": "x"})
