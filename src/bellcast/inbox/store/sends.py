"""Sends: one row per named recipient, or one row for an announcement to many; and imports.

Each kind of statement runs once for all requests of a script. A single row takes two statements, 15 µs. In a batch it takes
one insertion of 7 µs, and each inbox is read and updated once for all its rows."""

from collections.abc import AsyncIterator, Collection, Sequence, Set
from functools import partial
from operator import itemgetter
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bellcast.channels.store import fanouts, messages
from bellcast.channels.types import Fanout
from bellcast.inbox.store import announcements, idempotency, rows, sent_items
from bellcast.inbox.types import Audience
from bellcast.inbox.types.inboxes import AnnouncementChanged, InboxState, NotificationAdded, NotificationUpdated
from bellcast.inbox.types.sends import (
    AnnounceRequest,
    Claim,
    ClaimTaken,
    ImportRequest,
    Materialized,
    SendRequest,
    SendResult,
)
from bellcast.kernel import times
from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable, on_table, read, write
from bellcast.kernel.db.script import (
    MATERIALIZE_INBOXES,
    STATEMENT_ROWS,
    ListCommand,
    LockKey,
    PageCommand,
    Params,
    RecipientKey,
    Row,
    Script,
    ScriptCommand,
    Statement,
    WriteCommand,
    chunks,
)
from bellcast.kernel.events import Event
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.recipients import store as recipients
from bellcast.webhooks import store as webhook_events

# The kind of the job of an announcement for other channels; its id and payload are the announcement's id.
FANOUT_JOB_KIND = "send_fanout"


class Sends(StoreTable):
    """Sends, edits and recalls of the server API."""

    def add(self, requests: Sequence[SendRequest]) -> AsyncIterator[list[SendResult | Exception]]:
        """Commit the requests in order, each atomically. Yields the results in order, after each commit; a refused
        request (IdempotencyMismatch) does not affect the others."""
        return self._engine.write_items(InsertNotifications(requests))

    def add_imported(self, requests: Sequence[ImportRequest]) -> AsyncIterator[list[SendResult | Exception]]:
        """Like `add`, for notifications of another system. Clients receive their rows as inbox changes, never as new
        notifications, so no client shows an alert for them, even when it resumes."""
        return self._engine.write_items(ImportNotifications(requests))

    @write()
    def announce(self, request: AnnounceRequest) -> Script[SendResult]:
        """Commit one row for an audience of any size."""
        stored = yield from idempotency.response_to(request.key_tenant, request)
        if stored is not None:
            return SendResult(stored)
        if request.tenant != EVERY_TENANT:
            yield from recipients.ensure_tenant(request.tenant, request.created_at)
        seq = (yield from fanouts.next_number()) if request.has_row else None
        if request.fanout is not None:  # it is also for other channels
            audience = Audience(topic=request.topic, all=request.topic is None)
            fanout = Fanout(
                id=request.id,
                tenant=request.tenant,
                workflow="",  # of a send
                owner="",
                version=0,
                audience=msgspec.json.encode(audience),
                body=request.fanout,
                created_at=request.created_at,
                seq=seq,
            )
            yield from fanouts.add(fanout, FANOUT_JOB_KIND)
        if seq is None:
            yield from idempotency.store_response(request.key_tenant, request)
            return SendResult(request.response)
        fields = rows.content_params(request.content, request.created_at)
        row = {"seq": seq, "id": request.id, "tenant": request.tenant, "topic": request.topic}
        yield Statement("announcement_insert", {**fields, **row})
        yield from webhook_events.add(request.events, request.created_at)
        yield from idempotency.store_response(request.key_tenant, request)
        return SendResult(request.response, (AnnouncementChanged(request.tenant, request.topic),))

    async def add_page(self, request: SendRequest, fanout: str, after: str, position: str) -> bool:
        """Commit the messages of a page of a fan-out, and move it from the key `after` to `position`. Return False, and
        write nothing, if it is at another position or no longer runs, or if one of the recipients was erased."""
        keys = {one.recipient for one in request.messages} | {one.recipient for one in request.decisions}

        def script() -> Script[bool]:
            if not (yield from all_exist(request.tenant, keys)):
                return False
            if not (yield from fanouts.move(fanout, after, position)):
                return False
            yield from messages.add(request.messages, request.decisions)
            yield from webhook_events.add(request.events, request.created_at)
            return True

        number = len(request.messages) + len(request.decisions)
        inboxes = [(request.tenant, key) for key in keys]
        return await self._engine.write(PageCommand(script, inboxes, request.tenant, number))

    @write()
    def end_fanout(self, tenant: str, id: str) -> Script[bool]:
        """End a fan-out that has no recipients left. Return False, as `add_page` for one that no longer runs."""
        yield from fanouts.end(id, tenant)
        return False

    stored_response = read(on_table(idempotency.find_response))

    async def materialize(self, tenant: str, recipients: Sequence[str], now: int) -> AsyncIterator[Materialized]:
        """Add pending announcements to these existing inboxes. Yields the events after each commit, and the recipients
        that had nothing pending."""
        for keys in chunks(recipients, MATERIALIZE_INBOXES):
            (materialized,) = await self._engine.write(MaterializeAnnouncements([(tenant, keys, now)]))
            yield materialized
            if materialized.remaining:
                rest = materialized.remaining
                yield await self._engine.write(
                    ScriptCommand(
                        partial(announcements.materialize, tenant, rest, now), [(tenant, key) for key in rest]
                    )
                )


