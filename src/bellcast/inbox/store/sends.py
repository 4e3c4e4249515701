"""Sends: one row per named recipient, or one row for an announcement to many."""

from collections.abc import AsyncIterator, Sequence, Set
from functools import partial
from typing import TypeAlias

import msgspec

from bellcast.channels.store import fanouts, messages
from bellcast.channels.types import Fanout
from bellcast.inbox.store import announcements, idempotency, insert, rows, sent
from bellcast.inbox.store.insert import InsertPlan, insert_imported, read_heads
from bellcast.inbox.types.inboxes import AnnouncementChanged
from bellcast.inbox.types.notifications import Audience
from bellcast.inbox.types.sends import (
    AnnounceRequest,
    Claim,
    ClaimTaken,
    ImportRequest,
    Materialized,
    SendRequest,
    SendResult,
)
from bellcast.kernel.db import columns
from bellcast.kernel.db.script import (
    MATERIALIZE_INBOXES,
    ListCommand,
    LockKey,
    PageCommand,
    Script,
    ScriptCommand,
    Statement,
    WriteCommand,
    chunks,
)
from bellcast.kernel.db.table import StoreTable, on_table, read, write
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.recipients.store import ensure
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
            yield from ensure.ensure_tenant(request.tenant, request.created_at)
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
        columns = rows.content_params(request.content, request.created_at)
        row = {"seq": seq, "id": request.id, "tenant": request.tenant, "topic": request.topic}
        yield Statement("announcement_insert", {**columns, **row})
        yield from webhook_events.add(request.events, request.created_at)
        yield from idempotency.store_response(request.key_tenant, request)
        return SendResult(request.response, (AnnouncementChanged(request.tenant, request.topic),))

    async def add_page(self, request: SendRequest, fanout: str, after: str, position: str) -> bool:
        """Commit the messages of a page of a fan-out, and move it from the key `after` to `position`. Return False, and
        write nothing, if it is at another position or no longer runs, or if one of the recipients was erased."""
        keys = {one.recipient for one in request.messages} | {one.recipient for one in request.decisions}

        def script() -> Script[bool]:
            if not (yield from insert.all_exist(request.tenant, keys)):
                return False
            if not (yield from fanouts.move(fanout, after, position)):
                return False
            yield from messages.add(request.messages, request.decisions)
            yield from webhook_events.add(request.events, request.created_at)
            return True

        rows = len(request.messages) + len(request.decisions)
        inboxes = [(request.tenant, key) for key in keys]
        return await self._engine.write(PageCommand(script, inboxes, request.tenant, rows))

    @write()
    def end_fanout(self, tenant: str, id: str) -> Script[None]:
        """End a fan-out that has no recipients left."""
        yield from fanouts.end(id, tenant)

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
            yield from sent.add_outside(self.items)
            yield from messages.add(first.messages, first.decisions)
            yield from webhook_events.add(first.events, first.created_at)
            yield from idempotency.store_response(first.tenant, first)
        return results

    def single_statement(self) -> WriteCommand[list[SendResult] | None]:
        return ScriptCommand(lambda: insert.insert(self.items), None)

    def prerequisite(self) -> WriteCommand[None]:
        return ScriptCommand(lambda: insert.ensure_recipients(self.items), self.lock_keys())


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
        sent = yield from insert_imported(self.items)
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
