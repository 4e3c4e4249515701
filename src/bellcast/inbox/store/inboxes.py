"""Read inboxes and act on them."""

from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from bellcast.inbox.store import announcements, marking, rows
from bellcast.inbox.types import Notification
from bellcast.inbox.types.inboxes import (
    ALL,
    Change,
    Changes,
    Counts,
    CountsQuery,
    Inbox,
    InboxListing,
    InboxState,
    InboxStatus,
    OpenInbox,
    Query,
    ResumeFrom,
    SessionRevoked,
)
from bellcast.kernel import times
from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable, on_table, read, write_to_inbox
from bellcast.kernel.db.script import Params, Row, Script, ScriptCommand, Statement, fetch
from bellcast.kernel.errors import NotFound
from bellcast.kernel.events import Event
from bellcast.kernel.identities import Principal
from bellcast.kernel.ids import NEWEST
from bellcast.recipients import store as recipients

# Columns of the statement `inbox_resume`: those of the inbox, and those before the changed notification.
INBOX_COLUMNS, RETURN_COLUMNS = 11, 13


class Inboxes(StoreTable):
    """The durable inboxes. In one transaction, each change adds one to the inbox's revision, stores it in the changed rows
    and adjusts the counters. A method returns after the commit, with the events to publish in order."""

    async def open(
        self, session: Principal, now: int, since: ResumeFrom | None = None, newcomers_ms: int = 0
    ) -> OpenInbox:
        """Open the inbox of a session's recipient, create it if missing, and materialize pending announcements; return it with
        the changes since a position, all in one snapshot. The session's roles, name and `member_since` are stored if they differ. The
        first opening adds announcements from before the recipient was first seen, at most `newcomers_ms` old unless
        `member_since` is known.

        Raises SessionRevoked, with nothing written, if the session was issued (UTC milliseconds) before the recipient's
        sessions were revoked, or the recipient or its tenant was erased."""
        tenant, recipient = session.tenant, session.recipient or ""
        if since is None:
            opened = await self._engine.read(_open_existing, session, now, since, newcomers_ms)
        else:
            opened = await self._engine.read(_reopen, session, now, since, newcomers_ms)
        if opened is None:
            command = ScriptCommand(partial(_open, session, now, since, newcomers_ms), [(tenant, recipient)])
            return await self._engine.write(command)
        inbox = opened.inbox
        if inbox.opened:
            return opened
        # Record the first opening, which added no announcements. The caller only reads, so it must not wait for a locked
        # database or fail because of a full one.
        mark = partial(fetch, Statement("inbox_opened", {"inbox": inbox.number}))
        self._engine.write_without_waiting(ScriptCommand(mark, [(tenant, recipient)]))
        return replace(opened, inbox=replace(inbox, opened=True))

    @read
    def page(self, inbox: int, query: Query) -> Script[InboxListing]:
        """Return one page, newest first, and the state in the same snapshot; `next` is the cursor of the next page: the place of
        the last row if it woke, else its id."""
        state, _, awaits_return = yield from _status(inbox)
        # One more shows whether there is a next page.
        params: Params = {"inbox": inbox, "before": query.before or NEWEST, "limit": query.limit + 1}
        first, last = marking.MARK_PARTS[query.view]
        parts = {"first": first, "last": last, "snoozed": int(query.view == "snoozed")}
        one_type = {"type": query.type[0] if query.type else None}
        if (
            query.priority
            or query.since is not None
            or len(query.type) > 1
            or len(query.tag) > 1
            or (query.view == "snoozed" and not query.tag)
        ):
            since = 0 if query.since is None else times.milliseconds(query.since)
            filters = {**_filter_params(query), "since": since}
            statement = Statement("page_filtered", {**params, **parts, **filters})
        elif query.tag:
            statement = Statement("page_tag", {**params, **parts, **one_type, "tag": query.tag[0]})
        elif first == last:
            statement = Statement("page_part", {**params, **one_type, "part": first})
        else:
            statement = Statement("page_all", {**params, **one_type})
        found = yield statement
        found.sort(key=_place, reverse=True)  # all are distinct
        page = [rows.notification(row) for row in found[: query.limit]]
        return InboxListing(
            notifications=(yield from marking.with_awaited_returns(inbox, page)),
            next=_place(found[query.limit - 1]) if len(found) > query.limit else None,
            unread=state.unread,
            unseen=state.unseen,
            position=state.position,
            awaits_return=awaits_return,
        )

    @read
    def unread_by_type(self, inbox: int, query: CountsQuery = ALL) -> Script[Counts]:
        """Return the counts of rows that match the query, and the position in the same snapshot."""
        state, *_ = yield from _status(inbox)
        if not (query.type or query.tag or query.priority):
            found = yield Statement("unread_by_type", {"inbox": inbox})
            unread, unseen = state.unread, state.unseen
            return Counts(unread=unread, unseen=unseen, by_type=dict(found), position=state.position)
        counted = yield Statement("counts_filtered", {"inbox": inbox, **_filter_params(query)})
        by_type = {type: unread for type, unread, _ in counted if unread}
        unread, unseen = sum(by_type.values()), sum(unseen for *_, unseen in counted)
        return Counts(unread=unread, unseen=unseen, by_type=by_type, position=state.position)

    @read
    def get(self, inbox: int, id: str) -> Script[Notification | None]:
        """Return one notification of this inbox."""
        found = yield Statement("entry", {"inbox": inbox, "id": id})
        page = yield from marking.with_awaited_returns(inbox, [rows.notification(row) for row in found])
        return page[0] if page else None

    mark = write_to_inbox(on_table(marking.mark))

    wake_until_back = write_to_inbox(on_table(marking.wake_until_back))

    act = write_to_inbox(on_table(marking.act))

    @read
    def changes(self, inbox: int, after: int, limit: int) -> Script[Changes]:
        """Return at most `limit` rows changed after the revision `after`."""
        state, floor, _ = yield from _status(inbox)
        return Changes(state, floor, (yield from _changed_rows(inbox, state, after, limit)))

    @read
    def statuses(self, inboxes: Sequence[int]) -> Script[list[InboxStatus]]:
        """Return the status of each of these inboxes that exists."""
        found = yield Statement("inbox_states", {"inboxes": columns.to_json(inboxes)})
        return [
            InboxStatus(number, epoch, revision, revoked, bool(behind))
            for number, epoch, revision, revoked, behind in found
        ]


