"""Maintenance: expiry, retention and deletion of tombstones and keys."""

import asyncio

import pytest

from bellcast.channels.types import ChannelConfig
from bellcast.inbox.store import maintenance
from bellcast.inbox.store.maintenance import RowCounts
from bellcast.inbox.types.inboxes import AnnouncementChanged, NotificationDeleted
from bellcast.kernel import times
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.ids import Ids
from bellcast.server import maintenance as server_maintenance
from bellcast.settings.table import StoreSettings
from tests.clock import FakeClock
from tests.contexts import idle_context
from tests.contract.app import App

HOUR = 3600
DAY = 24 * HOUR
KEPT = StoreSettings(retention=0, tombstones=0)


async def test_next_expiry_is_the_earliest_of_both_kinds(app: App) -> None:
    assert await app.store.maintenance.next_expiry() is None
    await app.send("alice", expires_at=times.to_rfc3339(app.now + 3000))
    assert await app.store.maintenance.next_expiry() == app.now + 3000
    await app.announce(expires_at=times.to_rfc3339(app.now + 2000))
    assert await app.store.maintenance.next_expiry() == app.now + 2000
    await app.send("bob", expires_at=times.to_rfc3339(app.now + 1000))
    assert await app.store.maintenance.next_expiry() == app.now + 1000


async def test_expired_notification_leaves_lists_and_counters(app: App) -> None:
    id = await app.send("alice", "due", expires_at=times.to_rfc3339(app.now + 1000))
    await app.send("alice", "later", expires_at=times.to_rfc3339(app.now + 9000))
    await app.send("alice", "never")
    assert await app.store.maintenance.expire(app.now + 999, 10) == (0, [])
    app.clock.advance(1)
    number, events = await app.store.maintenance.expire(app.now, 10)
    assert (number, events) == (1, [NotificationDeleted((await app.inbox("alice")).state, id)])
    assert await app.titles("alice") == ["never", "later"]
    assert await app.counts("alice") == (2, 2)
    assert await app.store.maintenance.next_expiry() == app.now + 8000


async def test_expiry_is_limited_per_call(app: App) -> None:
    for _ in range(3):
        await app.send("alice", expires_at=times.to_rfc3339(app.now + 1000))
    await app.announce(expires_at=times.to_rfc3339(app.now + 1000))
    app.clock.advance(1)
    assert [(await app.store.maintenance.expire(app.now, 2))[0] for _ in range(3)] == [2, 2, 0]


async def test_expired_row_is_a_change_for_resumed_clients(app: App) -> None:
    id = await app.send("alice", expires_at=times.to_rfc3339(app.now + 1000))
    before = await app.inbox("alice")
    app.clock.advance(1)
    await app.store.maintenance.expire(app.now, 10)
    changes = await app.store.inboxes.changes(before.number, before.state.revision, 10)
    assert [(change.id, change.notification) for change in changes.rows] == [(id, None)]


async def test_retention_deletes_old_rows_only(app: App) -> None:
    await app.open("alice")
    old = [await app.send("alice", "old", tags=("x",)), await app.send("bob", "old")]
    await app.announce("old, to all")
    await app.open("alice")
    app.clock.advance(DAY)
    limit = app.now
    await app.send("alice", "new")
    await app.announce("new, to all")
    first, second = await app.retire(limit, 2)
    assert [event.id for event in first if isinstance(event, NotificationDeleted)] == old
    assert second == [AnnouncementChanged("", None)]
    assert await app.retire(limit, 2) == []
    assert await app.titles("alice") == ["new, to all", "new"]
    assert await app.counts("alice") == (2, 2)