class InsertNotifications(ListCommand[SendRequest, SendResult]):
    """Insert a row for each recipient of each request, and its messages. A request with an idempotency key or with
    messages runs in a separate script."""

    @property
    def tenant(self) -> str:
        return self.items[0].tenant

    def lock_keys(self) -> frozenset[LockKey]:
        recipients = ((request.tenant, key) for request in self.items for key in request.recipients)
        return frozenset(recipients) | {(one.tenant, one.recipient) for item in self.items for one in item.decisions}

    def rows_of(self, item: SendRequest) -> int:
        return len(item.recipients) + len(item.messages)

    def is_separate(self, item: SendRequest) -> bool:
        return item.idempotency_key is not None or bool(item.decisions or item.events or item.claim)

    def script(self) -> Script[list[SendResult]]:
        first = self.items[0]
        is_separate = self.is_separate(first)
        if is_separate:
            stored = yield from idempotency.response_to(first.tenant, first)
            if stored is not None:
                return [SendResult(stored)]
            if first.claim is not None:
                recipients = {*first.recipients, *(one.recipient for one in first.decisions)}
                yield from add_claim(first.tenant, first.claim, recipients)
        plan = InsertPlan((yield from read_heads(self.items)))
        results = [plan.add(request) for request in self.items]
        yield from plan.write()
        if is_separate:
            yield from sent_items.add_outside(self.items)
            yield from messages.add(first.messages, first.decisions)
            yield from webhook_events.add(first.events, first.created_at)
            yield from idempotency.store_response(first.tenant, first)
        return results

    def single_statement(self) -> WriteCommand[list[SendResult] | None]:
        return ScriptCommand(lambda: insert(self.items), None)

    def prerequisite(self) -> WriteCommand[None]:
        def create_recipients() -> Script[None]:
            wanted: dict[str, dict[str, None]] = {}
            for request in self.items:
                wanted.setdefault(request.tenant, {}).update(dict.fromkeys(request.recipients))
            for tenant in sorted(wanted):
                for keys in chunks(list(wanted[tenant]), STATEMENT_ROWS):
                    yield from recipients.ensure_recipients(tenant, keys, self.items[0].created_at)

        return ScriptCommand(create_recipients, self.lock_keys())


class ImportNotifications(ListCommand[ImportRequest, SendResult]):
    """Insert a row with its times for each recipient of each request. A request with an idempotency key runs in a
    separate script."""

    @property
    def tenant(self) -> str:
        return self.items[0].tenant

    def lock_keys(self) -> frozenset[LockKey]:
        return frozenset((request.tenant, key) for request in self.items for key in request.recipients)

    def rows_of(self, item: ImportRequest) -> int:
        return len(item.recipients)

    def is_separate(self, item: ImportRequest) -> bool:
        return item.idempotency_key is not None

    def script(self) -> Script[list[SendResult]]:
        first = self.items[0]
        stored = yield from idempotency.response_to(first.tenant, first)
        if stored is not None:
            return [SendResult(stored)]
        heads = yield from read_heads(self.items)
        existing: set[tuple[RecipientKey, str]] = set()  # rows from an earlier import
        # An id is derived from the idempotency key, which is stored for only a day.
        for request in self.items:
            if request.idempotency_key is None:
                continue
            for id, key in zip(request.ids, request.recipients, strict=True):
                name = (request.tenant, key)
                if (yield Statement("marks_of_ids", {"inbox": heads[name][0], "ids": columns.to_json([id])})):
                    existing.add((name, id))
        plan = InsertPlan(heads, "notification_import")
        sent = [plan.add_imported(request, existing) for request in self.items]
        yield from plan.write()
        yield from idempotency.store_response(first.tenant, first)
        return sent


