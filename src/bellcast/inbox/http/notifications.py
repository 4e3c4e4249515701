"""Send notifications, and read, list, correct and recall them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Struct

from bellcast.channels.explanations import timeline
from bellcast.channels.store.fanouts import Fanouts
from bellcast.channels.store.messages import Messages
from bellcast.channels.types import (
    EVERY_RECIPIENT,
    MAX_DECISIONS,
    MAX_MESSAGES,
    NewDecision,
    RecordedAction,
    StoredMessage,
    TimelineEntry,
)
from bellcast.engines import Engines
from bellcast.inbox import sending
from bellcast.inbox import types as notification_types
from bellcast.inbox.store import sent_items as store
from bellcast.inbox.store.sent_items import SentItems
from bellcast.inbox.types import Audience, Draft, Edit, Notification, Sent
from bellcast.inbox.types.sends import Reach, SentItem
from bellcast.kernel import ids, times, validation
from bellcast.kernel.db.lists import ListPage, ListQuery
from bellcast.kernel.errors import IdempotencyMismatch, Invalid, TemplateFailed
from bellcast.kernel.events import ROLE_PREFIX
from bellcast.kernel.field_limits import TENANT_NAME
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.list_parameters import ListLimit, TimeRangeQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.operators.types import ONE_BY_ONE
from bellcast.preferences.types import Channel
from bellcast.rest import context, guards, operations, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation
from bellcast.rest.resource import DryRunQuery, Listing, Resource, ResourceCall

D = TypeVar("D", bound=Draft)

EXAMPLE = {
    "to": "alice",
    "title": "New booking",
    "body": "Saturday, 14:00",
    "type": "booking",
    "action_url": "/bookings/7",
}


class PlannedChannel(Struct, frozen=True):
    """The planned use of one channel for one recipient. `at` is set if the message would wait."""

    recipient: str
    channel: Channel
    outcome: str
    rule: str | None
    at: datetime | None


class SendPlan(Struct, frozen=True):
    """The plan of a send for its first 100 recipients, or, for callers with the scope `read`, the first 100 current
    members of its audience. `recipients` is null for an audience of more than 10,000 or of all tenants. An audience of all tenants has no plan."""

    recipients: int | None
    plan: list[PlannedChannel]


class ListedNotification(Notification, frozen=True, kw_only=True):
    """A notification or announcement as the server side sees it. An announcement has an audience instead of a
    recipient. `in_inbox` is false if it was sent to other channels only. `fanout` shows whether an
    announcement's messages outside the inbox are still added; it is null without such channels. `reach` is that of an
    announcement; a caller that is restricted to tenants does not read that of an announcement to all, and exports do not
    have it."""

    recipient: str | None
    tenant: str | None
    audience: Audience | None
    in_inbox: bool
    fanout: str | None
    reach: Reach | None


class SentNotification(ListedNotification, frozen=True, kw_only=True):
    """A notification or announcement as the server side sees it, with its timeline."""

    timeline: list[TimelineEntry]


class Correction(Edit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields that can be changed after sending. Absent fields do not change."""

    tenant: Annotated[str | None, TENANT_NAME] = None


@operation(
    "POST",
    "/v1/notifications",
    tag="Sending",
    required_scope="send",
    roles=ONE_BY_ONE,
    query=DryRunQuery,
    body=Draft,
    headers=("Idempotency-Key",),
    # 200 and 202 have no schema, so that generated clients type a send as `Sent`.
    response_types={200: None, 201: Sent, 202: None},
    refusals=(IdempotencyMismatch, TemplateFailed),
    example=EXAMPLE,
)
async def send(request: ApiRequest) -> ASGIApp:
    """Send a notification.

    To one or several recipients, or to an audience. The response is sent after the commit, so an acknowledged
    notification is never lost. Repeating the request with the same `Idempotency-Key` and body within 24 hours returns
    the first response.

    With `send_at`, a schedule sends it at that time: 202 `{"schedule": {"key", "next_at"}}`.

    `dry_run` validates the send and returns what would be decided for the first 100 recipients; nothing is written: 200
    `{"recipients", "plan": [{"recipient", "channel", "outcome", "rule", "at"}]}`. A channel with `after` has the outcome `send`, at that time."""
    ctx = context.of(request)
    draft = await request_body.body(request, ONLY_DRAFT)
    query = request_body.query(request, DryRunQuery)
    draft = with_defaults(draft, query.tenant, request_body.header(request, b"idempotency-key"))
    tenants.log_tenant(request, draft.tenant)
    guards.require_one(request, is_one=isinstance(draft.to, str))
    if query.dry_run:
        limit = plan_limit(request, draft.to)
        return responses.json(plan_of(*await sending.plan(ctx.engines, ctx.limits, draft, limit)))
    status = 202 if sending.is_later(draft) else 201
    return responses.complete(status, await sending.send(ctx.engines, ctx.limits, draft))


