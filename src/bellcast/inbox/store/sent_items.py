"""Sent items as the server API sees them: find, edit and recall. Those that are not in their recipient's inbox were sent to other
channels only, or excluded by its preferences."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from bellcast.channels.store import fanouts, messages
from bellcast.channels.types import title_of
from bellcast.inbox.store import marking, rows
from bellcast.inbox.types import Edit, Notification
from bellcast.inbox.types.inboxes import AnnouncementChanged, NotificationUpdated
from bellcast.inbox.types.sends import Reach, SendRequest, SentItem
from bellcast.kernel import ids, times
from bellcast.kernel.db import columns, lists
from bellcast.kernel.db.engine import StoreTable, on_table, read, read_in_background, write_to_inbox
from bellcast.kernel.db.lists import KeysetList, ListPage, ListQuery, ListTotal, RecentCounts, RowKey
from bellcast.kernel.db.script import STATEMENT_ROWS, Params, Row, Script, Statement, chunks, first
from bellcast.kernel.errors import NotFound
from bellcast.kernel.events import Event
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.kernel.ids import NEWEST
from bellcast.recipients import store as recipients
from bellcast.webhooks.types import EventReport, no_report

T = TypeVar("T")
# The key and the filters of both lists. Their items have several sources, which have statements of their own.
LIST = KeysetList("sent", ("id",), tuple, is_newest_first=True, filters=("recipient", "type", "tag", "template"))
NO_FILTERS: Params = dict.fromkeys(("recipient", "type", "tag", "template", "part"))
# Inboxes of an announcement that are counted: a page of 50 announcements takes 0.1 s.
MAX_REACHED = 1_000
# Filters that match no notification outside of an inbox.
NO_FIELDS = ("part", "tag", "template")
# Lock key that is not an inbox. Edits of announcements lock it, so that two in one transaction run in order.
ANNOUNCEMENT_INBOX = 0


def find(tenant: str, id: str) -> Script[SentItem | None]:
    """Return a notification or announcement of the tenant."""
    direct = yield from _find_row("direct_find", tenant, id)
    if direct is not None:
        return _direct_item(direct)
    announced = yield from _find_row("announcement_find", tenant, id)
    if announced is not None:
        return _announced_item(announced)
    return (yield from first(Statement("outside_find", {"tenant": tenant, "id": id}), _outside_item))


class SentItems(StoreTable):
    """Sent items as the server API sees them. Announcements to all tenants belong to the default tenant."""

    find = read(on_table(find))

    @read
    def announced_to(self, tenant: str, recipient: str, id: str) -> Script[SentItem | None]:
        """Return an announcement as it is in the inbox of a recipient, who may not have opened it since."""
        found = yield Statement("announced_entry", {"tenant": tenant, "recipient": recipient, "id": id})
        if not found:
            return None
        return SentItem(notification=rows.notification(found[0]), tenant=tenant, recipient=recipient, announcement=True)

    @read_in_background
    def notifications(self, query: ListQuery) -> Script[ListPage[SentItem]]:
        """Return notifications to named recipients, newest first. Examines a bounded number of rows."""
        has_outside = all(query.filters.get(name) is None for name in NO_FIELDS)
        return _page(query, (IN_INBOXES, OUTSIDE) if has_outside else (IN_INBOXES,))

    @read_in_background
    def announcements(self, query: ListQuery) -> Script[ListPage[SentItem]]:
        """Return announcements that were not recalled, newest first; the `part` is that in the inbox of the `recipient`.
        Examines a bounded number of rows."""
        return _page(query, (ANNOUNCED,))

    @read_in_background
    def reach(self, announcements: Sequence[str]) -> Script[dict[str, Reach]]:
        """Return the reach of announcements by id. Of each, the first MAX_REACHED inboxes are counted."""
        params = {"ids": columns.to_json(list(announcements)), "most": MAX_REACHED}
        counted = yield Statement("announced_reach", params, heavy=True)
        numbers = ((id, map(int, text.split())) for id, text in counted)
        return {id: Reach(inboxes, seen, read, exact=inboxes < MAX_REACHED) for id, (inboxes, seen, read) in numbers}

    @read_in_background
    def recent(self, since: int) -> Script[tuple[RecentCounts, bool]]:
        """Count the sends of all tenants since a time by type: no index has those of one."""
        return (yield from lists.recent_counts("sends_recent", since, None))

    async def edit(self, tenant: str, id: str, edit: Edit, now: int) -> tuple[SentItem, tuple[Event, ...]] | None:
        """Edit an item in all inboxes; an announcement has one row for all. None if it does not exist, is not in an
        inbox, or is an announcement that has expired."""
        return await self._edit(await self._inbox_of(tenant, id), tenant, id, edit, now)

    @write_to_inbox
    def _edit(
        self, _: int, tenant: str, id: str, edit: Edit, now: int
    ) -> Script[tuple[SentItem, tuple[Event, ...]] | None]:
        before = yield from find(tenant, id)
        if before is None or not before.has_row:
            return None
        if edit == Edit():
            return before, ()
        if before.announcement:
            # Allocating the number locks announcements: no other process changes the row between this read and the edit.
            changed = yield from fanouts.next_number()
            before = _announced_item(existing((yield from _find_row("announcement_find", tenant, id))))
            params = {**rows.edited_params(before.notification, edit), "id": id, "now": now, "changed": changed}
            if not (yield Statement("announcement_edit", params)):
                return None
            item = _announced_item(existing((yield from _find_row("announcement_find", tenant, id))))
            return item, (AnnouncementChanged(item.tenant, item.topic),)
        params = {**rows.edited_params(before.notification, edit), "id": id, "now": now}
        row = existing((yield from _find_row("direct_find", tenant, id)))
        inbox = row[rows.RECIPIENT]
        state = yield from marking.advance_revision(inbox, 0, 0)
        yield Statement("direct_edit", {**params, "inbox": inbox, "revision": state.revision})
        item = existing((yield from find(tenant, id)))
        return item, (NotificationUpdated(state, item.notification),)

    async def recall(self, tenant: str, id: str, now: int, report: EventReport = no_report) -> tuple[Event, ...] | None:
        """Remove an item from all inboxes, and cancel its messages that were not sent; an inbox drops a recalled
        announcement when it is next opened. None if it does not exist or was already recalled."""
        return await self._recall(await self._inbox_of(tenant, id), tenant, id, now, report)

    @write_to_inbox
    def _recall(self, _: int, tenant: str, id: str, now: int, report: EventReport) -> Script[tuple[Event, ...] | None]:
        yield from messages.cancel(tenant, id, report, now)
        recorded = yield from messages.record_recall(tenant, id, now)
        yield Statement("outside_delete", {"tenant": tenant, "id": id})
        direct = yield from _find_row("direct_find", tenant, id)
        if direct is not None:
            return (yield from marking.remove(direct[rows.RECIPIENT], id, now))
        if recorded:  # an id of a workflow's trigger does not count
            yield from fanouts.end(id, tenant)
        announced = yield from _find_row("announcement_find", tenant, id)
        if announced is None:
            return () if recorded else None
        item = _announced_item(announced)
        return ((yield from recall_announcement(id, item.tenant, item.topic, now)),)

    @read
    def _inbox_of(self, tenant: str, id: str) -> Script[int]:
        """Return the inbox of a notification, which never changes; ANNOUNCEMENT_INBOX for an announcement or an unknown
        id."""
        direct = yield from _find_row("direct_find", tenant, id)
        return ANNOUNCEMENT_INBOX if direct is None else int(direct[rows.RECIPIENT])


class SentSource(NamedTuple):
    """Statements such as `sent_page`, and a function that converts their rows. With `by_owner`, those of one recipient or tenant
    are others, such as `sent_of_recipient_page`."""

    name: str
    item: Callable[[Row], SentItem]
    by_owner: bool = True

    def statements(self, params: Params) -> str:
        """Return the name with which those of the parameters begin."""
        if self.by_owner and params["recipient"] is not None:
            return f"{self.name}_of_recipient"
        return f"{self.name}_of_tenant" if self.by_owner and params["tenant"] != EVERY_TENANT else self.name


def _page(query: ListQuery, sources: Sequence[SentSource]) -> Script[ListPage[SentItem]]:
    """Return a page of the items of all sources and tenants. Its total has a bounded number of rows of each."""
    range = ids.id_range(query.after[0] if query.after else NEWEST, *query.created)
    # Null filters match everything; the tenant `*` means all.
    common = {**NO_FILTERS, **query.filters, **range, "limit": query.limit + 1}
    named: list[Params] = [{**common, "tenant": tenant} for tenant in query.tenants or (EVERY_TENANT,)]
    parts = []
    for params in named:
        for source in sources:
            name = source.statements(params)
            found, end = yield from (_of_tenant(params) if name == OF_TENANT else lists.by_id(name, params))
            parts.append(([source.item(row) for row in found], None if end is None else (end,)))
    items, examined = lists.merge(parts, _key, query.limit, is_newest_first=True)
    shown, has_next, total = items[: query.limit], len(items) > query.limit, None
    if query.is_counted and query.after is None:
        total = ListTotal(len(shown), exact=examined is None)
        if has_next:
            counts = []
            for params in named:
                for source in sources:
                    name = source.statements(params)
                    counted = _count_of_tenant(params) if name == OF_TENANT else lists.count_by_id(name, params)
                    counts.append((yield from counted))
            total = ListTotal(sum(one.value for one in counts), exact=all(one.exact for one in counts))
    return ListPage(shown, _key(shown[-1]) if has_next else None, examined, total)


def _key(item: SentItem) -> RowKey:
    return (item.notification.id,)


def _of_tenant(params: Params) -> Script[tuple[Sequence[Row], str | None]]:
    """Return the newest notifications of one tenant, and the last examined id if more may follow.

    The index of notifications has no tenant. A tenant with a small share of them would need many pages of that index
    for its first rows, so if it has few rows, its inboxes are searched instead."""
    found, until = yield from lists.newest("sent", params, lists.FIRST_SCANNED_ROWS)
    if until is None:
        return found, None
    if (yield from _has_few_rows(params["tenant"])):
        return (yield Statement("sent_of_tenant_page", params, heavy=True)), None
    return (yield from lists.newest("sent", params, lists.MAX_SCANNED_ROWS))


def _count_of_tenant(params: Params) -> Script[ListTotal]:
    counted = yield from lists.count_by_id("sent", params)
    if counted.exact or not (yield from _has_few_rows(params["tenant"])):
        return counted
    ((number,),) = yield Statement("sent_of_tenant_total", params, heavy=True)
    return ListTotal(int(number), exact=True)


def _has_few_rows(tenant: str) -> Script[bool]:
    """Return whether a request may examine all rows of a tenant's inboxes."""
    params = {"tenant": tenant, "most": lists.MAX_SCANNED_ROWS + 1}
    ((size,),) = yield Statement("sent_of_tenant_size", params, heavy=True)
    return int(size) <= lists.MAX_SCANNED_ROWS


