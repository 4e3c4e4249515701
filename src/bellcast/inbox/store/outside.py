"""Notifications that are not in their recipient's inbox: sent to other channels only, or excluded by its preferences."""

from collections.abc import Iterator, Sequence

from msgspec.structs import asdict

from bellcast.channels.types import title_of
from bellcast.inbox.types.notifications import Notification
from bellcast.inbox.types.sends import SendRequest, SentItem, SentQuery
from bellcast.kernel import ids, times
from bellcast.kernel.db import scans
from bellcast.kernel.db.commit.batch import chunks
from bellcast.kernel.db.commit.batch_sizes import STATEMENT_ROWS
from bellcast.kernel.db.list_scan import ListScan, ListTotal
from bellcast.kernel.db.script import Params, Row, Script, Statement
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.recipients.store import ensure


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
    found = yield Statement("outside_find", {"tenant": tenant, "id": id})
    return _item(found[0]) if found else None


def page(query: SentQuery) -> Script[ListScan[SentItem]]:
    """Return notifications, newest first. None of them has a part or tags."""
    if query.part is not None or query.tag is not None:
        return ListScan([], None)
    last_row, statement, _ = _statements(query)
    found, until = yield from scans.by_id(last_row, statement, _params(query))
    return ListScan([_item(row) for row in found], until)


def count(query: SentQuery) -> Script[ListTotal]:
    """Return the number of notifications."""
    if query.part is not None or query.tag is not None:
        return ListTotal(0, exact=True)
    last_row, _, total = _statements(query)
    return (yield from scans.count_by_id(last_row, total, _params(query)))


def _statements(query: SentQuery) -> tuple[str, str, str]:
    """Return the statements for the last row to examine, a page, and the total."""
    if query.recipient is not None:
        return "outside_of_recipient_last", "outside_of_recipient_page", "outside_of_recipient_total"
    if query.tenant == EVERY_TENANT:
        return "outside_of_all_last", "outside_of_all_page", "outside_of_all_total"
    return "outside_of_tenant_last", "outside_of_tenant_page", "outside_of_tenant_total"


def _params(query: SentQuery) -> Params:
    return asdict(query) | ids.id_range(query.before, query.created_since, query.created_before)


def _item(row: Row) -> SentItem:
    *columns, tenant, key = row
    return SentItem(notification=notification(tuple(columns)), tenant=tenant, recipient=key, has_row=False)


def notification(row: Row) -> Notification:
    """Create a notification from id, type, title and time."""
    id, type, title, created_at = row[:4]
    return Notification(id=id, type=type, title=title, created_at=times.to_rfc3339(created_at))
