"""What time does to the store: expiry, retention, forgetting. Bounded steps, so that nobody waits."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from bellcast.model.events import AnnouncementChanged, Event
from bellcast.storage import announcements, marking, rows, sent
from bellcast.storage.engine import Engine, Row, Script, Statement
from bellcast.storage.locks import locks


class Maintenance:
    """ports.Upkeep on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def next_expiry(self) -> int | None:
        """When the next notification or announcement expires."""
        return await self._engine.read(_next_expiry)

    async def expire(self, now: int, limit: int) -> tuple[int, list[Event]]:
        """Take out at most `limit` due rows."""
        inboxes = await self._engine.read(_inboxes_due, now, limit)
        return await self._engine.write(_expire, now, limit, inboxes)

    async def retire(
        self, now: int, older_than: int, limit: int, *, tenant: str | None = None, but: Sequence[str] = ()
    ) -> tuple[int, list[Event]]:
        """Delete at most `limit` notifications made before `older_than`."""
        whose = TenantFilter(tenant, tuple(but))
        inboxes = await self._engine.read(_inboxes_old, older_than, limit, whose)
        return await self._engine.write(_retire, now, older_than, limit, whose, inboxes)

    async def delete_forgotten(
        self, now: int, *, tombstones_before: int, keys_before: int, limit: int
    ) -> tuple[int, list[Event]]:
        """Drop at most `limit` of each kind of what was left behind before those times; the largest of the numbers, and
        the events of inboxes that gave up a recalled announcement."""
        old = await self._engine.read(_old_tombstones, tombstones_before, limit)
        tombstones = await self._engine.write(_forget_tombstones, tombstones_before, limit, _of(old))
        others, events = await self._engine.write(_delete_forgotten, now, tombstones_before, keys_before, limit)
        return max(tombstones, others), events

    async def stats(self, tenant: str | None = None) -> dict[str, int]:
        """Rows by kind, of one tenant or of all."""
        return dict(await self._engine.read_in_background(_stats, tenant))


def _next_expiry() -> Script[int | None]:
    ((soonest,),) = yield Statement("next_expiry")
    return None if soonest is None else int(soonest)


def _of(found: list[Row]) -> frozenset[int]:
    """The inboxes of rows, which stand first in them."""
    return frozenset(inbox for inbox, *_ in found)


def _due(now: int, limit: int) -> Script[list[Row]]:
    return (yield Statement("due_notifications", {"now": now, "limit": limit}))


def _inboxes_due(now: int, limit: int) -> Script[frozenset[int]]:
    return _of((yield from _due(now, limit)))


@locks(lambda now, limit, inboxes: inboxes)
def _expire(now: int, limit: int, inboxes: frozenset[int]) -> Script[tuple[int, list[Event]]]:
    """What is due in these inboxes, and announcements; what fell due elsewhere since is for the next step."""
    due = [row for row in (yield from _due(now, limit)) if row[0] in inboxes]
    events = yield from _remove(due, now)
    ended = yield Statement("due_announcements", {"now": now, "limit": limit - len(due)})
    events += yield from _end(ended, now)
    return len(due) + len(ended), events


class TenantFilter(NamedTuple):
    """Of which tenants: one, or all but some."""

    tenant: str | None
    but: tuple[str, ...]

    def statement(self, forms: tuple[str, str, str], older_than: int, limit: int) -> Statement:
        """A statement in its form for these tenants: all, one, all but some."""
        all_, of_one, but_some = forms
        # Ids begin with the time they were made: the index of ids is the index of age.
        params = {"older_than": older_than, "before": rows.uuid7_floor(older_than), "limit": limit}
        if self.tenant is not None:
            return Statement(of_one, {**params, "tenant": self.tenant})
        return Statement(but_some, {**params, "but": rows.to_json(self.but)}) if self.but else Statement(all_, params)


OLD_NOTIFICATIONS = ("old_notifications", "old_notifications_of", "old_notifications_but")
OLD_ANNOUNCEMENTS = ("old_announcements", "old_announcements_of", "old_announcements_but")


def _old(older_than: int, limit: int, whose: TenantFilter) -> Script[list[Row]]:
    return (yield whose.statement(OLD_NOTIFICATIONS, older_than, limit))


def _inboxes_old(older_than: int, limit: int, whose: TenantFilter) -> Script[frozenset[int]]:
    return _of((yield from _old(older_than, limit, whose)))


@locks(lambda now, older_than, limit, whose, inboxes: inboxes)
def _retire(
    now: int, older_than: int, limit: int, whose: TenantFilter, inboxes: frozenset[int]
) -> Script[tuple[int, list[Event]]]:
    """What is old in these inboxes, and announcements."""
    old = [row for row in (yield from _old(older_than, limit, whose)) if row[0] in inboxes]
    events = yield from _remove(old, now)
    ended = yield whose.statement(OLD_ANNOUNCEMENTS, older_than, limit - len(old))
    events += yield from _end(ended, now)
    return len(old) + len(ended), events


def _remove(found: list[Row], now: int) -> Script[list[Event]]:
    events: list[Event] = []
    for inbox, id in found:
        events += yield from marking.remove(inbox, id, now)
    return events


def _end(found: list[Row], now: int) -> Script[list[Event]]:
    events: list[Event] = []
    for id, tenant, topic in found:
        changed = yield from sent.next_number()
        yield Statement("announcement_recall", {"id": id, "now": now, "changed": changed})
        events.append(AnnouncementChanged(tenant, topic))
    return events


def _delete_forgotten(
    now: int, tombstones_before: int, keys_before: int, limit: int
) -> Script[tuple[int, list[Event]]]:
    keys = yield Statement("idempotency_forget", {"older_than": keys_before, "limit": limit})
    announcements, events = yield from _forget_announcements(now, tombstones_before, limit)
    erased = yield Statement("erased_forget", {"older_than": tombstones_before, "limit": limit})
    return max(len(keys), announcements, len(erased)), events


def _old_tombstones(older_than: int, limit: int) -> Script[list[Row]]:
    return (yield Statement("old_tombstones", {"older_than": older_than, "limit": limit}))


@locks(lambda older_than, limit, inboxes: inboxes)
def _forget_tombstones(older_than: int, limit: int, inboxes: frozenset[int]) -> Script[int]:
    old = yield from _old_tombstones(older_than, limit)
    swept = [{"inbox": inbox, "revision": revision, "id": id} for inbox, revision, id in old if inbox in inboxes]
    if swept:
        yield Statement("raise_floor", many=swept)
        yield Statement("tombstone_delete", many=swept)
    return len(swept)


def _forget_announcements(now: int, older_than: int, limit: int) -> Script[tuple[int, list[Event]]]:
    """Those taken back go for good once the last inbox gave them up; inboxes nobody looks at are helped to."""
    dropped, events = 0, list[Event]()
    for seq, held in (yield Statement("recalled_announcements", {"older_than": older_than, "limit": limit})):
        if dropped >= limit:
            break
        if held:
            holders = yield Statement("announcement_holders", {"seq": seq, "limit": limit - dropped})
            dropped += len(holders)
            for tenant, group in groupby(holders, key=itemgetter(0)):
                events += yield from announcements.materialize(tenant, [key for _, key in group], now)
        else:
            yield Statement("announcement_delete", {"seq": seq})
            dropped += 1
    return dropped, events


def _stats(tenant: str | None) -> Script[list[Row]]:
    if tenant is None:
        return (yield Statement("stats"))
    return (yield Statement("stats_of_tenant", {"tenant": tenant}))
