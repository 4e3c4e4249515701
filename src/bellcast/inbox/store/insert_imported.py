"""Insert rows of another system with their original times. Their first revision is 0, so that resuming clients get them
as changes. A row that is new to a client would be shown as a toast."""

from collections.abc import Sequence

from msgspec.structs import replace

from bellcast.inbox.store import insert as insertion
from bellcast.inbox.store import rows
from bellcast.inbox.store.insert import InboxHead, InsertPlan
from bellcast.inbox.types.sends import ImportRequest, SendResult
from bellcast.kernel import times
from bellcast.kernel.db import columns
from bellcast.kernel.db.commit.command import RecipientKey
from bellcast.kernel.db.script import Script, Statement
from bellcast.kernel.events import Event
from bellcast.live.types.events import NotificationUpdated


def insert(requests: Sequence[ImportRequest]) -> Script[list[SendResult]]:
    """Insert a row for each recipient of each request, in order, except rows that exist from an earlier import."""
    heads = yield from insertion.read_heads(requests)
    existing: set[tuple[RecipientKey, str]] = set()
    for request in requests:
        if request.idempotency_key is not None:
            existing |= yield from _existing(request, heads)
    plan = ImportPlan(heads)
    sent = [plan.add_imported(request, existing) for request in requests]
    yield from plan.write()
    return sent


def _existing(request: ImportRequest, heads: dict[RecipientKey, InboxHead]) -> Script[set[tuple[RecipientKey, str]]]:
    """Return the recipients with a row of this id. The id is derived from the idempotency key, which is stored for only
    a day."""
    existing = set()
    for id, key in zip(request.ids, request.recipients, strict=True):
        name = (request.tenant, key)
        if (yield Statement("marks_of_ids", {"inbox": heads[name].inbox, "ids": columns.to_json([id])})):
            existing.add((name, id))
    return existing


class ImportPlan(InsertPlan):
    """The rows of imports, with their times."""

    insertion = "notification_import"

    def add_imported(self, request: ImportRequest, existing: set[tuple[RecipientKey, str]]) -> SendResult:
        """Plan the rows of one request. `existing` rows do not change."""
        is_archived = request.archived_at is not None
        unread = int(not is_archived and request.read_at is None)
        unseen = int(not is_archived and request.seen_at is None)
        part = 2 if is_archived else 1 - unread
        marks = {"seen_at": request.seen_at, "read_at": request.read_at, "archived_at": request.archived_at}
        columns = {**rows.content_params(request.content, request.sent_at), **marks, "part": part}
        shown = {name: times.to_rfc3339_or_null(value) for name, value in marks.items()}
        first = replace(rows.new_notification("", request.content, request.sent_at), **shown)
        events: list[Event] = []
        for id, key in zip(request.ids, request.recipients, strict=True):
            name = (request.tenant, key)
            if (name, id) in existing:
                continue
            head = self._advance(name, unread, unseen)
            self._insert(columns, head, id, request.content.tags)
            events.append(NotificationUpdated(head.state, replace(first, id=id)))
        return SendResult(request.response, tuple(events))