def _place(row: Row) -> str:
    place: str = row[rows.PLACE] or row[0]
    return place


def _check_standing(session: Principal, ended_before: int) -> None:
    """Raise SessionRevoked if the session was issued before the recipient's sessions were ended."""
    if session.issued_at < ended_before:
        raise SessionRevoked(ended_before)


def _is_written(session: Principal, inbox: Inbox) -> bool:
    """Return whether the record already has the session's roles, name and membership time."""
    same_roles = session.roles is None or set(session.roles) == set(inbox.roles)
    same_since = session.member_since is None or session.member_since == inbox.member_since
    return same_roles and same_since and (session.name is None or session.name == inbox.name)


def _find(tenant: str, key: str) -> Script[tuple[Inbox, bool] | None]:
    found = yield Statement("inbox_open", {"tenant": tenant, "key": key})
    if not found:
        return None
    *row, behind = found[0]
    return rows.inbox(tenant, key, tuple(row)), bool(behind)


def _open_existing(
    session: Principal, now: int, since: ResumeFrom | None, newcomers_ms: int
) -> Script[OpenInbox | None]:
    """Open the inbox without writing; None if a write is needed."""
    found = yield from _find(session.tenant, session.recipient or "")
    if found is None:
        yield from _check_erased(session)
        return None
    inbox, behind = found
    _check_standing(session, inbox.revoked_before)
    if not _is_written(session, inbox) or (behind and (yield from announcements.has_pending(inbox.number))):
        return None
    if not inbox.opened and (yield from announcements.earlier(inbox.number, newcomers_ms, now)):
        return None
    return OpenInbox(inbox, missed=(yield from _changes_missed(inbox, since)))


def _reopen(session: Principal, now: int, since: ResumeFrom, newcomers_ms: int) -> Script[OpenInbox | None]:
    """Like `_open_existing` for a client that resumes, in one statement unless rows were deleted, announcements are
    pending, or the first opening is not recorded yet."""
    position, limit = since.position, since.limit
    tenant, key = session.tenant, session.recipient or ""
    after, epoch = position.revision, position.epoch
    params = {"tenant": tenant, "key": key, "after": after, "epoch": epoch, "limit": limit + 1}
    found = yield Statement("inbox_resume", params)
    if not found:
        yield from _check_erased(session)
        return None
    first = found[0]
    behind, has_deletions = first[INBOX_COLUMNS:RETURN_COLUMNS]
    inbox = rows.inbox(tenant, key, first[:INBOX_COLUMNS])
    if behind or has_deletions or not inbox.opened:
        yield Statement("snapshot")
        return (yield from _open_existing(session, now, since, newcomers_ms))
    _check_standing(session, inbox.revoked_before)
    if not _is_written(session, inbox):
        return None
    changed = [row[RETURN_COLUMNS:] for row in found if row[RETURN_COLUMNS] is not None]
    if len(changed) > limit or not inbox.can_resume_from(position):
        return OpenInbox(inbox)
    missed = yield from _changed(inbox.number, changed)
    return OpenInbox(inbox, missed=Changes(inbox.state, inbox.oldest_revision, tuple(missed)))


