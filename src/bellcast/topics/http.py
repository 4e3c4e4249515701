"""Topics: subscribers, presence and live events."""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from bellcast.kernel import times, validation
from bellcast.kernel.brokers import history
from bellcast.kernel.clock import request_time
from bellcast.kernel.db.lists import ListPage
from bellcast.kernel.errors import BadRequest, Invalid, NotFound
from bellcast.kernel.events import ROLE_PREFIX, topic_stream
from bellcast.kernel.field_limits import TENANT_NAME, shown
from bellcast.kernel.http import ASGIApp, list_parameters, request_body, responses
from bellcast.kernel.http.list_parameters import AppListLimit, ListLimit
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.live.hub import survey
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.recipients import http as recipients
from bellcast.recipients import store
from bellcast.recipients.http import PageQuery
from bellcast.recipients.store import StoredSubscriptions
from bellcast.recipients.types import Subscription
from bellcast.rest import context, tenants
from bellcast.rest.operations import operation
from bellcast.rest.resource import DryRunQuery, Listing, Resource, ResourceCall
from bellcast.rest.tenants import TenantQuery
from bellcast.topics import publishing, types
from bellcast.topics.types import EventPage, ListedTopic, PastEvent, Presence, SubscriptionPage


class SubscribeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Optional fields of a subscription."""

    tenant: Annotated[str | None, TENANT_NAME] = None


def topic(request: ApiRequest) -> str:
    """Return the topic in the path. Raises Invalid."""
    result = request_body.path(request, "topic")
    validation.check(validation.topic("topic", result, context.of(request).limits))
    return result


def _changeable_topic(request: ApiRequest) -> str:
    """Return the topic in the path if its subscriptions can be changed."""
    result = topic(request)
    if result.startswith(ROLE_PREFIX):
        raise Invalid.of("topic", "is the topic of a role: add or remove the role in the recipient's record")
    return result


class TopicsQuery(TenantQuery, frozen=True, kw_only=True):
    """A page of topics, ordered by name; `prefix` is the beginning of their names. The tenant `*` means all tenants,
    ordered by their keys."""

    prefix: Annotated[str, Meta(max_length=200)] = ""
    limit: ListLimit = 50
    after: str | None = None


class TopicsOfRecipientQuery(TenantQuery, frozen=True, kw_only=True):
    """A page of a recipient's subscriptions, ordered by topic."""

    limit: AppListLimit = 100
    after: str = ""


TOPICS = Resource("topics", "/{topic:str}", topic, tag="Topics")
OF_RECIPIENT = Resource("recipients", "/{key:str}/subscriptions", recipients.key, tag="Topics")
SUBSCRIPTIONS = Resource(
    "topics",
    "/{topic:str}/subscriptions/{recipient:str}",
    lambda request: (_changeable_topic(request), recipients.key(request, "recipient")),
    tag="Topics",
)


@TOPICS.page(store.TOPICS, ListedTopic, query=TopicsQuery, shown="topic subscribers followers present")
async def all_topics(listing: Listing[TopicsQuery]) -> ListPage[ListedTopic]:
    """List the topics that have subscribers or followers.

    A topic exists as long as it has a subscriber or follower. It has no creation time, so this list has no `from` and
    `to`. Its total is exact if it has only one page."""
    wanted = replace(listing.list_query, prefix=listing.query.prefix)
    return await survey.topic_page(listing.ctx.engines.db, listing.ctx[ConnectionSurvey], wanted)


@SUBSCRIPTIONS.put(SubscribeBody, Subscription, is_body_optional=True, example={})
async def subscribe(call: ResourceCall[SubscribeBody]) -> tuple[Subscription, bool]:
    """Subscribe a recipient to a topic.

    The recipient receives all later sends to the topic. 201 when the subscription is new. The body is optional."""
    tenant, engines, (topic, recipient) = call.tenant, call.ctx.engines, call.key
    if call.is_dry_run:
        known = await StoredSubscriptions(engines.db).get(tenant, topic, recipient)
        return known or Subscription(topic, recipient, times.to_rfc3339(engines.clock.now())), False
    return await StoredSubscriptions(engines.db).subscribe(tenant, topic, recipient, request_time(engines.clock))


