"""Read an inbox: pages, counts and single notifications."""

from collections.abc import Awaitable, Callable

from msgspec import Struct
from msgspec.structs import replace

from bellcast.engines import Engines
from bellcast.inbox.store.inboxes import Inboxes
from bellcast.inbox.types.inboxes import Inbox, OpenInbox, Query, ResumeFrom, SessionRevoked
from bellcast.inbox.types.notifications import Notification
from bellcast.kernel import ids, times
from bellcast.kernel.errors import NotFound
from bellcast.kernel.identities import Principal


class InboxListing(Struct, frozen=True, kw_only=True):
    """A page in the response. `awaits_return`: notifications are snoozed until the recipient is back."""

    notifications: list[Notification]
    next: str | None
    unread: int
    unseen: int
    position: str
    awaits_return: bool


# Refreshes a session that was issued before a time (UTC milliseconds); None if it has ended.
Renew = Callable[[Principal, int], Awaitable[Principal | None]]


async def enter(
    engines: Engines, principal: Principal, since: ResumeFrom | None, renew: Renew
) -> tuple[Principal, OpenInbox]:
    """Like `reopen`, but if the store refuses the session, retry with a refreshed one."""
    try:
        return principal, await reopen(engines, principal, since)
    except SessionRevoked as revoked:
        renewed = await renew(principal, revoked.before)
        if renewed is None:
            raise
        return renewed, await reopen(engines, renewed, since)


async def reopen(engines: Engines, principal: Principal, since: ResumeFrom | None) -> OpenInbox:
    """Open the principal's inbox, materialize pending announcements and publish them. Return it with the changes that a resuming
    client missed.

    The principal must have a recipient. Raises SessionRevoked, with nothing written, if its session was revoked."""
    now, newcomers_ms = engines.clock.now(), engines.newcomers_ms()
    opened = await Inboxes(engines.db).open(principal, now, since, newcomers_ms)
    if opened.events:
        await engines.broker.publish(*opened.events)
    return opened


async def listing(engines: Engines, inbox: Inbox, query: Query) -> InboxListing:
    """Return one page; `next` is the cursor of the next one. One extra row shows whether it exists."""
    one_more = replace(query, limit=query.limit + 1)
    found = await Inboxes(engines.db).page(inbox.number, one_more)
    page, state = found.notifications[: query.limit], found.state
    return InboxListing(
        notifications=page,
        next=place(page[-1]) if len(found.notifications) > query.limit else None,
        unread=state.unread,
        unseen=state.unseen,
        position=state.position,
        awaits_return=found.awaits_return,
    )


def place(notification: Notification) -> str:
    """Return the cursor of a notification: its id, or for a woken one its place since then."""
    woken_at = notification.woken_at
    return notification.id if woken_at is None else ids.place(notification.id, times.milliseconds(woken_at))


async def get(engines: Engines, inbox: Inbox, id: str) -> Notification:
    """Return one notification. Raises NotFound, even for an id of another inbox."""
    found = await Inboxes(engines.db).get(inbox.number, id) if ids.is_id(id) else None
    if found is None:
        raise NotFound("This inbox has no notification with this id.")
    return found
