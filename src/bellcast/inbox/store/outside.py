"""Notifications that are not in their recipient's inbox: sent to other channels only, or excluded by its preferences."""

from collections.abc import Iterator, Sequence

from bellcast.channels.types import title_of
from bellcast.inbox.types.notifications import Notification
from bellcast.inbox.types.sends import SendRequest, SentItem
from bellcast.kernel import times
from bellcast.kernel.db.commit.batch import STATEMENT_ROWS, chunks
from bellcast.kernel.db.script import Params, Row, Script, Statement, first
from bellcast.recipients.store import ensure

# Filters that match none of these notifications.
NO_FIELDS = ("part", "tag", "template")


def add(requests: Sequence[SendRequest]) -> Script[None]:
    """Add the notifications of requests that are not in an inbox, and create their missing recipients."""
    for some in chunks([params for request in requests for params in _outside(request)], STATEMENT_ROWS):
        created_at = {(one["tenant"], one["key"]): one["created_at"] for one in some}
        for tenant in sorted({tenant for tenant, _ in created_at}):
            keys = sorted(key for owner, key in created_at if owner == tenant)
            yield from ensure.ensure_recipients(tenant, keys, some[0]["created_at"])
        yield Statement("outside_insert", many=some)


def _outside(request: SendRequest) -> Iterator[Params]:
    if not request.decisions:  # only the inbox
        return
    recipients = {one.notification: one.recipient for one in request.decisions}
    for id in recipients.keys() - set(request.ids):
        contents = (title_of(message.content) for message in request.messages if message.notification == id)
        yield {
            "id": id,
            "tenant": request.tenant,
            "key": recipients[id],
            "type": request.content.type,
            "title": request.content.title or next(contents, ""),
            "created_at": request.created_at,
        }


def find(tenant: str, id: str) -> Script[SentItem | None]:
    """Return a notification that was not recalled."""
    return first(Statement("outside_find", {"tenant": tenant, "id": id}), item)


def item(row: Row) -> SentItem:
    """Create an item from a row of a page."""
    *columns, tenant, key = row
    return SentItem(notification=notification(tuple(columns)), tenant=tenant, recipient=key, has_row=False)


def notification(row: Row) -> Notification:
    """Create a notification from id, type, title and time."""
    id, type, title, created_at = row[:4]
    return Notification(id=id, type=type, title=title, created_at=times.to_rfc3339(created_at))