def plan_limit(request: ApiRequest, to: object) -> int:
    """Return for how many recipients the caller may read the plan. Without the scope `read`, a caller reads nothing about
    recipients that it does not name."""
    is_named = isinstance(to, str | list | tuple)
    return sending.PLANNED if is_named or "read" in guards.caller(request).scopes else 0


def plan_of(recipients: int | None, decisions: Sequence[NewDecision]) -> SendPlan:
    """Return the plan of a dry run."""
    plan = [
        PlannedChannel(one.recipient, one.channel, one.outcome, one.rule, times.to_rfc3339_or_null(one.due_at))
        for one in decisions
    ]
    return SendPlan(recipients, plan)


def idempotency_key_of(in_body: str | None, header: str | None) -> str | None:
    """Return the key of a request. Raises Invalid if its body and its header have different ones."""
    if header is not None and in_body not in (None, header):
        raise Invalid.of("idempotency_key", "must be the same in the body and in the Idempotency-Key header")
    return in_body if header is None else header


def with_defaults(draft: D, tenant: str | None, idempotency_key: str | None) -> D:
    """Apply the query and header values to the draft."""
    chosen = tenants.tenant_of(tenant, draft.tenant)
    key = idempotency_key_of(draft.idempotency_key, idempotency_key)
    if chosen == draft.tenant and key == draft.idempotency_key:
        return draft
    return msgspec.structs.replace(draft, tenant=chosen, idempotency_key=key)


CORRECTION = request_body.Shape(
    Correction,
    lambda edit, ctx: notification_types.check_edit(edit, ctx.limits, times.to_rfc3339(ctx.engines.clock.now())),
    ruled_later=True,
)
NOTIFICATIONS = Resource("notifications", "/{id:str}", tag="Sending")


@NOTIFICATIONS.get(SentNotification)
async def read(call: ResourceCall[None]) -> SentNotification:
    """Read a sent notification.

    A notification or an announcement, with its audience and its timeline. An announcement to all tenants is read,
    corrected and recalled without `tenant`. This includes sends that were not for the inbox. The entries `written` are
    writes to live connections of the recipients in the notification's tenant: each node keeps its last 10,000 in memory, so
    older ones and those before a restart are unknown."""
    engines, tenant, (id,) = call.ctx.engines, call.tenant, call.key
    item = await SentItems(engines.db).find(tenant, id) if ids.is_id(id) else None
    if item is None:
        item = await sending.find_outside(engines, tenant, id)
    return await _sent_notification(call.request, call.ctx, item)


@NOTIFICATIONS.patch(CORRECTION, SentNotification, example={"title": "Booking moved", "body": "Sunday, 10:00"})
async def correct(call: ResourceCall[Correction]) -> SentNotification:
    """Correct a sent notification.

    The change applies to every inbox that contains it."""
    ctx, (id,), params = call.ctx, call.key, call.body
    edit = Edit(**{field: getattr(params, field) for field in Edit.__struct_fields__})
    item = await sending.edit(ctx.engines, ctx.limits, call.tenant, id, edit)
    return await _sent_notification(call.request, ctx, item)


@NOTIFICATIONS.delete()
async def recall(call: ResourceCall[None]) -> bool:
    """Recall a sent notification.

    It is removed from every inbox that contains it."""
    await sending.recall(call.ctx.engines, call.tenant, *call.key)
    return True


async def listed(request: ApiRequest, engines: Engines, items: Sequence[SentItem]) -> list[ListedNotification]:
    """Convert stored notifications or announcements for the server side."""
    announced = [one.notification.id for one in items if one.announcement]
    states = await Fanouts(engines.db).states(announced) if announced else {}
    is_of_all = guards.caller(request).tenants is None
    # An export of 100,000 announcements would read 100 million rows.
    countable = [] if operations.export_format(request) else [one for one in items if one.announcement]
    counted = [one.notification.id for one in countable if is_of_all or one.tenant != EVERY_TENANT]
    reach = await SentItems(engines.db).reach(counted) if counted else {}
    fanouts = {id: "running" if state == "running" else "done" for id, state in states.items()}
    return [
        ListedNotification(
            **msgspec.structs.asdict(item.notification),
            recipient=item.recipient,
            tenant=item.tenant or None,
            audience=_audience(item) if item.announcement else None,
            in_inbox=item.has_row,
            fanout=fanouts.get(item.notification.id),
            reach=reach.get(item.notification.id),
        )
        async for item in engines.pace.each(items)
    ]


