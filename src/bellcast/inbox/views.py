"""Looking into an inbox: what is listed, what the badge counts, where it stands."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from bellcast.errors import NotFound
from bellcast.model import ids
from bellcast.model.identities import Principal
from bellcast.model.inboxes import Inbox
from bellcast.model.notifications import Notification
from bellcast.ports import Context, OpenInbox, Query, ResumeFrom, SessionRevoked


class InboxListing(Struct, frozen=True, kw_only=True):
    """A page as clients see it."""

    notifications: list[Notification]
    next: str | None
    unread: int
    unseen: int
    position: str


class Counts(Struct, frozen=True, kw_only=True):
    """The badge's numbers as clients see them."""

    unread: int
    unseen: int
    by_type: dict[str, int]
    position: str


# What is known now of a session that began before a time (UTC milliseconds); None if it has ended.
Renew = Callable[[Principal, int], Awaitable[Principal | None]]


async def enter(
    engines: Context, principal: Principal, since: ResumeFrom | None, renew: Renew
) -> tuple[Principal, OpenInbox]:
    """As `reopen`, for a session that can be renewed when the store refuses it: the renewed one is tried once."""
    try:
        return principal, await reopen(engines, principal, since)
    except SessionRevoked as revoked:
        renewed = await renew(principal, revoked.before)
        if renewed is None:
            raise
        return renewed, await reopen(engines, renewed, since)


async def open(engines: Context, principal: Principal) -> Inbox:
    """The principal's inbox with everything announced taken in; its other devices are told.

    The principal has a recipient. SessionRevoked, with nothing written, if its session was ended."""
    return (await reopen(engines, principal, None)).inbox


async def reopen(engines: Context, principal: Principal, since: ResumeFrom | None) -> OpenInbox:
    """As `open`, for a client that comes back: with what it missed."""
    opened = await engines.store.inboxes.open(
        principal.tenant,
        principal.recipient or "",
        engines.clock.now(),
        issued_at=principal.issued_at,
        roles=principal.roles,
        name=principal.name,
        since=since,
    )
    if opened.events:
        await engines.broker.publish(*opened.events)
    return opened


async def listing(engines: Context, inbox: Inbox, query: Query) -> InboxListing:
    """One page; `next` is the cursor of the following one. One row more than asked tells whether there is one."""
    asked = Query(view=query.view, type=query.type, tag=query.tag, limit=query.limit + 1, before=query.before)
    found = await engines.store.inboxes.page(inbox.number, asked)
    page, state = found.notifications[: query.limit], found.state
    return InboxListing(
        notifications=page,
        next=page[-1].id if len(found.notifications) > query.limit else None,
        unread=state.unread,
        unseen=state.unseen,
        position=state.position,
    )


async def counts(engines: Context, inbox: Inbox) -> Counts:
    """What the badge and the tabs show."""
    found = await engines.store.inboxes.unread_by_type(inbox.number)
    state = found.state
    return Counts(unread=state.unread, unseen=state.unseen, by_type=found.by_type, position=state.position)


async def get(engines: Context, inbox: Inbox, id: str) -> Notification:
    """One of its notifications; another's id is as unknown as one that never was."""
    found = await engines.store.inboxes.get(inbox.number, id) if ids.is_id(id) else None
    if found is None:
        raise NotFound("This inbox has no notification with this id.")
    return found