def _open(session: Principal, now: int, since: ResumeFrom | None, newcomers_ms: int) -> Script[OpenInbox]:
    """Open the inbox with writes. The session is checked before the first write."""
    tenant, key = session.tenant, session.recipient or ""
    found = yield from _find(tenant, key)
    if found is None:
        yield from _check_erased(session)
        yield from recipients.ensure_recipients(tenant, [key], now)
        found = yield from _find_existing(tenant, key)
    inbox, behind = found
    _check_standing(session, inbox.revoked_before)
    # Only fields that differ from those in the session are written.
    member_since, name, events = session.member_since, session.name, list[Event]()
    if member_since is not None and member_since != inbox.member_since:
        yield Statement("recipient_member_since", {"inbox": inbox.number, "member_since": member_since})
    if name is not None and name != inbox.name:
        yield Statement("recipient_named", {"inbox": inbox.number, "name": name})
    if session.roles is not None:
        events += yield from recipients.set_roles(tenant, inbox.number, key, inbox.roles, session.roles, now)
    if behind:
        events += (yield from announcements.materialize(tenant, [key], now)).events
    if not inbox.opened:  # no device of this recipient is connected, so these changes need no events
        yield from announcements.receive_earlier(tenant, inbox.number, newcomers_ms, now)
    inbox, _ = yield from _find_existing(tenant, key)
    return OpenInbox(inbox, tuple(events), (yield from _changes_missed(inbox, since)))


def _changes_missed(inbox: Inbox, since: ResumeFrom | None) -> Script[Changes | None]:
    if since is None or not inbox.can_resume_from(since.position):
        return None
    changed = yield from _changed_rows(inbox.number, inbox.state, since.position.revision, since.limit + 1)
    return None if len(changed) > since.limit else Changes(inbox.state, inbox.oldest_revision, changed)


def _check_erased(session: Principal) -> Script[None]:
    """Refuse a session that was issued before its recipient or tenant was erased."""
    _check_standing(session, (yield from recipients.erased_before(session.tenant, session.recipient or "")))


def _find_existing(tenant: str, key: str) -> Script[tuple[Inbox, bool]]:
    found = yield from _find(tenant, key)
    if found is None:
        raise NotFound("This recipient was erased.")
    return found


def _filter_params(query: Query | CountsQuery) -> Params:
    named = {"types": query.type, "tags": query.tag, "priorities": query.priority}
    return {name: columns.to_json_or_null(values) for name, values in named.items()}


def _status(inbox: int) -> Script[tuple[InboxState, int, bool]]:
    """Read the state, the oldest revision that can be resumed from, and whether rows are snoozed until the recipient is
    back. Later statements see the same snapshot."""
    yield Statement("snapshot")
    found = yield Statement("inbox_state", {"inbox": inbox})
    state = marking.single_state([row[:6] for row in found])
    *_, floor, awaits_return = found[0]
    return state, floor, bool(awaits_return)


def _changed_rows(inbox: int, state: InboxState, after: int, limit: int) -> Script[tuple[Change, ...]]:
    if state.revision <= after:
        return ()
    params = {"inbox": inbox, "after": after, "limit": limit}
    changed = yield from _changed(inbox, (yield Statement("changed_entries", params)))
    tombstones = yield Statement("changed_tombstones", params)
    if not tombstones:  # the usual case; the statement sorts
        return tuple(changed)
    changed += [Change(id, made, revision, None) for id, made, revision in tombstones]
    changed.sort(key=lambda change: (change.revision, change.id))
    return tuple(changed[:limit])


def _changed(inbox: int, entries: list[Row]) -> Script[list[Change]]:
    notifications = yield from marking.with_awaited_returns(inbox, [rows.notification(row) for row in entries])
    made, revision = rows.ENTRY_COLUMNS, rows.ENTRY_COLUMNS + 1
    return [Change(one.id, row[made], row[revision], one) for one, row in zip(notifications, entries, strict=True)]
