"""Live events from the app: heard by who is connected, kept by nobody."""

from litestar.types import ASGIApp
from msgspec import Struct

from bellcast.api import answers, reading, rooms, tenants
from bellcast.api.operations import operation
from bellcast.api.reading import Asked
from bellcast.api.tenants import TenantQuery
from bellcast.inbox import events as live_events
from bellcast.model import publishing
from bellcast.model.publishing import EventDraft


class Accepted(Struct, frozen=True):
    """The event is on its way to who is connected."""


@operation(
    "POST",
    "/v1/events",
    tag="Live",
    door="send",
    query=TenantQuery,
    body=EventDraft,
    answers={202: Accepted},
    example={"topic": "admin", "name": "lead.assigned", "data": {"lead": 7}},
)
async def publish(request: Asked) -> ASGIApp:
    """Publish a live event.

    To a topic, to several, or to one recipient's connections. It is not stored: who is not connected does not hear it. `except` is the connection that must not hear it."""
    here = rooms.of(request)
    asked = await reading.body(request, EVENT)
    tenant = tenants.single_tenant(request, asked.tenant)
    await live_events.publish(here.engines, *publishing.events(asked, tenant))
    return answers.json(Accepted(), 202)


EVENT = reading.Shape(EventDraft, lambda asked, here: publishing.check(asked, here.limits), {"name": "x"})