# Existing inboxes of one tenant by its key and theirs, at a time in UTC milliseconds.
ConnectedInboxes: TypeAlias = tuple[str, Sequence[str], int]


class MaterializeAnnouncements(ListCommand[ConnectedInboxes, Materialized]):
    """Materialize pending announcements. It counts as one row, so that connected clients do not wait behind bulk
    work."""

    is_exclusive = True  # not merged with other work of the process, so that it can be one statement

    @property
    def tenant(self) -> str:
        return self.items[0][0]

    def lock_keys(self) -> frozenset[LockKey]:
        return frozenset((tenant, key) for tenant, keys, _ in self.items for key in keys)

    def rows_of(self, item: ConnectedInboxes) -> int:
        return 1

    def script(self) -> Script[list[Materialized]]:
        materialized = []
        for tenant, keys, now in self.items:
            materialized.append((yield from announcements.materialize(tenant, keys, now)))
        return materialized

    def single_statement(self) -> WriteCommand[list[Materialized] | None] | None:
        def script() -> Script[list[Materialized] | None]:
            return [(yield from announcements.add(*self.items[0]))]

        return ScriptCommand(script, None) if len(self.items) == 1 else None


def add_claim(tenant: str, claim: Claim, recipients: Set[str]) -> Script[None]:
    """Claim the recipients. Raises ClaimTaken if another request has claimed one of them."""
    params = {"tenant": tenant, "claim": claim.name, "recipients": columns.to_json(sorted(recipients))}
    claimed = yield Statement("claims_add", {**params, "expires_at": claim.expires_at})
    if len(claimed) != len(recipients):
        raise ClaimTaken


# --- rows of named recipients


# An inbox's number and current state.
InboxHead: TypeAlias = tuple[int, InboxState]


def read_heads(requests: Sequence[SendRequest | ImportRequest]) -> Script[dict[RecipientKey, InboxHead]]:
    """Read the recipients' inboxes, creating missing ones."""
    wanted: dict[str, dict[str, int]] = {}
    for request in requests:
        wanted.setdefault(request.tenant, {}).update(dict.fromkeys(request.recipients, request.created_at))
    heads: dict[RecipientKey, InboxHead] = {}
    for tenant, created_at in wanted.items():
        for keys in chunks(list(created_at), STATEMENT_ROWS):
            found = yield Statement("inboxes_receiving", {"tenant": tenant, "keys": columns.to_json(keys)})
            known = {key for key, *_ in found}
            missing = [key for key in keys if key not in known]
            if missing:
                yield from recipients.ensure_recipients(tenant, missing, created_at[missing[0]])
                found += yield Statement("inboxes_receiving", {"tenant": tenant, "keys": columns.to_json(missing)})
            for key, inbox, *state in found:
                heads[tenant, key] = inbox, InboxState(tenant, key, *state)
    return heads


def all_exist(tenant: str, keys: Collection[str]) -> Script[bool]:
    """Return whether these recipients, each named once, exist. One that was erased after its page was read must not be
    created again."""
    found = yield Statement("inboxes_receiving", {"tenant": tenant, "keys": columns.to_json(list(keys))})
    return len(found) == len(keys)


