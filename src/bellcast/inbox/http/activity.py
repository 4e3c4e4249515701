"""Lists of sent notifications and announcements, newest first."""

from typing import Literal

from msgspec.structs import replace

from bellcast.inbox.http import notifications
from bellcast.inbox.http.notifications import ListedNotification
from bellcast.inbox.store import sent as store
from bellcast.inbox.store.sent import SentItems
from bellcast.kernel.db.lists import ListPage, ListQuery
from bellcast.kernel.errors import BadRequest, Invalid
from bellcast.kernel.http.list_parameters import ListLimit, TimeRangeQuery
from bellcast.operators.types import ROLES
from bellcast.rest.resource import Listing, Resource

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


@notifications.NOTIFICATIONS.page(
    store.LIST, ListedNotification, query=SentItemsQuery, roles=ROLES, refusals=(BadRequest,)
)
async def notification_page(listing: Listing[SentItemsQuery]) -> ListPage[ListedNotification]:
    """List sent notifications.

    Notifications to named recipients, newest first. The filters can be combined. One request examines at most 20,000
    rows."""
    found = await SentItems(listing.ctx.engines.db).notifications(_with_part(listing))
    return found.of(await notifications.listed(listing.ctx.engines, found.items))


@Resource("announcements", tag="Sending").page(
    store.LIST, ListedNotification, query=SentItemsQuery, roles=ROLES, refusals=(BadRequest,)
)
async def announcement_page(listing: Listing[SentItemsQuery]) -> ListPage[ListedNotification]:
    """List announcements.

    Newest first, without recalled ones. With `recipient`, only the announcements in that recipient's inbox; `state`
    filters by their state there."""
    if listing.query.state is not None and listing.query.recipient is None:
        raise Invalid.of("state", "needs `recipient`: each inbox has its own state of an announcement")
    found = await SentItems(listing.ctx.engines.db).announcements(_with_part(listing))
    return found.of(await notifications.listed(listing.ctx.engines, found.items))


def _with_part(listing: Listing[SentItemsQuery]) -> ListQuery:
    part = None if listing.query.state is None else PARTS[listing.query.state]
    return replace(listing.wanted, filters={**listing.wanted.filters, "part": part})


HANDLERS = (notification_page, announcement_page)
