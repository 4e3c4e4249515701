"""Live events from the app: heard by who is connected, kept by nobody."""

from typing import Any

from litestar.types import ASGIApp
from msgspec import Struct, field

from bellcast.api import answers, reading, rooms, tenants
from bellcast.api.operations import operation
from bellcast.api.reading import Asked
from bellcast.api.rooms import Rooms
from bellcast.api.tenants import TenantQuery
from bellcast.errors import FieldError, Invalid
from bellcast.inbox import events as live_events
from bellcast.model import drafts
from bellcast.model.events import LiveEvent
from bellcast.model.limits import Limits


class EventDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A live event as the app asks for it: to exactly one of topic, topics or recipient."""

    name: str
    data: Any = None
    topic: str | None = None
    topics: list[str] | None = None
    recipient: str | None = None
    sender: str | None = field(default=None, name="except")
    tenant: str | None = None


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
    tenant = tenants.one(request, asked.tenant)
    await live_events.publish(here.engines, *_events(asked, tenant))
    return answers.json(Accepted(), 202)


def _check(asked: EventDraft, here: Rooms) -> None:
    found = [*_addressed(asked, here.limits)]
    try:
        drafts.check_event(asked.name, asked.data, here.limits)
    except Invalid as more:
        found += more.errors
    if found:
        raise Invalid.fields(found)


def _addressed(asked: EventDraft, limits: Limits) -> drafts.Found:
    named = [name for name in ("topic", "topics", "recipient") if getattr(asked, name) is not None]
    if len(named) != 1:
        told = f"not {' and '.join(named)}" if named else "none was given"
        yield FieldError(named[-1] if named else "topic", f"name exactly one of topic, topics and recipient; {told}")
    if asked.topic is not None:
        yield from drafts.topic("topic", asked.topic, limits)
    if asked.topics is not None:
        yield from _topics(asked.topics, limits)
    if asked.recipient is not None:
        yield from drafts.key("recipient", asked.recipient, limits)
    if asked.tenant is not None:
        yield from drafts.tenant("tenant", asked.tenant, limits)


def _topics(topics: list[str], limits: Limits) -> drafts.Found:
    if not topics:
        yield FieldError("topics", "must name at least one topic")
    if limits.to and len(topics) > limits.to:
        yield FieldError("topics", f"must name at most {limits.to} topics, got {len(topics)}")
        return
    for number, topic in enumerate(topics):
        yield from drafts.topic(f"topics.{number}", topic, limits)


def _events(asked: EventDraft, tenant: str) -> list[LiveEvent]:
    if asked.recipient is not None:
        return [LiveEvent(tenant, asked.name, asked.data, recipient=asked.recipient, sender=asked.sender)]
    topics = dict.fromkeys([asked.topic] if asked.topic is not None else asked.topics or ())
    return [LiveEvent(tenant, asked.name, asked.data, topic=topic, sender=asked.sender) for topic in topics]


EVENT = reading.Shape(EventDraft, _check, {"name": "x"})
