"""Live events from the app: delivered to current connections, and kept for a short time for clients that reconnect."""

from msgspec import Struct

from bellcast.kernel import validation
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest import context, objects, tenants
from bellcast.rest.operations import operation
from bellcast.rest.resource import DryRunQuery
from bellcast.topics import publishing as live_events
from bellcast.topics.types import EventDraft, address_errors, events


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
    await live_events.publish(ctx.engines, *events(params, tenant))
    return responses.json(Accepted(), 202)


EVENT = request_body.Shape(EventDraft, lambda draft, _: validation.check(address_errors(draft)), {"name": "x"})