async def test_deleted_tombstones_raise_the_oldest_revision(app: App) -> None:
    first, second = await app.send("alice"), await app.send("alice")
    await app.mark("alice", "delete", ids=(first,))
    app.clock.advance(DAY)
    forget = app.now
    await app.mark("alice", "delete", ids=(second,))
    assert await app.store.maintenance.delete_forgotten(app.now, tombstones_before=forget, keys_before=0, limit=10) == (
        1,
        [],
    )
    inbox = await app.inbox("alice")
    assert inbox.oldest_revision == 3
    changes = await app.store.inboxes.changes(inbox.number, 3, 10)
    assert (changes.oldest_revision, [change.id for change in changes.rows]) == (3, [second])
    assert await app.store.maintenance.delete_forgotten(app.now, tombstones_before=forget, keys_before=0, limit=10) == (
        0,
        [],
    )


async def test_deletion_of_idempotency_keys_is_bounded_and_frees_them(app: App) -> None:
    for number in range(3):
        await app.add(app.send_request("alice", key=f"{number}", fingerprint=b"one"))
    app.clock.advance(1)
    forget = app.store.maintenance.delete_forgotten
    assert [await forget(app.now, tombstones_before=0, keys_before=app.now, limit=2) for _ in range(3)] == [
        (2, []),
        (1, []),
        (0, []),
    ]
    assert len((await app.add(app.send_request("alice", key="0", fingerprint=b"two"))).events) == 1


async def test_recalled_announcement_is_deleted_once_no_inbox_has_it(app: App) -> None:
    for key in ("saw", "saw too", "did not"):
        await app.open(key)
    id = await app.announce("Recalled")
    await app.announce("Stays")
    for key in ("saw", "saw too"):
        await app.open(key)
    await app.store.sent.recall("", id, app.now)
    app.clock.advance(DAY)
    while (await app.store.maintenance.delete_forgotten(app.now, tombstones_before=app.now, keys_before=0, limit=1))[0]:
        pass
    assert (await app.store.maintenance.stats()).by_kind["announcements"] == 1
    for key in ("saw", "saw too", "did not"):
        assert await app.titles(key) == ["Stays"]
        assert await app.counts(key) == (1, 1)


async def test_inbox_that_lost_a_recalled_announcement_can_be_resumed(app: App) -> None:
    await app.open("alice")
    id = await app.announce("Recalled")
    inbox = await app.inbox("alice")
    await app.store.sent.recall("", id, app.now)
    recalled = app.now
    app.clock.advance(DAY)
    _, events = await app.store.maintenance.delete_forgotten(
        app.now, tombstones_before=recalled + 1, keys_before=0, limit=10
    )
    (event,) = events
    assert isinstance(event, NotificationDeleted)
    assert (event.id, event.inbox.recipient, event.inbox.unread) == (id, "alice", 0)
    # The tombstone is as old as the deletion: a sweep up to the recall keeps it.
    await app.store.maintenance.delete_forgotten(app.now, tombstones_before=recalled + 1, keys_before=0, limit=10)
    changes = await app.store.inboxes.changes(inbox.number, inbox.state.revision, 10)
    assert changes.oldest_revision <= inbox.state.revision
    assert [(change.id, change.notification) for change in changes.rows] == [(id, None)]


async def test_stats_count_by_kind_without_the_default_tenant(app: App) -> None:
    await app.send("alice", tenant="acme")
    await app.announce()
    stats = (await app.store.maintenance.stats()).by_kind
    assert (stats["tenants"], stats["recipients"], stats["notifications"], stats["announcements"]) == (1, 1, 1, 1)


async def test_stats_of_a_tenant_exclude_others(app: App) -> None:
    await app.send("alice", tenant="acme")
    await app.announce()
    acme = await app.store.maintenance.stats("acme")
    counts = {"recipients": 1, "notifications": 1, "announcements": 0, "subscriptions": 0, "tombstones": 0}
    assert acme == RowCounts(counts)
    assert await app.store.maintenance.stats("globex") == RowCounts(dict.fromkeys(counts, 0))
    assert (await app.store.maintenance.stats("")).by_kind["announcements"] == 1


