"""Subscriptions of a topic, and the members present on it now."""

from litestar.types import ASGIApp
from msgspec import Struct

from bellcast.api import context, recipients, request_body, responses, tenants
from bellcast.api.operations import operation
from bellcast.api.recipients import PageQuery
from bellcast.api.request_body import ApiRequest
from bellcast.api.tenants import TenantQuery
from bellcast.errors import Invalid, NotFound
from bellcast.inbox import recipients as inbox_recipients
from bellcast.model import patterns, validation
from bellcast.model.events import Member
from bellcast.model.identities import Subscription


class SubscriptionPage(Struct, frozen=True):
    """A page of a topic's subscriptions; `next` is the value of `after` for the next page."""

    subscriptions: list[Subscription]
    next: str | None


class SubscribeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Optional fields of a subscription."""

    tenant: str | None = None


class Presence(Struct, frozen=True):
    """Members that are present on a topic."""

    topic: str
    members: list[Member]


def topic(request: ApiRequest) -> str:
    """Return the topic in the path. Raises Invalid."""
    result = request_body.path(request, "topic")
    validation.check(validation.topic("topic", result, context.of(request).limits))
    return result


def _changeable(request: ApiRequest) -> str:
    """Return the topic in the path if its subscriptions can be changed."""
    result = topic(request)
    if result.startswith(patterns.ROLE_PREFIX):
        raise Invalid.of("topic", "is the topic of a role: give or take the role in the recipient's record")
    return result


@operation(
    "PUT",
    "/v1/topics/{topic:str}/subscriptions/{recipient:str}",
    tag="Topics",
    required_scope="manage",
    query=TenantQuery,
    body=SubscribeBody,
    example={},
    response_types={200: Subscription, 201: Subscription},
)
async def subscribe(request: ApiRequest) -> ASGIApp:
    """Subscribe a recipient to a topic.

    The recipient receives all later sends to the topic. 201 when the subscription is new. The body is
    optional."""
    ctx = context.of(request)
    body = await request_body.optional_body(request, JOINING)
    params = (
        tenants.single_tenant(request, None if body is None else body.tenant),
        _changeable(request),
        recipients.key(request, "recipient"),
    )
    subscription, created = await inbox_recipients.subscribe(ctx.engines, *params)
    return responses.json(subscription, 201 if created else 200)


@operation(
    "DELETE",
    "/v1/topics/{topic:str}/subscriptions/{recipient:str}",
    tag="Topics",
    required_scope="manage",
    query=TenantQuery,
    response_types={204: None},
    refusals=(NotFound,),
)
async def unsubscribe(request: ApiRequest) -> ASGIApp:
    """Unsubscribe a recipient from a topic.

    Earlier notifications stay in the recipient's inbox."""
    ctx = context.of(request)
    params = tenants.single_tenant(request), _changeable(request), recipients.key(request, "recipient")
    await inbox_recipients.unsubscribe(ctx.engines, *params)
    return responses.empty()


@operation(
    "GET",
    "/v1/topics/{topic:str}/subscriptions",
    tag="Topics",
    required_scope="read",
    query=PageQuery,
    response_types={200: SubscriptionPage},
)
async def page(request: ApiRequest) -> ASGIApp:
    """List the subscriptions of a topic, by recipient."""
    params = request_body.query(request, PageQuery)
    store = context.of(request).engines.store
    result = await store.recipients.subscriptions(
        tenants.single_tenant(request), topic(request), params.cursor, params.limit + 1
    )
    shown = result[: params.limit]
    return responses.json(SubscriptionPage(shown, shown[-1].recipient if len(result) > params.limit else None))


@operation(
    "GET",
    "/v1/topics/{topic:str}/presence",
    tag="Topics",
    required_scope="read",
    query=TenantQuery,
    response_types={200: Presence},
)
async def presence(request: ApiRequest) -> ASGIApp:
    """List the members that are present on a topic."""
    named = topic(request)
    members = context.of(request).connections.presence(tenants.single_tenant(request), named)
    return responses.json(Presence(named, list(members)))


JOINING = request_body.Shape(SubscribeBody)