def recall_announcement(id: str, tenant: str, topic: str | None, now: int) -> Script[Event]:
    changed = yield from fanouts.next_number()
    yield Statement("announcement_recall", {"id": id, "now": now, "changed": changed})
    return AnnouncementChanged(tenant, topic)


def _find_row(statement: str, tenant: str, id: str) -> Script[Row | None]:
    return first(Statement(statement, {"tenant": tenant, "id": id}), tuple)


def existing(match: T | None) -> T:
    """Return what was found. Raises NotFound if there is nothing."""
    if match is None:
        raise NotFound("There is no notification or announcement with this id.")
    return match


def _direct_item(row: Row) -> SentItem:
    *_, edited_at, key, tenant, return_by = row
    notification = rows.notification(row)
    if return_by is not None:
        notification = replace(notification, awaits_return=True)
    return SentItem(notification=notification, tenant=tenant, recipient=key, edited_at=edited_at)


def _announced_item(row: Row) -> SentItem:
    tenant, topic, edited_at = row[rows.ENTRY_COLUMNS :]
    return SentItem(
        notification=rows.notification(row),
        tenant=tenant,
        recipient=None,
        announcement=True,
        topic=topic,
        edited_at=edited_at,
    )


def add_outside(requests: Sequence[SendRequest]) -> Script[None]:
    """Add the notifications of requests that are not in an inbox, and create their missing recipients."""
    outside: list[Params] = []
    for request in requests:
        recipient_of = {one.notification: one.recipient for one in request.decisions}
        for id in recipient_of.keys() - set(request.ids):
            contents = (title_of(message.content) for message in request.messages if message.notification == id)
            outside.append(
                {
                    "id": id,
                    "tenant": request.tenant,
                    "key": recipient_of[id],
                    "type": request.content.type,
                    "title": request.content.title or next(contents, ""),
                    "created_at": request.created_at,
                }
            )
    for some in chunks(outside, STATEMENT_ROWS):
        created_at = {(one["tenant"], one["key"]): one["created_at"] for one in some}
        for tenant in sorted({tenant for tenant, _ in created_at}):
            keys = sorted(key for owner, key in created_at if owner == tenant)
            yield from recipients.ensure_recipients(tenant, keys, some[0]["created_at"])
        yield Statement("outside_insert", many=some)


def _outside_item(row: Row) -> SentItem:
    """Create an item from a row of a page."""
    *_, tenant, key = row
    return SentItem(notification=outside_notification(row), tenant=tenant, recipient=key, has_row=False)


def outside_notification(row: Row) -> Notification:
    """Create a notification from id, type, title and time."""
    id, type, title, created_at = row[:4]
    return Notification(id=id, type=type, title=title, created_at=times.to_rfc3339(created_at))


IN_INBOXES = SentSource("sent", _direct_item)
OUTSIDE = SentSource("outside", _outside_item)
ANNOUNCED = SentSource("announced", _announced_item, by_owner=False)
# The index of notifications has no tenant: these have a search of their own.
OF_TENANT = "sent_of_tenant"