async def _sent_notification(request: ApiRequest, ctx: ApiContext, item: SentItem) -> SentNotification:
    """Convert a stored notification or announcement for the server side, with its timeline."""
    engines = ctx.engines
    decisions: Sequence[NewDecision] = ()
    messages: Sequence[StoredMessage] = ()
    actions: Sequence[RecordedAction] = ()
    id = item.notification.id
    if item.announcement:
        actions = await Messages(engines.db).actions(item.tenant, id, EVERY_RECIPIENT, MAX_DECISIONS)
    else:
        decisions = await Messages(engines.db).decisions(item.tenant, id, item.recipient, MAX_DECISIONS)
        filters = {"notification": id, "recipient": item.recipient}
        query = ListQuery(tenants=[item.tenant], filters=filters, limit=MAX_MESSAGES)
        messages = (await Messages(engines.db).page(query)).items[::-1] if decisions else ()
        actions = await Messages(engines.db).actions(item.tenant, id, item.recipient, MAX_DECISIONS)
    writes = await ctx[ConnectionSurvey].writes(item.tenant, id, item.recipient) if item.has_row else ()
    (shown,) = await listed(request, engines, [item])
    return SentNotification(
        **msgspec.structs.asdict(shown),
        timeline=timeline(item, decisions, messages, actions, writes, engines.clock.now()),
    )


def _audience(item: SentItem) -> Audience:
    """Return the audience of an announcement."""
    if item.topic is not None and item.topic.startswith(ROLE_PREFIX):
        return Audience(role=item.topic.removeprefix(ROLE_PREFIX))
    if item.topic is not None:
        return Audience(topic=item.topic)
    if item.tenant in ("", EVERY_TENANT):
        return Audience(all=True, tenant=item.tenant or None)
    return Audience(tenant=item.tenant)


DRAFT = request_body.Shape(
    Draft,
    lambda draft, ctx: validation.check(
        notification_types.draft_errors(draft, ctx.limits, times.to_rfc3339(ctx.engines.clock.now())),
        ctx.engines.scheduler.time_errors(draft),
    ),
    ruled_later=True,
)
ONLY_DRAFT = msgspec.structs.replace(DRAFT, bulk="POST /v1/notifications/bulk")


# --- lists

PartName = Literal["unread", "read", "archived"]
PARTS: dict[PartName, int] = {"unread": 0, "read": 1, "archived": 2}


class SentItemsQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """A page of sent notifications or announcements, newest first, with filters. The tenant `*` means all tenants."""

    recipient: str | None = None
    type: str | None = None
    state: PartName | None = None
    tag: str | None = None
    limit: ListLimit = 50
    after: str | None = None


# Fields of notifications, and of the audience of announcements.
SHOWN = (
    "type priority tags group expires_at seen_at read_at archived_at body_format snoozed_until woken_at awaits_return "
    "recipient in_inbox fanout audience topic role all reach inboxes read exact"
)


@NOTIFICATIONS.page(store.LIST, ListedNotification, query=SentItemsQuery, shown=SHOWN, id="activity.notification_page")
async def notification_page(listing: Listing[SentItemsQuery]) -> ListPage[ListedNotification]:
    """List sent notifications.

    Notifications to named recipients, newest first. The filters can be combined. One request examines at most 20,000
    rows."""
    found = await SentItems(listing.ctx.engines.db).notifications(_with_part(listing))
    return found.of(await listed(listing.request, listing.ctx.engines, found.items))


@Resource("announcements", tag="Sending").page(
    store.LIST,
    ListedNotification,
    query=SentItemsQuery,
    shown=SHOWN,
    id="activity.announcement_page",
)
async def announcement_page(listing: Listing[SentItemsQuery]) -> ListPage[ListedNotification]:
    """List announcements.

    Newest first, without recalled ones. With `recipient`, only the announcements in that recipient's inbox; `state`
    filters by their state there."""
    if listing.query.state is not None and listing.query.recipient is None:
        raise Invalid.of("state", "needs `recipient`: each inbox has its own state of an announcement")
    found = await SentItems(listing.ctx.engines.db).announcements(_with_part(listing))
    return found.of(await listed(listing.request, listing.ctx.engines, found.items))


def _with_part(listing: Listing[SentItemsQuery]) -> ListQuery:
    part = None if listing.query.state is None else PARTS[listing.query.state]
    return msgspec.structs.replace(listing.list_query, filters={**listing.list_query.filters, "part": part})