async def test_stats_of_a_tenant_count_up_to_a_limit(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "MAX_COUNTED_ROWS", 2)
    await app.add_all([app.send_request("alice"), app.send_request("bob"), app.send_request("bob")])
    stats = await app.store.maintenance.stats("")
    assert (stats.by_kind["recipients"], stats.by_kind["notifications"], stats.at_least) == (2, 2, {"notifications"})
    await app.send("carol")
    stats = await app.store.maintenance.stats("")
    # Tombstones of recipients that were not counted may exist.
    assert (stats.by_kind["recipients"], stats.by_kind["tombstones"]) == (2, 0)
    assert stats.at_least == {"recipients", "notifications", "tombstones"}


async def test_open_store_answers_a_ping(app: App) -> None:
    await app.store.ping()


async def test_sweep_runs_after_its_interval_and_after_the_clock_was_set_back(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, swept = [server_maintenance.SWEEP_SECONDS - 1, 1, 1, -3600, 1], list[int]()

    async def advance(_: float) -> None:
        if not steps:
            raise asyncio.CancelledError
        app.clock.advance(steps.pop(0))

    async def sweep(*_: object) -> None:
        swept.append(len(steps))

    monkeypatch.setattr(app.clock, "sleep", advance)
    monkeypatch.setattr(server_maintenance, "sweep", sweep)
    engines = idle_context(app.store, MemoryBroker(), app.clock, Ids().new)
    with pytest.raises(asyncio.CancelledError):
        await server_maintenance.run(engines, KEPT, ChannelConfig(run_retention=0))
    assert swept == [5, 3, 1]


@pytest.mark.parametrize("error", [Unavailable("The store is locked."), RuntimeError("a defect")])
async def test_error_in_a_step_does_not_skip_the_later_steps(
    app: App, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    done = list[str]()

    async def fail(*_: object, **__: object) -> None:
        raise error

    async def sweep_operators(*_: object, **__: object) -> int:
        done.append("operators")
        return 0

    async def end(_: float) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(type(app.store.maintenance), "next_expiry", staticmethod(fail))
    monkeypatch.setattr(type(app.store.audit), "newest", staticmethod(fail))
    monkeypatch.setattr(type(app.store.maintenance), "delete_forgotten", staticmethod(fail))
    monkeypatch.setattr(type(app.store.joined_topics), "sweep", staticmethod(fail))
    monkeypatch.setattr(type(app.store.operators), "sweep", staticmethod(sweep_operators))
    monkeypatch.setattr(app.clock, "sleep", end)
    engines = idle_context(app.store, MemoryBroker(), app.clock, Ids().new)
    with pytest.raises(asyncio.CancelledError):
        await server_maintenance.run(engines, KEPT, ChannelConfig(run_retention=0))
    assert done == ["operators"]


async def test_audit_head_is_logged_at_the_start_and_every_hour(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, heads = FakeClock(app.now), list[int]()  # the store waits by the clock of the app

    async def note(_: object) -> None:
        heads.append(clock.now() - app.now)

    async def sleep(_: float) -> None:
        clock.advance(HOUR / 4)
        if len(heads) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(server_maintenance, "log_audit_head", note)
    monkeypatch.setattr(clock, "sleep", sleep)
    engines = idle_context(app.store, MemoryBroker(), clock, Ids().new)
    with pytest.raises(asyncio.CancelledError):
        await server_maintenance.run(engines, KEPT, ChannelConfig(run_retention=0))
    assert heads == [0, HOUR * 1000, 2 * HOUR * 1000]


async def test_sweep_keeps_an_idempotency_key_until_it_expires(app: App) -> None:
    first = await app.add(app.send_request("alice", key="k", fingerprint=b"one"))
    engines = idle_context(app.store, MemoryBroker(), app.clock, Ids().new)
    for seconds, is_repeated in ((DAY - 1, True), (1, False)):
        app.clock.advance(seconds)
        await server_maintenance.sweep(engines, KEPT, 0)
        again = await app.add(app.send_request("alice", key="k", fingerprint=b"one"))
        assert (again.response == first.response) is is_repeated
