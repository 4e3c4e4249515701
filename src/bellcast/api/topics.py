"""Who is on a topic, and who is there right now."""

from litestar.types import ASGIApp
from msgspec import Struct

from bellcast.api import answers, reading, recipients, rooms, tenants
from bellcast.api.operations import operation
from bellcast.api.reading import Asked
from bellcast.api.recipients import PageQuery
from bellcast.api.tenants import TenantQuery
from bellcast.errors import Invalid, NotFound
from bellcast.inbox import people
from bellcast.model import drafts, patterns
from bellcast.model.events import Member
from bellcast.model.people import Subscription


class SubscriptionPage(Struct, frozen=True):
    """A page of a topic's subscriptions; `next` goes into `after`."""

    subscriptions: list[Subscription]
    next: str | None


class SubscribeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a subscription may say of itself."""

    tenant: str | None = None


class Presence(Struct, frozen=True):
    """Who is present on a topic."""

    topic: str
    members: list[Member]


def topic(request: Asked) -> str:
    """The topic in the path."""
    found = reading.path(request, "topic")
    drafts.check(drafts.topic("topic", found, rooms.of(request).limits))
    return found


def _changeable(request: Asked) -> str:
    """The topic in the path, if who is on it is for anybody to say."""
    found = topic(request)
    if found.startswith(patterns.ROLE_PREFIX):
        raise Invalid.of("topic", "is the topic of a role: give or take the role in the recipient's record")
    return found


@operation(
    "PUT",
    "/v1/topics/{topic:str}/subscriptions/{recipient:str}",
    tag="Topics",
    door="manage",
    query=TenantQuery,
    body=SubscribeBody,
    example={},
    answers={200: Subscription, 201: Subscription},
)
async def subscribe(request: Asked) -> ASGIApp:
    """Put a recipient on a topic.

    It gets what is sent to the topic from now on. 201 when it was not on it. The body may be left out."""
    here = rooms.of(request)
    said = await reading.optional_body(request, JOINING)
    asked = (
        tenants.single_tenant(request, None if said is None else said.tenant),
        _changeable(request),
        recipients.key(request, "recipient"),
    )
    subscription, created = await people.subscribe(here.engines, *asked)
    return answers.json(subscription, 201 if created else 200)


@operation(
    "DELETE",
    "/v1/topics/{topic:str}/subscriptions/{recipient:str}",
    tag="Topics",
    door="manage",
    query=TenantQuery,
    answers={204: None},
    refusals=(NotFound,),
)
async def unsubscribe(request: Asked) -> ASGIApp:
    """Take a recipient off a topic.

    What it was sent before stays in its inbox."""
    here = rooms.of(request)
    asked = tenants.single_tenant(request), _changeable(request), recipients.key(request, "recipient")
    await people.unsubscribe(here.engines, *asked)
    return answers.empty()


@operation(
    "GET",
    "/v1/topics/{topic:str}/subscriptions",
    tag="Topics",
    door="read",
    query=PageQuery,
    answers={200: SubscriptionPage},
)
async def page(request: Asked) -> ASGIApp:
    """List who is on a topic, by recipient."""
    asked = reading.query(request, PageQuery)
    store = rooms.of(request).engines.store
    found = await store.recipients.subscriptions(
        tenants.single_tenant(request), topic(request), asked.cursor, asked.limit + 1
    )
    shown = found[: asked.limit]
    return answers.json(SubscriptionPage(shown, shown[-1].recipient if len(found) > asked.limit else None))


@operation(
    "GET",
    "/v1/topics/{topic:str}/presence",
    tag="Topics",
    door="read",
    query=TenantQuery,
    answers={200: Presence},
)
async def presence(request: Asked) -> ASGIApp:
    """List who is present on a topic."""
    named = topic(request)
    members = rooms.of(request).connections.presence(tenants.single_tenant(request), named)
    return answers.json(Presence(named, list(members)))


JOINING = reading.Shape(SubscribeBody)
