"""What was sent, seen from the server side: found, corrected, taken back."""

from typing import Any

from bellcast.errors import NotFound
from bellcast.model.events import AnnouncementChanged, Event, NotificationUpdated
from bellcast.model.notifications import Edit
from bellcast.ports import SentItem
from bellcast.storage import marking, rows
from bellcast.storage.engine import Row, Script, Statement
from bellcast.storage.locks import locks

# No inbox has this number. Who corrects an announcement touches it, so that two who share a transaction follow each other.
ANNOUNCEMENT_INBOX = 0


def find(tenant: str, id: str) -> Script[SentItem | None]:
    """A notification or announcement of that tenant."""
    direct = yield from _find_direct(tenant, id)
    if direct is not None:
        return _found_direct(tenant, direct)
    announced = yield from _find_announcement(tenant, id)
    return None if announced is None else _found_announced(announced)


def inbox_of(tenant: str, id: str) -> Script[int | None]:
    """The inbox a notification is in to its end; None for an announcement, and for what is not there."""
    direct = yield from _find_direct(tenant, id)
    return None if direct is None else int(direct[rows.RECIPIENT])


@locks(lambda tenant, id, edit, now, inbox: [ANNOUNCEMENT_INBOX if inbox is None else inbox])
def edit(
    tenant: str, id: str, edit: Edit, now: int, _inbox: int | None
) -> Script[tuple[SentItem, tuple[Event, ...]] | None]:
    """Correct it; the one row of an announcement is right for everybody."""
    before = yield from find(tenant, id)
    if before is None:
        return None
    if edit == Edit():
        return before, ()
    if before.announcement:
        return (yield from _edit_announcement(tenant, id, edit, now))
    columns = {**rows.edited_params(before.notification, edit), "id": id, "now": now}
    return (yield from _edit_direct(tenant, id, columns))


@locks(lambda tenant, id, now, inbox: [ANNOUNCEMENT_INBOX if inbox is None else inbox])
def recall(tenant: str, id: str, now: int, _inbox: int | None) -> Script[tuple[Event, ...] | None]:
    """Take it back; inboxes that have the announcement give it up when they are looked at."""
    direct = yield from _find_direct(tenant, id)
    if direct is not None:
        return (yield from marking.remove(direct[rows.RECIPIENT], id, now))
    announced = yield from _find_announcement(tenant, id)
    if announced is None:
        return None
    changed = yield from next_number()
    yield Statement("announcement_recall", {"id": id, "now": now, "changed": changed})
    found = _found_announced(announced)
    return (AnnouncementChanged(found.tenant, found.topic),)


def next_number() -> Script[int]:
    """The number of the next change of an announcement."""
    ((number,),) = yield Statement("announcement_number")
    return int(number)


def _edit_direct(tenant: str, id: str, columns: dict[str, Any]) -> Script[tuple[SentItem, tuple[Event, ...]]]:
    row = _first_row((yield from _find_direct(tenant, id)))
    inbox = row[rows.RECIPIENT]
    state = yield from marking.advance_revision(inbox, 0, 0)
    yield Statement("direct_edit", {**columns, "inbox": inbox, "revision": state.revision})
    found = _found_direct(tenant, _first_row((yield from _find_direct(tenant, id))))
    return found, (NotificationUpdated(state, found.notification),)


def _edit_announcement(tenant: str, id: str, edit: Edit, now: int) -> Script[tuple[SentItem, tuple[Event, ...]]]:
    # Whoever has the number has the announcements to itself: what it finds then is what it corrects.
    changed = yield from next_number()
    before = _found_announced(_first_row((yield from _find_announcement(tenant, id))))
    columns = {**rows.edited_params(before.notification, edit), "id": id, "now": now, "changed": changed}
    yield Statement("announcement_edit", columns)
    found = _found_announced(_first_row((yield from _find_announcement(tenant, id))))
    return found, (AnnouncementChanged(found.tenant, found.topic),)


def _find_direct(tenant: str, id: str) -> Script[Row | None]:
    found = yield Statement("direct_find", {"tenant": tenant, "id": id})
    return found[0] if found else None


def _find_announcement(tenant: str, id: str) -> Script[Row | None]:
    found = yield Statement("announcement_find", {"tenant": tenant, "id": id})
    return found[0] if found else None


def _first_row(row: Row | None) -> Row:
    if row is None:
        raise NotFound("There is no notification or announcement with this id.")
    return row


def _found_direct(tenant: str, row: Row) -> SentItem:
    *_, edited_at, key = row
    return SentItem(notification=rows.notification(row), tenant=tenant, recipient=key, edited_at=edited_at)


def _found_announced(row: Row) -> SentItem:
    tenant, topic, edited_at = row[rows.ENTRY_COLUMNS :]
    return SentItem(
        notification=rows.notification(row),
        tenant=tenant,
        recipient=None,
        announcement=True,
        topic=topic,
        edited_at=edited_at,
    )