class InsertPlan(Struct, eq=False):
    """The changes of requests to inboxes, collected before they are written. `insertion` is the statement that adds the rows."""

    heads: dict[RecipientKey, InboxHead]
    insertion: str = "notification_insert"
    _changed: dict[RecipientKey, None] = {}
    _rows: list[Params] = []
    _tags: list[Params] = []

    def add(self, request: SendRequest) -> SendResult:
        """Plan the rows of one request."""
        events: list[Event] = []
        if request.contents:
            for id, key, content in zip(request.ids, request.recipients, request.contents, strict=True):
                fields = rows.content_params(content, request.created_at)
                state = self._plan((request.tenant, key), fields, id, content.tags)
                events.append(NotificationAdded(state, rows.new_notification(id, content, request.created_at)))
            return SendResult(request.response, tuple(events))
        fields = rows.content_params(request.content, request.created_at)
        first = rows.new_notification(request.ids[0] if request.ids else "", request.content, request.created_at)
        for id, key in zip(request.ids, request.recipients, strict=True):
            state = self._plan((request.tenant, key), fields, id, request.content.tags)
            events.append(NotificationAdded(state, first if id == first.id else replace(first, id=id)))
        return SendResult(request.response, tuple(events))

    def add_imported(self, request: ImportRequest, existing: set[tuple[RecipientKey, str]]) -> SendResult:
        """Plan the rows of one import, with their times; `existing` rows do not change. The first revision of the rows is 0, so that
        resuming clients get them as changes: a row that is new to a client would be shown as a toast."""
        is_archived = request.archived_at is not None
        unread = int(not is_archived and request.read_at is None)
        unseen = int(not is_archived and request.seen_at is None)
        part = 2 if is_archived else 1 - unread
        marks = {"seen_at": request.seen_at, "read_at": request.read_at, "archived_at": request.archived_at}
        fields = {**rows.content_params(request.content, request.sent_at), **marks, "part": part}
        shown = {name: times.to_rfc3339_or_null(value) for name, value in marks.items()}
        first = replace(rows.new_notification("", request.content, request.sent_at), **shown)
        events: list[Event] = []
        for id, key in zip(request.ids, request.recipients, strict=True):
            name = (request.tenant, key)
            if (name, id) in existing:
                continue
            state = self._plan(name, fields, id, request.content.tags, unread, unseen)
            events.append(NotificationUpdated(state, replace(first, id=id)))
        return SendResult(request.response, tuple(events))

    def _plan(
        self,
        name: RecipientKey,
        fields: dict[str, Any],
        id: str,
        tags: Sequence[str],
        unread: int = 1,
        unseen: int = 1,
    ) -> InboxState:
        """Plan a row; return the state of its inbox after it."""
        inbox, before = self.heads[name]
        state = InboxState(*name, before.epoch, before.revision + 1, before.unread + unread, before.unseen + unseen)
        self.heads[name] = inbox, state
        self._changed[name] = None
        self._rows.append({**fields, "inbox": inbox, "id": id, "revision": state.revision})
        if tags:
            self._tags += [{"inbox": inbox, "id": id, "tag": tag} for tag in tags]
        return state

    def write(self) -> Script[None]:
        """Write the planned rows, sorted by inbox, because adjacent rows share a page of the file. Each kind of statement runs
        once for all."""
        self._rows.sort(key=itemgetter("inbox"))
        heads: list[Params] = []
        for inbox, state in map(self.heads.__getitem__, self._changed):
            counts = {"revision": state.revision, "unread": state.unread, "unseen": state.unseen}
            heads.append({"inbox": inbox, **counts})
        for name, sets in ((self.insertion, self._rows), ("tag_row", self._tags), ("inbox_write_state", heads)):
            for some in chunks(sets, STATEMENT_ROWS):
                yield Statement(name, many=some)


# The first columns of a row: the index of its recipient, its number among that recipient's rows, and its id.
ROW_COLUMNS = ("places", "nths", "ids")


def insert(requests: Sequence[SendRequest]) -> Script[list[SendResult] | None]:
    """Insert a row for each recipient of each request, in order, by one statement; None if a recipient does not exist."""
    ordinals: dict[RecipientKey, int] = {}
    counts: list[int] = []  # the rows of each recipient
    added: list[tuple[Any, ...]] = []
    tags: list[tuple[int, str, str]] = []
    names: tuple[str, ...] = ()
    for request in requests:
        fields = rows.content_params(request.content, request.created_at)
        names, values = tuple(fields), tuple(fields.values())
        for id, key in zip(request.ids, request.recipients, strict=True):
            place = ordinals.setdefault((request.tenant, key), len(counts))
            if place == len(counts):
                counts.append(0)
            counts[place] += 1
            added.append((place + 1, counts[place], id, *values))
            tags += [(place + 1, tag, id) for tag in request.content.tags]
    tenants, keys = zip(*ordinals, strict=True)
    params = dict(zip((*ROW_COLUMNS, *names), zip(*added, strict=True), strict=True))
    tagged = zip(*tags, strict=True) if tags else ((), (), ())
    params |= zip(("tag_places", "tag_names", "tag_ids"), tagged, strict=True)
    # The epochs, revisions and counts of the inboxes before, in the order of the keys.
    heads: list[Row] = yield Statement(
        "notifications_add", {**params, "tenants": tenants, "keys": keys, "counts": counts}
    )
    if not heads:
        return None
    owners, following, results = list(ordinals), iter(added), list[SendResult]()
    for request in requests:
        first = rows.new_notification(request.ids[0], request.content, request.created_at)
        events: list[Event] = []
        for _ in request.ids:
            place, nth, id, *_ = next(following)
            tenant, key = owners[place - 1]
            epoch, revision, unread, unseen = heads[place - 1]
            state = InboxState(tenant, key, epoch, revision + nth, unread + nth, unseen + nth)
            events.append(NotificationAdded(state, first if id == first.id else replace(first, id=id)))
        results.append(SendResult(request.response, tuple(events)))
    return results
