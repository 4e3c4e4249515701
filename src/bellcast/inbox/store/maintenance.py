"""Expiry, retention and cleanup in bounded steps, so that other writes run in between."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from bellcast.channels.store import fanouts
from bellcast.inbox.store import announcements, marking, sent_items
from bellcast.kernel import ids
from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable, read, read_in_background, write
from bellcast.kernel.db.script import Row, Script, ScriptCommand, Statement, chunks, fetch
from bellcast.kernel.errors import NotFound
from bellcast.kernel.events import Event
from bellcast.webhooks import store as webhook_events


class RowCounts(NamedTuple):
    """Numbers of rows by kind, and the kinds whose number is a lower bound."""

    by_kind: dict[str, int]
    at_least: frozenset[str] = frozenset()


# Maximum counted rows on PostgreSQL, which estimates larger tables: SQLite counts as many in 20 ms.
LARGE_COUNT = 1_000_000
# Maximum counted rows of each kind for one tenant: an index lookup for each of as many recipients takes 0.5 s.
MAX_COUNTED_ROWS = 100_000
# Old rows found by one read: it skips the rows of all tenants that keep theirs longer, a second per million.
MAX_OLD_ROWS = 10_000
# Kinds that are counted by recipient.
IN_INBOXES = ("notifications", "tombstones")


class Maintenance(StoreTable):
    """Maintenance of the store, in bounded steps so that other writers do not wait."""

    def clear_log(self) -> None:
        """Soon delete content from the database's log that is no longer in its tables, if the store has the log."""
        self._engine.clear_log()

    @read
    def next_expiry(self) -> Script[int | None]:
        """Return the time (UTC milliseconds) when the next notification or announcement expires, or the
        next snoozed one wakes."""
        ((soonest,),) = yield Statement("next_expiry")
        return None if soonest is None else int(soonest)

    async def expire(self, now: int, limit: int) -> tuple[int, list[Event]]:
        """Remove at most `limit` due rows; return their number and the events."""
        due = Statement("due_notifications", {"now": now, "limit": limit})
        return await self.expire_due(await self._inboxes(due), due, now, limit)

    @write(locks=lambda inboxes, *_: inboxes)
    def expire_due(
        self, inboxes: frozenset[int], due: Statement, now: int, limit: int
    ) -> Script[tuple[int, list[Event]]]:
        """Remove the due rows of these inboxes, which are locked, and due announcements. Other inboxes follow in the next step."""
        rows = [row for row in (yield due) if row[0] in inboxes]
        events = yield from _remove(rows, now)
        due_announcements = Statement("due_announcements", {"now": now, "limit": limit - len(rows)})
        ended = yield due_announcements
        if ended:
            # Allocating a number locks announcements: no other process extends one between this read and its recall.
            yield from fanouts.next_number()
            ended = yield due_announcements
        events += yield from _end(ended, now)
        return len(rows) + len(ended), events

    async def wake(self, now: int, limit: int) -> tuple[int, list[Event]]:
        """Wake at most `limit` due snoozed rows; return their number and the events."""
        due = Statement("due_snoozed", {"now": now, "limit": limit})
        return await self.wake_due(await self._inboxes(due), due, now)

    @write(locks=lambda inboxes, *_: inboxes)
    def wake_due(self, inboxes: frozenset[int], due: Statement, now: int) -> Script[tuple[int, list[Event]]]:
        """Wake the due rows of these inboxes, which are locked."""
        rows = [row for row in (yield due) if row[0] in inboxes]
        events: list[Event] = []
        for inbox, id in rows:
            events += yield from marking.wake(inbox, id, now)
        return len(rows), events

    async def retire(
        self, now: int, older_than: int, limit: int, *, tenant: str | None = None, but: Sequence[str] = ()
    ) -> AsyncIterator[list[Event]]:
        """Delete notifications created before `older_than`, with tombstones: of one tenant, or of all tenants except those
        in `but`. Yield the events of each step, which deletes at most `limit`."""
        old = _old("notifications", older_than, MAX_OLD_ROWS, tenant, but)
        number = MAX_OLD_ROWS
        while number == MAX_OLD_ROWS:
            found = await self._engine.read_in_background(fetch, old)
            number = len(found)
            for some in chunks(found, limit):
                yield await self._engine.write(ScriptCommand(partial(_remove, some, now), [inbox for inbox, _ in some]))
        old = _old("announcements", older_than, limit, tenant, but)
        while events := await self.end_old(old, now):
            yield events

    @write()
    def end_old(self, old: Statement, now: int) -> Script[list[Event]]:
        """Recall the announcements that a statement selects."""
        return (yield from _end((yield old), now))

    @write()
    def delete_messages(self, older_than: int, limit: int) -> Script[tuple[int, list[Event]]]:
        """Delete at most `limit` ended messages created before `older_than`, and as many decisions; return the larger
        number, and no events."""
        before = {"before": ids.uuid7_floor(older_than), "limit": limit}
        messages = yield Statement("messages_forget", before)
        decisions = yield Statement("decisions_forget", {"older_than": older_than, "limit": limit})
        outside = yield Statement("outside_forget", before)
        runs = yield Statement("runs_forget", before)
        ended_fanouts = yield Statement("fanouts_forget", before)
        counters = yield Statement("counters_forget", {"now": older_than, "limit": limit})
        events = yield Statement("webhook_events_forget", before)
        if events:
            yield Statement("dead_deliveries_forget", many=[webhook_events.delivery_ids(id) for (id,) in events])
        return max(map(len, (messages, decisions, outside, runs, ended_fanouts, counters, events))), []

    async def delete_forgotten(
        self, now: int, *, tombstones_before: int, keys_before: int, limit: int
    ) -> tuple[int, list[Event]]:
        """Delete at most `limit` tombstones, and as many idempotency keys, written before the given UTC milliseconds;
        return the larger number. Positions before a deleted tombstone can no longer be resumed. Announcements recalled
        before that time are removed from inboxes that still have them; the events publish that."""
        old = Statement("old_tombstones", {"older_than": tombstones_before, "limit": limit})
        tombstones = await self.delete_tombstones(await self._inboxes(old), old)
        script = partial(delete_others, now, tombstones_before, keys_before, limit)
        others, events = await self._engine.write(ScriptCommand(script, None))  # None: unknown inboxes
        return max(tombstones, others), events

    @write(locks=lambda inboxes, *_: inboxes)
    def delete_tombstones(self, inboxes: frozenset[int], old: Statement) -> Script[int]:
        """Delete the old tombstones of these inboxes, which are locked; return their number."""
        found = [{"inbox": inbox, "revision": revision, "id": id} for inbox, revision, id in (yield old)]
        swept = [row for row in found if row["inbox"] in inboxes]
        if swept:
            yield Statement("raise_floor", many=swept)
            yield Statement("tombstone_delete", many=swept)
        return len(swept)

    @read_in_background
    def stats(self, tenant: str | None = None) -> Script[RowCounts]:
        """Count the rows of a tenant by kind, up to a limit; None counts the rows of all tenants, and the tenants. Counts of
        millions of rows may be estimates."""
        if tenant is None:
            return RowCounts(dict((yield Statement("stats", {"large": LARGE_COUNT}, heavy=True))))
        limit = {"limit": MAX_COUNTED_ROWS + 1}
        counted: dict[str, int] = dict((yield Statement("stats_of_tenant", {"tenant": tenant, **limit}, heavy=True)))
        at_least = {kind for kind, number in counted.items() if number > MAX_COUNTED_ROWS}
        if "recipients" in at_least:
            at_least.update(IN_INBOXES)
        by_kind = {kind: min(number, MAX_COUNTED_ROWS) for kind, number in counted.items()}
        return RowCounts(by_kind, frozenset(at_least))

    async def _inboxes(self, statement: Statement) -> frozenset[int]:
        """Return the inboxes of a statement's rows: its first column."""
        return frozenset(inbox for inbox, *_ in await self._engine.read(fetch, statement))