@SUBSCRIPTIONS.delete()
async def unsubscribe(call: ResourceCall[None]) -> bool:
    """Unsubscribe a recipient from a topic.

    Earlier notifications stay in the recipient's inbox."""
    engines, (topic, recipient) = call.ctx.engines, call.key
    events = await StoredSubscriptions(engines.db).unsubscribe(call.tenant, topic, recipient, engines.clock.now())
    if events is None:
        raise NotFound("This recipient is not subscribed to this topic.")
    await engines.broker.publish(*events)
    return True


@TOPICS.get(SubscriptionPage, "/subscriptions", query=PageQuery, refusals=())
async def page(call: ResourceCall[None]) -> SubscriptionPage:
    """List the subscriptions of a topic, by recipient."""
    query, db = request_body.query(call.request, PageQuery), call.ctx.engines.db
    result = await StoredSubscriptions(db).page(call.tenant, call.key[0], query.after, query.limit + 1)
    return SubscriptionPage(*list_parameters.split(result, query.limit, lambda one: one.recipient))


@OF_RECIPIENT.get(SubscriptionPage, query=TopicsOfRecipientQuery, refusals=())
async def of_recipient(call: ResourceCall[None]) -> SubscriptionPage:
    """List the subscriptions of a recipient, by topic.

    Topics of roles begin with `role.`."""
    query, db = request_body.query(call.request, TopicsOfRecipientQuery), call.ctx.engines.db
    result = await StoredSubscriptions(db).of_recipient(call.tenant, call.key[0], query.after, query.limit + 1)
    return SubscriptionPage(*list_parameters.split(result, query.limit, lambda one: one.topic))


@TOPICS.get(Presence, "/presence", refusals=())
async def presence(call: ResourceCall[None]) -> Presence:
    """List the members that are present on a topic."""
    (named,) = call.key
    return Presence(named, list(await call.ctx[ConnectionSurvey].presence(call.tenant, named)))


class EventQuery(TenantQuery, frozen=True, kw_only=True):
    """A page of stored live events, after an event's id or the `next` of the previous page."""

    after: Annotated[str | None, shown({"pattern": f"^{history.EVENT_ID.pattern}$"})] = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


@TOPICS.get(EventPage, "/events", query=EventQuery, refusals=())
async def events(call: ResourceCall[None]) -> EventPage:
    """List the live events of a topic that are still kept.

    Oldest first, after the event `after`; without it, or if it is too old, from the oldest one."""
    params, tenant = request_body.query(call.request, EventQuery), call.tenant
    if params.after is not None and history.parse_event_id(params.after) is None:
        raise BadRequest("`after` is not an event's id: use `next` of a page, or an `id` from a page or a frame.")
    stream = topic_stream(tenant, *call.key)
    found = await call.ctx.engines.history.page(tenant, stream, params.after, params.limit)
    shown = [PastEvent(one.id or "", one.name, one.data, times.to_rfc3339(at)) for one, at in found.events]
    return EventPage(shown, shown[-1].id if found.has_more else None, found.epoch, found.recovered)


@TOPICS.delete("/events", refusals=())
async def clear(call: ResourceCall[None]) -> bool:
    """Delete the stored live events of a topic.

    A client that has missed some of them is informed of the loss when it reconnects."""
    await call.ctx.engines.history.clear(call.tenant, topic_stream(call.tenant, *call.key))
    return True


class Accepted(Struct, frozen=True):
    """The event was published to connected clients."""


@operation(
    "POST",
    "/v1/events",
    tag="Live",
    required_scope="send",
    query=DryRunQuery,
    body=types.EventDraft,
    response_types={200: Accepted, 202: Accepted},
    example={"topic": "admin", "name": "lead.assigned", "data": {"lead": 7}},
    id="events.publish",
)
async def publish(request: ApiRequest) -> ASGIApp:
    """Publish a live event.

    To one or several topics, or to one recipient's connections. The event is in no inbox. Clients that reconnect
    receive it as long as it is kept (`BELLCAST_TOPIC_HISTORY`), unless `keep` is false. The connection with the id
    `except` does not receive it."""
    ctx = context.of(request)
    params = await request_body.body(request, EVENT)
    tenant = tenants.single_tenant(request, params.tenant)
    if request_body.is_dry_run(request):
        return responses.json(Accepted())
    await publishing.publish(ctx.engines, *types.events(params, tenant))
    return responses.json(Accepted(), 202)


EVENT = request_body.Shape(types.EventDraft, lambda draft, _: validation.check(types.address_errors(draft)))
