"""Lists of sent notifications and announcements, newest first."""

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
from msgspec import Struct

from bellcast.inbox.http import notifications
from bellcast.inbox.http.notifications import ListedNotification
from bellcast.inbox.store.sent import SentItems
from bellcast.inbox.types.sends import SentItem, SentQuery
from bellcast.kernel.db.list_scan import ListScan, ListTotal
from bellcast.kernel.errors import BadRequest, Invalid
from bellcast.kernel.http import list_positions, request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.list_limit import ListLimit
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.http.time_range import TimeRangeQuery
from bellcast.kernel.ids import NEWEST
from bellcast.operators.types import ROLES
from bellcast.rest import context, tenant_pages, viewers
from bellcast.rest.operations import operation

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


class NotificationPage(Struct, frozen=True):
    """A page of notifications. Pass `next` as `after` for older ones. If `scanned_until` is not null, the search
    stopped before the page was full: pass it as `after` to continue. Only the first page has a `total`."""

    notifications: list[ListedNotification]
    next: str | None
    scanned_until: str | None
    total: ListTotal | None = None


class AnnouncementPage(Struct, frozen=True):
    """A page of announcements. Pass `next` as `after` for older ones, or `scanned_until`, if it is not null, to search
    further. Only the first page has a `total`."""

    announcements: list[ListedNotification]
    next: str | None
    scanned_until: str | None
    total: ListTotal | None = None


@operation(
    "GET",
    "/v1/notifications",
    tag="Sending",
    required_scope="read",
    roles=ROLES,
    bound_by="list",
    query=SentItemsQuery,
    is_exported=True,
    response_types={200: NotificationPage},
    refusals=(BadRequest,),
)
async def notification_page(request: ApiRequest) -> ASGIApp:
    """List sent notifications.

    Notifications to named recipients, newest first. The filters can be combined. One request examines at most 20,000
    rows."""
    query = request_body.query(request, SentItemsQuery)
    engines = context.of(request).engines
    wanted, sent = _sent_query(request, query), SentItems(engines.db)
    found = await _pages(request, sent.notifications, wanted)
    total = await _total(request, query, sent.count_notifications, wanted, found)
    shown, following = list_positions.split(found.rows, query.limit, lambda one: one.notification.id)
    listed = await notifications.listed(engines, shown)
    return responses.json(viewers.page_for(request, NotificationPage(listed, following, found.scanned_until, total)))


@operation(
    "GET",
    "/v1/announcements",
    tag="Sending",
    required_scope="read",
    roles=ROLES,
    bound_by="list",
    query=SentItemsQuery,
    is_exported=True,
    response_types={200: AnnouncementPage},
    refusals=(BadRequest,),
)
async def announcement_page(request: ApiRequest) -> ASGIApp:
    """List announcements.

    Newest first, without recalled ones. With `recipient`, only the announcements in that recipient's inbox; `state`
    filters by their state there."""
    query = request_body.query(request, SentItemsQuery)
    if query.state is not None and query.recipient is None:
        raise Invalid.of("state", "needs `recipient`: each inbox has its own state of an announcement")
    engines = context.of(request).engines
    wanted, sent = _sent_query(request, query), SentItems(engines.db)
    found = await _pages(request, sent.announcements, wanted)
    total = await _total(request, query, sent.count_announcements, wanted, found)
    shown, following = list_positions.split(found.rows, query.limit, lambda one: one.notification.id)
    listed = await notifications.listed(engines, shown)
    return responses.json(viewers.page_for(request, AnnouncementPage(listed, following, found.scanned_until, total)))


async def _pages(
    request: ApiRequest, read: Callable[[SentQuery], Awaitable[ListScan[SentItem]]], wanted: SentQuery
) -> ListScan[SentItem]:
    return await tenant_pages.newest(
        request,
        wanted.tenant,
        wanted.limit,
        lambda tenant: read(msgspec.structs.replace(wanted, tenant=tenant)),
        lambda item: item.notification.id,
    )


async def _total(
    request: ApiRequest,
    query: SentItemsQuery,
    count: Callable[[SentQuery], Awaitable[ListTotal]],
    wanted: SentQuery,
    page: ListScan[SentItem],
) -> ListTotal | None:
    return await tenant_pages.total(
        request,
        wanted.tenant,
        page,
        query.after,
        query.limit,
        lambda tenant, _limit: count(msgspec.structs.replace(wanted, tenant=tenant)),
    )


def _sent_query(request: ApiRequest, query: SentItemsQuery) -> SentQuery:
    return SentQuery(
        tenant=tenant_pages.tenant_of(request, query.tenant, recipient=query.recipient),
        recipient=query.recipient,
        type=query.type,
        part=None if query.state is None else PARTS[query.state],
        tag=query.tag,
        before=list_positions.item_id(query.after) or NEWEST,
        created_since=query.created_since,
        created_before=query.created_before,
        limit=query.limit + 1,
    )


HANDLERS = (notification_page, announcement_page)