def _old(kind: str, older_than: int, limit: int, tenant: str | None, but: Sequence[str]) -> Statement:
    """Return the statement that selects rows created before a time (UTC milliseconds), of one tenant, or of all except some."""
    # Ids begin with the creation time, so the index of ids is also ordered by age.
    params = {"older_than": older_than, "before": ids.uuid7_floor(older_than), "limit": limit}
    if tenant is not None:
        return Statement(f"old_{kind}_of", {**params, "tenant": tenant}, heavy=True)
    if but:
        return Statement(f"old_{kind}_but", {**params, "but": columns.to_json(but)}, heavy=True)
    return Statement(f"old_{kind}", params)


def _remove(old_rows: Sequence[Row], now: int) -> Script[list[Event]]:
    events: list[Event] = []
    for inbox, id in old_rows:
        with contextlib.suppress(NotFound):  # the recipient was erased after the row was found
            events += yield from marking.remove(inbox, id, now)
    return events


def _end(old_rows: list[Row], now: int) -> Script[list[Event]]:
    events: list[Event] = []
    for id, tenant, topic in old_rows:
        events.append((yield from sent_items.recall_announcement(id, tenant, topic, now)))
    return events


def delete_others(now: int, tombstones_before: int, keys_before: int, limit: int) -> Script[tuple[int, list[Event]]]:
    """Delete old idempotency keys, records of erased recipients, and recalled announcements. Inboxes that still contain one are
    materialized, which removes their row."""
    keys = yield Statement("idempotency_forget", {"older_than": keys_before, "limit": limit})
    erased = yield Statement("erased_forget", {"older_than": tombstones_before, "limit": limit})
    recalled = yield Statement("recalled_announcements", {"older_than": tombstones_before, "limit": limit})
    dropped, events = 0, list[Event]()
    for seq, held in recalled:
        if dropped >= limit:
            break
        if held:
            holders = yield Statement("announcement_holders", {"seq": seq, "limit": limit - dropped})
            dropped += len(holders)
            for tenant, group in groupby(holders, key=itemgetter(0)):
                materialized = yield from announcements.materialize(tenant, [key for _, key in group], now)
                events += materialized.events
        else:
            yield Statement("announcement_delete", {"seq": seq})
            dropped += 1
    return max(len(keys), dropped, len(erased)), events
